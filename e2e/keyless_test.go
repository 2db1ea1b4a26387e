// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"testing"

	"github.com/countersign-dev/countersign/e2e/stack"
)

func TestTheGateAdmitsWhatAnIdentitySigned(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	root := newTrustRoot(t)
	identities := map[string]stack.Identity{
		"a run of a workflow": gitHubIdentity(t, "acme/shop"),
		"a service account":   serviceAccountIdentity(t, namespace),
		"a person":            emailIdentity(t, "someone@countersign.test"),
	}
	for what, tc := range map[string]struct {
		registry *stack.Registry
		sign     stack.SignOptions
	}{
		"legacy by cosign v2":   {S(t).Registry, stack.SignOptions{}},
		"legacy by cosign v3":   {S(t).RegistryFallback, stack.SignOptions{Cosign: stack.CosignV3}},
		"a bundle by cosign v2": {S(t).Registry, stack.SignOptions{Format: stack.Bundle}},
		"a bundle by cosign v3": {S(t).Registry, bundleByV3()},
		"a bundle by cosign v3 in a registry without referrers": {S(t).RegistryFallback, bundleByV3()},
	} {
		for who, identity := range identities {
			t.Run(what+" for "+who, func(t *testing.T) {
				t.Parallel()
				image := pushImage(t, tc.registry)
				newKeylessPolicy(t, image, stack.KeylessPolicyOptions{TrustRoot: root},
					stack.Signer{Issuer: "https://issuer.example", Subject: "nobody"}, exactly(identity))
				o := tc.sign
				o.Identity = identity
				sign(t, image, o)
				pod := newName(t)
				admitted(t, runPod(t, namespace, pod, image.Ref()))
				if got := imageOf(t, namespace, pod); got != image.Pinned() {
					t.Errorf("the Pod runs %q, want %q", got, image.Pinned())
				}
			})
		}
	}
}

// TestTheGateReadsWhatEachCISystemClaims: Fulcio makes extensions of it, as it does
// in public.
func TestTheGateReadsWhatEachCISystemClaims(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	root := newTrustRoot(t)
	for what, tc := range map[string]struct {
		identity   stack.Identity
		extensions map[string]string
	}{
		"GitHub Actions": {gitHubIdentity(t, "acme/shop"), map[string]string{
			"sourceRepositoryURI":                 "https://github.com/acme/shop",
			"sourceRepositoryRef":                 "refs/heads/main",
			"sourceRepositoryOwnerURI":            "https://github.com/acme",
			"sourceRepositoryVisibilityAtSigning": "private",
			"buildSignerURI":                      "https://github.com/acme/shop/.github/workflows/release.yml@refs/heads/main",
			"buildConfigURI":                      "https://github.com/acme/shop/.github/workflows/release.yml@refs/heads/main",
			"buildTrigger":                        "push",
			"runnerEnvironment":                   "github-hosted",
			"runInvocationURI":                    "https://github.com/acme/shop/actions/runs/2001/attempts/1",
			"githubWorkflowRepository":            "acme/shop",
		}},
		"GitLab": {identity(t)(S(t).GitLabIdentity("acme/shop")), map[string]string{
			"sourceRepositoryURI": "https://gitlab.com/acme/shop",
			"sourceRepositoryRef": "refs/heads/main",
			"buildSignerURI":      "https://gitlab.com/acme/shop//.gitlab-ci.yml@refs/heads/main",
			"buildTrigger":        "push",
			"runnerEnvironment":   "gitlab-hosted",
			"runInvocationURI":    "https://gitlab.com/acme/shop/-/jobs/3003",
		}},
		"CircleCI": {identity(t)(S(t).CircleCIIdentity("9001", "github.com/acme/shop")), map[string]string{
			"sourceRepositoryURI": "github.com/acme/shop",
			"sourceRepositoryRef": "refs/heads/main",
		}},
		"Azure DevOps": {identity(t)(S(t).AzureIdentity("acme/shop/release")), map[string]string{
			"sourceRepositoryURI": "https://dev.azure.com/acme/shop/_git/shop",
			"sourceRepositoryRef": "refs/heads/main",
			"buildSignerURI":      "p://acme/shop/release",
			"runInvocationURI":    "p://acme/shop/release/5005",
			"tokenSubject":        "p://acme/shop/release",
		}},
		"GitHub Actions, in an environment": {
			identity(t)(S(t).GitHubIdentity("acme/shop", map[string]any{"environment": "production"})), map[string]string{
				"deploymentEnvironment": "production",
				"tokenSubject":          "repo:acme/shop:ref:refs/heads/main",
			},
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			accepts := exactly(tc.identity)
			accepts.Extensions = tc.extensions
			image := pushImage(t, S(t).Registry)
			newKeylessPolicy(t, image, stack.KeylessPolicyOptions{TrustRoot: root}, accepts)
			o := bundleByV3()
			o.Identity = tc.identity
			sign(t, image, o)
			admitted(t, runPod(t, namespace, newName(t), image.Ref()))
		})
	}
}

