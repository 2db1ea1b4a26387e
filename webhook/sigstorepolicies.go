// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1/validation"
	"github.com/countersign-dev/countersign/pkg/apis/sigstore/conversion"
	sigstore "github.com/countersign-dev/countersign/pkg/apis/sigstore/v1alpha1"
)

// reviewSigstore judges an object of policy.sigstore.dev: what of it cannot be kept is
// refused, and what is different here is a warning.
func (h *Policies) reviewSigstore(ctx context.Context, req admission.Request) (field.ErrorList, []string, error) {
	kind := schema.GroupVersionKind{Group: req.Kind.Group, Version: req.Kind.Version, Kind: req.Kind.Kind}
	switch {
	case keepsSpec(req):
		return nil, nil, nil
	case conversion.IsPolicy(kind):
		p := conversion.ClusterImagePolicy(req.Object.Raw, h.Sigstore)
		p.Qualify()
		known := validation.Known{Logs: h.logs(ctx), Roots: append(h.roots(ctx), h.sigstoreRoots(ctx)...)}
		return p.Refused, append(p.Warnings, validation.PolicyWarnings(p.Object, known)...), nil
	case conversion.IsTrustRoot(kind):
		root := conversion.TrustRoot(req.Object.Raw)
		return root.Refused, root.Warnings, nil
	default:
		return nil, nil, fmt.Errorf("kind %v is not one that countersign reads", kind)
	}
}

// sigstoreRoots returns the TrustRoots of policy.sigstore.dev that exist, by their names
// alone. As with logs, only warnings depend on them.
func (h *Policies) sigstoreRoots(ctx context.Context) []v1alpha1.TrustRoot {
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(schema.GroupVersionKind{Group: sigstore.GroupName, Version: sigstore.Version, Kind: sigstore.TrustRootKind + "List"})
	if err := h.Live.List(ctx, list); err != nil {
		return nil // there need not be any
	}
	var roots []v1alpha1.TrustRoot
	for i := range list.Items {
		roots = append(roots, v1alpha1.TrustRoot{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.SigstoreName(list.Items[i].Name)}})
	}
	return roots
}

// keepsSpec reports whether a request leaves the specification of an object as it was.
func keepsSpec(req admission.Request) bool {
	now, before := specOf{}, specOf{}
	return req.Operation == admissionv1.Update &&
		json.Unmarshal(req.Object.Raw, &now) == nil && json.Unmarshal(req.OldObject.Raw, &before) == nil && reflect.DeepEqual(now, before)
}
