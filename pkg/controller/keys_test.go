// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
	"github.com/countersign-dev/countersign/pkg/trust/kms"
)

const releaseKey = "hashivault://release"

// vault is a key service that answers from fields.
type vault struct {
	mu       sync.Mutex
	versions []kms.Version
	err      error
	asked    int
}

func (v *vault) PublicKeys(context.Context, kms.URI) ([]kms.Version, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.asked++
	return v.versions, v.err
}

func (v *vault) answers(err error, versions ...kms.Version) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.err, v.versions = err, versions
}

func (v *vault) count() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.asked
}

func keyVersion(t *testing.T, name string) kms.Version {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return kms.Version{Name: name, Key: key.Public()}
}

func (r *replica) condition(t *testing.T, kind string) metav1.Condition {
	t.Helper()
	r.policyConditions("payments")
	var obj v1alpha1.ClusterImagePolicy
	if err := r.client.Get(t.Context(), types.NamespacedName{Name: "payments"}, &obj); err != nil {
		t.Fatal(err)
	}
	return *meta.FindStatusCondition(obj.Status.Conditions, kind)
}

// TestThePolicySaysWhatItsKeyServiceSays: the conditions follow the service, and the
// service is asked once however often policies are loaded.
func TestThePolicySaysWhatItsKeyServiceSays(t *testing.T) {
	log := tlogtest.New("rekor.test")
	r := newReplica(t, policyObject(v1alpha1.KeyAuthority{KMS: releaseKey}, "corp"), logObject(t, "corp", log, "https://rekor.test"))
	r.vault.answers(kms.ErrForbidden)
	want := func(status metav1.ConditionStatus, reason, message string) {
		t.Helper()
		r.load()
		for _, kind := range []string{v1alpha1.ConditionKeysResolved, v1alpha1.ConditionReady} {
			got := r.condition(t, kind)
			if got.Status != status || !strings.Contains(got.Message, message) || (kind == v1alpha1.ConditionKeysResolved && got.Reason != reason) {
				t.Errorf("%s is %s, %s: %s; want %s, %s: %s", kind, got.Status, got.Reason, got.Message, status, reason, message)
			}
		}
	}
	want("False", "KMSAccessDenied", "key.kms: "+releaseKey)
	for range 10 {
		r.load()
	}
	if n := r.vault.count(); n != 1 {
		t.Errorf("asked %d times for one key", n)
	}
	for _, tt := range []struct {
		err     error
		want    metav1.ConditionStatus
		reason  string
		message string
	}{
		{kms.ErrUnavailable, "False", "Unavailable", "unavailable"},
		{nil, "True", "Succeeded", ""},
		{kms.ErrNoKey, "False", "KeyNotFound", "no such key"},
		{kms.ErrMisconfigured, "False", "KMSNotConfigured", ""},
		{kms.ErrUnusable, "False", "KeyInvalid", ""},
		{kms.ErrUnsupported, "False", "KMSNotSupported", ""},
	} {
		r.vault.answers(tt.err, keyVersion(t, "1"))
		r.loader.config.KMS = kms.New(kms.Options{Providers: kms.Providers{kms.HashiVault: r.vault}}) // a new replica
		want(tt.want, tt.reason, tt.message)
	}
}

