// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"encoding/base64"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/countersign-dev/countersign/e2e/stack"
	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
)

const sigstorePolicies = "clusterimagepolicies.policy.sigstore.dev"

// installSigstoreKinds installs the kinds of policy-controller, as on a cluster that never
// had it, and takes them away when the scenario ends.
func installSigstoreKinds(t *testing.T) {
	t.Helper()
	root, err := stack.FindRoot()
	if err != nil {
		t.Fatal(err)
	}
	kinds := filepath.Join(root, "config", "policy.sigstore.dev")
	mustKubectl(t, "", "apply", "--server-side", "-k", kinds)
	t.Cleanup(func() {
		if _, err := S(t).Kubectl(context.Background(), "", "delete", "-k", kinds, "--wait=false"); err != nil {
			t.Error(err)
		}
	})
	mustKubectl(t, "", "wait", "--for=condition=Established", "--timeout=30s",
		"crd/"+sigstorePolicies, "crd/trustroots.policy.sigstore.dev")
}

// sigstorePolicy applies a policy of policy.sigstore.dev about an image, and waits until what
// it says now is in force.
func sigstorePolicy(t *testing.T, name string, image stack.Image, version, authorities string) {
	t.Helper()
	mustKubectl(t, sigstoreManifest(name, image, version, authorities), "apply", "-f", "-")
	inForce(t, sigstorePolicies+"/"+name)
}

func sigstoreManifest(name string, image stack.Image, version, authorities string) string {
	return fmt.Sprintf("apiVersion: policy.sigstore.dev/%s\nkind: ClusterImagePolicy\nmetadata: {name: %s}\nspec:\n  images: [{glob: %q}]\n  authorities:\n%s",
		version, name, image.Registry+"/"+image.Repository+"**", authorities)
}

// inForce waits until an object's condition is about the generation that there is now.
func inForce(t *testing.T, object string) (status, message string) {
	t.Helper()
	eventually(t, object+" to be in force", func() bool {
		told := mustKubectl(t, "", "get", object, "-o",
			`jsonpath={.metadata.generation} {.status.conditions[?(@.type=="CountersignReady")].status} {.status.conditions[?(@.type=="CountersignReady")].message}`)
		parts := strings.SplitN(told, " ", 3)
		if len(parts) < 3 || !strings.HasPrefix(parts[2], "generation "+parts[0]+":") {
			return false
		}
		status, message = parts[1], parts[2]
		return true
	})
	return status, message
}

func TestPoliciesOfPolicyController(t *testing.T) {
	t.Parallel()
	installSigstoreKinds(t)
	for what, scenario := range map[string]func(*testing.T){
		"a policy works as its author meant": worksAsItsAuthorMeant,
		"what cannot be kept is refused":     whatCannotBeKeptIsRefused,
		"a trust root is none of ours":       theirTrustRootIsItsOwn,
		"a match is about objects' labels":   aMatchIsAboutTheLabelsOfObjects,
		"what nobody judged accepts nothing": whatNobodyJudgedAcceptsNothing,
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			scenario(t)
		})
	}
}

