// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"context"
	"fmt"
	"strings"
)

// Identity is somebody whom an issuer of the stack vouches for.
type Identity struct {
	Issuer  string // as it is in the certificate
	Subject string // the certificate's subject alternative name
	Token   string // proves it to Fulcio, for ten minutes
}

// Issuers of the stack, besides the API server: people by e-mail address, and the
// CI systems that Fulcio's own configuration describes, by their names there.
const (
	EmailIssuer    = "email"
	GitHubIssuer   = "github-workflow"
	GitLabIssuer   = "gitlab-pipeline"
	CircleCIIssuer = "circleci-job"
	AzureIssuer    = "azure-devops"
)

// IdentityToken makes a token of one issuer of the stack with the given claims.
func (s *Stack) IdentityToken(issuer string, claims map[string]any) (string, error) {
	return s.Keyless.OIDC.token(s.Keyless.OIDC.issuer(issuer), claims)
}

// EmailIdentity is a person.
func (s *Stack) EmailIdentity(address string) (Identity, error) {
	token, err := s.IdentityToken(EmailIssuer, map[string]any{
		"sub": "user:" + address, "email": address, "email_verified": true,
	})
	return Identity{Issuer: s.Keyless.OIDC.issuer(EmailIssuer), Subject: address, Token: token}, err
}

// ServiceAccountIdentity is a service account of the cluster.
func (s *Stack) ServiceAccountIdentity(ctx context.Context, namespace, name string) (Identity, error) {
	token, err := s.Kubectl(ctx, "", "create", "token", name, "--namespace", namespace, "--audience", clientID)
	if err == nil {
		err = token.Err()
	}
	return Identity{
		Issuer:  s.ControlPlane.URL,
		Subject: fmt.Sprintf("https://kubernetes.io/namespaces/%s/serviceaccounts/%s", namespace, name),
		Token:   strings.TrimSpace(token.Stdout),
	}, err
}
