// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math"
	"testing"

	rekormodels "github.com/sigstore/rekor/pkg/generated/models"
	rekorverify "github.com/sigstore/rekor/pkg/verify"

	"github.com/sigstore/sigstore/pkg/signature"

	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
)

func TestSignedEntryTimestamp(t *testing.T) {
	l, _ := logged(t, 3)
	l.FirstIndex = 1000
	log := configured(t, l)
	other := tlogtest.New(hostname)
	resigned := func(change func(*tlog.Entry)) func(*tlog.Entry) {
		return func(e *tlog.Entry) {
			change(e)
			e.SignedEntryTimestamp = l.SignEntry(e)
		}
	}
	for name, test := range map[string]struct {
		change func(*tlog.Entry)
		err    error
	}{
		"as the log signed it": {change: func(*tlog.Entry) {}},
		"absent":               {change: func(e *tlog.Entry) { e.SignedEntryTimestamp = nil }},
		"absent, and index and time out of range": {change: func(e *tlog.Entry) { e.SignedEntryTimestamp, e.LogIndex, e.IntegratedTime = nil, -1, -1 }},
		"signed again with a later time":          {change: resigned(func(e *tlog.Entry) { e.IntegratedTime++ })},
		"signed with the largest index and time":  {change: resigned(func(e *tlog.Entry) { e.LogIndex, e.IntegratedTime = math.MaxInt64, math.MaxInt64 })},
		"body changed":                            {change: func(e *tlog.Entry) { e.Body = append(bytes.Clone(e.Body), ' ') }, err: tlog.ErrSignedEntryTimestamp},
		"body empty":                              {change: func(e *tlog.Entry) { e.Body = nil }, err: tlog.ErrSignedEntryTimestamp},
		"time changed":                            {change: func(e *tlog.Entry) { e.IntegratedTime++ }, err: tlog.ErrSignedEntryTimestamp},
		"index changed":                           {change: func(e *tlog.Entry) { e.LogIndex++ }, err: tlog.ErrSignedEntryTimestamp},
		"index in the shard instead of over all":  {change: func(e *tlog.Entry) { e.LogIndex -= 1000 }, err: tlog.ErrSignedEntryTimestamp},
		"time 0":                                  {change: resigned(func(e *tlog.Entry) { e.IntegratedTime = 0 }), err: tlog.ErrSignedEntryTimestamp},
		"time negative":                           {change: resigned(func(e *tlog.Entry) { e.IntegratedTime = -1 }), err: tlog.ErrSignedEntryTimestamp},
		"index negative":                          {change: resigned(func(e *tlog.Entry) { e.LogIndex = -1 }), err: tlog.ErrSignedEntryTimestamp},
		"signed for another log ID":               {change: resigned(func(e *tlog.Entry) { e.LogID = other.ID() }), err: tlog.ErrSignedEntryTimestamp},
		"signed by another log":                   {change: func(e *tlog.Entry) { e.SignedEntryTimestamp = other.SignEntry(e) }, err: tlog.ErrSignedEntryTimestamp},
		"one byte":                                {change: func(e *tlog.Entry) { e.SignedEntryTimestamp = []byte{0} }, err: tlog.ErrSignedEntryTimestamp},
		"a byte more":                             {change: func(e *tlog.Entry) { e.SignedEntryTimestamp = append(e.SignedEntryTimestamp, 0) }, err: tlog.ErrSignedEntryTimestamp},
		"a million bytes":                         {change: func(e *tlog.Entry) { e.SignedEntryTimestamp = make([]byte, 1<<20) }, err: tlog.ErrSignedEntryTimestamp},
	} {
		t.Run(name, func(t *testing.T) {
			entry := l.Promise(1)
			test.change(entry)
			wantErr(t, entry.CheckSignedEntryTimestamp(log), test.err)
		})
	}
}

