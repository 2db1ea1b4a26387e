// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/countersign-dev/countersign/e2e/stack"
)

// TestWhatTheDocumentsTellToApplyRenders: the kustomizations in docs/, on the
// config/ of this repository.
func TestWhatTheDocumentsTellToApplyRenders(t *testing.T) {
	t.Parallel()
	root, err := stack.FindRoot()
	if err != nil {
		t.Fatal(err)
	}
	for document, want := range map[string][]string{
		"custom-resources.md": {"--image-extractors=/etc/countersign/extractors.yaml", "mountPath: /etc/countersign\n", "    - workflows\n", "kind: ImageExtractors"},
		"registries.md": {
			"--registry-config=/etc/countersign-registries/registries.yaml", "mountPath: /etc/countersign-registries\n", "  name: countersign-registries\n",
			"kind: RegistryConfig", "secretName: countersign-registry-certificates\n",
		},
		"cluster-safety.md": {"      - countersign-system\n      - calico-system\n"},
	} {
		t.Run(document, func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(filepath.Join(root, "docs", document))
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			if err := os.CopyFS(filepath.Join(dir, "config"), os.DirFS(filepath.Join(root, "config"))); err != nil {
				t.Fatal(err)
			}
			files := 0
			for _, block := range regexp.MustCompile("(?s)```yaml\n# (\\S+)\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
				content := strings.ReplaceAll(block[2], "https://github.com/countersign-dev/countersign/config", "config")
				if err := os.WriteFile(filepath.Join(dir, block[1]), []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
				files++
			}
			rendered := kubectl(t, "", "kustomize", dir)
			for _, part := range want {
				if !strings.Contains(rendered.Stdout, part) {
					t.Errorf("%d files render without %q: %s%.2000s", files, part, rendered.Stderr, rendered.Stdout)
				}
			}
		})
	}
}
