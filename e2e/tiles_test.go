// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"os"
	"strings"
	"testing"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	rekorv1 "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"

	"github.com/countersign-dev/countersign/e2e/stack"
)

// tiledLog is a Rekor v2 of the scenario's own, whose files nginx serves.
type tiledLog struct {
	*stack.RekorTiles
	nginx *stack.Nginx
}

func newTiledLog(t *testing.T, o stack.RekorTilesOptions) tiledLog {
	t.Helper()
	rekor := newRekorTiles(t, o)
	return tiledLog{rekor, newFileServer(t, rekor.Storage)}
}

func newRekorTiles(t *testing.T, o stack.RekorTilesOptions) *stack.RekorTiles {
	t.Helper()
	rekor, err := S(t).StartRekorTiles(t.Context(), newName(t), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(rekor.Stop)
	return rekor
}

// newFileServer is an nginx that serves a directory.
func newFileServer(t *testing.T, directory string) *stack.Nginx {
	t.Helper()
	nginx, err := S(t).StartNginx(t.Context(), newName(t)+"-nginx", stack.NginxOptions{Root: directory})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nginx.Stop)
	return nginx
}

// inTiles is how an entry gets into a Rekor v2: only cosign v3 writes to one, and only
// bundles are about one.
func inTiles(rekor *stack.RekorTiles) stack.SignOptions {
	o := bundleByV3()
	o.Log = rekor
	return o
}

// signedImage pushes an image and signs it. A policy asks for its entry in the log.
func signedImage(t *testing.T, o stack.SignOptions, log string) stack.Image {
	t.Helper()
	image := pushImage(t, S(t).Registry)
	newPolicy(t, image.Registry+"/"+image.Repository, S(t).Key, log)
	sign(t, image, o)
	return image
}

func newP256(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// TestTheGateAdmitsWhatIsInARekorV2Log signs in every way there is, into logs with
// either kind of key. Countersign reads files, and never asks the server that writes
// them.
func TestTheGateAdmitsWhatIsInARekorV2Log(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	root := newTrustRoot(t)
	identity := gitHubIdentity(t, "acme/shop")
	for what, key := range map[string]crypto.Signer{"an Ed25519 key": nil, "a P-256 key": newP256(t)} {
		t.Run("the log has "+what, func(t *testing.T) {
			t.Parallel()
			rekor := newTiledLog(t, stack.RekorTilesOptions{Key: key})
			byKey := inTiles(rekor.RekorTiles)
			byIdentity := byKey
			byIdentity.Identity, byIdentity.TSA = identity, S(t).Keyless.TSA
			sign(t, pushImage(t, S(t).Registry), byKey)
			log := newLog(t, rekor, rekor.nginx.URL)
			images := map[string]stack.Image{}
			for where, registry := range map[string]*stack.Registry{"with referrers": S(t).Registry, "without referrers": S(t).RegistryFallback} {
				image := pushImage(t, registry)
				newPolicy(t, image.Registry+"/"+image.Repository, S(t).Key, log)
				sign(t, image, byKey)
				images["by a key, in a registry "+where] = image

				image = pushImage(t, registry)
				newKeylessPolicy(t, image, stack.KeylessPolicyOptions{TrustRoot: root, Logs: []string{log}}, exactly(identity))
				sign(t, image, byIdentity)
				images["by an identity, in a registry "+where] = image
			}
			rekor.Stop()
			for who, image := range images {
				pod := newName(t)
				t.Log(who)
				admitted(t, runPod(t, namespace, pod, image.Ref()))
				if got := imageOf(t, namespace, pod); got != image.Pinned() {
					t.Errorf("the Pod runs %q, want %q", got, image.Pinned())
				}
			}
			asked, err := os.ReadFile(rekor.nginx.AccessLog)
			if err != nil {
				t.Fatal(err)
			}
			for _, path := range []string{"/checkpoint", "/tile/0/000.p/"} {
				if !strings.Contains(string(asked), "GET "+path) {
					t.Errorf("nobody has read %s:\n%s", path, asked)
				}
			}
		})
	}
}

func TestTheGateRefusesWhatIsNotInTheRekorV2Log(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	root := newTrustRoot(t)
	rekor := newTiledLog(t, stack.RekorTilesOptions{})
	good := inTiles(rekor.RekorTiles)
	sign(t, pushImage(t, S(t).Registry), good)
	log := newLog(t, rekor, rekor.nginx.URL)
	unlogged := good
	unlogged.NoUpload = true
	byIdentity := good
	byIdentity.Identity, byIdentity.TSA = gitHubIdentity(t, "acme/shop"), S(t).Keyless.TSA
	for what, tc := range map[string]struct {
		sign   []stack.SignOptions
		edit   func(*protobundle.Bundle) // of what was signed at last
		reason string
		says   string
	}{
		"an unsigned image":                     {nil, nil, "NoSignature", ""},
		"a signature that is in no log":         {[]stack.SignOptions{unlogged}, nil, "NotLogged", ""},
		"a signature in the Rekor v1 log":       {[]stack.SignOptions{bundleByV3()}, nil, "LogUnknown", `log "` + log + `"`},
		"a legacy signature in the v1 log":      {[]stack.SignOptions{{}}, nil, "LogUnknown", `log "` + log + `"`},
		"a signature in another Rekor v2 log":   {[]stack.SignOptions{inTiles(S(t).RekorV2)}, nil, "LogUnknown", `log "` + log + `"`},
		"an identity's signature without times": {[]stack.SignOptions{byIdentity}, func(b *protobundle.Bundle) { b.GetVerificationMaterial().TimestampVerificationData = nil }, "TimestampInvalid", "nobody trustworthy says when"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			image := pushImage(t, S(t).Registry)
			var identity stack.Identity
			for _, o := range tc.sign {
				sign(t, image, o)
				identity = o.Identity
			}
			if tc.edit != nil {
				changed := storedEvidence(t, image, stack.Bundle)
				changed.editBundle(t, tc.edit)
				image = copyImage(t, image, S(t).Registry)
				changed.layBeside(t, image)
			}
			if identity.Token == "" {
				newPolicy(t, image.Registry+"/"+image.Repository, S(t).Key, log)
			} else {
				newKeylessPolicy(t, image, stack.KeylessPolicyOptions{TrustRoot: root, Logs: []string{log}}, exactly(identity))
			}
			refused(t, runPod(t, namespace, newName(t), image.Ref()), tc.reason, tc.says)
		})
	}
}

