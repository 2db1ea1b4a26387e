// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// maxPullNames bounds the names that are read from one object.
const maxPullNames = 64

// defaultServiceAccount is that of a Pod that names none.
const defaultServiceAccount = "default"

// PullNames are the objects in which an object's Pods have credentials for their
// images. Nothing has checked the names.
type PullNames struct {
	// Secrets are imagePullSecrets, ServiceAccounts those whose pull secrets the
	// Pods will be given.
	Secrets, ServiceAccounts []string
}

// PullNames returns what an object of kind gvk, as JSON, names to pull its images
// with: all of its PodSpecs together. The API server gives a Pod without pull secrets
// those of its ServiceAccount when it is created (admission plugin ServiceAccount), so
// a Pod holds all that it will have. A template does not. The errors are those of
// Extract.
func (x *Extractor) PullNames(gvk schema.GroupVersionKind, raw []byte) (PullNames, error) {
	return x.pullNames(gvk, raw, gvk.Group == "" && gvk.Kind == "Pod")
}

// FuturePullNames is PullNames of an object that the API server may not have seen yet:
// a Pod without pull secrets will be given those of its ServiceAccount, too.
func (x *Extractor) FuturePullNames(gvk schema.GroupVersionKind, raw []byte) (PullNames, error) {
	return x.pullNames(gvk, raw, false)
}

// pullNames returns the names in an object, which are all that its Pods will have if it
// is complete.
func (x *Extractor) pullNames(gvk schema.GroupVersionKind, raw []byte, complete bool) (PullNames, error) {
	h, ok := x.holder(gvk)
	if !ok {
		return PullNames{}, fmt.Errorf("kind %s of %s: %w", gvk.Kind, gvk.GroupVersion(), ErrUnknownKind)
	}
	found := pullCollector{complete: complete}
	if err := checkType(gvk, raw); err != nil {
		return PullNames{}, fmt.Errorf("read %s: %w", gvk.Kind, err)
	}
	for _, p := range h.podSpecs {
		if err := walk(raw, p, found.podSpec); err != nil {
			return PullNames{}, fmt.Errorf("read %s: %w", gvk.Kind, err)
		}
	}
	return found.names, nil
}

type pullCollector struct {
	complete bool
	names    PullNames
}

// podSpec collects the names in the PodSpec that r is at.
func (c *pullCollector) podSpec(r *reader, at place) error {
	var secrets []string
	var account, deprecated string
	err := r.object(at, func(name string) error {
		switch name {
		case "imagePullSecrets":
			return r.list(at.child(name), func(_ int, at place) error {
				var reference struct {
					Name string `json:"name"`
				}
				if err := r.strictly(at, &reference); err != nil {
					return err
				}
				secrets = append(secrets, reference.Name)
				return nil
			})
		case "serviceAccountName":
			return r.strictly(at.child(name), &account)
		case "serviceAccount": // its name before Kubernetes 1.0
			return r.strictly(at.child(name), &deprecated)
		default:
			return r.skip()
		}
	})
	if err != nil {
		return err
	}
	c.names.Secrets = appendNew(c.names.Secrets, secrets...)
	if len(secrets) == 0 && !c.complete {
		for _, name := range []string{account, deprecated, defaultServiceAccount} {
			if name != "" {
				c.names.ServiceAccounts = appendNew(c.names.ServiceAccounts, name)
				break
			}
		}
	}
	return nil
}

// appendNew adds the names that are not there yet, as far as there is room.
func appendNew(names []string, more ...string) []string {
	for _, name := range more {
		if len(names) < maxPullNames && name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}
