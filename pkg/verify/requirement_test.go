// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/countersign-dev/countersign/pkg/verify"
	"github.com/countersign-dev/countersign/pkg/verify/verifytest"
)

// TestClaims: what `cosign sign -a` adds. The legacy form has them beside the
// critical part, the statement in its one subject.
func TestClaims(t *testing.T) {
	legacy := func(optional string) func(*keyless, *verifytest.Signer) verify.Signature {
		return func(k *keyless, s *verifytest.Signer) verify.Signature {
			return s.LoggedLegacy(k.log, []byte(strings.Replace(simple(imageA), `"optional":null`, optional, 1)))
		}
	}
	statement := func(change func(map[string]any)) func(*keyless, *verifytest.Signer) verify.Signature {
		return func(k *keyless, s *verifytest.Signer) verify.Signature {
			var document map[string]any
			if err := json.Unmarshal(verifytest.Statement(imageA), &document); err != nil {
				panic(err)
			}
			change(document)
			payload, err := json.Marshal(document)
			if err != nil {
				panic(err)
			}
			envelope := s.Envelope(verifytest.PayloadType, payload)
			return s.Bundle(envelope, k.log.Entry(k.log.Append(s.DSSE(envelope)), k.log.Size())).Verify()
		}
	}
	subject := func(annotations any) func(*keyless, *verifytest.Signer) verify.Signature {
		return statement(func(d map[string]any) { d["subject"].([]any)[0].(map[string]any)["annotations"] = annotations })
	}
	for name, tt := range map[string]struct {
		sign func(*keyless, *verifytest.Signer) verify.Signature
		want verify.Reason
	}{
		"legacy, both claims":                       {sign: legacy(`"optional":{"build":"7","stage":"prod"}`), want: verified},
		"legacy, both and another":                  {sign: legacy(`"optional":{"build":"7","stage":"prod","x":{"y":1}}`), want: verified},
		"legacy, one of two":                        {sign: legacy(`"optional":{"build":"7"}`), want: verify.SignatureInvalid},
		"legacy, another value":                     {sign: legacy(`"optional":{"build":"7","stage":"dev"}`), want: verify.SignatureInvalid},
		"legacy, a value with more":                 {sign: legacy(`"optional":{"build":"7","stage":"prod "}`), want: verify.SignatureInvalid},
		"legacy, a name in capitals":                {sign: legacy(`"optional":{"build":"7","Stage":"prod"}`), want: verify.SignatureInvalid},
		"legacy, a number that reads like the text": {sign: legacy(`"optional":{"build":7,"stage":"prod"}`), want: verify.SignatureInvalid},
		"legacy, a list":                            {sign: legacy(`"optional":{"build":["7"],"stage":["prod"]}`), want: verify.SignatureInvalid},
		"legacy, none":                              {sign: legacy(`"optional":null`), want: verify.SignatureInvalid},
		"legacy, none at all":                       {sign: legacy(`"x":1`), want: verify.SignatureInvalid},
		"legacy, claims that are a list":            {sign: legacy(`"optional":["build","7"]`), want: verify.SignatureInvalid},
		"legacy, claims outside of the optional":    {sign: legacy(`"build":"7","stage":"prod"`), want: verify.SignatureInvalid},
		"legacy, claims as a statement has them":    {sign: legacy(`"subject":[{"annotations":{"build":"7","stage":"prod"}}]`), want: verify.SignatureInvalid},
		"bundle, both claims":                       {sign: subject(map[string]any{"build": "7", "stage": "prod"}), want: verified},
		"bundle, both and another":                  {sign: subject(map[string]any{"build": "7", "stage": "prod", "x": 1}), want: verified},
		"bundle, one of two":                        {sign: subject(map[string]any{"build": "7"}), want: verify.SignatureInvalid},
		"bundle, another value":                     {sign: subject(map[string]any{"build": "7", "stage": "dev"}), want: verify.SignatureInvalid},
		"bundle, a number":                          {sign: subject(map[string]any{"build": 7, "stage": "prod"}), want: verify.SignatureInvalid},
		"bundle, none":                              {sign: subject(nil), want: verify.SignatureInvalid},
		"bundle, claims that are a text":            {sign: subject("build=7"), want: verify.SignatureInvalid},
		"bundle, claims of another subject": {sign: statement(func(d map[string]any) {
			d["subject"] = append(d["subject"].([]any), map[string]any{
				"digest": map[string]any{"sha256": imageB[7:]}, "annotations": map[string]any{"build": "7", "stage": "prod"},
			})
		}), want: verify.SignatureInvalid},
		"bundle, claims of the image, of two subjects": {sign: statement(func(d map[string]any) {
			d["subject"].([]any)[0].(map[string]any)["annotations"] = map[string]any{"build": "7", "stage": "prod"}
			d["subject"] = append(d["subject"].([]any), map[string]any{"digest": map[string]any{"sha256": imageB[7:]}})
		}), want: verify.SignatureInvalid},
		"bundle, claims as a document has them": {sign: statement(func(d map[string]any) {
			d["optional"] = map[string]any{"build": "7", "stage": "prod"}
		}), want: verify.SignatureInvalid},
		"bundle, claims as a document has them, of two subjects": {sign: statement(func(d map[string]any) {
			d["subject"] = append(d["subject"].([]any), map[string]any{"digest": map[string]any{"sha256": imageB[7:]}})
			d["optional"] = map[string]any{"build": "7", "stage": "prod"}
		}), want: verify.SignatureInvalid},
		"bundle, claims in the predicate": {sign: statement(func(d map[string]any) {
			d["predicate"] = map[string]any{"annotations": map[string]any{"build": "7", "stage": "prod"}}
		}), want: verify.SignatureInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKeyless(t)
			for by, signer := range map[string]*verifytest.Signer{"key": k.signer, "certificate": k.certified()} {
				t.Run(by, func(t *testing.T) {
					authority := k.trusts(t)
					if by == "key" {
						authority.Keyless, authority.Keys = nil, []verify.Key{keyOf(t, k.signer, "")}
					}
					s := tt.sign(k, signer)
					authority.Annotations = map[string]string{"build": "7", "stage": "prod"}
					before := k.server.Requests.Load()
					want(t, authority.Verify(t.Context(), imageA, []verify.Signature{s}), tt.want)
					if asked := k.server.Requests.Load() - before; tt.want != verified && asked != 0 {
						t.Errorf("the log was asked %d times", asked)
					}
				})
			}
		})
	}
}

