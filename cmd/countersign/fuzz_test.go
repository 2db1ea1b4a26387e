// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto/sha256"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/countersign-dev/countersign/pkg/verify"
	"github.com/countersign-dev/countersign/policy/files"
)

// FuzzVerifyBundle looks for a trusted root or a bundle that crashes the command, and
// for a pair that is accepted although sigstore-go refuses it. The keys of the seeds are
// gone: nobody can sign anything with them.
func FuzzVerifyBundle(f *testing.F) {
	for _, log := range []string{"ed25519", "p256"} {
		for _, kind := range []string{"message", "dsse"} {
			f.Add(seed(f, "testdata/rekor2/"+log+"-p256-"+kind+".json"), seed(f, "testdata/rekor2/"+log+".root.json"))
		}
	}
	f.Add(seed(f, "testdata/conformance/rekor2-dsse-happy-path-0.0.2/bundle.sigstore.json"), seed(f, "testdata/conformance/rekor2-dsse-happy-path-0.0.2/trusted_root.json"))
	key := "testdata/rekor2/p256.pub"
	f.Fuzz(func(t *testing.T, bundle, trustedRoot []byte) {
		trusted, err := files.ParseTrustedRoot(trustedRoot)
		if err != nil {
			return
		}
		for _, o := range []bundleOptions{{key: key}, {identity: verify.IdentitySpec{Subject: suiteIdentity, Issuer: suiteIssuer}}} {
			authority, err := o.authority(t.Context(), trusted)
			if err != nil {
				continue
			}
			content := verify.Artifact{SHA256: sha256.Sum256([]byte(artifact)), Content: strings.NewReader(artifact)}
			verdict := authority.VerifyArtifact(t.Context(), content, verify.Bundle{JSON: bundle})
			if strings.Contains(verdict.String(), "a fault of countersign") {
				t.Fatal(verdict)
			}
			if _, ok := verdict.(verify.Verified); !ok {
				continue
			}
			dir := t.TempDir()
			for name, text := range map[string][]byte{"bundle": bundle, "root": trustedRoot, "artifact": []byte(artifact)} {
				write(t, filepath.Join(dir, name), string(text))
			}
			if err := safely([]string{"verify-bundle", "--bundle", filepath.Join(dir, "bundle"), "--key", key, "--trusted-root", filepath.Join(dir, "root"), filepath.Join(dir, "artifact")}); err != nil {
				t.Errorf("accepted, and sigstore-go refuses it: %v", err)
			}
		}
	})
}

func seed(f *testing.F, name string) []byte {
	f.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		f.Fatal(err)
	}
	return bytes.TrimSpace(text)
}
