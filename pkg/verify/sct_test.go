// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"crypto"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"slices"
	"testing"

	ct "github.com/google/certificate-transparency-go"
	"github.com/google/certificate-transparency-go/tls"

	"github.com/countersign-dev/countersign/pkg/verify"
	"github.com/countersign-dev/countersign/pkg/verify/verifytest"
)

// Codes of RFC 8422 section 5.1.3, which the library has no names for.
const (
	intrinsic tls.HashAlgorithm      = 8
	eddsa     tls.SignatureAlgorithm = 7
)

func algorithm(signature tls.SignatureAlgorithm, hash tls.HashAlgorithm) tls.SignatureAndHashAlgorithm {
	return tls.SignatureAndHashAlgorithm{Signature: signature, Hash: hash}
}

// promiseIsFrom judges a signature with a certificate that a log, which is trusted,
// has promised to log.
func promiseIsFrom(t *testing.T, log *verifytest.CTLog) verify.Verdict {
	t.Helper()
	k := newKeyless(t)
	k.fulcio.CT, k.ctLogs = []*verifytest.CTLog{log}, []*verifytest.CTLog{log}
	return k.trusts(t).Verify(t.Context(), imageA, []verify.Signature{k.legacyBy(k.certified())})
}

// TestCTLogKeys has logs with every kind of key. RFC 6962 has two, P-256 and RSA;
// operators have others.
func TestCTLogKeys(t *testing.T) {
	p256, p384, p521 := ecdsaKey(t, elliptic.P256()), ecdsaKey(t, elliptic.P384()), ecdsaKey(t, elliptic.P521())
	rsa2048, ed := rsaKey(t, 2048), ed25519Key(t)
	extended := verifytest.NewCTLogWithKey(p256)
	extended.Extensions = []byte("an extension")
	for name, log := range map[string]*verifytest.CTLog{
		"P-256":                                verifytest.NewCTLogWithKey(p256),
		"P-256, with a signed extension":       extended,
		"P-384, over SHA-256 as ct_server has": verifytest.NewCTLogWithKey(p384),
		"P-384, over its own hash":             verifytest.NewCTLogWithHash(p384, crypto.SHA384, algorithm(tls.ECDSA, tls.SHA384)),
		"P-521, over SHA-256 as ct_server has": verifytest.NewCTLogWithKey(p521),
		"P-521, over its own hash":             verifytest.NewCTLogWithHash(p521, crypto.SHA512, algorithm(tls.ECDSA, tls.SHA512)),
		"RSA of 2048 bits":                     verifytest.NewCTLogWithKey(rsa2048),
		"RSA over SHA-512":                     verifytest.NewCTLogWithHash(rsa2048, crypto.SHA512, algorithm(tls.RSA, tls.SHA512)),
		"Ed25519":                              verifytest.NewCTLogWithKey(ed),
	} {
		t.Run(name, func(t *testing.T) { want(t, promiseIsFrom(t, log), verified) })
	}
}

