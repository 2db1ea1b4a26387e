// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sigstore/rekor-tiles/v2/pkg/note"
	"github.com/sigstore/sigstore-go/pkg/root"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
)

// TestARekorV2LogIsReadWhereItsTilesAre: at readURLs, and else where rekor-tiles has them.
func TestARekorV2LogIsReadWhereItsTilesAre(t *testing.T) {
	log := tlogtest.NewTiled("rekor.test")
	log.Grow(300)
	tiles := tlogtest.NewServer(log)
	t.Cleanup(tiles.Close)
	mux := http.NewServeMux()
	mux.Handle("/log/api/v2/", http.StripPrefix("/log/api/v2", tiles.Config.Handler))
	api := httptest.NewServer(mux)
	t.Cleanup(api.Close)
	for name, tc := range map[string]struct {
		urls, readURLs []string
		ok             bool
	}{
		"at readURLs":                        {urls: []string{"http://127.0.0.1:1"}, readURLs: []string{tiles.URL}, ok: true},
		"at readURLs with a slash":           {urls: []string{"http://127.0.0.1:1"}, readURLs: []string{tiles.URL + "/"}, ok: true},
		"at the second of them":              {urls: []string{"http://127.0.0.1:1"}, readURLs: []string{"http://127.0.0.1:1", tiles.URL}, ok: true},
		"below the API":                      {urls: []string{api.URL + "/log"}, ok: true},
		"below the API with a slash":         {urls: []string{api.URL + "/log/"}, ok: true},
		"not at urls themselves":             {urls: []string{tiles.URL}},
		"not at urls when readURLs are down": {urls: []string{api.URL + "/log"}, readURLs: []string{"http://127.0.0.1:1"}},
	} {
		t.Run(name, func(t *testing.T) {
			logs := memoryLogs(nil)
			obj := object(t, func(l *v1alpha1.TransparencyLog) {
				l.Spec.Type, l.Spec.URLs, l.Spec.ReadURLs = v1alpha1.LogTypeRekorV2, tc.urls, tc.readURLs
				l.Spec.PublicKey.Data = string(publicPEM(t, log.PublicKey()))
			})
			if err := logs.Set(t.Context(), obj); err != nil {
				t.Fatal(err)
			}
			prover, err := logs.Prover(logName)
			if err != nil {
				t.Fatal(err)
			}
			if got := prover.Log().Version(); got != tlog.RekorV2 {
				t.Errorf("version is %v", got)
			}
			if _, err := prover.Poll(t.Context()); (err == nil) != tc.ok {
				t.Errorf("Poll: %v; want success: %t", err, tc.ok)
			}
		})
	}
}

// TestReadURLsMakeANewProver: what was read elsewhere is another log's for all we know.
func TestReadURLsMakeANewProver(t *testing.T) {
	logs := memoryLogs(nil)
	tiled := func(readURL string) *tlog.Prover {
		obj := object(t, func(l *v1alpha1.TransparencyLog) {
			l.Spec.Type, l.Spec.ReadURLs = v1alpha1.LogTypeRekorV2, []string{readURL}
			l.Spec.PublicKey.Data = string(publicPEM(t, ed25519.NewKeyFromSeed(make([]byte, 32)).Public()))
		})
		if err := logs.Set(t.Context(), obj); err != nil {
			t.Fatal(err)
		}
		prover, err := logs.Prover(logName)
		if err != nil {
			t.Fatal(err)
		}
		return prover
	}
	first := tiled("https://a.test")
	if tiled("https://a.test") != first {
		t.Error("the prover was not kept while nothing changed")
	}
	if tiled("https://b.test") == first {
		t.Error("the prover was kept when readURLs changed")
	}
}

