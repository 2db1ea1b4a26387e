// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/pflag"

	"github.com/countersign-dev/countersign/pkg/image"
)

// maxExtractorFile bounds the file of extractors. A ConfigMap holds 1 MiB.
const maxExtractorFile = 1 << 20

func registerExtractors(f *pflag.FlagSet, file *string) {
	f.StringVar(file, "image-extractors", "", "file that says where custom resources hold images, besides those that are known already (docs/custom-resources.md)")
}

// newExtractor returns the extractor for Kubernetes' kinds, the custom kinds that
// are shipped, and those in the named file, where there is one. What the file says
// of a kind that is shipped counts.
func newExtractor(file string) (*image.Extractor, error) {
	kinds, err := image.ShippedCustomKinds()
	if err != nil {
		return nil, fmt.Errorf("the extractors that are shipped: %w", err)
	}
	if file == "" {
		return image.NewExtractor(kinds...), nil
	}
	in, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("--image-extractors: %w", err)
	}
	defer in.Close()
	text, err := io.ReadAll(io.LimitReader(in, maxExtractorFile+1))
	if err == nil && len(text) > maxExtractorFile {
		err = fmt.Errorf("is larger than %d bytes", maxExtractorFile)
	}
	if err != nil {
		return nil, fmt.Errorf("--image-extractors: %s: %w", file, err)
	}
	named, err := image.ParseCustomKinds(text)
	if err != nil {
		return nil, fmt.Errorf("--image-extractors: %s: %w", file, err)
	}
	return image.NewExtractor(append(kinds, named...)...), nil
}
