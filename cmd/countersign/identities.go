// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !nokms

package main

import (
	"github.com/countersign-dev/countersign/pkg/registry/workload"
	"github.com/countersign-dev/countersign/pkg/registry/workload/amazon"
	"github.com/countersign-dev/countersign/pkg/registry/workload/azure"
	"github.com/countersign-dev/countersign/pkg/registry/workload/google"
)

// identityProviders are the cloud providers whose identities let this program into
// their registries. A build with the tag nokms has none: they need the same SDKs.
func identityProviders() map[string]workload.Provider {
	return map[string]workload.Provider{"amazon": amazon.New(), "azure": azure.New(), "google": google.New()}
}
