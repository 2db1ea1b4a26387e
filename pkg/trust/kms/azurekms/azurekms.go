// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

// Package azurekms reads public keys from Azure Key Vault and Managed HSM.
//
// Credentials are those of Azure's SDK: the environment (AZURE_TENANT_ID,
// AZURE_CLIENT_ID and a secret or certificate), a workload identity (AKS sets
// AZURE_FEDERATED_TOKEN_FILE), a managed identity, a person's login. They need the
// permissions Get and, where the URI names no version, List on keys (the role Key
// Vault Crypto User has both). AZURE_ENVIRONMENT names a cloud other than the public
// one, as in cosign.
package azurekms

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"
	"golang.org/x/sync/errgroup"

	"github.com/countersign-dev/countersign/pkg/trust/kms"
)

// concurrentReads is how many versions of one key are read at a time.
const concurrentReads = 8

// Provider asks Azure Key Vault.
type Provider struct {
	http *http.Client
	// credential finds who we are.
	credential func(azcore.ClientOptions) (azcore.TokenCredential, error)
}

// New returns a Provider that speaks through a client.
func New(client *http.Client) *Provider {
	return &Provider{http: client, credential: func(o azcore.ClientOptions) (azcore.TokenCredential, error) {
		return azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{ClientOptions: o})
	}}
}

// PublicKeys implements kms.Provider: the version that the URI names, or else every
// version that is enabled.
func (p *Provider) PublicKeys(ctx context.Context, uri kms.URI) ([]kms.Version, error) {
	client, err := p.client(uri.Part("vault"))
	if err != nil {
		return nil, fmt.Errorf("%w: the environment for Azure: %w", kms.ErrMisconfigured, err)
	}
	ids := []string{uri.Part("version")}
	if ids[0] == "" {
		if ids, err = enabled(ctx, client, uri.Part("key")); err != nil {
			return nil, err
		}
	}
	versions := make([]kms.Version, len(ids))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(concurrentReads)
	for i, id := range ids {
		group.Go(func() error {
			var err error
			versions[i], err = publicKey(ctx, client, uri.Part("key"), id)
			return err
		})
	}
	return versions, group.Wait()
}

func (p *Provider) client(host string) (*azkeys.Client, error) {
	options := azcore.ClientOptions{Cloud: cloudOf(os.Getenv("AZURE_ENVIRONMENT")), Transport: p.http, Retry: policy.RetryOptions{MaxRetries: -1}}
	credential, err := p.credential(options)
	if err != nil {
		return nil, err
	}
	// The SDK itself hands the token to nobody outside of the domain that it is for.
	options.Transport = oneHost{p.http, host}
	return azkeys.NewClient("https://"+host, credential, &azkeys.ClientOptions{ClientOptions: options})
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

// oneHost speaks to one host: a list says itself where it goes on.
type oneHost struct {
	client *http.Client
	host   string
}

// Do implements policy.Transporter.
func (o oneHost) Do(request *http.Request) (*http.Response, error) {
	if request.URL.Host != o.host {
		return nil, fmt.Errorf("the vault %s leads to %.200q", o.host, request.URL.Host)
	}
	return o.client.Do(request) //nolint:gosec // G704: the host is the one that the URI names
}

// enabled returns the versions of a key that are enabled, the newest first.
func enabled(ctx context.Context, client *azkeys.Client, key string) ([]string, error) {
	var found []*azkeys.KeyProperties
	for pages := client.NewListKeyPropertiesVersionsPager(key, nil); pages.More(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("%w: listing the versions of the key: %w", classOf(err), err)
		}
		for _, v := range page.Value {
			if v != nil && v.KID != nil && isEnabled(v.Attributes) {
				found = append(found, v)
			}
		}
		if len(found) > kms.MaxVersions {
			return nil, fmt.Errorf("%w: more than %d versions are enabled: disable old ones, or name one in the URI", kms.ErrUnusable, kms.MaxVersions)
		}
	}
	slices.SortFunc(found, func(a, b *azkeys.KeyProperties) int { return created(b).Compare(created(a)) })
	ids := make([]string, len(found))
	for i, v := range found {
		if ids[i] = v.KID.Version(); ids[i] == "" {
			return nil, fmt.Errorf("%w: a version in its answer has the ID %.200q", kms.ErrUnavailable, *v.KID)
		}
	}
	return ids, nil
}

func isEnabled(attributes *azkeys.KeyAttributes) bool {
	return attributes != nil && attributes.Enabled != nil && *attributes.Enabled
}

func created(v *azkeys.KeyProperties) time.Time {
	if v.Attributes.Created == nil {
		return time.Time{}
	}
	return *v.Attributes.Created
}

// publicKey reads one version of a key.
func publicKey(ctx context.Context, client *azkeys.Client, key, id string) (kms.Version, error) {
	answer, err := client.GetKey(ctx, key, id, nil)
	switch {
	case err != nil:
		return kms.Version{}, fmt.Errorf("%w: reading the key: %w", classOf(err), err)
	case answer.Key == nil:
		return kms.Version{}, fmt.Errorf("%w: its answer has no key", kms.ErrUnavailable)
	case !isEnabled(answer.Attributes):
		return kms.Version{}, fmt.Errorf("%w: version %s is disabled", kms.ErrNoKey, id)
	}
	version := kms.Version{Name: id}
	version.Key, version.Err = parse(answer.Key)
	return version, nil
}

// classOf says what an error of the SDK means.
func classOf(err error) error {
	var refused *azidentity.AuthenticationFailedError
	var answer *azcore.ResponseError
	switch {
	case errors.As(err, &refused) && refused.RawResponse != nil && refused.RawResponse.StatusCode < http.StatusInternalServerError:
		return kms.ErrForbidden
	case !errors.As(err, &answer):
		return kms.ErrUnavailable
	}
	switch answer.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		return kms.ErrForbidden
	case http.StatusNotFound:
		if answer.ErrorCode == "KeyNotFound" {
			return kms.ErrNoKey
		}
	}
	return kms.ErrUnavailable
}
