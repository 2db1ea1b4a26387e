// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/trust/trusttest"
)

const target = v1alpha1.DefaultTrustedRootTarget

// far is long after every test.
func far() time.Time { return time.Now().AddDate(1, 0, 0).UTC().Truncate(time.Second) }

func rootObject(spec v1alpha1.TrustRootSpec) *v1alpha1.TrustRoot {
	obj := &v1alpha1.TrustRoot{ObjectMeta: metav1.ObjectMeta{Name: "corp", UID: "1", Generation: 1}, Spec: spec}
	obj.SetDefaults()
	return obj
}

func keysOf(edit func(*v1alpha1.SigstoreKeys)) v1alpha1.TrustRootSpec {
	keys := &v1alpha1.SigstoreKeys{
		CertificateAuthorities: []v1alpha1.CertificateAuthority{{URI: "https://fulcio.test", CertChain: trusttest.NewCA("CA", far()).PEM()}},
		CTLogs:                 []v1alpha1.TransparencyLogInstance{{BaseURL: "https://ctfe.test", PublicKey: trusttest.NewLogKey()}},
		TimestampAuthorities:   []v1alpha1.CertificateAuthority{{URI: "https://tsa.test", CertChain: trusttest.NewTSA("TSA", far()).PEM()}},
		TLogs:                  []v1alpha1.TransparencyLogInstance{{BaseURL: "https://rekor.test", PublicKey: trusttest.NewLogKey()}},
	}
	edit(keys)
	return v1alpha1.TrustRootSpec{SigstoreKeys: keys}
}

func TestTheFourFormsHoldTheSame(t *testing.T) {
	text := trusttest.TrustedRoot("corp.test", far())
	repository := trusttest.NewRepository(target, text, far())
	mirror := httptest.NewServer(repository)
	t.Cleanup(mirror.Close)
	encoded := base64.StdEncoding.EncodeToString([]byte(repository.Root()))
	for name, spec := range map[string]v1alpha1.TrustRootSpec{
		"keys one by one": keysOf(func(*v1alpha1.SigstoreKeys) {}),
		"keys in base64, as sigstore's TrustRoot has them": keysOf(func(k *v1alpha1.SigstoreKeys) {
			for _, text := range []*string{&k.CertificateAuthorities[0].CertChain, &k.CTLogs[0].PublicKey, &k.TimestampAuthorities[0].CertChain} {
				*text = base64.StdEncoding.EncodeToString([]byte(*text))
			}
		}),
		"a trusted_root.json":                {TrustedRoot: &v1alpha1.TrustedRootText{Data: string(text)}},
		"a trusted_root.json in a ConfigMap": {TrustedRoot: &v1alpha1.TrustedRootText{ConfigMapRef: &v1alpha1.ConfigMapKeyReference{Name: "sigstore"}}},
		"a TUF mirror":                       {Remote: &v1alpha1.RemoteRepository{Root: repository.Root(), Mirror: mirror.URL}},
		"a TUF mirror, the root in base64":   {Remote: &v1alpha1.RemoteRepository{Root: encoded, Mirror: mirror.URL + "/"}},
		"a TUF repository in the object":     {Repository: &v1alpha1.EmbeddedRepository{Root: repository.Root(), MirrorFS: repository.Archive("")}},
		"a TUF repository below a folder":    {Repository: &v1alpha1.EmbeddedRepository{Root: encoded, MirrorFS: repository.Archive("./repository/")}},
	} {
		t.Run(name, func(t *testing.T) {
			roots := NewRoots(ConfigMaps{"sigstore": {target: string(text)}})
			obj := rootObject(spec)
			if err := roots.Set(t.Context(), obj); err != nil {
				t.Fatal(err)
			}
			if _, err := roots.Root("corp"); err != nil {
				t.Fatal(err)
			}
			state, ok := roots.State(obj)
			if !ok {
				t.Fatal("the state is not known")
			}
			if diff := cmp.Diff(RootCounts{1, 1, 1, 1}, state.Counts); diff != "" {
				t.Errorf("counts (-want +got):\n%s", diff)
			}
			if len(state.Endings) == 0 || state.Endings[0].At.After(far().AddDate(0, 0, 1)) || state.Endings[0].NearAt(time.Now()) {
				t.Errorf("endings %+v; want the first one in a year", state.Endings)
			}
		})
	}
}

