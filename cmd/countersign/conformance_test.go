// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/countersign-dev/countersign/pkg/verify/verifytest"
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

func digestOf(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("sha256:%x", sha256.Sum256(content))
}

// verifies reports whether a command exits with 0. Nothing that a case holds is a
// mistake in the command, and nothing is ever unavailable offline.
func verifies(t *testing.T, args []string) (ok bool, output string) {
	t.Helper()
	code, output := exitCodeOf(args)
	if code != exitVerified && code != exitRejected {
		t.Errorf("exit code %d: %s", code, output)
	}
	return code == exitVerified, output
}

func exitCodeOf(args []string) (code int, output string) {
	var stdout, stderr bytes.Buffer
	code = execute(context.Background(), args, strings.NewReader(""), &stdout, &stderr)
	return code, stdout.String() + stderr.String()
}

// TestConformanceAssets runs cases of the public suite as it does.
func TestConformanceAssets(t *testing.T) {
	cases, err := filepath.Glob("testdata/conformance/*/bundle.sigstore.json")
	if err != nil || len(cases) < 5 {
		t.Fatalf("%d cases, %v", len(cases), err)
	}
	for _, bundle := range cases {
		dir := filepath.Dir(bundle)
		name := filepath.Base(dir)
		t.Run(name, func(t *testing.T) {
			mustPass := !strings.HasSuffix(name, "_fail")
			artifacts := []string{suiteArtifact}
			if file := filepath.Join(dir, "artifact"); exists(file) {
				artifacts = []string{file, digestOf(t, file)}
			}
			for _, artifact := range artifacts {
				if ok, output := verifies(t, suiteArgs(dir, artifact)); ok != mustPass {
					t.Errorf("verified: %v, want %v: %s", ok, mustPass, output)
				}
			}
			// The same about something else.
			other := "sha256:" + strings.Repeat("a0", 32)
			if ok, output := verifies(t, suiteArgs(dir, other)); ok {
				t.Errorf("verified about another artifact: %s", output)
			}
		})
	}
}

// TestConformance mints the cases of the public suite under their names, and runs
// them as it does: about a file, and about its digest.
func TestConformance(t *testing.T) {
	for name, mint := range mustPass() {
		t.Run(name, func(t *testing.T) {
			instance(t, func(s *suite) {
				m := mint(s)
				aYearPasses()
				for _, byDigest := range []bool{false, true} {
					if ok, output := verifies(t, m.args(t, byDigest)); !ok {
						t.Errorf("by digest %v: %s", byDigest, output)
					}
				}
			})
		})
	}
	for name, c := range mustFail() {
		t.Run(name, func(t *testing.T) { c.check(t) })
	}
}

// TestRekorV2Confusions: nothing of one version counts for the other.
func TestRekorV2Confusions(t *testing.T) {
	for name, c := range badV2() {
		t.Run(name, func(t *testing.T) { c.check(t) })
	}
}

func (c refused) check(t *testing.T) {
	t.Helper()
	instance(t, func(s *suite) {
		m := c.mint(s)
		aYearPasses()
		for _, byDigest := range []bool{false, true} {
			want, wanted := exitRejected, string(c.why)+": "
			if c.mistake != "" {
				want, wanted = exitUsage, c.mistake
			}
			code, output := exitCodeOf(m.args(t, byDigest))
			if code != want || !strings.Contains(output, wanted) {
				t.Errorf("by digest %v: exit code %d, want %d and %q, in %s", byDigest, code, want, wanted, output)
			}
		}
	})
}

// aYearPasses between signing and verifying, and short-lived certificates end.
func aYearPasses() { time.Sleep(365 * 24 * time.Hour) }

// instance runs f with a suite, in its time, on a clock of its own.
func instance(t *testing.T, f func(*suite)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(verifytest.SigningTime()))
		f(newSuite(t))
	})
}
