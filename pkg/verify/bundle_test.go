// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
	"github.com/countersign-dev/countersign/pkg/verify"
	"github.com/countersign-dev/countersign/pkg/verify/verifytest"
)

const bundleV01 = "application/vnd.dev.sigstore.bundle+json;version=0.1"

func TestBundle(t *testing.T) {
	// set changes one value of a good bundle.
	set := func(value any, path ...any) func(*world) verifytest.BundleJSON {
		return func(w *world) verifytest.BundleJSON {
			b, _ := w.bundle()
			return b.Set(value, path...)
		}
	}
	// envelope signs and logs another envelope with the right key.
	envelope := func(payloadType string, payload []byte) func(*world) verifytest.BundleJSON {
		return func(w *world) verifytest.BundleJSON {
			b, _ := w.bundleOf(w.signer.Envelope(payloadType, payload))
			return b
		}
	}
	statement := func(kind, predicate string, digests ...string) func(*world) verifytest.BundleJSON {
		return envelope(verifytest.PayloadType, verifytest.StatementOf(kind, predicate, digests...))
	}
	good := func(w *world) verifytest.BundleJSON { b, _ := w.bundle(); return b }
	for name, test := range map[string]struct {
		sign func(*world) verifytest.BundleJSON
		want verify.Reason
	}{
		"signed and logged": {sign: good, want: verified},

		// What it says that it is.
		"version 0.1":           {sign: set(bundleV01, "mediaType"), want: verified},
		"version 0.2":           {sign: set("application/vnd.dev.sigstore.bundle+json;version=0.2", "mediaType"), want: verified},
		"version 0.3, old form": {sign: set("application/vnd.dev.sigstore.bundle+json;version=0.3", "mediaType"), want: verified},
		"version 0.4":           {sign: set("application/vnd.dev.sigstore.bundle.v0.4+json", "mediaType"), want: verify.SignatureInvalid},
		"version 1.0":           {sign: set("application/vnd.dev.sigstore.bundle.v1.0+json", "mediaType"), want: verify.SignatureInvalid},
		"version 0.3 and more":  {sign: set("application/vnd.dev.sigstore.bundle.v0.3+json;x", "mediaType"), want: verify.SignatureInvalid},
		"no media type":         {sign: set(nil, "mediaType"), want: verify.SignatureInvalid},
		"another media type":    {sign: set("application/json\x1b[2J\n", "mediaType"), want: verify.SignatureInvalid},
		"a field nobody knows":  {sign: set("x", "extra"), want: verify.SignatureInvalid},
		"no content":            {sign: set(nil, "dsseEnvelope"), want: verify.SignatureInvalid},
		"no material":           {sign: set(nil, "verificationMaterial"), want: verify.SignatureInvalid},
		"neither key nor cert":  {sign: set(nil, "verificationMaterial", "publicKey"), want: verify.SignatureInvalid},
		"key and certificate":   {sign: set(map[string]any{"rawBytes": []byte{1}}, "verificationMaterial", "certificate"), want: verify.SignatureInvalid},
		"certificate only": {sign: func(w *world) verifytest.BundleJSON {
			return good(w).Set(nil, "verificationMaterial", "publicKey").Set([]byte{1}, "verificationMaterial", "certificate", "rawBytes")
		}, want: verify.KeyMismatch},
		"two contents":         {sign: set(map[string]any{"signature": []byte{1}}, "messageSignature"), want: verify.SignatureInvalid},
		"no hint":              {sign: set(nil, "verificationMaterial", "publicKey", "hint"), want: verified},
		"the hint of nobody":   {sign: set("nobody", "verificationMaterial", "publicKey", "hint"), want: verified},
		"timestamps of nobody": {sign: set([]any{map[string]any{"signedTimestamp": []byte("x")}}, "verificationMaterial", "timestampVerificationData", "rfc3161Timestamps"), want: verified},

		// The envelope.
		"another payload type, signed":          {sign: envelope("application/vnd.in-toto+JSON", verifytest.Statement(imageA)), want: verify.SignatureInvalid},
		"no payload type, signed":               {sign: envelope("", verifytest.Statement(imageA)), want: verify.SignatureInvalid},
		"another payload type":                  {sign: set("application/json", "dsseEnvelope", "payloadType"), want: verify.SignatureInvalid},
		"another payload":                       {sign: set(verifytest.Statement(imageB), "dsseEnvelope", "payload"), want: verify.SignatureInvalid},
		"no payload":                            {sign: set(nil, "dsseEnvelope", "payload"), want: verify.NoSignature},
		"no signature":                          {sign: set([]any{}, "dsseEnvelope", "signatures"), want: verify.SignatureInvalid},
		"an empty signature":                    {sign: set([]byte{}, "dsseEnvelope", "signatures", 0, "sig"), want: verify.SignatureInvalid},
		"a signature of zeros":                  {sign: set(make([]byte, 70), "dsseEnvelope", "signatures", 0, "sig"), want: verify.SignatureInvalid},
		"a key ID, which cosign does not write": {sign: set("x", "dsseEnvelope", "signatures", 0, "keyid"), want: verify.SignatureInvalid},
		"the good signature twice":              {sign: signatures(0, 0), want: verify.SignatureInvalid},
		"a good and a bad signature":            {sign: signatures(0, 1), want: verify.SignatureInvalid},
		"a bad and a good signature":            {sign: signatures(1, 0), want: verify.SignatureInvalid},
		"a payload that is not JSON":            {sign: envelope(verifytest.PayloadType, []byte("x")), want: verify.SignatureInvalid},
		"a simple signing document":             {sign: envelope(verifytest.PayloadType, []byte(simple(imageA))), want: verify.SignatureInvalid},
		"a payload that is null":                {sign: envelope(verifytest.PayloadType, []byte("null")), want: verify.SignatureInvalid},
		"a payload that is a list":              {sign: envelope(verifytest.PayloadType, []byte("[]")), want: verify.SignatureInvalid},

		// The statement, signed by the right key and logged.
		"of another image":                {sign: statement(verifytest.StatementType, verifytest.SignPredicate, imageB), want: verify.SignatureInvalid},
		"of no image":                     {sign: statement(verifytest.StatementType, verifytest.SignPredicate), want: verify.SignatureInvalid},
		"of an empty digest":              {sign: statement(verifytest.StatementType, verifytest.SignPredicate, "sha256:"), want: verify.SignatureInvalid},
		"of two images, one is this":      {sign: statement(verifytest.StatementType, verifytest.SignPredicate, imageB, imageA), want: verified},
		"of the digest in capitals":       {sign: statement(verifytest.StatementType, verifytest.SignPredicate, "sha256:"+strings.ToUpper(imageA[7:])), want: verify.SignatureInvalid},
		"of the digest by another name":   {sign: statement(verifytest.StatementType, verifytest.SignPredicate, "sha512:"+imageA[7:]), want: verify.SignatureInvalid},
		"of the digest with its prefix":   {sign: statement(verifytest.StatementType, verifytest.SignPredicate, "sha256:"+imageA), want: verify.SignatureInvalid},
		"of the first half of a digest":   {sign: statement(verifytest.StatementType, verifytest.SignPredicate, imageA[:39]), want: verify.SignatureInvalid},
		"of an older statement type":      {sign: statement("https://in-toto.io/Statement/v0.1", verifytest.SignPredicate, imageA), want: verify.SignatureInvalid},
		"of no statement type":            {sign: statement("", verifytest.SignPredicate, imageA), want: verify.SignatureInvalid},
		"provenance":                      {sign: statement(verifytest.StatementType, "https://slsa.dev/provenance/v1", imageA), want: verify.NoSignature},
		"an SBOM":                         {sign: statement(verifytest.StatementType, "https://spdx.dev/Document", imageA), want: verify.NoSignature},
		"no predicate type":               {sign: statement(verifytest.StatementType, "", imageA), want: verify.NoSignature},
		"a predicate type like the right": {sign: statement(verifytest.StatementType, verifytest.SignPredicate+"/", imageA), want: verify.NoSignature},

		// The log entries.
		"no entry": {sign: set([]any{}, "verificationMaterial", "tlogEntries"), want: verify.NotLogged},
		"17 entries": {sign: func(w *world) verifytest.BundleJSON {
			b, e := w.bundle()
			return b.Set(slicesOf(verifytest.EntryJSON(e), verify.MaxLogEntries+1), "verificationMaterial", "tlogEntries")
		}, want: verify.LimitExceeded},
		"16 entries, 15 of them of other logs": {sign: func(w *world) verifytest.BundleJSON {
			b, e := w.bundle()
			list := []any{}
			for range verify.MaxLogEntries - 1 {
				list = append(list, verifytest.EntryJSON(elsewhere(e)))
				e.LogIndex++
			}
			e.LogIndex -= int64(len(list))
			return b.Set(append(list, verifytest.EntryJSON(e)), "verificationMaterial", "tlogEntries")
		}, want: verified},
		"the entry twice": {sign: func(w *world) verifytest.BundleJSON {
			b, e := w.bundle()
			return b.Set([]any{verifytest.EntryJSON(e), verifytest.EntryJSON(e)}, "verificationMaterial", "tlogEntries")
		}, want: verify.SignatureInvalid},
		"an entry about another before the good one": {sign: func(w *world) verifytest.BundleJSON {
			_, other := w.bundleOf(w.signer.Envelope(verifytest.PayloadType, verifytest.Statement(imageB)))
			b, e := w.bundle()
			return b.Set([]any{verifytest.EntryJSON(other), verifytest.EntryJSON(e)}, "verificationMaterial", "tlogEntries")
		}, want: verified},
		"an entry without a body":            {sign: set(nil, "verificationMaterial", "tlogEntries", 0, "canonicalizedBody"), want: verify.SignatureInvalid},
		"an entry of no log":                 {sign: set(nil, "verificationMaterial", "tlogEntries", 0, "logId"), want: verify.SignatureInvalid},
		"an entry of no kind":                {sign: set(nil, "verificationMaterial", "tlogEntries", 0, "kindVersion"), want: verify.LogEntryMismatch},
		"a negative index":                   {sign: set("-1", "verificationMaterial", "tlogEntries", 0, "logIndex"), want: verify.SignatureInvalid},
		"a negative index in the shard":      {sign: set("-1", "verificationMaterial", "tlogEntries", 0, "inclusionProof", "logIndex"), want: verify.SignatureInvalid},
		"an entry that is null":              {sign: set([]any{nil}, "verificationMaterial", "tlogEntries"), want: verify.SignatureInvalid},
		"an empty entry":                     {sign: set([]any{map[string]any{}}, "verificationMaterial", "tlogEntries"), want: verify.SignatureInvalid},
		"a kind that is none of signatures":  {sign: set(map[string]any{"kind": "rfc3161", "version": "0.0.1"}, "verificationMaterial", "tlogEntries", 0, "kindVersion"), want: verify.LogEntryMismatch},
		"another kind beside the body":       {sign: set(map[string]any{"kind": "hashedrekord", "version": "0.0.1"}, "verificationMaterial", "tlogEntries", 0, "kindVersion"), want: verify.LogEntryMismatch},
		"another version beside the body":    {sign: set(map[string]any{"kind": "dsse", "version": "0.0.2"}, "verificationMaterial", "tlogEntries", 0, "kindVersion"), want: verify.LogEntryMismatch},
		"a version that there is not":        {sign: set(map[string]any{"kind": "dsse", "version": "0.0.3"}, "verificationMaterial", "tlogEntries", 0, "kindVersion"), want: verify.LogEntryMismatch},
		"another size beside the checkpoint": {sign: set("1", "verificationMaterial", "tlogEntries", 0, "inclusionProof", "treeSize"), want: verify.InclusionProofInvalid},
		"another root beside the checkpoint": {sign: set(make([]byte, 32), "verificationMaterial", "tlogEntries", 0, "inclusionProof", "rootHash"), want: verify.InclusionProofInvalid},
		"no size beside the checkpoint":      {sign: set(nil, "verificationMaterial", "tlogEntries", 0, "inclusionProof", "treeSize"), want: verify.SignatureInvalid},
		"no root beside the checkpoint":      {sign: set(nil, "verificationMaterial", "tlogEntries", 0, "inclusionProof", "rootHash"), want: verify.SignatureInvalid},
		"a short root beside the checkpoint": {sign: set([]byte("x"), "verificationMaterial", "tlogEntries", 0, "inclusionProof", "rootHash"), want: verify.SignatureInvalid},
		"the entry of another envelope": {sign: func(w *world) verifytest.BundleJSON {
			b, _ := w.bundle()
			_, other := w.bundleOf(w.signer.Envelope(verifytest.PayloadType, verifytest.Statement(imageB)))
			return b.Set([]any{verifytest.EntryJSON(other)}, "verificationMaterial", "tlogEntries")
		}, want: verify.LogEntryMismatch},
		"the entry of another signature of the same": {sign: func(w *world) verifytest.BundleJSON {
			b, _ := w.bundle()
			_, other := w.bundle()
			return b.Set([]any{verifytest.EntryJSON(other)}, "verificationMaterial", "tlogEntries")
		}, want: verify.LogEntryMismatch},
		"an entry of unknown logs only": {sign: func(w *world) verifytest.BundleJSON {
			b, e := w.bundle()
			return b.Set([]any{verifytest.EntryJSON(elsewhere(e))}, "verificationMaterial", "tlogEntries")
		}, want: verify.LogUnknown},
		"a promise of this log and no proof": {sign: func(w *world) verifytest.BundleJSON {
			b, e := w.bundle()
			e.Inclusion = nil
			return b.Set([]any{verifytest.EntryJSON(e)}, "verificationMaterial", "tlogEntries")
		}, want: verify.SignatureInvalid},
		"a promise of this log and no proof, in v0.1": {sign: func(w *world) verifytest.BundleJSON {
			b, e := w.bundle()
			e.Inclusion = nil
			return b.Set(bundleV01, "mediaType").Set([]any{verifytest.EntryJSON(e)}, "verificationMaterial", "tlogEntries")
		}, want: verified}, // fetched
		"a proof and no promise": {sign: func(w *world) verifytest.BundleJSON {
			b, e := w.bundle()
			e.SignedEntryTimestamp = nil
			return b.Set([]any{verifytest.EntryJSON(e)}, "verificationMaterial", "tlogEntries")
		}, want: verified},
		"a proof and no promise, in v0.1": {sign: func(w *world) verifytest.BundleJSON {
			b, e := w.bundle()
			e.SignedEntryTimestamp = nil
			return b.Set(bundleV01, "mediaType").Set([]any{verifytest.EntryJSON(e)}, "verificationMaterial", "tlogEntries")
		}, want: verify.SignatureInvalid},
		"neither promise nor proof": {sign: func(w *world) verifytest.BundleJSON {
			b, e := w.bundle()
			e.Inclusion, e.SignedEntryTimestamp = nil, nil
			return b.Set([]any{verifytest.EntryJSON(e)}, "verificationMaterial", "tlogEntries")
		}, want: verify.SignatureInvalid},
		"neither promise nor proof, beside another log's": {sign: func(w *world) verifytest.BundleJSON {
			b, e := w.bundle()
			other := verifytest.EntryJSON(elsewhere(e))
			e.Inclusion, e.SignedEntryTimestamp = nil, nil
			return b.Set([]any{other, verifytest.EntryJSON(e)}, "verificationMaterial", "tlogEntries")
		}, want: verify.InclusionProofInvalid}, // not worth a request: anybody can write it
		"a proof without a checkpoint": {sign: set(nil, "verificationMaterial", "tlogEntries", 0, "inclusionProof", "checkpoint"), want: verify.SignatureInvalid},
		"a proof of 64 hashes":         {sign: set(slicesOf(make([]byte, 32), 64), "verificationMaterial", "tlogEntries", 0, "inclusionProof", "hashes"), want: verify.LimitExceeded},
		"a proof of 10,000 hashes":     {sign: set(slicesOf(make([]byte, 32), 10_000), "verificationMaterial", "tlogEntries", 0, "inclusionProof", "hashes"), want: verify.LimitExceeded},
		"a body of 128 KiB and a byte": {sign: set(append([]byte(`{"apiVersion":"0.0.1","kind":"dsse","spec":{`), make([]byte, 128<<10)...), "verificationMaterial", "tlogEntries", 0, "canonicalizedBody"), want: verify.LimitExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			want(t, w.verdict(t, test.sign(w).Verify()), test.want)
		})
	}
}