// TestTheGateComparesTheWholeIdentity: the certificate is genuine in each case.
func TestTheGateComparesTheWholeIdentity(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	root := newTrustRoot(t)
	shop := gitHubIdentity(t, "acme/shop")
	evil := gitHubIdentity(t, "acme/shop-evil")
	dispatched := identity(t)(S(t).GitHubIdentity("acme/shop", map[string]any{"event_name": "workflow_dispatch"}))
	person := emailIdentity(t, "someone@countersign.test")
	const anyOfAcme = `https://github\.com/acme/.*`
	for what, tc := range map[string]struct {
		signedBy stack.Identity
		accepts  stack.Signer
		says     []string // of the refusal; nil: admitted
	}{
		"a subject that an expression matches": {
			shop, stack.Signer{Issuer: shop.Issuer, SubjectRegExp: anyOfAcme}, nil,
		},
		"an issuer that an expression matches": {
			shop, stack.Signer{IssuerRegExp: "http://.*/github-workflow", Subject: shop.Subject}, nil,
		},
		"extensions as asked for": {
			shop, stack.Signer{Issuer: shop.Issuer, SubjectRegExp: anyOfAcme, Extensions: map[string]string{
				"sourceRepositoryURI": "https://github.com/acme/shop", "buildTrigger": "push", "runnerEnvironment": "github-hosted",
			}}, nil,
		},
		"another subject": {
			shop, stack.Signer{Issuer: shop.Issuer, Subject: evil.Subject}, []string{shop.Subject, evil.Subject},
		},
		"another issuer": {
			shop, stack.Signer{Issuer: "https://token.actions.githubusercontent.com", Subject: shop.Subject}, []string{shop.Issuer},
		},
		"an issuer of whose name the policy's is a part": {
			shop, stack.Signer{IssuerRegExp: "github-workflow", Subject: shop.Subject}, []string{shop.Issuer},
		},
		"a subject of which the expression matches the beginning": {
			evil, stack.Signer{Issuer: shop.Issuer, SubjectRegExp: "https://github.com/acme/shop"}, []string{evil.Subject},
		},
		"a subject of which the expression matches the end": {
			person, stack.Signer{Issuer: person.Issuer, SubjectRegExp: "one@countersign.test"}, []string{person.Subject},
		},
		"another source repository": {
			evil, stack.Signer{Issuer: shop.Issuer, SubjectRegExp: anyOfAcme, Extensions: map[string]string{
				"sourceRepositoryURI": "https://github.com/acme/shop",
			}}, []string{evil.Subject},
		},
		"another trigger": {
			dispatched, stack.Signer{Issuer: shop.Issuer, Subject: shop.Subject, Extensions: map[string]string{
				"sourceRepositoryURI": "https://github.com/acme/shop", "buildTrigger": "push",
			}}, []string{shop.Subject},
		},
		"a certificate without the extension": {
			person, stack.Signer{Issuer: person.Issuer, Subject: person.Subject, Extensions: map[string]string{
				"sourceRepositoryURI": "https://github.com/acme/shop",
			}}, []string{person.Subject},
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			image := pushImage(t, S(t).Registry)
			newKeylessPolicy(t, image, stack.KeylessPolicyOptions{TrustRoot: root}, tc.accepts)
			o := bundleByV3()
			o.Identity = tc.signedBy
			sign(t, image, o)
			result := runPod(t, namespace, newName(t), image.Ref())
			if tc.says == nil {
				admitted(t, result)
				return
			}
			refused(t, result, "IdentityMismatch", tc.says...)
		})
	}
}

func TestTheGateRefusesWhatAnIdentitySignedAndDidNotLog(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	root := newTrustRoot(t)
	other := newRekor(t)
	for what, tc := range map[string]struct {
		sign   stack.SignOptions
		reason string
	}{
		"a legacy signature in no log": {stack.SignOptions{NoUpload: true}, "NotLogged"},
		"a bundle in no log, with a timestamp": {
			stack.SignOptions{Cosign: stack.CosignV3, Format: stack.Bundle, NoUpload: true, TSA: S(t).Keyless.TSA}, "NotLogged",
		},
		"a legacy signature in another log": {stack.SignOptions{Log: other}, "LogUnknown"},
		"a bundle in another log":           {stack.SignOptions{Cosign: stack.CosignV3, Format: stack.Bundle, Log: other}, "LogUnknown"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			image := pushImage(t, S(t).Registry)
			tc.sign.Identity = gitHubIdentity(t, "acme/shop")
			newKeylessPolicy(t, image, stack.KeylessPolicyOptions{TrustRoot: root}, exactly(tc.sign.Identity))
			sign(t, image, tc.sign)
			refused(t, runPod(t, namespace, newName(t), image.Ref()), tc.reason)
		})
	}
}

