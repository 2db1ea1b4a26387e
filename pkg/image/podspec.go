// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"bytes"
	"encoding/json"
	"fmt"

	kjson "sigs.k8s.io/json"
)

// podSpec is what can name an image in a PodSpec of k8s.io/api/core/v1, whose
// other fields may be larger than anybody wants to hold: `"tolerations":[{},{}…]`
// takes a hundred times its length when it is decoded. That nothing is missing
// here is tested against k8s.io/api.
//
// The lists have not been read yet, so that their lengths can be bounded first.
type podSpec struct {
	InitContainers      json.RawMessage `json:"initContainers"`
	Containers          json.RawMessage `json:"containers"`
	EphemeralContainers json.RawMessage `json:"ephemeralContainers"`
	Volumes             json.RawMessage `json:"volumes"`
}

// container is one of containers, initContainers or ephemeralContainers.
type container struct {
	Name  string `json:"name"`
	Image string `json:"image"`
}

type volume struct {
	Name  string `json:"name"`
	Image *struct {
		Reference string `json:"reference"`
	} `json:"image"`
}

// eachElement reads a list one element at a time, and stops at the bound.
func eachElement[T any](name string, raw json.RawMessage, visit func(i int, element T) error) error {
	if len(raw) == 0 || string(raw) == "null" {
		return nil
	}
	decoder := kjson.NewDecoderCaseSensitivePreserveInts(bytes.NewReader(raw))
	if start, err := decoder.Token(); err != nil || start != json.Delim('[') {
		return fmt.Errorf("%s is not a list", name)
	}
	var text json.RawMessage // its memory is used again for the next
	for i := 0; decoder.More(); i++ {
		if i == maxElements {
			return fmt.Errorf("%s has more than %d elements", name, maxElements)
		}
		if err := decoder.Decode(&text); err != nil {
			return fmt.Errorf("%s[%d]: %w", name, i, err)
		}
		var element T
		if err := readStrict(text, &element); err != nil {
			return fmt.Errorf("%s[%d]: %w", name, i, err)
		}
		if err := visit(i, element); err != nil {
			return err
		}
	}
	return nil
}
