// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	pbcommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	pbrekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	tilesnote "github.com/sigstore/rekor-tiles/v2/pkg/note"
	tilesverify "github.com/sigstore/rekor-tiles/v2/pkg/verify"
	"github.com/sigstore/sigstore/pkg/signature"

	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
)

// TestRekorV2Checkpoint: whether a checkpoint is of the configured log is decided by what
// is configured, which includes the version.
func TestRekorV2Checkpoint(t *testing.T) {
	ecdsaKey, edKey := p256(t), edwards(t)
	for name, key := range map[string]crypto.Signer{"ECDSA": ecdsaKey, "Ed25519": edKey} {
		l := tlogtest.NewTiledWithKey(hostname, key)
		l.Grow(7)
		// v1 is the same key in the hands of a Rekor v1, under the same name.
		v1 := tlogtest.NewWithKey(hostname, key)
		v1.Grow(7)
		text, _, _ := strings.Cut(l.Checkpoint(7), "\n\n")
		text += "\n"
		origin := func(origin string) string { return strings.Replace(text, hostname, origin, 1) }
		renamed := tlogtest.NewTiledWithKey("other.example.test", key)
		renamed.Grow(7)
		other := map[string]crypto.Signer{"ECDSA": edKey, "Ed25519": ecdsaKey}[name]
		stranger := tlogtest.NewTiledWithKey(hostname, other)
		stranger.Grow(7)
		for test, want := range map[string]struct {
			note string
			log  *tlogtest.Log
			err  error
		}{
			"the log's":                                     {note: l.Checkpoint(7)},
			"with another signature first":                  {note: text + "\n" + stranger.SignatureLine(text) + l.SignatureLine(text)},
			"Rekor v1's, offered to v2":                     {note: v1.Checkpoint(7), err: tlog.ErrCheckpoint},
			"the log's, offered to v1":                      {note: l.Checkpoint(7), log: v1, err: tlog.ErrCheckpoint},
			"with a tree ID in the origin":                  {note: l.SignNote(origin(hostname + " - 42")), err: tlog.ErrCheckpoint},
			"with the origin of another log":                {note: l.SignNote(origin("other.example.test")), err: tlog.ErrCheckpoint},
			"with an origin that only begins so":            {note: l.SignNote(origin(hostname + ".evil.test")), err: tlog.ErrCheckpoint},
			"of the same key under another name":            {note: renamed.Checkpoint(7), err: tlog.ErrCheckpoint},
			"of another kind of key":                        {note: stranger.Checkpoint(7), err: tlog.ErrCheckpoint},
			"of another kind of key, under the log's ID":    {note: text + "\n" + relabelled(t, stranger.SignatureLine(text), l.ID()), err: tlog.ErrCheckpoint},
			"under the ID that Rekor v1 gives the key":      {note: text + "\n" + relabelled(t, l.SignatureLine(text), v1.ID()), err: unless(name == "ECDSA", tlog.ErrCheckpoint)},
			"signed over other words":                       {note: text + "\n" + renamed.SignatureLine(origin("x")), err: tlog.ErrCheckpoint},
			"of size 0":                                     {note: l.Checkpoint(0), err: tlog.ErrCheckpoint},
			"frozen for good":                               {note: l.SignNote(text + "Log frozen — Mon Jan  5 08:00:00 UTC 2026\n")},
			"frozen, in another spelling":                   {note: l.SignNote(text + "Log frozen — Mon Jan 05 08:00:00 UTC 2026\n"), err: tlog.ErrCheckpoint},
			"frozen, on another weekday":                    {note: l.SignNote(text + "Log frozen — Tue Jan  5 08:00:00 UTC 2026\n"), err: tlog.ErrCheckpoint},
			"frozen at no time":                             {note: l.SignNote(text + "Log frozen — 5 January 2026\n"), err: tlog.ErrCheckpoint},
			"frozen in another zone":                        {note: l.SignNote(text + "Log frozen — Mon Jan  5 08:00:00 PST 2026\n"), err: tlog.ErrCheckpoint},
			"frozen twice":                                  {note: l.SignNote(text + "Log frozen — Mon Jan  5 08:00:00 UTC 2026\nLog frozen — Mon Jan  5 08:00:00 UTC 2026\n"), err: tlog.ErrCheckpoint},
			"with another line":                             {note: l.SignNote(text + "Log frozen\n"), err: tlog.ErrCheckpoint},
			"Rekor v1's, frozen":                            {note: v1.SignNote(strings.Replace(text, hostname, v1.Origin(), 1) + "Log frozen — Mon Jan  5 08:00:00 UTC 2026\n"), log: v1, err: tlog.ErrCheckpoint},
			"without a signature":                           {note: text + "\n", err: tlog.ErrCheckpoint},
			"with the log's name in another case":           {note: text + "\n" + strings.Replace(l.SignatureLine(text), hostname, strings.ToUpper(hostname), 1), err: tlog.ErrCheckpoint},
			"with a key name that has the origin's tree ID": {note: text + "\n" + strings.Replace(l.SignatureLine(text), hostname, hostname+" - 42", 1), err: tlog.ErrCheckpoint},
		} {
			t.Run(name+" "+test, func(t *testing.T) {
				log := want.log
				if log == nil {
					log = l
				}
				_, err := configured(t, log).VerifyCheckpoint([]byte(want.note))
				wantErr(t, err, want.err)
			})
		}
	}
}

