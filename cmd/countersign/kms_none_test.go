// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build nokms

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestWithoutKMS: a program that was built without key services says so.
func TestWithoutKMS(t *testing.T) {
	policy := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(policy, []byte(`apiVersion: policy.countersign.dev/v1alpha1
kind: ClusterImagePolicy
metadata: {name: kms}
spec: {images: [{glob: "**"}], authorities: [{name: a, key: {kms: "awskms:///alias/release"}, ctlog: {insecureIgnoreTlog: true}}]}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	image := "127.0.0.1:1/app@sha256:" + strings.Repeat("0a", 32)
	if code := execute(t.Context(), []string{"verify", "image", image, "--policy", policy}, nil, &out, &errs); code != exitRejected {
		t.Errorf("exit code %d", code)
	}
	if want := "PolicyNotReady: spec.authorities[0].key.kms: awskms:///alias/release: this build has no KMS support"; !strings.Contains(out.String(), want) {
		t.Errorf("it says %s%s; want %q", out.String(), errs.String(), want)
	}
}
