// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog_test

import (
	"context"
	"crypto"
	"crypto/sha256"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"testing"

	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
)

const hostname = "rekor.example.test"

// configured is the identity of l as a cluster's owner would configure it.
func configured(t testing.TB, l *tlogtest.Log) *tlog.Log {
	t.Helper()
	return newLog(t, configOf(l))
}

func configOf(l *tlogtest.Log) tlog.Config {
	return tlog.Config{Name: "corp", Version: l.Version, Origin: l.Hostname, Key: l.PublicKey()}
}

func newLog(t testing.TB, config tlog.Config) *tlog.Log {
	t.Helper()
	log, err := tlog.NewLog(config)
	if err != nil {
		t.Fatal(err)
	}
	return log
}

func checkpointOf(t testing.TB, l *tlogtest.Log, size int) tlog.Checkpoint {
	t.Helper()
	checkpoint, err := configured(t, l).VerifyCheckpoint([]byte(l.Checkpoint(size)))
	if err != nil {
		t.Fatal(err)
	}
	return checkpoint
}

func serve(t testing.TB, l *tlogtest.Log) *tlogtest.Server {
	t.Helper()
	server := tlogtest.NewServer(l)
	t.Cleanup(server.Close)
	return server
}

func dial(t testing.TB, address string) *tlog.RekorV1Client {
	t.Helper()
	base, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return dialAt(t, nil, base)
}

// dialAt returns a client that asks the replicas at bases.
func dialAt(t testing.TB, client *http.Client, bases ...*url.URL) *tlog.RekorV1Client {
	t.Helper()
	endpoints, err := tlog.NewEndpoints(tlog.EndpointsConfig{URLs: bases, Client: client})
	if err != nil {
		t.Fatal(err)
	}
	return tlog.NewRekorV1Client(endpoints)
}

// online returns a prover for l that asks server and keeps to history.
func online(t testing.TB, l *tlogtest.Log, server *tlogtest.Server, history tlog.History) *tlog.Prover {
	t.Helper()
	if l.Version == tlog.RekorV2 {
		return tlog.NewProver(configured(t, l), dialTiles(t, l, server.URL), history)
	}
	return tlog.NewProver(configured(t, l), dial(t, server.URL), history)
}

// timeless returns a prover for l that asks server without a network. In a bubble of
// testing/synctest its pauses cost no time.
func timeless(t *testing.T, l *tlogtest.Log, server *tlogtest.Server, history tlog.History) *tlog.Prover {
	t.Helper()
	log, transport := configured(t, l), &inMemory{server: server}
	if l.Version == tlog.RekorV2 {
		return tlog.NewProver(log, dialTilesThrough(t, log, transport), history)
	}
	return tlog.NewProver(log, dialThrough(t, transport), history)
}

// dialTilesThrough returns a client for log that asks whoever is behind transport.
func dialTilesThrough(t testing.TB, log *tlog.Log, transport http.RoundTripper) *tlog.TilesClient {
	t.Helper()
	endpoints, err := tlog.NewEndpoints(tlog.EndpointsConfig{
		URLs:   []*url.URL{{Scheme: "https", Host: hostname}},
		Client: &http.Client{Transport: transport},
	})
	if err != nil {
		t.Fatal(err)
	}
	return tlog.NewTilesClient(log, endpoints)
}

// dialTiles returns a client for l, a Rekor v2 log, that asks the replicas at addresses.
func dialTiles(t testing.TB, l *tlogtest.Log, addresses ...string) *tlog.TilesClient {
	t.Helper()
	var bases []*url.URL
	for _, address := range addresses {
		base, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		bases = append(bases, base)
	}
	endpoints, err := tlog.NewEndpoints(tlog.EndpointsConfig{URLs: bases})
	if err != nil {
		t.Fatal(err)
	}
	return tlog.NewTilesClient(configured(t, l), endpoints)
}

// logged is a log of n entries, each with the claim that it answers.
func logged(t testing.TB, n int) (*tlogtest.Log, []tlog.Claim) {
	t.Helper()
	l := tlogtest.New(hostname)
	return l, extend(t, l, n, "entry ")
}

// tiled is logged of Rekor v2.
func tiled(t testing.TB, n int) (*tlogtest.Log, []tlog.Claim) {
	t.Helper()
	l := tlogtest.NewTiled(hostname)
	return l, extend(t, l, n, "entry ")
}

// extend adds n entries to l and returns their claims. Logs that are extended with
// different words differ.
func extend(t testing.TB, l *tlogtest.Log, n int, word string) []tlog.Claim {
	t.Helper()
	claims := make([]tlog.Claim, n)
	for i := range claims {
		claims[i] = claimOf(t, word+strconv.Itoa(i))
		body, _ := claims[i].Body()
		l.Append(body)
	}
	return claims
}

// claimOf makes a claim about some artifact.
func claimOf(t testing.TB, artifact string) tlog.Claim {
	t.Helper()
	digest := sha256.Sum256([]byte(artifact))
	claim, err := tlog.HashedRekord(crypto.SHA256, digest[:], []byte("signature of "+artifact), []byte("-----BEGIN PUBLIC KEY-----\n"))
	if err != nil {
		t.Fatal(err)
	}
	return claim
}

func bodyOf(t testing.TB, claim tlog.Claim) []byte {
	t.Helper()
	body, ok := claim.Body()
	if !ok {
		t.Fatal("the claim does not determine its body")
	}
	return body
}

// seeded is a history that begins with a checkpoint of l.
func seeded(l *tlogtest.Log, size int) *tlog.MemoryHistory {
	history := tlog.NewMemoryHistory()
	history.Seed(l.Origin(), l.Checkpoint(size))
	return history
}

// storedSize is the size of what history holds of l.
func storedSize(t testing.TB, l *tlogtest.Log, history tlog.History) uint64 {
	t.Helper()
	note, _, err := history.Latest(context.Background(), l.Origin())
	if err != nil {
		t.Fatal(err)
	}
	if note == nil {
		return 0
	}
	checkpoint, err := configured(t, l).VerifyCheckpoint(note)
	if err != nil {
		t.Fatal(err)
	}
	return checkpoint.Size()
}

// accused returns the evidence that history holds against its log, or nil.
func accused(history tlog.History) *tlog.InconsistencyError {
	var evidence *tlog.InconsistencyError
	_, _, err := history.Latest(context.Background(), "")
	errors.As(err, &evidence)
	return evidence
}

// wantErr checks that err is of the wanted kind and of no other kind that callers
// would take for something else. A nil want wants success.
func wantErr(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got error %v, want %v", err, want)
	}
}

// proofRequests counts the consistency proofs that a server was asked for.
type proofRequests struct {
	mu    sync.Mutex
	asked []string
}

func (p *proofRequests) watch(server *tlogtest.Server) {
	server.Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/api/v1/log/proof" {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.asked = append(p.asked, r.FormValue("firstSize")+"-"+r.FormValue("lastSize"))
		}
		return false
	})
}

func (p *proofRequests) take() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	asked := p.asked
	p.asked = nil
	return asked
}
