// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"fmt"
	"strings"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/tlog"
)

// tilesPath is where rekor-tiles has the checkpoint and the tiles below the log's base URL.
const tilesPath = "/api/v2"

// VersionOf returns the version of Rekor that the type of a TransparencyLog names.
func VersionOf(logType v1alpha1.LogType) (tlog.Version, error) {
	switch logType {
	case v1alpha1.LogTypeRekorV1:
		return tlog.RekorV1, nil
	case v1alpha1.LogTypeRekorV2:
		return tlog.RekorV2, nil
	default:
		return 0, fmt.Errorf("type %q is not supported", logType)
	}
}

// addresses returns the base URLs at which the log is read, and the field that they are
// from.
func addresses(spec *v1alpha1.TransparencyLogSpec) (read []string, field string) {
	if spec.Type != v1alpha1.LogTypeRekorV2 {
		return spec.URLs, "urls"
	}
	if len(spec.ReadURLs) > 0 {
		return spec.ReadURLs, "readURLs"
	}
	read = make([]string, len(spec.URLs))
	for i, address := range spec.URLs {
		read[i] = strings.TrimSuffix(address, "/") + tilesPath
	}
	return read, "urls"
}
