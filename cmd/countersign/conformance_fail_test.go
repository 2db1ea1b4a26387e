// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/x509"
	"maps"
	"strings"
	"time"

	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
	"github.com/countersign-dev/countersign/pkg/verify"
	"github.com/countersign-dev/countersign/pkg/verify/verifytest"
)

// refused is a case that must not verify, and why it does not.
type refused struct {
	mint func(*suite) minted
	why  verify.Reason
	// mistake is set where what is wrong is what the command was given: its exit code
	// is 2, and it says this.
	mistake string
}

// mustFail are the suite's cases that must not verify.
func mustFail() map[string]refused {
	cases := map[string]refused{}
	for _, some := range []map[string]refused{badBundles(), badEntries(), badEnvelopes(), badCheckpoints(), badTimes(), badTrust()} {
		maps.Copy(cases, some)
	}
	return cases
}

func badBundles() map[string]refused {
	return map[string]refused{
		"bundle-empty-certificate-chain_fail": {mint: func(s *suite) minted { return s.message().chained(bundleV02) }, why: verify.CertificateInvalid},
		"bundle-from-wrong-instance_fail": {mint: func(s *suite) minted {
			m := newSuite(s.t).message()
			m.root = s.root()
			return m
		}, why: verify.CertificateInvalid},
		"bundle-invalid-base64-signature_fail": {mint: func(s *suite) minted { return s.message().set("!!!!", "messageSignature", "signature") }, why: verify.SignatureInvalid},
		"bundle-malformed-json_fail": {mint: func(s *suite) minted {
			m := s.message()
			m.text = strings.TrimSuffix(string(m.bundle.Verify().JSON), "}")
			return m
		}, why: verify.SignatureInvalid},
		"bundle-negative-log-index_fail": {mint: func(s *suite) minted { return s.message().set("-1", append(theEntry(), "logIndex")...) }, why: verify.SignatureInvalid},
		"bundle-unknown-version_fail": {mint: func(s *suite) minted {
			return s.message().set("application/vnd.dev.sigstore.bundle+json;version=99.9", "mediaType")
		}, why: verify.SignatureInvalid},
		"bundle-with-root-cert_fail": {mint: func(s *suite) minted {
			leaf := s.certified()
			return s.messageBy(leaf).chained(bundleV02, leaf.Leaf(), s.fulcio.Intermediate.Certificate.Raw, s.fulcio.Root.Certificate.Raw)
		}, why: verify.CertificateInvalid},
		"managed-key-and-client-identity_fail": {mint: func(s *suite) minted {
			m := s.keyed(s.messageBy(s.signer))
			m.both = true
			return m
		}, mistake: "[certificate-identity key] were all set"},
		"managed-key-no-key_fail": {mint: func(s *suite) minted { return s.messageBy(s.signer) }, why: verify.IdentityMismatch},
		"managed-key-wrong-key_fail": {mint: func(s *suite) minted {
			m := s.messageBy(s.signer)
			m.key = string(verifytest.NewSigner().PEM())
			return m
		}, why: verify.KeyMismatch},
		"message-digest-mismatch_fail": {mint: func(s *suite) minted {
			return s.message().set(make([]byte, 32), "messageSignature", "messageDigest", "digest")
		}, why: verify.SignatureInvalid},
		"signature-mismatch_fail": {mint: func(s *suite) minted {
			m := s.message()
			return m.set(flipped(m.signature), "messageSignature", "signature")
		}, why: verify.SignatureInvalid},
		"wrong-material_fail": {mint: func(s *suite) minted {
			m := s.message()
			m.artifact = "another\n"
			return m
		}, why: verify.SignatureInvalid},
	}
}

// another is a case by the same certificate about other content.
func (s *suite) another(signer *verifytest.Signer, content string) *tlog.Entry {
	signed := signer.Legacy([]byte(content))
	return s.v1.Entry(s.v1.Append(signer.HashedRekord(signed)), s.v1.Size())
}

// swapped is a message with the entry of another one by the signer that is given.
func swapped(content string, by func(s *suite, signer *verifytest.Signer) *verifytest.Signer) func(*suite) minted {
	return func(s *suite) minted {
		signer := s.certified()
		return s.messageBy(signer).logged(s.another(by(s, signer), content))
	}
}

