// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

// Package webhook answers the API server: it pins the images of Pods to digests,
// admits or refuses the images that an object brings in, and refuses policies
// that cannot be compiled.
//
// A handler judges what is in the request and nothing else, keeps nothing between
// requests, and never logs an object's content. What goes wrong in it is a
// refusal.
package webhook

// Paths under which the handlers are served.
const (
	PathPods     = "/mutate/pods"
	PathImages   = "/validate/images"
	PathPolicies = "/validate/policies"
)
