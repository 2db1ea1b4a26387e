// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/go-logr/logr"
	admissionv1 "k8s.io/api/admission/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
	kjson "sigs.k8s.io/json"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1/validation"
	"github.com/countersign-dev/countersign/pkg/apis/sigstore/conversion"
)

// Policies refuses policies, logs and trust roots that cannot be used as they are written, for
// what their schema cannot say, and warns of what is legal but dangerous.
type Policies struct {
	// Reader lists the TransparencyLogs and TrustRoots that exist, for warnings. Required.
	Reader client.Reader
	// Live lists, for warnings, objects of kinds that there need not be. Required.
	Live client.Reader
	// Sigstore says how objects of policy.sigstore.dev are read.
	Sigstore conversion.Options
	// MaxExceptionAge is how long an ImagePolicyException may last.
	MaxExceptionAge time.Duration
	// Metrics and Log are required.
	Metrics *Metrics
	Log     logr.Logger
}

// Handle implements admission.Handler.
func (h *Policies) Handle(ctx context.Context, req admission.Request) admission.Response {
	start := time.Now()
	log := requestLogger(h.Log, req)
	if req.Operation == admissionv1.Delete {
		h.Metrics.observe("policies", req.Operation, decisionAllow, start)
		return admission.Allowed("")
	}
	errs, warnings, err := h.review(ctx, req)
	switch {
	case err != nil:
		h.Metrics.observe("policies", req.Operation, decisionError, start)
		log.Info("Refused an object that could not be read", "error", err.Error())
		return admission.Errored(http.StatusBadRequest, err)
	case len(errs) > 0:
		h.Metrics.observe("policies", req.Operation, decisionDeny, start)
		log.Info("Refused", "fields", paths(errs))
		return invalid(req, errs)
	}
	h.Metrics.observe("policies", req.Operation, decisionAllow, start)
	return admission.Allowed("").WithWarnings(asWarnings(warnings)...)
}

// review returns what is wrong with the object, and what to warn of.
func (h *Policies) review(ctx context.Context, req admission.Request) (field.ErrorList, []string, error) {
	if req.Kind.Group == v1alpha1.SigstoreGroup {
		return h.reviewSigstore(ctx, req)
	}
	switch req.Kind.Kind {
	case v1alpha1.ClusterImagePolicyKind:
		policy, unknown, err := decode[v1alpha1.ClusterImagePolicy](req)
		if err != nil || policy == nil {
			return nil, nil, err
		}
		policy.SetDefaults()
		known := validation.Known{Logs: h.logs(ctx), Roots: h.roots(ctx)}
		return append(unknown, validation.ClusterImagePolicy(policy)...), validation.PolicyWarnings(policy, known), nil
	case v1alpha1.ImagePolicyKind:
		policy, unknown, err := decode[v1alpha1.ImagePolicy](req)
		if err != nil || policy == nil {
			return nil, nil, err
		}
		policy.SetDefaults()
		known := validation.Known{Logs: h.logs(ctx), Roots: h.roots(ctx)}
		return append(unknown, validation.ImagePolicy(policy)...), validation.ImagePolicyWarnings(policy, known), nil
	case v1alpha1.ImagePolicyExceptionKind:
		exception, unknown, err := decode[v1alpha1.ImagePolicyException](req)
		if err != nil || exception == nil {
			return nil, nil, err
		}
		return append(unknown, validation.ImagePolicyException(exception, time.Now(), h.MaxExceptionAge)...), validation.ExceptionWarnings(exception), nil
	case v1alpha1.TransparencyLogKind:
		log, unknown, err := decode[v1alpha1.TransparencyLog](req)
		if err != nil || log == nil {
			return nil, nil, err
		}
		log.SetDefaults()
		unknown = append(unknown, validation.TransparencyLog(log)...)
		return append(unknown, resetProblems(req, log)...), validation.LogWarnings(log, h.logs(ctx)), nil
	case v1alpha1.TrustRootKind:
		trustRoot, unknown, err := decode[v1alpha1.TrustRoot](req)
		if err != nil || trustRoot == nil {
			return nil, nil, err
		}
		trustRoot.SetDefaults()
		return append(unknown, validation.TrustRoot(trustRoot)...), validation.TrustRootWarnings(trustRoot), nil
	default:
		return nil, nil, fmt.Errorf("kind %s is not one of countersign's", req.Kind.Kind)
	}
}

// resetProblems is what is wrong with a reset that an update asks for. One that comes with a
// new object, from a repository of manifests perhaps, finds nothing that it could reset.
func resetProblems(req admission.Request, log *v1alpha1.TransparencyLog) field.ErrorList {
	if req.Operation != admissionv1.Update {
		return nil
	}
	var before v1alpha1.TransparencyLog
	if err := json.Unmarshal(req.OldObject.Raw, &before); err != nil {
		return field.ErrorList{field.InternalError(field.NewPath("spec", "reset"), err)}
	}
	return validation.ResetBy(req.UserInfo.Username, log, &before)
}

// decode reads the object of a request, and what it has that its type has not: the
// schema keeps unknown fields, so that a misspelt requirement is refused here and
// not dropped in silence, whatever the client asked the API server to validate.
// There is no object where its specification is what it was before: then it is not
// judged again, so that one that has become invalid can still be labelled, and
// deleted.
func decode[T any](req admission.Request) (object *T, unknown field.ErrorList, err error) {
	if keepsSpec(req) {
		return nil, nil, nil
	}
	object = new(T)
	strict, err := kjson.UnmarshalStrict(req.Object.Raw, object)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the %s: %w", req.Kind.Kind, err)
	}
	for _, problem := range strict {
		var at kjson.FieldError
		if !errors.As(problem, &at) {
			return nil, nil, fmt.Errorf("reading the %s: %w", req.Kind.Kind, problem)
		}
		unknown = append(unknown, &field.Error{Type: field.ErrorTypeForbidden, Field: at.FieldPath(), Detail: problem.Error()})
	}
	return object, unknown, nil
}

// specOf is an object's specification, whatever it holds.
type specOf struct {
	Spec any `json:"spec"`
}

// logs returns the TransparencyLogs that exist. Warnings are all that depends on
// them, so that they cannot be listed is no reason to refuse a policy.
func (h *Policies) logs(ctx context.Context) []v1alpha1.TransparencyLog {
	var logs v1alpha1.TransparencyLogList
	if err := h.Reader.List(ctx, &logs); err != nil {
		h.Log.Error(err, "Could not list TransparencyLogs")
	}
	return logs.Items
}

// roots returns the TrustRoots that exist, for warnings, too.
func (h *Policies) roots(ctx context.Context) []v1alpha1.TrustRoot {
	var roots v1alpha1.TrustRootList
	if err := h.Reader.List(ctx, &roots); err != nil {
		h.Log.Error(err, "Could not list TrustRoots")
	}
	return roots.Items
}

// invalid is the answer that the API server itself gives to an invalid object.
func invalid(req admission.Request, errs field.ErrorList) admission.Response {
	status := apierrors.NewInvalid(schema.GroupKind{Group: req.Kind.Group, Kind: req.Kind.Kind}, req.Name, errs).Status()
	return admission.Response{AdmissionResponse: admissionv1.AdmissionResponse{Result: &status}}
}

func paths(errs field.ErrorList) []string {
	var paths []string
	for _, err := range errs {
		paths = append(paths, err.Field)
	}
	return paths
}
