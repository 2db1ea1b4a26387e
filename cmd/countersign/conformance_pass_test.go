// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/x509"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
	"github.com/countersign-dev/countersign/pkg/verify/verifytest"
)

const (
	bundleV01    = "application/vnd.dev.sigstore.bundle+json;version=0.1"
	bundleV02    = "application/vnd.dev.sigstore.bundle+json;version=0.2"
	bundleV03Old = "application/vnd.dev.sigstore.bundle+json;version=0.3"
)

// mustPass are the suite's cases that must verify.
func mustPass() map[string]func(*suite) minted {
	return map[string]func(*suite) minted{
		"happy-path-v0.1": func(s *suite) minted {
			leaf := s.certified()
			return s.messageBy(leaf).chained(bundleV01, leaf.Leaf(), s.fulcio.Intermediate.Certificate.Raw)
		},
		"happy-path-v0.2": func(s *suite) minted {
			leaf := s.certified()
			return s.messageBy(leaf).chained(bundleV02, leaf.Leaf())
		},
		"happy-path-v0.3":               func(s *suite) minted { return s.message().set(bundleV03Old, "mediaType") },
		"happy-path-v0.3-new-mediaType": func(s *suite) minted { return s.message() },
		"happy-path-intoto-in-dsse-v3":  func(s *suite) minted { return s.attested(s.certified(), (*verifytest.Signer).DSSE) },
		"intoto-with-custom-trust-root": func(s *suite) minted {
			leaf := s.certified()
			m := s.attested(leaf, (*verifytest.Signer).InToto).chained(bundleV02, leaf.Leaf())
			m.bundle = m.bundle.Stamped(s.tsa.Stamp(m.signature, s.at))
			return m
		},
		"dsse-with-hashedrekord-happy-path": func(s *suite) minted { return s.attested(s.certified(), (*verifytest.Signer).HashedRekordOf) },
		"bundle-with-sct-with-extensions": func(s *suite) minted {
			s.fulcio.CT[0].Extensions = []byte("an extension")
			return s.message()
		},
		"sct-duplicate-intermediate-name": func(s *suite) minted {
			decoy := verifytest.NewFulcio().Authority() // of the same names
			genuine := s.fulcio.Authority()
			m := s.message()
			m.root = withAuthorities(s, decoy, genuine)
			return m
		},
		"managed-key-happy-path":       func(s *suite) minted { return s.keyed(s.messageBy(s.signer)) },
		"managed-key-and-trusted-root": func(s *suite) minted { return s.keyed(s.messageV2By(s.signer)) },
		"rekor2-happy-path":            func(s *suite) minted { return s.messageV2() },
		"rekor2-dsse-happy-path":       func(s *suite) minted { return s.attestedV2(s.certified()) },
		"rekor2-checkpoint-cosigned": func(s *suite) minted {
			m := s.messageV2()
			return m.noted(m.entry.Inclusion.Checkpoint + witness(s, "a"))
		},
		"rekor2-checkpoint-multiple-cosigs": func(s *suite) minted {
			m := s.messageV2()
			return m.noted(m.entry.Inclusion.Checkpoint + witness(s, "a") + witness(s, "b"))
		},
		"rekor2-checkpoint-origin-not-first": func(s *suite) minted {
			m := s.messageV2()
			return m.noted(s.v2.text() + "\n" + witness(s, "a") + s.v2.line(s.v2.text()))
		},
		"rekor2-checkpoint-two-sigs-from-origin": func(s *suite) minted {
			m := s.messageV2()
			return m.noted(s.v2.text() + "\n" + s.v2.line(s.v2.text()) + tlogtest.New(s.v2.Hostname).SignatureLine(s.v2.text()))
		},
		"rekor2-checkpoint-two-sigs-cosigned": func(s *suite) minted {
			m := s.messageV2()
			return m.noted(s.v2.text() + "\n" + tlogtest.New(s.v2.Hostname).SignatureLine(s.v2.text()) + s.v2.line(s.v2.text()) + witness(s, "a"))
		},
		"rekor2-timestamp-with-embedded-cert": func(s *suite) minted { return s.messageV2() },
		"rekor2-timestamp-without-embedded-cert": func(s *suite) minted {
			m := s.messageV2()
			m.bundle = m.bundle.Stamped(s.tsa.StampBare(m.signature, s.at))
			return m
		},
		"rekor2-timestamp-with-expired-cert-chain": func(s *suite) minted {
			until := func(c *x509.Certificate) { c.NotAfter = s.at.Add(time.Hour) }
			top := verifytest.NewRoot("tsa.example.test", until)
			s.tsa = verifytest.NewTSABelow(top, top.Intermediate("tsa-intermediate.example.test", x509.ExtKeyUsageTimeStamping, until), until)
			return s.messageV2()
		},
		"trust-root-tlog-validity-end-inclusive": func(s *suite) minted {
			return s.message().trusting(s.at.Format(time.RFC3339), "tlogs", 0, "publicKey", "validFor", "end")
		},
		"trust-root-tsa-validity-end-inclusive": func(s *suite) minted {
			return s.messageV2().trusting(s.at.Format(time.RFC3339), "timestampAuthorities", 0, "validFor", "end")
		},
	}
}

// chained returns the case as a bundle of an older version, with a chain.
func (m minted) chained(mediaType string, chain ...[]byte) minted {
	list := make([]any, len(chain))
	for i, raw := range chain {
		list[i] = map[string]any{"rawBytes": raw}
	}
	return m.set(mediaType, "mediaType").set(nil, "verificationMaterial", "certificate").
		set(list, "verificationMaterial", "x509CertificateChain", "certificates")
}

// keyed returns the case as one that is verified with the signer's key.
func (s *suite) keyed(m minted) minted {
	m.key = string(s.signer.PEM())
	return m
}

// witness is the line of a witness under the checkpoint of the suite's Rekor v2.
func witness(s *suite, name string) string {
	return tlogtest.NewWitness(name+".witness.example.test").Line(s.v2.text(), s.at)
}

// withAuthorities is the suite's trusted root with these CAs.
func withAuthorities(s *suite, authorities ...*root.FulcioCertificateAuthority) verifytest.BundleJSON {
	var list []any
	for _, ca := range authorities {
		other := *s.fulcio
		other.Root.Certificate, other.Intermediate.Certificate = ca.Root, ca.Intermediates[0]
		kept := s.fulcio
		s.fulcio = &other
		list = append(list, s.root()["certificateAuthorities"].([]any)...)
		s.fulcio = kept
	}
	return s.root().Set(list, "certificateAuthorities")
}
