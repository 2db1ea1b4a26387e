// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"testing"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/verify"
	"github.com/countersign-dev/countersign/pkg/verify/verifytest"
)

// timeStamping is the one usage that a timestamp authority may have.
var timeStamping = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 8}

// TestTimestampAuthorities: the timestamp is over the right bytes at the right time;
// only whose it is, is not what it should be. Each is asked both ways: with the
// authority's certificate in the trust root, and with its CA alone.
func TestTimestampAuthorities(t *testing.T) {
	usages := func(critical bool, all ...asn1.ObjectIdentifier) verifytest.Change {
		return func(c *x509.Certificate) {
			c.ExtraExtensions = nil
			if len(all) > 0 {
				c.ExtraExtensions = append(c.ExtraExtensions, verifytest.Usage(critical, all...))
			}
		}
	}
	below := func(intermediate ...verifytest.Change) func() *verifytest.TSA {
		return func() *verifytest.TSA {
			top := verifytest.NewRoot("tsa.example.test")
			return verifytest.NewTSABelow(top, top.Intermediate("tsa-intermediate.example.test", x509.ExtKeyUsageTimeStamping, intermediate...))
		}
	}
	with := func(leaf ...verifytest.Change) func() *verifytest.TSA {
		return func() *verifytest.TSA { return verifytest.NewTSA(leaf...) }
	}
	since := func(d time.Duration) verifytest.Change {
		return func(c *x509.Certificate) { c.NotBefore = verifytest.SigningTime().Add(d) }
	}
	until := func(d time.Duration) verifytest.Change {
		return func(c *x509.Certificate) { c.NotAfter = verifytest.SigningTime().Add(d) }
	}
	window := func(from, to time.Duration) func(*root.SigstoreTimestampingAuthority) {
		return func(a *root.SigstoreTimestampingAuthority) {
			a.ValidityPeriodStart, a.ValidityPeriodEnd = verifytest.SigningTime().Add(from), verifytest.SigningTime().Add(to)
		}
	}
	for name, tt := range map[string]struct {
		tsa   func() *verifytest.TSA
		trust func(*root.SigstoreTimestampingAuthority)
		want  verify.Reason
	}{
		"good":                                  {want: verified},
		"without the usage":                     {tsa: with(usages(false)), want: verify.TimestampInvalid},
		"for code signing":                      {tsa: with(usages(true, asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 3})), want: verify.TimestampInvalid},
		"for any usage":                         {tsa: with(usages(true, anyUsage)), want: verify.TimestampInvalid},
		"whose usage is not critical":           {tsa: with(usages(false, timeStamping)), want: verify.TimestampInvalid},
		"with a second usage":                   {tsa: with(usages(true, timeStamping, serverAuth)), want: verify.TimestampInvalid},
		"with a second usage that nobody knows": {tsa: with(usages(true, timeStamping, asn1.ObjectIdentifier{1, 2, 3, 4})), want: verify.TimestampInvalid},
		"that is a CA":                          {tsa: with(func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true }), want: verify.TimestampInvalid},
		"with a critical extension of its own": {tsa: with(func(c *x509.Certificate) {
			c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Critical: true, Value: asn1.NullBytes})
		}), want: verify.TimestampInvalid},
		"that had expired":                       {tsa: with(until(-time.Hour)), want: verify.TimestampInvalid},
		"that was not valid yet":                 {tsa: with(since(time.Hour)), want: verify.TimestampInvalid},
		"whose intermediate had expired":         {tsa: below(until(-time.Second)), want: verify.TimestampInvalid},
		"whose intermediate expired since":       {tsa: below(until(time.Second)), want: verified},
		"whose intermediate was not valid yet":   {tsa: below(since(time.Second)), want: verify.TimestampInvalid},
		"whose intermediate is for code signing": {tsa: below(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning} }), want: verify.TimestampInvalid},
		"outside its window, before":             {trust: window(time.Second, time.Hour), want: verify.TimestampInvalid},
		"outside its window, after":              {trust: window(-time.Hour, -time.Second), want: verify.TimestampInvalid},
		"in its window to the second":            {trust: window(0, 0), want: verified},
		"whose root nobody trusts":               {trust: func(a *root.SigstoreTimestampingAuthority) { a.Root = verifytest.NewRoot("other").Certificate }, want: verify.TimestampInvalid},
		"without a root":                         {trust: func(a *root.SigstoreTimestampingAuthority) { a.Root = nil }, want: verify.TimestampInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			for form, leafless := range map[string]bool{"its certificate trusted": false, "its CA trusted": true} {
				t.Run(form, func(t *testing.T) {
					k := newKeyless(t)
					if tt.tsa != nil {
						k.tsa = tt.tsa()
					}
					authority := k.tsa.Authority()
					if leafless {
						authority.Leaf = nil
					}
					if tt.trust != nil {
						tt.trust(authority)
					}
					k.stampers = []root.TimestampingAuthority{authority}
					want(t, k.stampedBy(t, k.tsa.Stamp), tt.want)
				})
			}
		})
	}
}

