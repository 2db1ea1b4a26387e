// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/countersign-dev/countersign/e2e/stack"
	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
	"github.com/countersign-dev/countersign/pkg/trust/trusttest"
)

// rootTarget is the name of the trusted root in a TUF repository.
const rootTarget = "trusted_root.json"

func TestATrustRootCountsInEachOfItsForms(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	text := trustedRoot(t, S(t).Keyless.Fulcio)
	repository, mirror := newRepository(t, text)
	configMap := newName(t)
	mustKubectl(t, "", "create", "configmap", configMap, "-n", stack.Namespace, "--from-literal="+rootTarget+"="+text)
	t.Cleanup(func() {
		if _, err := S(t).Kubectl(context.Background(), "", "delete", "configmap", configMap, "-n", stack.Namespace); err != nil {
			t.Error(err)
		}
	})
	k := S(t).Keyless
	for what, spec := range map[string]v1alpha1.TrustRootSpec{
		"the text of a trusted root": {TrustedRoot: &v1alpha1.TrustedRootText{Data: text}},
		"a ConfigMap with the text":  {TrustedRoot: &v1alpha1.TrustedRootText{ConfigMapRef: &v1alpha1.ConfigMapKeyReference{Name: configMap}}},
		"a TUF repository":           {Remote: &v1alpha1.RemoteRepository{Root: repository.Root(), Mirror: mirror}},
		"a copy of a TUF repository": {Repository: &v1alpha1.EmbeddedRepository{Root: repository.Root(), MirrorFS: repository.Archive("repository/")}},
		"certificates and keys, one by one": {SigstoreKeys: &v1alpha1.SigstoreKeys{
			CertificateAuthorities: []v1alpha1.CertificateAuthority{{URI: k.Fulcio.URL, CertChain: string(k.Fulcio.CA.Chain)}},
			CTLogs:                 []v1alpha1.TransparencyLogInstance{{BaseURL: k.CTLog.URL, PublicKey: string(k.CTLog.PublicKey)}},
			TimestampAuthorities:   []v1alpha1.CertificateAuthority{{URI: k.TSA.URL, CertChain: string(k.TSA.Chain)}},
		}},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			root := applyTrustRoot(t, newName(t), spec)
			image := pushImage(t, S(t).Registry)
			o := bundleByV3()
			o.Identity, o.TSA = gitHubIdentity(t, "acme/shop"), k.TSA
			newKeylessPolicy(t, image, stack.KeylessPolicyOptions{TrustRoot: root, Timestamp: true}, exactly(o.Identity))
			sign(t, image, o)
			admitted(t, runPod(t, namespace, newName(t), image.Ref()))

			o.TSA = nil
			unstamped := pushImage(t, S(t).Registry)
			newKeylessPolicy(t, unstamped, stack.KeylessPolicyOptions{TrustRoot: root, Timestamp: true}, exactly(o.Identity))
			sign(t, unstamped, o)
			refused(t, runPod(t, namespace, newName(t), unstamped.Ref()), "TimestampInvalid")
		})
	}
}

// TestARepositoryIsFollowedWithoutARestart: a mirror that is down changes nothing
// but the status; a new target and new keys are taken over when it is up again.
func TestARepositoryIsFollowedWithoutARestart(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	ca, err := S(t).NewCA(newName(t))
	if err != nil {
		t.Fatal(err)
	}
	old, current := newFulcio(t, ca), S(t).Keyless.Fulcio
	repository, mirror := newRepository(t, trustedRoot(t, old))
	root := applyTrustRoot(t, newName(t), v1alpha1.TrustRootSpec{Remote: &v1alpha1.RemoteRepository{
		Root: repository.Root(), Mirror: mirror, RefreshInterval: &metav1.Duration{Duration: time.Second},
	}})
	signedWith := func(fulcio *stack.Fulcio) stack.Image {
		image := pushImage(t, S(t).Registry)
		o := bundleByV3()
		o.Identity, o.Fulcio = gitHubIdentity(t, "acme/shop"), fulcio
		newKeylessPolicy(t, image, stack.KeylessPolicyOptions{TrustRoot: root}, exactly(o.Identity))
		sign(t, image, o)
		return image
	}
	byOld, byCurrent := signedWith(old), signedWith(current)
	admitted(t, runPod(t, namespace, "old-before", byOld.Ref()))
	refused(t, runPod(t, namespace, "current-before", byCurrent.Ref()), "CertificateInvalid")

	repository.Break(http.StatusServiceUnavailable)
	repository.Publish(rootTarget, []byte(trustedRoot(t, current)))
	awaitObject(t, "trustroot/"+root, "Fresh=false")
	awaitObject(t, "trustroot/"+root, "Ready")
	admitted(t, runPod(t, namespace, "old-while-down", byOld.Ref()))

	repository.Rotate()
	repository.Break(0)
	awaitObject(t, "trustroot/"+root, "Fresh")
	eventually(t, "the new authority to count", func() bool {
		return runPod(t, namespace, newName(t), byCurrent.Ref()).Code == 0
	})
	refused(t, runPod(t, namespace, "old-after", byOld.Ref()), "CertificateInvalid")
}

