// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"errors"
	"strings"
	"testing"

	"github.com/sigstore/sigstore-go/pkg/root"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/trust/trusttest"
)

func TestAnAuthorityMeansOneTrustRootAndNoneThatNobodyConfigured(t *testing.T) {
	corp, old, other := trusttest.NewCA("corp", far()), trusttest.NewCA("old", far()), trusttest.NewCA("other", far())
	object := func(name string, authorities ...v1alpha1.CertificateAuthority) v1alpha1.TrustRoot {
		return v1alpha1.TrustRoot{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.TrustRootSpec{SigstoreKeys: &v1alpha1.SigstoreKeys{
			CertificateAuthorities: authorities, CTLogs: []v1alpha1.TransparencyLogInstance{{BaseURL: "https://ctfe.test", PublicKey: trusttest.NewLogKey()}},
		}}}
	}
	at := func(uri string, ca trusttest.Authority) v1alpha1.CertificateAuthority {
		return v1alpha1.CertificateAuthority{URI: uri, CertChain: ca.PEM()}
	}
	roots := RootsFromObjects(t.Context(), []v1alpha1.TrustRoot{
		object("corp", at("https://fulcio.corp.test", corp), at("https://FULCIO.corp.test/", old), at("https://elsewhere.test", other)),
		object(v1alpha1.SigstoreName("theirs"), at("https://fulcio.corp.test", other), at("https://theirs.test", other)),
		object("twin-1", at("https://twin.test", other)), object("twin-2", at("https://twin.test", other)),
		{ObjectMeta: metav1.ObjectMeta{Name: "broken"}},
		object("nameless", v1alpha1.CertificateAuthority{CertChain: other.PEM()}),
	}, nil)
	for name, tt := range map[string]struct {
		means v1alpha1.KeylessAuthority
		// want are the common names of the authorities' roots.
		want string
		err  error
		text string
	}{
		"a trust root by its name":           {v1alpha1.KeylessAuthority{TrustRootRef: "corp"}, "corp old other", nil, ""},
		"the one that has the URL":           {v1alpha1.KeylessAuthority{URL: "https://fulcio.corp.test"}, "corp old", nil, ""},
		"however the host is written":        {v1alpha1.KeylessAuthority{URL: "HTTPS://Fulcio.CORP.test/"}, "corp old", nil, ""},
		"some of a trust root's":             {v1alpha1.KeylessAuthority{TrustRootRef: "corp", URL: "https://elsewhere.test"}, "other", nil, ""},
		"one of two with the URL":            {v1alpha1.KeylessAuthority{TrustRootRef: "twin-2", URL: "https://twin.test"}, "other", nil, ""},
		"a URL that two have":                {v1alpha1.KeylessAuthority{URL: "https://twin.test"}, "", ErrRootUnsuitable, "twin-1, twin-2"},
		"a URL that none has":                {v1alpha1.KeylessAuthority{URL: "https://fulcio.sigstore.dev"}, "", ErrRootNotFound, "these are not: broken"},
		"a URL that another has":             {v1alpha1.KeylessAuthority{TrustRootRef: "twin-1", URL: "https://fulcio.corp.test"}, "", ErrRootUnsuitable, "twin-1"},
		"a URL that one of theirs has, only": {v1alpha1.KeylessAuthority{URL: "https://theirs.test"}, "", ErrRootNotFound, ""},
		"one of theirs by its name":          {v1alpha1.KeylessAuthority{TrustRootRef: v1alpha1.SigstoreName("theirs")}, "other other", nil, ""},
		"another port":                       {v1alpha1.KeylessAuthority{URL: "https://fulcio.corp.test:444"}, "", ErrRootNotFound, ""},
		"another scheme":                     {v1alpha1.KeylessAuthority{URL: "http://fulcio.corp.test"}, "", ErrRootNotFound, ""},
		"a longer host":                      {v1alpha1.KeylessAuthority{URL: "https://fulcio.corp.test.evil.test"}, "", ErrRootNotFound, ""},
		"a path below":                       {v1alpha1.KeylessAuthority{URL: "https://fulcio.corp.test/evil"}, "", ErrRootNotFound, ""},
		"a trust root that is not there":     {v1alpha1.KeylessAuthority{TrustRootRef: "none", URL: "https://twin.test"}, "", ErrRootNotFound, ""},
		"a trust root that is broken":        {v1alpha1.KeylessAuthority{TrustRootRef: "broken", URL: "https://twin.test"}, "", ErrRootNotReady, ""},
		"nothing at all":                     {v1alpha1.KeylessAuthority{}, "", ErrRootNotFound, ""},
	} {
		t.Run(name, func(t *testing.T) {
			material, err := roots.Authorities(&tt.means)
			if !errors.Is(err, tt.err) || err != nil && !strings.Contains(err.Error(), tt.text) {
				t.Fatalf("error = %v, want %v with %q", err, tt.err, tt.text)
			}
			if err != nil {
				return
			}
			var names []string
			for _, authority := range material.FulcioCertificateAuthorities() {
				fulcio, ok := authority.(*root.FulcioCertificateAuthority)
				if !ok {
					t.Fatalf("%T", authority)
				}
				names = append(names, fulcio.Root.Subject.CommonName)
			}
			if got := strings.Join(names, " "); got != tt.want {
				t.Errorf("authorities of %q, want %q", got, tt.want)
			}
			if len(material.CTLogs()) != 1 {
				t.Errorf("%d logs of certificates, want that of the trust root", len(material.CTLogs()))
			}
			again, err := roots.Authorities(&tt.means)
			if err != nil || again != material {
				t.Error("the same trust root and URL are not the same trust")
			}
		})
	}
}
