// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/trust"
	"github.com/countersign-dev/countersign/pkg/trust/trusttest"
)

// owning is a trust root with transparency logs, in a cluster.
type owning struct {
	*replica
	status   *rootStatus
	recorder *events.FakeRecorder
}

func own(t *testing.T, logs ...v1alpha1.TransparencyLogInstance) *owning {
	t.Helper()
	r := newReplica(t, rootObject(v1alpha1.TrustRootSpec{SigstoreKeys: &v1alpha1.SigstoreKeys{TLogs: logs}}))
	recorder := events.NewFakeRecorder(100)
	o := &owning{replica: r, recorder: recorder, status: newRootStatus(r.client, r.config.Roots, recorder, make(signal, 1))}
	o.reconcile()
	return o
}

func (o *owning) reconcile() {
	o.t.Helper()
	o.load()
	if _, err := o.status.Reconcile(o.t.Context(), request("corp")); err != nil {
		o.t.Fatal(err)
	}
}

// write has the operator write another specification of the trust root.
func (o *owning) write(spec v1alpha1.TrustRootSpec) {
	o.t.Helper()
	var obj v1alpha1.TrustRoot
	if err := o.client.Get(o.t.Context(), types.NamespacedName{Name: "corp"}, &obj); err != nil {
		o.t.Fatal(err)
	}
	obj.Spec = spec
	obj.Generation++
	if err := o.client.Update(o.t.Context(), &obj); err != nil {
		o.t.Fatal(err)
	}
	o.reconcile()
}

func (o *owning) logs() []v1alpha1.TransparencyLog {
	o.t.Helper()
	var logs v1alpha1.TransparencyLogList
	if err := o.client.List(o.t.Context(), &logs); err != nil {
		o.t.Fatal(err)
	}
	slices.SortFunc(logs.Items, func(a, b v1alpha1.TransparencyLog) int {
		return strings.Compare(a.Spec.Origin, b.Spec.Origin)
	})
	return logs.Items
}

func (o *owning) origins() []string {
	var origins []string
	for _, log := range o.logs() {
		origins = append(origins, log.Spec.Origin)
	}
	return origins
}

func instance(host string) v1alpha1.TransparencyLogInstance {
	return v1alpha1.TransparencyLogInstance{BaseURL: "https://" + host, PublicKey: trusttest.NewLogKey()}
}

func TestATrustRootOwnsItsLogs(t *testing.T) {
	a, b := instance("a.test"), instance("b.test")
	o := own(t, a, b)
	if diff := cmp.Diff([]string{"a.test", "b.test"}, o.origins()); diff != "" {
		t.Fatalf("logs (-want +got):\n%s", diff)
	}
	log := o.logs()[0]
	if !strings.HasPrefix(log.Name, "corp-") || len(log.OwnerReferences) != 1 || log.OwnerReferences[0].Name != "corp" {
		t.Errorf("log %q with owners %v", log.Name, log.OwnerReferences)
	}
	if diff := cmp.Diff([]string{"https://a.test"}, log.Spec.URLs); diff != "" || log.Spec.PublicKey.Data != a.PublicKey {
		t.Errorf("urls (-want +got):\n%s, key %q", diff, log.Spec.PublicKey.Data)
	}
	o.load()
	if _, err := o.config.Logs.Prover(log.Name); err != nil {
		t.Errorf("the log cannot be used: %v", err)
	}

	yes := true
	log.Spec.Default = &yes
	if err := o.client.Update(t.Context(), &log); err != nil {
		t.Fatal(err)
	}
	moved := a
	moved.BaseURL = "https://a.test/rekor"
	o.write(v1alpha1.TrustRootSpec{SigstoreKeys: &v1alpha1.SigstoreKeys{TLogs: []v1alpha1.TransparencyLogInstance{moved}}})
	if diff := cmp.Diff([]string{"a.test"}, o.origins()); diff != "" {
		t.Errorf("logs after one was taken away (-want +got):\n%s", diff)
	}
	if got := o.logs()[0]; got.Spec.URLs[0] != moved.BaseURL || !got.Spec.IsDefault() || got.UID != log.UID {
		t.Errorf("spec %+v; want the new URL, and what the operator wrote", got.Spec)
	}
	o.write(v1alpha1.TrustRootSpec{})
	if diff := cmp.Diff([]string{"a.test"}, o.origins()); diff != "" {
		t.Errorf("logs while the trust root cannot be used (-want +got):\n%s", diff)
	}
	if len(o.recorder.Events) != 2 { // Ready and Fresh turned False
		t.Errorf("%d events", len(o.recorder.Events))
	}
}

