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

// TestCosignHasTheFlagsThatTheDocumentsUse, and all that are used at once in one of its
// two releases: they differ.
func TestCosignHasTheFlagsThatTheDocumentsUse(t *testing.T) {
	t.Parallel()
	root, err := stack.FindRoot()
	if err != nil {
		t.Fatal(err)
	}
	documents := []string{filepath.Join(root, "README.md")}
	for _, pattern := range []string{"docs/*.md", "docs/ci/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		documents = append(documents, found...)
	}
	command := regexp.MustCompile("(?m)\\bcosign (sign|attest|public-key|trusted-root create|signing-config create) ([^`\n]*)")
	flag := regexp.MustCompile(`(?:^|\s)(--?[a-z][a-z0-9-]*)`)
	commands := 0
	for _, document := range documents {
		text, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range command.FindAllStringSubmatch(strings.ReplaceAll(string(text), "\\\n", " "), -1) {
			commands++
			var unknown []string
			for _, release := range []stack.Cosign{stack.CosignV3, stack.CosignV2} {
				unknown = nil
				help := helpOf(t, release, c[1])
				for _, used := range flag.FindAllStringSubmatch(c[2], -1) {
					if !help[used[1]] {
						unknown = append(unknown, used[1])
					}
				}
				if len(unknown) == 0 {
					break
				}
			}
			if len(unknown) > 0 {
				t.Errorf("%s: cosign %s has no %v: %s", filepath.Base(document), c[1], unknown, c[0])
			}
		}
	}
	if commands < 10 {
		t.Errorf("the documents have %d commands of cosign", commands)
	}
}

// helpOf are the flags that a command of cosign says it has.
func helpOf(t *testing.T, release stack.Cosign, command string) map[string]bool {
	t.Helper()
	result, err := S(t).Run(t.Context(), nil, string(release), append(strings.Fields(command), "--help")...)
	if err != nil {
		t.Fatal(err)
	}
	flags := map[string]bool{}
	for _, line := range regexp.MustCompile(`(?m)^\s+(?:(-[a-zA-Z]), )?(--[a-z0-9-]+)`).FindAllStringSubmatch(result.Stdout, -1) {
		flags[line[1]], flags[line[2]] = true, true
	}
	return flags
}
