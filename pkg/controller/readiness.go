// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"errors"
	"net/http"
	"sync"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/types"

	"github.com/countersign-dev/countersign/policy"
)

var errNotLoaded = errors.New("policies and logs are not loaded yet")

// Readiness is ready when every policy and log that exists has been loaded once.
// Before that, a request could pass a policy that is not known yet.
type Readiness struct {
	// inForce holds the policies of the last load, by the UID of their object.
	inForce atomic.Pointer[map[types.UID]*policy.Policy]
	// own holds those of namespaces, by the name of their object: values are ownPolicy.
	own sync.Map
}

// ownPolicy is what is in force of one ImagePolicy.
type ownPolicy struct {
	uid    types.UID
	policy *policy.Policy
}

// Check is a controller-runtime healthz.Checker.
func (r *Readiness) Check(*http.Request) error {
	if r.inForce.Load() == nil {
		return errNotLoaded
	}
	return nil
}

func (r *Readiness) set(inForce map[types.UID]*policy.Policy) { r.inForce.Store(&inForce) }

func (r *Readiness) setOwn(name types.NamespacedName, uid types.UID, p *policy.Policy) {
	r.own.Store(name, ownPolicy{uid, p})
}

func (r *Readiness) forgetOwn(name types.NamespacedName) { r.own.Delete(name) }

// ownPolicy returns what is in force here of the ImagePolicy with that name, UID and
// generation, or nil when it has not been loaded yet.
func (r *Readiness) ownPolicy(name types.NamespacedName, uid types.UID, generation int64) *policy.Policy {
	found, ok := r.own.Load(name)
	if !ok {
		return nil
	}
	if own, ok := found.(ownPolicy); ok && own.uid == uid && own.policy.Generation() == generation {
		return own.policy
	}
	return nil
}

// policy returns what is in force here of the policy object with that UID and
// generation, or nil when it has not been loaded yet.
func (r *Readiness) policy(uid types.UID, generation int64) *policy.Policy {
	inForce := r.inForce.Load()
	if inForce == nil {
		return nil
	}
	if p := (*inForce)[uid]; p != nil && p.Generation() == generation {
		return p
	}
	return nil
}
