// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// The API server cuts a warning at 256 characters and all warnings of a request
// at 4096 (k8s.io/apiserver/pkg/endpoints/filters/warning.go). What is cut by us
// is cut between words, and says that it was.
const (
	maxWarning  = 256
	maxWarnings = 15
)

// asWarnings makes admission warnings of lines of text: a longer line becomes
// several warnings, and what does not fit is counted.
func asWarnings(lines []string) []string {
	var warnings []string
	for i, line := range lines {
		pieces := wrap(strings.TrimSpace(line), maxWarning)
		if len(warnings)+len(pieces) > maxWarnings {
			return append(warnings, fmt.Sprintf("… and %d more lines from countersign", len(lines)-i))
		}
		warnings = append(warnings, pieces...)
	}
	return warnings
}

// wrap cuts s into pieces of at most limit characters, at spaces where it can.
func wrap(s string, limit int) []string {
	var pieces []string
	for utf8.RuneCountInString(s) > limit {
		runes := []rune(s)
		cut := limit
		for i := limit; i > limit/2; i-- {
			if runes[i] == ' ' {
				cut = i
				break
			}
		}
		pieces = append(pieces, string(runes[:cut]))
		s = strings.TrimSpace(string(runes[cut:]))
	}
	if s != "" {
		pieces = append(pieces, s)
	}
	return pieces
}
