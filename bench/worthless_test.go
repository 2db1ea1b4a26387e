// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"net/url"
	"runtime"
	"testing"

	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
	"github.com/countersign-dev/countersign/pkg/verify"
	"github.com/countersign-dev/countersign/pkg/verify/verifytest"
)

// worthless is how many signatures of other keys lie beside the good one: nearly as
// many as registry.Limits lets through.
const worthless = 1000

// BenchmarkWorthlessSignatures judges an image with a thousand signatures by keys
// that no policy names, and the good one last, in units of the verdict on the good one
// alone. Whoever may push to a repository can make an image cost this. Worthless
// signatures cost a signature check each, and nothing is asked of a log for them.
func BenchmarkWorthlessSignatures(b *testing.B) {
	l := tlogtest.New("rekor.example.test")
	signer := verifytest.NewSigner()
	good := signer.LoggedLegacy(l, verifytest.SimpleSigning("registry.example.test/app", digest))
	var all []verify.Signature
	for range worthless {
		all = append(all, verifytest.NewSigner().LoggedLegacy(l, verifytest.SimpleSigning("registry.example.test/app", digest)))
	}
	all = append(all, good)

	log, err := tlog.NewLog(tlog.Config{Name: "corp", Version: tlog.RekorV1, Origin: l.Hostname, Key: l.PublicKey()})
	if err != nil {
		b.Fatal(err)
	}
	server := tlogtest.NewServer(l)
	defer server.Close()
	base, err := url.Parse(server.URL)
	if err != nil {
		b.Fatal(err)
	}
	endpoints, err := tlog.NewEndpoints(tlog.EndpointsConfig{URLs: []*url.URL{base}})
	if err != nil {
		b.Fatal(err)
	}
	client := tlog.NewRekorV1Client(endpoints)
	key, err := verify.ParseKey(signer.PEM(), "")
	if err != nil {
		b.Fatal(err)
	}
	authority := &verify.Authority{Name: "key", Keys: []verify.Key{key}, Logs: []*tlog.Prover{tlog.NewProver(log, client, tlog.NewMemoryHistory())}}
	judge := func(signatures []verify.Signature) func() {
		return func() {
			if v, ok := authority.Verify(context.Background(), digest, signatures).(verify.Verified); !ok {
				b.Fatal(v)
			}
		}
	}
	judge(all)() // the log is asked once, for the good one
	if asked := server.Requests.Load(); asked > 2 {
		b.Errorf("the log was asked %d times", asked)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	judge(all)()
	runtime.ReadMemStats(&after)
	ratio(b, "x-one-signature", judge(all), judge([]verify.Signature{good}))
	b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/(worthless+1), "B/signature")
}