// TestCTLogsThatSignOtherwise has logs that are trusted, and sign in a way that
// their key does not stand for.
func TestCTLogsThatSignOtherwise(t *testing.T) {
	p256, rsa2048, ed := ecdsaKey(t, elliptic.P256()), rsaKey(t, 2048), ed25519Key(t)
	by := func(key crypto.Signer, sign func([]byte) ct.DigitallySigned) *verifytest.CTLog {
		log := verifytest.NewCTLogWithKey(key)
		log.Sign = sign
		return log
	}
	good := func(key crypto.Signer) func([]byte) ct.DigitallySigned { return verifytest.NewCTLogWithKey(key).Sign }
	for name, log := range map[string]*verifytest.CTLog{
		"by an RSA key too short":               verifytest.NewCTLogWithKey(rsaKey(t, 1024)),
		"by a P-224 key":                        verifytest.NewCTLogWithKey(ecdsaKey(t, elliptic.P224())),
		"over SHA-1":                            verifytest.NewCTLogWithHash(p256, crypto.SHA1, algorithm(tls.ECDSA, tls.SHA1)),
		"over MD5":                              verifytest.NewCTLogWithHash(p256, crypto.MD5, algorithm(tls.ECDSA, tls.MD5)),
		"by RSA over SHA-1":                     verifytest.NewCTLogWithHash(rsa2048, crypto.SHA1, algorithm(tls.RSA, tls.SHA1)),
		"over another hash than it says":        verifytest.NewCTLogWithHash(p256, crypto.SHA384, algorithm(tls.ECDSA, tls.SHA256)),
		"over a hash that it does not name":     verifytest.NewCTLogWithHash(p256, crypto.SHA256, algorithm(tls.ECDSA, tls.None)),
		"by ECDSA, and says RSA":                verifytest.NewCTLogWithHash(p256, crypto.SHA256, algorithm(tls.RSA, tls.SHA256)),
		"by ECDSA, and says Ed25519":            verifytest.NewCTLogWithHash(p256, crypto.SHA256, algorithm(eddsa, intrinsic)),
		"by ECDSA, and does not say how":        verifytest.NewCTLogWithHash(p256, crypto.SHA256, algorithm(tls.Anonymous, tls.SHA256)),
		"by RSA, and says ECDSA":                verifytest.NewCTLogWithHash(rsa2048, crypto.SHA256, algorithm(tls.ECDSA, tls.SHA256)),
		"by Ed25519, and says ECDSA":            verifytest.NewCTLogWithHash(ed, 0, algorithm(tls.ECDSA, tls.SHA256)),
		"by Ed25519, and says a hash":           verifytest.NewCTLogWithHash(ed, 0, algorithm(eddsa, tls.SHA512)),
		"by Ed25519 over a hash, and says so":   verifytest.NewCTLogWithHash(ed, crypto.SHA512, algorithm(eddsa, tls.SHA512)),
		"by Ed25519 over a hash, and denies it": verifytest.NewCTLogWithHash(ed, crypto.SHA512, algorithm(eddsa, intrinsic)),
		"by RSA with PSS padding": by(rsa2048, func(message []byte) ct.DigitallySigned {
			digest := sha256.Sum256(message)
			made, err := rsa.SignPSS(rand.Reader, rsa2048, crypto.SHA256, digest[:], nil)
			if err != nil {
				t.Fatal(err)
			}
			return ct.DigitallySigned{Algorithm: algorithm(tls.RSA, tls.SHA256), Signature: made}
		}),
		"with something after the signature": by(p256, func(message []byte) ct.DigitallySigned {
			signed := good(p256)(message)
			signed.Signature = append(signed.Signature, 0)
			return signed
		}),
		"with no signature": by(p256, func([]byte) ct.DigitallySigned {
			return ct.DigitallySigned{Algorithm: algorithm(tls.ECDSA, tls.SHA256)}
		}),
		"by an Ed25519 key that is not its own": by(ed, good(ed25519Key(t))),
		"by a P-384 key that is not its own":    by(ecdsaKey(t, elliptic.P384()), good(ecdsaKey(t, elliptic.P384()))),
		"over another message":                  by(ed, func([]byte) ct.DigitallySigned { return good(ed)([]byte("x")) }),
	} {
		t.Run(name, func(t *testing.T) { want(t, promiseIsFrom(t, log), verify.SCTInvalid) })
	}
}

// TestCTLogOfAKindThatSignsNothing has a key in the trust root that is none.
func TestCTLogOfAKindThatSignsNothing(t *testing.T) {
	log := verifytest.NewCTLog()
	_, trusted := log.Trusted()
	trusted.PublicKey = ed25519.PublicKey("short")
	k := newKeyless(t)
	k.fulcio.CT, k.ctLogs = []*verifytest.CTLog{log}, []*verifytest.CTLog{log}
	authority := k.trusts(t)
	for _, held := range authority.Keyless.Root.CTLogs() {
		held.PublicKey = trusted.PublicKey
	}
	want(t, authority.Verify(t.Context(), imageA, []verify.Signature{k.legacyBy(k.certified())}), verify.SCTInvalid)
}

// TestPromisesThatWereChanged takes good promises and changes what was signed, or
// how they are written. Offsets are those of RFC 6962 section 3.2: version, log ID,
// time, length of the extensions.
func TestPromisesThatWereChanged(t *testing.T) {
	for name, change := range map[string]func([]byte) [][]byte{
		"of version 2":                 func(p []byte) [][]byte { p[0] = 1; return [][]byte{p} },
		"with an extension put in":     func(p []byte) [][]byte { p[42] = 1; return [][]byte{slices.Insert(p, 43, 'x')} },
		"with something after it":      func(p []byte) [][]byte { return [][]byte{append(p, 0)} },
		"beside one that is not whole": func(p []byte) [][]byte { return [][]byte{p, p[:20]} },
	} {
		t.Run(name, func(t *testing.T) {
			k := newKeyless(t)
			template := verifytest.Leaf()
			promise := k.fulcio.CT[0].Promise(k.fulcio.Intermediate, template, k.signer.Public())
			signer := k.signer.With(promisedFor(k, template, change(promise)...))
			want(t, k.trusts(t).Verify(t.Context(), imageA, []verify.Signature{k.legacyBy(signer)}), verify.SCTInvalid)
		})
	}
	t.Run("a good one after one of another version", func(t *testing.T) {
		k := newKeyless(t)
		template := verifytest.Leaf()
		good := k.fulcio.CT[0].Promise(k.fulcio.Intermediate, template, k.signer.Public())
		later := slices.Clone(good)
		later[0] = 1
		signer := k.signer.With(promisedFor(k, template, later, good))
		want(t, k.trusts(t).Verify(t.Context(), imageA, []verify.Signature{k.legacyBy(signer)}), verified)
	})
}
