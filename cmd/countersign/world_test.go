// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
	"github.com/countersign-dev/countersign/pkg/verify/verifytest"
)

// world is what a script finds: a registry with images app:signed, app:unsigned,
// app:unlogged and app:other (signed by another key), and a log.
type world struct {
	tb       testing.TB
	registry *httptest.Server
	log      *tlogtest.Log
	server   *tlogtest.Server
	key      *ecdsa.PrivateKey
	other    *ecdsa.PrivateKey
	digests  map[string]string
	vault    *httptest.Server
	// tiled is a Rekor v2 log, served at tiles.
	tiled *tlogtest.Log
	tiles *tlogtest.Server
	// api is a cluster's API server, without any object.
	api *apiServer
}

const logHost = "rekor.corp.example"

func newWorld(tb testing.TB) *world {
	tb.Helper()
	w := &world{tb: tb, registry: httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0)))),
		log: tlogtest.New(logHost), key: newKey(tb), other: newKey(tb), digests: map[string]string{}}
	w.log.Grow(5)
	w.server = tlogtest.NewServer(w.log)
	w.vault = httptest.NewServer(http.HandlerFunc(w.transit))
	for _, tag := range []string{"signed", "unsigned", "unlogged", "other"} {
		w.push(tag)
	}
	w.sign("signed", w.key, true)
	w.sign("unlogged", w.key, false)
	w.sign("other", w.other, true)
	w.log.Grow(3)
	w.tiled = tlogtest.NewTiled("tiles.corp.example")
	w.tiled.Grow(7)
	w.tiles = tlogtest.NewServer(w.tiled)
	w.api = newAPIServer()
	return w
}

func (w *world) close() {
	w.registry.Close()
	w.server.Close()
	w.vault.Close()
	w.tiles.Close()
	w.api.Close()
}

// transit answers as a Vault does that holds the key "release" in two versions, of
// which the older one has signed.
func (w *world) transit(response http.ResponseWriter, request *http.Request) {
	if request.URL.Path != "/v1/transit/keys/release" || request.Header.Get("X-Vault-Token") != "hvs.test" {
		response.WriteHeader(http.StatusNotFound)
		_, _ = response.Write([]byte(`{"errors":[]}`))
		return
	}
	_, _ = response.Write([]byte(w.marshal(map[string]any{"data": map[string]any{
		"type": "ecdsa-p256", "min_decryption_version": 1, "latest_version": 2,
		"keys": map[string]any{"1": map[string]any{"public_key": w.publicPEM(w.key)}, "2": map[string]any{"public_key": w.publicPEM(newKey(w.tb))}},
	}})))
}

func (w *world) host() string { return strings.TrimPrefix(w.registry.URL, "http://") }

func (w *world) variables() map[string]string {
	variables := map[string]string{
		"VAULT_ADDR": w.vault.URL, "VAULT_TOKEN": "hvs.test",
		"REGISTRY": w.host(), "DIGEST": w.digests["signed"], "UNSIGNED_DIGEST": w.digests["unsigned"],
		"ARTIFACT_SHA256": fmt.Sprintf("%x", sha256.Sum256([]byte(artifact))),
		"LOG_KEY":         strings.ReplaceAll(publicPEM(w.tb, w.log.PublicKey()), "\n", `\n`),
		"WITNESS":         tlogtest.NewWitness("witness.example.test").VerifierKey(),
		"IDENTITY":        verifytest.Subject, "ISSUER": verifytest.Issuer,
	}
	maps.Copy(variables, w.logVariables())
	return variables
}

