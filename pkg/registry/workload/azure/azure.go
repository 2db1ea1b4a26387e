// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

// Package azure gets tokens for Azure Container Registry.
//
// The identity is that of Azure's SDK: the workload identity of AKS, a managed
// identity, the environment. It needs the role AcrPull on the registry. AZURE_ENVIRONMENT
// names a cloud other than the public one.
package azure

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/countersign-dev/countersign/pkg/registry/workload"
)

const (
	// audience is that of the tokens which all clouds' registries take.
	audience = "https://containerregistry.azure.net/.default"
	// user goes with a refresh token in the place of a password.
	user = "00000000-0000-0000-0000-000000000000"
	// lifetime is how long a refresh token is used. It is good for three hours.
	lifetime = time.Hour
)

// Provider gets tokens, each of which is good for one registry.
type Provider struct {
	http   *http.Client
	scheme string
	token  func(context.Context) (string, error)
}

// New returns a Provider.
func New() *Provider {
	client := workload.NewHTTPClient()
	return &Provider{http: client, scheme: "https", token: func(ctx context.Context) (string, error) { return defaultToken(ctx, client) }}
}

func defaultToken(ctx context.Context, client *http.Client) (string, error) {
	credential, err := azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{ClientOptions: azcore.ClientOptions{
		Cloud: cloudOf(os.Getenv("AZURE_ENVIRONMENT")), Transport: client, Retry: policy.RetryOptions{MaxRetries: -1},
	}})
	if err != nil {
		return "", err
	}
	token, err := credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{audience}})
	return token.Token, err
}

func cloudOf(name string) cloud.Configuration {
	switch name {
	case "AZUREUSGOVERNMENT", "AZUREUSGOVERNMENTCLOUD":
		return cloud.AzureGovernment
	case "AZURECHINACLOUD":
		return cloud.AzureChina
	default:
		return cloud.AzurePublic
	}
}

// Place implements workload.Provider: it is the host.
func (p *Provider) Place(host string) (string, bool) {
	for _, domain := range []string{".azurecr.io", ".azurecr.cn", ".azurecr.us"} {
		if strings.HasSuffix(host, domain) {
			return host, true
		}
	}
	return "", false
}

// Token implements workload.Provider: it exchanges a token of the identity for a refresh
// token of the registry
// (https://github.com/Azure/acr/blob/main/docs/AAD-OAuth.md#calling-post-oauth2exchange-to-get-an-acr-refresh-token).
func (p *Provider) Token(ctx context.Context, host string) (workload.Token, error) {
	token, err := p.token(ctx)
	if err != nil {
		return workload.Token{}, fmt.Errorf("credentials for Azure: %w", err)
	}
	form := url.Values{"grant_type": {"access_token"}, "service": {host}, "access_token": {token}}
	address := url.URL{Scheme: p.scheme, Host: host, Path: "/oauth2/exchange"}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address.String(), strings.NewReader(form.Encode()))
	if err != nil {
		return workload.Token{}, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	var answer struct {
		RefreshToken string `json:"refresh_token"`
	}
	if err := workload.Ask(p.http, req, &answer); err != nil {
		return workload.Token{}, err
	}
	if answer.RefreshToken == "" {
		return workload.Token{}, errors.New("the registry answered without a token")
	}
	return workload.Token{Auth: authn.AuthConfig{Username: user, IdentityToken: answer.RefreshToken}, Until: time.Now().Add(lifetime)}, nil
}