func badEntries() map[string]refused {
	same := func(_ *suite, signer *verifytest.Signer) *verifytest.Signer { return signer }
	stranger := func(s *suite, _ *verifytest.Signer) *verifytest.Signer {
		other := verifytest.NewSigner()
		return other.With(s.fulcio.Issue(other.Public()))
	}
	return map[string]refused{
		"cve-2022-36056-swapped-tlog-entry_fail": {mint: swapped(suiteContent, stranger), why: verify.LogEntryMismatch},
		"wrong-hashedrekord-artifact_fail": {mint: func(s *suite) minted {
			m := s.message()
			m.artifact = "another\n"
			return m
		}, why: verify.SignatureInvalid},
		"wrong-hashedrekord-cert-and-sig_fail": {mint: swapped(suiteContent, stranger), why: verify.LogEntryMismatch},
		"wrong-hashedrekord-entry_fail":        {mint: swapped("another\n", same), why: verify.LogEntryMismatch},
		"incorrect-public-key_fail": {mint: func(s *suite) minted {
			m := s.message()
			other := s.another(s.certified(), suiteContent)
			ours, theirs := string(m.entry.Body), string(other.Body)
			before, _, _ := strings.Cut(ours, `"publicKey"`)
			_, after, _ := strings.Cut(theirs, `"publicKey"`)
			entry := *m.entry
			entry.Body = []byte(before + `"publicKey"` + after)
			return m.logged(&entry)
		}, why: verify.LogEntryMismatch},
		"inclusion-proof-corrupted-hash_fail": {mint: func(s *suite) minted {
			m := s.message()
			return m.set(flipped(m.entry.Inclusion.Hashes[0]), append(theEntry(), "inclusionProof", "hashes", 0)...)
		}, why: verify.InclusionProofInvalid},
		"invalid-inclusion-proof_fail": {mint: func(s *suite) minted {
			m := s.message()
			return m.set([]any{}, append(theEntry(), "inclusionProof", "hashes")...).set(nil, append(theEntry(), "inclusionProof", "checkpoint")...)
		}, why: verify.SignatureInvalid},
		"intoto-log-entry-mismatch_fail": {mint: func(s *suite) minted {
			other := s.attested(s.certified(), (*verifytest.Signer).InToto)
			return s.attested(s.certified(), (*verifytest.Signer).InToto).logged(other.entry)
		}, why: verify.LogEntryMismatch},
		"intoto-missing-inclusion-proof_fail": {mint: func(s *suite) minted {
			return s.attested(s.certified(), (*verifytest.Signer).InToto).set(nil, append(theEntry(), "inclusionProof")...)
		}, why: verify.SignatureInvalid},
		"rekor2-no-inclusion-proof_fail": {mint: func(s *suite) minted {
			return s.messageV2().set(nil, append(theEntry(), "inclusionProof")...)
		}, why: verify.SignatureInvalid},
		"set-invalid-signature_fail": {mint: func(s *suite) minted {
			m := s.message()
			return m.set(flipped(m.entry.SignedEntryTimestamp), append(theEntry(), "inclusionPromise", "signedEntryTimestamp")...)
		}, why: verify.TimestampInvalid},
	}
}

// badEnvelopes are three attacks on an envelope, in each kind of entry for it.
func badEnvelopes() map[string]refused {
	cases := map[string]refused{
		"dsse-statement-missing-type_fail": {mint: func(s *suite) minted { return s.stated("") }, why: verify.SignatureInvalid},
		"dsse-statement-unknown-type_fail": {mint: func(s *suite) minted { return s.stated("https://in-toto.io/Statement/v2") }, why: verify.SignatureInvalid},
	}
	for prefix, attest := range map[string]func(*suite, *verifytest.Signer) minted{
		"dsse": func(s *suite, by *verifytest.Signer) minted { return s.attested(by, (*verifytest.Signer).DSSE) },
		"dsse-with-hashedrekord": func(s *suite, by *verifytest.Signer) minted {
			return s.attested(by, (*verifytest.Signer).HashedRekordOf)
		},
		"rekor2-dsse": (*suite).attestedV2,
	} {
		cases[prefix+"-invalid-sig_fail"] = refused{mint: func(s *suite) minted {
			m := attest(s, s.certified())
			other := verifytest.NewSigner().Envelope(verifytest.PayloadType, statementAbout(suiteContent))
			return s.resigned(m, other)
		}, why: verify.SignatureInvalid}
		cases[prefix+"-mismatch-sig_fail"] = refused{mint: func(s *suite) minted {
			signer := s.certified()
			m := attest(s, signer) // and a second good signature of the same
			return s.resigned(m, signer.Envelope(verifytest.PayloadType, statementAbout(suiteContent)))
		}, why: verify.LogEntryMismatch}
		cases[prefix+"-mismatch-envelope_fail"] = refused{mint: func(s *suite) minted {
			signer := s.certified()
			m := attest(s, signer)
			m.artifact = "another\n"
			return s.resigned(m, signer.Envelope(verifytest.PayloadType, statementAbout(m.artifact)))
		}, why: verify.LogEntryMismatch}
	}
	return cases
}