// signatures puts a good signature (0) and a bad one (1) into one envelope.
func signatures(order ...int) func(*world) verifytest.BundleJSON {
	return func(w *world) verifytest.BundleJSON {
		b, _ := w.bundle()
		good := b["dsseEnvelope"].(map[string]any)["signatures"].([]any)[0]
		bad := map[string]any{"sig": make([]byte, 70)}
		var list []any
		for _, which := range order {
			list = append(list, []any{good, bad}[which])
		}
		return b.Set(list, "dsseEnvelope", "signatures")
	}
}

func slicesOf(value any, n int) []any {
	list := make([]any, n)
	for i := range list {
		list[i] = value
	}
	return list
}

// elsewhere is the same entry in a log that nobody configured, with all that this
// log can say for it: promise, proof and checkpoint.
func elsewhere(e *tlog.Entry) *tlog.Entry {
	l := tlogtest.New("rekor.example.test")
	return l.Entry(l.Append(e.Body), 1)
}

func TestBundlesThatAreNotJSON(t *testing.T) {
	w := newWorld(t)
	b, _ := w.bundle()
	good := string(b.Verify().JSON)
	for name, test := range map[string]struct {
		text string
		want verify.Reason
	}{
		"nothing":                      {want: verify.SignatureInvalid},
		"null":                         {text: "null", want: verify.SignatureInvalid},
		"an empty object":              {text: "{}", want: verify.SignatureInvalid},
		"a list":                       {text: "[]", want: verify.SignatureInvalid},
		"a megabyte of empty entries":  {text: `{"verificationMaterial":{"tlogEntries":[{}` + strings.Repeat(",{}", 300_000) + `]}}`, want: verify.LimitExceeded},
		"a megabyte of empty hashes":   {text: `{"x":[""` + strings.Repeat(`,""`, 300_000) + `]}`, want: verify.LimitExceeded},
		"half of it":                   {text: good[:len(good)/2], want: verify.SignatureInvalid},
		"two of it":                    {text: good + good, want: verify.SignatureInvalid},
		"more after it":                {text: good + "x", want: verify.SignatureInvalid},
		"spaces after it":              {text: good + "  \n", want: verified},
		"nested a million deep":        {text: strings.Repeat("[", 1<<20), want: verify.SignatureInvalid},
		"nested deep inside":           {text: `{"verificationMaterial":` + strings.Repeat(`{"verificationMaterial":`, 1<<18), want: verify.LimitExceeded},
		"longer than the limit":        {text: strings.Repeat(" ", verify.MaxBundleBytes+1), want: verify.LimitExceeded},
		"a protobuf that is not JSON":  {text: "\x0a\x2dapplication/vnd.dev.sigstore.bundle.v0.3+json", want: verify.SignatureInvalid},
		"a key twice":                  {text: `{"mediaType":"x",` + good[1:], want: verify.SignatureInvalid},
		"an image signature by Notary": {text: `{"payload":"","protected":"","header":{"x5c":[]},"signature":""}`, want: verify.SignatureInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			want(t, w.verdict(t, verify.Bundle{JSON: []byte(test.text)}), test.want)
		})
	}
}