// worksAsItsAuthorMeant: the policy of the Rekor tutorial, with the
// two URLs of the stack's Fulcio and Rekor, which choose what the owner of the cluster trusts.
func worksAsItsAuthorMeant(t *testing.T) {
	t.Helper()
	namespace := newNamespace(t)
	k := S(t).Keyless
	// The same services by another name than other scenarios configure them.
	elsewhere := func(url string) string { return strings.Replace(url, "127.0.0.1", "localhost", 1) }
	fulcio, rekor := elsewhere(k.Fulcio.URL), elsewhere(S(t).Rekor.URL)
	if fulcio == k.Fulcio.URL || rekor == S(t).Rekor.URL {
		t.Fatalf("%s and %s are not on loopback", fulcio, rekor)
	}
	shop, evil := gitHubIdentity(t, "acme/shop"), gitHubIdentity(t, "acme/shop-evil")
	author := func(expression string) string {
		return fmt.Sprintf("  - keyless:\n      url: %s\n      identities:\n      - issuer: %s\n        subjectRegExp: %q\n    ctlog: {url: %s}\n", fulcio, shop.Issuer, expression, rekor)
	}
	image := pushImage(t, S(t).Registry)
	name := newName(t)
	t.Run("without its Fulcio and Rekor, it accepts nothing and says what is missing", func(t *testing.T) {
		sigstorePolicy(t, name, image, "v1beta1", author(".*acme/shop.*"))
		if status, message := inForce(t, sigstorePolicies+"/"+name); status != "False" || !strings.Contains(message, "none has a certificate authority whose uri is") {
			t.Errorf("ready %s: %s", status, message)
		}
		refusedBySigstore(t, runPod(t, namespace, newName(t), image.Ref()), name, "PolicyNotReady", fulcio)
	})
	applyTrustRoot(t, newName(t), v1alpha1.TrustRootSpec{SigstoreKeys: &v1alpha1.SigstoreKeys{
		CertificateAuthorities: []v1alpha1.CertificateAuthority{{URI: fulcio, CertChain: string(k.Fulcio.CA.Chain)}},
		CTLogs:                 []v1alpha1.TransparencyLogInstance{{BaseURL: k.CTLog.URL, PublicKey: string(k.CTLog.PublicKey)}},
	}})
	newLog(t, S(t).Rekor, rekor)
	eventually(t, "the policy to be ready", func() bool {
		status, _ := inForce(t, sigstorePolicies+"/"+name)
		return status == "True"
	})
	o := bundleByV3()
	t.Run("an unsigned image is refused", func(t *testing.T) {
		refusedBySigstore(t, runPod(t, namespace, newName(t), image.Ref()), name, "NoSignature")
	})
	t.Run("an image that somebody else signed is refused", func(t *testing.T) {
		o.Identity = emailIdentity(t, "someone@countersign.test")
		sign(t, image, o)
		refusedBySigstore(t, runPod(t, namespace, newName(t), image.Ref()), name, "IdentityMismatch", "someone@countersign.test")
	})
	t.Run("an expression that is open accepts what it is a part of, as it does there", func(t *testing.T) {
		o.Identity = evil
		sign(t, image, o)
		admitted(t, runPod(t, namespace, newName(t), image.Ref()))
		if _, message := inForce(t, sigstorePolicies+"/"+name); !strings.Contains(message, "matches anywhere in the text") {
			t.Errorf("the status does not warn: %s", message)
		}
	})
	t.Run("an update takes effect", func(t *testing.T) {
		sigstorePolicy(t, name, image, "v1beta1", author("^https://github.com/acme/shop/.*$"))
		refusedBySigstore(t, runPod(t, namespace, newName(t), image.Ref()), name, "IdentityMismatch")
	})
	t.Run("an image that its author signed is admitted, in each format", func(t *testing.T) {
		for what, o := range map[string]stack.SignOptions{"a bundle": bundleByV3(), "legacy": {}} {
			signed := pushImage(t, S(t).Registry)
			sigstorePolicy(t, newName(t), signed, "v1alpha1", author("^https://github.com/acme/shop/.*$"))
			o.Identity = shop
			sign(t, signed, o)
			if result := runPod(t, namespace, newName(t), signed.Ref()); result.Code != 0 {
				t.Errorf("%s: %v", what, result.Err())
			}
		}
	})
	t.Run("one of ours with the same name is in force beside it", func(t *testing.T) {
		o.Identity = shop
		sign(t, image, o)
		admitted(t, runPod(t, namespace, newName(t), image.Ref()))
		key, err := S(t).GenerateKey(t.Context(), newName(t))
		if err != nil {
			t.Fatal(err)
		}
		applied(t, "clusterimagepolicies.policy.countersign.dev/"+name, stack.KeyPolicy(name, image.Registry+"/"+image.Repository, key))
		refused(t, runPod(t, namespace, newName(t), image.Ref()), "KeyMismatch", "denied by ClusterImagePolicy \""+name+"\"")
		mustKubectl(t, "", "delete", sigstorePolicies+"/"+name)
		sign(t, image, stack.SignOptions{Key: key})
		eventually(t, "ours alone to be in force", func() bool { return runPod(t, namespace, newName(t), image.Ref()).Code == 0 })
	})
}