// resigned puts another envelope into a bundle, with a timestamp of its signature.
func (s *suite) resigned(m minted, e verifytest.Envelope) minted {
	m = m.set(e.Signatures[0], "dsseEnvelope", "signatures", 0, "sig").set(e.Payload, "dsseEnvelope", "payload")
	m.bundle = m.bundle.Stamped(s.tsa.Stamp(e.Signatures[0], s.at))
	return m
}

// stated is a statement of another type by key, in Rekor v2.
func (s *suite) stated(kind string) minted {
	statement := strings.Replace(string(statementAbout(suiteContent)), `"_type":"`+verifytest.StatementType+`"`, `"_type":"`+kind+`"`, 1)
	if kind == "" {
		statement = strings.Replace(statement, `"_type":"",`, "", 1)
	}
	envelope := s.signer.Envelope(verifytest.PayloadType, []byte(statement))
	s.v2.Append(s.signer.HashedRekordV2Of(envelope))
	entry := s.v2.entry()
	return s.keyed(s.minted(s.signer.Bundle(envelope, entry), entry, envelope.Signatures[0]))
}

func badCheckpoints() map[string]refused {
	// lacking is a checkpoint without one of its lines, signed by the log all the same.
	lacking := func(line int) func(*suite) minted {
		return func(s *suite) minted {
			m := s.messageV2()
			text := without(s.v2.text(), line)
			return m.noted(text + "\n" + s.v2.line(text))
		}
	}
	return map[string]refused{
		"checkpoint-bad-keyhint_fail": {mint: func(s *suite) minted {
			m := s.message()
			return m.noted(withHint(m.entry.Inclusion.Checkpoint, []byte{1, 2, 3, 4}))
		}, why: verify.CheckpointInvalid},
		"checkpoint-wrong-roothash_fail": {mint: func(s *suite) minted {
			m := s.message()
			return m.noted(s.v1.Checkpoint(s.v1.Size() - 1))
		}, why: verify.InclusionProofInvalid},
		"invalid-checkpoint-signature_fail": {mint: func(s *suite) minted {
			m := s.message()
			note := m.entry.Inclusion.Checkpoint
			text := note[:strings.Index(note, "\n\n")+1]
			return m.noted(text + "\n" + s.v1.SignatureLine(text+"x"))
		}, why: verify.CheckpointInvalid},
		"rekor2-checkpoint-missing-log-signature_fail": {mint: func(s *suite) minted {
			return s.messageV2().noted(s.v2.text() + "\n" + witness(s, "a"))
		}, why: verify.CheckpointInvalid},
		"rekor2-checkpoint-missing-origin_fail":    {mint: lacking(0), why: verify.CheckpointInvalid},
		"rekor2-checkpoint-missing-size_fail":      {mint: lacking(1), why: verify.CheckpointInvalid},
		"rekor2-checkpoint-missing-root-hash_fail": {mint: lacking(2), why: verify.CheckpointInvalid},
		"rekor2-checkpoint-no-matching-signature_fail": {mint: func(s *suite) minted {
			m := s.messageV2()
			return m.noted(strings.Replace(m.entry.Inclusion.Checkpoint, "— "+s.v2.Hostname, "— other.example.test", 1))
		}, why: verify.CheckpointInvalid},
	}
}

// withHint is a note whose signature names another key.
func withHint(note string, hint []byte) string {
	_, line, _ := strings.Cut(note, "— ")
	signature := strings.Fields(line)[1]
	return strings.Replace(note, signature, encode(append(hint, decoded(signature)[4:]...)), 1)
}

