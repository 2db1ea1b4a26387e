// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"fmt"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	"gomodules.xyz/jsonpatch/v2"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/countersign-dev/countersign/pkg/image"
	"github.com/countersign-dev/countersign/policy"
)

// maxPinning is the number of images of one Pod that are resolved at a time.
const maxPinning = 8

// Pinner resolves the tag of an image. *policy.Evaluator implements it.
type Pinner interface {
	// Pin returns the reference with its digest, or as it is where no policy
	// needs one for an image that comes from origin.
	Pin(ctx context.Context, origin policy.Origin, image string) (string, error)
}

// Pods pins the images that a Pod brings in to the digest that their tags point
// to now, so that what is verified is what runs. It judges nothing: an image that
// cannot be resolved is left as it is, and Images says why it is refused.
type Pods struct {
	// Extractor finds the images of Pods. Required.
	Extractor Extractor
	// Pinner resolves. Required.
	Pinner Pinner
	// Metrics and Log are required.
	Metrics *Metrics
	Log     logr.Logger
}

// Handle implements admission.Handler. It only ever replaces image fields, and
// answers a Pod that is pinned already with no patch.
func (h *Pods) Handle(ctx context.Context, req admission.Request) admission.Response {
	start := time.Now()
	log := requestLogger(h.Log, req)
	occurrences, err := incoming(h.Extractor, req)
	if err != nil {
		h.Metrics.observe("pods", req.Operation, decisionError, start)
		log.Info("Refused an object that could not be read", "error", err.Error())
		return admission.Errored(http.StatusBadRequest, err)
	}
	if !isPod(req) {
		// Pinning anything else would change what its owner keeps in git.
		occurrences = nil
	}
	patches := h.patches(ctx, originOf(h.Extractor, req), occurrences, log)
	h.Metrics.observe("pods", req.Operation, decisionAllow, start)
	log.V(1).Info("Pinned", "images", len(occurrences), "patched", len(patches), "duration", time.Since(start).String())
	return admission.Patched("", patches...)
}

func (h *Pods) patches(ctx context.Context, origin policy.Origin, occurrences []image.Occurrence, log logr.Logger) []jsonpatch.JsonPatchOperation {
	references := map[string]*string{}
	var group errgroup.Group
	group.SetLimit(maxPinning)
	for _, o := range occurrences {
		if references[o.Image] != nil {
			continue // one tag is resolved once, also so that it is one digest
		}
		reference := new(string)
		references[o.Image] = reference
		group.Go(func() error {
			*reference = h.pin(ctx, origin, o, log)
			return nil
		})
	}
	_ = group.Wait() // the functions above return no error
	var patches []jsonpatch.JsonPatchOperation
	for _, o := range occurrences {
		if reference := *references[o.Image]; reference != o.Image {
			patches = append(patches, jsonpatch.NewOperation("replace", o.Pointer, reference))
		}
	}
	return patches
}

// pin returns the reference with its digest, or as it is where that fails. It
// recovers: it runs apart from the request, where a panic would end the process.
func (h *Pods) pin(ctx context.Context, origin policy.Origin, o image.Occurrence, log logr.Logger) (reference string) {
	defer func() {
		if cause := recover(); cause != nil {
			log.Error(fmt.Errorf("panic: %v", cause), "Pinning panicked", "path", o.Path, "stack", string(debug.Stack()))
			reference = o.Image
		}
	}()
	reference, err := h.Pinner.Pin(ctx, origin, o.Image)
	if err != nil {
		log.Info("Left an image unpinned", "path", o.Path, "error", err.Error())
		return o.Image
	}
	return reference
}
