// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

// Package amazon gets tokens for private registries of Amazon ECR.
//
// The identity is that of AWS' SDK: EKS Pod Identity, a web identity (IRSA), the
// environment, the instance's role. It needs ecr:GetAuthorizationToken, and on the
// repositories ecr:BatchGetImage and ecr:GetDownloadUrlForLayer.
//
// It speaks the one call of the service that is needed.
package amazon

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/countersign-dev/countersign/pkg/registry/workload"
)

// registryHost is the host of a private registry: account, region, partition.
var registryHost = regexp.MustCompile(`^[0-9]{12}\.dkr[.-]ecr(?:-fips)?\.([a-z]{2,4}(?:-[a-z]+)+-[0-9]+)\.(?:amazonaws\.com(?:\.cn)?|on\.aws|on\.amazonwebservices\.com\.cn)$`)

// Provider gets tokens, each of which is good for all registries of a region.
type Provider struct {
	http        *http.Client
	endpoint    func(region string) string
	credentials func(ctx context.Context, region string) (aws.Credentials, error)
}

// New returns a Provider.
func New() *Provider {
	return &Provider{http: workload.NewHTTPClient(), endpoint: endpoint, credentials: credentials}
}

// Place implements workload.Provider: it is the region.
func (p *Provider) Place(host string) (string, bool) {
	match := registryHost.FindStringSubmatch(host)
	if match == nil {
		return "", false
	}
	return match[1], true
}

func endpoint(region string) string {
	domain := "amazonaws.com"
	if strings.HasPrefix(region, "cn-") {
		domain += ".cn"
	}
	return "https://api.ecr." + region + "." + domain + "/"
}

func credentials(ctx context.Context, region string) (aws.Credentials, error) {
	settings, err := config.LoadDefaultConfig(ctx, config.WithRegion(region))
	if err != nil {
		return aws.Credentials{}, err
	}
	return settings.Credentials.Retrieve(ctx)
}

// Token implements workload.Provider (Amazon ECR API, GetAuthorizationToken).
func (p *Provider) Token(ctx context.Context, region string) (workload.Token, error) {
	identity, err := p.credentials(ctx, region)
	if err != nil {
		return workload.Token{}, fmt.Errorf("credentials for AWS: %w", err)
	}
	body := []byte("{}")
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.endpoint(region), bytes.NewReader(body))
	if err != nil {
		return workload.Token{}, err
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken")
	hash := sha256.Sum256(body)
	if err := v4.NewSigner().SignHTTP(ctx, identity, req, hex.EncodeToString(hash[:]), "ecr", region, time.Now()); err != nil {
		return workload.Token{}, fmt.Errorf("signing a request to AWS: %w", err)
	}
	var answer struct {
		AuthorizationData []struct {
			AuthorizationToken string  `json:"authorizationToken"`
			ExpiresAt          float64 `json:"expiresAt"`
		} `json:"authorizationData"`
	}
	if err := workload.Ask(p.http, req, &answer); err != nil {
		return workload.Token{}, err
	}
	if len(answer.AuthorizationData) == 0 {
		return workload.Token{}, errNoToken
	}
	data := answer.AuthorizationData[0]
	decoded, err := base64.StdEncoding.DecodeString(data.AuthorizationToken)
	user, password, ok := strings.Cut(string(decoded), ":")
	if err != nil || !ok {
		return workload.Token{}, errNoToken
	}
	return workload.Token{
		Auth:  authn.AuthConfig{Username: user, Password: password},
		Until: time.Unix(int64(data.ExpiresAt), 0),
	}, nil
}

var errNoToken = errors.New("AWS answered without a token")
