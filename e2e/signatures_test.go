// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	rekorv1 "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"

	"github.com/countersign-dev/countersign/e2e/stack"
)

// bundleByV3 signs as cosign v3 does by default.
func bundleByV3() stack.SignOptions {
	return stack.SignOptions{Cosign: stack.CosignV3, Format: stack.Bundle}
}

func TestTheGateRefusesSignaturesBySomeoneElse(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	other, err := S(t).GenerateKey(t.Context(), newName(t))
	if err != nil {
		t.Fatal(err)
	}
	for what, tc := range map[string]struct {
		sign   stack.SignOptions
		reason string
		says   string
	}{
		"a legacy signature by another key": {
			stack.SignOptions{Key: other}, "KeyMismatch", "made by another key than key sha256:",
		},
		"a bundle by another key": {
			stack.SignOptions{Key: other, Cosign: stack.CosignV3, Format: stack.Bundle}, "KeyMismatch", "made by another key than key sha256:",
		},
		"a legacy signature by another key that does not say by which": {
			stack.SignOptions{Key: other, NoUpload: true}, "SignatureInvalid", "does not verify with key sha256:",
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			image := pushImage(t, S(t).Registry)
			newPolicy(t, image.Registry+"/"+image.Repository, S(t).Key)
			sign(t, image, tc.sign)
			refused(t, runPod(t, namespace, newName(t), image.Ref()), tc.reason, tc.says)
		})
	}
}

func TestTheGateRefusesEntriesOfALogThatIsNotConfigured(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	other := newRekor(t)
	for what, tc := range map[string]stack.SignOptions{
		"a legacy signature in another log": {Log: other},
		"a bundle in another log":           {Log: other, Cosign: stack.CosignV3, Format: stack.Bundle},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			image := pushImage(t, S(t).Registry)
			newPolicy(t, image.Registry+"/"+image.Repository, S(t).Key)
			sign(t, image, tc)
			refused(t, runPod(t, namespace, newName(t), image.Ref()), "LogUnknown",
				"its entry is in a log with ID "+logID(t, other), `log "rekor" (origin `+S(t).Rekor.Hostname)
		})
	}
}

// TestASignatureOfOneImageSaysNothingAboutAnother: everything in the copied
// signature is genuine, logged, and by the right key.
func TestASignatureOfOneImageSaysNothingAboutAnother(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	for what, tc := range map[string]struct {
		sign     stack.SignOptions
		registry *stack.Registry
	}{
		"a .sig tag that was copied":                                {stack.SignOptions{}, S(t).Registry},
		"a .sig tag that was copied by cosign v3":                   {stack.SignOptions{Cosign: stack.CosignV3}, S(t).RegistryFallback},
		"a bundle whose subject was rewritten":                      {bundleByV3(), S(t).Registry},
		"a bundle under the fallback tag whose subject was changed": {bundleByV3(), S(t).RegistryFallback},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			signed, other := pushImage(t, tc.registry), pushImage(t, tc.registry)
			newPolicy(t, signed.Registry+"/"+signed.Repository, S(t).Key)
			newPolicy(t, other.Registry+"/"+other.Repository, S(t).Key)
			sign(t, signed, tc.sign)
			storedEvidence(t, signed, tc.sign.Format).layBeside(t, other)
			admitted(t, runPod(t, namespace, newName(t), signed.Ref()))
			refused(t, runPod(t, namespace, newName(t), other.Ref()), "SignatureInvalid",
				"the signature is about another image: it names ", strings.TrimPrefix(signed.Digest, "sha256:"))
		})
	}
}