// TestTheGateRefusesARekorV2EntryThatWasChanged: one thing in a genuine bundle.
func TestTheGateRefusesARekorV2EntryThatWasChanged(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	rekor := newTiledLog(t, stack.RekorTilesOptions{})
	other := pushImage(t, S(t).Registry)
	sign(t, other, inTiles(rekor.RekorTiles))
	signed := pushImage(t, S(t).Registry)
	sign(t, signed, inTiles(rekor.RekorTiles))
	log := newLog(t, rekor, rekor.nginx.URL)
	genuine := storedEvidence(t, signed, stack.Bundle)
	others := storedEvidence(t, other, stack.Bundle).bundle(t).GetVerificationMaterial().GetTlogEntries()[0]
	for what, tc := range map[string]struct {
		edit   func(*rekorv1.TransparencyLogEntry)
		reason string // "" when it changes nothing
		says   string
	}{
		"nothing":                {func(*rekorv1.TransparencyLogEntry) {}, "", ""},
		"a bit of the body":      {func(e *rekorv1.TransparencyLogEntry) { flip(e.CanonicalizedBody) }, "LogEntryMismatch", ""},
		"the whole entry":        {func(e *rekorv1.TransparencyLogEntry) { replaceEntry(e, others) }, "LogEntryMismatch", ""},
		"a bit of the proof":     {func(e *rekorv1.TransparencyLogEntry) { flip(e.InclusionProof.Hashes[0]) }, "InclusionProofInvalid", ""},
		"the length of the path": {func(e *rekorv1.TransparencyLogEntry) { e.InclusionProof.Hashes = nil }, "InclusionProofInvalid", ""},
		"the index":              {func(e *rekorv1.TransparencyLogEntry) { e.LogIndex, e.InclusionProof.LogIndex = 0, 0 }, "InclusionProofInvalid", ""},
		"the checkpoint's root": {
			func(e *rekorv1.TransparencyLogEntry) {
				e.InclusionProof.Checkpoint.Envelope = changeLine(e.InclusionProof.Checkpoint.Envelope, 2)
			}, "CheckpointInvalid", "",
		},
		"the log": {func(e *rekorv1.TransparencyLogEntry) { flip(e.LogId.KeyId) }, "LogUnknown", ""},
		"a time that the log promises": {
			func(e *rekorv1.TransparencyLogEntry) {
				e.InclusionPromise = &rekorv1.InclusionPromise{SignedEntryTimestamp: []byte("no Rekor v2 signs one")}
			}, "TimestampInvalid", "",
		},
		"the proof, left out": {
			func(e *rekorv1.TransparencyLogEntry) { e.InclusionProof = nil }, "SignatureInvalid", "none of its log entries has an inclusion proof",
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			changed := genuine.clone(t)
			changed.editBundle(t, func(b *protobundle.Bundle) { tc.edit(b.GetVerificationMaterial().GetTlogEntries()[0]) })
			image := copyImage(t, signed, S(t).Registry)
			changed.layBeside(t, image)
			newPolicy(t, image.Registry+"/"+image.Repository, S(t).Key, log)
			result := runPod(t, namespace, newName(t), image.Ref())
			if tc.reason == "" {
				admitted(t, result)
			} else {
				refused(t, result, tc.reason, tc.says)
			}
			if got := conditionOf(t, log, "Consistent"); got != "True Succeeded" {
				t.Errorf("the condition Consistent is %q", got)
			}
		})
	}
}