func TestARootThatCannotBeUsed(t *testing.T) {
	text := string(trusttest.TrustedRoot("corp.test", far()))
	repository := trusttest.NewRepository(target, []byte(text), far())
	other := trusttest.NewRepository(target, []byte(text), far())
	wrong := trusttest.NewRepository(target, []byte("{}"), far())
	expired := trusttest.NewRepository(target, []byte(text), time.Now().Add(-time.Hour).UTC())
	ca, tsa := trusttest.NewCA("CA", far()), trusttest.NewTSA("TSA", far())
	chain := func(text string) v1alpha1.TrustRootSpec {
		return keysOf(func(k *v1alpha1.SigstoreKeys) { k.CertificateAuthorities[0].CertChain = text })
	}
	stamps := func(text string) v1alpha1.TrustRootSpec {
		return keysOf(func(k *v1alpha1.SigstoreKeys) { k.TimestampAuthorities[0].CertChain = text })
	}
	embedded := func(root string, archive []byte) v1alpha1.TrustRootSpec {
		return v1alpha1.TrustRootSpec{Repository: &v1alpha1.EmbeddedRepository{Root: root, MirrorFS: archive}}
	}
	given := func(text string) v1alpha1.TrustRootSpec {
		return v1alpha1.TrustRootSpec{TrustedRoot: &v1alpha1.TrustedRootText{Data: text}}
	}
	unread := func(spec v1alpha1.TrustRootSpec) v1alpha1.TrustRootSpec {
		spec.Unread = []v1alpha1.Unread{{Field: "spec.notAfter", Problem: "unknown"}}
		return spec
	}
	for name, tc := range map[string]struct {
		spec   v1alpha1.TrustRootSpec
		text   string
		reason string
	}{
		"nothing at all":                {v1alpha1.TrustRootSpec{}, "exactly one", v1alpha1.ReasonSpecInvalid},
		"a field that nobody reads":     {unread(given(text)), "spec.notAfter: Forbidden", v1alpha1.ReasonSpecInvalid},
		"keys of nobody":                {v1alpha1.TrustRootSpec{SigstoreKeys: &v1alpha1.SigstoreKeys{}}, "no authority and no log", v1alpha1.ReasonSpecInvalid},
		"the root first":                {chain(ca.PEM(1, 0)), "not signed by the next", v1alpha1.ReasonSpecInvalid},
		"certificates of two chains":    {chain(ca.PEM(0) + trusttest.NewCA("CA", far()).PEM(1)), "not signed by the next", v1alpha1.ReasonSpecInvalid},
		"a leaf as an authority":        {chain(tsa.PEM()), "not that of a certificate authority", v1alpha1.ReasonSpecInvalid},
		"a leaf alone stamps":           {stamps(tsa.PEM(0)), "not that of a certificate authority", v1alpha1.ReasonSpecInvalid},
		"a key as an authority":         {chain(trusttest.NewLogKey()), "not \"CERTIFICATE\"", v1alpha1.ReasonSpecInvalid},
		"text after the certificates":   {chain(ca.PEM() + "x"), "not PEM", v1alpha1.ReasonSpecInvalid},
		"an authority that is no text":  {chain("????"), "not PEM", v1alpha1.ReasonSpecInvalid},
		"more certificates than needed": {chain(strings.Repeat(ca.PEM(1), maxChain+1)), "more than", v1alpha1.ReasonSpecInvalid},
		"another root than was meant": {keysOf(func(k *v1alpha1.SigstoreKeys) {
			k.CertificateAuthorities[0].Subject = &v1alpha1.DistinguishedName{CommonName: "Another CA"}
		}), "common name is \"CA\"", v1alpha1.ReasonSpecInvalid},
		"another organization": {keysOf(func(k *v1alpha1.SigstoreKeys) {
			k.CertificateAuthorities[0].Subject = &v1alpha1.DistinguishedName{Organization: "corp"}
		}), "organization is \"trusttest\"", v1alpha1.ReasonSpecInvalid},
		"a log's key that is none":         {keysOf(func(k *v1alpha1.SigstoreKeys) { k.CTLogs[0].PublicKey = "x" }), "ctLogs[0]", v1alpha1.ReasonKeyInvalid},
		"a log twice":                      {keysOf(func(k *v1alpha1.SigstoreKeys) { k.CTLogs = append(k.CTLogs, k.CTLogs[0]) }), "ctLogs[1]", v1alpha1.ReasonSpecInvalid},
		"a trusted root without anything":  {given(`{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}`), "no authority and no log", v1alpha1.ReasonSpecInvalid},
		"a trusted root of another kind":   {given(`{"mediaType":"text/plain"}`), "media type", v1alpha1.ReasonSpecInvalid},
		"a trusted root that is cut short": {given(text[:len(text)/2]), "trusted root", v1alpha1.ReasonSpecInvalid},
		"a trusted root with a hole in it": {given(`{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1","certificateAuthorities":[{"certChain":{"certificates":[{}]}}]}`), "trusted root", v1alpha1.ReasonSpecInvalid},
		"a ConfigMap that does not exist":  {v1alpha1.TrustRootSpec{TrustedRoot: &v1alpha1.TrustedRootText{ConfigMapRef: &v1alpha1.ConfigMapKeyReference{Name: "none"}}}, "none", v1alpha1.ReasonConfigMapNotFound},
		"a ConfigMap without the key":      {v1alpha1.TrustRootSpec{TrustedRoot: &v1alpha1.TrustedRootText{ConfigMapRef: &v1alpha1.ConfigMapKeyReference{Name: "sigstore", Key: "other"}}}, "other", v1alpha1.ReasonConfigMapNotFound},
		"a repository under another root":  {embedded(other.Root(), repository.Archive("")), "", v1alpha1.ReasonRepositoryInvalid},
		"a repository that has expired":    {embedded(expired.Root(), expired.Archive("")), "expired", v1alpha1.ReasonExpired},
		"a repository with another target": {embedded(wrong.Root(), wrong.Archive("")), "trusted root", v1alpha1.ReasonRepositoryInvalid},
		"a repository that is no archive":  {embedded(repository.Root(), []byte("x")), "gzip", v1alpha1.ReasonSpecInvalid},
		"two repositories in one archive":  {embedded(repository.Root(), twice(repository)), "2 files timestamp.json", v1alpha1.ReasonSpecInvalid},
		"a root that is no JSON":           {embedded("x", repository.Archive("")), "not JSON", v1alpha1.ReasonSpecInvalid},
		"a root that nobody signed":        {embedded(strings.Replace(repository.Root(), `"sig":"`, `"sig":"00`, 1), repository.Archive("")), "not a TUF root", v1alpha1.ReasonSpecInvalid},
		"a mirror that nobody runs":        {v1alpha1.TrustRootSpec{Remote: &v1alpha1.RemoteRepository{Root: repository.Root(), Mirror: "http://127.0.0.1:1"}}, "", v1alpha1.ReasonUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			roots := NewRoots(ConfigMaps{"sigstore": {target: text}})
			if err := roots.Set(t.Context(), rootObject(keysOf(func(*v1alpha1.SigstoreKeys) {}))); err != nil {
				t.Fatal(err)
			}
			broken := rootObject(tc.spec)
			broken.Generation = 2
			if err := roots.Set(t.Context(), broken); err == nil || !strings.Contains(err.Error(), tc.text) {
				t.Fatalf("Set = %v; want an error with %q", err, tc.text)
			}
			got, err := roots.Root("corp")
			if got != nil || !errors.Is(err, ErrRootNotReady) {
				t.Errorf("Root = %v, %v; want ErrRootNotReady: what worked before does not any more", got, err)
			}
			if got := ConditionReason(err); got != tc.reason && tc.reason != v1alpha1.ReasonSpecInvalid {
				t.Errorf("reason %s; want %s (%v)", got, tc.reason, err)
			}
			if state, _ := roots.State(broken); state.Err == nil {
				t.Error("the state has no error")
			}
		})
	}
}

