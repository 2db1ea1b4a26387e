// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/sigstore/sigstore/pkg/cryptoutils"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/trust"
	"github.com/countersign-dev/countersign/pkg/trust/kms"
	"github.com/countersign-dev/countersign/pkg/verify"
)

const release = "hashivault://release"

// services are a KMS that answers from a map.
type services map[string]kms.State

func (s services) Lookup(uri string) kms.State {
	state, ok := s[uri]
	if !ok {
		return kms.State{Err: kms.ErrUnavailable}
	}
	return state
}

func keyVersion(t *testing.T, name string) kms.Version {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return kms.Version{Name: name, Key: key.Public()}
}

func kmsAuthority(name, uri string) v1alpha1.Authority {
	yes := true
	return v1alpha1.Authority{Name: name, Key: &v1alpha1.KeyAuthority{KMS: uri, HashAlgorithm: "sha256"}, CTLog: &v1alpha1.CTLog{InsecureIgnoreTlog: &yes}}
}

func compiled(t *testing.T, threshold int32, k KMS, authorities ...v1alpha1.Authority) *Policy {
	t.Helper()
	p := &v1alpha1.ClusterImagePolicy{Spec: v1alpha1.ClusterImagePolicySpec{
		Images: []v1alpha1.ImagePattern{{Glob: "corp.example/**"}}, Authorities: authorities, Threshold: threshold,
	}}
	return Compile(t.Context(), p, Trust{KMS: k, Secrets: trust.Secrets{}})
}

// TestKeysInServices: what is known of a key decides what its authority is.
func TestKeysInServices(t *testing.T) {
	one, two := keyVersion(t, "1"), keyVersion(t, "2")
	unreadable := kms.Version{Name: "3", Err: errors.New("ML-DSA")}
	short := kms.Version{Name: "4", Key: &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 1023), E: 65537}}
	read := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	failing := func(class error) services { return services{release: {Err: fmt.Errorf("%w: details", class)}} }
	for name, tt := range map[string]struct {
		kms  KMS
		keys int
		// verdict is that of an authority without keys.
		verdict verify.Reason
		class   error
		notes   []string
	}{
		"one version":                    {kms: services{release: {Versions: []kms.Version{one}}}, keys: 1},
		"several versions":               {kms: services{release: {Versions: []kms.Version{two, one}}}, keys: 2},
		"a version that nobody can read": {kms: services{release: {Versions: []kms.Version{unreadable, one}}}, keys: 1, notes: []string{"KeyInvalid version 3: ML-DSA"}},
		"a version that is too short":    {kms: services{release: {Versions: []kms.Version{short, one}}}, keys: 1, notes: []string{"KeyInvalid version 4: RSA key has 1024 bits"}},
		"no version that is good for us": {kms: services{release: {Versions: []kms.Version{short}}}, verdict: verify.PolicyNotReady, class: trust.ErrKeyInvalid},
		"a service that did not answer":  {kms: failing(kms.ErrUnavailable), verdict: verify.KMSUnavailable, class: kms.ErrUnavailable},
		"a key that has not been read":   {kms: services{}, verdict: verify.KMSUnavailable, class: kms.ErrUnavailable},
		"a key that is not there":        {kms: failing(kms.ErrNoKey), verdict: verify.PolicyNotReady, class: kms.ErrNoKey},
		"no access":                      {kms: failing(kms.ErrForbidden), verdict: verify.PolicyNotReady, class: kms.ErrForbidden},
		"a key of another use":           {kms: failing(kms.ErrUnusable), verdict: verify.PolicyNotReady, class: kms.ErrUnusable},
		"a process without the address":  {kms: failing(kms.ErrMisconfigured), verdict: verify.PolicyNotReady, class: kms.ErrMisconfigured},
		"a build without the service":    {kms: failing(kms.ErrUnsupported), verdict: verify.PolicyNotReady, class: kms.ErrUnsupported},
		"nobody who knows of services":   {verdict: verify.PolicyNotReady, class: kms.ErrUnsupported},
		"what was said some time ago": {
			kms:  services{release: {Versions: []kms.Version{one}, ReadAt: read, Until: read.Add(time.Hour), Stale: fmt.Errorf("%w: 503", kms.ErrUnavailable)}},
			keys: 1, notes: []string{"Stale what was read at 2030-01-02T03:04:05Z is in force until 2030-01-02T04:04:05Z: key service unavailable: 503"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := compiled(t, 1, tt.kms, kmsAuthority("a", release))
			a := p.authorities[0]
			if got := len(a.signers); got != tt.keys || (a.key != nil) != (tt.keys > 0) {
				t.Fatalf("%d keys, verifier %v", got, a.key)
			}
			if len(p.notes) != len(tt.notes) {
				t.Fatalf("notes %v", p.notes)
			}
			for i, note := range tt.notes {
				reason, text, _ := strings.Cut(note, " ")
				if p.notes[i].Reason != reason || !strings.Contains(p.notes[i].Text, text) || p.notes[i].Path != "spec.authorities[0].key.kms" {
					t.Errorf("note %v; want %q", p.notes[i], note)
				}
			}
			if tt.keys > 0 {
				if len(p.problems) != 0 {
					t.Errorf("problems %v", p.problems)
				}
				return
			}
			if _, reason, detail := Outcome(a.fixed); reason != tt.verdict || !strings.HasPrefix(detail, "spec.authorities[0].key.kms: ") {
				t.Errorf("verdict %v", a.fixed)
			}
			if len(p.problems) != 1 || !errors.Is(p.problems[0].Err, tt.class) || p.problems[0].Part != PartKey || p.problems[0].Path != "spec.authorities[0].key.kms" {
				t.Errorf("problems %v", p.problems)
			}
		})
	}
}

