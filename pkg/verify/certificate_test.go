// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"crypto/elliptic"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"slices"
	"testing"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/countersign-dev/countersign/pkg/verify"
	"github.com/countersign-dev/countersign/pkg/verify/verifytest"
)

// Usages that are none of code signing.
var anyUsage, serverAuth = asn1.ObjectIdentifier{2, 5, 29, 37, 0}, asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 1}

// certificateCase is a certificate that is not what it should be.
type certificateCase struct {
	leaf  []verifytest.Change
	world func(testing.TB, *keyless)
	// der replaces the certificate.
	der func(testing.TB, *keyless) []byte
	// late is set where the certificate was good at first: then the log is asked
	// when that was.
	late bool
}

// signer is the signer with the certificate.
func (c certificateCase) signer(t testing.TB, k *keyless) *verifytest.Signer {
	t.Helper()
	if c.world != nil {
		c.world(t, k)
	}
	if c.der != nil {
		return k.signer.With(c.der(t, k))
	}
	return k.certified(c.leaf...)
}

// badCertificates: each is by the right key, over the right image, for the right
// identity and in the log; only the certificate is not what it should be. GHSA-wfqv-66vq-46rm
// (expired intermediate) is among them.
func badCertificates() map[string]certificateCase {
	intermediate := func(changes ...verifytest.Change) func(testing.TB, *keyless) {
		return func(_ testing.TB, k *keyless) {
			k.fulcio.Intermediate = k.fulcio.Root.Intermediate("fulcio-intermediate.example.test", x509.ExtKeyUsageCodeSigning, changes...)
			k.ca = k.fulcio.Authority()
		}
	}
	window := func(from, to time.Duration) func(testing.TB, *keyless) {
		return func(_ testing.TB, k *keyless) {
			k.ca.ValidityPeriodStart, k.ca.ValidityPeriodEnd = verifytest.SigningTime().Add(from), verifytest.SigningTime().Add(to)
		}
	}
	return map[string]certificateCase{
		"without an extended key usage":         {leaf: []verifytest.Change{func(c *x509.Certificate) { c.ExtKeyUsage = nil }}},
		"for servers":                           {leaf: []verifytest.Change{usage(serverAuth)}},
		"for any usage":                         {leaf: []verifytest.Change{usage(anyUsage)}},
		"for a usage that nobody knows":         {leaf: []verifytest.Change{usage(asn1.ObjectIdentifier{1, 2, 3, 4})}},
		"for timestamps":                        {leaf: []verifytest.Change{func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageTimeStamping} }}},
		"of a key that may only sign others":    {leaf: []verifytest.Change{func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCertSign }}},
		"of a key that may only encrypt":        {leaf: []verifytest.Change{func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment }}},
		"that is a CA's":                        {leaf: []verifytest.Change{func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true }}},
		"with a critical extension of its own":  {leaf: []verifytest.Change{critical(asn1.ObjectIdentifier{1, 2, 3, 4})}},
		"expired before it was used":            {leaf: []verifytest.Change{verifytest.Valid(-10*time.Minute, -time.Second)}, late: true},
		"not valid yet when it was used":        {leaf: []verifytest.Change{verifytest.Valid(time.Second, 10*time.Minute)}, late: true},
		"valid until before it is valid":        {leaf: []verifytest.Change{verifytest.Valid(time.Minute, -time.Minute)}},
		"of an intermediate that had expired":   {world: intermediate(verifytest.Valid(-time.Hour, -2*time.Minute))},
		"of an intermediate that expired since": {world: intermediate(verifytest.Valid(-time.Hour, -time.Second)), late: true},
		"of an intermediate from the future":    {world: intermediate(verifytest.Valid(time.Hour, 2*time.Hour))},
		"of an intermediate for servers":        {world: intermediate(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })},
		"of an intermediate that is no CA":      {world: intermediate(func(c *x509.Certificate) { c.IsCA = false })},
		"of a root that had expired":            {world: expiredRoot},
		"of a CA that is no longer trusted":     {world: window(-time.Hour, -2*time.Minute)},
		"of a CA that was no longer trusted":    {world: window(-time.Hour, -time.Second), late: true},
		"of a CA that is not trusted yet":       {world: window(time.Second, time.Hour)},
		"under an intermediate that nobody has": {world: func(_ testing.TB, k *keyless) { k.ca.Intermediates = nil }},
		"of a CA that may only name mail":       {world: intermediate(func(c *x509.Certificate) { c.PermittedURIDomains = []string{"example.test"} })},
		"of a CA that may not name the domain":  {world: intermediate(func(c *x509.Certificate) { c.ExcludedURIDomains = []string{"github.com"} })},
		"below a CA that may have none below it": {world: func(_ testing.TB, k *keyless) {
			k.fulcio.Root = verifytest.NewRoot("narrow", func(c *x509.Certificate) { c.MaxPathLen, c.MaxPathLenZero = 0, true })
			intermediate()(nil, k)
		}},
		"self-signed": {der: func(_ testing.TB, k *keyless) []byte {
			k.fulcio.CT = nil
			return verifytest.SelfSigned(k.signer).Raw
		}},
		"self-signed in the name of the CA": {der: func(_ testing.TB, k *keyless) []byte {
			return verifytest.SelfSigned(k.signer, func(c *x509.Certificate) {
				c.Subject, c.Issuer = k.fulcio.Intermediate.Certificate.Subject, k.fulcio.Intermediate.Certificate.Subject
			}).Raw
		}},
		"of another CA":                     {der: func(_ testing.TB, k *keyless) []byte { return verifytest.NewFulcio().Issue(k.signer.Public()) }},
		"of another CA, in the same CT log": {der: func(_ testing.TB, k *keyless) []byte { return sameLog(k).Issue(k.signer.Public()) }},
		"signed by a leaf certificate":      {der: belowALeaf},
		"with a signature of one byte less": {der: func(_ testing.TB, k *keyless) []byte { return broken(k.fulcio.Issue(k.signer.Public())) }},
		"of the timestamp authority": {der: func(_ testing.TB, k *keyless) []byte {
			return k.tsa.Intermediate.Sign(verifytest.Leaf(), k.signer.Public())
		}},
		"with a name of the other kind that is not Fulcio's": {leaf: []verifytest.Change{verifytest.Names(verifytest.Name{Tag: verifytest.OtherNameTag, Value: foreignOtherName()})}},
		"without a name":                  {leaf: []verifytest.Change{func(c *x509.Certificate) { c.URIs = nil }}},
		"for a host name alone":           {leaf: []verifytest.Change{func(c *x509.Certificate) { c.URIs, c.DNSNames = nil, []string{"github.com"} }}},
		"for two URIs":                    {leaf: []verifytest.Change{names(uri(verifytest.Subject), uri("https://evil.example/"))}},
		"for two URIs, the other first":   {leaf: []verifytest.Change{names(uri("https://evil.example/"), uri(verifytest.Subject))}},
		"for one URI twice":               {leaf: []verifytest.Change{names(uri(verifytest.Subject), uri(verifytest.Subject))}},
		"for a URI and mail":              {leaf: []verifytest.Change{names(uri(verifytest.Subject), verifytest.Name{Tag: verifytest.EmailTag, Value: []byte("a@example.test")})}},
		"for a URI and a host name":       {leaf: []verifytest.Change{names(uri(verifytest.Subject), verifytest.Name{Tag: verifytest.DNSTag, Value: []byte("github.com")})}},
		"for a URI and another name":      {leaf: []verifytest.Change{names(uri(verifytest.Subject), verifytest.OtherName("x"))}},
		"for two other names":             {leaf: []verifytest.Change{names(verifytest.OtherName(verifytest.Subject), verifytest.OtherName("x"))}},
		"for no name in the extension":    {leaf: []verifytest.Change{names()}},
		"for an empty URI":                {leaf: []verifytest.Change{names(uri(""))}},
		"that names two issuers":          {leaf: []verifytest.Change{verifytest.IssuedByNobody, verifytest.Extension(1, "https://evil.example"), verifytest.Extension(8, verifytest.Issuer)}},
		"that names two, new first":       {leaf: []verifytest.Change{verifytest.IssuedByNobody, verifytest.Extension(8, "https://evil.example"), verifytest.Extension(1, verifytest.Issuer)}},
		"whose issuer is no string":       {leaf: []verifytest.Change{verifytest.IssuedByNobody, verifytest.RawExtension(8, []byte(verifytest.Issuer))}},
		"whose issuer has a tail":         {leaf: []verifytest.Change{verifytest.IssuedByNobody, verifytest.RawExtension(8, append(derString(verifytest.Issuer), 0))}},
		"whose token subject is a number": {leaf: []verifytest.Change{verifytest.RawExtension(24, []byte{2, 1, 7})}},
		"whose runner is a number":        {leaf: []verifytest.Change{verifytest.RawExtension(11, []byte{2, 1, 7})}},
	}
}

