// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"net/http"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	"gomodules.xyz/jsonpatch/v2"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/countersign-dev/countersign/pkg/image"
)

// maxPinning is the number of images of one Pod that are resolved at a time.
const maxPinning = 8

// Pinner resolves the tag of an image. *policy.Evaluator implements it.
type Pinner interface {
	// Pin returns the reference with its digest, or as it is where no policy
	// needs one.
	Pin(ctx context.Context, image string) (string, error)
}

// Pods pins the images that a Pod brings in to the digest that their tags point
// to now, so that what is verified is what runs. It judges nothing: an image that
// cannot be resolved is left as it is, and Images says why it is refused.
type Pods struct {
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
	occurrences, err := incoming(req)
	if err != nil {
		h.Metrics.observe("pods", string(req.Operation), decisionError, start)
		log.Info("Refused an object that could not be read", "error", err.Error())
		return admission.Errored(http.StatusBadRequest, err)
	}
	if !isPod(req) {
		// Pinning anything else would change what its owner keeps in git.
		occurrences = nil
	}
	patches := h.patches(ctx, occurrences, log)
	h.Metrics.observe("pods", string(req.Operation), decisionAllow, start)
	log.V(1).Info("Pinned", "images", len(occurrences), "patched", len(patches), "duration", time.Since(start).String())
	return admission.Patched("", patches...)
}

func (h *Pods) patches(ctx context.Context, occurrences []image.Occurrence, log logr.Logger) []jsonpatch.JsonPatchOperation {
	references := make([]string, len(occurrences))
	var group errgroup.Group
	group.SetLimit(maxPinning)
	for i, o := range occurrences {
		group.Go(func() error {
			reference, err := h.Pinner.Pin(ctx, o.Image)
			if err != nil {
				log.Info("Left an image unpinned", "path", o.Path, "error", err.Error())
				reference = o.Image
			}
			references[i] = reference
			return nil
		})
	}
	_ = group.Wait() // the functions above return no error
	var patches []jsonpatch.JsonPatchOperation
	for i, o := range occurrences {
		if references[i] != o.Image {
			patches = append(patches, jsonpatch.NewOperation("replace", o.Pointer, references[i]))
		}
	}
	return patches
}