// replaceEntry puts another entry in the place of e.
func replaceEntry(e, other *rekorv1.TransparencyLogEntry) {
	e.LogIndex, e.CanonicalizedBody, e.InclusionProof = other.LogIndex, other.CanonicalizedBody, other.InclusionProof
}

// TestOneKeyForTwoVersionsIsTwoLogs: a Rekor v1 and a Rekor v2 have one name and one key,
// so that their entries name the same log. What the object says it is decides.
func TestOneKeyForTwoVersionsIsTwoLogs(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	v1 := newRekor(t)
	v2 := newTiledLog(t, stack.RekorTilesOptions{Hostname: v1.Hostname, Key: v1.Signer})
	fill(t, v2.RekorTiles, 1)
	into1, into2 := bundleByV3(), inTiles(v2.RekorTiles)
	into1.Log = v1
	sign(t, pushImage(t, S(t).Registry), into1)
	log1, log2 := newLog(t, v1, v1.URL), newLog(t, v2, v2.nginx.URL)
	admitted(t, runPod(t, namespace, "first-in-first", signedImage(t, into1, log1).Ref()))
	admitted(t, runPod(t, namespace, "second-in-second", signedImage(t, into2, log2).Ref()))
	refused(t, runPod(t, namespace, "first-in-second", signedImage(t, into1, log2).Ref()), "LogEntryMismatch")
	refused(t, runPod(t, namespace, "second-in-first", signedImage(t, into2, log1).Ref()), "LogEntryMismatch")
	for _, log := range []string{log1, log2} {
		if got := conditionOf(t, log, "Consistent"); got != "True Succeeded" {
			t.Errorf("the condition Consistent is %q", got)
		}
	}
}

// TestARekorV2LogWhoseFilesAreDown: what this cluster has seen of the log goes on being
// admitted, since its proof came with it. What came after that cannot be held against the
// log, and waits.
func TestARekorV2LogWhoseFilesAreDown(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	rekor := newTiledLog(t, stack.RekorTilesOptions{})
	sign(t, pushImage(t, S(t).Registry), inTiles(rekor.RekorTiles))
	log := newLog(t, rekor, rekor.nginx.URL)
	before := signedImage(t, inTiles(rekor.RekorTiles), log)
	eventually(t, "the log to be seen with size 2", func() bool { return logStatus(t, log).Checkpoint.Size == 2 })

	rekor.nginx.Stop()
	after := signedImage(t, inTiles(rekor.RekorTiles), log)
	awaitCondition(t, log, "Reachable", "False Unavailable")
	admitted(t, runPod(t, namespace, "seen-before", before.Ref()))
	refused(t, runPod(t, namespace, "down", after.Ref()), "LogUnavailable")
	if got := conditionOf(t, log, "Consistent"); got != "True Succeeded" {
		t.Errorf("a log that is down has the condition Consistent = %q", got)
	}
	if err := rekor.nginx.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	awaitCondition(t, log, "Reachable", "True Succeeded")
	admitted(t, runPod(t, namespace, "up", after.Ref()))
}