func TestBadCertificates(t *testing.T) {
	for name, tt := range badCertificates() {
		t.Run(name, func(t *testing.T) {
			for _, form := range forms() {
				t.Run(form.name, func(t *testing.T) {
					k := newKeyless(t)
					signer := tt.signer(t, k)
					judge := form.judge(t, k, signer)
					before := k.server.Requests.Load()
					want(t, judge(), verify.CertificateInvalid)
					if asked := k.server.Requests.Load() - before; asked != 0 && !tt.late {
						t.Errorf("the log was asked %d times on behalf of a certificate that was never good", asked)
					}
				})
			}
		})
	}
}

func usage(usages ...asn1.ObjectIdentifier) verifytest.Change {
	return func(c *x509.Certificate) {
		c.ExtKeyUsage = nil
		c.ExtraExtensions = append(c.ExtraExtensions, verifytest.Usage(false, usages...))
	}
}

func critical(id asn1.ObjectIdentifier) verifytest.Change {
	return func(c *x509.Certificate) {
		c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: id, Critical: true, Value: asn1.NullBytes})
	}
}

func names(all ...verifytest.Name) verifytest.Change { return verifytest.Names(all...) }

func uri(text string) verifytest.Name {
	return verifytest.Name{Tag: verifytest.URITag, Value: []byte(text)}
}