func unless(condition bool, err error) error {
	if condition {
		return nil
	}
	return err
}

// relabelled returns a signature line with another key ID.
func relabelled(t *testing.T, line string, id []byte) string {
	t.Helper()
	fields := strings.Fields(line)
	sig, err := base64.StdEncoding.DecodeString(fields[2])
	if err != nil {
		t.Fatal(err)
	}
	return "— " + fields[1] + " " + base64.StdEncoding.EncodeToString(append(append([]byte{}, id[:4]...), sig[4:]...)) + "\n"
}

// TestRekorV2Entry: what an entry of a bundle must be.
func TestRekorV2Entry(t *testing.T) {
	for name, key := range map[string]crypto.Signer{"ECDSA": p256(t), "Ed25519": edwards(t)} {
		l := tlogtest.NewTiledWithKey(hostname, key)
		claims := extend(t, l, 1000, "entry ")
		v1 := tlogtest.NewWithKey(hostname, key)
		extend(t, v1, 1000, "entry ")
		for test, want := range map[string]struct {
			change func(*tlog.Entry)
			err    error
		}{
			"as it is":                         {},
			"with a time, which nobody signed": {change: func(e *tlog.Entry) { e.IntegratedTime = tlogtest.IntegratedTime }},
			"with a signed entry timestamp": {change: func(e *tlog.Entry) {
				e.IntegratedTime = tlogtest.IntegratedTime
				e.SignedEntryTimestamp = l.SignEntry(e)
			}, err: tlog.ErrSignedEntryTimestamp},
			"with a wrong one":                   {change: func(e *tlog.Entry) { e.SignedEntryTimestamp = []byte{1} }, err: tlog.ErrSignedEntryTimestamp},
			"that says another index":            {change: func(e *tlog.Entry) { e.LogIndex++ }, err: tlog.ErrInclusionProof},
			"that proves another index":          {change: func(e *tlog.Entry) { e.Inclusion.Index++ }, err: tlog.ErrInclusionProof},
			"that says and proves another index": {change: func(e *tlog.Entry) { e.LogIndex++; e.Inclusion.Index++ }, err: tlog.ErrInclusionProof},
			"of another log":                     {change: func(e *tlog.Entry) { e.LogID = make([]byte, 32) }, err: tlog.ErrUnknownLog},
			"of the four bytes of the log's ID":  {change: func(e *tlog.Entry) { e.LogID = e.LogID[:4] }, err: tlog.ErrUnknownLog},
			"about something else":               {change: func(e *tlog.Entry) { e.Body = bodyOf(t, claims[7]) }, err: tlog.ErrEntryMismatch},
			"under a Rekor v1 checkpoint":        {change: func(e *tlog.Entry) { e.Inclusion.Checkpoint = v1.Checkpoint(900) }, err: tlog.ErrCheckpoint},
			"under a checkpoint of other size":   {change: func(e *tlog.Entry) { e.Inclusion.Checkpoint = l.Checkpoint(901) }, err: tlog.ErrInclusionProof},
			"under no checkpoint":                {change: func(e *tlog.Entry) { e.Inclusion.Checkpoint = "" }, err: tlog.ErrCheckpoint},
			"of the Rekor v1 with that key":      {change: func(e *tlog.Entry) { *e = *v1.Entry(5, 900) }, err: unlessUnknown(name)},
		} {
			t.Run(name+" "+test, func(t *testing.T) {
				entry := l.Entry(5, 900)
				if want.change != nil {
					want.change(entry)
				}
				for mode, prover := range map[string]*tlog.Prover{
					"offline": tlog.NewProver(configured(t, l), nil, tlog.NewMemoryHistory()),
					"online":  online(t, l, serve(t, l), tlog.NewMemoryHistory()),
				} {
					proof, err := prover.Prove(t.Context(), claims[5], entry)
					wantErr(t, err, want.err)
					if _, timed := proof.IntegratedTime(); timed {
						t.Errorf("%s: the proof says when the entry was taken", mode)
					}
				}
			})
		}
	}
}

