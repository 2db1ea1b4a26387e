// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestRekorV2OfRealCosign verifies what real cosign and a real Rekor v2 made, for logs
// and signers with keys of each type that they can do together.
func TestRekorV2OfRealCosign(t *testing.T) {
	bundles, err := filepath.Glob("testdata/rekor2/*-*-*.json")
	if err != nil || len(bundles) != 16 {
		t.Fatalf("%d bundles, %v", len(bundles), err)
	}
	for _, bundle := range bundles {
		name := strings.TrimSuffix(filepath.Base(bundle), ".json")
		parts := strings.Split(name, "-")
		other := map[string]string{"ed25519": "p256", "p256": "ed25519"}[parts[0]]
		t.Run(name, func(t *testing.T) {
			args := func(log, subject string) []string {
				return []string{"verify-bundle", "--bundle", bundle, "--key", "testdata/rekor2/" + parts[1] + ".pub", "--trusted-root", "testdata/rekor2/" + log + ".root.json", subject}
			}
			file := filepath.Join(t.TempDir(), "artifact")
			write(t, file, artifact)
			if ok, output := verifies(t, args(parts[0], file)); !ok {
				t.Error(output)
			}
			if code, output := exitCodeOf(args(other, file)); code != exitRejected || !strings.Contains(output, "LogUnknown: ") {
				t.Errorf("by the other log: exit code %d, %s", code, output)
			}
			write(t, file, "something else\n")
			if code, output := exitCodeOf(args(parts[0], file)); code != exitRejected || !strings.Contains(output, "SignatureInvalid: ") {
				t.Errorf("about something else: exit code %d, %s", code, output)
			}
		})
	}
}
