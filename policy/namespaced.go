// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"context"
	"errors"
	"fmt"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/trust"
	"github.com/countersign-dev/countersign/pkg/verify"
)

// maxOwnPolicies bounds the policies of one namespace that are asked about one image.
// Their owner decides how many there are, and everybody pays for the time they take.
const maxOwnPolicies = 16

// OwnPolicy is the ID of an ImagePolicy.
func OwnPolicy(namespace, name string) ID {
	return ID{Kind: v1alpha1.GroupVersion().WithKind(v1alpha1.ImagePolicyKind).GroupKind(), Namespace: namespace, Name: name}
}

// CompileOwn turns the policy that a namespace has for itself into the form that is
// evaluated, as Compile does. Of t it uses the logs and the trust roots: whatever the
// object says, it leads to no Secret, no key service and no other place than beside the
// image. What it is not allowed to say accepts nothing.
func CompileOwn(ctx context.Context, obj *v1alpha1.ImagePolicy, t Trust) *Policy {
	spec := obj.Spec.AsCluster()
	p := compile(ctx, OwnPolicy(obj.Namespace, obj.Name), obj.Generation, obj.UID, &spec, Trust{Logs: t.Logs, Roots: t.Roots, Secrets: trust.Secrets{}})
	for i := range spec.Authorities {
		a := &spec.Authorities[i]
		if len(a.Source) > 0 || a.Static != nil && a.Static.Action == v1alpha1.StaticPass {
			p.authorities[i] = p.unusable(a.Name, PartSpec, fmt.Sprintf("spec.authorities[%d]", i), errNotOwn)
		}
	}
	return p
}

var errNotOwn = errors.New("an ImagePolicy can have neither source nor a static authority that passes")

// tooMany takes the place of the first policy of a namespace that is one too many: it
// refuses, and no more of them are asked.
func (p *Policy) tooMany() *Policy {
	return &Policy{
		id: p.id, generation: p.generation, mode: v1alpha1.ModeEnforce, threshold: 1, images: p.images, everything: p.everything,
		authorities: []authority{{name: "limit", fixed: verify.Rejected{
			Reason: verify.LimitExceeded,
			Detail: fmt.Sprintf("more than %d ImagePolicies of the namespace cover the image", maxOwnPolicies),
		}}},
	}
}
