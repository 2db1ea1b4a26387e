// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package keyring

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestTheKubeletWouldTryTheSame: testdata/kubelet.json holds what
// k8s.io/kubernetes/pkg/credentialprovider v1.36.3 answered to pull secrets with all
// kinds of patterns. The password is the Secret's letter and the pattern.
func TestTheKubeletWouldTryTheSame(t *testing.T) {
	raw, err := os.ReadFile("testdata/kubelet.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Secrets [][]string
		Image   string
		Want    []string
	}
	if err := json.Unmarshal(raw, &cases); err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, tc := range cases {
		var parts []Part
		for i, patterns := range tc.Secrets {
			parts = append(parts, Part{Config: configWith(t, string(rune('a'+i))+" ", patterns...)})
		}
		got := passwordsOf(t, New(parts...).Lookup(repository(t, tc.Image)))
		if len(tc.Want) > MaxTried {
			tc.Want = tc.Want[:MaxTried]
		}
		found += len(got)
		if !slices.Equal(sorted(got), sorted(tc.Want)) || !sameOrder(got, tc.Want) {
			t.Errorf("%s with %q: %q, the kubelet %q", tc.Image, tc.Secrets, got, tc.Want)
		}
	}
	if len(cases) < 100 || found < len(cases)/2 {
		t.Errorf("%d cases with %d credentials are not worth much", len(cases), found)
	}
}

func sorted(s []string) []string { return slices.Sorted(slices.Values(s)) }

// sameOrder compares the patterns, in the order in which they are tried. Of one Secret
// the kubelet takes those that mean the same in any order.
func sameOrder(got, want []string) bool {
	order := func(passwords []string) []string {
		var keys []string
		for _, p := range passwords {
			_, where, _ := strings.Cut(p, " ")
			parsed, _ := parsePattern(where)
			keys = append(keys, fmt.Sprint(p[:1], parsed.text))
		}
		return keys
	}
	return slices.Equal(order(got), order(want))
}
