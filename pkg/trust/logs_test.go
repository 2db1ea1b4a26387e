// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
)

func publicPEM(t *testing.T, key crypto.PublicKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

func object(t *testing.T, edits ...func(*v1alpha1.TransparencyLog)) *v1alpha1.TransparencyLog {
	t.Helper()
	log := &v1alpha1.TransparencyLog{
		ObjectMeta: metav1.ObjectMeta{Name: logName, UID: "1", Generation: 1},
		Spec: v1alpha1.TransparencyLogSpec{
			Type:      v1alpha1.LogTypeRekorV1,
			URLs:      []string{"https://rekor.test"},
			Origin:    "rekor.test",
			PublicKey: v1alpha1.LogPublicKey{Data: string(publicPEM(t, tlogtest.New("rekor.test").PublicKey()))},
		},
	}
	for _, edit := range edits {
		edit(log)
	}
	return log
}

func memoryLogs(secrets SecretReader) *Logs {
	return NewLogs(func(*v1alpha1.TransparencyLog) tlog.History { return tlog.NewMemoryHistory() }, secrets, nil)
}

func TestAProverIsKeptWhileNothingThatMattersChanges(t *testing.T) {
	yes := true
	tests := map[string]struct {
		edit func(*v1alpha1.TransparencyLog)
		kept bool
	}{
		"nothing at all": {func(*v1alpha1.TransparencyLog) {}, true},
		"status":         {func(l *v1alpha1.TransparencyLog) { l.Status.Checkpoint = &v1alpha1.LogCheckpoint{Size: 5} }, true},
		"poll interval":  {func(l *v1alpha1.TransparencyLog) { l.Spec.PollInterval = &metav1.Duration{Duration: 1} }, true},
		"default":        {func(l *v1alpha1.TransparencyLog) { l.Spec.Default = &yes }, true},
		"URL":            {func(l *v1alpha1.TransparencyLog) { l.Spec.URLs = []string{"https://other.test"} }, false},
		"origin":         {func(l *v1alpha1.TransparencyLog) { l.Spec.Origin = "other.test" }, false},
		"another object": {func(l *v1alpha1.TransparencyLog) { l.UID = "2" }, false},
		"a log that was caught lying": {func(l *v1alpha1.TransparencyLog) {
			l.Status.Inconsistency = &v1alpha1.LogInconsistency{}
		}, false},
		"validity":      {func(l *v1alpha1.TransparencyLog) { l.Spec.Validity = &v1alpha1.Validity{NotAfter: &metav1.Time{}} }, false},
		"shards":        {func(l *v1alpha1.TransparencyLog) { l.Spec.Shards = []v1alpha1.LogShard{{TreeID: "1"}} }, false},
		"witnesses":     {func(l *v1alpha1.TransparencyLog) { l.Spec.Witnesses = "quorum none" }, false},
		"the log's key": {func(l *v1alpha1.TransparencyLog) { l.Spec.PublicKey = object(t).Spec.PublicKey }, false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			logs, obj := memoryLogs(nil), object(t)
			if err := logs.Set(t.Context(), obj); err != nil {
				t.Fatal(err)
			}
			before, err := logs.Prover(logName)
			if err != nil {
				t.Fatal(err)
			}
			next := obj.DeepCopy()
			next.Generation++
			tc.edit(next)
			if err := logs.Set(t.Context(), next); err != nil {
				t.Fatal(err)
			}
			after, err := logs.Prover(logName)
			if err != nil {
				t.Fatal(err)
			}
			if kept := before == after; kept != tc.kept {
				t.Errorf("prover kept: %t; want %t", kept, tc.kept)
			}
		})
	}
}

func TestAnOlderGenerationChangesNothing(t *testing.T) {
	logs := memoryLogs(nil)
	current := object(t, func(l *v1alpha1.TransparencyLog) { l.Generation, l.Spec.Origin = 2, "new.test" })
	if err := logs.Set(t.Context(), current); err != nil {
		t.Fatal(err)
	}
	if err := logs.Set(t.Context(), object(t)); err != nil {
		t.Fatal(err)
	}
	prover, err := logs.Prover(logName)
	if err != nil || prover.Log().Origin() != "new.test" {
		t.Errorf("Prover = %v, %v; want the newer generation's", prover, err)
	}
	if !logs.IsCurrent(current) || logs.IsCurrent(object(t, func(l *v1alpha1.TransparencyLog) { l.Generation = 3 })) {
		t.Error("IsCurrent does not tell the generation that is known from the next one")
	}
}

