// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"path"

	"github.com/hashicorp/vault/api"
)

// Vault is a HashiCorp Vault with the transit engine. It holds everything in memory,
// so that its keys are gone when it stops.
type Vault struct {
	*Process

	URL string

	token  string // of root
	reader string // of Countersign, which may read keys and nothing else
	client *api.Client
}

// readers is the policy of those who read public keys, as docs/keys.md has it.
const readers = `path "transit/keys/*" { capabilities = ["read"] }`

// configureVault makes the Vault of the stack, which is yet to be started.
func (s *Stack) configureVault() error {
	port, err := s.ports.next()
	if err != nil {
		return err
	}
	v := &Vault{URL: loopbackURL(port), token: rand.Text(), reader: rand.Text()}
	if v.client, err = api.NewClient(&api.Config{Address: v.URL}); err != nil {
		return err
	}
	v.client.SetToken(v.token)
	v.Process, err = s.process(command{
		name:  "vault",
		path:  s.run.tool("vault"),
		args:  []string{"-listen=" + loopback(port), "-token=" + v.token},
		ready: httpReady(http.DefaultClient, v.URL+"/v1/sys/health"),
	})
	s.Vault = v
	return err
}

// Start starts it, empty, with a token for Countersign.
func (v *Vault) Start(ctx context.Context) error {
	if err := v.Process.Start(ctx); err != nil {
		return err
	}
	if err := v.client.Sys().PutPolicyWithContext(ctx, "readers", readers); err != nil {
		return err
	}
	return v.Admit(ctx)
}

// Admit lets Countersign read keys.
func (v *Vault) Admit(ctx context.Context) error {
	_, err := v.client.Auth().Token().CreateWithContext(ctx, &api.TokenCreateRequest{ID: v.reader, Policies: []string{"readers"}, NoParent: true})
	return err
}

// Expel revokes Countersign's token.
func (v *Vault) Expel(ctx context.Context) error {
	return v.client.Auth().Token().RevokeTreeWithContext(ctx, v.reader)
}

// GenerateKey makes a key of a kind, such as ecdsa-p256, that never leaves the Vault.
func (v *Vault) GenerateKey(ctx context.Context, name, kind string) (KeyPair, error) {
	if _, err := v.client.Logical().WriteWithContext(ctx, keyPath(name), map[string]any{"type": kind}); err != nil {
		return KeyPair{}, err
	}
	return v.key(ctx, name)
}

// Rotate makes another version of a key, with which it signs from now on.
func (v *Vault) Rotate(ctx context.Context, name string) (KeyPair, error) {
	if _, err := v.client.Logical().WriteWithContext(ctx, keyPath(name)+"/rotate", nil); err != nil {
		return KeyPair{}, err
	}
	return v.key(ctx, name)
}

// Retire has the Vault verify only with versions of a key from a number on.
func (v *Vault) Retire(ctx context.Context, name string, first int) error {
	_, err := v.client.Logical().WriteWithContext(ctx, keyPath(name)+"/config", map[string]any{"min_decryption_version": first})
	return err
}

// key is the newest version of a key.
func (v *Vault) key(ctx context.Context, name string) (KeyPair, error) {
	secret, err := v.client.Logical().ReadWithContext(ctx, keyPath(name))
	if err != nil {
		return KeyPair{}, err
	}
	versions, _ := secret.Data["keys"].(map[string]any)
	newest, _ := versions[fmt.Sprint(secret.Data["latest_version"])].(map[string]any)
	public, ok := newest["public_key"].(string)
	if !ok {
		return KeyPair{}, fmt.Errorf("%s has no public key: %v", name, secret.Data)
	}
	return KeyPair{Private: "hashivault://" + name, PublicPEM: []byte(public)}, nil
}

func keyPath(name string) string { return path.Join("transit", "keys", name) }

// readerEnv is how Countersign reaches the Vault, if there is one.
func (v *Vault) readerEnv() []string {
	if v == nil {
		return nil
	}
	return []string{"VAULT_ADDR=" + v.URL, "VAULT_TOKEN=" + v.reader}
}
