// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/countersign-dev/countersign/pkg/image"
	"github.com/countersign-dev/countersign/policy"
)

// Decider decides about the images of one object. *policy.Evaluator implements it.
type Decider interface {
	// EvaluateAll returns a decision for each of the images that come from origin, by
	// image as it is written.
	EvaluateAll(ctx context.Context, origin policy.Origin, images []string) map[string]policy.Decision
}

// Images admits or refuses the images that a Pod or a workload brings in.
type Images struct {
	// Extractor finds the images of objects. Required.
	Extractor Extractor
	// Decider decides. Required.
	Decider Decider
	// NoMatch says what happens to images that no policy covers.
	NoMatch policy.NoMatch
	// PinDigests refuses a Pod whose image an enforcing policy covers and whose
	// reference names no digest.
	PinDigests bool
	// Admitted is told of each object that is admitted and to be stored, and of what
	// was found about its images. nil tells nobody.
	Admitted func(object corev1.ObjectReference, found []policy.Decision)
	// Metrics and Log are required.
	Metrics *Metrics
	Log     logr.Logger
}

// Handle implements admission.Handler.
func (h *Images) Handle(ctx context.Context, req admission.Request) admission.Response {
	start := time.Now()
	occurrences, err := incoming(h.Extractor, req)
	if err != nil {
		h.Metrics.observe("images", req.Operation, decisionError, start)
		h.logger(req).Info("Refused an object that could not be read", "error", err.Error())
		return admission.Errored(http.StatusBadRequest, err)
	}
	decisions, err := h.decide(ctx, req, occurrences)
	if err != nil {
		h.Metrics.observe("images", req.Operation, decisionError, start)
		h.logger(req).Error(err, "Refused an object for a fault of countersign")
		return admission.Errored(http.StatusInternalServerError, err)
	}
	r := review{noMatch: h.NoMatch, occurrences: occurrences, decisions: decisions, pod: isPod(req)}
	response, decision := r.response()
	if h.Admitted != nil && decision != decisionDeny && !isDryRun(req) {
		h.Admitted(reference(req), r.distinct())
	}
	h.Metrics.observe("images", req.Operation, decision, start)
	log := h.logger(req).WithValues("decision", decision, "images", len(occurrences), "duration", time.Since(start).String())
	if decision == decisionAllow {
		log.V(1).Info("Answered")
	} else {
		log.Info("Answered", "reasons", r.reasons())
	}
	return response
}

// decide returns a decision for each image that occurs. That one is missing is a
// fault, and must not be read as "no policy covers the image".
func (h *Images) decide(ctx context.Context, req admission.Request, occurrences []image.Occurrence) (map[string]policy.Decision, error) {
	images := make([]string, 0, len(occurrences))
	for _, o := range occurrences {
		images = append(images, o.Image)
	}
	decisions := h.Decider.EvaluateAll(ctx, originOf(h.Extractor, req), images)
	for _, o := range occurrences {
		d, ok := decisions[o.Image]
		if !ok || d.Image != o.Image {
			return nil, fmt.Errorf("no decision was reached about %s", o.Path)
		}
		// Only a Pod runs as it is written. A workload's Pods are judged, and
		// pinned, when they are created.
		if h.PinDigests && isPod(req) {
			decisions[o.Image] = d.RequireDigest()
		}
	}
	return decisions, nil
}

func isPod(req admission.Request) bool { return req.Kind.Group == "" && req.Kind.Kind == "Pod" }

func isDryRun(req admission.Request) bool { return req.DryRun != nil && *req.DryRun }

func (h *Images) logger(req admission.Request) logr.Logger { return requestLogger(h.Log, req) }

// requestLogger adds what identifies a request, and nothing of its content.
func requestLogger(log logr.Logger, req admission.Request) logr.Logger {
	return log.WithValues("uid", req.UID, "operation", req.Operation, "kind", req.Kind.Kind, "subresource", req.SubResource,
		"namespace", req.Namespace, "name", req.Name, "user", req.UserInfo.Username,
		"dryRun", isDryRun(req))
}

// reference names the object of a request. When an object is created, its name may be
// made by the API server, and is then in the object alone, as its UID is.
func reference(req admission.Request) corev1.ObjectReference {
	var object metav1.PartialObjectMetadata
	_ = json.Unmarshal(req.Object.Raw, &object) // it has been read once: for its images
	return corev1.ObjectReference{
		APIVersion: kindOf(req).GroupVersion().String(), Kind: req.Kind.Kind,
		Namespace: req.Namespace, Name: cmp.Or(req.Name, object.Name, object.GenerateName), UID: object.UID,
	}
}
