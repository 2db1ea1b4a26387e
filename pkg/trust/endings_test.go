// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/trust/trusttest"
)

func TestWhatEndsFirst(t *testing.T) {
	now := time.Now().UTC().Truncate(time.Second)
	in := func(days int) time.Time { return now.AddDate(0, 0, days) }
	ca := func(uri string, days int) v1alpha1.CertificateAuthority {
		return v1alpha1.CertificateAuthority{URI: uri, CertChain: trusttest.NewCA("CA", in(days)).PEM()}
	}
	log := func(url string, end *time.Time) v1alpha1.TransparencyLogInstance {
		instance := v1alpha1.TransparencyLogInstance{BaseURL: url, PublicKey: trusttest.NewLogKey()}
		if end != nil {
			instance.Validity = &v1alpha1.Validity{NotAfter: &metav1.Time{Time: *end}}
		}
		return instance
	}
	soonest := in(5)
	for name, tc := range map[string]struct {
		keys v1alpha1.SigstoreKeys
		want []Ending
	}{
		"a certificate": {
			v1alpha1.SigstoreKeys{CertificateAuthorities: []v1alpha1.CertificateAuthority{ca("a", 100)}},
			[]Ending{{in(100), "certificate authority a", soon}},
		},
		"a validity that is shorter than the certificates'": {
			v1alpha1.SigstoreKeys{CertificateAuthorities: []v1alpha1.CertificateAuthority{func() v1alpha1.CertificateAuthority {
				short := ca("a", 100)
				short.Validity = &v1alpha1.Validity{NotAfter: &metav1.Time{Time: soonest}}
				return short
			}()}},
			[]Ending{{soonest, "certificate authority a", soon}},
		},
		"an authority that another succeeds": {
			v1alpha1.SigstoreKeys{CertificateAuthorities: []v1alpha1.CertificateAuthority{ca("a", 5), ca("a", 100)}},
			[]Ending{{in(100), "certificate authority a", soon}},
		},
		"two authorities apart": {
			v1alpha1.SigstoreKeys{CertificateAuthorities: []v1alpha1.CertificateAuthority{ca("a", 100), ca("b", 5)}},
			[]Ending{{in(5), "certificate authority b", soon}, {in(100), "certificate authority a", soon}},
		},
		"one of two has ended": {
			v1alpha1.SigstoreKeys{CertificateAuthorities: []v1alpha1.CertificateAuthority{ca("a", -5), ca("b", 100)}},
			[]Ending{{in(100), "certificate authority b", soon}},
		},
		"all have ended": {
			v1alpha1.SigstoreKeys{CertificateAuthorities: []v1alpha1.CertificateAuthority{ca("a", -5), ca("b", -9)}},
			[]Ending{{in(-5), "certificate authority a", soon}},
		},
		"a log without an end": {
			v1alpha1.SigstoreKeys{TLogs: []v1alpha1.TransparencyLogInstance{log("https://a.test", nil)}}, nil,
		},
		"a log that ends, of which a newer key does not": {
			v1alpha1.SigstoreKeys{CTLogs: []v1alpha1.TransparencyLogInstance{log("https://a.test", &soonest), log("https://a.test", nil)}}, nil,
		},
		"a log that ends": {
			v1alpha1.SigstoreKeys{CTLogs: []v1alpha1.TransparencyLogInstance{log("https://a.test", &soonest)}},
			[]Ending{{soonest, "certificate transparency log https://a.test", soon}},
		},
		"the leaf of a timestamp authority": {
			v1alpha1.SigstoreKeys{TimestampAuthorities: []v1alpha1.CertificateAuthority{{URI: "a", CertChain: trusttest.NewTSA("TSA", in(7)).PEM()}}},
			[]Ending{{in(7), "timestamp authority a", soon}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			trusted, err := ParseSigstoreKeys(&tc.keys)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, endingsOf(trusted, now)); diff != "" {
				t.Errorf("endings (-want +got):\n%s", diff)
			}
		})
	}
}
