// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/trust/trusttest"
)

const trustedRoot = v1alpha1.DefaultTrustedRootTarget

func rootObject(spec v1alpha1.TrustRootSpec) *v1alpha1.TrustRoot {
	obj := &v1alpha1.TrustRoot{ObjectMeta: metav1.ObjectMeta{Name: "corp", UID: "corp", Generation: 1}, Spec: spec}
	obj.SetDefaults()
	return obj
}

// mirrored is a trust root behind a mirror, in a cluster.
type mirrored struct {
	*replica
	*trusttest.Repository
	refresher *refresher
	roots     *rootStatus
	recorder  *events.FakeRecorder
}

func mirror(t *testing.T, certificatesEnd time.Time) *mirrored {
	t.Helper()
	repository := trusttest.NewRepository(trustedRoot, trusttest.TrustedRoot("a.test", certificatesEnd), time.Now().AddDate(1, 0, 0))
	server := httptest.NewServer(repository)
	t.Cleanup(server.Close)
	r := newReplica(t, rootObject(v1alpha1.TrustRootSpec{Remote: &v1alpha1.RemoteRepository{
		Root: repository.Root(), Mirror: server.URL, RefreshInterval: &metav1.Duration{Duration: 1},
	}}))
	r.load()
	recorder := events.NewFakeRecorder(100)
	return &mirrored{
		replica: r, Repository: repository, recorder: recorder,
		refresher: &refresher{client: r.client, roots: r.config.Roots, changed: make(signal, 1), refreshed: make(signal, 1)},
		roots:     newRootStatus(r.client, r.config.Roots, recorder, make(signal, 1)),
	}
}

// refresh refreshes the trust root, and reports whether policies must be compiled
// again.
func (m *mirrored) refresh() bool {
	m.t.Helper()
	if _, err := m.refresher.Reconcile(m.t.Context(), request("corp")); err != nil {
		m.t.Fatal(err)
	}
	select {
	case <-m.refresher.changed:
		return true
	default:
		return false
	}
}

// status has the leader write the status, and returns it.
func (m *mirrored) status() v1alpha1.TrustRootStatus {
	m.t.Helper()
	if _, err := m.roots.Reconcile(m.t.Context(), request("corp")); err != nil {
		m.t.Fatal(err)
	}
	var obj v1alpha1.TrustRoot
	if err := m.client.Get(m.t.Context(), types.NamespacedName{Name: "corp"}, &obj); err != nil {
		m.t.Fatal(err)
	}
	return obj.Status
}

func (m *mirrored) expect(when string, want map[string]string, wantEvents ...string) {
	m.t.Helper()
	if diff := cmp.Diff(want, told(m.status().Conditions)); diff != "" {
		m.t.Errorf("%s, conditions (-want +got):\n%s", when, diff)
	}
	var reasons []string
	for len(m.recorder.Events) > 0 {
		reasons = append(reasons, strings.Join(strings.Fields(<-m.recorder.Events)[:2], " "))
	}
	if diff := cmp.Diff(wantEvents, reasons); diff != "" {
		m.t.Errorf("%s, events (-want +got):\n%s", when, diff)
	}
}

func (m *mirrored) series() map[string]float64 {
	m.t.Helper()
	registry := prometheus.NewPedanticRegistry()
	if err := m.roots.metrics.register(registry); err != nil {
		m.t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		m.t.Fatal(err)
	}
	values := map[string]float64{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			values[family.GetName()] = metric.GetGauge().GetValue()
		}
	}
	return values
}

