// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"errors"
	"net/http"
	"sync/atomic"
)

var errNotLoaded = errors.New("policies and logs are not loaded yet")

// Readiness is ready when every policy and log that exists has been loaded once.
// Before that, a request could pass a policy that is not known yet.
type Readiness struct {
	loaded atomic.Bool
}

// Check is a controller-runtime healthz.Checker.
func (r *Readiness) Check(*http.Request) error {
	if !r.loaded.Load() {
		return errNotLoaded
	}
	return nil
}