// TestAThresholdCountsAKeyOnce wherever it is from, and whichever of its versions.
func TestAThresholdCountsAKeyOnce(t *testing.T) {
	one, two, three := keyVersion(t, "1"), keyVersion(t, "2"), keyVersion(t, "3")
	text, err := cryptoutils.MarshalPublicKeyToPEM(one.Key)
	if err != nil {
		t.Fatal(err)
	}
	inPolicy := kmsAuthority("b", "")
	inPolicy.Key = &v1alpha1.KeyAuthority{Data: string(text), HashAlgorithm: "sha256"}
	known := services{
		release:                   {Versions: []kms.Version{two, one}},
		"hashivault://other":      {Versions: []kms.Version{three}},
		"awskms:///alias/release": {Versions: []kms.Version{two}},
	}
	for name, tt := range map[string]struct {
		other v1alpha1.Authority
		good  bool
	}{
		"another key":                            {kmsAuthority("b", "hashivault://other"), true},
		"the same URI":                           {kmsAuthority("b", release), false},
		"another URI of the same key":            {kmsAuthority("b", "awskms:///alias/release"), false},
		"the key's older version, in the policy": {inPolicy, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := compiled(t, 2, known, kmsAuthority("a", release), tt.other)
			if got := len(p.Problems()) == 0; got != tt.good {
				t.Errorf("problems %v", p.Problems())
			}
			// As alternatives they do no harm.
			if p := compiled(t, 1, known, kmsAuthority("a", release), tt.other); len(p.Problems()) != 0 {
				t.Errorf("problems of alternatives: %v", p.Problems())
			}
		})
	}
}

// TestAKeyFromTwoPlacesIsNone: the schema refuses it, and so do we.
func TestAKeyFromTwoPlacesIsNone(t *testing.T) {
	a := kmsAuthority("a", release)
	a.Key.Data = publicKey(t)
	p := compiled(t, 1, services{release: {Versions: []kms.Version{keyVersion(t, "1")}}}, a)
	if len(p.Problems()) != 1 || !errors.Is(p.Problems()[0].Err, trust.ErrKeyInvalid) || p.authorities[0].key != nil {
		t.Errorf("problems %v", p.Problems())
	}
}
