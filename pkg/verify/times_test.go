// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"crypto"
	"encoding/base64"
	"slices"
	"testing"
	"time"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
	"github.com/countersign-dev/countersign/pkg/verify"
	"github.com/countersign-dev/countersign/pkg/verify/verifytest"
)

// signed is a bundle by a certificate, in its parts.
type signed struct {
	bundle    verifytest.BundleJSON
	entry     *tlog.Entry
	signature []byte
}

// promise replaces the entry's signed entry timestamp; nil removes it.
func (s signed) promise(set []byte) verifytest.BundleJSON {
	changed := *s.entry
	changed.SignedEntryTimestamp = set
	return s.logged(&changed)
}

func (s signed) logged(entries ...*tlog.Entry) verifytest.BundleJSON {
	list := make([]any, len(entries))
	for i, e := range entries {
		list[i] = verifytest.EntryJSON(e)
	}
	return s.bundle.Set(list, "verificationMaterial", "tlogEntries")
}

// timeCase is a bundle by a good certificate, and who says when it was made.
type timeCase struct {
	leaf   []verifytest.Change
	bundle func(*keyless, signed) verifytest.BundleJSON
	want   verify.Reason
}

// timeCases: when was it made, and who says so? The certificate is valid from one
// minute before SigningTime until nine minutes after it.
func timeCases() map[string]timeCase {
	at := func(d time.Duration) time.Time { return verifytest.SigningTime().Add(d) }
	// stamped has no promise of the log, and one timestamp.
	stamped := func(d time.Duration) func(*keyless, signed) verifytest.BundleJSON {
		return func(k *keyless, s signed) verifytest.BundleJSON {
			return s.promise(nil).Stamped(k.tsa.Stamp(s.signature, at(d)))
		}
	}
	both := func(d time.Duration) func(*keyless, signed) verifytest.BundleJSON {
		return func(k *keyless, s signed) verifytest.BundleJSON {
			return s.bundle.Stamped(k.tsa.Stamp(s.signature, at(d)))
		}
	}
	over := func(message func(signed) []byte) func(*keyless, signed) verifytest.BundleJSON {
		return func(k *keyless, s signed) verifytest.BundleJSON {
			return s.promise(nil).Stamped(k.tsa.Stamp(message(s), at(0)))
		}
	}
	return map[string]timeCase{
		"the log's promise":               {bundle: func(_ *keyless, s signed) verifytest.BundleJSON { return s.bundle }, want: verified},
		"nobody":                          {bundle: func(_ *keyless, s signed) verifytest.BundleJSON { return s.promise(nil) }, want: verify.TimestampInvalid},
		"a timestamp":                     {bundle: stamped(0), want: verified},
		"a timestamp in the first second": {bundle: stamped(-time.Minute), want: verified},
		"a timestamp in the last second":  {bundle: stamped(9 * time.Minute), want: verified},
		"a timestamp a second too early":  {bundle: stamped(-time.Minute - time.Second), want: verify.CertificateInvalid},
		"a timestamp a second too late":   {bundle: stamped(9*time.Minute + time.Second), want: verify.CertificateInvalid},
		"a timestamp of today": {bundle: func(k *keyless, s signed) verifytest.BundleJSON {
			return s.promise(nil).Stamped(k.tsa.Stamp(s.signature, time.Now().Add(24*time.Hour)))
		}, want: verify.CertificateInvalid},
		"both":                             {bundle: both(time.Minute), want: verified},
		"both, the timestamp is too late":  {bundle: both(10 * time.Minute), want: verify.CertificateInvalid},
		"both, the timestamp is too early": {bundle: both(-2 * time.Minute), want: verify.CertificateInvalid},
		"both, the log was too early":      {leaf: []verifytest.Change{verifytest.Valid(time.Minute, 9*time.Minute)}, bundle: both(2 * time.Minute), want: verify.CertificateInvalid},
		"both, the log was too late":       {leaf: []verifytest.Change{verifytest.Valid(-9*time.Minute, -time.Minute)}, bundle: both(-2 * time.Minute), want: verify.CertificateInvalid},
		"the log too early":                {leaf: []verifytest.Change{verifytest.Valid(time.Second, 9*time.Minute)}, bundle: func(_ *keyless, s signed) verifytest.BundleJSON { return s.bundle }, want: verify.CertificateInvalid},
		"the log too late":                 {leaf: []verifytest.Change{verifytest.Valid(-9*time.Minute, -time.Second)}, bundle: func(_ *keyless, s signed) verifytest.BundleJSON { return s.bundle }, want: verify.CertificateInvalid},
		"a promise over another time": {bundle: func(_ *keyless, s signed) verifytest.BundleJSON {
			changed := *s.entry
			changed.IntegratedTime++
			return s.logged(&changed)
		}, want: verify.TimestampInvalid},
		"a promise over no time": {bundle: func(k *keyless, s signed) verifytest.BundleJSON {
			changed := *s.entry
			changed.IntegratedTime = 0
			changed.SignedEntryTimestamp = k.log.SignEntry(&changed)
			return s.logged(&changed)
		}, want: verify.TimestampInvalid},
		"the promise about a neighbour": {bundle: func(k *keyless, s signed) verifytest.BundleJSON {
			return s.promise(k.log.Promise(2).SignedEntryTimestamp)
		}, want: verify.TimestampInvalid},
		"the promise of another log": {bundle: func(_ *keyless, s signed) verifytest.BundleJSON {
			return s.promise(tlogtest.New("rekor.example.test").SignEntry(s.entry))
		}, want: verify.TimestampInvalid},
		"a promise of one byte":         {bundle: func(_ *keyless, s signed) verifytest.BundleJSON { return s.promise([]byte{1}) }, want: verify.TimestampInvalid},
		"a promise that is a timestamp": {bundle: func(k *keyless, s signed) verifytest.BundleJSON { return s.promise(k.tsa.Stamp(s.signature, at(0))) }, want: verify.TimestampInvalid},
		"a bad promise and a good timestamp": {bundle: func(k *keyless, s signed) verifytest.BundleJSON {
			return s.promise([]byte{1}).Stamped(k.tsa.Stamp(s.signature, at(0)))
		}, want: verify.TimestampInvalid},
		"the promise of an unknown log beside a proof of ours": {bundle: func(_ *keyless, s signed) verifytest.BundleJSON {
			ours, theirs := *s.entry, *s.entry
			ours.SignedEntryTimestamp = nil
			other := tlogtest.New("other.example.test")
			theirs.LogID, theirs.Inclusion = other.ID(), nil
			theirs.SignedEntryTimestamp = other.SignEntry(&theirs)
			return s.logged(&ours, &theirs)
		}, want: verify.TimestampInvalid},
		"a timestamp over the payload":             {bundle: over(func(signed) []byte { return verifytest.Statement(imageA) }), want: verify.TimestampInvalid},
		"a timestamp over what was signed":         {bundle: over(func(signed) []byte { return dsse.PAE(verifytest.PayloadType, verifytest.Statement(imageA)) }), want: verify.TimestampInvalid},
		"a timestamp over the signature in base64": {bundle: over(func(s signed) []byte { return []byte(base64.StdEncoding.EncodeToString(s.signature)) }), want: verify.TimestampInvalid},
		"a timestamp over the signature's hash":    {bundle: over(func(s signed) []byte { return digestOf(s.signature) }), want: verify.TimestampInvalid},
		"a timestamp over another signature":       {bundle: over(func(s signed) []byte { return broken(s.signature) }), want: verify.TimestampInvalid},
		"a timestamp over nothing":                 {bundle: over(func(signed) []byte { return nil }), want: verify.TimestampInvalid},
		"a timestamp over other bytes beside the promise": {bundle: func(k *keyless, s signed) verifytest.BundleJSON {
			return s.bundle.Stamped(k.tsa.Stamp([]byte("x"), at(time.Hour)))
		}, want: verified},
		"a timestamp by another authority": {bundle: func(_ *keyless, s signed) verifytest.BundleJSON {
			return s.promise(nil).Stamped(verifytest.NewTSA().Stamp(s.signature, at(0)))
		}, want: verify.TimestampInvalid},
		"two, the first by another authority": {bundle: func(k *keyless, s signed) verifytest.BundleJSON {
			return s.promise(nil).Stamped(verifytest.NewTSA().Stamp(s.signature, at(0)), k.tsa.Stamp(s.signature, at(0)))
		}, want: verified},
		"two, the second too late": {bundle: func(k *keyless, s signed) verifytest.BundleJSON {
			return s.promise(nil).Stamped(k.tsa.Stamp(s.signature, at(0)), k.tsa.Stamp(s.signature, at(time.Hour)))
		}, want: verify.CertificateInvalid},
		"as many as are allowed": {bundle: func(k *keyless, s signed) verifytest.BundleJSON {
			return s.bundle.Stamped(slices.Repeat([][]byte{k.tsa.Stamp(s.signature, at(0))}, 16)...)
		}, want: verified},
		"one more than are allowed": {bundle: func(k *keyless, s signed) verifytest.BundleJSON {
			return s.bundle.Stamped(slices.Repeat([][]byte{k.tsa.Stamp(s.signature, at(0))}, 17)...)
		}, want: verify.LimitExceeded},
		"a timestamp that is none": {bundle: func(_ *keyless, s signed) verifytest.BundleJSON { return s.promise(nil).Stamped([]byte("x")) }, want: verify.TimestampInvalid},
		"an empty timestamp":       {bundle: func(_ *keyless, s signed) verifytest.BundleJSON { return s.promise(nil).Stamped(nil) }, want: verify.TimestampInvalid},
		"half a timestamp": {bundle: func(k *keyless, s signed) verifytest.BundleJSON {
			return s.promise(nil).Stamped(k.tsa.Stamp(s.signature, at(0))[:300])
		}, want: verify.TimestampInvalid},
		"a timestamp and more": {bundle: func(k *keyless, s signed) verifytest.BundleJSON {
			return s.promise(nil).Stamped(append(k.tsa.Stamp(s.signature, at(0)), 0))
		}, want: verify.TimestampInvalid},
		"a timestamp that was changed": {bundle: func(k *keyless, s signed) verifytest.BundleJSON {
			return s.promise(nil).Stamped(broken(k.tsa.Stamp(s.signature, at(0))))
		}, want: verify.TimestampInvalid},
		"a timestamp with SHA-384": {bundle: func(k *keyless, s signed) verifytest.BundleJSON {
			return s.promise(nil).Stamped(k.tsa.StampWith(crypto.SHA384, s.signature, at(0)))
		}, want: verified},
		"a timestamp with SHA-512": {bundle: func(k *keyless, s signed) verifytest.BundleJSON {
			return s.promise(nil).Stamped(k.tsa.StampWith(crypto.SHA512, s.signature, at(0)))
		}, want: verified},
		"a time that nobody signed, outside": {bundle: func(k *keyless, s signed) verifytest.BundleJSON {
			changed := *s.entry
			changed.IntegratedTime, changed.SignedEntryTimestamp = at(time.Hour).Unix(), nil
			return s.logged(&changed).Stamped(k.tsa.Stamp(s.signature, at(0)))
		}, want: verify.TimestampInvalid},
		"no time and no promise, as in a log of the second version": {bundle: func(k *keyless, s signed) verifytest.BundleJSON {
			changed := *s.entry
			changed.IntegratedTime, changed.SignedEntryTimestamp = 0, nil
			return s.logged(&changed).Stamped(k.tsa.Stamp(s.signature, at(0)))
		}, want: verified},
	}
}

