// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/countersign-dev/countersign/pkg/image"
	"github.com/countersign-dev/countersign/pkg/registry"
	"github.com/countersign-dev/countersign/pkg/registry/pullsecrets"
	"github.com/countersign-dev/countersign/policy"
	"github.com/countersign-dev/countersign/policy/files"
)

// newPrivateRegistry has one image, for whoever knows the password, and returns its host.
func newPrivateRegistry(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, password, _ := r.BasicAuth(); password != "right" {
			w.Header().Set("WWW-Authenticate", `Basic realm="here"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
		w.Header().Set("Docker-Content-Digest", "sha256:"+strings.Repeat("a", 64))
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// TestManifestsAreVerifiedWithTheirPullSecrets, of a cluster, as far as whoever asks may
// read them: as admission would have them of the Pods that there will be.
func TestManifestsAreVerifiedWithTheirPullSecrets(t *testing.T) {
	host := newPrivateRegistry(t)
	secret := func(namespace, name, password string) client.Object {
		return &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Type: corev1.SecretTypeDockerConfigJson,
			Data: map[string][]byte{corev1.DockerConfigJsonKey: fmt.Appendf(nil, `{"auths":{%q:{"username":"u","password":%q}}}`, host, password)},
		}
	}
	account := func(namespace, name string, secrets ...string) client.Object {
		a := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
		for _, s := range secrets {
			a.ImagePullSecrets = append(a.ImagePullSecrets, corev1.LocalObjectReference{Name: s})
		}
		return a
	}
	cluster := fake.NewClientBuilder().WithObjects(
		secret("shop", "pull", "right"), secret("shop", "old", "wr0ng-secret"), secret("locked", "pull", "right"),
		account("shop", "robot", "pull"), account("shop", "default"), account("bank", "default", "pull"), secret("bank", "pull", "right"),
	).WithInterceptorFuncs(interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, options ...client.GetOption) error {
			if _, secret := o.(*corev1.Secret); secret && key.Namespace == "locked" {
				return apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, key.Name, errors.New("no"))
			}
			return c.Get(ctx, key, o, options...)
		},
	}).Build()
	pod := func(namespace, spec string) string {
		return `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","namespace":"` + namespace + `"},"spec":{"containers":[{"image":"` + host + `/app"}]` + spec + `}}`
	}
	for name, tc := range map[string]struct {
		object, mode string
		refused      string
	}{
		"a Pod's own":                            {pod("shop", `,"imagePullSecrets":[{"name":"pull"}]`), "all", ""},
		"the second of a Pod's":                  {pod("shop", `,"imagePullSecrets":[{"name":"old"},{"name":"pull"}]`), "all", ""},
		"those of the ServiceAccount to come":    {pod("shop", `,"serviceAccountName":"robot"`), "all", ""},
		"those of the default ServiceAccount":    {pod("bank", ""), "all", ""},
		"a default ServiceAccount that has none": {pod("shop", ""), "all", "credentials tried: none (anonymous)"},
		"a wrong password":                       {pod("shop", `,"imagePullSecrets":[{"name":"old"}]`), "all", `credentials tried: Secret "old"`},
		"one of another namespace":               {pod("shop", `,"imagePullSecrets":[{"name":"other"}]`), "all", `Secret "other" does not exist`},
		"one that may not be read":               {pod("locked", `,"imagePullSecrets":[{"name":"pull"}]`), "all", `Secret "pull" may not be read by the user of --kubeconfig`},
		"one that is not to be read":             {pod("shop", `,"imagePullSecrets":[{"name":"pull"}]`), "none", `Secret "pull" is not read (--pull-secrets=none)`},
		"an object in no namespace":              {pod("", `,"imagePullSecrets":[{"name":"pull"}]`), "all", "pull secrets are not read, since nobody says in which namespace they are (--as-namespace)"},
		"a workload's template": {
			`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"d","namespace":"shop"},"spec":{"template":{"spec":{"serviceAccountName":"robot","containers":[{"image":"` + host + `/app"}]}}}}`, "all", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			objects, err := files.Read([]string{"-"}, strings.NewReader(tc.object))
			if err != nil {
				t.Fatal(err)
			}
			found, _, err := files.Images(image.NewExtractor(), objects, false)
			if err != nil || len(found) != 1 {
				t.Fatalf("%v, %v", found, err)
			}
			shared := registry.New(registry.Options{InsecureRegistries: []string{host}})
			secrets := pullsecrets.New(pullsecrets.Options{Reader: cluster, Mode: pullsecrets.Mode(tc.mode), As: "the user of --kubeconfig"})
			err = resolve(t, tenants{client: shared, secrets: secrets, nowhere: namespaceless()}, shared, found[0])
			if (err == nil) != (tc.refused == "") || (err != nil && !strings.Contains(err.Error(), tc.refused)) {
				t.Errorf("%v; want it refused with %q", err, tc.refused)
			}
			if err != nil && strings.Contains(err.Error(), "wr0ng-secret") {
				t.Errorf("it repeats a secret: %v", err)
			}
		})
	}
}

func resolve(t *testing.T, open policy.Tenants, shared policy.Registry, found files.Found) error {
	t.Helper()
	ref, err := image.Parse(found.Image)
	if err != nil {
		t.Fatal(err)
	}
	with := shared
	if own := open.Open(t.Context(), found.Origin); own != nil {
		with = own
	}
	_, err = with.Resolve(t.Context(), ref)
	return err
}
