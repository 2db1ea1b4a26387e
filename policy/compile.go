// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/sigstore/sigstore-go/pkg/root"
	"k8s.io/apimachinery/pkg/types"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/image"
	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/trust"
	"github.com/countersign-dev/countersign/pkg/trust/kms"
	"github.com/countersign-dev/countersign/pkg/verify"
)

// formatStatic is the verify.Evidence.Format of an image that nobody verified,
// because a policy accepts it as it is.
const formatStatic = "static"

// Logs finds the provers of configured logs. *trust.Logs implements it.
type Logs interface {
	// Select returns the provers of the logs that an authority means; nil means the
	// default log.
	Select(*v1alpha1.CTLog) ([]*tlog.Prover, error)
}

// Roots finds what a configured trust root holds. *trust.Roots implements it.
type Roots interface {
	Root(name string) (root.TrustedMaterial, error)
	// Authorities returns the trust root that an authority means, with the certificate
	// authorities that it means.
	Authorities(*v1alpha1.KeylessAuthority) (root.TrustedMaterial, error)
}

// KMS knows what key services said of keys. *kms.Keys implements it.
type KMS interface {
	// Lookup returns what is known of the key with a URI. It asks nobody.
	Lookup(uri string) kms.State
}

// Trust is where a policy's references lead.
type Trust struct {
	Logs    Logs
	Roots   Roots
	Secrets trust.SecretReader
	// KMS is nil where there is none.
	KMS KMS
}

// Part is the part of a policy that a Problem is in.
type Part string

// Parts of a policy.
const (
	PartSpec Part = "Spec"
	PartKey  Part = "Key"
	PartLog  Part = "Log"
	PartRoot Part = "TrustRoot"
)

// Problem is why a policy, or one of its authorities, cannot be evaluated.
type Problem struct {
	Part Part
	// Path is the field, such as "spec.authorities[0].key".
	Path string
	// Err is the cause: of package trust, image or verify.
	Err error
}

// Note is what must be known of a policy that works as it is written.
type Note struct {
	// Path is the field, as in Problem.
	Path string
	// Reason is a reason of conditions.
	Reason string
	// Text is a sentence.
	Text string
}

// Notes returns what must be known of the policy's keys although they work: that a
// key service does not answer, for instance, and what it said last is in force.
func (p *Policy) Notes() []Note { return p.notes }

// Problems returns what keeps the policy from being evaluated as it is written.
// None: it is ready.
func (p *Policy) Problems() []Problem { return p.problems }

// Compile turns a policy into the form that is evaluated. It never fails: what
// cannot be compiled is a Problem and fails closed. An authority with a problem
// accepts nothing (the reason is PolicyNotReady, or KMSUnavailable where a key service
// does not answer), and the policy's other
// authorities remain alternatives to it; a pattern with a problem makes the
// policy cover every image, or exclude none.
func Compile(ctx context.Context, obj *v1alpha1.ClusterImagePolicy, t Trust) *Policy {
	return compile(ctx, ClusterPolicy(obj.Name), obj.Generation, obj.UID, &obj.Spec, t)
}

func compile(ctx context.Context, id ID, generation int64, uid types.UID, spec *v1alpha1.ClusterImagePolicySpec, t Trust) *Policy {
	p := &Policy{
		id:         id,
		generation: generation,
		mode:       modeOf(spec.Mode),
		threshold:  max(1, int(spec.Threshold)),

		requireDigest: spec.RequireDigest != nil && *spec.RequireDigest,
		eachPlatform:  spec.Platforms != "" && spec.Platforms != v1alpha1.PlatformsIndex,
		onUnavailable: spec.OnUnavailable,
		exceptions:    spec.Exceptions == v1alpha1.ExceptionsAllow,
		uid:           uid,
	}
	if p.onUnavailable == v1alpha1.OnUnavailableAllowPreviouslyVerified {
		p.memory = newMemory()
	}
	p.compilePatterns(spec)
	p.compileSelection(spec.NamespaceSelector, spec.Match)
	for i := range spec.Authorities {
		p.authorities = append(p.authorities, p.compileAuthority(ctx, &spec.Authorities[i], fmt.Sprintf("spec.authorities[%d]", i), t))
	}
	if p.threshold > 1 {
		p.refuseRepeatedKeys()
	}
	p.Refuse(v1alpha1.UnreadErrors(spec.Unread))
	if n := len(p.authorities); n < p.threshold {
		p.problem(PartSpec, "spec.threshold", fmt.Errorf("%d of %d authorities must accept an image, which none can have", p.threshold, n))
	}
	return p
}