// TestTheGateRefusesCertificatesThatAreNotOfTheTrustRoot: the identity is right, and
// a genuine Fulcio has checked it.
func TestTheGateRefusesCertificatesThatAreNotOfTheTrustRoot(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	root := newTrustRoot(t)
	ca, err := S(t).NewCA(newName(t))
	if err != nil {
		t.Fatal(err)
	}
	for what, tc := range map[string]struct {
		fulcio *stack.Fulcio
		reason string
	}{
		"of another authority":                 {newFulcio(t, ca), "CertificateInvalid"},
		"of the authority, but in another log": {newFulcio(t, S(t).Keyless.Fulcio.CA), "SCTInvalid"},
	} {
		for format, o := range map[string]stack.SignOptions{"legacy": {}, "a bundle": bundleByV3()} {
			t.Run(what+", "+format, func(t *testing.T) {
				t.Parallel()
				image := pushImage(t, S(t).Registry)
				o.Identity, o.Fulcio = gitHubIdentity(t, "acme/shop"), tc.fulcio
				newKeylessPolicy(t, image, stack.KeylessPolicyOptions{TrustRoot: root}, exactly(o.Identity))
				sign(t, image, o)
				refused(t, runPod(t, namespace, newName(t), image.Ref()), tc.reason)
			})
		}
	}
}

func TestTheGateDemandsATimestampWhereThePolicyDoes(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	root := newTrustRoot(t)
	other, err := S(t).StartTSA(t.Context(), newName(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(other.Stop)
	for what, tc := range map[string]struct {
		tsa    *stack.TSA
		reason string // "": admitted
	}{
		"a timestamp by the trust root's authority": {S(t).Keyless.TSA, ""},
		"no timestamp":                     {nil, "TimestampInvalid"},
		"a timestamp by another authority": {other, "TimestampInvalid"},
	} {
		for format, o := range map[string]stack.SignOptions{"legacy": {}, "a bundle": bundleByV3()} {
			t.Run(what+", "+format, func(t *testing.T) {
				t.Parallel()
				image := pushImage(t, S(t).Registry)
				o.Identity, o.TSA = gitHubIdentity(t, "acme/shop"), tc.tsa
				newKeylessPolicy(t, image, stack.KeylessPolicyOptions{TrustRoot: root, Timestamp: true}, exactly(o.Identity))
				sign(t, image, o)
				result := runPod(t, namespace, newName(t), image.Ref())
				if tc.reason == "" {
					admitted(t, result)
					return
				}
				refused(t, result, tc.reason)
			})
		}
	}
}

func TestAKeyAndAnIdentityDoNotStandInForEachOther(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	root := newTrustRoot(t)
	shop := gitHubIdentity(t, "acme/shop")
	for format, o := range map[string]stack.SignOptions{"legacy": {}, "a bundle": bundleByV3()} {
		t.Run("a key where an identity is asked for, "+format, func(t *testing.T) {
			t.Parallel()
			image := pushImage(t, S(t).Registry)
			newKeylessPolicy(t, image, stack.KeylessPolicyOptions{TrustRoot: root}, exactly(shop))
			sign(t, image, o)
			refused(t, runPod(t, namespace, newName(t), image.Ref()), "IdentityMismatch")
		})
		t.Run("an identity where a key is asked for, "+format, func(t *testing.T) {
			t.Parallel()
			image := pushImage(t, S(t).Registry)
			newPolicy(t, image.Registry+"/"+image.Repository, S(t).Key)
			o := o
			o.Identity = shop
			sign(t, image, o)
			refused(t, runPod(t, namespace, newName(t), image.Ref()), "KeyMismatch")
		})
	}
}

// exactly accepts one identity.
func exactly(i stack.Identity) stack.Signer {
	return stack.Signer{Issuer: i.Issuer, Subject: i.Subject}
}

// newTrustRoot applies a TrustRoot that trusts the stack's Fulcio, its log and the
// timestamp authority, deletes it when the scenario ends, and returns its name.
func newTrustRoot(t *testing.T) string {
	t.Helper()
	name := newName(t)
	manifest, err := S(t).TrustRoot(t.Context(), name, stack.Services{
		Log: S(t).Rekor, Fulcio: S(t).Keyless.Fulcio, TSA: S(t).Keyless.TSA,
	})
	if err != nil {
		t.Fatal(err)
	}
	applied(t, "trustroot/"+name, manifest)
	return name
}

// newKeylessPolicy applies an enforcing policy for one image's repository, and
// deletes it when the scenario ends. It returns when the policy is in force.
func newKeylessPolicy(t *testing.T, image stack.Image, o stack.KeylessPolicyOptions, signers ...stack.Signer) {
	t.Helper()
	name := newName(t)
	manifest, err := stack.KeylessPolicy(name, image.Registry+"/"+image.Repository, o, signers...)
	if err != nil {
		t.Fatal(err)
	}
	applied(t, "clusterimagepolicy/"+name, manifest)
}

// newFulcio starts a Fulcio, with a certificate log of its own, that ends with the
// scenario.
func newFulcio(t *testing.T, ca *stack.CA) *stack.Fulcio {
	t.Helper()
	name := newName(t)
	ct, err := S(t).StartCTLog(t.Context(), name+"-ct", ca)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ct.Stop)
	fulcio, err := S(t).StartFulcio(t.Context(), name, ca, ct)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fulcio.Stop)
	return fulcio
}
