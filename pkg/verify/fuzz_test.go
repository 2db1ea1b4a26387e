// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
	"github.com/countersign-dev/countersign/pkg/verify"
	"github.com/countersign-dev/countersign/pkg/verify/verifytest"
)

// The seeds are what real cosign signed, with keys that nobody here has. So a
// signature that is accepted must be one of them: the same bytes signed by the same
// signature, whatever is around them.

// seeds are the recorded signatures by the key of the first one.
type seeds struct {
	authority *verify.Authority
	digests   []string
	all       []verify.Signature
	signed    map[string]bool // signature and signed bytes of each
}

func loadSeeds(f *testing.F, names ...string) *seeds {
	f.Helper()
	s := &seeds{signed: map[string]bool{}}
	for _, name := range names {
		recorded, signatures := load(f, name)
		if s.authority == nil {
			key, err := verify.ParseKey([]byte(recorded.PublicKey), "")
			if err != nil {
				f.Fatal(err)
			}
			s.authority = &verify.Authority{Keys: []verify.Key{key}, Logs: []*tlog.Prover{replayed(f)}}
		}
		for _, signature := range signatures {
			sig, signed, err := verify.ParseAndVerify(signature, s.authority.Keys[0], recorded.Digest)
			if err != nil {
				f.Fatal(err)
			}
			s.signed[string(sig)+string(signed)] = true
		}
		s.digests = append(s.digests, recorded.Digest)
		s.all = append(s.all, signatures...)
	}
	return s
}

// replayed is a prover for the recorded log that needs no server.
func replayed(f *testing.F) *tlog.Prover {
	f.Helper()
	recorded := tlogtest.NewReplay()
	recorded.Close()
	log, err := tlog.NewLog(tlog.Config{Name: "recorded", Version: tlog.RekorV1, Origin: recorded.Hostname, Key: recorded.PublicKey})
	if err != nil {
		f.Fatal(err)
	}
	transport := roundTripper(func(r *http.Request) (*http.Response, error) {
		answer, ok := recorded.Answers[r.URL.RequestURI()]
		if !ok {
			answer.Status = http.StatusNotFound
		}
		return &http.Response{StatusCode: answer.Status, Body: io.NopCloser(strings.NewReader(answer.Body))}, nil
	})
	endpoints, err := tlog.NewEndpoints(tlog.EndpointsConfig{
		URLs: []*url.URL{{Scheme: "http", Host: "recorded"}}, Client: &http.Client{Transport: transport},
	})
	if err != nil {
		f.Fatal(err)
	}
	return tlog.NewProver(log, tlog.NewRekorV1Client(endpoints), tlog.NewMemoryHistory())
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// check verifies a signature for each digest and fails if it is accepted and is
// none of the seeds, or if something panicked.
func (s *seeds) check(t *testing.T, signature verify.Signature) {
	t.Helper()
	for _, digest := range s.digests {
		// First without Verify's recover.
		sig, signed, err := verify.ParseAndVerify(signature, s.authority.Keys[0], digest)
		if err == nil && !s.signed[string(sig)+string(signed)] {
			t.Fatalf("accepted, and nobody signed it: %q over %q", sig, signed)
		}
		v := s.authority.Verify(context.Background(), digest, []verify.Signature{signature})
		if text := v.String(); strings.Contains(text, "fault of countersign") || strings.Contains(text, "panic") {
			t.Fatal(text)
		}
		if reasonOf(v) == verified && err != nil {
			t.Fatalf("verified, although %v", err)
		}
	}
}

func FuzzBundle(f *testing.F) {
	s := loadSeeds(f, "v3-bundle", "v2-bundle", "v3-bundle-fallback", "v3-bundle-rekor2")
	for _, signature := range s.all {
		f.Add(signature.(verify.Bundle).JSON)
	}
	f.Add([]byte(`{"mediaType":"application/vnd.dev.sigstore.bundle+json;version=0.1","verificationMaterial":{"publicKey":{},"tlogEntries":[{}]},"messageSignature":{"signature":"AA=="}}`))
	f.Add([]byte(`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"publicKey":{}},"dsseEnvelope":{"signatures":[{}]}}`))
	f.Fuzz(func(t *testing.T, text []byte) { s.check(t, verify.Bundle{JSON: text}) })
}

func FuzzLegacyAnnotations(f *testing.F) {
	s := loadSeeds(f, "v2-legacy", "v3-legacy", "v2-nolog")
	for _, signature := range s.all {
		l := signature.(verify.LegacySignature)
		f.Add(l.Payload, l.Base64Signature, l.RekorBundle)
	}
	f.Add([]byte("{}"), "AA==", `{"SignedEntryTimestamp":"AA==","Payload":{"body":7}}`)
	f.Add([]byte("{}"), "AA==", `{"Payload":null}`)
	f.Fuzz(func(t *testing.T, payload []byte, signature, annotation string) {
		s.check(t, verify.LegacySignature{Payload: payload, Base64Signature: signature, RekorBundle: annotation})
	})
}

// holds reports whether a document holds texts as values: what a signed document
// must say that a signed document must hold somewhere, by another
// parser than the one under test.
func holds(document []byte, texts ...string) bool {
	var decoded any
	if json.Unmarshal(document, &decoded) != nil {
		return false
	}
	found := map[string]bool{}
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case string:
			found[v] = true
		case []any:
			for _, e := range v {
				walk(e)
			}
		case map[string]any:
			for _, e := range v {
				walk(e)
			}
		}
	}
	walk(decoded)
	for _, text := range texts {
		if !found[text] {
			return false
		}
	}
	return true
}