func TestATrustRootIsFollowed(t *testing.T) {
	end := time.Now().AddDate(0, 6, 0).UTC().Truncate(time.Second)
	m := mirror(t, end)
	m.expect("at first", map[string]string{"Ready": "True", "Fresh": "True", "ExpiresSoon": "NotExpiring"})
	status := m.status()
	if status.CertificateAuthorities != 1 || status.CTLogs != 1 || status.TimestampAuthorities != 1 || status.TLogs != 1 || status.ObservedGeneration != 1 {
		t.Errorf("status %+v; want one of each, of generation 1", status)
	}
	if status.Expiry == nil || !status.Expiry.At.Time.Equal(end) || !strings.Contains(status.Expiry.What, "a.test") {
		t.Errorf("expiry %+v; want the certificates', %s", status.Expiry, end)
	}
	if got := m.series(); got["countersign_trustroot_fresh"] != 1 || got["countersign_trustroot_expiry_timestamp_seconds"] != float64(end.Unix()) {
		t.Errorf("metrics %v", got)
	}
	if m.refresh() {
		t.Error("policies are compiled again although nothing changed")
	}
	m.Rotate()
	m.Publish(trustedRoot, trusttest.TrustedRoot("b.test", end))
	if !m.refresh() {
		t.Error("policies are not compiled again although the trust root changed")
	}
	if got := m.status(); got.TUF == nil || got.TUF.RootVersion != 2 || got.TUF.TimestampVersion != 3 || !strings.Contains(got.Expiry.What, "b.test") {
		t.Errorf("status %+v, %+v; want the newer versions", got.TUF, got.Expiry)
	}
}

func TestWhatATrustRootSaysWhileItsMirrorIsDown(t *testing.T) {
	m := mirror(t, time.Now().AddDate(1, 0, 0))
	good := map[string]string{"Ready": "True", "Fresh": "True", "ExpiresSoon": "NotExpiring"}
	m.expect("at first", good)
	m.Break(http.StatusBadGateway)
	m.refresh()
	m.expect("when the mirror is down", map[string]string{"Ready": "True", "Fresh": "Unavailable", "ExpiresSoon": "NotExpiring"}, "Warning Unavailable")
	if m.series()["countersign_trustroot_fresh"] != 0 {
		t.Error("the metric says that it is fresh")
	}
	m.refresh()
	m.expect("when it is still down", map[string]string{"Ready": "True", "Fresh": "Unavailable", "ExpiresSoon": "NotExpiring"})
	m.Break(0)
	m.refresh()
	m.expect("when it is back", good, "Normal Fresh")
}

func TestWhatEndsIsSaidBefore(t *testing.T) {
	end := time.Now().AddDate(0, 3, 0)
	m := mirror(t, end)
	now := time.Now()
	m.roots.now = func() time.Time { return now }
	m.expect("long before", map[string]string{"Ready": "True", "Fresh": "True", "ExpiresSoon": "NotExpiring"})
	now = end.AddDate(0, 0, -20)
	m.expect("shortly before", map[string]string{"Ready": "True", "Fresh": "True", "ExpiresSoon": "True"}, "Warning ExpiresSoon")
	now = end.AddDate(0, 0, 1)
	m.expect("after", map[string]string{"Ready": "True", "Fresh": "True", "ExpiresSoon": "True"}, "Warning Expired")
}

func TestAPolicyFollowsItsTrustRoot(t *testing.T) {
	yes := true
	p := policyObject(v1alpha1.KeyAuthority{})
	p.Spec.Authorities[0] = v1alpha1.Authority{
		Name: "github", CTLog: &v1alpha1.CTLog{InsecureIgnoreTlog: &yes},
		Keyless: &v1alpha1.KeylessAuthority{TrustRootRef: "corp", Identities: []v1alpha1.Identity{{Issuer: "https://issuer.test", Subject: "a@b.test"}}},
	}
	r := newReplica(t, p)
	expect := func(when, want string) {
		t.Helper()
		r.load()
		got := r.policyConditions("payments")
		if got["Ready"] != want || got["TrustRootsReady"] != want {
			t.Errorf("%s: %v; want %s", when, got, want)
		}
	}
	expect("without its trust root", "TrustRootNotFound")
	r.create(rootObject(v1alpha1.TrustRootSpec{TrustedRoot: &v1alpha1.TrustedRootText{ConfigMapRef: &v1alpha1.ConfigMapKeyReference{Name: "sigstore"}}}))
	expect("without the trust root's ConfigMap", "ConfigMapNotFound")
	text := string(trusttest.TrustedRoot("a.test", time.Now().AddDate(1, 0, 0)))
	r.create(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "sigstore", Namespace: "default"}, Data: map[string]string{trustedRoot: text}})
	expect("with a ConfigMap of another namespace", "ConfigMapNotFound")
	configMap := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "sigstore", Namespace: namespace}, Data: map[string]string{trustedRoot: text}}
	r.create(configMap)
	expect("with all it names", "True")
	configMap.Data[trustedRoot] = "{}"
	if err := r.client.Update(t.Context(), configMap); err != nil {
		t.Fatal(err)
	}
	expect("with a ConfigMap of nonsense", "TrustRootNotReady")
	if err := r.client.Delete(t.Context(), rootObject(v1alpha1.TrustRootSpec{})); err != nil {
		t.Fatal(err)
	}
	expect("when it was deleted", "TrustRootNotFound")
}

