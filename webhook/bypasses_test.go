// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestTheTestsThatDocumentsNameExist: a trick whose test was renamed or removed is one
// that nobody tries any more.
func TestTheTestsThatDocumentsNameExist(t *testing.T) {
	defined := definedTests(t)
	for _, document := range []string{"bypasses.md", "testing.md"} {
		text, err := os.ReadFile("../docs/design/" + document)
		if err != nil {
			t.Fatal(err)
		}
		names := regexp.MustCompile(`\b(?:Test|Fuzz)[A-Z]\w+`).FindAllString(string(text), -1)
		if len(names) < 20 {
			t.Errorf("%s names %d tests", document, len(names))
		}
		for _, name := range names {
			if !defined[name] {
				t.Errorf("%s: there is no %s", document, name)
			}
		}
	}
}

// definedTests are the tests of this repository, by name.
func definedTests(t *testing.T) map[string]bool {
	t.Helper()
	defined := map[string]bool{}
	function := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	tree := os.DirFS("..")
	err := fs.WalkDir(tree, ".", func(path string, entry fs.DirEntry, err error) error {
		if entry != nil && entry.IsDir() && strings.HasPrefix(entry.Name(), ".") && path != "." {
			return fs.SkipDir
		}
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := fs.ReadFile(tree, path)
		for _, match := range function.FindAllSubmatch(text, -1) {
			defined[string(match[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return defined
}
