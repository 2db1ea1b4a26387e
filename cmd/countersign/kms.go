// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !nokms

package main

import (
	"github.com/countersign-dev/countersign/pkg/trust/kms"
	"github.com/countersign-dev/countersign/pkg/trust/kms/awskms"
	"github.com/countersign-dev/countersign/pkg/trust/kms/azurekms"
	"github.com/countersign-dev/countersign/pkg/trust/kms/gcpkms"
	"github.com/countersign-dev/countersign/pkg/trust/kms/hashivault"
)

// kmsProviders are the key services that this program speaks to. A build with the tag
// nokms has none, and is smaller for it: docs/design/kms.md.
func kmsProviders() kms.Providers {
	return kms.Providers{
		kms.AWS:        awskms.New(),
		kms.Azure:      azurekms.New(kms.NewHTTPClient()),
		kms.GCP:        gcpkms.New(kms.NewHTTPClient()),
		kms.HashiVault: hashivault.New(),
	}
}