// unlessUnknown: the entry of a Rekor v1 names it by the hash of its key, which a Rekor v2
// with an Ed25519 key is not.
func unlessUnknown(key string) error {
	if key == "ECDSA" {
		return tlog.ErrSignedEntryTimestamp
	}
	return tlog.ErrUnknownLog
}

// TestRekorV2EntryWithoutProof: tiles are read by index, so that an entry that names its
// own can be proven. There is no search.
func TestRekorV2EntryWithoutProof(t *testing.T) {
	l, claims := tiled(t, 1000)
	for name, test := range map[string]struct {
		entry   *tlog.Entry
		offline error
		online  error
	}{
		"an entry that names its index":         {entry: l.Promise(5), offline: tlog.ErrUnavailable},
		"one that names another entry's index":  {entry: at(l.Promise(5), 6), offline: tlog.ErrUnavailable, online: tlog.ErrEntryMismatch},
		"one that names an index to come":       {entry: at(l.Promise(5), 1000), offline: tlog.ErrUnavailable, online: tlog.ErrNotLogged},
		"one that names a negative index":       {entry: at(l.Promise(5), -1), offline: tlog.ErrUnavailable, online: tlog.ErrNotLogged},
		"one that names the largest of indexes": {entry: at(l.Promise(5), 1<<63-1), offline: tlog.ErrUnavailable, online: tlog.ErrNotLogged},
		"one about something else":              {entry: l.Promise(6), offline: tlog.ErrEntryMismatch, online: tlog.ErrEntryMismatch},
		"no entry":                              {offline: tlog.ErrNotLogged, online: tlog.ErrNotLogged},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := tlog.NewProver(configured(t, l), nil, tlog.NewMemoryHistory()).Prove(t.Context(), claims[5], test.entry)
			wantErr(t, err, test.offline)

			prover := online(t, l, serve(t, l), tlog.NewMemoryHistory())
			// What is known of the entry changes nothing.
			for range 2 {
				proof, err := prover.Prove(t.Context(), claims[5], test.entry)
				wantErr(t, err, test.online)
				if err == nil && (proof.Index() != 5 || proof.Checkpoint().Size() != 1000) {
					t.Errorf("got %v", proof)
				}
				if _, err := prover.Prove(t.Context(), claims[5], l.Entry(5, 1000)); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func at(e *tlog.Entry, index int64) *tlog.Entry {
	e.LogIndex = index
	return e
}

// TestRekorV2EntryIsProvenOnce: what was proven is not asked for again.
func TestRekorV2EntryIsProvenOnce(t *testing.T) {
	l, claims := tiled(t, 300)
	server := serve(t, l)
	prover := online(t, l, server, tlog.NewMemoryHistory())
	for range 3 {
		if _, err := prover.Prove(t.Context(), claims[5], l.Promise(5)); err != nil {
			t.Fatal(err)
		}
	}
	// The checkpoint, as the log's first contact a second time, and the tiles of the path.
	if got := server.Requests.Load(); got != 5 {
		t.Errorf("got %d requests, want 5", got)
	}
}

// TestRekorV2EntryCannotBeFound: what the log says instead of a checkpoint or a tile.
func TestRekorV2EntryCannotBeFound(t *testing.T) {
	l, claims := tiled(t, 300)
	other := tlogtest.NewTiled(hostname)
	for name, test := range map[string]struct {
		path   string
		answer func(http.ResponseWriter, *http.Request)
		err    error
	}{
		"no checkpoint": {"/checkpoint", http.NotFound, tlog.ErrUnavailable},
		"a checkpoint that is too long": {"/checkpoint", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(make([]byte, tlog.MaxNoteBytes+1))
		}, tlog.ErrLimit},
		"a checkpoint of another key":     {"/checkpoint", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(other.Checkpoint(0))) }, tlog.ErrCheckpoint},
		"a checkpoint of an empty log":    {"/checkpoint", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(l.Checkpoint(0))) }, tlog.ErrNotLogged},
		"a page of text for a checkpoint": {"/checkpoint", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>\n\n</html>\n")) }, tlog.ErrUnavailable},
		"no tile":                         {"/tile/0/000", http.NotFound, tlog.ErrUnavailable},
		"a wrong tile":                    {"/tile/0/000", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 8192)) }, tlog.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			server := serve(t, l)
			server.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path != test.path {
					return false
				}
				test.answer(w, r)
				return true
			})
			_, err := online(t, l, server, tlog.NewMemoryHistory()).Prove(t.Context(), claims[5], l.Promise(5))
			wantErr(t, err, test.err)
		})
	}
}