func TestATrustRootThatIsNotLoadedOrIsGone(t *testing.T) {
	m := mirror(t, time.Now().AddDate(1, 0, 0))
	var obj v1alpha1.TrustRoot
	if err := m.client.Get(t.Context(), types.NamespacedName{Name: "corp"}, &obj); err != nil {
		t.Fatal(err)
	}
	obj.Generation = 2
	if err := m.client.Update(t.Context(), &obj); err != nil {
		t.Fatal(err)
	}
	for what, reconcile := range map[string]func() (time.Duration, error){
		"refresher": func() (time.Duration, error) {
			result, err := m.refresher.Reconcile(t.Context(), request("corp"))
			return result.RequeueAfter, err
		},
		"status": func() (time.Duration, error) {
			result, err := m.roots.Reconcile(t.Context(), request("corp"))
			return result.RequeueAfter, err
		},
	} {
		if after, err := reconcile(); err != nil || after != notLoadedDelay {
			t.Errorf("%s: %v, %v; want to wait for the loader", what, after, err)
		}
	}
	m.load()
	m.status()
	if err := m.client.Delete(t.Context(), &obj); err != nil {
		t.Fatal(err)
	}
	if _, err := m.roots.Reconcile(t.Context(), request("corp")); err != nil {
		t.Fatal(err)
	}
	if got := m.series(); len(got) != 0 {
		t.Errorf("series of a trust root that was deleted are left: %v", got)
	}
}

func TestWhatWasJustReadIsNotReadAgain(t *testing.T) {
	m := mirror(t, time.Now().AddDate(1, 0, 0))
	var obj v1alpha1.TrustRoot
	if err := m.client.Get(t.Context(), types.NamespacedName{Name: "corp"}, &obj); err != nil {
		t.Fatal(err)
	}
	obj.Spec.Remote.RefreshInterval, obj.Generation = &metav1.Duration{Duration: time.Hour}, 2
	if err := m.client.Update(t.Context(), &obj); err != nil {
		t.Fatal(err)
	}
	m.load()
	asked := m.Asked()
	result, err := m.refresher.Reconcile(t.Context(), request("corp"))
	if err != nil || m.Asked() != asked || result.RequeueAfter < time.Hour-time.Minute || result.RequeueAfter > time.Hour {
		t.Errorf("%d requests, then %v, %v; want none, and to wait for an hour", m.Asked()-asked, result.RequeueAfter, err)
	}
}

func TestWhenTheNextRefreshIs(t *testing.T) {
	remote := rootObject(v1alpha1.TrustRootSpec{Remote: &v1alpha1.RemoteRepository{}})
	often := rootObject(v1alpha1.TrustRootSpec{Remote: &v1alpha1.RemoteRepository{RefreshInterval: &metav1.Duration{Duration: time.Second}}})
	fixed := rootObject(v1alpha1.TrustRootSpec{})
	for name, tc := range map[string]struct {
		obj  *v1alpha1.TrustRoot
		err  error
		want time.Duration
	}{
		"the default":                        {remote, nil, time.Hour},
		"sooner when the mirror failed":      {remote, http.ErrServerClosed, retryDelay},
		"what is written":                    {often, nil, time.Second},
		"never later when the mirror failed": {often, http.ErrServerClosed, time.Second},
		"what asks nobody":                   {fixed, nil, lookInterval},
	} {
		t.Run(name, func(t *testing.T) {
			if got := pause(tc.obj, tc.err); got != tc.want {
				t.Errorf("%v; want %v", got, tc.want)
			}
		})
	}
}
