// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign-dev/countersign/pkg/verify"
)

// TestPlatforms is about what a node may run of what an index lists. Whoever writes
// indexes wants one of his manifests to be run and not to be listed here.
func TestPlatforms(t *testing.T) {
	digest := func(digit string) string { return "sha256:" + strings.Repeat(digit, 64) }
	entry := func(digit, platform string) string {
		return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":5%s}`, ociManifest, digest(digit), platform)
	}
	on := func(os, architecture string) string {
		return fmt.Sprintf(`,"platform":{"os":%q,"architecture":%q}`, os, architecture)
	}
	list := func(entries ...string) string {
		return `{"schemaVersion":2,"manifests":[` + strings.Join(entries, ",") + `]}`
	}
	amd, arm := entry("a", on("linux", "amd64")), entry("b", on("linux", "arm64"))
	both := []string{"linux/amd64 a", "linux/arm64 b"}
	many := make([]string, 0, 2000)
	for i := range 2000 {
		many = append(many, fmt.Sprintf(`{"mediaType":%q,"digest":"sha256:%064x","size":5}`, ociManifest, i))
	}
	for name, tc := range map[string]struct {
		content string
		want    []string // "platform, first digit of the digest"
		reason  verify.Reason
	}{
		"two platforms":            {content: list(amd, arm), want: both},
		"an attestation is no one": {content: list(amd, entry("c", on("unknown", "unknown")), arm), want: both},
		"a variant":                {content: list(entry("a", `,"platform":{"os":"linux","architecture":"arm","variant":"v7"}`)), want: []string{"linux/arm/v7 a"}},
		"a platform twice":         {content: list(amd, amd, arm), want: both},
		"two for one platform":     {content: list(amd, entry("b", on("linux", "amd64"))), want: []string{"linux/amd64 a", "linux/amd64 b"}},
		"a manifest by itself":     {content: `{"schemaVersion":2,"config":{},"layers":[]}`},

		"one for no platform may run on any":     {content: list(amd, entry("b", "")), want: []string{"linux/amd64 a", "any platform b"}},
		"one for a platform of null, too":        {content: list(entry("b", `,"platform":null`)), want: []string{"any platform b"}},
		"one for a platform without a name, too": {content: list(entry("b", `,"platform":{}`)), want: []string{"/ b"}},
		"one that is half unknown, too":          {content: list(entry("b", on("linux", "unknown"))), want: []string{"linux/unknown b"}},
		"one that is unknown in another case":    {content: list(entry("b", on("Unknown", "unknown"))), want: []string{"Unknown/unknown b"}},
		"one that says it is an attestation": {
			content: list(entry("b", on("linux", "amd64")+`,"annotations":{"vnd.docker.reference.type":"attestation-manifest"}`)), want: []string{"linux/amd64 b"},
		},

		"nothing":                          {content: list(), reason: verify.ImageNotFound},
		"null":                             {content: `{"manifests":null}`, reason: verify.ImageNotFound},
		"nothing but attestations":         {content: list(entry("c", on("unknown", "unknown"))), reason: verify.ImageNotFound},
		"an index and a manifest at once":  {content: `{"config":{},"layers":[],"manifests":[` + amd + `]}`, reason: verify.ImageNotFound},
		"an index with layers":             {content: `{"layers":[],"manifests":[` + amd + `]}`, reason: verify.ImageNotFound},
		"neither":                          {content: `{"schemaVersion":2}`, reason: verify.ImageNotFound},
		"an artifact":                      {content: `{"schemaVersion":2,"artifactType":"x","blobs":[]}`, reason: verify.ImageNotFound},
		"a list":                           {content: `[` + amd + `]`, reason: verify.ImageNotFound},
		"nonsense":                         {content: `manifests`, reason: verify.ImageNotFound},
		"something after it":               {content: list(amd) + list(arm), reason: verify.ImageNotFound},
		"an index in an index":             {content: list(amd, strings.Replace(arm, ociManifest, ociIndex, 1)), reason: verify.ImageNotFound},
		"a type that nobody knows":         {content: list(amd, strings.Replace(arm, ociManifest, "x", 1)), reason: verify.ImageNotFound},
		"no type":                          {content: list(amd, `{"digest":"`+digest("b")+`"}`), reason: verify.ImageNotFound},
		"another algorithm":                {content: list(amd, strings.Replace(arm, "sha256:", "sha512:", 1)), reason: verify.ImageNotFound},
		"manifests twice":                  {content: `{"manifests":[` + amd + `],"manifests":[` + arm + `]}`, reason: verify.ImageNotFound},
		"manifests and Manifests":          {content: `{"manifests":[` + amd + `],"Manifests":[` + arm + `]}`, reason: verify.ImageNotFound},
		"Manifests alone":                  {content: `{"config":{},"layers":[],"Manifests":[` + arm + `]}`, reason: verify.ImageNotFound},
		"manifests with a long s":          {content: `{"manifests":[` + amd + `],"manife\u017fts":[` + arm + `]}`, reason: verify.ImageNotFound},
		"manifests with an escape":         {content: `{"manifests":[` + amd + `],"manifest\u0073":[` + arm + `]}`, reason: verify.ImageNotFound},
		"a digest twice":                   {content: list(strings.Replace(amd, `"size"`, `"digest":"`+digest("b")+`","size"`, 1)), reason: verify.ImageNotFound},
		"a digest and a Digest":            {content: list(strings.Replace(amd, `"size"`, `"Digest":"`+digest("b")+`","size"`, 1)), reason: verify.ImageNotFound},
		"a Platform beside an unknown one": {content: list(entry("b", on("unknown", "unknown")+strings.Replace(on("linux", "amd64"), "p", "P", 1))), reason: verify.ImageNotFound},
		"an OS beside an unknown one":      {content: list(entry("b", `,"platform":{"os":"unknown","OS":"linux","architecture":"unknown"}`)), reason: verify.ImageNotFound},
		"platforms that are numbers":       {content: list(entry("b", `,"platform":5`)), reason: verify.ImageNotFound},
		"forty platforms":                  {content: list(many[:40]...), reason: verify.LimitExceeded},
		"two thousand platforms":           {content: list(many...), reason: verify.ImageNotFound},
		"an index as long as none is":      {content: list(amd) + strings.Repeat(" ", mib), reason: verify.LimitExceeded},
		"lists in lists":                   {content: `{"x":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `}`, reason: verify.ImageNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			d := digestOf([]byte(tc.content))
			// Under which type it is sent does not matter: a node may be sent another.
			f.on(repo+"manifests/"+d, serve(dockerManifest, tc.content))
			got, err := f.client(Limits{}).Platforms(t.Context(), f.ref(t, ":1"), d)
			if reason := reasonOf(t, err); reason != tc.reason || (err != nil && got != nil) {
				t.Fatalf("%v, %v; want %q", got, err, tc.reason)
			}
			var texts []string
			for _, p := range got {
				texts = append(texts, p.Name+" "+p.Digest[7:8])
			}
			if diff := cmp.Diff(tc.want, texts); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestPlatformsThatCannotBeAskedFor(t *testing.T) {
	for name, tc := range map[string]struct {
		answer http.HandlerFunc
		want   verify.Reason
	}{
		"other bytes than the digest's": {serve(ociIndex, `{"manifests":[]}`), verify.RegistryUnavailable},
		"nothing there":                 {status(404), verify.ImageNotFound},
		"a refusal":                     {status(403), verify.RegistryUnauthorized},
		"a limit of requests":           {throttle("60"), verify.RegistryThrottled},
		"a fault":                       {status(500), verify.RegistryUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.on(repo+"manifests/"+subject, tc.answer)
			if got, err := f.client(Limits{}).Platforms(t.Context(), f.ref(t, ":1"), subject); reasonOf(t, err) != tc.want || got != nil {
				t.Errorf("%v, %v; want %s", got, err, tc.want)
			}
		})
	}
	t.Run("what is known by digest is not asked for again", func(t *testing.T) {
		f := newFake(t)
		const content = `{"config":{},"layers":[]}`
		d := digestOf([]byte(content))
		f.on(repo+"manifests/"+d, serve(ociManifest, content))
		client := f.client(Limits{})
		for range 3 {
			if _, err := client.Platforms(t.Context(), f.ref(t, ":1"), d); err != nil {
				t.Fatal(err)
			}
		}
		if asked := f.requests(); len(asked) != 1 {
			t.Errorf("asked %v", asked)
		}
	})
}
