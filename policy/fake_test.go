// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/image"
	"github.com/countersign-dev/countersign/pkg/registry"
	"github.com/countersign-dev/countersign/pkg/verify"
)

// digestOf returns a digest made of one hexadecimal digit.
func digestOf(digit string) string { return "sha256:" + strings.Repeat(digit, 64) }

// scripted is a Registry that answers from fields and counts what it is asked.
type scripted struct {
	digest     string
	resolveErr error
	fresh      []verify.Signature
	freshErr   error
	cached     []verify.Signature
	isCached   bool
	// hold, when set, blocks Resolve until it is closed or the context ends.
	hold chan struct{}

	mu                   sync.Mutex
	resolved, signatures int
	// attested and attestedErr are what Attestations answers.
	attested     []verify.Signature
	attestedErr  error
	attestations int

	// away answers for the sources that are not beside the image.
	away map[string]*scripted
}

// at is who answers for a source: one that nobody set up panics.
func (s *scripted) at(from registry.Source) *scripted {
	if from == (registry.Source{}) {
		return s
	}
	return s.away[from.String()]
}

func (s *scripted) Resolve(ctx context.Context, _ image.Reference) (string, error) {
	s.mu.Lock()
	s.resolved++
	s.mu.Unlock()
	if s.hold != nil {
		select {
		case <-s.hold:
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
	return s.digest, s.resolveErr
}

func (s *scripted) Signatures(_ context.Context, _ image.Reference, _ string, from registry.Source) ([]verify.Signature, error) {
	s = s.at(from)
	s.mu.Lock()
	s.signatures++
	s.mu.Unlock()
	return s.fresh, s.freshErr
}

func (s *scripted) CachedSignatures(_ image.Reference, _ string, from registry.Source) ([]verify.Signature, bool) {
	s = s.at(from)
	return s.cached, s.isCached
}

func (s *scripted) Attestations(_ context.Context, _ image.Reference, _ string, from registry.Source) ([]verify.Signature, error) {
	s = s.at(from)
	s.mu.Lock()
	s.attestations++
	s.mu.Unlock()
	return s.attested, s.attestedErr
}

func (s *scripted) CachedAttestations(image.Reference, string, registry.Source) ([]verify.Signature, bool) {
	return nil, false
}

// keyed is a Verifier that accepts when it is shown a signature with its text,
// and gives the verdict otherwise.
type keyed struct {
	accepts   string
	otherwise verify.Verdict
}

func (k keyed) Verify(_ context.Context, _ string, signatures []verify.Signature) verify.Verdict {
	for _, s := range signatures {
		if legacy, ok := s.(verify.LegacySignature); ok && legacy.Base64Signature == k.accepts {
			return verify.Verified{Evidence: verify.Evidence{Format: "legacy", Signer: "key " + k.accepts}}
		}
	}
	if k.otherwise != nil {
		return k.otherwise
	}
	return verify.Rejected{Reason: verify.NoSignature, Detail: "no signature was found"}
}

type verifierFunc func(context.Context) verify.Verdict

func (f verifierFunc) Verify(ctx context.Context, _ string, _ []verify.Signature) verify.Verdict {
	return f(ctx)
}

func signed(by ...string) []verify.Signature {
	signatures := []verify.Signature{}
	for _, k := range by {
		signatures = append(signatures, verify.LegacySignature{Base64Signature: k})
	}
	return signatures
}

// covering returns a policy with those globs and one key authority for each name.
func covering(t *testing.T, name string, mode v1alpha1.Mode, globs []string, keys ...string) *Policy {
	t.Helper()
	p := &Policy{id: ClusterPolicy(name), mode: mode, threshold: 1, generation: 1}
	for _, g := range globs {
		p.images = append(p.images, parseGlob(t, g))
	}
	for _, k := range keys {
		p.authorities = append(p.authorities, authority{name: k, key: keyed{accepts: k}})
	}
	return p
}

func parseGlob(t *testing.T, s string) image.Glob {
	t.Helper()
	g, err := image.ParseGlob(s)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func parseReference(t testing.TB, s string) image.Reference {
	t.Helper()
	ref, err := image.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// summary writes a decision on one line: policy=Outcome/Reason, in order.
func summary(d Decision) string {
	var parts []string
	for _, r := range d.Policies {
		outcome, reason, _ := Outcome(r.Verdict)
		if reason != "" {
			outcome += "/" + string(reason)
		}
		parts = append(parts, r.Policy.Short()+"="+outcome)
	}
	return strings.Join(parts, " ")
}