// TestMessageSignatureIsNotAnImageSignature: a signature over any blob, even over
// the image's manifest, is not cosign's signature of an image.
func TestMessageSignatureIsNotAnImageSignature(t *testing.T) {
	w := newWorld(t)
	legacy := w.legacy()
	b, _ := w.bundle()
	message := b.Set(nil, "dsseEnvelope").Set(map[string]any{
		"messageDigest": map[string]any{"algorithm": "SHA2_256", "digest": digestOf(legacy.Payload)},
		"signature":     legacy.Base64Signature,
	}, "messageSignature")
	want(t, w.verdict(t, message.Verify()), verify.NoSignature)
}

// TestKeyMismatchInBundles: the hint and the entry say whose signature it is; which
// of the two texts is given never decides.
func TestKeyMismatchInBundles(t *testing.T) {
	for name, test := range map[string]struct {
		change func(b verifytest.BundleJSON, ours string) verifytest.BundleJSON
		want   verify.Reason
	}{
		"another's hint and entry": {want: verify.KeyMismatch},
		"another's hint and no entry": {change: func(b verifytest.BundleJSON, _ string) verifytest.BundleJSON {
			return b.Set(nil, "verificationMaterial", "tlogEntries")
		}, want: verify.KeyMismatch},
		"our hint and another's entry": {change: func(b verifytest.BundleJSON, ours string) verifytest.BundleJSON {
			return b.Set(ours, "verificationMaterial", "publicKey", "hint")
		}, want: verify.SignatureInvalid},
		"no hint, which nothing denies": {change: func(b verifytest.BundleJSON, _ string) verifytest.BundleJSON {
			return b.Set(nil, "verificationMaterial", "publicKey", "hint")
		}, want: verify.SignatureInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			other := verifytest.NewSigner()
			envelope := other.Envelope(verifytest.PayloadType, verifytest.Statement(imageA))
			b := other.Bundle(envelope, w.log.Entry(w.log.Append(other.DSSE(envelope)), w.log.Size()))
			if test.change != nil {
				b = test.change(b, w.signer.Hint())
			}
			want(t, w.verdict(t, b.Verify()), test.want)
		})
	}
}

