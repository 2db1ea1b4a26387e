// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import "strings"

// SigstoreGroup is the API group of sigstore's policy-controller, whose
// ClusterImagePolicy and TrustRoot objects are in force beside ours.
const SigstoreGroup = "policy.sigstore.dev"

// SigstoreName returns the name by which an object of policy.sigstore.dev is known
// among ours. No object has a slash in its name, so that it never is one of ours.
func SigstoreName(name string) string { return SigstoreGroup + "/" + name }

// CutSigstoreName returns the name of the object that is known by name, and whether
// that is one of policy.sigstore.dev.
func CutSigstoreName(name string) (string, bool) { return strings.CutPrefix(name, SigstoreGroup+"/") }
