// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
	"github.com/countersign-dev/countersign/pkg/verify"
	"github.com/countersign-dev/countersign/pkg/verify/verifytest"
)

// TestVerifyArtifactByCertificate: what verifies offline, and what does not. That
// certificates, names and promises are judged there as elsewhere is in TestBadCertificates
// and its neighbours.
func TestVerifyArtifactByCertificate(t *testing.T) {
	message := func(k *keyless) signed {
		certified := k.certified()
		legacy := certified.Legacy(releaseNotes)
		entry := k.log.Entry(k.log.Append(certified.HashedRekord(legacy)), k.log.Size())
		return signed{bundle: certified.MessageBundle(legacy, entry), entry: entry, signature: []byte(decoded(legacy.Base64Signature))}
	}
	attested := func(k *keyless) signed {
		certified, digest := k.certified(), sha256.Sum256(releaseNotes)
		statement := verifytest.StatementOf(verifytest.StatementType, "https://slsa.dev/provenance/v1", "sha256:"+hex.EncodeToString(digest[:]))
		envelope := certified.Envelope(verifytest.PayloadType, statement)
		entry := k.log.Entry(k.log.Append(certified.DSSE(envelope)), k.log.Size())
		return signed{bundle: certified.Bundle(envelope, entry), entry: entry, signature: envelope.Signatures[0]}
	}
	at := verifytest.SigningTime()
	for name, tt := range map[string]struct {
		bundle   func(*keyless, signed) verifytest.BundleJSON
		artifact []byte // the release notes, if nil
		want     verify.Reason
	}{
		"as it was signed": {bundle: func(_ *keyless, s signed) verifytest.BundleJSON { return s.bundle }, want: verified},
		"another artifact": {bundle: func(_ *keyless, s signed) verifytest.BundleJSON { return s.bundle }, artifact: []byte("another"), want: verify.SignatureInvalid},
		"only a promise": {bundle: func(_ *keyless, s signed) verifytest.BundleJSON {
			e := *s.entry
			e.Inclusion = nil
			return s.logged(&e)
		}, want: verify.SignatureInvalid},
		"only a promise, in v0.1": {bundle: func(_ *keyless, s signed) verifytest.BundleJSON {
			e := *s.entry
			e.Inclusion = nil
			return s.logged(&e).Set(bundleV01, "mediaType")
		}, want: verify.NotLogged},
		"only a proof": {bundle: func(_ *keyless, s signed) verifytest.BundleJSON { return s.promise(nil) }, want: verify.TimestampInvalid},
		"a proof and a timestamp": {bundle: func(k *keyless, s signed) verifytest.BundleJSON {
			return s.promise(nil).Stamped(k.tsa.Stamp(s.signature, at))
		}, want: verified},
		"a proof and a timestamp from too late": {bundle: func(k *keyless, s signed) verifytest.BundleJSON {
			return s.promise(nil).Stamped(k.tsa.Stamp(s.signature, at.Add(time.Hour)))
		}, want: verify.CertificateInvalid},
		"a timestamp and no entry": {bundle: func(k *keyless, s signed) verifytest.BundleJSON {
			return s.logged().Stamped(k.tsa.Stamp(s.signature, at))
		}, want: verify.NotLogged},
		"an unknown log's proof beside our promise": {bundle: func(_ *keyless, s signed) verifytest.BundleJSON {
			ours, other := *s.entry, tlogtest.New("other.example.test")
			ours.Inclusion = nil
			return s.logged(other.Entry(other.Append(s.entry.Body), 1), &ours)
		}, want: verify.LogUnknown},
		"an unknown log's proof beside ours": {bundle: func(_ *keyless, s signed) verifytest.BundleJSON {
			other := tlogtest.New("other.example.test")
			return s.logged(other.Entry(other.Append(s.entry.Body), 1), s.entry)
		}, want: verified},
		"another certificate of the key": {bundle: func(k *keyless, s signed) verifytest.BundleJSON {
			return s.bundle.Set(k.certified().Leaf(), "verificationMaterial", "certificate", "rawBytes")
		}, want: verify.LogEntryMismatch},
		"a signature that was changed": {bundle: func(_ *keyless, s signed) verifytest.BundleJSON {
			if s.bundle["dsseEnvelope"] != nil {
				return s.bundle.Set(broken(s.signature), "dsseEnvelope", "signatures", 0, "sig")
			}
			return s.bundle.Set(broken(s.signature), "messageSignature", "signature")
		}, want: verify.SignatureInvalid},
	} {
		for kind, sign := range map[string]func(*keyless) signed{"message": message, "attestation": attested} {
			t.Run(name+", "+kind, func(t *testing.T) {
				k := newKeyless(t)
				k.stampers = []root.TimestampingAuthority{k.tsa.Authority()}
				s := sign(k)
				authority := k.trusts(t)
				authority.Logs = []*tlog.Prover{proverFor(t, "corp", k.log, nil, tlog.NewMemoryHistory())}
				content := releaseNotes
				if tt.artifact != nil {
					content = tt.artifact
				}
				b := tt.bundle(k, s).Verify()
				want(t, authority.VerifyArtifact(t.Context(), artifactOf(content), b), tt.want)
				want(t, authority.VerifyArtifact(t.Context(), verify.Artifact{SHA256: sha256.Sum256(content)}, b), tt.want)
			})
		}
	}
}