func TestTimes(t *testing.T) {
	for name, tt := range timeCases() {
		t.Run(name, func(t *testing.T) {
			k := newKeyless(t)
			k.stampers = []root.TimestampingAuthority{k.tsa.Authority()}
			var s signed
			s.bundle, s.entry, s.signature = k.bundleBy(k.certified(tt.leaf...))
			want(t, k.trusts(t).Verify(t.Context(), imageA, []verify.Signature{tt.bundle(k, s).Verify()}), tt.want)
		})
	}
}

// TestLegacyTimes: cosign's annotation beside the log's promise.
func TestLegacyTimes(t *testing.T) {
	at := func(d time.Duration) time.Time { return verifytest.SigningTime().Add(d) }
	stamp := func(k *keyless, s verify.LegacySignature, d time.Duration) string {
		raw, err := base64.StdEncoding.DecodeString(s.Base64Signature)
		if err != nil {
			panic(err)
		}
		return verifytest.StampAnnotation(k.tsa.Stamp(raw, at(d)))
	}
	for name, tt := range map[string]struct {
		change   func(*keyless, *verify.LegacySignature)
		want     verify.Reason
		required verify.Reason // when a timestamp is asked for
	}{
		"none":              {change: func(*keyless, *verify.LegacySignature) {}, want: verified, required: verify.TimestampInvalid},
		"a good one":        {change: func(k *keyless, s *verify.LegacySignature) { s.RFC3161Timestamp = stamp(k, *s, 0) }, want: verified, required: verified},
		"one from too late": {change: func(k *keyless, s *verify.LegacySignature) { s.RFC3161Timestamp = stamp(k, *s, time.Hour) }, want: verify.CertificateInvalid, required: verify.CertificateInvalid},
		"one over the payload": {change: func(k *keyless, s *verify.LegacySignature) {
			s.RFC3161Timestamp = verifytest.StampAnnotation(k.tsa.Stamp(s.Payload, at(0)))
		}, want: verified, required: verify.TimestampInvalid},
		"one over the base64": {change: func(k *keyless, s *verify.LegacySignature) {
			s.RFC3161Timestamp = verifytest.StampAnnotation(k.tsa.Stamp([]byte(s.Base64Signature), at(0)))
		}, want: verified, required: verify.TimestampInvalid},
		"one that is no JSON":  {change: func(_ *keyless, s *verify.LegacySignature) { s.RFC3161Timestamp = "{" }, want: verified, required: verify.TimestampInvalid},
		"one that is null":     {change: func(_ *keyless, s *verify.LegacySignature) { s.RFC3161Timestamp = "null" }, want: verified, required: verify.TimestampInvalid},
		"one that is a number": {change: func(_ *keyless, s *verify.LegacySignature) { s.RFC3161Timestamp = `{"SignedRFC3161Timestamp":7}` }, want: verified, required: verify.TimestampInvalid},
		"one of 64 KiB and a byte": {change: func(_ *keyless, s *verify.LegacySignature) {
			s.RFC3161Timestamp = string(make([]byte, verify.MaxPayloadBytes+1))
		}, want: verified, required: verify.TimestampInvalid},
		"a good one, and no log entry": {change: func(k *keyless, s *verify.LegacySignature) {
			fresh := k.certified().Legacy(s.Payload)
			fresh.RFC3161Timestamp = stamp(k, fresh, 0)
			*s = fresh
		}, want: verify.NotLogged, required: verify.NotLogged},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKeyless(t)
			k.stampers = []root.TimestampingAuthority{k.tsa.Authority()}
			s := k.legacyBy(k.certified())
			tt.change(k, &s)
			authority := k.trusts(t)
			want(t, authority.Verify(t.Context(), imageA, []verify.Signature{s}), tt.want)
			authority.TimestampRoot = verifytest.TrustRoot(nil, nil, k.stampers)
			want(t, authority.Verify(t.Context(), imageA, []verify.Signature{s}), tt.required)
		})
	}
}