// twice archives a repository beside itself.
func twice(r *trusttest.Repository) []byte {
	files := r.Files()
	for name, content := range r.Files() {
		files["copy/"+name] = content
	}
	before := r.Files()
	defer r.Show(before)
	r.Show(files)
	return r.Archive("")
}

func TestAValidityIsKept(t *testing.T) {
	start, end := time.Now().Add(-time.Hour).UTC(), time.Now().Add(time.Hour).UTC()
	keys := keysOf(func(*v1alpha1.SigstoreKeys) {}).SigstoreKeys
	validity := &v1alpha1.Validity{NotBefore: &metav1.Time{Time: start}, NotAfter: &metav1.Time{Time: end}}
	keys.CertificateAuthorities[0].Validity, keys.TimestampAuthorities[0].Validity, keys.CTLogs[0].Validity = validity, validity, validity
	ca, err := ParseCertificateAuthority(&keys.CertificateAuthorities[0])
	if err != nil || !ca.ValidityPeriodStart.Equal(start) || !ca.ValidityPeriodEnd.Equal(end) {
		t.Errorf("certificate authority: %s to %s, %v", ca.ValidityPeriodStart, ca.ValidityPeriodEnd, err)
	}
	tsa, err := ParseTimestampAuthority(&keys.TimestampAuthorities[0])
	if err != nil || !tsa.ValidityPeriodStart.Equal(start) || !tsa.ValidityPeriodEnd.Equal(end) || tsa.Leaf == nil || len(tsa.Intermediates) != 0 {
		t.Errorf("timestamp authority: %s to %s, %v", tsa.ValidityPeriodStart, tsa.ValidityPeriodEnd, err)
	}
	log, err := ParseLogInstance(&keys.CTLogs[0])
	if err != nil || !log.ValidityPeriodStart.Equal(start) || !log.ValidityPeriodEnd.Equal(end) {
		t.Errorf("log: %s to %s, %v", log.ValidityPeriodStart, log.ValidityPeriodEnd, err)
	}
}