func TestSignedEntryTimestampChangedInOneBit(t *testing.T) {
	l, _ := logged(t, 1)
	log := configured(t, l)
	entry := l.Promise(0)
	good := entry.SignedEntryTimestamp
	for i := range good {
		for bit := range 8 {
			entry.SignedEntryTimestamp = bytes.Clone(good)
			entry.SignedEntryTimestamp[i] ^= 1 << bit
			if entry.CheckSignedEntryTimestamp(log) == nil {
				t.Fatalf("bit %d of byte %d does not matter", bit, i)
			}
		}
	}
}

// TestEntryAgreesWithRekor holds Countersign's checks against those of Rekor's own
// client: what the virtual log makes is what Rekor accepts.
func TestEntryAgreesWithRekor(t *testing.T) {
	l, claims := logged(t, 6)
	l.FirstIndex = 42
	verifier, err := signature.LoadECDSAVerifier(l.PublicKey().(*ecdsa.PublicKey), crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	prover := tlog.NewProver(configured(t, l), nil, seeded(l, 6))
	for i, claim := range claims {
		entry := l.Entry(i, 6)
		if _, err := prover.Prove(t.Context(), claim, entry); err != nil {
			t.Errorf("entry %d: %v", i, err)
		}
		if err := rekorverify.VerifyLogEntry(t.Context(), rekorModel(l, entry, 6), verifier); err != nil {
			t.Errorf("entry %d: rekor says %v", i, err)
		}
	}
}

func rekorModel(l *tlogtest.Log, e *tlog.Entry, size int) *rekormodels.LogEntryAnon {
	hashes := make([]string, len(e.Inclusion.Hashes))
	for i, h := range e.Inclusion.Hashes {
		hashes[i] = hex.EncodeToString(h)
	}
	logID, root, treeSize := hex.EncodeToString(e.LogID), hex.EncodeToString(l.Root(size)), int64(size)
	return &rekormodels.LogEntryAnon{
		Body:           base64.StdEncoding.EncodeToString(e.Body),
		IntegratedTime: &e.IntegratedTime,
		LogID:          &logID,
		LogIndex:       &e.LogIndex,
		Verification: &rekormodels.LogEntryAnonVerification{
			SignedEntryTimestamp: e.SignedEntryTimestamp,
			InclusionProof: &rekormodels.InclusionProof{
				Checkpoint: &e.Inclusion.Checkpoint, Hashes: hashes, LogIndex: &e.Inclusion.Index, RootHash: &root, TreeSize: &treeSize,
			},
		},
	}
}

func TestInclusionOfEveryEntryInEverySize(t *testing.T) {
	const largest = 24 // of every shape up to five levels
	l, claims := logged(t, largest)
	log := configured(t, l)
	for size := 1; size <= largest; size++ {
		for index := range size {
			leaf := tlog.LeafHash(bodyOf(t, claims[index]))
			good := l.Entry(index, size).Inclusion
			checkpoint, err := good.Verify(log, leaf)
			if err != nil || checkpoint.Size() != uint64(size) {
				t.Fatalf("index %d of %d: got %v, %v", index, size, checkpoint, err)
			}
			for other := range size + 1 {
				wrong := *good
				wrong.Index = int64(other)
				if _, err := wrong.Verify(log, leaf); (err == nil) != (other == index) {
					t.Fatalf("proof for index %d of %d is accepted for index %d", index, size, other)
				}
			}
			if _, err := good.Verify(log, tlog.LeafHash([]byte("another body"))); err == nil {
				t.Fatalf("proof for index %d of %d is accepted for another leaf", index, size)
			}
		}
	}
}

func TestInclusionRefuses(t *testing.T) {
	l, claims := logged(t, 21)
	l.FirstIndex = 5 // so that the index over all shards of entry 13 is 18, inside the tree
	const index, size = 13, 21
	leaf := tlog.LeafHash(bodyOf(t, claims[index]))
	hashes := l.Inclusion(index, size)
	for name, test := range map[string]struct {
		change func(*tlog.Inclusion)
		err    error
	}{
		"the index over all shards": {change: func(i *tlog.Inclusion) { i.Index = l.Promise(index).LogIndex }, err: tlog.ErrInclusionProof},
		"a negative index":          {change: func(i *tlog.Inclusion) { i.Index = -1 }, err: tlog.ErrInclusionProof},
		"the least index":           {change: func(i *tlog.Inclusion) { i.Index = math.MinInt64 }, err: tlog.ErrInclusionProof},
		"an index that is the size": {change: func(i *tlog.Inclusion) { i.Index = size }, err: tlog.ErrInclusionProof},
		"an index beyond the size":  {change: func(i *tlog.Inclusion) { i.Index = math.MaxInt64 }, err: tlog.ErrInclusionProof},
		"no hashes":                 {change: func(i *tlog.Inclusion) { i.Hashes = nil }, err: tlog.ErrInclusionProof},
		"one hash less":             {change: func(i *tlog.Inclusion) { i.Hashes = i.Hashes[:len(i.Hashes)-1] }, err: tlog.ErrInclusionProof},
		"one hash more":             {change: func(i *tlog.Inclusion) { i.Hashes = append(i.Hashes, i.Hashes[0]) }, err: tlog.ErrInclusionProof},
		"two hashes swapped":        {change: func(i *tlog.Inclusion) { i.Hashes[0], i.Hashes[1] = i.Hashes[1], i.Hashes[0] }, err: tlog.ErrInclusionProof},
		"a hash of 31 bytes":        {change: func(i *tlog.Inclusion) { i.Hashes[2] = i.Hashes[2][:31] }, err: tlog.ErrInclusionProof},
		"a hash of 33 bytes":        {change: func(i *tlog.Inclusion) { i.Hashes[2] = append(i.Hashes[2], 0) }, err: tlog.ErrInclusionProof},
		"an empty hash":             {change: func(i *tlog.Inclusion) { i.Hashes[2] = nil }, err: tlog.ErrInclusionProof},
		"two hashes run together": {change: func(i *tlog.Inclusion) {
			i.Hashes = append([][]byte{append(i.Hashes[0], i.Hashes[1]...)}, i.Hashes[2:]...)
		}, err: tlog.ErrInclusionProof},
		"64 hashes":                          {change: func(i *tlog.Inclusion) { i.Hashes = make([][]byte, 64) }, err: tlog.ErrLimit},
		"10,000 hashes":                      {change: func(i *tlog.Inclusion) { i.Hashes = make([][]byte, 10_000) }, err: tlog.ErrLimit},
		"the proof of another entry":         {change: func(i *tlog.Inclusion) { i.Hashes = l.Inclusion(12, size) }, err: tlog.ErrInclusionProof},
		"index and proof of another entry":   {change: func(i *tlog.Inclusion) { *i = *l.Entry(12, size).Inclusion }, err: tlog.ErrInclusionProof},
		"the proof for another size":         {change: func(i *tlog.Inclusion) { i.Hashes = l.Inclusion(index, 16) }, err: tlog.ErrInclusionProof},
		"the checkpoint of another size":     {change: func(i *tlog.Inclusion) { i.Checkpoint = l.Checkpoint(20) }, err: tlog.ErrInclusionProof},
		"the checkpoint of before the entry": {change: func(i *tlog.Inclusion) { i.Checkpoint = l.Checkpoint(13) }, err: tlog.ErrInclusionProof},
		"the checkpoint of a fork":           {change: func(i *tlog.Inclusion) { f := l.Fork(13); f.Grow(8); i.Checkpoint = f.Checkpoint(size) }, err: tlog.ErrInclusionProof},
		"no checkpoint":                      {change: func(i *tlog.Inclusion) { i.Checkpoint = "" }, err: tlog.ErrCheckpoint},
		"the checkpoint of an empty log":     {change: func(i *tlog.Inclusion) { i.Checkpoint = l.Checkpoint(0) }, err: tlog.ErrCheckpoint},
		"the same checkpoint by another log": {change: func(i *tlog.Inclusion) { i.Checkpoint = sameTree(l).Checkpoint(size) }, err: tlog.ErrCheckpoint},
	} {
		t.Run(name, func(t *testing.T) {
			inclusion := l.Entry(index, size).Inclusion
			test.change(inclusion)
			_, err := inclusion.Verify(configured(t, l), leaf)
			wantErr(t, err, test.err)
		})
	}
	t.Run("any bit of any hash changed", func(t *testing.T) {
		log := configured(t, l)
		inclusion := l.Entry(index, size).Inclusion
		for i := range hashes {
			for bit := range 256 {
				inclusion.Hashes[i][bit/8] ^= 1 << (bit % 8)
				if _, err := inclusion.Verify(log, leaf); err == nil {
					t.Fatalf("bit %d of hash %d does not matter", bit, i)
				}
				inclusion.Hashes[i][bit/8] ^= 1 << (bit % 8)
			}
		}
	})
	t.Run("an inner node of the tree in place of a leaf", func(t *testing.T) {
		// The proof for entry 12 or 13 without its first hash leads from their
		// parent. What hashes to it has two hashes as its content, and the leaf
		// prefix keeps it from being an entry.
		inner := append(append([]byte{}, hashes[0]...), leaf[:]...)
		short := tlog.Inclusion{Index: index / 2, Hashes: hashes[1:], Checkpoint: l.Checkpoint(size)}
		if _, err := short.Verify(configured(t, l), tlog.LeafHash(inner)); err == nil {
			t.Error("accepted")
		}
	})
}

// sameTree is a log with another key and the same entries.
func sameTree(l *tlogtest.Log) *tlogtest.Log {
	twin := tlogtest.New(l.Hostname)
	for i := range l.Size() {
		twin.Append(l.Promise(i).Body)
	}
	return twin
}

func TestProveRefusesWhatIsLargerThanLegitimate(t *testing.T) {
	l, claims := logged(t, 2)
	entry := l.Entry(1, 2)
	entry.Body = make([]byte, tlog.MaxBodyBytes+1)
	prover := tlog.NewProver(configured(t, l), nil, tlog.NewMemoryHistory())
	_, err := prover.Prove(t.Context(), claims[1], entry)
	wantErr(t, err, tlog.ErrLimit)
}

func TestProveRefusesEntriesOfAnotherLog(t *testing.T) {
	l, claims := logged(t, 2)
	twin := sameTree(l)
	for name, id := range map[string][]byte{
		"the ID of a log with the same name":       twin.ID(),
		"no ID":                                    nil,
		"the first 31 bytes of the ID":             l.ID()[:31],
		"the ID and a byte more":                   append(l.ID(), 0),
		"an ID of a megabyte, which is not quoted": make([]byte, 1<<20),
	} {
		t.Run(name, func(t *testing.T) {
			prover := tlog.NewProver(configured(t, l), nil, tlog.NewMemoryHistory())
			entry := l.Entry(1, 2)
			entry.LogID = id
			_, err := prover.Prove(t.Context(), claims[1], entry)
			wantErr(t, err, tlog.ErrUnknownLog)
			if err != nil && len(err.Error()) > 1000 {
				t.Errorf("the error is %d bytes long", len(err.Error()))
			}
		})
	}
}

func ExampleProof_String() {
	l := tlogtest.New("rekor.example")
	l.TreeID = 7
	body := []byte(`{"apiVersion":"0.0.1","kind":"hashedrekord","spec":{"data":{"hash":{"algorithm":"sha256","value":"` +
		hexOf([]byte("artifact")) + `"}},"signature":{"content":"cw==","publicKey":{"content":"aw=="}}}}`)
	l.Append(body)
	log, _ := tlog.NewLog(tlog.Config{Name: "corp", Version: tlog.RekorV1, Origin: l.Hostname, Key: l.PublicKey()})
	digest, _ := hex.DecodeString(hexOf([]byte("artifact")))
	claim, _ := tlog.HashedRekord(crypto.SHA256, digest, []byte("s"), []byte("k"))
	proof, err := tlog.NewProver(log, nil, tlog.NewMemoryHistory()).Prove(context.Background(), claim, l.Entry(0, 1))
	fmt.Println(proof, err)
	// Output: log "corp" (rekor.example - 7) index 0 of 1 <nil>
}
