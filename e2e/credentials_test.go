// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/countersign-dev/countersign/e2e/stack"
)

// newPrivateRegistry starts a registry that wants a password, which Countersign knows
// how to reach.
func newPrivateRegistry(t *testing.T, entry map[string]any) *stack.SecureRegistry {
	t.Helper()
	registry, err := S(t).StartPrivateRegistry(t.Context(), newName(t), stack.Login{User: "robot", Password: "right"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(registry.Stop)
	all := entryOf(registry)
	maps.Copy(all, entry)
	if credentials := all["credentialsFile"]; credentials != nil {
		all["credentialsFile"] = filepath.Join(registry.DockerConfig, "config.json")
	}
	if err := S(t).ConfigureRegistry(all); err != nil {
		t.Fatal(err)
	}
	return registry
}

// privateImage pushes an image, and signs it if it is to be good, under a policy.
func privateImage(t *testing.T, registry *stack.SecureRegistry, o *stack.SignOptions) stack.Image {
	t.Helper()
	image := pushSecurely(t, registry)
	newPolicy(t, registry.Host+"/"+image.Repository, S(t).Key)
	if o != nil {
		o.Through = registry
		sign(t, image, *o)
	}
	return image
}

// reached waits until Countersign has read how a registry is reached.
func reached(t *testing.T, namespace string, image stack.Image) {
	t.Helper()
	eventually(t, "the configuration to be read", func() bool {
		return !strings.Contains(runPod(t, namespace, newName(t), image.Ref()).Stderr, "RegistryUnavailable")
	})
}

// newOpenNamespace creates one whose pull secrets Countersign may read.
func newOpenNamespace(t *testing.T) string {
	t.Helper()
	namespace := newNamespace(t)
	mustKubectl(t, "", "create", "rolebinding", "pull-secrets", "-n", namespace, "--clusterrole=countersign-pull-secrets",
		"--serviceaccount="+stack.Namespace+":countersign")
	return namespace
}

func newPullSecret(t *testing.T, namespace, name, host, password string) {
	t.Helper()
	newPullSecretOf(t, namespace, name, host, stack.Login{User: "robot", Password: password})
}

func newPullSecretOf(t *testing.T, namespace, name, host string, user stack.Login) {
	t.Helper()
	made := mustKubectl(t, "", "create", "secret", "docker-registry", name, "-n", namespace, "--dry-run=client", "-o", "yaml",
		"--docker-server="+host, "--docker-username="+user.User, "--docker-password="+user.Password)
	mustKubectl(t, made, "apply", "-f", "-")
}

// runWith creates a Pod with more in its specification than its image.
func runWith(t *testing.T, namespace, image, spec string) stack.Result {
	t.Helper()
	return kubectl(t, "", "run", newName(t), "-n", namespace, "--image="+image, `--overrides={"spec":`+spec+`}`)
}

const withPull = `{"imagePullSecrets":[{"name":"pull"}]}`

func deployment(name, image, spec string) string {
	return fmt.Sprintf(`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":%q},"spec":{"replicas":0,"selector":{"matchLabels":{"app":"x"}},
"template":{"metadata":{"labels":{"app":"x"}},"spec":{"containers":[{"name":"c","image":%q}]%s}}}}`, name, image, spec)
}

// TestTwoTenantsOfOnePrivateImage: one has a pull secret, the other has none, or not the
// right one, and is refused after all is known about the image.
func TestTwoTenantsOfOnePrivateImage(t *testing.T) {
	t.Parallel()
	owner, stranger := newOpenNamespace(t), newOpenNamespace(t)
	registry := newPrivateRegistry(t, nil)
	image, unsigned := privateImage(t, registry, &stack.SignOptions{}), privateImage(t, registry, nil)
	bundled := privateImage(t, registry, &stack.SignOptions{Cosign: stack.CosignV3, Format: stack.Bundle})
	newPullSecret(t, owner, "pull", registry.Host, "right")
	newPullSecret(t, stranger, "pull", registry.Host, "wr0ng-secret")
	newPullSecret(t, stranger, "elsewhere", "other.example", "right")
	mustKubectl(t, "", "create", "serviceaccount", "robot", "-n", owner)
	mustKubectl(t, "", "patch", "serviceaccount", "robot", "-n", owner, "-p", `{"imagePullSecrets":[{"name":"pull"}]}`)
	reached(t, stranger, image)

	for _, good := range []stack.Image{image, bundled} {
		pod := newName(t)
		admitted(t, kubectl(t, "", "run", pod, "-n", owner, "--image="+good.Ref(), `--overrides={"spec":`+withPull+`}`))
		if got := imageOf(t, owner, pod); got != good.Pinned() {
			t.Errorf("the Pod runs %q, want %q", got, good.Pinned())
		}
		admitted(t, runWith(t, owner, good.ByDigest(), withPull))
	}
	eventually(t, "a Pod of the service account", func() bool {
		return runWith(t, owner, image.Ref(), `{"serviceAccountName":"robot"}`).Code == 0
	})
	for name, spec := range map[string]string{
		"by-secret": `,"imagePullSecrets":[{"name":"pull"}]`, "by-account": `,"serviceAccountName":"robot"`,
	} {
		admitted(t, kubectl(t, deployment(name, image.Ref(), spec), "create", "-n", owner, "-f", "-"))
		refused(t, kubectl(t, deployment(name+"-x", unsigned.Ref(), spec), "create", "-n", owner, "-f", "-"), "NoSignature")
	}
	refused(t, kubectl(t, deployment("none", image.Ref(), ""), "create", "-n", owner, "-f", "-"), "RegistryUnauthorized", "none (anonymous)")
	refused(t, runWith(t, owner, unsigned.Ref(), withPull), "NoSignature")
	for namespace, says := range map[string]string{
		owner: "image " + shown(image) + " verified by", stranger: `RegistryUnauthorized: registry ` + registry.Host + ` answered 401`,
	} {
		result := verifyInCluster(t, registry, namespace, deployment("later", image.Ref(), `,"imagePullSecrets":[{"name":"pull"}]`))
		if (result.Code == 0) != (namespace == owner) || !strings.Contains(result.Stdout, says) || strings.Contains(result.Stdout, "wr0ng") {
			t.Errorf("verify manifest in %s: exit status %d, want it to read %q:\n%s%s", namespace, result.Code, says, result.Stdout, result.Stderr)
		}
	}

	for _, written := range []string{image.Ref(), image.ByDigest(), image.Pinned(), bundled.ByDigest()} {
		for spec, says := range map[string]string{
			`{}`:     "credentials tried: ",
			withPull: `credentials tried: Secret "pull"`,
			`{"imagePullSecrets":[{"name":"elsewhere"}]}`: "none (anonymous)",
			`{"imagePullSecrets":[{"name":"gone"}]}`:      `Secret "gone" does not exist`,
		} {
			result := runWith(t, stranger, written, spec)
			refused(t, result, "RegistryUnauthorized", says)
			if strings.Contains(result.Stderr, "wr0ng") || strings.Contains(result.Stderr, "elsewhere") {
				t.Errorf("the refusal says too much:\n%s", result.Stderr)
			}
		}
	}
}

// verifyInCluster verifies a manifest on the command line, under the cluster's policies and
// with the pull secrets in a namespace.
func verifyInCluster(t *testing.T, registry *stack.SecureRegistry, namespace, manifest string) stack.Result {
	t.Helper()
	config, err := json.Marshal(map[string]any{
		"apiVersion": "config.countersign.dev/v1alpha1", "kind": "RegistryConfig", "registries": []any{entryOf(registry)},
	})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "registries.yaml")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		t.Fatal(err)
	}
	result, err := S(t).Run(t.Context(), strings.NewReader(manifest), S(t).Countersign.Binary, "verify", "manifest", "-",
		"--kubeconfig", S(t).ControlPlane.Kubeconfig, "--as-namespace", namespace, "--registry-config", file)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// TestAPasswordThatChangesIsTakenSoon from the Secret.
func TestAPasswordThatChangesIsTakenSoon(t *testing.T) {
	t.Parallel()
	namespace := newOpenNamespace(t)
	registry := newPrivateRegistry(t, nil)
	image := privateImage(t, registry, &stack.SignOptions{})
	newPullSecret(t, namespace, "pull", registry.Host, "right")
	reached(t, namespace, image)
	admitted(t, runWith(t, namespace, image.Ref(), withPull))
	if err := registry.SetUsers(S(t), stack.Login{User: "robot", Password: "n3w"}); err != nil {
		t.Fatal(err)
	}
	refused(t, runWith(t, namespace, image.Ref(), withPull), "RegistryUnauthorized", `Secret "pull"`)
	newPullSecret(t, namespace, "pull", registry.Host, "n3w")
	eventually(t, "the new password to be used", func() bool { return runWith(t, namespace, image.Ref(), withPull).Code == 0 })
}

// TestCountersignsOwnCredentialsAreEverybodys.
func TestCountersignsOwnCredentialsAreEverybodys(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	registry := newPrivateRegistry(t, map[string]any{"credentialsFile": ""})
	image, unsigned := privateImage(t, registry, &stack.SignOptions{}), privateImage(t, registry, nil)
	reached(t, namespace, unsigned)
	admitted(t, runPod(t, namespace, newName(t), image.Ref()))
	refused(t, runPod(t, namespace, newName(t), unsigned.Ref()), "NoSignature")
}

// TestPullSecretsAreNotReadUnlessThatIsAskedFor: without the rights, too, which the
// default installation does not have. It restarts Countersign, so nothing runs beside it.
func TestPullSecretsAreNotReadUnlessThatIsAskedFor(t *testing.T) { //nolint:paralleltest // see above
	namespace := newNamespace(t)
	registry := newPrivateRegistry(t, nil)
	image := privateImage(t, registry, &stack.SignOptions{})
	newPullSecret(t, namespace, "pull", registry.Host, "right")
	newPullSecret(t, namespace, "registry", registry.Host, "right")
	restart := func(flags ...string) {
		t.Helper()
		if err := S(t).Countersign.RestartWith(t.Context(), flags...); err != nil {
			t.Fatal(err)
		}
	}
	restoreCountersign(t)

	root, err := stack.FindRoot()
	if err != nil {
		t.Fatal(err)
	}
	components := filepath.Join(root, "config", "pull-secrets")
	restart("--pull-secrets=none")
	refused(t, runWith(t, namespace, image.Ref(), withPull), "RegistryUnauthorized", `Secret "pull" is not read (--pull-secrets=none)`)
	restart("--pull-secrets=all")
	refused(t, runWith(t, namespace, image.Ref(), withPull), "RegistryUnauthorized", `Secret "pull" may not be read by countersign`)
	t.Cleanup(func() {
		if _, err := S(t).Kubectl(context.Background(), "", "delete", "clusterrolebinding", "countersign-pull-secrets"); err != nil {
			t.Error(err)
		}
	})
	mustKubectl(t, "", "apply", "--server-side", "-f", filepath.Join(components, "named", "rbac.yaml"))
	t.Cleanup(func() {
		// The role is that of the other scenarios.
		if _, err := S(t).Kubectl(context.Background(), "", "apply", "--server-side", "-f", filepath.Join(components, "all", "rbac.yaml")); err != nil {
			t.Error(err)
		}
	})
	restart("--pull-secrets=named", "--pull-secret-name=registry")
	refused(t, runWith(t, namespace, image.Ref(), withPull), "RegistryUnauthorized", `Secret "pull" is not read (it is not one of --pull-secret-name)`)
	admitted(t, runWith(t, namespace, image.Ref(), `{"imagePullSecrets":[{"name":"registry"}]}`))
}

// TestTheComponentsForPullSecretsAreAccepted: each is an overlay of the installation,
// with the flag and the rights that belong together.
func TestTheComponentsForPullSecretsAreAccepted(t *testing.T) {
	t.Parallel()
	root, err := stack.FindRoot()
	if err != nil {
		t.Fatal(err)
	}
	for _, mode := range []string{"named", "all"} {
		overlay := t.TempDir()
		back, err := filepath.Rel(overlay, root)
		if err != nil {
			t.Fatal(err)
		}
		text := fmt.Sprintf("resources: [%s/config/default]\ncomponents: [%s/config/pull-secrets/%s]\n", back, back, mode)
		if err := os.WriteFile(filepath.Join(overlay, "kustomization.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		manifests := mustKubectl(t, "", "kustomize", overlay)
		if !strings.Contains(manifests, "- --pull-secrets="+mode) || strings.Count(manifests, "name: countersign-pull-secrets") != 3 {
			t.Errorf("the component %s lacks its flag or its rights", mode)
		}
		admitted(t, kubectl(t, manifests, "apply", "--dry-run=server", "--server-side", "--force-conflicts", "-f", "-"))
	}
}

// TestSignaturesLieInAnotherPrivateRepository, whose password the policy knows and nobody
// else.
func TestSignaturesLieInAnotherPrivateRepository(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	private := newPrivateRegistry(t, nil)
	host := S(t).Registry.Host
	repository, secret := private.Host+"/"+newName(t)+"/signatures", newName(t)
	mustKubectl(t, "", "create", "secret", "docker-registry", secret, "-n", stack.Namespace,
		"--docker-server="+private.Host, "--docker-username=robot", "--docker-password=right")
	t.Cleanup(func() {
		if _, err := S(t).Kubectl(context.Background(), "", "delete", "secret", secret, "-n", stack.Namespace); err != nil {
			t.Error(err)
		}
	})
	from := func(secrets string) (good, bad stack.Image) {
		good, bad = pushImage(t, S(t).Registry), pushImage(t, S(t).Registry)
		sign(t, good, stack.SignOptions{Repository: repository, Through: private})
		for _, image := range []stack.Image{good, bad} {
			name := newName(t)
			policy := stack.KeyPolicy(name, host+"/"+image.Repository, S(t).Key)
			applied(t, "clusterimagepolicy/"+name, strings.Replace(policy, "    key:\n", "    source: [{oci: "+repository+secrets+"}]\n    key:\n", 1))
		}
		return good, bad
	}
	good, bad := from(", signaturePullSecrets: [{name: " + secret + "}]")
	reached(t, namespace, bad)
	admitted(t, runPod(t, namespace, newName(t), good.Ref()))
	refused(t, runPod(t, namespace, newName(t), bad.Ref()), "NoSignature", "looked in "+repository)
	locked, _ := from("")
	refused(t, runPod(t, namespace, newName(t), locked.Ref()), "RegistryUnauthorized", private.Host)
}

// TestATokenServerSaysWhatACredentialOpens: two users of one registry, each with
// repositories of his own, in a namespace of his own.
func TestATokenServerSaysWhatACredentialOpens(t *testing.T) {
	t.Parallel()
	alice, bob := stack.Login{User: "alice", Password: "a1ice"}, stack.Login{User: "bob", Password: "b0b"}
	registry, err := S(t).StartTokenRegistry(t.Context(), newName(t), alice, bob)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(registry.Stop)
	if err := S(t).ConfigureRegistry(entryOf(registry)); err != nil {
		t.Fatal(err)
	}
	hers, his := newOpenNamespace(t), newOpenNamespace(t)
	image := pushAs(t, registry, alice, "alice/"+newName(t))
	newPolicy(t, registry.Host+"/**", S(t).Key)
	sign(t, image, stack.SignOptions{Through: registry, Cosign: stack.CosignV3, Format: stack.Bundle})
	newPullSecretOf(t, hers, "pull", registry.Host, alice)
	newPullSecretOf(t, his, "pull", registry.Host, bob)
	newPullSecretOf(t, his, "guest", registry.Host, alice)
	newPullSecretOf(t, his, "mistake", registry.Host, stack.Login{User: "alice", Password: "wr0ng"})
	reached(t, his, image)

	for _, written := range []string{image.Ref(), image.ByDigest()} {
		admitted(t, runWith(t, hers, written, withPull))
		for spec, says := range map[string]string{
			`{}`:     "none (anonymous)",
			withPull: `Secret "pull"`,
			`{"imagePullSecrets":[{"name":"mistake"}]}`:                 `Secret "mistake"`,
			`{"imagePullSecrets":[{"name":"pull"},{"name":"mistake"}]}`: `Secret "pull", Secret "mistake"`,
		} {
			refused(t, runWith(t, his, written, spec), "RegistryUnauthorized", says)
		}
		admitted(t, runWith(t, his, written, `{"imagePullSecrets":[{"name":"pull"},{"name":"mistake"},{"name":"guest"}]}`))
	}
	unsigned := pushAs(t, registry, bob, "bob/"+newName(t))
	refused(t, runWith(t, his, unsigned.Ref(), withPull), "NoSignature")
	refused(t, runWith(t, hers, unsigned.Ref(), withPull), "RegistryUnauthorized")
}
