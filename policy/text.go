// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"strconv"
	"unicode/utf8"
)

const (
	// maxDetail bounds, in characters, what is shown of a cause.
	maxDetail = 400
	// maxReference bounds, in characters, what is shown of an image reference.
	maxReference = 300
)

// printable returns s on one line and without control or invisible characters,
// cut to at most limit characters.
func printable(s string, limit int) string {
	// Beyond this, no part of s can be within the limit: do not walk megabytes.
	if len(s) > limit*utf8.UTFMax {
		s = s[:limit*utf8.UTFMax]
	}
	quoted := strconv.Quote(s)
	s = unescapeQuotes(quoted[1 : len(quoted)-1])
	if utf8.RuneCountInString(s) <= limit {
		return s
	}
	runes := []rune(s)
	return string(runes[:limit-1]) + "…"
}

// unescapeQuotes takes back what strconv.Quote does to printable characters.
func unescapeQuotes(s string) string {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) && (s[i+1] == '"' || s[i+1] == '\\') {
			i++
		}
		out = append(out, s[i])
	}
	return string(out)
}

// shortDigest returns "sha256:9f61…c29e" for a digest, as people compare them.
func shortDigest(digest string) string {
	const algorithm, shown = len("sha256:"), 4
	if len(digest) <= algorithm+2*shown {
		return digest
	}
	return digest[:algorithm+shown] + "…" + digest[len(digest)-shown:]
}
