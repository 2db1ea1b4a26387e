// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package files

import (
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/countersign-dev/countersign/pkg/apis/sigstore/conversion"
)

// addSigstorePolicy reads a ClusterImagePolicy of policy.sigstore.dev.
func (r *Resources) addSigstorePolicy(sources map[string]string, o Object, options conversion.Options) {
	p := conversion.ClusterImagePolicy(o.JSON, options)
	name := p.Object.Name
	p.Qualify()
	r.once(sources, o, p.Object.Name, name)
	r.refused(o, name, p.Refused, p.Warnings)
	r.Policies, r.policySources = append(r.Policies, *p.Object), append(r.policySources, o.Source)
}

// addSigstoreRoot reads a TrustRoot of policy.sigstore.dev.
func (r *Resources) addSigstoreRoot(sources map[string]string, o Object) {
	root := conversion.TrustRoot(o.JSON)
	name := root.Object.Name
	root.Qualify()
	r.once(sources, o, root.Object.Name, name)
	r.refused(o, name, root.Refused, root.Warnings)
	r.Roots, r.rootSources = append(r.Roots, *root.Object), append(r.rootSources, o.Source)
}

// refused takes down what an object of policy.sigstore.dev asks for that cannot be kept.
func (r *Resources) refused(o Object, name string, errs field.ErrorList, warnings []string) {
	for _, err := range errs {
		r.problem(o, name, err)
	}
	for _, warning := range warnings {
		r.Warnings = append(r.Warnings, warningOf(o.Source, o.Kind.Kind, name, warning))
	}
}
