// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

// Command vault serves HashiCorp Vault on a loopback address as `vault server -dev`
// does: in memory, unsealed, with a root token of the caller's choice. It has the
// transit engine, where cosign looks for it, and no other. Vault's own command is
// linked with every engine and storage there is, and takes several times as long to build.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/builtin/logical/transit"
	"github.com/hashicorp/vault/helper/namespace"
	vaulthttp "github.com/hashicorp/vault/http"
	"github.com/hashicorp/vault/internalshared/configutil"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/physical/inmem"
	"github.com/hashicorp/vault/vault"
)

// engine is the one secrets engine, and where it is mounted.
const engine = "transit"

func main() {
	listen := flag.String("listen", "127.0.0.1:8200", "address to listen on")
	token := flag.String("token", "", "root token")
	flag.Parse()
	core, err := open(*token)
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{
		Addr:              *listen,
		Handler:           vaulthttp.Handler.Handler(&vault.HandlerProperties{Core: core, ListenerConfig: &configutil.Listener{Address: *listen}}),
		ReadHeaderTimeout: time.Minute,
	}
	log.Fatal(server.ListenAndServe())
}

// open returns a new Vault, unsealed, with transit mounted.
func open(token string) (*vault.Core, error) {
	if token == "" {
		return nil, errors.New("-token is required")
	}
	ctx := namespace.ContextWithNamespace(context.Background(), namespace.RootNamespace)
	logger := hclog.New(&hclog.LoggerOptions{Output: os.Stderr, Level: hclog.Info})
	storage, err := inmem.NewInmem(nil, logger)
	if err != nil {
		return nil, err
	}
	core, err := vault.NewCore(&vault.CoreConfig{
		Physical:        storage,
		Logger:          logger,
		DisableMlock:    true,
		LogicalBackends: map[string]logical.Factory{engine: transit.Factory},
		BuiltinRegistry: registry{},
	})
	if err != nil {
		return nil, err
	}
	initialized, err := core.Initialize(ctx, &vault.InitParams{BarrierConfig: &vault.SealConfig{SecretShares: 1, SecretThreshold: 1}})
	if err != nil {
		return nil, err
	}
	if unsealed, err := core.Unseal(initialized.SecretShares[0]); err != nil || !unsealed {
		return nil, fmt.Errorf("unseal: %t, %w", unsealed, err)
	}
	for path, data := range map[string]map[string]any{
		"auth/token/create":    {"id": token, "policies": []string{"root"}, "no_parent": true},
		"sys/mounts/" + engine: {"type": engine},
	} {
		response, err := core.HandleRequest(ctx, &logical.Request{Operation: logical.UpdateOperation, ClientToken: initialized.RootToken, Path: path, Data: data})
		if err == nil && response.IsError() {
			err = response.Error()
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	return core, nil
}

// registry is the plugins that are linked into this program.
type registry struct{}

// Contains implements plugincatalog.BuiltinRegistry.
func (registry) Contains(name string, kind consts.PluginType) bool {
	return name == engine && kind == consts.PluginTypeSecrets
}

// Get implements plugincatalog.BuiltinRegistry.
func (r registry) Get(name string, kind consts.PluginType) (func() (any, error), bool) {
	return func() (any, error) { return transit.Factory, nil }, r.Contains(name, kind)
}

// Keys implements plugincatalog.BuiltinRegistry.
func (registry) Keys(kind consts.PluginType) []string {
	if kind != consts.PluginTypeSecrets {
		return nil
	}
	return []string{engine}
}

// DeprecationStatus implements plugincatalog.BuiltinRegistry.
func (r registry) DeprecationStatus(name string, kind consts.PluginType) (consts.DeprecationStatus, bool) {
	return consts.Supported, r.Contains(name, kind)
}

// IsBuiltinEntPlugin implements plugincatalog.BuiltinRegistry.
func (registry) IsBuiltinEntPlugin(string, consts.PluginType) bool { return false }