func TestAPolicyWithoutItsTrustRootDeniesUntilItIsThere(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	image := pushImage(t, S(t).Registry)
	o := bundleByV3()
	o.Identity = gitHubIdentity(t, "acme/shop")
	sign(t, image, o)
	root, policy := newName(t), newName(t)
	manifest, err := stack.KeylessPolicy(policy, image.Registry+"/"+image.Repository, stack.KeylessPolicyOptions{TrustRoot: root}, exactly(o.Identity))
	if err != nil {
		t.Fatal(err)
	}
	appliedObject(t, "clusterimagepolicy/"+policy, manifest)
	awaitObject(t, "clusterimagepolicy/"+policy, "TrustRootsReady=false")
	refused(t, runPod(t, namespace, "before", image.Ref()), "PolicyNotReady", root)

	applyTrustRoot(t, root, v1alpha1.TrustRootSpec{TrustedRoot: &v1alpha1.TrustedRootText{Data: trustedRoot(t, S(t).Keyless.Fulcio)}})
	awaitObject(t, "clusterimagepolicy/"+policy, "Ready")
	admitted(t, runPod(t, namespace, "after", image.Ref()))
}

// TestATrustRootOwnsItsTransparencyLogs: they come with it, are followed like any
// other, and go with it.
func TestATrustRootOwnsItsTransparencyLogs(t *testing.T) {
	t.Parallel()
	log := tlogtest.New("127.0.0.1") // the host of its URL is its origin
	log.Grow(3)
	server := tlogtest.NewServer(log)
	t.Cleanup(server.Close)
	root := newName(t)
	applyTrustRoot(t, root, v1alpha1.TrustRootSpec{SigstoreKeys: &v1alpha1.SigstoreKeys{
		TLogs: []v1alpha1.TransparencyLogInstance{{BaseURL: server.URL, PublicKey: trusttest.PublicPEM(log.PublicKey())}},
	}})
	owned := func() string {
		names := mustKubectl(t, "", "get", "transparencylogs", "-o",
			"jsonpath={range .items[*]}{.metadata.name} {.metadata.ownerReferences[*].name}{\"\\n\"}{end}")
		for line := range strings.Lines(names) {
			if name, owner, _ := strings.Cut(strings.TrimSpace(line), " "); owner == root {
				return name
			}
		}
		return ""
	}
	eventually(t, "the log's object", func() bool { return owned() != "" })
	awaitObject(t, "transparencylog/"+owned(), "Ready")
	if size := mustKubectl(t, "", "get", "transparencylog", owned(), "-o", "jsonpath={.status.checkpoint.size}"); size != "3" {
		t.Errorf("size %s; want 3", size)
	}
	mustKubectl(t, "", "delete", "trustroot", root)
	eventually(t, "the log to go with its trust root", func() bool { return owned() == "" })
}

// trustedRoot is the text that says to trust a Fulcio and its certificate log, and
// the stack's timestamp authority.
func trustedRoot(t *testing.T, fulcio *stack.Fulcio) string {
	t.Helper()
	text, err := S(t).TrustedRoot(t.Context(), stack.Services{Log: S(t).Rekor, Fulcio: fulcio, TSA: S(t).Keyless.TSA})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// newRepository serves a TUF repository whose target is a trusted root.
func newRepository(t *testing.T, trustedRoot string) (repository *trusttest.Repository, url string) {
	t.Helper()
	repository = trusttest.NewRepository(rootTarget, []byte(trustedRoot), time.Now().Add(24*time.Hour))
	server := httptest.NewServer(repository)
	t.Cleanup(server.Close)
	return repository, server.URL
}

// applyTrustRoot applies a TrustRoot, and deletes it when the scenario ends. It
// returns its name when it is in force.
func applyTrustRoot(t *testing.T, name string, spec v1alpha1.TrustRootSpec) string {
	t.Helper()
	manifest, err := yaml.Marshal(map[string]any{
		"apiVersion": v1alpha1.GroupVersion().String(),
		"kind":       "TrustRoot",
		"metadata":   map[string]string{"name": name},
		"spec":       spec,
	})
	if err != nil {
		t.Fatal(err)
	}
	applied(t, "trustroot/"+name, string(manifest))
	return name
}

// awaitObject waits until an object has a condition: Name, or Name=false.
func awaitObject(t *testing.T, object, condition string) {
	t.Helper()
	if !strings.Contains(condition, "=") {
		condition += "=true"
	}
	mustKubectl(t, "", "wait", "--for=condition="+condition, "--timeout=30s", object)
}