func TestOnlyWhatChangedIsParsedAgain(t *testing.T) {
	configMaps := ConfigMaps{"sigstore": {target: string(trusttest.TrustedRoot("a.test", far()))}}
	roots := NewRoots(configMaps)
	obj := rootObject(v1alpha1.TrustRootSpec{TrustedRoot: &v1alpha1.TrustedRootText{ConfigMapRef: &v1alpha1.ConfigMapKeyReference{Name: "sigstore"}}})
	set := func() any {
		t.Helper()
		if err := roots.Set(t.Context(), obj); err != nil {
			t.Fatal(err)
		}
		material, err := roots.Root("corp")
		if err != nil {
			t.Fatal(err)
		}
		return material
	}
	first := set()
	obj.Labels, obj.Generation = map[string]string{"a": "b"}, 2
	if set() != first {
		t.Error("it was parsed again although nothing that matters changed")
	}
	configMaps["sigstore"][target] = string(trusttest.TrustedRoot("b.test", far()))
	second := set()
	if second == first {
		t.Error("a ConfigMap's change was not noticed")
	}
	obj.UID = "2"
	if set() == second {
		t.Error("another object of the same name was taken for the same")
	}
	roots.Delete("corp")
	if _, err := roots.Root("corp"); !errors.Is(err, ErrRootNotFound) || len(roots.Names()) != 0 {
		t.Errorf("Root = %v; want ErrRootNotFound", err)
	}
}

// mirrored is a trust root behind a mirror.
type mirrored struct {
	*trusttest.Repository
	t     *testing.T
	roots *Roots
	obj   *v1alpha1.TrustRoot
}

