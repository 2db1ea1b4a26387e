// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What the conformance suite verifies where a case says nothing else, from its
// test/client.py.
const (
	suiteArtifact = "sha256:a0cfc71271d6e278e57cd332ff957c3f7043fdda354c4cbb190a30d56efa01bf"
	suiteIdentity = "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main"
	suiteIssuer   = "https://token.actions.githubusercontent.com"
)

// suiteArgs is the command that the suite runs for a case: build_verify_args of its
// test/client.py.
func suiteArgs(dir, artifact string) []string {
	args := []string{"verify-bundle", "--bundle", filepath.Join(dir, "bundle.sigstore.json")}
	if key := filepath.Join(dir, "key.pub"); exists(key) {
		args = append(args, "--key", key)
	} else {
		args = append(args, "--certificate-identity", suiteIdentity, "--certificate-oidc-issuer", suiteIssuer)
	}
	if trusted := filepath.Join(dir, "trusted_root.json"); exists(trusted) {
		args = append(args, "--trusted-root", trusted)
	}
	return append(args, artifact)
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// verifies reports whether a command exits with 0. Nothing that a case holds is a
// mistake in the command, and nothing is ever unavailable offline.
func verifies(t *testing.T, args []string) (ok bool, output string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := execute(context.Background(), args, strings.NewReader(""), &stdout, &stderr)
	if code != exitVerified && code != exitRejected {
		t.Errorf("exit code %d: %s", code, stderr.String())
	}
	return code == exitVerified, stdout.String() + stderr.String()
}

// TestConformanceAssets runs cases of the public suite as it does.
func TestConformanceAssets(t *testing.T) {
	cases, err := filepath.Glob("testdata/conformance/*/bundle.sigstore.json")
	if err != nil || len(cases) < 3 {
		t.Fatalf("%d cases, %v", len(cases), err)
	}
	for _, bundle := range cases {
		dir := filepath.Dir(bundle)
		name := filepath.Base(dir)
		t.Run(name, func(t *testing.T) {
			mustPass := !strings.HasSuffix(name, "_fail")
			if ok, output := verifies(t, suiteArgs(dir, suiteArtifact)); ok != mustPass {
				t.Errorf("verified: %v, want %v: %s", ok, mustPass, output)
			}
			// The same about something else.
			other := "sha256:" + strings.Repeat("a0", 32)
			if ok, output := verifies(t, suiteArgs(dir, other)); ok {
				t.Errorf("verified about another artifact: %s", output)
			}
		})
	}
}
