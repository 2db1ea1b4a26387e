// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"context"
	"fmt"
	"maps"
	"strings"
)

// Identity is somebody whom an issuer of the stack vouches for.
type Identity struct {
	Issuer  string // as it is in the certificate
	Subject string // the certificate's subject alternative name
	Token   string // proves it to Fulcio, for ten minutes
}

// Issuers of the stack, besides the API server: people by e-mail address, and the
// CI systems that Fulcio's own configuration describes.
const (
	EmailIssuer  = "email"
	GitHubIssuer = "github-workflow"
	GitLabIssuer = "gitlab-pipeline"
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

// GitHubIdentity is a run of the workflow .github/workflows/release.yml of a
// repository (org/name), triggered by a push to main. Other claims of GitHub
// Actions' tokens replace these.
func (s *Stack) GitHubIdentity(repository string, other map[string]any) (Identity, error) {
	owner, _, _ := strings.Cut(repository, "/")
	const (
		commit = "1f0e4f5a6f1c4cf4bb0c6b8a2c7ce7cf36d5d8d4"
		ref    = "refs/heads/main"
	)
	workflow := repository + "/.github/workflows/release.yml@" + ref
	claims := map[string]any{
		"sub":                   "repo:" + repository + ":ref:" + ref,
		"repository":            repository,
		"repository_id":         "1001",
		"repository_owner":      owner,
		"repository_owner_id":   "1002",
		"repository_visibility": "private",
		"ref":                   ref,
		"ref_type":              "branch",
		"sha":                   commit,
		"workflow":              "release",
		"workflow_ref":          workflow,
		"workflow_sha":          commit,
		"job_workflow_ref":      workflow,
		"job_workflow_sha":      commit,
		"event_name":            "push",
		"run_id":                "2001",
		"run_attempt":           "1",
		"runner_environment":    "github-hosted",
	}
	maps.Copy(claims, other)
	token, err := s.IdentityToken(GitHubIssuer, claims)
	return Identity{
		Issuer:  s.Keyless.OIDC.issuer(GitHubIssuer),
		Subject: fmt.Sprintf("https://github.com/%s", claims["job_workflow_ref"]),
		Token:   token,
	}, err
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