// TestARotationReachesThePoliciesOfEveryReplica: the refresher asks when it is time
// to, and has the loader compile the policies again when something is new.
func TestARotationReachesThePoliciesOfEveryReplica(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := &vault{}
		first := keyVersion(t, "1")
		service.answers(nil, first)
		keys := kms.New(kms.Options{Providers: kms.Providers{kms.HashiVault: service}})
		changed, named := make(signal, 1), make(signal, 1)
		refresher := newKeyRefresher(keys, changed, named)
		if refresher.NeedLeaderElection() {
			t.Error("only the leader would have fresh keys")
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- refresher.Start(ctx) }()
		synctest.Wait() // past its first look: one that met Use halfway would say that the key is new
		keys.Use(t.Context(), []string{releaseKey})
		named.send()
		synctest.Wait()
		wantSignal := func(name string, want bool) {
			t.Helper()
			synctest.Wait()
			select {
			case <-changed:
				if !want {
					t.Errorf("%s: policies are compiled again", name)
				}
			default:
				if want {
					t.Errorf("%s: nobody is told", name)
				}
			}
		}
		wantFresh := func(want float64) {
			t.Helper()
			if got := testutil.ToFloat64(refresher.metrics.fresh.WithLabelValues(releaseKey)); got != want {
				t.Errorf("the metric says %v", got)
			}
		}
		wantSignal("nothing is new", false)
		wantFresh(1)
		time.Sleep(kms.DefaultRefreshInterval)
		wantSignal("the service says the same", false)
		service.answers(nil, keyVersion(t, "2"), first)
		time.Sleep(kms.DefaultRefreshInterval)
		wantSignal("the key was rotated", true)
		service.answers(kms.ErrUnavailable)
		time.Sleep(kms.DefaultRefreshInterval)
		wantSignal("the service is down", true)
		wantFresh(0)
		asked := service.count()
		time.Sleep(time.Hour)
		wantSignal("the service is still down", false)
		if n := service.count() - asked; n < 100 || n > 125 {
			t.Errorf("a service that is down is asked %d times an hour", n)
		}
		time.Sleep(kms.DefaultMaxAge)
		wantSignal("what it said is too old", true)
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestAStaleKeyIsShown in the conditions of the policies that name it.
func TestAStaleKeyIsShown(t *testing.T) {
	log := tlogtest.New("rekor.test")
	r := newReplica(t, policyObject(v1alpha1.KeyAuthority{KMS: releaseKey}, "corp"), logObject(t, "corp", log, "https://rekor.test"))
	keys := kms.New(kms.Options{Providers: kms.Providers{kms.HashiVault: r.vault}, RefreshInterval: time.Millisecond})
	r.loader.config.KMS = keys
	r.vault.answers(nil, keyVersion(t, "1"))
	r.load()
	r.vault.answers(kms.ErrUnavailable)
	time.Sleep(2 * time.Millisecond)
	if changed, _ := keys.Refresh(t.Context()); !changed {
		t.Fatal("an outage is nothing new")
	}
	r.load()
	got := r.condition(t, v1alpha1.ConditionKeysResolved)
	if got.Status != metav1.ConditionTrue || got.Reason != v1alpha1.ReasonStale || !strings.Contains(got.Message, "is in force until") {
		t.Errorf("KeysResolved is %s, %s: %s", got.Status, got.Reason, got.Message)
	}
	if ready := r.condition(t, v1alpha1.ConditionReady); ready.Status != metav1.ConditionTrue || ready.Message != got.Message {
		t.Errorf("Ready is %s, %s: %s", ready.Status, ready.Reason, ready.Message)
	}
}

// TestAKeyThatChangesInItsSecretIsReadAgain.
func TestAKeyThatChangesInItsSecretIsReadAgain(t *testing.T) {
	log := tlogtest.New("rekor.test")
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "signing", Namespace: namespace},
		Data:       map[string][]byte{"cosign.pub": []byte(pemOf(t, log.PublicKey()))},
	}
	key := v1alpha1.KeyAuthority{SecretRef: &v1alpha1.SecretKeyReference{Name: "signing"}}
	r := newReplica(t, policyObject(key, "corp"), logObject(t, "corp", log, "https://rekor.test"), secret)
	for _, step := range []struct{ name, text, want string }{
		{"a good key", pemOf(t, log.PublicKey()), "True"},
		{"something else", "no key", "KeyInvalid"},
		{"another good key", pemOf(t, tlogtest.New("other.test").PublicKey()), "True"},
	} {
		secret.Data["cosign.pub"] = []byte(step.text)
		if err := r.client.Update(t.Context(), secret); err != nil {
			t.Fatal(err)
		}
		r.load()
		if got := r.policyConditions("payments")["KeysResolved"]; got != step.want {
			t.Errorf("%s: KeysResolved = %q; want %q", step.name, got, step.want)
		}
	}
}
