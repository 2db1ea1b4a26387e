// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

// Package hashivault reads public keys from the transit engine of HashiCorp Vault,
// and of OpenBao, which speaks the same.
//
// Its settings come from the environment, as Vault's own client has them: VAULT_ADDR,
// VAULT_TOKEN, VAULT_NAMESPACE, VAULT_CACERT and the others of its TLS, and, as
// cosign has it, TRANSIT_SECRET_ENGINE_PATH. A Pod can log in as its service account
// instead of holding a token: COUNTERSIGN_VAULT_ROLE is the role to ask for, and
// COUNTERSIGN_VAULT_AUTH_PATH where Vault's Kubernetes login is mounted.
package hashivault

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/hashicorp/vault/api/auth/kubernetes"

	"github.com/countersign-dev/countersign/pkg/trust/kms"
)

const (
	defaultEngine    = "transit"
	defaultAuthPath  = "kubernetes"
	serviceAccount   = "/var/run/secrets/kubernetes.io/serviceaccount/token"
	addressVariable  = "VAULT_ADDR"
	engineVariable   = "TRANSIT_SECRET_ENGINE_PATH"
	roleVariable     = "COUNTERSIGN_VAULT_ROLE"
	authPathVariable = "COUNTERSIGN_VAULT_AUTH_PATH"
)

// Provider asks one Vault. It reads the environment at each question.
type Provider struct {
	// tokenFile is where Kubernetes puts the token of the Pod's service account.
	tokenFile string

	mu sync.Mutex
	// token is what the last login gave, to be used until renewAt; empty when there
	// was none, or it was refused.
	token   string
	renewAt time.Time
}

// New returns a Provider.
func New() *Provider { return &Provider{tokenFile: serviceAccount} }

// PublicKeys implements kms.Provider: all versions that Vault itself still verifies
// with, from min_decryption_version on.
func (p *Provider) PublicKeys(ctx context.Context, uri kms.URI) ([]kms.Version, error) {
	client, err := newClient()
	if err != nil {
		return nil, err
	}
	if err := p.authenticate(ctx, client); err != nil {
		return nil, err
	}
	engine := strings.Trim(os.Getenv(engineVariable), "/")
	if engine == "" {
		engine = defaultEngine
	}
	path := engine + "/keys/" + uri.Part("key")
	response, err := client.Logical().ReadRawWithContext(ctx, path)
	secret, err := client.Logical().ParseRawResponseAndCloseBody(response, err)
	switch {
	case err != nil:
		class := classOf(err)
		if errors.Is(class, kms.ErrForbidden) {
			p.forget() // the token may have been revoked
		}
		return nil, fmt.Errorf("%w: reading %s of Vault at %s: %w", class, path, client.Address(), err)
	case secret == nil && response.StatusCode != http.StatusNotFound:
		return nil, fmt.Errorf("%w: Vault at %s says nothing", kms.ErrUnavailable, client.Address())
	case secret == nil:
		return nil, fmt.Errorf("%w: Vault at %s has no %s: check the key's name, and %s", kms.ErrNoKey, client.Address(), path, engineVariable)
	}
	return versions(secret.Data)
}

// newClient returns a client of the Vault that the environment names, which follows
// nobody elsewhere.
func newClient() (*api.Client, error) {
	if os.Getenv(addressVariable) == "" {
		return nil, fmt.Errorf("%w: %s is not set", kms.ErrMisconfigured, addressVariable)
	}
	config := api.DefaultConfig()
	if config.Error != nil {
		return nil, fmt.Errorf("%w: the environment for Vault: %w", kms.ErrMisconfigured, config.Error)
	}
	config.MaxRetries = 0
	config.DisableRedirects = true
	config.HttpClient.Transport = kms.Bounded(config.HttpClient.Transport)
	client, err := api.NewClient(config)
	if err != nil {
		return nil, fmt.Errorf("%w: the environment for Vault: %w", kms.ErrMisconfigured, err)
	}
	return client, nil
}

// authenticate gives the client a token: the one in the environment, that of a login
// as the Pod's service account, or the one that `vault login` left.
func (p *Provider) authenticate(ctx context.Context, client *api.Client) error {
	if client.Token() != "" {
		return nil
	}
	var token string
	var err error
	if role := os.Getenv(roleVariable); role != "" {
		token, err = p.logIn(ctx, client, role)
	} else {
		token, err = tokenOfLogin()
	}
	client.SetToken(token)
	return err
}

// logIn returns the token of a login. It is used again until two thirds of its time
// are over: each login leaves a token in Vault.
func (p *Provider) logIn(ctx context.Context, client *api.Client, role string) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.token != "" && time.Now().Before(p.renewAt) {
		return p.token, nil
	}
	mount := strings.Trim(os.Getenv(authPathVariable), "/")
	if mount == "" {
		mount = defaultAuthPath
	}
	method, err := kubernetes.NewKubernetesAuth(role, kubernetes.WithMountPath(mount), kubernetes.WithServiceAccountTokenPath(p.tokenFile))
	if err != nil {
		return "", fmt.Errorf("%w: logging in to Vault: %w", kms.ErrMisconfigured, err)
	}
	secret, err := client.Auth().Login(ctx, method)
	if err != nil {
		class := classOf(err)
		if errors.Is(class, kms.ErrNoKey) {
			class = kms.ErrMisconfigured
		}
		return "", fmt.Errorf("%w: logging in to Vault at %s, auth/%s, as %q: %w", class, client.Address(), mount, role, err)
	}
	p.token = secret.Auth.ClientToken
	p.renewAt = time.Now().Add(time.Duration(secret.Auth.LeaseDuration) * time.Second * 2 / 3)
	return p.token, nil
}

func (p *Provider) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.token = ""
}

// tokenOfLogin is the token that `vault login` left on a person's machine.
func tokenOfLogin() (string, error) {
	home, err := os.UserHomeDir()
	if err == nil {
		var text []byte
		if text, err = os.ReadFile(filepath.Join(home, ".vault-token")); err == nil {
			if token := strings.TrimSpace(string(text)); token != "" {
				return token, nil
			}
		}
	}
	return "", fmt.Errorf("%w: neither VAULT_TOKEN nor %s is set, and nobody has logged in", kms.ErrMisconfigured, roleVariable)
}

// classOf says what an error of the client means.
func classOf(err error) error {
	var response *api.ResponseError
	if !errors.As(err, &response) {
		return kms.ErrUnavailable
	}
	switch response.StatusCode {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden:
		return kms.ErrForbidden // 400 is what a login as a wrong role gets
	case http.StatusNotFound:
		return kms.ErrNoKey
	default:
		return kms.ErrUnavailable
	}
}
