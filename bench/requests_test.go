// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"fmt"
	"net/url"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
	"github.com/countersign-dev/countersign/pkg/verify"
	"github.com/countersign-dev/countersign/pkg/verify/verifytest"
)

const (
	// admissions is how many images are judged, and sideBySide how many at a time.
	admissions = 1000
	sideBySide = 32
)

// traffic is a log, and how its signatures say that they are in it.
type traffic struct {
	name string
	log  func() *tlogtest.Log
	sign func(s *verifytest.Signer, l *tlogtest.Log, digest string) verify.Signature
	// most is how many requests to the log a digest that was not seen before may
	// cost. Those that were cost none.
	most float64
}

// traffics are the forms in which signatures come. The log takes other entries between any
// two of them, so that each brings a checkpoint that nobody has seen.
func traffics() []traffic {
	return []traffic{
		{
			"SET-only", func() *tlogtest.Log { return tlogtest.New("rekor.example.test") },
			func(s *verifytest.Signer, l *tlogtest.Log, digest string) verify.Signature {
				return s.LoggedLegacy(l, verifytest.SimpleSigning("registry.example.test/app", digest))
			}, 2, // the entry with its proof, and that its checkpoint continues what was seen
		},
		{
			"embedded-proof", func() *tlogtest.Log { return tlogtest.New("rekor.example.test") },
			func(s *verifytest.Signer, l *tlogtest.Log, digest string) verify.Signature {
				return s.LoggedBundle(l, verifytest.Statement(digest))
			}, 1, // that its checkpoint continues what was seen
		},
		{
			"rekor-v2", func() *tlogtest.Log { return tlogtest.NewTiled("log.example.test") },
			func(s *verifytest.Signer, l *tlogtest.Log, digest string) verify.Signature {
				envelope := s.Envelope("application/vnd.in-toto+json", verifytest.Statement(digest))
				index := l.Append(s.HashedRekordV2Of(envelope))
				return s.Bundle(envelope, l.Entry(index, l.Size())).Verify()
			}, 3, // the tiles of the right edge, of a tree with three levels of them
		},
	}
}

// admit judges a thousand images of so many distinct digests, each with its own signature,
// in the order in which they were logged, and returns how many requests the log was asked.
// The log was polled before, as that of a cluster is.
func (tr traffic) admit(tb testing.TB, distinct int) (requests int64) {
	tb.Helper()
	l := tr.log()
	l.Grow(300)
	server := tlogtest.NewServer(l)
	defer server.Close()
	prover := proverAt(tb, l, server.URL)
	if _, err := prover.Poll(context.Background()); err != nil {
		tb.Fatal(err)
	}
	signer := verifytest.NewSigner()
	key, err := verify.ParseKey(signer.PEM(), "")
	if err != nil {
		tb.Fatal(err)
	}
	authority := &verify.Authority{Name: "key", Keys: []verify.Key{key}, Logs: []*tlog.Prover{prover}}
	before := server.Requests.Load()
	for i := range distinct {
		digest := fmt.Sprintf("sha256:%064x", i)
		signatures := []verify.Signature{tr.sign(signer, l, digest)}
		l.Grow(1)
		var group errgroup.Group
		group.SetLimit(sideBySide)
		for range admissions / distinct {
			group.Go(func() error {
				if v, ok := authority.Verify(context.Background(), digest, signatures).(verify.Verified); !ok {
					return fmt.Errorf("%v", v)
				}
				return nil
			})
		}
		if err := group.Wait(); err != nil {
			tb.Fatal(err)
		}
	}
	return server.Requests.Load() - before
}

func proverAt(tb testing.TB, l *tlogtest.Log, address string) *tlog.Prover {
	tb.Helper()
	log, err := tlog.NewLog(tlog.Config{Name: "corp", Version: l.Version, Origin: l.Hostname, Key: l.PublicKey()})
	if err != nil {
		tb.Fatal(err)
	}
	base, err := url.Parse(address)
	if err != nil {
		tb.Fatal(err)
	}
	endpoints, err := tlog.NewEndpoints(tlog.EndpointsConfig{URLs: []*url.URL{base}})
	if err != nil {
		tb.Fatal(err)
	}
	return tlog.NewProver(log, tlog.NewClient(log, endpoints), tlog.NewMemoryHistory())
}

// TestRequestsToTheLog: what a digest costs the log the first time, and that it costs
// nothing after that, however many ask at once.
func TestRequestsToTheLog(t *testing.T) {
	t.Parallel()
	for _, tr := range traffics() {
		for _, distinct := range []int{1, 10, 1000} {
			t.Run(fmt.Sprintf("%s of %d digests", tr.name, distinct), func(t *testing.T) {
				t.Parallel()
				requests := tr.admit(t, distinct)
				if each := float64(requests) / float64(distinct); each > tr.most || requests == 0 {
					t.Errorf("%d admissions asked the log %d times, %.2f a distinct digest; want at most %.0f, and some", admissions, requests, each, tr.most)
				}
			})
		}
	}
}

// BenchmarkRequestsToTheLog reports how often the log is asked in a thousand admissions.
func BenchmarkRequestsToTheLog(b *testing.B) {
	for _, tr := range traffics() {
		for _, distinct := range []int{1, 10, 1000} {
			b.Run(fmt.Sprintf("%s/%d-digests", tr.name, distinct), func(b *testing.B) {
				var requests int64
				var once sync.Once // the count is the same each time
				for b.Loop() {
					once.Do(func() { requests = tr.admit(b, distinct) })
				}
				b.ReportMetric(float64(requests), "requests/1000-admissions")
				b.ReportMetric(float64(requests)/float64(distinct), "requests/digest")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}
