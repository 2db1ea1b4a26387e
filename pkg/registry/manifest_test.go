// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
)

func TestAManifestOfEmptyLayersIsRefusedBeforeItIsBuilt(t *testing.T) {
	raw := []byte(`{"layers":[` + strings.Repeat("{},", 1_300_000) + `{}]}`)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := parseManifest(raw, ociManifest, 1024)
	runtime.ReadMemStats(&after)
	if !errors.Is(err, errTooMany) {
		t.Errorf("%v", err)
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 32*mib {
		t.Errorf("%d MiB were allocated", grown/mib)
	}
}

func TestAnnotationsThatAreNotUsedAreNotHeld(t *testing.T) {
	var b strings.Builder
	for i := 0; b.Len() < mib; i++ {
		fmt.Fprintf(&b, `"%x":"",`, i)
	}
	many := `{` + b.String() + `"z":""}`
	for name, raw := range map[string]string{
		"of the config":   `{"config":{"annotations":` + many + `}}`,
		"of the subject":  `{"subject":{"annotations":` + many + `}}`,
		"of the manifest": `{"annotations":` + many + `}`,
		"of a layer":      `{"layers":[{"annotations":` + many + `}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := parseManifest([]byte(raw), ociManifest, 1024)
			runtime.ReadMemStats(&after)
			if grown := after.TotalAlloc - before.TotalAlloc; err != nil || grown > 8*uint64(len(raw)) {
				t.Errorf("%d MiB were allocated for %d MiB, %v", grown/mib, len(raw)/mib, err)
			}
		})
	}
}

func TestParseManifestReadsKeysAsTheyAreWritten(t *testing.T) {
	m, err := parseManifest([]byte(`{"Layers":[{}],"layers":[{"mediaType":"a","MEDIATYPE":"b"}],"SUBJECT":{"digest":"x"}}`), ociManifest, 5)
	if err != nil || len(m.Layers) != 1 || m.Layers[0].MediaType != "a" || m.Subject != nil {
		t.Errorf("%+v, %v", m, err)
	}
}

func FuzzParseManifest(f *testing.F) {
	for _, seed := range []string{
		`{}`, `null`, `[]`, `{"layers":[{}]}`, `{"layers":null}`, `{"manifests":[{"digest":"sha256:x","size":1e3}]}`,
		`{"mediaType":"` + ociManifest + `","layers":[{"mediaType":"x","digest":"y","size":-1,"annotations":{"a":"b"}}],"subject":{"digest":"z"}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := parseManifest(raw, ociManifest, 3)
		if err != nil && !errors.Is(err, errMalformed) && !errors.Is(err, errTooMany) {
			t.Fatalf("an error of another kind: %v", err)
		}
		entries, indexErr := parseIndex(raw, ociIndex, 3)
		if len(m.Layers) > 3 || len(entries) > 3 {
			t.Fatal("more entries than allowed")
		}
		if err == nil && indexErr == nil {
			t.Fatal("it is a manifest and an index at once")
		}
	})
}
