// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build nokms

package main

import "github.com/countersign-dev/countersign/pkg/registry/workload"

// identityProviders are none.
func identityProviders() map[string]workload.Provider { return nil }