func whatCannotBeKeptIsRefused(t *testing.T) {
	t.Helper()
	image := pushImage(t, S(t).Registry)
	for what, tc := range map[string]struct {
		authorities, path string
	}{
		"an unknown field":   {"  - keyles: {url: https://fulcio.test}\n", "spec.authorities[0].keyles"},
		"a misspelt enum":    {"  - static: {action: passed}\n", "spec.authorities[0].static.action"},
		"two keys":           {"  - key: {data: a, kms: hashivault://a}\n", "spec.authorities[0].key"},
		"two kinds":          {"  - key: {kms: hashivault://a}\n    static: {action: pass}\n", "spec.authorities[0]"},
		"an empty authority": {"  - {name: a}\n", "spec.authorities[0]"},
		"a program":          {"  - static: {action: pass}\n  policy: {type: cue, data: 'true'}\n", "spec.policy"},
	} {
		for _, version := range []string{"v1alpha1", "v1beta1"} {
			t.Run(what+" in "+version, func(t *testing.T) {
				t.Parallel()
				result := kubectl(t, sigstoreManifest(newName(t), image, version, tc.authorities), "create", "--validate=false", "-f", "-")
				if result.Code == 0 || !strings.Contains(result.Stderr, tc.path) {
					t.Errorf("want it refused with %q: %s%s", tc.path, result.Stdout, result.Stderr)
				}
			})
		}
	}
}

// theirTrustRootIsItsOwn: a name that a TrustRoot of ours has, too, means
// the one of its own API.
func theirTrustRootIsItsOwn(t *testing.T) {
	t.Helper()
	namespace := newNamespace(t)
	k := S(t).Keyless
	ca, err := S(t).NewCA(newName(t))
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.StdEncoding.EncodeToString
	name := newName(t)
	root := func(chain []byte) string {
		return fmt.Sprintf("apiVersion: policy.sigstore.dev/v1alpha1\nkind: TrustRoot\nmetadata: {name: %s}\nspec:\n  sigstoreKeys:\n"+
			"    certificateAuthorities: [{subject: {organization: o, commonName: c}, uri: %s, certChain: %s}]\n"+
			"    ctLogs: [{baseURL: %s, hashAlgorithm: sha-256, publicKey: %s}]\n",
			name, "https://fulcio.test/"+name, encode(chain), k.CTLog.URL, encode(k.CTLog.PublicKey))
	}
	// Ours of the same name trusts another authority.
	applyTrustRoot(t, name, v1alpha1.TrustRootSpec{SigstoreKeys: &v1alpha1.SigstoreKeys{
		CertificateAuthorities: []v1alpha1.CertificateAuthority{{URI: "https://other.test/" + name, CertChain: string(ca.Chain)}},
		CTLogs:                 []v1alpha1.TransparencyLogInstance{{BaseURL: k.CTLog.URL, PublicKey: string(k.CTLog.PublicKey)}},
	}})
	image := pushImage(t, S(t).Registry)
	o := bundleByV3()
	o.Identity = gitHubIdentity(t, "acme/shop")
	sign(t, image, o)
	sigstorePolicy(t, name, image, "v1alpha1", fmt.Sprintf(
		"  - keyless:\n      trustRootRef: %s\n      identities: [{issuer: %s, subject: %s}]\n", name, o.Identity.Issuer, o.Identity.Subject))
	refusedBySigstore(t, runPod(t, namespace, newName(t), image.Ref()), name, "PolicyNotReady", "TrustRoot not found")
	mustKubectl(t, root(k.Fulcio.CA.Chain), "apply", "-f", "-")
	if status, message := inForce(t, "trustroots.policy.sigstore.dev/"+name); status != "True" {
		t.Errorf("ready %s: %s", status, message)
	}
	eventually(t, "the image to be admitted", func() bool { return runPod(t, namespace, newName(t), image.Ref()).Code == 0 })
	mustKubectl(t, root(ca.Chain), "apply", "-f", "-")
	inForce(t, "trustroots.policy.sigstore.dev/"+name)
	refusedBySigstore(t, runPod(t, namespace, newName(t), image.Ref()), name, "CertificateInvalid")
}

