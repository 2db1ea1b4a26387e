// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"crypto"
	"crypto/dsa" //nolint:staticcheck // a kind of key that must be refused
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"strings"
	"testing"

	"github.com/countersign-dev/countersign/pkg/verify"
	"github.com/countersign-dev/countersign/pkg/verify/verifytest"
)

func ecdsaKey(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func rsaKey(t testing.TB, bits int) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func ed25519Key(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// TestKindsOfKey signs with each kind of key and each hash, in both formats.
func TestKindsOfKey(t *testing.T) {
	for name, test := range map[string]struct {
		key      crypto.Signer
		hash     crypto.Hash
		named    string // hashAlgorithm of the policy
		legacy   verify.Reason
		noBundle bool // Rekor's dsse entries are verified with the key's default hash
	}{
		"ECDSA P-256":                     {key: ecdsaKey(t, elliptic.P256()), hash: crypto.SHA256, legacy: verified},
		"ECDSA P-256, hash named":         {key: ecdsaKey(t, elliptic.P256()), hash: crypto.SHA256, named: "sha256", legacy: verified},
		"ECDSA P-256 with SHA-384":        {key: ecdsaKey(t, elliptic.P256()), hash: crypto.SHA384, named: "sha384", legacy: verified, noBundle: true},
		"ECDSA P-256 with SHA-512":        {key: ecdsaKey(t, elliptic.P256()), hash: crypto.SHA512, named: "sha512", legacy: verified, noBundle: true},
		"ECDSA P-384 with SHA-384":        {key: ecdsaKey(t, elliptic.P384()), hash: crypto.SHA384, named: "sha384", legacy: verified, noBundle: true},
		"ECDSA P-521 with SHA-512":        {key: ecdsaKey(t, elliptic.P521()), hash: crypto.SHA512, named: "sha512", legacy: verified, noBundle: true},
		"RSA of 2048 bits":                {key: rsaKey(t, 2048), hash: crypto.SHA256, legacy: verified},
		"RSA of 3072 bits":                {key: rsaKey(t, 3072), hash: crypto.SHA256, named: "sha256", legacy: verified},
		"RSA with SHA-512":                {key: rsaKey(t, 2048), hash: crypto.SHA512, named: "sha512", legacy: verified, noBundle: true},
		"Ed25519":                         {key: ed25519Key(t), hash: crypto.SHA512, legacy: verified},
		"Ed25519, whatever hash is named": {key: ed25519Key(t), hash: crypto.SHA512, named: "sha384", legacy: verified},
		"a P-384 key and no hash named":   {key: ecdsaKey(t, elliptic.P384()), hash: crypto.SHA384, legacy: verify.SignatureInvalid, noBundle: true},
		"another hash than the one named": {key: ecdsaKey(t, elliptic.P256()), hash: crypto.SHA256, named: "sha512", legacy: verify.SignatureInvalid, noBundle: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := worldOf(t, verifytest.NewSignerWithKey(test.key, test.hash), test.named)
			s := w.legacy()
			want(t, w.verdict(t, s), test.legacy)
			s.RekorBundle = ""
			want(t, w.verdict(t, s), test.legacy)
			if test.noBundle {
				return
			}
			b, _ := w.bundle()
			want(t, w.verdict(t, b.Verify()), verified)
			b, _ = w.bundleOf(w.signer.Envelope(verifytest.PayloadType, verifytest.Statement(imageB)))
			want(t, w.verdict(t, b.Verify()), verify.SignatureInvalid)
		})
	}
}

func block(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func spki(t testing.TB, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// pssOnly is what `openssl genpkey -algorithm RSA-PSS` makes: an RSA key whose
// algorithm is id-RSASSA-PSS (RFC 4055).
const pssOnly = `-----BEGIN PUBLIC KEY-----
MIIBIDALBgkqhkiG9w0BAQoDggEPADCCAQoCggEBAMWIkIXy0zJ0IG9GZDZyTghq
yewFE+2G4eXZQj5WZ7K+VVKnBzJdzyxyQWgyCDpD6KB/bQjTlaG+B21TzkUndAWE
5Y1vniQitOodiPccCnxuFF3FpGHHSMl48VR+aGaOs6P9TI807yXFQx1Ewze0t2CE
lSsBFdEGDwmO8F4lmLp96gJeXWDoD9eEcO8/HN/fSDDKM2CzPDRdksiDFpzoL3xc
EaLtPNDE1YMzRmVENnHDFKvfG2AK7xAOf0XPgKDakU50ME6QvgXl5ca3ZfiGU3m5
/GR84j0Vusx5cWDTYIchV3DcyutQsXoIWBexAEXpVom9e++aeNgKjwdE+aQ0inMC
AwEAAQ==
-----END PUBLIC KEY-----
`

func TestParseKey(t *testing.T) {
	ec, long := ecdsaKey(t, elliptic.P256()), rsaKey(t, 2048)
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	agreement, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(ec)
	if err != nil {
		t.Fatal(err)
	}
	good := block("PUBLIC KEY", spki(t, ec.Public()))
	other := block("PUBLIC KEY", spki(t, ecdsaKey(t, elliptic.P256()).Public()))
	for name, test := range map[string]struct {
		text, hash string
		want       string // of the error; empty wants none
	}{
		"ECDSA":                            {text: good},
		"RSA":                              {text: block("PUBLIC KEY", spki(t, long.Public()))},
		"RSA in PKCS#1":                    {text: block("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&long.PublicKey))},
		"Ed25519":                          {text: block("PUBLIC KEY", spki(t, ed25519Key(t).Public()))},
		"sha256":                           {text: good, hash: "sha256"},
		"sha384":                           {text: good, hash: "sha384"},
		"sha512":                           {text: good, hash: "sha512"},
		"text before and after the key":    {text: "# a comment\n" + good + "\n# another\n"},
		"lines that end in CR LF":          {text: strings.ReplaceAll(good, "\n", "\r\n")},
		"sha1":                             {text: good, hash: "sha1", want: "none of"},
		"sha224":                           {text: good, hash: "sha224", want: "none of"},
		"a hash in capitals":               {text: good, hash: "SHA256", want: "none of"},
		"nothing":                          {want: "not a PEM block"},
		"not PEM":                          {text: "MFkwEwYHKoZIzj0CAQ", want: "not a PEM block"},
		"half a PEM block":                 {text: good[:len(good)/2], want: "not a PEM block"},
		"two keys":                         {text: good + other, want: "more than one"},
		"the same key twice":               {text: good + good, want: "more than one"},
		"a private key":                    {text: block("PRIVATE KEY", private), want: "private key"},
		"cosign's private key":             {text: block("ENCRYPTED SIGSTORE PRIVATE KEY", private), want: "private key"},
		"cosign's older private key":       {text: block("ENCRYPTED COSIGN PRIVATE KEY", private), want: "private key"},
		"an EC private key":                {text: block("EC PRIVATE KEY", private), want: "private key"},
		"a private key said to be public":  {text: block("PUBLIC KEY", private), want: "does not parse"},
		"a certificate":                    {text: block("CERTIFICATE", []byte("x")), want: `PEM type is "CERTIFICATE"`},
		"a type of the attacker's":         {text: block("X\x1b", nil), want: "PEM type is"},
		"bytes that are no key":            {text: block("PUBLIC KEY", []byte("x")), want: "does not parse"},
		"an empty block":                   {text: block("PUBLIC KEY", nil), want: "does not parse"},
		"bytes after the key":              {text: block("PUBLIC KEY", append(spki(t, ec.Public()), 0)), want: "does not parse"},
		"PKCS#1 that is none":              {text: block("RSA PUBLIC KEY", []byte("x")), want: "does not parse"},
		"a P-224 key":                      {text: block("PUBLIC KEY", spki(t, ecdsaKey(t, elliptic.P224()).Public())), want: "P-224"},
		"a key for PSS alone":              {text: pssOnly, want: "RSASSA-PSS"},
		"RSA of more than 4096 bits":       {text: block("PUBLIC KEY", spki(t, &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 4096), E: 65537})), want: "4097 bits"},
		"RSA of 1024 bits":                 {text: block("PUBLIC KEY", spki(t, short.Public())), want: "1024 bits"},
		"RSA of 1024 bits in PKCS#1":       {text: block("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&short.PublicKey)), want: "1024 bits"},
		"a key that cannot sign":           {text: block("PUBLIC KEY", spki(t, agreement.PublicKey())), want: "not supported"},
		"DSA":                              {text: block("PUBLIC KEY", dsaSPKI(t)), want: "not supported"},
		"a point that is not on the curve": {text: block("PUBLIC KEY", offCurve(t, spki(t, ec.Public()))), want: "does not parse"},
	} {
		t.Run(name, func(t *testing.T) {
			key, err := verify.ParseKey([]byte(test.text), test.hash)
			if test.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, error %v, want one that says %q", key, err, test.want)
			}
			if err != nil && (strings.Contains(err.Error(), "\x1b") || len(err.Error()) > 300) {
				t.Errorf("the error is not fit to be shown: %q", err)
			}
		})
	}
}

// TestNewKey: a key that is not text is refused as one that is.
func TestNewKey(t *testing.T) {
	ec := ecdsaKey(t, elliptic.P256())
	for name, tt := range map[string]struct {
		key  crypto.PublicKey
		hash string
		want string // of the error; empty wants none
	}{
		"ECDSA":          {key: ec.Public()},
		"RSA":            {key: rsaKey(t, 2048).Public(), hash: "sha512"},
		"Ed25519":        {key: ed25519Key(t).Public()},
		"no key":         {want: "not supported"},
		"a private key":  {key: ec, want: "not supported"},
		"a short key":    {key: ed25519.PublicKey("short"), want: "5 bytes"},
		"another curve":  {key: ecdsaKey(t, elliptic.P224()).Public(), want: "P-224"},
		"a weak hash":    {key: ec.Public(), hash: "sha1", want: "none of"},
		"RSA that is no": {key: &rsa.PublicKey{N: big.NewInt(15), E: 3}, want: "4 bits"},
	} {
		t.Run(name, func(t *testing.T) {
			key, err := verify.NewKey(tt.key, tt.hash)
			if tt.want == "" && err != nil {
				t.Fatal(err)
			}
			if tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got %v, error %v, want one that says %q", key, err, tt.want)
			}
		})
	}
}

// dsaSPKI is a SubjectPublicKeyInfo with a DSA key, which Go parses.
func dsaSPKI(t testing.TB) []byte {
	t.Helper()
	var _ dsa.PublicKey // the type that ParsePKIXPublicKey returns for it
	parameters, err := asn1.Marshal(struct{ P, Q, G *big.Int }{big.NewInt(23), big.NewInt(11), big.NewInt(4)})
	if err != nil {
		t.Fatal(err)
	}
	y, err := asn1.Marshal(big.NewInt(8))
	if err != nil {
		t.Fatal(err)
	}
	type algorithm struct {
		ID         asn1.ObjectIdentifier
		Parameters asn1.RawValue
	}
	der, err := asn1.Marshal(struct {
		Algorithm algorithm
		Key       asn1.BitString
	}{algorithm{asn1.ObjectIdentifier{1, 2, 840, 10040, 4, 1}, asn1.RawValue{FullBytes: parameters}}, asn1.BitString{Bytes: y, BitLength: 8 * len(y)}})
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func offCurve(_ testing.TB, der []byte) []byte {
	changed := append([]byte{}, der...)
	changed[len(changed)-1] ^= 1
	return changed
}

func TestKeyIsNamedByItsSPKI(t *testing.T) {
	ec := ecdsaKey(t, elliptic.P256())
	der := spki(t, ec.Public())
	key, err := verify.ParseKey([]byte(block("PUBLIC KEY", der)), "")
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("key sha256:%x", sha256.Sum256(der)); key.String() != want {
		t.Errorf("got %s, want %s", key, want)
	}
}

// TestOtherKeysOfTheFixtures: the key of another person and the key of a log are
// keys as good as any, and have signed nothing.
func TestOtherKeysOfTheFixtures(t *testing.T) {
	for _, name := range []string{"other.pub", "rekor2.pub"} {
		text, err := os.ReadFile("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		for _, fixture := range []string{"v2-legacy", "v3-bundle"} {
			recorded, signatures := load(t, fixture)
			a := recordedAuthority(t, string(text), "")
			want(t, a.Verify(t.Context(), recorded.Digest, signatures), verify.KeyMismatch)
		}
	}
}

// TestDefaultHashAlgorithm is what sigstore's clients choose.
func TestDefaultHashAlgorithm(t *testing.T) {
	for name, tt := range map[string]struct {
		key  crypto.Signer
		want string
	}{
		"P-256":            {ecdsaKey(t, elliptic.P256()), "sha256"},
		"P-384":            {ecdsaKey(t, elliptic.P384()), "sha384"},
		"P-521":            {ecdsaKey(t, elliptic.P521()), "sha512"},
		"RSA of 4096 bits": {rsaKey(t, 4096), "sha256"},
		"Ed25519":          {ed25519Key(t), "sha256"},
	} {
		t.Run(name, func(t *testing.T) {
			text := verifytest.NewSignerWithKey(tt.key, crypto.SHA256).PEM()
			if got := verify.DefaultHashAlgorithm(text); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	if got := verify.DefaultHashAlgorithm([]byte("no key")); got != "" {
		t.Errorf("got %q for what is no key", got)
	}
}