func TestALogThatCannotBeUsed(t *testing.T) {
	tests := map[string]struct {
		edit   func(*v1alpha1.TransparencyLog)
		reason string
	}{
		"a type that is not supported": {func(l *v1alpha1.TransparencyLog) { l.Spec.Type = "rekor-v9" }, v1alpha1.ReasonLogNotReady},
		"a field that nobody reads":    {func(l *v1alpha1.TransparencyLog) { l.Spec.Unread = []v1alpha1.Unread{{Field: "spec.wittnesses"}} }, v1alpha1.ReasonLogNotReady},
		"no URL":                       {func(l *v1alpha1.TransparencyLog) { l.Spec.URLs = nil }, v1alpha1.ReasonLogNotReady},
		"a URL of another scheme":      {func(l *v1alpha1.TransparencyLog) { l.Spec.URLs = []string{"ftp://rekor.test"} }, v1alpha1.ReasonLogNotReady},
		"a URL that is none":           {func(l *v1alpha1.TransparencyLog) { l.Spec.URLs = []string{"http://[::1"} }, v1alpha1.ReasonLogNotReady},
		"an origin with a space":       {func(l *v1alpha1.TransparencyLog) { l.Spec.Origin = "a b" }, v1alpha1.ReasonLogNotReady},
		"no key":                       {func(l *v1alpha1.TransparencyLog) { l.Spec.PublicKey = v1alpha1.LogPublicKey{} }, v1alpha1.ReasonKeyInvalid},
		"a key that does not parse":    {func(l *v1alpha1.TransparencyLog) { l.Spec.PublicKey.Data = "x" }, v1alpha1.ReasonKeyInvalid},
		"a Secret that does not exist": {secretKey("none", ""), v1alpha1.ReasonSecretNotFound},
		"a Secret without the key":     {secretKey("there", "other.pub"), v1alpha1.ReasonSecretNotFound},
		"a Secret with something else": {secretKey("there", "garbage"), v1alpha1.ReasonKeyInvalid},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			logs := memoryLogs(Secrets{"there": {"garbage": []byte("x")}})
			if err := logs.Set(t.Context(), object(t)); err != nil {
				t.Fatal(err)
			}
			broken := object(t, tc.edit)
			broken.Generation = 2
			if err := logs.Set(t.Context(), broken); err == nil {
				t.Fatal("Set succeeded")
			}
			prover, err := logs.Prover(logName)
			if prover != nil || !errors.Is(err, ErrLogNotReady) {
				t.Errorf("Prover = %v, %v; want ErrLogNotReady: what worked before does not any more", prover, err)
			}
			if got := ConditionReason(err); got != tc.reason {
				t.Errorf("reason %s; want %s (%v)", got, tc.reason, err)
			}
		})
	}
}

func secretKey(name, key string) func(*v1alpha1.TransparencyLog) {
	return func(l *v1alpha1.TransparencyLog) {
		l.Spec.PublicKey = v1alpha1.LogPublicKey{SecretRef: &v1alpha1.SecretKeyReference{Name: name, Key: key}}
	}
}

func TestAKeyInASecret(t *testing.T) {
	secrets := Secrets{}
	secrets.Add(&corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "rekor"},
		Data:       map[string][]byte{"log.pub": publicPEM(t, tlogtest.New("a").PublicKey())},
		StringData: map[string]string{"second.pub": string(publicPEM(t, tlogtest.New("b").PublicKey()))},
	})
	logs, ids := memoryLogs(secrets), map[[32]byte]bool{}
	for generation, key := range []string{"", "log.pub", "second.pub"} {
		obj := object(t, secretKey("rekor", key))
		obj.Generation = int64(generation + 1)
		if err := logs.Set(t.Context(), obj); err != nil {
			t.Fatalf("key %q: %v", key, err)
		}
		prover, err := logs.Prover(logName)
		if err != nil {
			t.Fatal(err)
		}
		ids[prover.Log().ID()] = true
	}
	if len(ids) != 2 {
		t.Errorf("%d keys; want 2: an empty key means log.pub", len(ids))
	}
}

func TestTheDefaultLog(t *testing.T) {
	yes := true
	named := func(name string, isDefault *bool) *v1alpha1.TransparencyLog {
		return object(t, func(l *v1alpha1.TransparencyLog) { l.Name, l.Spec.Default = name, isDefault })
	}
	broken := named("broken", &yes)
	broken.Spec.PublicKey.Data = "x"
	tests := map[string]struct {
		logs []*v1alpha1.TransparencyLog
		want string
		err  error
	}{
		"none exists":                 {nil, "", ErrNoDefaultLog},
		"none is marked":              {[]*v1alpha1.TransparencyLog{named("a", nil)}, "", ErrNoDefaultLog},
		"one is marked":               {[]*v1alpha1.TransparencyLog{named("a", nil), named("b", &yes)}, "b", nil},
		"with two, neither is":        {[]*v1alpha1.TransparencyLog{named("a", &yes), named("b", &yes)}, "", ErrNoDefaultLog},
		"the one marked is not ready": {[]*v1alpha1.TransparencyLog{named("a", nil), broken}, "", ErrLogNotReady},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			logs := memoryLogs(nil)
			for _, log := range tc.logs {
				_ = logs.Set(t.Context(), log) // one of them is meant to fail
			}
			for _, unnamed := range []*v1alpha1.CTLog{nil, {Threshold: 1}} {
				provers, err := logs.Select(unnamed)
				if !errors.Is(err, tc.err) {
					t.Fatalf("error %v; want %v", err, tc.err)
				}
				if tc.err == nil && (len(provers) != 1 || provers[0].Log().Name() != tc.want) {
					t.Errorf("default is %v; want %q", provers, tc.want)
				}
			}
		})
	}
}