// TestAnEntryAboutAnotherSignatureProvesNothing: the signature is genuine and in no
// log. Beside it lies the genuine entry of another one by the same key.
// (GHSA-ccxc-vr6p-4858, GHSA-whqx-f9j3-ch6m.)
func TestAnEntryAboutAnotherSignatureProvesNothing(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	for what, tc := range map[string]struct {
		sign stack.SignOptions
		move func(t *testing.T, from, to *evidence)
	}{
		"in a legacy signature": {stack.SignOptions{}, func(_ *testing.T, from, to *evidence) {
			to.manifest.Layers[0].Annotations[bundleAnnotation] = from.manifest.Layers[0].Annotations[bundleAnnotation]
		}},
		"in a bundle": {bundleByV3(), func(t *testing.T, from, to *evidence) {
			t.Helper()
			entries := from.bundle(t).GetVerificationMaterial().GetTlogEntries()
			to.editBundle(t, func(b *protobundle.Bundle) { b.GetVerificationMaterial().TlogEntries = entries })
		}},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			logged, unlogged := pushImage(t, S(t).Registry), pushImage(t, S(t).Registry)
			sign(t, logged, tc.sign)
			o := tc.sign
			o.NoUpload = true
			sign(t, unlogged, o)
			forged := storedEvidence(t, unlogged, tc.sign.Format)
			tc.move(t, storedEvidence(t, logged, tc.sign.Format), forged)
			image := copyImage(t, unlogged, S(t).Registry)
			forged.layBeside(t, image)
			newPolicy(t, image.Registry+"/"+image.Repository, S(t).Key)
			refused(t, runPod(t, namespace, newName(t), image.Ref()), "LogEntryMismatch", "its body is not the one")
		})
	}
}

// TestTheGateRefusesALegacySignatureInWhichOneByteWasChanged lays changed copies
// of one genuine signature beside copies of its image.
func TestTheGateRefusesALegacySignatureInWhichOneByteWasChanged(t *testing.T) {
	t.Parallel()
	signed := pushImage(t, S(t).Registry)
	sign(t, signed, stack.SignOptions{})
	genuine := storedEvidence(t, signed, stack.Legacy)
	editEntry := func(edit func(*rekorBundle)) func(*testing.T, *evidence) {
		return func(t *testing.T, e *evidence) {
			t.Helper()
			e.editEntry(t, edit)
		}
	}
	judgeChanged(t, signed, genuine, map[string]change{
		"nothing":               {func(*testing.T, *evidence) {}, "", ""},
		"the signed payload":    {func(_ *testing.T, e *evidence) { flip(e.layer) }, "SignatureInvalid", "does not verify"},
		"the signature":         {changeSignature, "SignatureInvalid", "does not verify"},
		"the entry's body":      {editEntry(func(e *rekorBundle) { flip(e.Payload.Body) }), "LogEntryMismatch", "its body is not the one"},
		"the entry's time":      {editEntry(func(e *rekorBundle) { e.Payload.IntegratedTime++ }), "TimestampInvalid", "did not sign it"},
		"the entry's index":     {editEntry(func(e *rekorBundle) { e.Payload.LogIndex++ }), "TimestampInvalid", "did not sign it"},
		"the entry's timestamp": {editEntry(func(e *rekorBundle) { flip(e.SignedEntryTimestamp) }), "TimestampInvalid", "did not sign it"},
	})
}

func changeSignature(t *testing.T, e *evidence) {
	t.Helper()
	raw := e.signature(t)
	flip(raw)
	e.manifest.Layers[0].Annotations[signatureAnnotation] = base64.StdEncoding.EncodeToString(raw)
}