// stampedBy is the verdict on a bundle that has one timestamp, made as said, and no
// promise of the log.
func (k *keyless) stampedBy(t testing.TB, stamp func(signature []byte, at time.Time) []byte) verify.Verdict {
	t.Helper()
	var s signed
	s.bundle, s.entry, s.signature = k.bundleBy(k.certified())
	b := s.promise(nil).Stamped(stamp(s.signature, verifytest.SigningTime()))
	return k.trusts(t).Verify(t.Context(), imageA, []verify.Signature{b.Verify()})
}

// TestForgedTimestamps: GHSA-xm5m-wgh2-rrg3. Somebody signs in the authority's name,
// and shows its certificate.
func TestForgedTimestamps(t *testing.T) {
	k := newKeyless(t)
	top, intermediate := k.tsa.Root, k.tsa.Intermediate
	// A certificate of the same CA that is not for timestamps.
	server := verifytest.NewTSABelow(top, intermediate, func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{verifytest.Usage(true, serverAuth)}
	}).Leaf
	self := verifytest.NewTSA().Leaf
	// Another one that is, and that the trust root does not name.
	sibling := verifytest.NewTSABelow(top, intermediate).Leaf
	genuine, issuer := k.tsa.Leaf.Certificate, intermediate.Certificate
	for name, tt := range map[string]struct {
		by    verifytest.Pair
		shown []*x509.Certificate
		want  verify.Reason // with the authority's certificate trusted
		loose verify.Reason // with its CA alone trusted
	}{
		"by the authority itself":                          {by: k.tsa.Leaf, want: verified, loose: verified},
		"by the authority, who shows others' certificates": {by: k.tsa.Leaf, shown: []*x509.Certificate{server.Certificate, self.Certificate}, want: verified, loose: verified},
		"by a server of the same CA":                       {by: server, want: verify.TimestampInvalid, loose: verify.TimestampInvalid},
		"by a server that shows the authority's first":     {by: server, shown: []*x509.Certificate{genuine}, want: verify.TimestampInvalid, loose: verify.TimestampInvalid},
		"by a server that shows all of them":               {by: server, shown: []*x509.Certificate{genuine, issuer, top.Certificate}, want: verify.TimestampInvalid, loose: verify.TimestampInvalid},
		"by nobody, who shows the authority's":             {by: self, shown: []*x509.Certificate{genuine, issuer}, want: verify.TimestampInvalid, loose: verify.TimestampInvalid},
		"by another authority of the same CA":              {by: sibling, shown: []*x509.Certificate{genuine}, want: verify.TimestampInvalid, loose: verified},
		"by the CA itself":                                 {by: intermediate, shown: []*x509.Certificate{genuine}, want: verify.TimestampInvalid, loose: verify.TimestampInvalid},
		"by another key under the authority's name":        {by: verifytest.Pair{Certificate: genuine, Key: server.Key}, want: verify.TimestampInvalid, loose: verify.TimestampInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			forge := func(signature []byte, at time.Time) []byte {
				return verifytest.Forge(k.tsa.Stamp(signature, at), tt.by, tt.shown...)
			}
			authority := k.tsa.Authority()
			k.stampers = []root.TimestampingAuthority{authority}
			want(t, k.stampedBy(t, forge), tt.want)
			authority.Leaf = nil
			want(t, k.stampedBy(t, forge), tt.loose)
		})
	}
}