func TestALogOfSomebodyElseIsLeftAlone(t *testing.T) {
	a := instance("a.test")
	name := own(t, a).logs()[0].Name

	o := own(t)
	o.create(&v1alpha1.TransparencyLog{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       v1alpha1.TransparencyLogSpec{Type: v1alpha1.LogTypeRekorV1, URLs: []string{"https://mine.test"}, Origin: "mine.test"},
	})
	for len(o.recorder.Events) > 0 {
		<-o.recorder.Events
	}
	o.write(v1alpha1.TrustRootSpec{SigstoreKeys: &v1alpha1.SigstoreKeys{TLogs: []v1alpha1.TransparencyLogInstance{a}}})
	if diff := cmp.Diff([]string{"mine.test"}, o.origins()); diff != "" {
		t.Errorf("logs (-want +got):\n%s", diff)
	}
	if event := <-o.recorder.Events; !strings.HasPrefix(event, "Warning LogsNotOwned") || !strings.Contains(event, name) {
		t.Errorf("event %q; want that the log is not owned", event)
	}
}

// TestALogSaysWhenItIsValid: a log whose time is over holds what was signed before, and
// one whose time has not come is not believed yet: package tlog sees to both.
func TestALogSaysWhenItIsValid(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	at := func(d time.Duration) *metav1.Time { return &metav1.Time{Time: now.Add(d)} }
	past, present, future := instance("past.test"), instance("present.test"), instance("future.test")
	past.Validity = &v1alpha1.Validity{NotAfter: at(-time.Hour)}
	present.Validity = &v1alpha1.Validity{NotBefore: at(-time.Hour), NotAfter: at(time.Hour)}
	future.Validity = &v1alpha1.Validity{NotBefore: at(time.Hour)}
	o := own(t, past, present, future)
	if diff := cmp.Diff([]string{"future.test", "past.test", "present.test"}, o.origins()); diff != "" {
		t.Errorf("logs (-want +got):\n%s", diff)
	}
	want := map[string]*v1alpha1.Validity{"past.test": past.Validity, "present.test": present.Validity, "future.test": future.Validity}
	check := func() {
		t.Helper()
		for _, log := range o.logs() {
			got, want := trust.ValidityOf(log.Spec.Validity), trust.ValidityOf(want[log.Spec.Origin])
			if !got.NotBefore.Equal(want.NotBefore) || !got.NotAfter.Equal(want.NotAfter) {
				t.Errorf("%s is valid %v; want %v", log.Spec.Origin, got, want)
			}
		}
	}
	check()
	retired := present
	retired.Validity = &v1alpha1.Validity{NotBefore: at(-time.Hour), NotAfter: at(-time.Minute)}
	want["present.test"] = retired.Validity
	o.write(v1alpha1.TrustRootSpec{SigstoreKeys: &v1alpha1.SigstoreKeys{TLogs: []v1alpha1.TransparencyLogInstance{past, retired, future}}})
	check()
}

// TestTheTypeOfAnOwnedLog: who says that a log is a Rekor v2 after its object was made gets
// another one, unless something was seen of the log that would get lost.
func TestTheTypeOfAnOwnedLog(t *testing.T) {
	tiled := instance("tiled.test")
	o := own(t, tiled)
	log := o.logs()[0]
	yes := true
	log.Spec.Default, log.Spec.MaxStaleness = &yes, &metav1.Duration{Duration: 2 * time.Hour}
	if err := o.client.Update(t.Context(), &log); err != nil {
		t.Fatal(err)
	}
	said := tiled
	said.Type = v1alpha1.LogTypeRekorV2
	write := func(instance v1alpha1.TransparencyLogInstance) v1alpha1.TransparencyLog {
		t.Helper()
		o.write(v1alpha1.TrustRootSpec{SigstoreKeys: &v1alpha1.SigstoreKeys{TLogs: []v1alpha1.TransparencyLogInstance{instance}}})
		logs := o.logs()
		if len(logs) != 1 || logs[0].Name != log.Name {
			t.Fatalf("logs are %v", logs)
		}
		return logs[0]
	}
	next := write(said)
	if next.Spec.Type != v1alpha1.LogTypeRekorV2 || !next.Spec.IsDefault() || next.Spec.Staleness() != 2*time.Hour {
		t.Errorf("the log is %+v; want a rekor-v2 with what the operator wrote", next.Spec)
	}
	for len(o.recorder.Events) > 0 {
		<-o.recorder.Events
	}
	next.Status.Checkpoint = &v1alpha1.LogCheckpoint{Origin: "tiled.test", Size: 1, RootHash: strings.Repeat("0", 64), Note: "note"}
	if err := o.client.Status().Update(t.Context(), &next); err != nil {
		t.Fatal(err)
	}
	if kept := write(tiled); kept.Spec.Type != v1alpha1.LogTypeRekorV2 || kept.Status.Checkpoint == nil {
		t.Errorf("the log is %+v, its history %v; want both kept", kept.Spec, kept.Status.Checkpoint)
	}
	if event := <-o.recorder.Events; !strings.HasPrefix(event, "Warning LogsNotOwned") || !strings.Contains(event, "of another type") {
		t.Errorf("event %q", event)
	}
}