// aMatchIsAboutTheLabelsOfObjects: of a Deployment its own, and not those of its template,
// by which a selector of ours would go.
func aMatchIsAboutTheLabelsOfObjects(t *testing.T) {
	t.Helper()
	namespace := newNamespace(t)
	image := pushImage(t, S(t).Registry)
	name := newName(t)
	sigstorePolicy(t, name, image, "v1beta1", "  - static: {action: fail}\n  match:\n"+
		"  - {group: apps, version: v1, resource: deployments, selector: {matchLabels: {app: shop}}}\n"+
		"  - {version: '*', resource: pods, selector: {matchExpressions: [{key: app, operator: In, values: [shop]}]}}\n")
	deployment := func(own, template string) stack.Result {
		return kubectl(t, manifestOf(t, object{
			"apiVersion": "apps/v1", "kind": "Deployment",
			"metadata": object{"name": newName(t), "namespace": namespace, "labels": object{"app": own}},
			"spec": object{"replicas": 0, "selector": object{"matchLabels": object{"app": template}}, "template": object{
				"metadata": object{"labels": object{"app": template}},
				"spec":     object{"containers": []any{container("app", image.Ref())}},
			}},
		}), "create", "-f", "-")
	}
	pod := func(label string) stack.Result {
		return kubectl(t, "", "run", newName(t), "-n", namespace, "--image="+image.Ref(), "--labels=app="+label)
	}
	refusedBySigstore(t, deployment("shop", "web"), name, "StaticDenied")
	admitted(t, deployment("web", "shop"))
	refusedBySigstore(t, pod("shop"), name, "StaticDenied")
	admitted(t, pod("web"))
}

// whatNobodyJudgedAcceptsNothing: objects of both APIs that came in while their webhook was
// not asked, each of which would pass the image but for a field that nobody knows.
func whatNobodyJudgedAcceptsNothing(t *testing.T) {
	t.Helper()
	namespace := newNamespace(t)
	name := newName(t)
	condition := func(more string) {
		_, err := S(t).Kubectl(context.Background(), "", "patch", "validatingwebhookconfiguration", "countersign-validating", "--type=strategic", "-p", fmt.Sprintf(
			`{"webhooks":[{"name":"policies.countersign.dev","matchConditions":[{"name":%q,%s}]}]}`, name, more))
		if err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(func() { condition(`"$patch":"delete"`) })
	condition(fmt.Sprintf(`"expression":"request.name != '%s'"`, name))
	create := func(manifest string) {
		eventually(t, "nobody to judge "+name, func() bool { return kubectl(t, manifest, "create", "--validate=false", "-f", "-").Code == 0 })
	}
	theirs, ours := pushImage(t, S(t).Registry), pushImage(t, S(t).Registry)
	create(sigstoreManifest(name, theirs, "v1beta1", "  - static: {action: pass}\n  moed: warn\n"))
	create(strings.NewReplacer("policy.sigstore.dev/v1beta1", "policy.countersign.dev/v1alpha1", "- static:", "- name: a\n    static:").Replace(
		sigstoreManifest(name, ours, "v1beta1", "  - static: {action: pass}\n  treshold: 2\n")))
	if status, message := inForce(t, sigstorePolicies+"/"+name); status != "False" || !strings.Contains(message, "spec.moed") {
		t.Errorf("ready %s: %s", status, message)
	}
	refusedBySigstore(t, runPod(t, namespace, newName(t), theirs.Ref()), name, "PolicyNotReady", "spec.moed")
	eventually(t, "ours to be in force", func() bool {
		return strings.Contains(runPod(t, namespace, newName(t), ours.Ref()).Stderr, "denied by ClusterImagePolicy")
	})
	refused(t, runPod(t, namespace, newName(t), ours.Ref()), "PolicyNotReady", "spec.treshold")
}

// refusedBySigstore wants kubectl to have been refused by a policy of policy.sigstore.dev.
func refusedBySigstore(t *testing.T, result stack.Result, policy, reason string, says ...string) {
	t.Helper()
	if result.Code == 0 {
		t.Errorf("admitted; want a refusal with %s:\n%s", reason, result.Stdout)
		return
	}
	for _, want := range append(says, fmt.Sprintf(" denied by policy.sigstore.dev ClusterImagePolicy %q", policy), " "+reason+": ") {
		if !strings.Contains(result.Stderr, want) {
			t.Errorf("the refusal does not say %q:\n%s", want, result.Stderr)
		}
	}
}