func mirror(t *testing.T, end time.Time) *mirrored {
	t.Helper()
	repository := trusttest.NewRepository(target, trusttest.TrustedRoot("a.test", far()), end)
	server := httptest.NewServer(repository)
	t.Cleanup(server.Close)
	m := &mirrored{
		Repository: repository, t: t, roots: NewRoots(ConfigMaps{}),
		obj: rootObject(v1alpha1.TrustRootSpec{Remote: &v1alpha1.RemoteRepository{Root: repository.Root(), Mirror: server.URL}}),
	}
	return m
}

func (m *mirrored) refresh(changed bool, cause error) RootState {
	m.t.Helper()
	got, err := m.roots.Refresh(m.t.Context(), "corp")
	if got != changed || !errors.Is(err, cause) || (cause == nil && err != nil) {
		m.t.Fatalf("Refresh = %t, %v; want %t, %v", got, err, changed, cause)
	}
	state, ok := m.roots.State(m.obj)
	if !ok {
		m.t.Fatal("the state is not known")
	}
	return state
}

func TestARotatedKeyArrivesByItself(t *testing.T) {
	m := mirror(t, far())
	if err := m.roots.Set(t.Context(), m.obj); err != nil {
		t.Fatal(err)
	}
	before, err := m.roots.Root("corp")
	if err != nil {
		t.Fatal(err)
	}
	m.refresh(false, nil)
	m.Rotate()
	m.Publish(target, trusttest.TrustedRoot("b.test", far()))
	m.Rotate()
	state := m.refresh(true, nil)
	if want := (TUFVersions{Root: 3, Timestamp: 4, Snapshot: 4, Targets: 4}); state.TUF != want {
		t.Errorf("versions %+v; want %+v", state.TUF, want)
	}
	after, err := m.roots.Root("corp")
	if err != nil || after == before {
		t.Errorf("Root = %v, %v; want what the mirror says now", after, err)
	}
}

func TestTheLastGoodIsKeptWhileTheMirrorFails(t *testing.T) {
	for name, tc := range map[string]struct {
		fail  func(*mirrored)
		cause error
	}{
		"it is down":         {func(m *mirrored) { m.Break(http.StatusBadGateway) }, ErrMirrorUnavailable},
		"its files are gone": {func(m *mirrored) { m.Show(nil) }, ErrMirrorUnavailable},
		"it shows what it was before": {func(m *mirrored) {
			old := m.Files()
			m.Publish(target, trusttest.TrustedRoot("b.test", far()))
			m.refresh(true, nil)
			m.Show(old)
		}, ErrRepositoryInvalid},
		"another repository is in its place": {func(m *mirrored) {
			m.Show(trusttest.NewRepository(target, trusttest.TrustedRoot("evil.test", far()), far()).Files())
		}, ErrRepositoryInvalid},
		"its timestamp has expired":     {func(m *mirrored) { m.SetEnd(time.Now().Add(-time.Minute)) }, ErrExpired},
		"its target is no trusted root": {func(m *mirrored) { m.Publish(target, []byte("{}")) }, ErrRepositoryInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			m := mirror(t, far())
			if err := m.roots.Set(t.Context(), m.obj); err != nil {
				t.Fatal(err)
			}
			files := m.Files()
			tc.fail(m)
			before, err := m.roots.Root("corp")
			if err != nil {
				t.Fatal(err)
			}
			state := m.refresh(false, tc.cause)
			if state.Err != nil || !errors.Is(state.Stale, tc.cause) {
				t.Errorf("state %v, stale %v; want it in force, and stale", state.Err, state.Stale)
			}
			if after, err := m.roots.Root("corp"); err != nil || after != before {
				t.Errorf("Root = %v, %v; want the last good", after, err)
			}
			if name == "it is down" || name == "its files are gone" {
				m.Break(0)
				m.Show(files)
				if state := m.refresh(false, nil); state.Stale != nil {
					t.Errorf("still stale when the mirror answers again: %v", state.Stale)
				}
			}
		})
	}
}