// TestOneByteChanged is the list: each part has a reason of its own.
func TestOneByteChanged(t *testing.T) {
	entry := []any{"verificationMaterial", "tlogEntries", 0}
	for name, test := range map[string]struct {
		of   func(*tlog.Entry, verifytest.BundleJSON) []byte
		path []any
		want verify.Reason
	}{
		"in the body": {of: func(e *tlog.Entry, _ verifytest.BundleJSON) []byte { return e.Body }, path: append(entry, "canonicalizedBody"), want: verify.LogEntryMismatch},
		"in the signature": {of: func(_ *tlog.Entry, b verifytest.BundleJSON) []byte {
			return b["dsseEnvelope"].(map[string]any)["signatures"].([]any)[0].(map[string]any)["sig"].([]byte)
		}, path: []any{"dsseEnvelope", "signatures", 0, "sig"}, want: verify.SignatureInvalid},
		"in the payload":  {of: func(*tlog.Entry, verifytest.BundleJSON) []byte { return verifytest.Statement(imageA) }, path: []any{"dsseEnvelope", "payload"}, want: verify.SignatureInvalid},
		"in a proof hash": {of: func(e *tlog.Entry, _ verifytest.BundleJSON) []byte { return e.Inclusion.Hashes[0] }, path: append(entry, "inclusionProof", "hashes", 0), want: verify.InclusionProofInvalid},
		"in the promise":  {of: func(e *tlog.Entry, _ verifytest.BundleJSON) []byte { return e.SignedEntryTimestamp }, path: append(entry, "inclusionPromise", "signedEntryTimestamp"), want: verify.TimestampInvalid},
		"in the log's ID": {of: func(e *tlog.Entry, _ verifytest.BundleJSON) []byte { return e.LogID }, path: append(entry, "logId", "keyId"), want: verify.LogUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			b, e := w.bundle()
			want(t, w.verdict(t, b.Verify()), verified)
			part := test.of(e, b)
			if name == "in the body" {
				// The hash of the envelope depends on its client's spelling, and
				// is free: but then the entry is another one, which is not there.
				hash := bytes.Index(part, []byte(`"envelopeHash"`)) + len(`"envelopeHash":{"algorithm":"sha256","value":"`)
				for i := hash; i < hash+64; i++ {
					changed := bytes.Clone(part)
					changed[i] = "0123456789abcdef0"[strings.IndexByte("0123456789abcdef", part[i])+1]
					entryOf := *e
					entryOf.Body, entryOf.SignedEntryTimestamp = changed, nil
					want(t, w.verdict(t, b.Set([]any{verifytest.EntryJSON(&entryOf)}, "verificationMaterial", "tlogEntries").Verify()), verify.InclusionProofInvalid)
				}
			}
			for i := range part {
				changed := bytes.Clone(part)
				changed[i] ^= 0x01
				got := reasonOf(w.verdict(t, b.Set(changed, test.path...).Verify()))
				if free := name == "in the body" && got == verify.TimestampInvalid && isEnvelopeHash(part, i); got != test.want && !free {
					t.Fatalf("byte %d: got %s, want %s", i, got, test.want)
				}
			}
		})
	}
	t.Run("in the checkpoint", func(t *testing.T) {
		w := newWorld(t)
		b, e := w.bundle()
		text := e.Inclusion.Checkpoint
		for i := range text {
			changed := []byte(text)
			changed[i] ^= 0x01
			got := reasonOf(w.verdict(t, b.Set(string(changed), append(entry, "inclusionProof", "checkpoint", "envelope")...).Verify()))
			if changed[i] >= 0x80 && got == verify.SignatureInvalid {
				continue // no longer UTF-8: not a bundle at all
			}
			if got != verify.CheckpointInvalid && !(got == verified && sameCheckpoint(text, string(changed))) {
				t.Fatalf("byte %d (%q): got %s", i, text[i], got)
			}
		}
	})
	t.Run("in the index of the proof", func(t *testing.T) {
		w := newWorld(t)
		b, e := w.bundle()
		want(t, w.verdict(t, b.Set(fmt.Sprint(e.Inclusion.Index-1), append(entry, "inclusionProof", "logIndex")...).Verify()), verify.InclusionProofInvalid)
	})
}