func derString(text string) []byte {
	raw, err := asn1.MarshalWithParams(text, "utf8")
	if err != nil {
		panic(err)
	}
	return raw
}

// foreignOtherName is Kerberos' kind of name, 1.3.6.1.5.2.2.
func foreignOtherName() []byte {
	id, err := asn1.Marshal(asn1.ObjectIdentifier{1, 3, 6, 1, 5, 2, 2})
	if err != nil {
		panic(err)
	}
	own := verifytest.OtherName(verifytest.Subject).Value
	return append(id, own[12:]...)
}

func expiredRoot(_ testing.TB, k *keyless) {
	k.fulcio.Root = verifytest.NewRoot("old", verifytest.Valid(-2*time.Hour, -time.Hour))
	k.fulcio.Intermediate = k.fulcio.Root.Intermediate("below", x509.ExtKeyUsageCodeSigning)
	k.ca = k.fulcio.Authority()
}

// sameLog is another CA that the trusted CT log takes, too.
func sameLog(k *keyless) *verifytest.Fulcio {
	other := verifytest.NewFulcio()
	other.CT = k.fulcio.CT
	return other
}

// belowALeaf is signed with the key of a good leaf certificate.
func belowALeaf(t testing.TB, k *keyless) []byte {
	t.Helper()
	key := ecdsaKey(t, elliptic.P256())
	leaf, err := x509.ParseCertificate(k.fulcio.Issue(key.Public()))
	if err != nil {
		t.Fatal(err)
	}
	k.ca.Intermediates = append(k.ca.Intermediates, leaf)
	return verifytest.Pair{Certificate: leaf, Key: key}.Sign(verifytest.Leaf(), k.signer.Public())
}

// broken changes the last byte of a certificate, which is in its signature.
func broken(der []byte) []byte {
	changed := slices.Clone(der)
	changed[len(changed)-1] ^= 1
	return changed
}