func TestTheLastGoodIsNotKeptLongerThanItIsGoodFor(t *testing.T) {
	end := far()
	m := mirror(t, end)
	now := time.Now()
	m.roots.now = func() time.Time { return now }
	if err := m.roots.Set(t.Context(), m.obj); err != nil {
		t.Fatal(err)
	}
	m.Break(http.StatusBadGateway)
	now = end.Add(-20 * 24 * time.Hour)
	state := m.refresh(false, ErrMirrorUnavailable)
	if !state.Endings[0].NearAt(now) || !state.Endings[0].At.Equal(end) {
		t.Errorf("endings %+v; want the first one to be near, as nobody signs anew", state.Endings)
	}
	now = end
	if _, err := m.roots.Root("corp"); !errors.Is(err, ErrExpired) || !errors.Is(err, ErrRootNotReady) {
		t.Errorf("Root = %v at the end; want ErrExpired", err)
	}
	m.refresh(true, ErrExpired)
	if err := m.roots.Set(t.Context(), m.obj); !errors.Is(err, ErrExpired) {
		t.Errorf("Set = %v after the end; want ErrExpired", err)
	}
}

func TestAMirrorThatComesUpLate(t *testing.T) {
	m := mirror(t, far())
	m.Break(http.StatusServiceUnavailable)
	if err := m.roots.Set(t.Context(), m.obj); !errors.Is(err, ErrMirrorUnavailable) {
		t.Fatalf("Set = %v; want ErrMirrorUnavailable", err)
	}
	asked := m.Asked()
	if err := m.roots.Set(t.Context(), m.obj); !errors.Is(err, ErrMirrorUnavailable) || m.Asked() != asked {
		t.Errorf("Set = %v after %d more requests; want the same error and no request", err, m.Asked()-asked)
	}
	m.Break(0)
	m.refresh(true, nil)
	if _, err := m.roots.Root("corp"); err != nil {
		t.Errorf("Root = %v once the mirror answers", err)
	}
}

func TestAMirrorCannotGoBackWhileNobodyLooks(t *testing.T) {
	m := mirror(t, far())
	old := m.Files()
	m.Publish(target, trusttest.TrustedRoot("b.test", far()))
	m.Show(old)
	m.obj.Status.ObservedGeneration = 1
	m.obj.Status.TUF = &v1alpha1.TUFStatus{RootVersion: 1, TimestampVersion: 2, SnapshotVersion: 2, TargetsVersion: 2}
	if err := m.roots.Set(t.Context(), m.obj); !errors.Is(err, ErrRepositoryInvalid) {
		t.Fatalf("Set = %v; want ErrRepositoryInvalid: status has seen newer versions", err)
	}
	m.obj.Generation = 2 // an operator wrote another specification
	m.obj.Spec.Remote.TrustedRootTarget = target
	m.obj.Spec.Remote.RefreshInterval = &metav1.Duration{Duration: time.Minute}
	if err := m.roots.Set(t.Context(), m.obj); err != nil {
		t.Errorf("Set = %v; want what an operator writes to begin anew", err)
	}
}

func TestARepositoryInTheObjectEnds(t *testing.T) {
	end := far()
	repository := trusttest.NewRepository(target, trusttest.TrustedRoot("a.test", far()), end)
	roots := NewRoots(ConfigMaps{})
	now := time.Now()
	roots.now = func() time.Time { return now }
	obj := rootObject(v1alpha1.TrustRootSpec{Repository: &v1alpha1.EmbeddedRepository{Root: repository.Root(), MirrorFS: repository.Archive("")}})
	if err := roots.Set(t.Context(), obj); err != nil {
		t.Fatal(err)
	}
	now = end.Add(-soon / 2)
	if state, _ := roots.State(obj); !state.Endings[0].NearAt(now) {
		t.Errorf("endings %+v; want the first one to be near", state.Endings)
	}
	if changed, err := roots.Refresh(t.Context(), "corp"); changed || err != nil {
		t.Errorf("Refresh = %t, %v before the end", changed, err)
	}
	now = end
	if changed, err := roots.Refresh(t.Context(), "corp"); !changed || !errors.Is(err, ErrExpired) {
		t.Errorf("Refresh = %t, %v at the end; want ErrExpired", changed, err)
	}
}