// files are what a script finds in its folder.
func (w *world) files() map[string]string {
	policy := func(name, mode, glob, extra string) string {
		return fmt.Sprintf(`apiVersion: policy.countersign.dev/v1alpha1
kind: ClusterImagePolicy
metadata: {name: %s}
spec:
  mode: %s
  images: [{glob: %q}]
  authorities:
  - name: release
    key:
      data: |
%s%s`, name, mode, glob, indent(w.publicPEM(w.key), "        "), extra)
	}
	corp := w.host() + "/**"
	files := map[string]string{
		"policy.yaml":       policy("payments", "enforce", corp, ""),
		"policy-audit.yaml": policy("payments", "audit", corp, ""),
		"policy-corp.yaml":  policy("corp", "enforce", "registry.corp.example/**", ""),
		"sigstore.yaml":     w.sigstorePolicy(),
		"log.yaml":          w.logObject("http://" + strings.TrimPrefix(w.server.URL, "http://")),
		"log-down.yaml":     w.logObject("http://127.0.0.1:1"),
		"release.pub":       w.publicPEM(w.key),
		"other.pub":         w.publicPEM(w.other),
		"artifact":          artifact,
		"tampered":          artifact + "!",
		"bundle.json":       w.bundle(true),
		"bundle-set.json":   w.bundle(false),
		"trusted_root.json": w.trustedRoot(w.log, "2020-01-01T00:00:00Z", ""),
		"expired_root.json": w.trustedRoot(w.log, "2020-01-01T00:00:00Z", "2021-01-01T00:00:00Z"),
		"another_root.json": w.trustedRoot(tlogtest.New(logHost), "2020-01-01T00:00:00Z", ""),
	}
	maps.Copy(files, map[string]string{
		"tiled.yaml": w.tiledObject(),
		// The log that is served, under the key of another one; and a status that says
		// another size than its note.
		"log-other.yaml": strings.Replace(w.logObject(w.server.URL), indent(publicPEM(w.tb, w.log.PublicKey()), "      "),
			indent(publicPEM(w.tb, w.key.Public()), "      "), 1),
		"lying.yaml": strings.Replace(w.seen(6, ""), `"size":6,"verifiedAt"`, `"size":7,"verifiedAt"`, 1),
		"kubeconfig": w.api.kubeconfig(),
		"bundle-moved.json": w.bundleWith(func(_, entry map[string]any) {
			entry["inclusionProof"].(map[string]any)["logIndex"] = "1"
		}),
		"bundle-proof-alone.json": w.bundleWith(func(bundle, entry map[string]any) {
			bundle["mediaType"] = "application/vnd.dev.sigstore.bundle.v0.3+json"
			delete(entry, "inclusionPromise")
		}),
	})
	maps.Copy(files, w.keylessFiles())
	return files
}

// sigstorePolicy is the policy in the words of policy.sigstore.dev, by which it names no log.
func (w *world) sigstorePolicy() string {
	return fmt.Sprintf(`apiVersion: policy.sigstore.dev/v1beta1
kind: ClusterImagePolicy
metadata: {name: payments}
spec:
  images: [{glob: %q}]
  authorities:
  - key:
      data: |
%s`, w.host()+"/**", indent(w.publicPEM(w.key), "        "))
}

func (w *world) logObject(url string) string {
	return fmt.Sprintf(`apiVersion: policy.countersign.dev/v1alpha1
kind: TransparencyLog
metadata: {name: corp}
spec:
  type: rekor-v1
  urls: [%q]
  origin: %s
  default: true
  publicKey:
    data: |
%s`, url, logHost, indent(publicPEM(w.tb, w.log.PublicKey()), "      "))
}

// push pushes a random image under a tag of the repository app.
func (w *world) push(tag string) {
	image, err := random.Image(64, 1)
	w.must(err)
	w.must(remote.Write(w.reference("app:"+tag), image))
	digest, err := image.Digest()
	w.must(err)
	w.digests[tag] = digest.String()
}

func (w *world) reference(s string) name.Reference {
	ref, err := name.ParseReference(w.host()+"/"+s, name.Insecure)
	w.must(err)
	return ref
}

// sign puts a legacy signature beside an image, as cosign v2 does.
func (w *world) sign(tag string, key *ecdsa.PrivateKey, logged bool) {
	payload := fmt.Appendf(nil, `{"critical":{"identity":{"docker-reference":"%s/app"},"image":{"docker-manifest-digest":"%s"},"type":"cosign container image signature"},"optional":null}`,
		w.host(), w.digests[tag])
	sig := w.signBytes(key, payload)
	annotations := map[string]string{"dev.cosignproject.cosign/signature": base64.StdEncoding.EncodeToString(sig)}
	if logged {
		entry := w.log.Promise(w.log.Append(w.body(key, payload, sig)))
		annotations["dev.sigstore.cosign/bundle"] = w.marshal(map[string]any{
			"SignedEntryTimestamp": entry.SignedEntryTimestamp,
			"Payload": map[string]any{
				"body": entry.Body, "integratedTime": entry.IntegratedTime, "logIndex": entry.LogIndex, "logID": hex.EncodeToString(entry.LogID),
			},
		})
	}
	image, err := mutate.Append(mutate.MediaType(empty.Image, types.OCIManifestSchema1), mutate.Addendum{
		Layer:       static.NewLayer(payload, "application/vnd.dev.cosign.simplesigning.v1+json"),
		Annotations: annotations,
	})
	w.must(err)
	w.must(remote.Write(w.reference("app:"+strings.Replace(w.digests[tag], ":", "-", 1)+".sig"), image))
}

