// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"crypto"
	"encoding/hex"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	peer "github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/countersign-dev/countersign/pkg/verify"
	"github.com/countersign-dev/countersign/pkg/verify/verifytest"
)

// asPeer is what sigstore-go's own verifier says of a bundle about imageA, with the
// same trust and the same identity, and as much as it can be asked for.
func (k *keyless) asPeer(t testing.TB, b verify.Bundle) error {
	t.Helper()
	logID := hex.EncodeToString(k.log.ID())
	ctLogs := map[string]*root.TransparencyLog{}
	for _, l := range k.ctLogs {
		id, instance := l.Trusted()
		ctLogs[id] = instance
	}
	trusted, err := root.NewTrustedRoot(root.TrustedRootMediaType01, []root.CertificateAuthority{k.ca}, ctLogs, k.stampers, map[string]*root.TransparencyLog{
		logID: k.logAsPeer(),
	})
	if err != nil {
		t.Fatal(err)
	}
	options := []peer.VerifierOption{peer.WithTransparencyLog(1), peer.WithObserverTimestamps(1)}
	if !k.ignoreSCT {
		options = append(options, peer.WithSignedCertificateTimestamps(1))
	}
	verifier, err := peer.NewVerifier(trusted, options...)
	if err != nil {
		t.Fatal(err)
	}
	identity, err := peer.NewShortCertificateIdentity(k.identities[0].Issuer, k.identities[0].IssuerRegExp, k.identities[0].Subject, k.identities[0].SubjectRegExp)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := hex.DecodeString(imageA[len("sha256:"):])
	if err != nil {
		t.Fatal(err)
	}
	parsed := new(bundle.Bundle)
	if err := parsed.UnmarshalJSON(b.JSON); err != nil {
		return err
	}
	_, err = verifier.Verify(parsed, peer.NewPolicy(peer.WithArtifactDigest("sha256", digest), peer.WithCertificateIdentity(identity)))
	return err
}

// logAsPeer is the log as sigstore-go trusts it.
func (k *keyless) logAsPeer() *root.TransparencyLog {
	return &root.TransparencyLog{
		BaseURL: "https://" + k.log.Hostname, ID: k.log.ID(), HashFunc: crypto.SHA256, SignatureHashFunc: crypto.SHA256,
		PublicKey: k.log.PublicKey(), ValidityPeriodStart: time.Unix(0, 0),
	}
}

// TestAgainstSigstoreGo: whatever is accepted here, sigstore-go accepts as well. We
// may be stricter; where, is listed, and why.
func TestAgainstSigstoreGo(t *testing.T) {
	// What sigstore-go accepts.
	stricter := map[string]string{
		"without an extended key usage":      "crypto/x509: what is for nothing is for all",
		"for any usage":                      "crypto/x509: any usage is this one",
		"of a key that may only sign others": "nobody looks at the usage of a leaf's key",
		"of a key that may only encrypt":     "nobody looks at the usage of a leaf's key",
		"that is a CA's":                     "nobody looks whether a leaf is a CA",
		"for a URI and a host name":          "the first URI counts, whatever is beside it",
		"for a URI and mail":                 "the first URI counts, whatever is beside it",
		"for a URI and another name":         "the first URI counts, whatever is beside it",
		"for one URI twice":                  "the first URI counts, whatever is beside it",
		"for two URIs":                       "the first URI counts, whatever is beside it",
		"that names two issuers":             "the last of the two extensions counts",
		"that names two, new first":          "the last of the two extensions counts",
		"whose token subject is a number":    "it does not know that extension",
		"one more than are allowed":          "32 timestamps are allowed, here 16",
		"two, the second too late":           "a second timestamp by one authority is not looked at",
	}
	found := map[string]string{}
	compare := func(t *testing.T, k *keyless, name string, b verify.Bundle) {
		t.Helper()
		ours := k.trusts(t).Verify(t.Context(), imageA, []verify.Signature{b})
		theirs := k.asPeer(t, b)
		switch {
		case reasonOf(ours) == verified && theirs != nil:
			t.Errorf("accepted, and sigstore-go refuses it: %v", theirs)
		case reasonOf(ours) != verified && theirs == nil:
			found[name] = stricter[name]
			t.Logf("sigstore-go accepts it: %v", ours)
		}
	}
	for name, tt := range badCertificates() {
		t.Run(name, func(t *testing.T) {
			k := newKeyless(t)
			b, _, _ := k.bundleBy(tt.signer(t, k))
			compare(t, k, name, b.Verify())
		})
	}
	for name, tt := range badPromises() {
		t.Run("a promise "+name, func(t *testing.T) {
			k := newKeyless(t)
			b, _, _ := k.bundleBy(k.signer.With(tt(t, k)))
			compare(t, k, name, b.Verify())
		})
	}
	for name, tt := range timeCases() {
		t.Run(name, func(t *testing.T) {
			k := newKeyless(t)
			k.stampers = []root.TimestampingAuthority{k.tsa.Authority()}
			var s signed
			s.bundle, s.entry, s.signature = k.bundleBy(k.certified(tt.leaf...))
			compare(t, k, name, tt.bundle(k, s).Verify())
		})
	}
	for name, leaf := range goodNames() {
		t.Run(name, func(t *testing.T) {
			k := newKeyless(t)
			k.identities[0].Subject = leaf.subject
			b, _, _ := k.bundleBy(k.certified(leaf.names))
			want(t, k.trusts(t).Verify(t.Context(), imageA, []verify.Signature{b.Verify()}), verified)
			compare(t, k, name, b.Verify())
		})
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(stricter)), slices.Sorted(maps.Keys(found))); diff != "" {
		t.Error("stricter than sigstore-go, listed (-) and found (+):\n", diff)
	}
}

// goodNames are leaves of each kind of name.
func goodNames() map[string]struct {
	subject string
	names   verifytest.Change
} {
	return map[string]struct {
		subject string
		names   verifytest.Change
	}{
		"a URI":        {subject: verifytest.Subject, names: verifytest.URI(verifytest.Subject)},
		"mail":         {subject: "ops@example.test", names: verifytest.Email("ops@example.test")},
		"another name": {subject: "builder!example.test", names: verifytest.Names(verifytest.OtherName("builder!example.test"))},
	}
}
