// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestMetricsAreDocumented: each metric is in docs/monitoring.md, and what alerts and
// documentation name is a metric.
func TestMetricsAreDocumented(t *testing.T) {
	root := os.DirFS(filepath.Join("..", ".."))
	name := regexp.MustCompile(`countersign_[a-z_]+[a-z]`)
	read := func(path string) string {
		t.Helper()
		text, err := fs.ReadFile(root, path)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	measured := map[string]bool{}
	defined := regexp.MustCompile(`"(` + name.String() + `)",`)
	for _, dir := range []string{"pkg", "policy", "webhook", "cmd"} {
		err := fs.WalkDir(root, dir, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := fs.ReadFile(root, path)
			for _, found := range defined.FindAllStringSubmatch(string(text), -1) {
				measured[found[1]] = true
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	documented := read("docs/monitoring.md")
	for metric := range measured {
		if !strings.Contains(documented, "`"+metric+"`") {
			t.Errorf("docs/monitoring.md does not have %s", metric)
		}
	}
	rules := read("config/prometheus/rules.yaml")
	for _, text := range []string{documented, rules} {
		for _, metric := range name.FindAllString(text, -1) {
			if !measured[metric] {
				t.Errorf("%s is no metric: there are %q", metric, slices.Sorted(maps.Keys(measured)))
			}
		}
	}
	for _, alert := range regexp.MustCompile(`alert: (\w+)`).FindAllStringSubmatch(rules, -1) {
		if !strings.Contains(documented, alert[1]) {
			t.Errorf("docs/monitoring.md does not say what alert %s asks for", alert[1])
		}
	}
}
