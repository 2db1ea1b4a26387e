// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
	"github.com/countersign-dev/countersign/pkg/trust"
	"github.com/countersign-dev/countersign/pkg/trust/kms"
	"github.com/countersign-dev/countersign/policy"
)

const namespace = "countersign-system"

// replica is one countersign over a fake API server.
type replica struct {
	t      *testing.T
	client client.Client
	config Config
	loader *loader
	status *policyStatus
	vault  *vault
}

func newReplica(t *testing.T, objects ...client.Object) *replica {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{v1alpha1.AddToScheme, corev1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).
		WithStatusSubresource(&v1alpha1.ClusterImagePolicy{}, &v1alpha1.ImagePolicy{}, &v1alpha1.ImagePolicyException{}, &v1alpha1.TransparencyLog{}, &v1alpha1.TrustRoot{},
			objectOf(theirs("ClusterImagePolicy")), objectOf(theirs("TrustRoot"))).Build()
	secrets := trust.NewNamespaceSecrets(c, namespace)
	requests := newLogRequests()
	config := Config{
		requests:   requests,
		Policies:   policy.NewSet(),
		Exceptions: &policy.Exceptions{}, MaxExceptionAge: v1alpha1.DefaultMaxExceptionAge,
		Secrets: secrets,
		Roots:   trust.NewRoots(trust.NewNamespaceConfigMaps(c, namespace)),
		Logs: trust.NewLogs(func(log *v1alpha1.TransparencyLog) tlog.History {
			return trust.NewStatusHistory(log, c, c, c.Status())
		}, secrets, requests.of),
	}
	vault := &vault{}
	config.KMS = kms.New(kms.Options{Providers: kms.Providers{kms.HashiVault: vault}})
	ready, loaded := &Readiness{}, make(signal, 1)
	return &replica{
		t: t, client: c, config: config, vault: vault,
		loader: &loader{reader: c, config: config, ready: ready, loaded: loaded},
		status: &policyStatus{client: c, ready: ready, loaded: loaded},
	}
}

func (r *replica) load() {
	r.t.Helper()
	if _, err := r.loader.Reconcile(r.t.Context(), everything()); err != nil {
		r.t.Fatal(err)
	}
}

func (r *replica) create(obj client.Object) {
	r.t.Helper()
	if err := r.client.Create(r.t.Context(), obj); err != nil {
		r.t.Fatal(err)
	}
}

func (r *replica) log(name string) *v1alpha1.TransparencyLog {
	r.t.Helper()
	var log v1alpha1.TransparencyLog
	if err := r.client.Get(r.t.Context(), types.NamespacedName{Name: name}, &log); err != nil {
		r.t.Fatal(err)
	}
	return &log
}

// policyConditions has the leader write the status of a policy, and returns what
// it says: "True", or the reason.
func (r *replica) policyConditions(name string) map[string]string {
	r.t.Helper()
	if _, err := r.status.Reconcile(r.t.Context(), request(name)); err != nil {
		r.t.Fatal(err)
	}
	var obj v1alpha1.ClusterImagePolicy
	if err := r.client.Get(r.t.Context(), types.NamespacedName{Name: name}, &obj); err != nil {
		r.t.Fatal(err)
	}
	return told(obj.Status.Conditions)
}

// told says of each condition "True", or the reason why not.
func told(conditions []metav1.Condition) map[string]string {
	said := map[string]string{}
	for _, condition := range conditions {
		said[condition.Type] = condition.Reason
		if meta.IsStatusConditionTrue(conditions, condition.Type) {
			said[condition.Type] = "True"
		}
	}
	return said
}

func request(name string) reconcile.Request {
	return reconcile.Request{NamespacedName: types.NamespacedName{Name: name}}
}

func pemOf(t *testing.T, key crypto.PublicKey) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// logObject is the TransparencyLog object of a test log at a URL.
func logObject(t *testing.T, name string, log *tlogtest.Log, url string) *v1alpha1.TransparencyLog {
	t.Helper()
	return &v1alpha1.TransparencyLog{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name), Generation: 1},
		Spec: v1alpha1.TransparencyLogSpec{
			Type:      v1alpha1.LogTypeRekorV1,
			URLs:      []string{url},
			Origin:    log.Hostname,
			PublicKey: v1alpha1.LogPublicKey{Data: pemOf(t, log.PublicKey())},
		},
	}
}

// policyObject is a policy with one key and one log.
func policyObject(key v1alpha1.KeyAuthority, logs ...string) *v1alpha1.ClusterImagePolicy {
	p := &v1alpha1.ClusterImagePolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "payments", UID: "payments", Generation: 1},
		Spec: v1alpha1.ClusterImagePolicySpec{
			Images: []v1alpha1.ImagePattern{{Glob: "registry.example/**"}},
			Authorities: []v1alpha1.Authority{{
				Name: "release-key", Key: &key, CTLog: &v1alpha1.CTLog{LogRefs: logs},
			}},
		},
	}
	p.SetDefaults()
	return p
}