func isEnvelopeHash(body []byte, i int) bool {
	hash := bytes.Index(body, []byte(`"envelopeHash"`)) + len(`"envelopeHash":{"algorithm":"sha256","value":"`)
	return i >= hash && i < hash+64
}

// sameCheckpoint reports whether two notes differ only in bits of the signature's
// base64 that decode to nothing.
func sameCheckpoint(a, b string) bool {
	textA, sigA, _ := strings.Cut(a, "\n\n")
	textB, sigB, _ := strings.Cut(b, "\n\n")
	fieldsA, fieldsB := strings.Fields(sigA), strings.Fields(sigB)
	if textA != textB || len(fieldsA) != 3 || len(fieldsB) != 3 {
		return false
	}
	rawA, errA := base64.StdEncoding.DecodeString(fieldsA[2])
	rawB, errB := base64.StdEncoding.DecodeString(fieldsB[2])
	return errA == nil && errB == nil && bytes.Equal(rawA, rawB)
}

// TestBundleEntries: who asks about the entries of a bundle gets them as they are there, or
// why there are none that one could ask about.
func TestBundleEntries(t *testing.T) {
	w := newWorld(t)
	b, entry := w.bundle()
	entries, err := verify.BundleEntries(b.Verify().JSON)
	if err != nil || len(entries) != 1 || !bytes.Equal(entries[0].Body, entry.Body) || entries[0].Inclusion.Checkpoint != entry.Inclusion.Checkpoint {
		t.Errorf("got %v, %v, want the entry", entries, err)
	}
	many := make([]any, verify.MaxLogEntries+1)
	for i := range many {
		many[i] = verifytest.EntryJSON(entry)
	}
	for name, tt := range map[string]struct {
		text []byte
		want verify.Reason
	}{
		"no bundle":                {[]byte("{"), verify.SignatureInvalid},
		"too many entries":         {b.Set(many, "verificationMaterial", "tlogEntries").Verify().JSON, verify.LimitExceeded},
		"an entry without a body":  {b.Set(nil, "verificationMaterial", "tlogEntries", 0, "canonicalizedBody").Verify().JSON, verify.SignatureInvalid},
		"an entry of another kind": {b.Set("helm", "verificationMaterial", "tlogEntries", 0, "kindVersion", "kind").Verify().JSON, verify.LogEntryMismatch},
	} {
		t.Run(name, func(t *testing.T) {
			entries, err := verify.BundleEntries(tt.text)
			if err == nil || entries != nil {
				t.Fatalf("got %d entries, %v", len(entries), err)
			}
			want(t, verify.LogVerdict(err), tt.want)
			if !strings.HasPrefix(err.Error(), string(tt.want)+": ") {
				t.Errorf("it says %q", err)
			}
		})
	}
}

// TestOlderBundle: who has one is told what to do.
func TestOlderBundle(t *testing.T) {
	w := newWorld(t)
	older := `{"base64Signature":"MEYC","cert":"LS0t","rekorBundle":{"SignedEntryTimestamp":"MEQ=","Payload":{"body":"e30=","integratedTime":1,"logIndex":1,"logID":"aa"}}}`
	for text, says := range map[string]string{
		older:                       "sign with --new-bundle-format",
		older[1:]:                   "does not parse",
		`{"base64Signature":""}`:    "does not parse",
		`{"base64Signature":[]}`:    "does not parse",
		`{"base64Signature":"MEYC"`: "does not parse",
	} {
		verdict := w.offline(t).VerifyArtifact(t.Context(), artifactOf(releaseNotes), verify.Bundle{JSON: []byte(text)})
		want(t, verdict, verify.SignatureInvalid)
		if !strings.Contains(verdict.String(), says) {
			t.Errorf("%s: got %q, want %q in it", text, verdict, says)
		}
	}
}
