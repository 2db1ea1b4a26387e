// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build nokms

package main

import "github.com/countersign-dev/countersign/pkg/trust/kms"

// kmsProviders are none: a policy that names a key in a key service is not ready, and
// says why.
func kmsProviders() kms.Providers { return nil }