// TestTimestampRequired: a policy asks for a timestamp, of keys and of certificates.
// It adds to what is asked for: what is not in the log is not in the log.
func TestTimestampRequired(t *testing.T) {
	k := newKeyless(t)
	other, own := verifytest.NewTSA(), verifytest.NewTSA()
	k.stampers = []root.TimestampingAuthority{own.Authority()} // of the trust root that certificates chain to
	asked := verifytest.TrustRoot(nil, nil, []root.TimestampingAuthority{k.tsa.Authority()})
	keyed := &verify.Authority{Keys: []verify.Key{keyOf(t, k.signer, "")}, Logs: k.authority.Logs, TimestampRoot: asked}
	certified := k.trusts(t)
	certified.TimestampRoot = asked
	at := verifytest.SigningTime()
	for name, tt := range map[string]struct {
		stamps func(signature []byte) [][]byte
		keyed  verify.Reason
		cert   verify.Reason
	}{
		"none":                       {stamps: func([]byte) [][]byte { return nil }, keyed: verify.TimestampInvalid, cert: verify.TimestampInvalid},
		"a good one":                 {stamps: func(s []byte) [][]byte { return [][]byte{k.tsa.Stamp(s, at)} }, keyed: verified, cert: verified},
		"a good one among others":    {stamps: func(s []byte) [][]byte { return [][]byte{{1}, other.Stamp(s, at), k.tsa.Stamp(s, at)} }, keyed: verified, cert: verified},
		"another authority's":        {stamps: func(s []byte) [][]byte { return [][]byte{other.Stamp(s, at)} }, keyed: verify.TimestampInvalid, cert: verify.TimestampInvalid},
		"the CA's trust root's own":  {stamps: func(s []byte) [][]byte { return [][]byte{own.Stamp(s, at)} }, keyed: verify.TimestampInvalid, cert: verify.TimestampInvalid},
		"that and the one asked for": {stamps: func(s []byte) [][]byte { return [][]byte{own.Stamp(s, at), k.tsa.Stamp(s, at)} }, keyed: verified, cert: verified},
		"that, late, and a good one": {stamps: func(s []byte) [][]byte { return [][]byte{own.Stamp(s, at.AddDate(0, 0, 1)), k.tsa.Stamp(s, at)} }, keyed: verified, cert: verify.CertificateInvalid},
		"one over other bytes":       {stamps: func([]byte) [][]byte { return [][]byte{k.tsa.Stamp([]byte("x"), at)} }, keyed: verify.TimestampInvalid, cert: verify.TimestampInvalid},
		"one over the statement":     {stamps: func([]byte) [][]byte { return [][]byte{k.tsa.Stamp(verifytest.Statement(imageA), at)} }, keyed: verify.TimestampInvalid, cert: verify.TimestampInvalid},
		"one from another day":       {stamps: func(s []byte) [][]byte { return [][]byte{k.tsa.Stamp(s, at.AddDate(0, 0, 1))} }, keyed: verified, cert: verify.CertificateInvalid},
		"one with SHA-512":           {stamps: func(s []byte) [][]byte { return [][]byte{k.tsa.StampWith(crypto.SHA512, s, at)} }, keyed: verified, cert: verified},
		"a good one and a late one":  {stamps: func(s []byte) [][]byte { return [][]byte{k.tsa.Stamp(s, at), k.tsa.Stamp(s, at.AddDate(0, 0, 1))} }, keyed: verified, cert: verify.CertificateInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			for _, by := range []struct {
				name      string
				authority *verify.Authority
				signer    *verifytest.Signer
				want      verify.Reason
			}{{"key", keyed, k.signer, tt.keyed}, {"certificate", certified, k.certified(), tt.cert}} {
				t.Run(by.name, func(t *testing.T) {
					b, _, signature := k.bundleBy(by.signer)
					b = b.Stamped(tt.stamps(signature)...)
					want(t, by.authority.Verify(t.Context(), imageA, []verify.Signature{b.Verify()}), by.want)
					// The same with no log entry: a timestamp is no substitute.
					unlogged := by.signer.Envelope(verifytest.PayloadType, verifytest.Statement(imageA))
					none := by.signer.Bundle(unlogged).Stamped(tt.stamps(unlogged.Signatures[0])...)
					want(t, by.authority.Verify(t.Context(), imageA, []verify.Signature{none.Verify()}), verify.NotLogged)
				})
			}
		})
	}
	t.Run("of a log that cannot be reached", func(t *testing.T) {
		b, entry, signature := k.bundleBy(k.signer)
		entry.Inclusion = nil
		b = b.Stamped(k.tsa.Stamp(signature, at)).Set(bundleV01, "mediaType").Set([]any{verifytest.EntryJSON(entry)}, "verificationMaterial", "tlogEntries")
		unreachable := *keyed
		unreachable.Logs = []*tlog.Prover{proverFor(t, "corp", k.log, nil, tlog.NewMemoryHistory())}
		want(t, unreachable.Verify(t.Context(), imageA, []verify.Signature{b.Verify()}), verify.LogUnavailable)
	})
}