// TestStorageFormat: a signature in the other format is as good as absent.
func TestStorageFormat(t *testing.T) {
	k := newKeyless(t)
	for by, signer := range map[string]*verifytest.Signer{"key": k.signer, "certificate": k.certified()} {
		b, _, _ := k.bundleBy(signer)
		all := map[string]verify.Signature{"legacy": k.legacyBy(signer), "bundle": b.Verify()}
		for asked, reasons := range map[string]map[string]verify.Reason{
			"":       {"legacy": verified, "bundle": verified},
			"legacy": {"legacy": verified, "bundle": verify.NoSignature},
			"bundle": {"legacy": verify.NoSignature, "bundle": verified},
		} {
			authority := k.trusts(t)
			if by == "key" {
				authority.Keyless, authority.Keys = nil, []verify.Key{keyOf(t, k.signer, "")}
			}
			authority.Format = asked
			for format, reason := range reasons {
				t.Run(by+", "+format+" where "+asked+" is asked for", func(t *testing.T) {
					v := authority.Verify(t.Context(), imageA, []verify.Signature{all[format]})
					want(t, v, reason)
					if got, ok := v.(verify.Verified); ok && got.Evidence.Format != format {
						t.Errorf("the evidence says %q", got.Evidence.Format)
					}
				})
			}
			t.Run(by+", both where "+asked+" is asked for", func(t *testing.T) {
				want(t, authority.Verify(t.Context(), imageA, []verify.Signature{all["legacy"], all["bundle"]}), verified)
			})
		}
	}
}

// TestWorthlessCertificates: a thousand signatures that anybody can make, beside
// one good one. None of them costs a request to the log.
func TestWorthlessCertificates(t *testing.T) {
	k := newKeyless(t)
	other := verifytest.NewFulcio()
	good := k.legacyBy(k.certified())
	worthless := make([]verify.Signature, 0, 1000)
	strangers := []*verifytest.Signer{
		k.signer.With(other.Issue(k.signer.Public())),               // of another CA
		k.signer.With(verifytest.SelfSigned(k.signer).Raw),          // of none
		k.certified(verifytest.URI("https://github.com/evil/repo")), // good, and of somebody else
		k.certified(verifytest.IssuedBy("https://evil.example")),    // of another issuer
		k.signer.With(broken(k.certified().Leaf())),                 // changed
		k.signer.With(sameLog(k).Issue(k.signer.Public())),          // in the CT log
		k.signer.With([]byte("x")),                                  // none
		k.signer,                                                    // by a key
	}
	for i := range cap(worthless) {
		s := strangers[i%len(strangers)]
		if i%2 == 0 {
			worthless = append(worthless, s.Legacy(verifytest.SimpleSigning(repository, imageA)))
			continue
		}
		worthless = append(worthless, s.Bundle(s.Envelope(verifytest.PayloadType, verifytest.Statement(imageA))).Verify())
	}
	authority := k.trusts(t)
	if v := authority.Verify(t.Context(), imageA, worthless); reasonOf(v) == verified || k.server.Requests.Load() != 0 {
		t.Fatalf("got %v after %d requests", v, k.server.Requests.Load())
	}
	want(t, authority.Verify(t.Context(), imageA, append(worthless, good)), verified)
	if asked := k.server.Requests.Load(); asked > 2 {
		t.Errorf("the log was asked %d times for one signature", asked)
	}
	// A certificate that was good is worth a question, if the signature is.
	elsewhere := k.certified().Legacy(verifytest.SimpleSigning(repository, imageB))
	before := k.server.Requests.Load()
	want(t, authority.Verify(t.Context(), imageA, []verify.Signature{elsewhere}), verify.SignatureInvalid)
	if asked := k.server.Requests.Load() - before; asked != 0 {
		t.Errorf("the log was asked %d times about another image", asked)
	}
}

// TestMultipleReasons: of several refusals the one is shown that came furthest.
func TestMultipleReasons(t *testing.T) {
	k := newKeyless(t)
	bad := k.legacyBy(k.signer.With(verifytest.NewFulcio().Issue(k.signer.Public())))
	stranger := k.legacyBy(k.certified(verifytest.URI("https://github.com/evil/repo")))
	unlogged := k.certified().Legacy(verifytest.SimpleSigning(repository, imageA))
	authority := k.trusts(t)
	want(t, authority.Verify(t.Context(), imageA, []verify.Signature{bad, stranger}), verify.IdentityMismatch)
	want(t, authority.Verify(t.Context(), imageA, []verify.Signature{stranger, unlogged, bad}), verify.NotLogged)
}