func TestDeleteForgets(t *testing.T) {
	logs := memoryLogs(nil)
	if err := logs.Set(t.Context(), object(t)); err != nil {
		t.Fatal(err)
	}
	logs.Delete(logName)
	if _, err := logs.Prover(logName); !errors.Is(err, ErrLogNotFound) {
		t.Errorf("Prover = %v; want ErrLogNotFound", err)
	}
	if names := logs.Names(); len(names) != 0 {
		t.Errorf("Names = %v after the only log was deleted", names)
	}
}

func TestParseLogKey(t *testing.T) {
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	edwards, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsa2048, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(p256)
	if err != nil {
		t.Fatal(err)
	}
	privatePEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
	good := publicPEM(t, p256.Public())
	tests := map[string]struct {
		text []byte
		ok   bool
	}{
		"ECDSA":                     {good, true},
		"Ed25519":                   {publicPEM(t, edwards), true},
		"RSA of 2048 bits":          {publicPEM(t, rsa2048.Public()), true},
		"a newline after the block": {append(slices.Clip(good), '\n', '\n'), true},
		"ECDSA on P-384":            {publicPEM(t, onCurve(t, elliptic.P384())), true},
		"ECDSA on P-521":            {publicPEM(t, onCurve(t, elliptic.P521())), true},
		"ECDSA on P-224":            {publicPEM(t, onCurve(t, elliptic.P224())), false},
		"RSA of 4097 bits":          {publicPEM(t, &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 4096), E: 65537}), false},
		"RSA of 1024 bits":          {publicPEM(t, &rsa.PublicKey{N: rsa1024(), E: 65537}), false},
		"two keys":                  {append(slices.Clip(good), good...), false},
		"a private key":             {privatePEM, false},
		"no PEM":                    {[]byte("ssh-ed25519 AAAA"), false},
		"a block of garbage":        {pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte("x")}), false},
		"nothing":                   {nil, false},
		"more than anybody needs":   {[]byte(strings.Repeat(string(good), 200)), false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			key, err := ParseLogKey(tc.text)
			if tc.ok != (err == nil) || tc.ok != (key != nil) {
				t.Fatalf("ParseLogKey = %v, %v; want a key: %t", key, err, tc.ok)
			}
			if err != nil && !errors.Is(err, ErrKeyInvalid) {
				t.Errorf("%v does not wrap ErrKeyInvalid", err)
			}
			if err != nil && len(tc.text) > 0 && strings.Contains(err.Error(), string(tc.text[:min(40, len(tc.text))])) {
				t.Errorf("%v quotes what may be a secret", err)
			}
		})
	}
}

func TestLogsFromFilesBeginWithWhatStatusSays(t *testing.T) {
	log := grown(9)
	fork := log.Fork(2)
	fork.Grow(10)
	server := tlogtest.NewServer(log)
	t.Cleanup(server.Close)
	stored := checkpointOf(t, log, 7)
	obj := object(t, func(l *v1alpha1.TransparencyLog) {
		l.Spec.URLs = []string{server.URL}
		l.Spec.PublicKey.Data = string(publicPEM(t, log.PublicKey()))
		l.Status.Checkpoint = &v1alpha1.LogCheckpoint{Origin: stored.Origin(), Note: stored.Note()}
	})
	poll := func(obj *v1alpha1.TransparencyLog) error {
		prover, err := LogsFromObjects(context.Background(), []v1alpha1.TransparencyLog{*obj}, nil).Prover(logName)
		if err != nil {
			t.Fatal(err)
		}
		_, err = prover.Poll(t.Context())
		return err
	}
	if err := poll(obj); err != nil {
		t.Errorf("a log that extends the stored checkpoint: %v", err)
	}
	server.Show(fork, 0)
	if err := poll(obj); !errors.Is(err, tlog.ErrInconsistent) {
		t.Errorf("a log that forked before the stored checkpoint: %v; want ErrInconsistent", err)
	}
	unseeded := obj.DeepCopy()
	unseeded.Status = v1alpha1.TransparencyLogStatus{}
	if err := poll(unseeded); err != nil {
		t.Errorf("first contact: %v", err)
	}
	accused := unseeded.DeepCopy()
	accused.Status.Inconsistency = &v1alpha1.LogInconsistency{Notes: []string{"a", "b"}}
	if err := poll(accused); !errors.Is(err, tlog.ErrInconsistent) {
		t.Errorf("a log that was caught before: %v; want ErrInconsistent", err)
	}
}

func onCurve(t *testing.T, curve elliptic.Curve) *ecdsa.PublicKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &key.PublicKey
}

// rsa1024 is a modulus of 1024 bits. Go refuses to make one.
func rsa1024() *big.Int {
	n := new(big.Int).Lsh(big.NewInt(1), 1023)
	return n.Add(n, big.NewInt(1))
}