// TestTimeWithoutALog: where the log is ignored, what it promises is nobody's word.
func TestTimeWithoutALog(t *testing.T) {
	k := newKeyless(t)
	k.stampers = []root.TimestampingAuthority{k.tsa.Authority()}
	authority := k.trusts(t)
	authority.Logs, authority.InsecureIgnoreTlog = nil, true
	b, _, signature := k.bundleBy(k.certified())
	verdict := func(b verifytest.BundleJSON) verify.Verdict {
		return authority.Verify(t.Context(), imageA, []verify.Signature{b.Verify()})
	}
	want(t, verdict(b), verify.TimestampInvalid)
	want(t, verdict(b.Stamped(k.tsa.Stamp(signature, verifytest.SigningTime()))), verified)
	want(t, verdict(b.Stamped(k.tsa.Stamp(signature, verifytest.SigningTime().Add(time.Hour)))), verify.CertificateInvalid)
	want(t, verdict(b.Stamped(verifytest.NewTSA().Stamp(signature, verifytest.SigningTime()))), verify.TimestampInvalid)
}

// TestTheSameBytesGetTheSameVerdict, whatever else was looked at before: what is
// remembered of an entry is that it is in the log, not who said when.
func TestTheSameBytesGetTheSameVerdict(t *testing.T) {
	k := newKeyless(t)
	var s signed
	s.bundle, s.entry, s.signature = k.bundleBy(k.certified())
	promised := *s.entry
	promised.Inclusion = nil
	onlyPromise, onlyProof := s.logged(&promised).Set(bundleV01, "mediaType").Verify(), s.promise(nil).Verify()
	legacy := k.legacyBy(k.certified())
	bare := legacy
	bare.RekorBundle = ""
	var asked int64
	for round := range 3 {
		if round == 1 {
			asked = k.server.Requests.Load()
		}
		for _, tt := range []struct {
			name      string
			signature verify.Signature
			want      verify.Reason
		}{
			{"a proof without a promise", onlyProof, verify.TimestampInvalid},
			{"a promise without a proof", onlyPromise, verified},
			{"both", s.bundle.Verify(), verified},
			{"legacy", legacy, verified},
			{"legacy, without the annotation", bare, verified},
		} {
			t.Run(tt.name, func(t *testing.T) {
				want(t, k.trusts(t).Verify(t.Context(), imageA, []verify.Signature{tt.signature}), tt.want)
			})
		}
	}
	if again := k.server.Requests.Load() - asked; again != 0 {
		t.Errorf("what was known was asked for again, %d times", again)
	}
}

// TestProofOfAnArtifactDoesNotHideATime: a message signature's entry is the same
// as a legacy signature's, and can come with a proof that promises nothing.
func TestProofOfAnArtifactDoesNotHideATime(t *testing.T) {
	k := newKeyless(t)
	legacy := k.legacyBy(k.certified())
	bare := legacy
	bare.RekorBundle = ""
	entry := k.log.Entry(k.log.Size()-1, k.log.Size())
	entry.SignedEntryTimestamp = nil
	signer := k.signer.With(certificateOf(t, legacy))
	poison := signer.MessageBundle(legacy, entry).Verify()
	want(t, k.trusts(t).VerifyArtifact(t.Context(), artifactOf(legacy.Payload), poison), verify.TimestampInvalid)
	for _, s := range []verify.Signature{legacy, bare} {
		want(t, k.trusts(t).Verify(t.Context(), imageA, []verify.Signature{s}), verified)
	}
}
