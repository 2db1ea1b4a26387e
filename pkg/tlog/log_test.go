// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"strings"
	"testing"

	tilesnote "github.com/sigstore/rekor-tiles/v2/pkg/note"

	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
)

func TestNewLog(t *testing.T) {
	key := tlogtest.New(hostname).PublicKey()
	for name, test := range map[string]struct {
		config tlog.Config
		want   string // of the error; empty wants none
	}{
		"Rekor v1: host name and key":             {config: tlog.Config{Version: tlog.RekorV1, Origin: hostname, Key: key}},
		"Rekor v2: host name and key":             {config: tlog.Config{Version: tlog.RekorV2, Origin: hostname, Key: key}},
		"Rekor v1: the key alone":                 {config: tlog.Config{Version: tlog.RekorV1, KeyOnly: true, Key: key}},
		"Rekor v2: the key alone":                 {config: tlog.Config{Version: tlog.RekorV2, KeyOnly: true, Key: key}, want: "by its key alone"},
		"the key alone, and a host name":          {config: tlog.Config{Version: tlog.RekorV1, KeyOnly: true, Origin: hostname, Key: key}, want: "by its key alone"},
		"no version":                              {config: tlog.Config{Origin: hostname, Key: key}, want: "not a version"},
		"a version that is to come":               {config: tlog.Config{Version: 3, Origin: hostname, Key: key}, want: "not a version"},
		"no host name":                            {config: tlog.Config{Version: tlog.RekorV1, Key: key}, want: "not a host name"},
		"Rekor v2 without a host name":            {config: tlog.Config{Version: tlog.RekorV2, Key: key}, want: "not a host name"},
		"a whole origin for a host name":          {config: tlog.Config{Version: tlog.RekorV1, Origin: hostname + " - 1", Key: key}, want: "not a host name"},
		"a plus sign, which ends a note's name":   {config: tlog.Config{Version: tlog.RekorV1, Origin: "a+b", Key: key}, want: "not a host name"},
		"a newline in the host name":              {config: tlog.Config{Version: tlog.RekorV1, Origin: "a\nb", Key: key}, want: "not a host name"},
		"no key":                                  {config: tlog.Config{Version: tlog.RekorV1, Origin: hostname}, want: "missing"},
		"a key that is none":                      {config: tlog.Config{Version: tlog.RekorV1, Origin: hostname, Key: "key"}, want: "public key"},
		"a key that can agree but not sign: ECDH": {config: tlog.Config{Version: tlog.RekorV1, Origin: hostname, Key: ecdhKey(t)}, want: "public key"},
		"Rekor v2 with such a key":                {config: tlog.Config{Version: tlog.RekorV2, Origin: hostname, Key: ecdhKey(t)}, want: "public key"},
	} {
		t.Run(name, func(t *testing.T) {
			test.config.Name = "corp"
			log, err := tlog.NewLog(test.config)
			if test.want == "" {
				if err != nil || log.Name() != "corp" || log.Origin() != test.config.Origin || log.Version() != test.config.Version {
					t.Errorf("got %v, %v", log, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %v, want one that says %q", err, test.want)
			}
		})
	}
}

// TestLogIDs: an entry of a Rekor v2 log names it by the hash of name and key, as
// rekor-tiles computes it; one of a Rekor v1 log by its key. For an ECDSA key that is the
// same. KeyID is of the key whatever the log is called.
func TestLogIDs(t *testing.T) {
	for name, key := range map[string]crypto.PublicKey{
		"ECDSA":   tlogtest.New(hostname).PublicKey(),
		"Ed25519": ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)).Public(),
		"RSA":     rsaKey(t),
	} {
		t.Run(name, func(t *testing.T) {
			spki, err := x509.MarshalPKIXPublicKey(key)
			if err != nil {
				t.Fatal(err)
			}
			ofKey := sha256.Sum256(spki)
			_, ofName, err := tilesnote.KeyHash(hostname, key)
			if err != nil {
				t.Fatal(err)
			}
			for version, want := range map[tlog.Version][32]byte{tlog.RekorV1: ofKey, tlog.RekorV2: [32]byte(ofName)} {
				log, err := tlog.NewLog(tlog.Config{Version: version, Origin: hostname, Key: key})
				if err != nil {
					t.Fatal(err)
				}
				if log.ID() != want {
					t.Errorf("%v: ID %x, want %x", version, log.ID(), want)
				}
				if log.KeyID() != ofKey {
					t.Errorf("%v: KeyID %x, want %x", version, log.KeyID(), ofKey)
				}
			}
		})
	}
}

func TestVersionIsSpelledAsInTheAPI(t *testing.T) {
	for version, want := range map[tlog.Version]string{tlog.RekorV1: "rekor-v1", tlog.RekorV2: "rekor-v2", 0: "version 0"} {
		if got := version.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func rsaKey(t *testing.T) crypto.PublicKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key.Public()
}

func ecdhKey(t *testing.T) crypto.PublicKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	agreement, err := key.PublicKey.ECDH()
	if err != nil {
		t.Fatal(err)
	}
	return agreement
}