// TestTypesOfOwnedLogs: a trusted root names a log by its ID, which tells the versions
// apart for all keys but ECDSA.
func TestTypesOfOwnedLogs(t *testing.T) {
	const host = "log2026-1.rekor.test"
	ecdsaKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	edwards := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)).Public()
	v1 := func(key crypto.PublicKey) []byte {
		log, err := tlog.NewLog(tlog.Config{Version: tlog.RekorV1, Origin: host, Key: key})
		if err != nil {
			t.Fatal(err)
		}
		id := log.ID()
		return id[:]
	}
	v2 := func(name string) []byte {
		_, id, err := note.KeyHash(name, edwards)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	is := func(base string, logType v1alpha1.LogType) []v1alpha1.TransparencyLogType {
		return []v1alpha1.TransparencyLogType{{BaseURL: base, Type: logType}}
	}
	for name, tc := range map[string]struct {
		key      crypto.PublicKey
		id       []byte
		declared []v1alpha1.TransparencyLogType
		want     v1alpha1.LogType // none when there is no object
		err      string
	}{
		"ECDSA, which can be either":                  {ecdsaKey.Public(), v1(ecdsaKey.Public()), nil, v1alpha1.LogTypeRekorV1, ""},
		"ECDSA, declared to be Rekor v2":              {ecdsaKey.Public(), v1(ecdsaKey.Public()), is("https://"+host, v1alpha1.LogTypeRekorV2), v1alpha1.LogTypeRekorV2, ""},
		"ECDSA, declared to be Rekor v1":              {ecdsaKey.Public(), v1(ecdsaKey.Public()), is("https://"+host, v1alpha1.LogTypeRekorV1), v1alpha1.LogTypeRekorV1, ""},
		"ECDSA, and another log is declared":          {ecdsaKey.Public(), v1(ecdsaKey.Public()), is("https://other.test", v1alpha1.LogTypeRekorV2), v1alpha1.LogTypeRekorV1, "logTypes[0]: the trust root holds no log"},
		"ECDSA, and the URL is nearly the log's":      {ecdsaKey.Public(), v1(ecdsaKey.Public()), is("https://"+host+"/", v1alpha1.LogTypeRekorV2), v1alpha1.LogTypeRekorV1, "logTypes[0]: the trust root holds no log"},
		"Ed25519, named by its key":                   {edwards, v1(edwards), nil, v1alpha1.LogTypeRekorV1, ""},
		"Ed25519, named by its name and key":          {edwards, v2(host), nil, v1alpha1.LogTypeRekorV2, ""},
		"Ed25519, declared to be what its ID says":    {edwards, v2(host), is("https://"+host, v1alpha1.LogTypeRekorV2), v1alpha1.LogTypeRekorV2, ""},
		"Ed25519, declared against its ID as v1":      {edwards, v2(host), is("https://"+host, v1alpha1.LogTypeRekorV1), "", "not that of a log of type rekor-v1"},
		"Ed25519, declared against its ID as v2":      {edwards, v1(edwards), is("https://"+host, v1alpha1.LogTypeRekorV2), "", "not that of a log of type rekor-v2"},
		"ECDSA, declared to be what there is not yet": {ecdsaKey.Public(), v1(ecdsaKey.Public()), is("https://"+host, "rekor-v3"), "", "not that of a log of type rekor-v3"},
		"Ed25519, named by another name's key":        {edwards, v2("other.test"), nil, "", "neither the hash of its key"},
		"named by four bytes":                         {edwards, v2(host)[:4], nil, "", "neither the hash of its key"},
	} {
		t.Run(name, func(t *testing.T) {
			state := RootState{Logs: map[string]*root.TransparencyLog{
				hex.EncodeToString(tc.id): {BaseURL: "https://" + host, ID: tc.id, PublicKey: tc.key},
			}}
			obj := &v1alpha1.TrustRoot{ObjectMeta: metav1.ObjectMeta{Name: "corp"}, Spec: v1alpha1.TrustRootSpec{LogTypes: tc.declared}}
			owned, err := OwnedLogs(obj, state)
			if (err == nil) != (tc.err == "") || err != nil && !strings.Contains(err.Error(), tc.err) {
				t.Errorf("err = %v; want %q", err, tc.err)
			}
			if tc.want == "" {
				if len(owned) != 0 {
					t.Errorf("owns %v", owned)
				}
				return
			}
			if len(owned) != 1 {
				t.Fatalf("owns %d logs", len(owned))
			}
			spec := owned[0].Spec
			defaulted := v1alpha1.TransparencyLog{Spec: v1alpha1.TransparencyLogSpec{
				Type: tc.want, URLs: []string{"https://" + host}, Origin: host,
				PublicKey: v1alpha1.LogPublicKey{Data: string(publicPEM(t, tc.key))},
			}}
			defaulted.SetDefaults()
			want := defaulted.Spec
			if diff := cmp.Diff(want, spec); diff != "" {
				t.Errorf("spec (-want +got):\n%s", diff)
			}
			if err := memoryLogs(nil).Set(t.Context(), &owned[0]); err != nil {
				t.Errorf("the log cannot be used: %v", err)
			}
		})
	}
}

