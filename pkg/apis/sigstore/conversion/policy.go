// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package conversion

import (
	"fmt"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1/validation"
	sigstore "github.com/countersign-dev/countersign/pkg/apis/sigstore/v1alpha1"
)

// Policy is what a ClusterImagePolicy of policy.sigstore.dev means.
type Policy struct {
	// Object is the policy in our terms, with its own name, and with what could be said
	// of it.
	Object *v1alpha1.ClusterImagePolicy
	// Refused are the fields that mean nothing, or nothing that can be kept. While there
	// are any, the object is not to be accepted; where it is there already, what they
	// are about accepts nothing.
	Refused field.ErrorList
	// CoversNothing is set when none of its patterns can match an image in that API, or
	// none of what it says of objects an object.
	CoversNothing bool
	// Warnings are what is different here, and what is dangerous.
	Warnings []string
}

// ClusterImagePolicy reads a ClusterImagePolicy of policy.sigstore.dev, which is JSON.
func ClusterImagePolicy(raw []byte, o Options) Policy {
	c := &converter{Options: o}
	var in object[sigstore.ClusterImagePolicySpec]
	readable := c.decode(raw, &in)
	out := &v1alpha1.ClusterImagePolicy{ObjectMeta: in.ObjectMeta}
	out.ManagedFields = nil
	if !readable {
		// Nobody can tell what it covers, or which of its parts was read.
		return Policy{Object: out, Refused: c.refused}
	}
	path := field.NewPath("spec")
	out.Spec.Mode = v1alpha1.Mode(in.Spec.Mode)
	if mode := out.Spec.Mode; mode != "" && mode != v1alpha1.ModeEnforce && mode != v1alpha1.ModeWarn {
		c.refuse(field.NotSupported(path.Child("mode"), in.Spec.Mode, []string{"enforce", "warn"}))
	}
	out.Spec.Images = c.images(path.Child("images"), in.Spec.Images)
	out.Spec.Authorities = c.authorities(path.Child("authorities"), in.Spec.Authorities)
	c.program(path.Child("policy"), in.Spec.Policy)
	out.Spec.Match = c.match(path.Child("match"), in.Spec.Match)
	out.SetDefaults()
	c.refuseAlso(validation.ClusterImagePolicy(out))
	return Policy{
		Object: out, Refused: c.refused, Warnings: c.warnings,
		CoversNothing: len(in.Spec.Images) > 0 && len(out.Spec.Images) == 0 || len(in.Spec.Match) > 0 && len(out.Spec.Match) == 0,
	}
}

// Qualify names the policy, and the trust roots that it refers to, as objects of
// policy.sigstore.dev are known among ours.
func (p *Policy) Qualify() {
	p.Object.Name = v1alpha1.SigstoreName(p.Object.Name)
	for i := range p.Object.Spec.Authorities {
		a := &p.Object.Spec.Authorities[i]
		if a.Keyless != nil {
			a.Keyless.TrustRootRef = qualified(a.Keyless.TrustRootRef)
		}
		if a.CTLog != nil {
			a.CTLog.TrustRootRef = qualified(a.CTLog.TrustRootRef)
		}
		if a.RFC3161Timestamp != nil {
			a.RFC3161Timestamp.TrustRootRef = qualified(a.RFC3161Timestamp.TrustRootRef)
		}
	}
}

// images keeps the patterns as they are: what matches there matches here. There, the
// whole name is compared, the registry and the digest with it.
func (c *converter) images(path *field.Path, patterns []sigstore.ImagePattern) []v1alpha1.ImagePattern {
	var kept []v1alpha1.ImagePattern
	var idle field.ErrorList
	for i, pattern := range patterns {
		if matchesNothing(pattern.Glob) {
			idle = append(idle, field.Invalid(path.Index(i).Child("glob"), pattern.Glob,
				"matches no image in that API, which compares the whole name: begin it with the registry, or with **"))
			continue
		}
		if before, after, _ := strings.Cut(pattern.Glob, "*"); strings.Contains(after, "sha256") && !strings.Contains(pattern.Glob, "@") {
			c.refuse(field.Invalid(path.Index(i).Child("glob"), pattern.Glob, "is about a digest, and does not say so: write @sha256:"))
			pattern.Glob = before + "**" // any digest has these letters
		}
		c.moved(path.Index(len(kept)), path.Index(i))
		kept = append(kept, v1alpha1.ImagePattern{Glob: pattern.Glob})
	}
	c.idle(path, idle, len(kept) > 0)
	return kept
}

// idle takes alternatives in a list that select nothing, in that API as well. They are
// left out, with a warning; a policy of which nothing is left was not meant so.
func (c *converter) idle(path *field.Path, errs field.ErrorList, othersRemain bool) {
	if !othersRemain && len(errs) > 0 {
		c.settled = append(c.settled, path.String())
		c.refused = append(c.refused, errs...)
		return
	}
	for _, err := range errs {
		c.warnings = append(c.warnings, fmt.Sprintf("%s: %q %s", err.Field, err.BadValue, err.Detail))
	}
}

// readable is what patterns of that API are written in. While one cannot be read, no image
// is let by there.
var readable = regexp.MustCompile(`^[-a-zA-Z0-9_:/*.@]+$`)

// matchesNothing reports whether a pattern of that API can match no image at all: every
// whole name has a slash, and only ** and a slash match one. Alone, * stands for
// index.docker.io/library/*.
func matchesNothing(glob string) bool {
	return readable.MatchString(glob) && glob != "*" && !strings.Contains(glob, "/") && !strings.Contains(glob, "**")
}

// program refuses a program over what was found: without it, more would be accepted.
func (c *converter) program(path *field.Path, p *sigstore.Policy) {
	if p == nil {
		return
	}
	if p.Type != "cue" && p.Type != "rego" {
		c.refuse(field.NotSupported(path.Child("type"), p.Type, []string{"cue", "rego"}))
		return
	}
	c.refuse(field.Forbidden(path, "policies of type "+p.Type+" cannot be evaluated yet, and nothing is accepted without"))
}
