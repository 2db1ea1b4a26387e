// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

// Package policy decides about images: which policies cover one, what must hold
// under each, and what was found.
//
// Compile turns a ClusterImagePolicy into a Policy, a Set holds the policies in
// force, and an Evaluator turns an image, as an object writes it, into a
// Decision. Admission and the command line use the same three, so that both
// reach the same verdict and say it in the same words.
//
// Everything fails closed. A policy that cannot be compiled still covers its
// images and accepts none of them; a policy whose patterns cannot be read covers
// every image; a panic or a deadline in an evaluation is a refusal.
package policy
