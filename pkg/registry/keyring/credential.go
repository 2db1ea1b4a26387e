// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

// Package keyring holds credentials for registries, and says which of them may be
// shown to which registry.
//
// What is read here are the configurations that Docker writes and that Kubernetes
// keeps in pull secrets. Neither an error nor a printed value of this package holds
// anything of their content.
package keyring

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/google/go-containerregistry/pkg/authn"
)

// Credential is something to show to a registry, and whose it is.
type Credential struct {
	// Owner says for a person where it comes from, such as `Secret "pull"`.
	Owner string
	// ID is the same for credentials with the same content, whoever owns them, and
	// differs for all others. What a registry answered to one of them may be told to
	// whoever has one with this ID, and to nobody else. Anonymous has none.
	ID string

	authn.Authenticator
}

// Anonymous is what everybody has.
func Anonymous() Credential {
	return Credential{Owner: "none (anonymous)", Authenticator: authn.Anonymous}
}

// newCredential returns the credential of a configuration's entry.
func newCredential(owner string, c authn.AuthConfig) Credential {
	digest := sha256.New()
	for _, part := range []string{c.Username, c.Password, c.IdentityToken, c.RegistryToken} {
		fmt.Fprintf(digest, "%d %s", len(part), part)
	}
	return Credential{Owner: owner, ID: "sha256:" + hex.EncodeToString(digest.Sum(nil)), Authenticator: authn.FromConfig(c)}
}

// String implements fmt.Stringer: it is whose it is.
func (c Credential) String() string { return c.Owner }

// Format implements fmt.Formatter, so that no verb shows more.
func (c Credential) Format(f fmt.State, _ rune) { fmt.Fprint(f, c.Owner) }
