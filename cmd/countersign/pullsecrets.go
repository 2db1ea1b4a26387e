// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"

	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/countersign-dev/countersign/pkg/registry"
	"github.com/countersign-dev/countersign/pkg/registry/keyring"
	"github.com/countersign-dev/countersign/pkg/registry/pullsecrets"
	"github.com/countersign-dev/countersign/policy"
)

// pullSecretOptions say which pull secrets of other namespaces are read.
type pullSecretOptions struct {
	mode  string
	names []string
}

func (o *pullSecretOptions) register(f *pflag.FlagSet, mode pullsecrets.Mode) {
	f.StringVar(&o.mode, pullSecretsFlag, string(mode), "pull secrets, of Pods and workloads or of their ServiceAccounts, that are read in their namespaces to ask registries: none, named or all (docs/registries.md)")
	f.StringArrayVar(&o.names, pullSecretNameFlag, nil, "with --pull-secrets=named, the name of a Secret that is read in every namespace (repeatable)")
}

const (
	pullSecretsFlag    = "pull-secrets"
	pullSecretNameFlag = "pull-secret-name"
)

// check returns what is wrong with the flags.
func (o *pullSecretOptions) check() error {
	if _, err := pullsecrets.ParseMode(o.mode, o.names); err != nil {
		return fmt.Errorf("--%s: %w", pullSecretsFlag, err)
	}
	return nil
}

// reader returns what reads pull secrets with a client of its own, which is made with
// config and with. That keeps none in a cache, and has a rate limit of its own: whoever
// creates Pods decides how often it asks, and must not slow anything else down.
func (o *pullSecretOptions) reader(config *rest.Config, with client.Options, options pullsecrets.Options) (*pullsecrets.Reader, error) {
	options.Mode, options.Names = pullsecrets.Mode(o.mode), o.names
	if options.Mode != pullsecrets.None {
		var err error
		own := rest.CopyConfig(config)
		own.QPS, own.Burst = 50, 100
		if options.Reader, err = client.New(own, with); err != nil {
			return nil, err
		}
	}
	return pullsecrets.New(options), nil
}

// tenants opens registries with the pull secrets of objects.
type tenants struct {
	client  *registry.Client
	secrets *pullsecrets.Reader
	// nowhere is what an object has whose namespace nobody knows. The API server's all
	// have one.
	nowhere *keyring.Keyring
}

// Open implements policy.Tenants.
func (t tenants) Open(ctx context.Context, origin policy.Origin) policy.TenantRegistry {
	k := t.nowhere
	if origin.Namespace != "" {
		k = t.secrets.Keyring(ctx, pullsecrets.Names{
			Namespace: origin.Namespace, Secrets: origin.Pull.Secrets, ServiceAccounts: origin.Pull.ServiceAccounts,
		})
	}
	if k.IsEmpty() {
		return nil
	}
	return t.client.As(k)
}
