// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

// Package awskms reads public keys from AWS KMS, or from what speaks the same at an
// endpoint that a URI names.
//
// Credentials are those of AWS' SDK: the environment (AWS_ACCESS_KEY_ID …), a web
// identity (IRSA: AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE, which EKS sets), EKS
// Pod Identity, the profile of a person, the instance's role. They need
// kms:GetPublicKey on the key, and nothing else. The region is that of the ARN, or
// else AWS_REGION.
package awskms

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	awssdk "github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"

	"github.com/countersign-dev/countersign/pkg/trust/kms"
)

// Provider asks AWS KMS.
type Provider struct {
	// guard is put around the transport that the key is asked for through.
	guard func(http.RoundTripper) http.RoundTripper
}

// New returns a Provider.
func New() *Provider { return &Provider{guard: kms.Bounded} }

// PublicKeys implements kms.Provider. An asymmetric key of AWS has one version; an
// alias leads to the key that it names now.
func (p *Provider) PublicKeys(ctx context.Context, uri kms.URI) ([]kms.Version, error) {
	client, err := p.client(ctx, uri)
	if err != nil {
		return nil, err
	}
	answer, err := client.GetPublicKey(ctx, &awssdk.GetPublicKeyInput{KeyId: aws.String(uri.Part("key"))})
	if err != nil {
		return nil, fmt.Errorf("%w: kms:GetPublicKey: %w", classOf(err), err)
	}
	if answer.KeyUsage != types.KeyUsageTypeSignVerify {
		return nil, fmt.Errorf("%w: its use is %.40q, not %s", kms.ErrUnusable, answer.KeyUsage, types.KeyUsageTypeSignVerify)
	}
	version := kms.Version{Name: aws.ToString(answer.KeyId)}
	if version.Key, err = x509.ParsePKIXPublicKey(answer.PublicKey); err != nil {
		version.Key, version.Err = nil, fmt.Errorf("its public key, of spec %.40q, does not parse", answer.KeySpec)
	}
	return []kms.Version{version}, nil
}

// client returns a client for the endpoint and the region that the URI names.
func (p *Provider) client(ctx context.Context, uri kms.URI) (*awssdk.Client, error) {
	options := []func(*config.LoadOptions) error{
		config.WithRetryer(func() aws.Retryer { return aws.NopRetryer{} }),
	}
	if region := uri.Part("region"); region != "" {
		options = append(options, config.WithRegion(region))
	}
	settings, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("%w: the environment for AWS: %w", kms.ErrMisconfigured, err)
	}
	if settings.Region == "" {
		return nil, fmt.Errorf("%w: AWS_REGION is not set, and the URI has no ARN", kms.ErrMisconfigured)
	}
	if _, err := settings.Credentials.Retrieve(ctx); err != nil {
		return nil, fmt.Errorf("%w: credentials for AWS: %w", classOf(err), err)
	}
	// The SDK's own client has learned of AWS_CA_BUNDLE; ours then asks for the key.
	transport := &http.Transport{}
	if buildable, ok := settings.HTTPClient.(*awshttp.BuildableClient); ok {
		transport = buildable.GetTransport()
	}
	settings.HTTPClient = kms.NewHTTPClientWith(transport, p.guard)
	return awssdk.NewFromConfig(settings, func(o *awssdk.Options) {
		if endpoint := uri.Part("endpoint"); endpoint != "" {
			o.BaseEndpoint = aws.String("https://" + endpoint)
		}
	}), nil
}

// classOf says what an error of the SDK means.
func classOf(err error) error {
	var answer smithy.APIError
	if !errors.As(err, &answer) || answer.ErrorFault() == smithy.FaultServer {
		return kms.ErrUnavailable
	}
	is := func(codes ...string) bool { return slices.Contains(codes, answer.ErrorCode()) }
	switch {
	case is("NotFoundException", "DisabledException", "KMSInvalidStateException"):
		return kms.ErrNoKey
	case is("InvalidKeyUsageException", "UnsupportedOperationException"):
		return kms.ErrUnusable
	case is("AccessDeniedException", "AccessDenied", "UnrecognizedClientException", "InvalidClientTokenId", "InvalidSignatureException",
		"IncompleteSignature", "MissingAuthenticationToken", "MissingAuthenticationTokenException", "ExpiredToken", "ExpiredTokenException",
		"InvalidIdentityToken", "OptInRequired", "InvalidArnException", "ValidationException"):
		return kms.ErrForbidden
	default:
		return kms.ErrUnavailable // throttling, among others
	}
}