// TestRekorTilesVerifiesTheSame: sigstore's own verifier of Rekor v2 entries accepts what
// the log in memory makes, and refuses what we refuse.
func TestRekorTilesVerifiesTheSame(t *testing.T) {
	for name, key := range map[string]crypto.Signer{"ECDSA": p256(t), "Ed25519": edwards(t)} {
		l := tlogtest.NewTiledWithKey(hostname, key)
		claims := extend(t, l, 300, "entry ")
		verifier, err := signature.LoadDefaultVerifier(key.Public())
		if err != nil {
			t.Fatal(err)
		}
		oracle, err := tilesnote.NewNoteVerifier(hostname, verifier)
		if err != nil {
			t.Fatal(err)
		}
		for test, change := range map[string]func(*tlog.Entry){
			"as it is":                func(*tlog.Entry) {},
			"another body":            func(e *tlog.Entry) { e.Body = append([]byte{' '}, e.Body...) },
			"another index":           func(e *tlog.Entry) { e.LogIndex++; e.Inclusion.Index++ },
			"another checkpoint":      func(e *tlog.Entry) { e.Inclusion.Checkpoint = l.Checkpoint(299) },
			"a hash less":             func(e *tlog.Entry) { e.Inclusion.Hashes = e.Inclusion.Hashes[1:] },
			"a tree ID in the origin": func(e *tlog.Entry) { e.Inclusion.Checkpoint = v1Checkpoint(t, l, 300) },
			"a bit of the signature": func(e *tlog.Entry) {
				e.Inclusion.Checkpoint = strings.Replace(e.Inclusion.Checkpoint, "\n300\n", "\n301\n", 1)
			},
		} {
			t.Run(name+" "+test, func(t *testing.T) {
				entry := l.Entry(42, 300)
				change(entry)
				theirs := tilesverify.VerifyLogEntry(&pbrekor.TransparencyLogEntry{
					LogIndex:          entry.LogIndex,
					LogId:             &pbcommon.LogId{KeyId: entry.LogID},
					CanonicalizedBody: entry.Body,
					InclusionProof: &pbrekor.InclusionProof{
						LogIndex: entry.Inclusion.Index, Hashes: entry.Inclusion.Hashes,
						Checkpoint: &pbrekor.Checkpoint{Envelope: entry.Inclusion.Checkpoint},
					},
				}, oracle)
				_, ours := tlog.NewProver(configured(t, l), nil, tlog.NewMemoryHistory()).Prove(t.Context(), claims[42], entry)
				if (theirs == nil) != (ours == nil) {
					t.Errorf("sigstore says %v, we say %v", theirs, ours)
				}
				if (test == "as it is") != (ours == nil) {
					t.Errorf("got error %v", ours)
				}
			})
		}
	}
}

func p256(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func edwards(t *testing.T) crypto.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
