// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/countersign-dev/countersign/pkg/verify"
	"github.com/countersign-dev/countersign/pkg/verify/verifytest"
)

// TestPromiseIsForOneIssuer: a certificate's signature verifies under two keys, of which
// nobody holds the second. One CA has the first, and was trusted when the certificate was made out;
// another has the second, and is trusted when it was used. The CT log has promised for the
// first alone.
func TestPromiseIsForOneIssuer(t *testing.T) {
	for name, tt := range map[string]struct {
		first time.Duration // until when the first CA is trusted, from the signing time on
		noSCT bool
		want  verify.Reason
	}{
		"the other issuer, whom no log has promised":   {first: -time.Second, want: verify.SCTInvalid},
		"the other issuer, where nobody asks for that": {first: -time.Second, noSCT: true, want: verified},
		"the issuer that the log has promised":         {first: time.Hour, want: verified},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKeyless(t)
			signer := k.certified()
			s := k.legacyBy(signer)
			top := verifytest.NewRoot("second.example.test")
			template := *k.fulcio.Intermediate.Certificate
			second, err := x509.ParseCertificate(top.Sign(&template, otherKeyOf(t, signer.Leaf(), k.fulcio.Intermediate.Certificate)))
			if err != nil {
				t.Fatal(err)
			}
			k.ca.ValidityPeriodEnd = verifytest.SigningTime().Add(tt.first)
			authority := k.trusts(t)
			authority.Keyless.InsecureIgnoreSCT = tt.noSCT
			authority.Keyless.Root = verifytest.TrustRoot([]root.CertificateAuthority{
				k.ca, &root.FulcioCertificateAuthority{Root: top.Certificate, Intermediates: []*x509.Certificate{second}},
			}, k.ctLogs, nil)
			want(t, authority.Verify(t.Context(), imageA, []verify.Signature{s}), tt.want)
		})
	}
}

// otherKeyOf returns the other key than the issuer's under which a certificate's signature
// verifies. Who knows the signature (r, s) of a hash z knows the point R only up to its
// sign, and (sR - zG)/r is a key for either (SEC 1, section 4.1.6).
func otherKeyOf(t *testing.T, der []byte, issuer *x509.Certificate) *ecdsa.PublicKey {
	t.Helper()
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	var made struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(leaf.Signature, &made); err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(leaf.RawTBSCertificate)
	curve := elliptic.P256()
	params := curve.Params()
	modulo := func(x *big.Int) *big.Int { return new(big.Int).Mod(x, params.N) }
	inverse := new(big.Int).ModInverse(made.R, params.N)
	u, v := modulo(new(big.Int).Mul(made.S, inverse)), modulo(new(big.Int).Neg(new(big.Int).Mul(new(big.Int).SetBytes(digest[:]), inverse)))
	// y² = x³ - 3x + b
	square := new(big.Int).Exp(made.R, big.NewInt(3), params.P)
	square.Sub(square, new(big.Int).Mul(big.NewInt(3), made.R)).Add(square, params.B).Mod(square, params.P)
	y := new(big.Int).ModSqrt(square, params.P)
	for _, y := range []*big.Int{y, new(big.Int).Sub(params.P, y)} {
		//nolint:staticcheck // there is no other arithmetic of points, and no secret here
		x1, y1 := curve.ScalarMult(made.R, y, u.Bytes())
		x2, y2 := curve.ScalarBaseMult(v.Bytes()) //nolint:staticcheck // the same
		x, y := curve.Add(x1, y1, x2, y2)         //nolint:staticcheck // the same
		point := slices.Concat([]byte{4}, x.FillBytes(make([]byte, 32)), y.FillBytes(make([]byte, 32)))
		key, err := ecdsa.ParseUncompressedPublicKey(curve, point)
		if err != nil {
			t.Fatal(err)
		}
		if !key.Equal(issuer.PublicKey) {
			if !ecdsa.VerifyASN1(key, digest[:], leaf.Signature) {
				t.Fatal("it is no key of that signature")
			}
			return key
		}
	}
	t.Fatal("both are the issuer's")
	return nil
}
