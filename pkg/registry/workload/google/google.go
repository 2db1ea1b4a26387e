// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

// Package google gets tokens for Artifact Registry and Container Registry of Google.
//
// The identity is that of Google's application default credentials: workload identity
// of GKE, a federated identity, the file that GOOGLE_APPLICATION_CREDENTIALS names. It
// needs roles/artifactregistry.reader on the repositories.
package google

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"golang.org/x/oauth2"
	oauth2google "golang.org/x/oauth2/google"

	"github.com/countersign-dev/countersign/pkg/registry/workload"
)

const scope = "https://www.googleapis.com/auth/cloud-platform"

// Provider gets tokens, which are good for all registries.
type Provider struct {
	token func(context.Context) (*oauth2.Token, error)
}

// New returns a Provider.
func New() *Provider {
	client := workload.NewHTTPClient()
	return &Provider{token: func(ctx context.Context) (*oauth2.Token, error) { return defaultToken(ctx, client) }}
}

// defaultToken gets a token by the application default credentials. The library asks
// the metadata server without a deadline, so it is left behind at ours.
func defaultToken(ctx context.Context, client *http.Client) (*oauth2.Token, error) {
	type answer struct {
		token *oauth2.Token
		err   error
	}
	got := make(chan answer, 1)
	go func() {
		credentials, err := oauth2google.FindDefaultCredentials(context.WithValue(ctx, oauth2.HTTPClient, client), scope)
		if err != nil {
			got <- answer{nil, err}
			return
		}
		token, err := credentials.TokenSource.Token()
		got <- answer{token, err}
	}()
	select {
	case a := <-got:
		return a.token, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Place implements workload.Provider: there is one.
func (p *Provider) Place(host string) (string, bool) {
	return "", host == "gcr.io" || strings.HasSuffix(host, ".gcr.io") || strings.HasSuffix(host, ".pkg.dev")
}

// Token implements workload.Provider
// (https://cloud.google.com/artifact-registry/docs/docker/authentication#token).
func (p *Provider) Token(ctx context.Context, _ string) (workload.Token, error) {
	token, err := p.token(ctx)
	if err != nil {
		return workload.Token{}, fmt.Errorf("credentials for Google: %w", err)
	}
	return workload.Token{Auth: authn.AuthConfig{Username: "oauth2accesstoken", Password: token.AccessToken}, Until: token.Expiry}, nil
}