// modeOf treats a mode that is absent or unknown as the strictest one.
func modeOf(mode v1alpha1.Mode) v1alpha1.Mode {
	switch mode {
	case v1alpha1.ModeWarn, v1alpha1.ModeAudit:
		return mode
	default:
		return v1alpha1.ModeEnforce
	}
}

func (p *Policy) compilePatterns(spec *v1alpha1.ClusterImagePolicySpec) {
	if len(spec.Images) == 0 {
		p.everything = true
		p.problem(PartSpec, "spec.images", errors.New("no pattern says which images are covered"))
	}
	for i, pattern := range spec.Images {
		glob, err := image.ParseGlob(pattern.Glob)
		if err != nil {
			p.everything = true
			p.problem(PartSpec, fmt.Sprintf("spec.images[%d].glob", i), err)
			continue
		}
		p.images = append(p.images, glob)
	}
	for i, pattern := range spec.ExcludeImages {
		glob, err := image.ParseGlob(pattern.Glob)
		if err != nil {
			p.problem(PartSpec, fmt.Sprintf("spec.excludeImages[%d].glob", i), err)
			continue
		}
		p.exclude = append(p.exclude, glob)
	}
}

func (p *Policy) compileAuthority(ctx context.Context, a *v1alpha1.Authority, path string, t Trust) authority {
	switch {
	case a.Static != nil && a.Key == nil && a.Keyless == nil:
		return authority{name: a.Name, fixed: staticVerdict(a.Static)}
	case a.Static == nil && (a.Key == nil) != (a.Keyless == nil):
		return p.compileVerifier(ctx, a, path, t)
	default:
		return p.unusable(a.Name, PartSpec, path, errors.New("exactly one of key, keyless, static must be set"))
	}
}

func staticVerdict(s *v1alpha1.StaticAuthority) verify.Verdict {
	if s.Action == v1alpha1.StaticPass {
		return verify.Verified{Evidence: verify.Evidence{Format: formatStatic}}
	}
	detail := "the policy refuses every image that it covers"
	if s.Message != "" {
		detail = printable(s.Message, maxDetail)
	}
	return verify.Rejected{Reason: verify.StaticDenied, Detail: detail}
}

// refuseRepeatedKeys makes authorities unusable whose key is that of an earlier
// one: a threshold asks for several signers, and a key is one, whatever it is
// called. The policy's validation sees keys in the policy; this sees Secrets and the
// versions of keys in services, too.
func (p *Policy) refuseRepeatedKeys() {
	first := map[string]string{}
	for i, a := range p.authorities {
		at := slices.IndexFunc(a.signers, func(signer string) bool { return first[signer] != "" })
		if at >= 0 {
			p.authorities[i] = p.unusable(a.name, PartKey, fmt.Sprintf("spec.authorities[%d].key", i),
				fmt.Errorf("%w: authority %q has the same key, and a threshold of %d counts each key once", trust.ErrKeyInvalid, first[a.signers[at]], p.threshold))
			continue
		}
		for _, signer := range a.signers {
			first[signer] = a.name
		}
	}
}

// unusable records a problem with an authority, and returns the form of it that
// accepts nothing.
func (p *Policy) unusable(name string, part Part, path string, err error) authority {
	p.problem(part, path, err)
	detail := printable(fmt.Sprintf("%s: %v", path, err), maxDetail)
	if errors.Is(err, kms.ErrUnavailable) {
		return authority{name: name, fixed: verify.Unavailable{Cause: verify.KMSUnavailable, Detail: detail}}
	}
	return authority{name: name, fixed: verify.Rejected{Reason: verify.PolicyNotReady, Detail: detail}}
}

func (p *Policy) problem(part Part, path string, err error) {
	p.problems = append(p.problems, Problem{Part: part, Path: path, Err: err})
}