// badPromises: no trusted CT log has seen the certificate.
func badPromises() map[string]func(testing.TB, *keyless) []byte {
	return map[string]func(testing.TB, *keyless) []byte{
		"no promise": func(_ testing.TB, k *keyless) []byte {
			k.fulcio.CT = nil
			return k.fulcio.Issue(k.signer.Public())
		},
		"an empty list of promises": func(_ testing.TB, k *keyless) []byte {
			list := verifytest.PromiseList([]byte("x"))
			list.Value = []byte{4, 2, 0, 0}
			return promised(k, list)
		},
		"of another log": func(_ testing.TB, k *keyless) []byte {
			k.fulcio.CT = []*verifytest.CTLog{verifytest.NewCTLog()}
			return k.fulcio.Issue(k.signer.Public())
		},
		"of another log under the trusted one's ID": func(_ testing.TB, k *keyless) []byte {
			other, id := verifytest.NewCTLog(), k.fulcio.CT[0].ID()
			template := verifytest.Leaf()
			promise := other.Promise(k.fulcio.Intermediate, template, k.signer.Public())
			copy(promise[1:33], id[:]) // version, then log ID: RFC 6962 section 3.2
			return promisedFor(k, template, promise)
		},
		"of another certificate of the same key": func(_ testing.TB, k *keyless) []byte {
			return promised(k, promiseOf(k.fulcio.Issue(k.signer.Public())))
		},
		"of a certificate for another identity, otherwise the same": func(_ testing.TB, k *keyless) []byte {
			seen := verifytest.Leaf()
			verifytest.URI("https://github.com/org/repo/.github/workflows/release.yml@refs/heads/dev")(seen)
			promise := k.fulcio.CT[0].Promise(k.fulcio.Intermediate, seen, k.signer.Public())
			verifytest.URI(verifytest.Subject)(seen)
			return promisedFor(k, seen, promise)
		},
		"of the same certificate below another CA": func(_ testing.TB, k *keyless) []byte {
			template := verifytest.Leaf()
			issuer := verifytest.NewFulcio().Intermediate
			return promisedFor(k, template, k.fulcio.CT[0].Promise(issuer, template, k.signer.Public()))
		},
		"with another time than was signed": func(_ testing.TB, k *keyless) []byte {
			template := verifytest.Leaf()
			promise := k.fulcio.CT[0].Promise(k.fulcio.Intermediate, template, k.signer.Public())
			promise[40] ^= 1 // the last byte of the time
			return promisedFor(k, template, promise)
		},
		"with a changed signature": func(_ testing.TB, k *keyless) []byte {
			template := verifytest.Leaf()
			return promisedFor(k, template, broken(k.fulcio.CT[0].Promise(k.fulcio.Intermediate, template, k.signer.Public())))
		},
		"that is half of one": func(_ testing.TB, k *keyless) []byte {
			template := verifytest.Leaf()
			return promisedFor(k, template, k.fulcio.CT[0].Promise(k.fulcio.Intermediate, template, k.signer.Public())[:40])
		},
		"in an extension that is no octet string": func(_ testing.TB, k *keyless) []byte {
			list := promiseOf(k.fulcio.Issue(k.signer.Public()))
			list.Value = slices.Concat([]byte{0x30}, list.Value[1:])
			return promised(k, list)
		},
		"in an extension with a tail": func(_ testing.TB, k *keyless) []byte {
			list := promiseOf(k.fulcio.Issue(k.signer.Public()))
			list.Value = append(list.Value, 5, 0)
			return promised(k, list)
		},
		"that is one byte": func(_ testing.TB, k *keyless) []byte { return promisedFor(k, verifytest.Leaf(), []byte{0}) },
		"of a list that is no list": func(_ testing.TB, k *keyless) []byte {
			list := verifytest.PromiseList([]byte("x"))
			list.Value = []byte{4, 1, 7}
			return promised(k, list)
		},
	}
}