func badTimes() map[string]refused {
	late := func(s *suite) time.Time { return s.at.Add(time.Hour) }
	// stamped is a signature in Rekor v2 with these timestamps and no other.
	stamped := func(stamps func(s *suite, sig []byte) [][]byte) func(*suite) minted {
		return func(s *suite) minted {
			m := s.messageV2()
			m.bundle = m.bundle.Stamped(stamps(s, m.signature)...)
			return m
		}
	}
	integrated := func(m minted, s *suite) minted {
		entry := *m.entry
		entry.IntegratedTime = late(s).Unix()
		entry.SignedEntryTimestamp = s.v1.SignEntry(&entry)
		return m.logged(&entry)
	}
	return map[string]refused{
		"integrated-time-in-future_fail": {mint: func(s *suite) minted { return integrated(s.message(), s) }, why: verify.CertificateInvalid},
		"intoto-set-outside-signing-cert-validity_fail": {mint: func(s *suite) minted {
			return integrated(s.attested(s.certified(), (*verifytest.Signer).InToto), s)
		}, why: verify.CertificateInvalid},
		"intoto-tsa-timestamp-outside-cert-validity_fail": {mint: func(s *suite) minted {
			m := s.attested(s.certified(), (*verifytest.Signer).InToto)
			m.bundle = m.bundle.Stamped(s.tsa.Stamp(m.signature, late(s)))
			return m
		}, why: verify.CertificateInvalid},
		"rekor2-no-timestamp_fail":                  {mint: stamped(func(*suite, []byte) [][]byte { return nil }), why: verify.TimestampInvalid},
		"rekor2-timestamp-with-incorrect-time_fail": {mint: stamped(func(s *suite, sig []byte) [][]byte { return [][]byte{s.tsa.Stamp(sig, late(s))} }), why: verify.CertificateInvalid},
		"rekor2-timestamp-payload-mismatch_fail":    {mint: stamped(func(s *suite, sig []byte) [][]byte { return [][]byte{s.tsa.Stamp(append(sig, 0), s.at)} }), why: verify.TimestampInvalid},
		"rekor2-timestamp-untrusted-tsa-with-embedded-cert_fail": {mint: stamped(func(s *suite, sig []byte) [][]byte {
			return [][]byte{verifytest.NewTSA().Stamp(sig, s.at)}
		}), why: verify.TimestampInvalid},
		"rekor2-timestamp-untrusted-tsa-without-embedded-cert_fail": {mint: stamped(func(s *suite, sig []byte) [][]byte {
			return [][]byte{verifytest.NewTSA().StampBare(sig, s.at)}
		}), why: verify.TimestampInvalid},
		"rekor2-multiple-timestamps-one-outside-cert-validity_fail": {mint: stamped(func(s *suite, sig []byte) [][]byte {
			return [][]byte{s.tsa.Stamp(sig, s.at), s.tsa.Stamp(sig, late(s))}
		}), why: verify.CertificateInvalid},
		"rekor2-timestamp-outside-tsa-cert-validity_fail": {mint: func(s *suite) minted {
			top := verifytest.NewRoot("tsa.example.test")
			s.tsa = verifytest.NewTSABelow(top, top.Intermediate("tsa-intermediate.example.test", x509.ExtKeyUsageTimeStamping),
				func(c *x509.Certificate) { c.NotAfter = s.at.Add(-time.Hour) })
			return s.messageV2()
		}, why: verify.TimestampInvalid},
	}
}

func badTrust() map[string]refused {
	const day = 24 * time.Hour
	ended := func(s *suite) string { return s.at.Add(-day).Format(time.RFC3339) }
	return map[string]refused{
		"intoto-expired-certificate_fail": {mint: func(s *suite) minted {
			return s.attested(s.certified(), (*verifytest.Signer).InToto).trusting(ended(s), "certificateAuthorities", 0, "validFor", "end")
		}, why: verify.CertificateInvalid},
		"invalid-ct-key_fail": {mint: func(s *suite) minted {
			other := newSuite(s.t).root()["ctlogs"].([]any)[0].(map[string]any)["publicKey"].(map[string]any)["rawBytes"]
			return s.message().trusting(other, "ctlogs", 0, "publicKey", "rawBytes")
		}, why: verify.SCTInvalid},
		"rekor2-timestamp-outside-trust-root-tsa-validity_fail": {mint: func(s *suite) minted {
			return s.messageV2().trusting(ended(s), "timestampAuthorities", 0, "validFor", "end")
		}, why: verify.TimestampInvalid},
		"rekor2-timestamp-wrong-tsa-validity-borrow_fail": {mint: func(s *suite) minted {
			m := s.messageV2().trusting(ended(s), "timestampAuthorities", 0, "validFor", "end")
			unrelated := map[string]any{"uri": "https://unrelated.invalid", "certChain": map[string]any{"certificates": []any{}}, "validFor": map[string]any{"start": ended(s)}}
			return m.trusting(append(m.root["timestampAuthorities"].([]any), unrelated), "timestampAuthorities")
		}, mistake: "trusted root: "},
		"trust-root-tlog-missing-validity-start_fail": {mint: func(s *suite) minted {
			return s.message().trusting(nil, "tlogs", 0, "publicKey", "validFor", "start")
		}, mistake: "trusted root: "},
	}
}

