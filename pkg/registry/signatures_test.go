// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign-dev/countersign/pkg/image"
	"github.com/countersign-dev/countersign/pkg/verify"
)

const (
	legacyPath   = repo + "manifests/" + subjectTag + ".sig"
	fallbackPath = repo + "manifests/" + subjectTag
	apiPath      = repo + "referrers/" + subject
)

func TestSignatures(t *testing.T) {
	cases := map[string]struct {
		registry func(f *fake)
		want     []string
	}{
		"there are none": {
			func(*fake) {}, nil,
		},
		"there are none, and the registry has the referrers API": {
			func(f *fake) { f.list() }, nil,
		},
		"a null list is an empty one": {
			func(f *fake) { f.on(apiPath, serve(ociIndex, `{"manifests":null}`)) }, nil,
		},
		"a legacy signature": {
			func(f *fake) { f.legacyTag(f.legacyLayer("a")) }, []string{"legacy a (sig of a)"},
		},
		"legacy signatures keep their order, and layers of other types are left out": {
			func(f *fake) {
				f.legacyTag(f.legacyLayer("a"), f.blob("application/octet-stream", "x"), f.legacyLayer("b"))
			},
			[]string{"legacy a (sig of a)", "legacy b (sig of b)"},
		},
		"two signatures over one payload are two signatures": {
			func(f *fake) {
				one, two := f.legacyLayer("a"), f.legacyLayer("a")
				two.Annotations = annotations{Signature: "other"}
				f.legacyTag(one, two)
			},
			[]string{"legacy a (sig of a)", "legacy a (other)"},
		},
		"a layer without a signature is still evidence, for the verifier to refuse": {
			func(f *fake) { f.legacyTag(f.blob(simpleSigningType, "a")) }, []string{"legacy a ()"},
		},
		"a bundle in the referrers API": {
			func(f *fake) { f.list(f.bundleReferrer("b")) }, []string{"bundle b"},
		},
		"a bundle in the fallback tag": {
			func(f *fake) { f.on(fallbackPath, serve(ociIndex, index(f.bundleReferrer("b")))) }, []string{"bundle b"},
		},
		"both forms are found": {
			func(f *fake) { f.legacyTag(f.legacyLayer("a")); f.list(f.bundleReferrer("b")) },
			[]string{"legacy a (sig of a)", "bundle b"},
		},
		"an entry without artifact type is looked at": {
			func(f *fake) { d := f.bundleReferrer("b"); d.ArtifactType = ""; f.list(d) }, []string{"bundle b"},
		},
		"an entry with the config's type in place of the artifact type is looked at": {
			func(f *fake) {
				d := f.bundleReferrer("b")
				d.ArtifactType = "application/vnd.oci.empty.v1+json"
				f.list(d)
			}, []string{"bundle b"},
		},
		"an entry of another artifact type is not": {
			func(f *fake) {
				f.list(descriptor{MediaType: ociManifest, Digest: subject, Size: 5, ArtifactType: "application/spdx+json"})
			}, nil,
		},
		"cosign's experimental form is read as legacy signatures": {
			func(f *fake) {
				d := f.manifest(imageManifest{SchemaVersion: 2, Config: target{MediaType: cosignSignatureType},
					Layers: []descriptor{f.legacyLayer("a")}, Subject: &target{Digest: subject}})
				d.ArtifactType = cosignSignatureType
				f.list(d)
			}, []string{"legacy a (sig of a)"},
		},
		"the registry's fallback tag is not asked where it has the API": {
			func(f *fake) { f.list(); f.on(fallbackPath, serve(ociIndex, index(f.bundleReferrer("b")))) }, nil,
		},
		"a referrer of another image is left out": {
			func(f *fake) {
				d := f.manifest(imageManifest{SchemaVersion: 2, ArtifactType: bundleV03, Layers: []descriptor{f.blob(bundleV03, "b")},
					Subject: &target{Digest: "sha256:" + strings.Repeat("0", 64)}})
				d.ArtifactType = bundleV03
				f.list(d, f.bundleReferrer("c"))
			}, []string{"bundle c"},
		},
		"a referrer of nothing is left out": {
			func(f *fake) {
				d := f.manifest(imageManifest{SchemaVersion: 2, ArtifactType: bundleV03, Layers: []descriptor{f.blob(bundleV03, "b")}})
				d.ArtifactType = bundleV03
				f.list(d)
			}, nil,
		},
		"a bundle beside another layer is left out": {
			func(f *fake) {
				b := f.blob(bundleV03, "b")
				d := f.manifest(imageManifest{SchemaVersion: 2, ArtifactType: bundleV03, Layers: []descriptor{b, b}, Subject: &target{Digest: subject}})
				d.ArtifactType = bundleV03
				f.list(d)
			}, nil,
		},
		"a referrer that is an index is left out": {
			func(f *fake) { d := f.bundleReferrer("b"); d.MediaType = ociIndex; f.list(d) }, nil,
		},
		"a referrer that is an index and a manifest at once is left out": {
			func(f *fake) {
				raw := `{"schemaVersion":2,"manifests":[],"layers":[],"subject":{"digest":"` + subject + `"}}`
				d := describeContent(ociManifest, raw)
				d.ArtifactType = bundleV03
				f.on(repo+"manifests/"+d.Digest, serve(ociManifest, raw))
				f.list(d)
			}, nil,
		},
		"an entry without a digest is left out": {
			func(f *fake) { f.list(descriptor{MediaType: ociManifest, ArtifactType: bundleV03}) }, nil,
		},
		"an entry with a path for a digest is left out": {
			func(f *fake) {
				f.list(descriptor{MediaType: ociManifest, ArtifactType: bundleV03, Digest: "../../../../admin", Size: 5})
			}, nil,
		},
		"a layer with a negative size is left out": {
			func(f *fake) { d := f.legacyLayer("a"); d.Size = -1; f.legacyTag(d, f.legacyLayer("b")) }, []string{"legacy b (sig of b)"},
		},
		"registries that have no referrers API say so in many ways: 400": {
			func(f *fake) {
				f.on(apiPath, status(400))
				f.on(fallbackPath, serve(ociIndex, index(f.bundleReferrer("b"))))
			}, []string{"bundle b"},
		},
		"registries that have no referrers API say so in many ways: 405": {
			func(f *fake) {
				f.on(apiPath, status(405))
				f.on(fallbackPath, serve(ociIndex, index(f.bundleReferrer("b"))))
			}, []string{"bundle b"},
		},
		"registries that have no referrers API say so in many ways: 406": {
			func(f *fake) { f.on(apiPath, status(406)) }, nil,
		},
		"registries that have no referrers API say so in many ways: 501": {
			func(f *fake) { f.on(apiPath, status(501)) }, nil,
		},
		"registries that have no referrers API say so in many ways: a redirect to a login page elsewhere": {
			func(f *fake) {
				f.on(apiPath, redirect("https://login.example/"))
				f.on(fallbackPath, serve(ociIndex, index(f.bundleReferrer("b"))))
			},
			[]string{"bundle b"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			tc.registry(f)
			got, err := f.client(Limits{}).Signatures(t.Context(), f.ref(t, ":v1"), subject, Source{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, texts(got)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestLegacySignatureCarriesItsAnnotations(t *testing.T) {
	f := newFake(t)
	layer := f.blob(simpleSigningType, "payload")
	wire := map[string]string{
		"dev.cosignproject.cosign/signature":   "c2ln",
		"dev.sigstore.cosign/bundle":           "{}",
		"dev.sigstore.cosign/certificate":      "cert",
		"dev.sigstore.cosign/chain":            "chain",
		"dev.sigstore.cosign/rfc3161timestamp": "time",
		"other":                                "left out",
	}
	f.on(legacyPath, serve(ociManifest, fmt.Sprintf(`{"layers":[{"mediaType":%q,"digest":%q,"size":%d,"annotations":%s}]}`,
		layer.MediaType, layer.Digest, layer.Size, encode(wire))))
	got, err := f.client(Limits{}).Signatures(t.Context(), f.ref(t, ""), subject, Source{})
	if err != nil {
		t.Fatal(err)
	}
	want := []verify.Signature{verify.LegacySignature{Payload: []byte("payload"), Base64Signature: "c2ln", RekorBundle: "{}",
		Certificate: "cert", Chain: "chain", RFC3161Timestamp: "time"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestTotalsOfAnImage(t *testing.T) {
	t.Run("bytes are counted together", func(t *testing.T) {
		f := newFake(t)
		f.legacyTag(f.legacyLayer(strings.Repeat("a", 3000)), f.legacyLayer(strings.Repeat("b", 3000)))
		got, err := f.client(Limits{Total: 11_000, Parallel: 1}).Signatures(t.Context(), f.ref(t, ""), subject, Source{})
		if reasonOf(t, err) != verify.LimitExceeded || len(got) != 1 {
			t.Errorf("%d signatures, %v", len(got), err)
		}
	})
	t.Run("signatures are counted together", func(t *testing.T) {
		f := newFake(t)
		f.legacyTag(f.legacyLayer("a"), f.legacyLayer("b"))
		f.list(f.bundleReferrer("c"), f.bundleReferrer("d"))
		got, err := f.client(Limits{Signatures: 3}).Signatures(t.Context(), f.ref(t, ""), subject, Source{})
		if reasonOf(t, err) != verify.LimitExceeded || len(got) > 3 {
			t.Errorf("%d signatures, %v", len(got), err)
		}
	})
}

func TestSignaturesOfNothing(t *testing.T) {
	client := New(Options{})
	if _, err := client.Signatures(t.Context(), image.Reference{}, subject, Source{}); reasonOf(t, err) != verify.RegistryUnavailable {
		t.Errorf("%v", err)
	}
	if _, err := client.Signatures(t.Context(), parse(t, "nginx"), "latest\n", Source{}); reasonOf(t, err) != verify.RegistryUnavailable {
		t.Errorf("%v", err)
	}
	if _, known := client.CachedSignatures(image.Reference{}, subject, Source{}); known {
		t.Error("signatures of the zero reference are known")
	}
}
