// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/trust"
	"github.com/countersign-dev/countersign/pkg/verify"
)

// problemError says in which part of an authority something is wrong.
type problemError struct {
	part Part
	path string
	err  error
}

func (e *problemError) Error() string { return e.path + ": " + e.err.Error() }
func (e *problemError) Unwrap() error { return e.err }

// compileVerifier compiles an authority that looks at signatures: each step fills
// in what it is about, and the first that cannot makes the authority unusable.
func (p *Policy) compileVerifier(ctx context.Context, a *v1alpha1.Authority, path string, t Trust) authority {
	verifier := &verify.Authority{
		Name: a.Name, SkipSignature: !a.SignatureRequired(),
		AcceptUnasked: p.onUnavailable == v1alpha1.OnUnavailableAllowEmbeddedProof,
	}
	compiled := authority{name: a.Name, key: verifier}
	steps := []func() *problemError{
		func() *problemError { return p.compileKey(ctx, verifier, a.Key, path+".key", t) },
		func() *problemError { return compileKeyless(verifier, a.Keyless, path+".keyless", t.Roots) },
		func() *problemError { return compileLogs(verifier, a.CTLog, path+".ctlog", t.Logs) },
		func() *problemError {
			return compileTimestamp(verifier, a.RFC3161Timestamp, path+".rfc3161timestamp", t.Roots)
		},
		func() *problemError { return compileRequirements(verifier, a, path) },
		func() (problem *problemError) {
			compiled.sources, problem = p.compileSources(ctx, a.Source, path+".source", t.Secrets)
			return problem
		},
	}
	for _, step := range steps {
		if problem := step(); problem != nil {
			return p.unusable(a.Name, problem.part, problem.path, problem.err)
		}
	}
	// Each step has checked what it filled in: what is left is whether the logs
	// can meet their threshold.
	if err := verifier.Validate(); err != nil {
		return p.unusable(a.Name, PartLog, path+".ctlog", err)
	}
	for _, key := range verifier.Keys {
		compiled.signers = append(compiled.signers, key.String())
	}
	return compiled
}

func compileKeyless(verifier *verify.Authority, k *v1alpha1.KeylessAuthority, path string, roots Roots) *problemError {
	if k == nil {
		return nil
	}
	material, at, err := keylessRoot(k, path, roots)
	switch {
	case err != nil:
		return &problemError{PartRoot, at, err}
	case len(material.FulcioCertificateAuthorities()) == 0:
		return &problemError{PartRoot, at, fmt.Errorf("%w: %q has no certificate authority", trust.ErrRootUnsuitable, k.TrustRootRef)}
	case len(material.CTLogs()) == 0 && !k.SCTIgnored():
		return &problemError{PartRoot, at, fmt.Errorf("%w: %q has no certificate transparency log", trust.ErrRootUnsuitable, cmp.Or(k.TrustRootRef, k.URL))}
	}
	if len(k.Identities) == 0 {
		return &problemError{PartSpec, path + ".identities", errors.New("no identity says who may sign")}
	}
	keyless := &verify.Keyless{Root: material, InsecureIgnoreSCT: k.SCTIgnored()}
	for i := range k.Identities {
		identity, err := verify.NewIdentity(identitySpec(&k.Identities[i]))
		if err != nil {
			return &problemError{PartSpec, fmt.Sprintf("%s.identities[%d]", path, i), err}
		}
		keyless.Identities = append(keyless.Identities, identity)
	}
	verifier.Keyless = keyless
	return nil
}

// keylessRoot returns the trust root that k means, and the field that says so.
func keylessRoot(k *v1alpha1.KeylessAuthority, path string, roots Roots) (root.TrustedMaterial, string, error) {
	at := path + ".trustRootRef"
	if k.URL != "" {
		at = path + ".url"
	}
	if roots == nil {
		return nil, at, fmt.Errorf("%w: %q", trust.ErrRootNotFound, cmp.Or(k.TrustRootRef, k.URL))
	}
	material, err := roots.Authorities(k)
	return material, at, err
}

func identitySpec(id *v1alpha1.Identity) verify.IdentitySpec {
	return verify.IdentitySpec{
		Issuer: id.Issuer, IssuerRegExp: id.IssuerRegExp, Subject: id.Subject, SubjectRegExp: id.SubjectRegExp,
		Extensions: asText(id.Extensions),
	}
}

func asText[T ~string](values map[string]T) map[string]string {
	if len(values) == 0 {
		return nil
	}
	texts := make(map[string]string, len(values))
	for name, value := range values {
		texts[name] = string(value)
	}
	return texts
}

func findRoot(name string, roots Roots) (root.TrustedMaterial, error) {
	if roots == nil {
		return nil, fmt.Errorf("%w: %q", trust.ErrRootNotFound, name)
	}
	return roots.Root(name)
}

func compileLogs(verifier *verify.Authority, c *v1alpha1.CTLog, path string, logs Logs) *problemError {
	if c.Ignored() {
		verifier.InsecureIgnoreTlog = true
		return nil
	}
	found, err := logs.Select(c)
	if err != nil {
		return &problemError{PartLog, path, err}
	}
	verifier.Logs = found
	if c != nil {
		verifier.LogThreshold = int(c.Threshold)
	}
	return nil
}

func compileTimestamp(verifier *verify.Authority, from *v1alpha1.RFC3161Timestamp, path string, roots Roots) *problemError {
	if from == nil {
		return nil
	}
	material, err := findRoot(from.TrustRootRef, roots)
	switch {
	case err != nil:
		return &problemError{PartRoot, path + ".trustRootRef", err}
	case len(material.TimestampingAuthorities()) == 0:
		return &problemError{PartRoot, path + ".trustRootRef", fmt.Errorf("%w: %q has no timestamp authority", trust.ErrRootUnsuitable, from.TrustRootRef)}
	}
	verifier.TimestampRoot = material
	return nil
}

// compileRequirements fills in what is asked for besides a signature. A value that
// nobody knows must not ask for less.
func compileRequirements(verifier *verify.Authority, a *v1alpha1.Authority, path string) *problemError {
	verifier.Annotations = asText(a.Annotations)
	switch a.SignatureFormat {
	case "", v1alpha1.SignatureFormatAuto:
	case v1alpha1.SignatureFormatLegacy, v1alpha1.SignatureFormatBundle:
		verifier.Format = string(a.SignatureFormat)
	default:
		return &problemError{PartSpec, path + ".signatureFormat", fmt.Errorf("%q is none of auto, legacy, bundle", a.SignatureFormat)}
	}
	for i, attestation := range a.Attestations {
		if attestation.PredicateType == "" {
			return &problemError{PartSpec, fmt.Sprintf("%s.attestations[%d].predicateType", path, i), errors.New("it is missing")}
		}
		verifier.Attestations = append(verifier.Attestations, verify.AttestationRequirement{
			Name: attestation.Name, PredicateType: verify.PredicateType(attestation.PredicateType),
			AnyOne: true, // a policy cannot say yet what they must say
		})
	}
	if verifier.SkipSignature && len(verifier.Attestations) == 0 {
		return &problemError{PartSpec, path + ".requireSignature", errors.New("neither a signature nor an attestation is asked for")}
	}
	if verifier.SkipSignature && len(verifier.Annotations) > 0 {
		return &problemError{PartSpec, path + ".annotations", errors.New("annotations are in the image's signature, which requireSignature: false does not look at")}
	}
	return nil
}
