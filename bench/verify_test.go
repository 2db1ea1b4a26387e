// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

// Package bench compares the cost of a verdict and of a proof with that of the
// least that could be done. What it reports are ratios, which mean the same on
// every machine.
package bench

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	sigstore "github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"

	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
	"github.com/countersign-dev/countersign/pkg/verify"
)

// recorded is a bundle that a real cosign made for a real log.
type recorded struct {
	Digest    string `json:"digest"`
	PublicKey string `json:"publicKey"`
	Bundle    string `json:"bundle"`
}

func load(b *testing.B) recorded {
	b.Helper()
	text, err := os.ReadFile("../pkg/verify/testdata/v3-bundle.json")
	if err != nil {
		b.Fatal(err)
	}
	var r recorded
	if err := json.Unmarshal(text, &r); err != nil {
		b.Fatal(err)
	}
	return r
}

// ratio runs both b.N times, in turns, and reports the processor time of the first in
// units of the second: what else runs on the machine does not count.
func ratio(b *testing.B, unit string, ours, theirs func()) {
	b.Helper()
	var spent [2]time.Duration
	for b.Loop() {
		for i, run := range []func(){ours, theirs} {
			begin := processorTime(b)
			run()
			spent[i] += processorTime(b) - begin
		}
	}
	b.ReportMetric(float64(spent[0])/float64(spent[1]), unit)
	b.ReportMetric(float64(spent[0].Nanoseconds())/float64(b.N), "ns/ours")
	b.ReportMetric(float64(spent[1].Nanoseconds())/float64(b.N), "ns/theirs")
}

// processorTime is how long processors have worked for this process.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// BenchmarkKeyedBundle compares a whole offline verdict on a keyed bundle (signature,
// claim, entry, promise, proof, checkpoint, history) with sigstore-go's on the same
// bytes, which checks no claim, no history and not the checkpoint's origin.
func BenchmarkKeyedBundle(b *testing.B) {
	r := load(b)
	replay := tlogtest.NewReplay()
	replay.Close()
	log, err := tlog.NewLog(tlog.Config{Name: "recorded", Version: tlog.RekorV1, Origin: replay.Hostname, Key: replay.PublicKey})
	if err != nil {
		b.Fatal(err)
	}
	key, err := verify.ParseKey([]byte(r.PublicKey), "")
	if err != nil {
		b.Fatal(err)
	}
	authority := &verify.Authority{Keys: []verify.Key{key}, Logs: []*tlog.Prover{tlog.NewProver(log, nil, tlog.NewMemoryHistory())}}
	signatures := []verify.Signature{verify.Bundle{JSON: []byte(r.Bundle)}}
	theirs := sigstoreGo(b, r, replay)
	ratio(b, "x-sigstore-go",
		func() {
			if v, ok := authority.Verify(context.Background(), r.Digest, signatures).(verify.Verified); !ok {
				b.Fatal(v)
			}
		},
		func() {
			if err := theirs(); err != nil {
				b.Fatal(err)
			}
		})
}

// sigstoreGo returns sigstore-go's verification of the bundle's bytes.
func sigstoreGo(b *testing.B, r recorded, replay *tlogtest.Replay) func() error {
	b.Helper()
	public, err := cryptoutils.UnmarshalPEMToPublicKey([]byte(r.PublicKey))
	if err != nil {
		b.Fatal(err)
	}
	verifier, err := signature.LoadVerifier(public, crypto.SHA256)
	if err != nil {
		b.Fatal(err)
	}
	spki, err := cryptoutils.MarshalPublicKeyToDER(replay.PublicKey)
	if err != nil {
		b.Fatal(err)
	}
	id := sha256.Sum256(spki)
	logs, err := root.NewTrustedRoot(root.TrustedRootMediaType01, nil, nil, nil, map[string]*root.TransparencyLog{
		hex.EncodeToString(id[:]): {
			BaseURL: "https://" + replay.Hostname, ID: id[:], ValidityPeriodStart: time.Unix(0, 0),
			HashFunc: crypto.SHA256, PublicKey: replay.PublicKey, SignatureHashFunc: crypto.SHA256,
		},
	})
	if err != nil {
		b.Fatal(err)
	}
	material := &material{TrustedRoot: logs, key: root.NewExpiringKey(verifier, time.Time{}, time.Time{})}
	digest, err := hex.DecodeString(strings.TrimPrefix(r.Digest, "sha256:"))
	if err != nil {
		b.Fatal(err)
	}
	return func() error {
		var entity bundle.Bundle
		if err := entity.UnmarshalJSON([]byte(r.Bundle)); err != nil {
			return err
		}
		v, err := sigstore.NewVerifier(material, sigstore.WithTransparencyLog(1), sigstore.WithIntegratedTimestamps(1))
		if err != nil {
			return err
		}
		_, err = v.Verify(&entity, sigstore.NewPolicy(sigstore.WithArtifactDigest("sha256", digest), sigstore.WithKey()))
		return err
	}
}

// material is a trusted root with one key for signatures.
type material struct {
	*root.TrustedRoot
	key root.TimeConstrainedVerifier
}

func (m *material) PublicKeyVerifier(string) (root.TimeConstrainedVerifier, error) { return m.key, nil }

// BenchmarkProof compares one proof of inclusion with its checkpoint, verified and
// held against the history, with the hashing and the one signature check that any
// verifier must do.
func BenchmarkProof(b *testing.B) {
	const index, size = 613, 1000
	l := tlogtest.New("rekor.example.test")
	l.Grow(index)
	digest := sha256.Sum256([]byte("artifact"))
	claim, err := tlog.HashedRekord(crypto.SHA256, digest[:], make([]byte, 71), make([]byte, 178))
	if err != nil {
		b.Fatal(err)
	}
	body := hashedRekord(digest[:], make([]byte, 71), make([]byte, 178))
	l.Append(body)
	l.Grow(size - index - 1)
	log, err := tlog.NewLog(tlog.Config{Name: "corp", Version: tlog.RekorV1, Origin: l.Hostname, Key: l.PublicKey()})
	if err != nil {
		b.Fatal(err)
	}
	prover := tlog.NewProver(log, nil, tlog.NewMemoryHistory())
	entry := l.Entry(index, size)
	entry.SignedEntryTimestamp = nil

	public, ok := l.PublicKey().(*ecdsa.PublicKey)
	if !ok {
		b.Fatal("the log's key is not ECDSA")
	}
	text := strings.SplitAfter(entry.Inclusion.Checkpoint, "\n\n")[0]
	text = strings.TrimSuffix(text, "\n")
	sum, sig, root := sha256.Sum256([]byte(text)), l.Sign([]byte(text)), l.Root(size)
	ratio(b, "x-bare",
		func() {
			if _, err := prover.Prove(context.Background(), claim, entry); err != nil {
				b.Fatal(err)
			}
		},
		func() {
			leaf := rfc6962.DefaultHasher.HashLeaf(body)
			err := proof.VerifyInclusion(rfc6962.DefaultHasher, index, size, leaf, entry.Inclusion.Hashes, root)
			if err != nil || !ecdsa.VerifyASN1(public, sum[:], sig) {
				b.Fatal(err)
			}
		})
}

func hashedRekord(digest, sig, key []byte) []byte {
	return []byte(`{"apiVersion":"0.0.1","kind":"hashedrekord","spec":{"data":{"hash":{"algorithm":"sha256","value":"` + hex.EncodeToString(digest) +
		`"}},"signature":{"content":"` + base64.StdEncoding.EncodeToString(sig) + `","publicKey":{"content":"` + base64.StdEncoding.EncodeToString(key) + `"}}}}`)
}