// TestTheGateRefusesABundleInWhichOneByteWasChanged is the same for a bundle, which
// carries the inclusion proof and the checkpoint, too.
func TestTheGateRefusesABundleInWhichOneByteWasChanged(t *testing.T) {
	t.Parallel()
	sign(t, pushImage(t, S(t).Registry), stack.SignOptions{}) // so that the next entry's proof has a hash
	signed := pushImage(t, S(t).Registry)
	sign(t, signed, bundleByV3())
	genuine := storedEvidence(t, signed, stack.Bundle)
	edit := func(edit func(*protobundle.Bundle)) func(*testing.T, *evidence) {
		return func(t *testing.T, e *evidence) {
			t.Helper()
			e.editBundle(t, edit)
		}
	}
	entry := func(change func(*rekorv1.TransparencyLogEntry)) func(*testing.T, *evidence) {
		return edit(func(b *protobundle.Bundle) { change(b.GetVerificationMaterial().GetTlogEntries()[0]) })
	}
	judgeChanged(t, signed, genuine, map[string]change{
		"nothing":            {edit(func(*protobundle.Bundle) {}), "", ""},
		"the signed payload": {edit(func(b *protobundle.Bundle) { flip(b.GetDsseEnvelope().GetPayload()) }), "SignatureInvalid", "does not verify"},
		"the signature": {
			edit(func(b *protobundle.Bundle) { flip(b.GetDsseEnvelope().GetSignatures()[0].GetSig()) }), "SignatureInvalid", "does not verify",
		},
		"the entry's body":      {entry(func(e *rekorv1.TransparencyLogEntry) { flip(e.GetCanonicalizedBody()) }), "LogEntryMismatch", "its body is not the one"},
		"the entry's time":      {entry(func(e *rekorv1.TransparencyLogEntry) { e.IntegratedTime++ }), "TimestampInvalid", "did not sign it"},
		"the entry's log":       {entry(func(e *rekorv1.TransparencyLogEntry) { flip(e.GetLogId().GetKeyId()) }), "LogUnknown", "its entry is in a log with ID"},
		"the entry's timestamp": {entry(func(e *rekorv1.TransparencyLogEntry) { flip(e.GetInclusionPromise().GetSignedEntryTimestamp()) }), "TimestampInvalid", "did not sign it"},
		"a hash of the proof":   {entry(func(e *rekorv1.TransparencyLogEntry) { flip(e.GetInclusionProof().GetHashes()[0]) }), "InclusionProofInvalid", "it does not lead"},
		"the proof's index":     {entry(func(e *rekorv1.TransparencyLogEntry) { e.GetInclusionProof().LogIndex ^= 1 }), "InclusionProofInvalid", ""},
		"the checkpoint's root": {entry(changeCheckpoint(2)), "CheckpointInvalid", "does not verify"},
		"the checkpoint's signature": {
			entry(changeCheckpoint(4)), "CheckpointInvalid", "",
		},
	})
}

// changeCheckpoint changes a character in one line of a checkpoint.
func changeCheckpoint(line int) func(*rekorv1.TransparencyLogEntry) {
	return func(e *rekorv1.TransparencyLogEntry) {
		checkpoint := e.GetInclusionProof().GetCheckpoint()
		checkpoint.Envelope = changeLine(checkpoint.GetEnvelope(), line)
	}
}

// changeLine replaces a base64 digit in the middle of a line by another.
func changeLine(text string, line int) string {
	lines := strings.Split(text, "\n")
	digits := []byte(lines[line])
	middle := len(digits) / 2
	if digits[middle] == 'A' {
		digits[middle] = 'B'
	} else {
		digits[middle] = 'A'
	}
	lines[line] = string(digits)
	return strings.Join(lines, "\n")
}

// change is what is done to a genuine signature, and what comes of it: a refusal
// with that reason that says that, or admission where reason is empty.
type change struct {
	edit   func(*testing.T, *evidence)
	reason string
	says   string
}

// judgeChanged makes each change to genuine, the signature of an image, and runs a
// Pod of a copy of the image that has this signature alone.
func judgeChanged(t *testing.T, signed stack.Image, genuine *evidence, changes map[string]change) {
	t.Helper()
	namespace := newNamespace(t)
	for what, tc := range changes {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			image := copyImage(t, signed, S(t).Registry)
			changed := genuine.clone(t)
			tc.edit(t, changed)
			if tc.reason != "" && bytes.Equal(changed.layer, genuine.layer) &&
				changed.manifest.Layers[0].Annotations[bundleAnnotation] == genuine.manifest.Layers[0].Annotations[bundleAnnotation] &&
				changed.manifest.Layers[0].Annotations[signatureAnnotation] == genuine.manifest.Layers[0].Annotations[signatureAnnotation] {
				t.Fatal("nothing was changed")
			}
			changed.layBeside(t, image)
			newPolicy(t, image.Registry+"/"+image.Repository, S(t).Key)
			result := runPod(t, namespace, newName(t), image.Ref())
			if tc.reason == "" {
				admitted(t, result)
				return
			}
			refused(t, result, tc.reason, tc.says)
		})
	}
}

// newRekor starts a Rekor v1 that ends with the scenario.
func newRekor(t *testing.T) *stack.Rekor {
	t.Helper()
	rekor, err := S(t).StartRekor(t.Context(), newName(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(rekor.Stop)
	return rekor
}

// logID is how messages name the log that rekor serves.
func logID(t *testing.T, rekor *stack.Rekor) string {
	t.Helper()
	return hex.EncodeToString(lyingLog(t, rekor).ID())
}
