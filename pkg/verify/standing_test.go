// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"testing"

	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/verify"
	"github.com/countersign-dev/countersign/pkg/verify/verifytest"
)

// TestSameTrust: what an authority found before counts for another one only if nothing that
// either of them trusts differs.
func TestSameTrust(t *testing.T) {
	k, w := newKeyless(t), newWorld(t)
	rootOf := func() root.TrustedMaterial {
		return verifytest.TrustRoot([]root.CertificateAuthority{k.ca}, k.ctLogs, nil)
	}
	first, second := rootOf(), rootOf()
	other := proverFor(t, "other", w.log, nil, tlog.NewMemoryHistory())
	stranger := keyOf(t, verifytest.NewSigner(), "")
	keyed := func(change func(*verify.Authority)) *verify.Authority {
		a := *w.authority
		a.Keys = []verify.Key{keyOf(t, w.signer, "")}
		if change != nil {
			change(&a)
		}
		return &a
	}
	certified := func(change func(*verify.Authority)) *verify.Authority {
		a := k.authority
		a.Keyless = &verify.Keyless{Root: first}
		if change != nil {
			change(&a)
		}
		return &a
	}
	for name, tt := range map[string]struct {
		a, b *verify.Authority
		want bool
	}{
		"the same key, parsed again":        {keyed(nil), keyed(nil), true},
		"another key":                       {keyed(nil), keyed(func(a *verify.Authority) { a.Keys = []verify.Key{stranger} }), false},
		"one key more":                      {keyed(nil), keyed(func(a *verify.Authority) { a.Keys = append(a.Keys, stranger) }), false},
		"the same key with another hash":    {keyed(nil), keyed(func(a *verify.Authority) { a.Keys = []verify.Key{keyOf(t, w.signer, "sha512")} }), false},
		"another name":                      {keyed(nil), keyed(func(a *verify.Authority) { a.Name = "other" }), false},
		"another log of the same key":       {keyed(nil), keyed(func(a *verify.Authority) { a.Logs = []*tlog.Prover{other} }), false},
		"no log":                            {keyed(nil), keyed(func(a *verify.Authority) { a.Logs = nil }), false},
		"a TSA more":                        {keyed(nil), keyed(func(a *verify.Authority) { a.TimestampRoot = first }), false},
		"the same root":                     {certified(nil), certified(nil), true},
		"the same root, read again":         {certified(nil), certified(func(a *verify.Authority) { a.Keyless.Root = second }), false},
		"the same TSA":                      {certified(func(a *verify.Authority) { a.TimestampRoot = first }), certified(func(a *verify.Authority) { a.TimestampRoot = first }), true},
		"a certificate in a key's place":    {keyed(func(a *verify.Authority) { a.Keys = nil }), certified(func(a *verify.Authority) { a.Name, a.Logs = w.authority.Name, w.authority.Logs }), false},
		"a root that cannot be compared":    {certified(func(a *verify.Authority) { a.Keyless.Root = listed{} }), certified(func(a *verify.Authority) { a.Keyless.Root = listed{} }), false},
		"what the policy says is different": {keyed(nil), keyed(func(a *verify.Authority) { a.LogThreshold = 1 }), true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := tt.a.SameTrust(tt.b); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
			if got := tt.b.SameTrust(tt.a); got != tt.want {
				t.Errorf("the other way round: got %v, want %v", got, tt.want)
			}
		})
	}
}

// listed is a trust root that == would panic on.
type listed struct {
	*root.BaseTrustedMaterial
	_ []int
}
