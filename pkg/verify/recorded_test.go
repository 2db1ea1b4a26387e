// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
	"github.com/countersign-dev/countersign/pkg/verify"
	"github.com/countersign-dev/countersign/pkg/verify/verifytest"
)

// recordedSignature is one of testdata: what a real cosign left in a registry.
type recordedSignature struct {
	MadeBy    string `json:"madeBy"`
	Digest    string `json:"digest"`
	PublicKey string `json:"publicKey"`
	Legacy    []struct {
		Payload     string `json:"payload"`
		Signature   string `json:"signature"`
		RekorBundle string `json:"rekorBundle"`
	} `json:"legacy"`
	Bundle string `json:"bundle"`
}

func load(t testing.TB, name string) (recordedSignature, []verify.Signature) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var r recordedSignature
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	var signatures []verify.Signature
	for _, l := range r.Legacy {
		signatures = append(signatures, verify.LegacySignature{Payload: []byte(l.Payload), Base64Signature: l.Signature, RekorBundle: l.RekorBundle})
	}
	if r.Bundle != "" {
		signatures = append(signatures, verify.Bundle{JSON: []byte(r.Bundle)})
	}
	return r, signatures
}

// recordedAuthority trusts a recorded key and the recorded log.
func recordedAuthority(t testing.TB, publicKey, hashAlgorithm string) *verify.Authority {
	t.Helper()
	key, err := verify.ParseKey([]byte(publicKey), hashAlgorithm)
	if err != nil {
		t.Fatal(err)
	}
	recorded := tlogtest.NewReplay()
	t.Cleanup(recorded.Close)
	log, err := tlog.NewLog(tlog.Config{Name: "recorded", Version: tlog.RekorV1, Origin: recorded.Hostname, Key: recorded.PublicKey})
	if err != nil {
		t.Fatal(err)
	}
	prover := tlog.NewProver(log, dial(t, recorded.URL), tlog.NewMemoryHistory())
	return &verify.Authority{Keys: []verify.Key{key}, Logs: []*tlog.Prover{prover}}
}

// TestSignaturesOfRealCosign verifies what real cosign and Rekor made, against the
// recorded answers of that Rekor, which by then had grown to 11 entries.
func TestSignaturesOfRealCosign(t *testing.T) {
	for name, test := range map[string]struct {
		hash     string
		want     verify.Reason
		ignoring verify.Reason // without a log, where that differs
		format   string
	}{
		"v2-legacy":          {want: verified, format: "legacy"},
		"v3-legacy":          {want: verified, format: "legacy"},
		"v2-bundle":          {want: verified, format: "bundle"},
		"v3-bundle":          {want: verified, format: "bundle"},
		"v3-bundle-fallback": {want: verified, format: "bundle"},
		"v2-nolog":           {want: verify.NotLogged, ignoring: verified},
		"v3-bundle-rekor2":   {want: verify.LogUnknown, ignoring: verified},
		"rsa-legacy":         {want: verified, format: "legacy"},
		"rsa-bundle":         {want: verified, format: "bundle"},
		"p384-legacy":        {hash: "sha384", want: verified, format: "legacy"},
		"p521-legacy":        {hash: "sha512", want: verified, format: "legacy"},
		"ed25519-legacy":     {want: verified, format: "legacy"},
		"ed25519-nolog":      {want: verify.NotLogged, ignoring: verified},
	} {
		t.Run(name, func(t *testing.T) {
			recorded, signatures := load(t, name)
			authority := recordedAuthority(t, recorded.PublicKey, test.hash)
			for i, s := range signatures {
				verdict := authority.Verify(t.Context(), recorded.Digest, []verify.Signature{s})
				want(t, verdict, test.want)
				if v, ok := verdict.(verify.Verified); ok {
					if v.Evidence.Format != test.format || len(v.Evidence.Proofs) != 1 || v.Evidence.Signer != authority.Keys[0].String() || v.Evidence.VerifiedAt.IsZero() {
						t.Errorf("signature %d: got evidence %+v", i, v.Evidence)
					}
					if _, ok := v.Evidence.Proofs[0].IntegratedTime(); !ok {
						t.Errorf("signature %d: the proof does not say when", i)
					}
				}
				want(t, authority.Verify(t.Context(), imageB, []verify.Signature{s}), verify.SignatureInvalid)
			}
			if test.ignoring == "" {
				test.ignoring = test.want
			}
			ignoring := &verify.Authority{Keys: authority.Keys, InsecureIgnoreTlog: true}
			want(t, ignoring.Verify(t.Context(), recorded.Digest, signatures), test.ignoring)
			other := &verify.Authority{Keys: []verify.Key{keyOf(t, verifytest.NewSigner(), "")}, Logs: authority.Logs}
			for _, s := range signatures {
				if got := reasonOf(other.Verify(t.Context(), recorded.Digest, []verify.Signature{s})); got != verify.KeyMismatch && got != verify.SignatureInvalid {
					t.Errorf("under another key: got %s", got)
				}
			}
		})
	}
}
