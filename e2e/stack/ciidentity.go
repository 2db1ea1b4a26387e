// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"fmt"
	"maps"
	"strings"
)

// ciCommit is the commit that CI systems build.
const ciCommit = "1f0e4f5a6f1c4cf4bb0c6b8a2c7ce7cf36d5d8d4"

// GitHubIdentity is a run of the workflow .github/workflows/release.yml of a
// repository (org/name), triggered by a push to main. Other claims of GitHub
// Actions' tokens replace these.
func (s *Stack) GitHubIdentity(repository string, other map[string]any) (Identity, error) {
	owner, _, _ := strings.Cut(repository, "/")
	const ref = "refs/heads/main"
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
		"sha":                   ciCommit,
		"workflow":              "release",
		"workflow_ref":          workflow,
		"workflow_sha":          ciCommit,
		"job_workflow_ref":      workflow,
		"job_workflow_sha":      ciCommit,
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

// GitLabIdentity is a job of a project's pipeline (group/name on gitlab.com),
// triggered by a push to main. Its claims are those of GitLab's ID tokens.
func (s *Stack) GitLabIdentity(project string) (Identity, error) {
	group, _, _ := strings.Cut(project, "/")
	pipeline := "gitlab.com/" + project + "//.gitlab-ci.yml@refs/heads/main"
	token, err := s.IdentityToken(GitLabIssuer, map[string]any{
		"sub":                "project_path:" + project + ":ref_type:branch:ref:main",
		"project_path":       project,
		"project_id":         "3001",
		"project_visibility": "private",
		"namespace_path":     group,
		"namespace_id":       "3002",
		"ref":                "main",
		"ref_type":           "branch",
		"sha":                ciCommit,
		"ci_config_ref_uri":  pipeline,
		"ci_config_sha":      ciCommit,
		"pipeline_source":    "push",
		"job_id":             "3003",
		"runner_environment": "gitlab-hosted",
	})
	return Identity{Issuer: s.Keyless.OIDC.issuer(GitLabIssuer), Subject: "https://" + pipeline, Token: token}, err
}

// CircleCIIdentity is a job of a CircleCI project, by its ID, which builds a
// repository (a name without scheme, github.com/org/name). CircleCI names pipelines
// by their IDs alone.
func (s *Stack) CircleCIIdentity(projectID, repository string) (Identity, error) {
	const definition = "6a4d2a1e-33f9-4d6b-8c2f-0d1a6d1f2b11"
	token, err := s.IdentityToken(CircleCIIssuer, map[string]any{
		"sub":                          "org/4001/project/" + projectID + "/user/4002",
		"oidc.circleci.com/project-id": projectID,
		"oidc.circleci.com/pipeline-definition-id": definition,
		"oidc.circleci.com/pipeline-id":            "4003",
		"oidc.circleci.com/workflow-id":            "4004",
		"oidc.circleci.com/job-id":                 "4005",
		"oidc.circleci.com/ssh-rerun":              false,
		"oidc.circleci.com/vcs-ref":                "refs/heads/main",
		"oidc.circleci.com/vcs-origin":             repository,
	})
	return Identity{
		Issuer:  s.Keyless.OIDC.issuer(CircleCIIssuer),
		Subject: "https://circleci.com/api/v2/projects/" + projectID + "/pipeline-definitions/" + definition,
		Token:   token,
	}, err
}

// AzureIdentity is a run of a pipeline of Azure DevOps (organization/project/name),
// which builds the main branch of the repository of the same name.
func (s *Stack) AzureIdentity(pipeline string) (Identity, error) {
	organization, rest, _ := strings.Cut(pipeline, "/")
	project, _, _ := strings.Cut(rest, "/")
	subject := "p://" + pipeline
	token, err := s.IdentityToken(AzureIssuer, map[string]any{
		"sub":     subject,
		"org_id":  "0f9d1c2e-5b7a-4a53-9a1b-6d6c8e5b5001",
		"prj_id":  "0f9d1c2e-5b7a-4a53-9a1b-6d6c8e5b5002",
		"def_id":  "5003",
		"rpo_id":  "0f9d1c2e-5b7a-4a53-9a1b-6d6c8e5b5004",
		"rpo_uri": "https://dev.azure.com/" + organization + "/" + project + "/_git/" + project,
		"rpo_ver": ciCommit,
		"rpo_ref": "refs/heads/main",
		"run_id":  "5005",
	})
	return Identity{Issuer: s.Keyless.OIDC.issuer(AzureIssuer), Subject: subject, Token: token}, err
}
