// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"io"
	"log"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	ggcr "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/countersign-dev/countersign/pkg/verify"
)

// TestAgainstAnotherImplementation pushes an image and both forms of signature
// with go-containerregistry to its registry, with and without referrers API.
func TestAgainstAnotherImplementation(t *testing.T) {
	for form, api := range map[string]bool{"with the referrers API": true, "with the fallback tag": false} {
		t.Run(form, func(t *testing.T) {
			server := httptest.NewServer(ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0)), ggcr.WithReferrersSupport(api)))
			t.Cleanup(server.Close)
			host := strings.TrimPrefix(server.URL, "http://")
			digest := push(t, host)

			client := New(Options{InsecureRegistries: []string{host}})
			ref := parse(t, host+"/org/app:v1")
			resolved, err := client.Resolve(t.Context(), ref)
			if err != nil || resolved != digest {
				t.Fatalf("%q, %v; want %s", resolved, err, digest)
			}
			got, err := client.Signatures(t.Context(), ref, digest, Source{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{"legacy payload (c2ln)", "bundle {}"}, texts(got)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if _, err := client.Resolve(t.Context(), parse(t, host+"/org/app:v2")); reasonOf(t, err) != verify.ImageNotFound {
				t.Errorf("an image that is not there: %v", err)
			}
			none, err := client.Signatures(t.Context(), ref, subject, Source{})
			if err != nil || none != nil {
				t.Errorf("an image that is not signed: %v, %v", none, err)
			}
		})
	}
}

// push writes host/org/app:v1 with its signatures and returns its digest.
func push(t *testing.T, host string) string {
	t.Helper()
	repository, err := name.NewRepository(host+"/org/app", name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	write := func(tag name.Reference, img v1.Image) {
		if err := remote.Write(tag, img); err != nil {
			t.Fatal(err)
		}
	}
	img, err := random.Image(512, 1)
	if err != nil {
		t.Fatal(err)
	}
	write(repository.Tag("v1"), img)
	digest, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	legacy, err := mutate.Append(mutate.MediaType(empty.Image, types.OCIManifestSchema1), mutate.Addendum{
		Layer:       static.NewLayer([]byte("payload"), simpleSigningType),
		Annotations: map[string]string{"dev.cosignproject.cosign/signature": "c2ln"},
	})
	if err != nil {
		t.Fatal(err)
	}
	write(repository.Tag("sha256-"+digest.Hex+".sig"), legacy)
	size, err := img.Size()
	if err != nil {
		t.Fatal(err)
	}
	bundle, err := mutate.AppendLayers(mutate.MediaType(empty.Image, types.OCIManifestSchema1), static.NewLayer([]byte("{}"), bundleV03))
	if err != nil {
		t.Fatal(err)
	}
	bundle = mutate.ConfigMediaType(bundle, "application/vnd.oci.empty.v1+json")
	referrer, ok := mutate.Subject(bundle, v1.Descriptor{MediaType: types.DockerManifestSchema2, Digest: digest, Size: size}).(v1.Image)
	if !ok {
		t.Fatal("not an image")
	}
	referrerDigest, err := referrer.Digest()
	if err != nil {
		t.Fatal(err)
	}
	write(repository.Digest(referrerDigest.String()), referrer)
	return digest.String()
}