// badV2 are attacks on a Rekor v2 that the suite does not have.
func badV2() map[string]refused {
	return map[string]refused{
		"a v2 entry under a checkpoint in the form of v1": {mint: func(s *suite) minted {
			m := s.messageV2()
			text := strings.Replace(s.v2.text(), s.v2.Hostname, s.v2.Hostname+" - 17", 1)
			return m.noted(text + "\n" + s.v2.line(text))
		}, why: verify.CheckpointInvalid},
		"a v1 entry under a checkpoint in the form of v2": {mint: func(s *suite) minted {
			m := s.message()
			text := strings.Replace(strings.SplitAfter(m.entry.Inclusion.Checkpoint, "\n\n")[0], s.v1.Origin(), s.v1.Hostname, 1)
			text = strings.TrimSuffix(text, "\n")
			return m.noted(text + "\n" + s.v1.SignatureLine(text))
		}, why: verify.CheckpointInvalid},
		"an entry of the v1 log in the v2 log's name": {mint: func(s *suite) minted {
			m := s.message()
			return m.set(s.v2.ID(), append(theEntry(), "logId", "keyId")...).set(nil, append(theEntry(), "inclusionPromise")...)
		}, why: verify.LogEntryMismatch},
		"the key's hash as the ID of a v2 log": {mint: func(s *suite) minted {
			return s.messageV2().set(s.v2.Log.ID(), append(theEntry(), "logId", "keyId")...)
		}, why: verify.LogUnknown},
		"the first four bytes of the ID of a v2 log": {mint: func(s *suite) minted {
			return s.messageV2().set(s.v2.ID()[:4], append(theEntry(), "logId", "keyId")...)
		}, why: verify.LogUnknown},
		"the key ID of v1 in a v2 checkpoint": {mint: func(s *suite) minted {
			m := s.messageV2()
			return m.noted(withHint(m.entry.Inclusion.Checkpoint, s.v2.Log.ID()[:4]))
		}, why: verify.CheckpointInvalid},
		"another index beside the proof's": {mint: func(s *suite) minted {
			return s.messageV2().set("4", append(theEntry(), "logIndex")...)
		}, why: verify.InclusionProofInvalid},
		"a promise, which v2 does not make": {mint: func(s *suite) minted {
			m := s.messageV2()
			promised := *m.entry
			promised.IntegratedTime = s.at.Unix()
			promised.SignedEntryTimestamp = s.v2.SignEntry(&promised)
			m.bundle = m.bundle.Stamped()
			return m.logged(&promised)
		}, why: verify.TimestampInvalid},
		"a time that nobody signed": {mint: func(s *suite) minted {
			m := s.messageV2()
			m.bundle = m.bundle.Stamped()
			return m.set("1790000000", append(theEntry(), "integratedTime")...)
		}, why: verify.TimestampInvalid},
		"an extension line in a v2 checkpoint": {mint: func(s *suite) minted {
			text := s.v2.text() + "Timestamp: 1790000000000000000\n"
			return s.messageV2().noted(text + "\n" + s.v2.line(text))
		}, why: verify.CheckpointInvalid},
		"a v2 log of another name with the same key": {mint: func(s *suite) minted {
			m := s.messageV2()
			other := &tiled{tlogtest.NewWithKey("other.example.test", s.v2.key), s.v2.key}
			other.Append(m.entry.Body)
			return m.logged(other.entry())
		}, why: verify.LogUnknown},
		"a v2 log's ID that is no hash of its name and key": {mint: func(s *suite) minted {
			return s.messageV2().trusting("https://other.example.test", "tlogs", 1, "baseUrl")
		}, mistake: "trusted root: "},
	}
}