func TestBadPromises(t *testing.T) {
	for name, tt := range badPromises() {
		t.Run(name, func(t *testing.T) {
			for _, form := range forms() {
				t.Run(form.name, func(t *testing.T) {
					k := newKeyless(t)
					judge := form.judge(t, k, k.signer.With(tt(t, k)))
					want(t, judge(), verify.SCTInvalid)
					if asked := k.server.Requests.Load(); asked != 0 {
						t.Errorf("the log was asked %d times", asked)
					}
					// Only the promise is wrong.
					k.ignoreSCT = true
					want(t, judge(), verified)
				})
			}
		})
	}
}

// TestLeafThatTheTrustRootHolds in the place of a CA has no issuer, whose key a CT log's
// promise would be about.
func TestLeafThatTheTrustRootHolds(t *testing.T) {
	k := newKeyless(t)
	signer := k.certified()
	held, err := x509.ParseCertificate(signer.Leaf())
	if err != nil {
		t.Fatal(err)
	}
	held.UnhandledCriticalExtensions = nil
	k.ca = &root.FulcioCertificateAuthority{Root: held}
	want(t, k.trusts(t).Verify(t.Context(), imageA, []verify.Signature{k.legacyBy(signer)}), verify.SCTInvalid)
}

func promisedFor(k *keyless, template *x509.Certificate, promises ...[]byte) []byte {
	template.ExtraExtensions = append(template.ExtraExtensions, verifytest.PromiseList(promises...))
	return k.fulcio.Intermediate.Sign(template, k.signer.Public())
}

func promised(k *keyless, list pkix.Extension) []byte {
	template := verifytest.Leaf()
	template.ExtraExtensions = append(template.ExtraExtensions, list)
	return k.fulcio.Intermediate.Sign(template, k.signer.Public())
}

// promiseOf is the extension with promises of a certificate.
func promiseOf(der []byte) pkix.Extension {
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	at := slices.IndexFunc(leaf.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(verifytest.PromiseList([]byte("x")).Id) })
	return leaf.Extensions[at]
}

// TestCTLogOutsideItsValidity: a log that was not in service when it promised.
func TestCTLogOutsideItsValidity(t *testing.T) {
	for name, tt := range map[string]struct {
		from, to time.Duration
		want     verify.Reason
	}{
		"in service":               {from: -time.Second, to: time.Second, want: verified},
		"in service to the second": {want: verified},
		"not in service yet":       {from: time.Second, to: time.Hour, want: verify.SCTInvalid},
		"no longer in service":     {from: -time.Hour, to: -time.Second, want: verify.SCTInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKeyless(t)
			id, instance := k.ctLogs[0].Trusted()
			instance.ValidityPeriodStart, instance.ValidityPeriodEnd = verifytest.SigningTime().Add(tt.from), verifytest.SigningTime().Add(tt.to)
			authority := k.trusts(t)
			bounded, err := root.NewTrustedRoot(root.TrustedRootMediaType01, []root.CertificateAuthority{k.ca}, map[string]*root.TransparencyLog{id: instance}, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			authority.Keyless.Root = bounded
			want(t, authority.Verify(t.Context(), imageA, []verify.Signature{k.legacyBy(k.certified())}), tt.want)
		})
	}
}

// TestOneOfSeveralCAs: rotation puts a CA beside another, each with its window.
func TestOneOfSeveralCAs(t *testing.T) {
	k := newKeyless(t)
	next := verifytest.NewFulcio()
	next.CT = k.fulcio.CT
	older, newer := k.fulcio.Authority(), next.Authority()
	older.ValidityPeriodEnd = verifytest.SigningTime().Add(time.Minute)
	newer.ValidityPeriodStart = verifytest.SigningTime().Add(time.Minute)
	authority := k.trusts(t)
	authority.Keyless.Root = verifytest.TrustRoot([]root.CertificateAuthority{newer, older}, k.ctLogs, nil)
	want(t, authority.Verify(t.Context(), imageA, []verify.Signature{k.legacyBy(k.certified())}), verified)
	early := k.signer.With(next.Issue(k.signer.Public()))
	want(t, authority.Verify(t.Context(), imageA, []verify.Signature{k.legacyBy(early)}), verify.CertificateInvalid)
}
