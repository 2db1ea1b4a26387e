// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/trust/trusttest"
)

func goodKeys() *v1alpha1.SigstoreKeys {
	end := time.Now().AddDate(1, 0, 0)
	return &v1alpha1.SigstoreKeys{
		CertificateAuthorities: []v1alpha1.CertificateAuthority{{URI: "https://fulcio.test", CertChain: trusttest.NewCA("CA", end).PEM()}},
		CTLogs:                 []v1alpha1.TransparencyLogInstance{{BaseURL: "https://ctfe.test", PublicKey: trusttest.NewLogKey()}},
		TimestampAuthorities:   []v1alpha1.CertificateAuthority{{URI: "https://tsa.test", CertChain: trusttest.NewTSA("TSA", end).PEM()}},
		TLogs:                  []v1alpha1.TransparencyLogInstance{{BaseURL: "https://rekor.test", PublicKey: trusttest.NewLogKey()}},
	}
}

func TestTrustRoot(t *testing.T) {
	_, private := keys(t)
	text := trusttest.TrustedRoot("corp.test", time.Now().AddDate(1, 0, 0))
	tuf := trusttest.NewRepository("trusted_root.json", text, time.Now().AddDate(1, 0, 0))
	type spec = v1alpha1.TrustRootSpec
	with := func(edit func(*v1alpha1.SigstoreKeys)) spec {
		keys := goodKeys()
		edit(keys)
		return spec{SigstoreKeys: keys}
	}
	mirror := func(edit func(*v1alpha1.RemoteRepository)) spec {
		remote := &v1alpha1.RemoteRepository{Root: tuf.Root(), Mirror: "https://tuf.test"}
		edit(remote)
		return spec{Remote: remote}
	}
	embedded := func(edit func(*v1alpha1.EmbeddedRepository)) spec {
		repository := &v1alpha1.EmbeddedRepository{Root: tuf.Root(), MirrorFS: tuf.Archive("")}
		edit(repository)
		return spec{Repository: repository}
	}
	types := func(bases ...string) (all []v1alpha1.TransparencyLogType) {
		for _, base := range bases {
			all = append(all, v1alpha1.TransparencyLogType{BaseURL: base, Type: v1alpha1.LogTypeRekorV2})
		}
		return all
	}
	many := func(n int) (bases []string) {
		for i := range n {
			bases = append(bases, fmt.Sprintf("https://%d.test", i))
		}
		return bases
	}
	later, sooner := metav1.NewTime(time.Unix(2, 0)), metav1.NewTime(time.Unix(1, 0))
	for name, tc := range map[string]struct {
		spec spec
		want []string
	}{
		"keys":                        {with(func(*v1alpha1.SigstoreKeys) {}), nil},
		"a mirror":                    {mirror(func(*v1alpha1.RemoteRepository) {}), nil},
		"a repository":                {embedded(func(*v1alpha1.EmbeddedRepository) {}), nil},
		"a trusted root":              {spec{TrustedRoot: &v1alpha1.TrustedRootText{Data: string(text)}}, nil},
		"a trusted root elsewhere":    {spec{TrustedRoot: &v1alpha1.TrustedRootText{ConfigMapRef: &v1alpha1.ConfigMapKeyReference{Name: "a"}}}, nil},
		"nothing":                     {spec{}, []string{"spec"}},
		"two forms":                   {spec{SigstoreKeys: goodKeys(), TrustedRoot: &v1alpha1.TrustedRootText{Data: string(text)}}, []string{"spec"}},
		"no keys":                     {spec{SigstoreKeys: &v1alpha1.SigstoreKeys{}}, []string{"spec.sigstoreKeys"}},
		"a private key for a chain":   {with(func(k *v1alpha1.SigstoreKeys) { k.CertificateAuthorities[0].CertChain = private }), []string{"spec.sigstoreKeys.certificateAuthorities[0]"}},
		"a private key for a log's":   {with(func(k *v1alpha1.SigstoreKeys) { k.CTLogs[0].PublicKey = private }), []string{"spec.sigstoreKeys.ctLogs[0]"}},
		"an authority without a name": {with(func(k *v1alpha1.SigstoreKeys) { k.TimestampAuthorities[0].URI = "" }), []string{"spec.sigstoreKeys.timestampAuthorities[0].uri"}},
		"a log without a URL":         {with(func(k *v1alpha1.SigstoreKeys) { k.TLogs[0].BaseURL = "" }), []string{"spec.sigstoreKeys.tLogs[0].baseURL"}},
		"a log of another hash":       {with(func(k *v1alpha1.SigstoreKeys) { k.TLogs[0].HashAlgorithm = "sha-1" }), []string{"spec.sigstoreKeys.tLogs[0].hashAlgorithm"}},
		"a log twice":                 {with(func(k *v1alpha1.SigstoreKeys) { k.TLogs = append(k.TLogs, k.TLogs[0]) }), []string{"spec.sigstoreKeys"}},
		"a validity that never is": {
			with(func(k *v1alpha1.SigstoreKeys) {
				k.TLogs[0].Validity = &v1alpha1.Validity{NotBefore: &later, NotAfter: &sooner}
			}),
			[]string{"spec.sigstoreKeys.tLogs[0].validity"},
		},
		"more authorities than there may be": {
			with(func(k *v1alpha1.SigstoreKeys) {
				for range maxRootAuthorities {
					k.CertificateAuthorities = append(k.CertificateAuthorities, k.CertificateAuthorities[0])
				}
			}), []string{"spec.sigstoreKeys.certificateAuthorities"},
		},
		"a mirror that is no URL":              {mirror(func(r *v1alpha1.RemoteRepository) { r.Mirror = "tuf.test" }), []string{"spec.remote.mirror"}},
		"a mirror with a password":             {mirror(func(r *v1alpha1.RemoteRepository) { r.Mirror = "https://me:s3cret@tuf.test" }), []string{"spec.remote.mirror"}},
		"a mirror without a root":              {mirror(func(r *v1alpha1.RemoteRepository) { r.Root = "{}" }), []string{"spec.remote.root"}},
		"a mirror without a pause":             {mirror(func(r *v1alpha1.RemoteRepository) { r.RefreshInterval = &metav1.Duration{Duration: 1} }), []string{"spec.remote.refreshInterval"}},
		"targets outside":                      {mirror(func(r *v1alpha1.RemoteRepository) { r.Targets = "../a" }), []string{"spec.remote.targets"}},
		"a target outside":                     {mirror(func(r *v1alpha1.RemoteRepository) { r.TrustedRootTarget = "/etc/passwd" }), []string{"spec.remote.trustedRootTarget"}},
		"a repository that is none":            {embedded(func(r *v1alpha1.EmbeddedRepository) { r.MirrorFS = []byte("x") }), []string{"spec.repository.mirrorFS"}},
		"a repository without a root":          {embedded(func(r *v1alpha1.EmbeddedRepository) { r.Root = private }), []string{"spec.repository.root"}},
		"neither data nor a ConfigMap":         {spec{TrustedRoot: &v1alpha1.TrustedRootText{}}, []string{"spec.trustedRoot"}},
		"a trusted root of nothing":            {spec{TrustedRoot: &v1alpha1.TrustedRootText{Data: "{}"}}, []string{"spec.trustedRoot.data"}},
		"a log of Rekor v2":                    {with(func(k *v1alpha1.SigstoreKeys) { k.TLogs[0].Type = v1alpha1.LogTypeRekorV2 }), nil},
		"a log of a type that there is not":    {with(func(k *v1alpha1.SigstoreKeys) { k.TLogs[0].Type = "rekor-v3" }), []string{"spec.sigstoreKeys.tLogs[0].type"}},
		"a CT log with a type":                 {with(func(k *v1alpha1.SigstoreKeys) { k.CTLogs[0].Type = v1alpha1.LogTypeRekorV1 }), []string{"spec.sigstoreKeys.ctLogs[0].type"}},
		"types of a trusted root's logs":       {spec{Remote: mirror(func(*v1alpha1.RemoteRepository) {}).Remote, LogTypes: types("https://a.test", "https://b.test")}, nil},
		"types beside keys":                    {spec{SigstoreKeys: goodKeys(), LogTypes: types("https://rekor.test")}, []string{"spec.logTypes"}},
		"a type of no log":                     {spec{Remote: mirror(func(*v1alpha1.RemoteRepository) {}).Remote, LogTypes: types("")}, []string{"spec.logTypes[0].baseURL"}},
		"two types of one log":                 {spec{Remote: mirror(func(*v1alpha1.RemoteRepository) {}).Remote, LogTypes: types("https://a.test", "https://a.test")}, []string{"spec.logTypes[1].baseURL"}},
		"a type that there is not":             {spec{Remote: mirror(func(*v1alpha1.RemoteRepository) {}).Remote, LogTypes: []v1alpha1.TransparencyLogType{{BaseURL: "https://a.test", Type: "ct"}}}, []string{"spec.logTypes[0].type"}},
		"more types than a root can have logs": {spec{Remote: mirror(func(*v1alpha1.RemoteRepository) {}).Remote, LogTypes: types(many(maxLogTypes + 1)...)}, []string{"spec.logTypes"}},
		"a ConfigMap's name and key": {
			spec{TrustedRoot: &v1alpha1.TrustedRootText{ConfigMapRef: &v1alpha1.ConfigMapKeyReference{Name: "../a", Key: "a/b"}}},
			[]string{"spec.trustedRoot.configMapRef.name", "spec.trustedRoot.configMapRef.key"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			obj := &v1alpha1.TrustRoot{Spec: tc.spec}
			obj.SetDefaults()
			errs := TrustRoot(obj)
			if diff := cmp.Diff(tc.want, where(t, errs, private)); diff != "" {
				t.Errorf("fields with errors (-want +got):\n%s\n%v", diff, errs)
			}
			if len(errs) > 0 && strings.Contains(errs.ToAggregate().Error(), "s3cret") {
				t.Errorf("%v quotes a password", errs)
			}
		})
	}
}

func TestTrustRootWarnings(t *testing.T) {
	unlogged := goodKeys()
	unlogged.CTLogs = nil
	same := goodKeys()
	same.TLogs[0].PublicKey = same.CTLogs[0].PublicKey
	for name, tc := range map[string]struct {
		spec v1alpha1.TrustRootSpec
		want []string
	}{
		"nothing to warn of":           {v1alpha1.TrustRootSpec{SigstoreKeys: goodKeys()}, nil},
		"certificates in no log":       {v1alpha1.TrustRootSpec{SigstoreKeys: unlogged}, []string{"insecureIgnoreSCT"}},
		"one key for two logs":         {v1alpha1.TrustRootSpec{SigstoreKeys: same}, []string{"that of ctLogs[0]"}},
		"a mirror that can be muffled": {v1alpha1.TrustRootSpec{Remote: &v1alpha1.RemoteRepository{Mirror: "http://tuf.test"}}, []string{"not encrypted"}},
	} {
		t.Run(name, func(t *testing.T) {
			expectEach(t, TrustRootWarnings(&v1alpha1.TrustRoot{Spec: tc.spec}), tc.want)
		})
	}
}