// TestTypesOfNamedLogs: where a trust root names its logs one by one, each says its type,
// and has the ID that logs of that type have.
func TestTypesOfNamedLogs(t *testing.T) {
	const host = "log2026-1.rekor.test"
	ecdsaKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	edwards := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)).Public()
	for name, tc := range map[string]struct {
		key  crypto.PublicKey
		said v1alpha1.LogType
		want v1alpha1.LogType
	}{
		"ECDSA that says nothing":       {ecdsaKey.Public(), "", v1alpha1.LogTypeRekorV1},
		"ECDSA that says Rekor v1":      {ecdsaKey.Public(), v1alpha1.LogTypeRekorV1, v1alpha1.LogTypeRekorV1},
		"ECDSA that says Rekor v2":      {ecdsaKey.Public(), v1alpha1.LogTypeRekorV2, v1alpha1.LogTypeRekorV2},
		"Ed25519 that says nothing":     {edwards, "", v1alpha1.LogTypeRekorV1},
		"Ed25519 that says Rekor v2":    {edwards, v1alpha1.LogTypeRekorV2, v1alpha1.LogTypeRekorV2},
		"Ed25519 that says Rekor v1":    {edwards, v1alpha1.LogTypeRekorV1, v1alpha1.LogTypeRekorV1},
		"ECDSA that says what is not v": {ecdsaKey.Public(), "rekor-v3", ""},
	} {
		t.Run(name, func(t *testing.T) {
			keys := &v1alpha1.SigstoreKeys{TLogs: []v1alpha1.TransparencyLogInstance{
				{BaseURL: "https://" + host, PublicKey: string(publicPEM(t, tc.key)), Type: tc.said},
			}}
			parsed, err := ParseSigstoreKeys(keys)
			if err != nil {
				t.Fatal(err)
			}
			obj := &v1alpha1.TrustRoot{ObjectMeta: metav1.ObjectMeta{Name: "corp"}, Spec: v1alpha1.TrustRootSpec{SigstoreKeys: keys}}
			owned, err := OwnedLogs(obj, RootState{Logs: parsed.RekorLogs()})
			if tc.want == "" {
				if err == nil || len(owned) != 0 {
					t.Errorf("owns %v, %v", owned, err)
				}
				return
			}
			if err != nil || len(owned) != 1 || owned[0].Spec.Type != tc.want {
				t.Fatalf("owns %v, %v; want one of type %s", owned, err, tc.want)
			}
			prover := memoryLogs(nil)
			if err := prover.Set(t.Context(), &owned[0]); err != nil {
				t.Fatal(err)
			}
			log, err := prover.Prover(owned[0].Name)
			if err != nil {
				t.Fatal(err)
			}
			if id := log.Log().ID(); parsed.RekorLogs()[hex.EncodeToString(id[:])] == nil {
				t.Errorf("the log has ID %x, and the trust root another one", id)
			}
		})
	}
}