func FuzzSimpleSigning(f *testing.F) {
	f.Add([]byte(simple(imageA)))
	f.Add([]byte(simple(imageB)))
	f.Add([]byte(`{"critical":{"image":{"docker-manifest-digest":null},"type":7}}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		if verify.CheckSimpleSigning(payload, imageA) == nil && !holds(payload, imageA, "cosign container image signature") {
			t.Errorf("accepted: %q", payload)
		}
	})
}

// FuzzStatement signs whatever it is given, with the right key.
func FuzzStatement(f *testing.F) {
	signer := verifytest.NewSigner()
	key := keyOf(f, signer, "")
	f.Add(verifytest.PayloadType, verifytest.Statement(imageA))
	f.Add(verifytest.PayloadType, verifytest.StatementOf(verifytest.StatementType, "https://slsa.dev/provenance/v1", imageA, imageB))
	f.Add("application/json", verifytest.Statement(imageB))
	f.Add(verifytest.PayloadType, []byte(`{"_type":"https://in-toto.io/Statement/v1","predicate_type":"https://sigstore.dev/cosign/sign/v1","subject":[null,{"digest":{"sha256":""}}]}`))
	f.Fuzz(func(t *testing.T, payloadType string, payload []byte) {
		b := signer.Bundle(signer.Envelope(payloadType, payload)).Verify()
		_, _, err := verify.ParseAndVerify(b, key, imageA)
		if err == nil && !(payloadType == verifytest.PayloadType && holds(payload, verifytest.StatementType, verifytest.SignPredicate, imageA[7:])) {
			t.Errorf("accepted: %q %q", payloadType, payload)
		}
	})
}

// FuzzEnvelope shows any bytes as the envelope (DSSE) of a layer of an .att image: that of
// the recorded bundles, whose keys nobody here has.
func FuzzEnvelope(f *testing.F) {
	s := loadSeeds(f, "v3-bundle", "v2-bundle")
	for _, signature := range s.all {
		var bundle struct {
			Envelope json.RawMessage `json:"dsseEnvelope"`
		}
		if err := json.Unmarshal(signature.(verify.Bundle).JSON, &bundle); err != nil {
			f.Fatal(err)
		}
		f.Add([]byte(bundle.Envelope))
	}
	f.Add([]byte(`{"payloadType":"application/vnd.in-toto+json","payload":"","signatures":[{"sig":"AA=="},{}]}`))
	f.Add([]byte(`{"payloadType":null,"payload":7,"signatures":null}`))
	f.Fuzz(func(t *testing.T, envelope []byte) { s.check(t, verify.LegacyAttestation{Envelope: envelope}) })
}