const artifact = "what was built\n"

// bundle is a sigstore bundle about artifact, with an inclusion proof or with a
// signed entry timestamp alone.
func (w *world) bundle(proven bool) string {
	sig := w.signBytes(w.key, []byte(artifact))
	index := w.log.Append(w.body(w.key, []byte(artifact), sig))
	entry := w.log.Entry(index, w.log.Size())
	digest := sha256.Sum256([]byte(artifact))
	logged := map[string]any{
		"logIndex": fmt.Sprint(entry.LogIndex), "logId": map[string]any{"keyId": entry.LogID},
		"kindVersion":       map[string]any{"kind": "hashedrekord", "version": "0.0.1"},
		"integratedTime":    fmt.Sprint(entry.IntegratedTime),
		"inclusionPromise":  map[string]any{"signedEntryTimestamp": entry.SignedEntryTimestamp},
		"canonicalizedBody": entry.Body,
	}
	if proven {
		logged["inclusionProof"] = map[string]any{
			"logIndex": fmt.Sprint(entry.Inclusion.Index), "treeSize": fmt.Sprint(w.log.Size()), "rootHash": w.log.Root(w.log.Size()),
			"hashes": entry.Inclusion.Hashes, "checkpoint": map[string]any{"envelope": entry.Inclusion.Checkpoint},
		}
	}
	// v0.1 is the one version that allows a log entry without a proof.
	return w.marshal(map[string]any{
		"mediaType": "application/vnd.dev.sigstore.bundle+json;version=0.1",
		"verificationMaterial": map[string]any{
			"publicKey": map[string]any{"hint": "release"}, "tlogEntries": []any{logged},
		},
		"messageSignature": map[string]any{
			"messageDigest": map[string]any{"algorithm": "SHA2_256", "digest": digest[:]}, "signature": sig,
		},
	})
}

func (w *world) trustedRoot(l *tlogtest.Log, start, end string) string {
	validFor := map[string]any{"start": start}
	if end != "" {
		validFor["end"] = end
	}
	block, _ := pem.Decode([]byte(publicPEM(w.tb, l.PublicKey())))
	return w.marshal(map[string]any{
		"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
		"tlogs": []any{map[string]any{
			"baseUrl": "https://" + logHost, "hashAlgorithm": "SHA2_256", "logId": map[string]any{"keyId": l.ID()},
			"publicKey": map[string]any{"rawBytes": block.Bytes, "keyDetails": "PKIX_ECDSA_P256_SHA_256", "validFor": validFor},
		}},
	})
}

// body is the canonical hashedrekord 0.0.1 entry about a signature.
func (w *world) body(key *ecdsa.PrivateKey, message, sig []byte) []byte {
	encode := base64.StdEncoding.EncodeToString
	return fmt.Appendf(nil, `{"apiVersion":"0.0.1","kind":"hashedrekord","spec":{"data":{"hash":{"algorithm":"sha256","value":"%x"}},"signature":{"content":"%s","publicKey":{"content":"%s"}}}}`,
		sha256.Sum256(message), encode(sig), encode([]byte(w.publicPEM(key))))
}

func (w *world) signBytes(key *ecdsa.PrivateKey, message []byte) []byte {
	digest := sha256.Sum256(message)
	sig, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
	w.must(err)
	return sig
}

func (w *world) publicPEM(key *ecdsa.PrivateKey) string { return publicPEM(w.tb, key.Public()) }

func (w *world) marshal(v any) string {
	text, err := json.Marshal(v)
	w.must(err)
	return string(text)
}

func (w *world) must(err error) {
	w.tb.Helper()
	if err != nil {
		w.tb.Fatal(err)
	}
}

func newKey(tb testing.TB) *ecdsa.PrivateKey {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

func publicPEM(tb testing.TB, key any) string {
	tb.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		tb.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

func indent(text, by string) string {
	return by + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n"+by) + "\n"
}
