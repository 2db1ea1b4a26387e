// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
)

// directly reaches a test log without a network, so that time can be made to pass.
type directly struct{ server *tlogtest.Server }

func (d directly) RoundTrip(r *http.Request) (*http.Response, error) {
	recorder := httptest.NewRecorder()
	d.server.Config.Handler.ServeHTTP(recorder, r)
	return recorder.Result(), nil
}

// prover is that of one more replica.
func (c *cluster) prover(log *tlogtest.Log, server *tlogtest.Server) *tlog.Prover {
	c.t.Helper()
	identity, err := tlog.NewLog(tlog.Config{Name: logName, Version: tlog.RekorV1, Origin: log.Hostname, Key: log.PublicKey()})
	if err != nil {
		c.t.Fatal(err)
	}
	endpoints, err := tlog.NewEndpoints(tlog.EndpointsConfig{
		URLs: []*url.URL{{Scheme: "http", Host: log.Hostname}}, Client: &http.Client{Transport: directly{server}},
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return tlog.NewProver(identity, tlog.NewRekorV1Client(endpoints), c.history())
}

// TestABusyLogCostsAWriteASecond: ten replicas hold requests against a log that grows
// fifty times a second. Whatever they do, the size only grows, no request is lost,
// and the API server stores a checkpoint a second.
func TestABusyLogCostsAWriteASecond(t *testing.T) {
	const replicas, seconds, rate = 10, 20, 50
	log := grown(5)
	server := tlogtest.NewServer(log)
	defer server.Close()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		mustAdvance(t, c.history(), checkpointOf(t, log, 5))
		c.writes, c.slow = 0, 5*time.Millisecond
		provers := make([]*tlog.Prover, replicas)
		for i := range provers {
			provers[i] = c.prover(log, server)
		}
		var sizes []int64
		var longest time.Duration
		var mu sync.Mutex
		var group sync.WaitGroup
		begin := time.Now()
		for n := range seconds * rate {
			claim, body := logged(t, n)
			index := log.Append(body)
			entry := log.Entry(index, index+1)
			group.Go(func() {
				asked := time.Now()
				_, err := provers[n%replicas].Prove(context.Background(), claim, entry)
				mu.Lock()
				defer mu.Unlock()
				longest = max(longest, time.Since(asked))
				sizes = append(sizes, c.object().Status.Checkpoint.Size)
				if err != nil || sizes[len(sizes)-1] < entry.LogIndex+1-log.FirstIndex {
					t.Errorf("size %d: %v; stored is %d", index+1, err, sizes[len(sizes)-1])
				}
			})
			time.Sleep(time.Second / rate)
		}
		group.Wait()
		for i := 1; i < len(sizes); i++ {
			if sizes[i] < sizes[i-1] {
				t.Fatalf("the stored size went from %d to %d", sizes[i-1], sizes[i])
			}
		}
		took := time.Since(begin)
		t.Logf("in %v %d writes were stored of %d that were tried; nobody waited longer than %v", took, c.stored, c.writes, longest)
		if most := int(took/time.Second) + 2; c.stored > most {
			t.Errorf("%d writes in %v", c.stored, took)
		}
		if longest > 2*time.Second {
			t.Errorf("a request waited %v", longest)
		}
	})
}

// logged is the claim that a signature over the nth artifact was logged, and the
// entry's body.
func logged(t *testing.T, n int) (tlog.Claim, []byte) {
	t.Helper()
	digest := sha256.Sum256([]byte(strconv.Itoa(n)))
	claim, err := tlog.HashedRekord(crypto.SHA256, digest[:], []byte("signature"), []byte("key"))
	if err != nil {
		t.Fatal(err)
	}
	return claim, fmt.Appendf(nil, `{"apiVersion":"0.0.1","kind":"hashedrekord","spec":{"data":{"hash":{"algorithm":"sha256","value":"%x"}},`+
		`"signature":{"content":"%s","publicKey":{"content":"%s"}}}}`, digest,
		base64.StdEncoding.EncodeToString([]byte("signature")), base64.StdEncoding.EncodeToString([]byte("key")))
}

func TestTurn(t *testing.T) {
	log := grown(9)
	for name, test := range map[string]struct {
		before func(t *testing.T, c *cluster, h *StatusHistory)
		min    time.Duration
		max    time.Duration
	}{
		"nothing was ever stored": {func(*testing.T, *cluster, *StatusHistory) {}, 0, 0},
		"this replica wrote just now": {func(t *testing.T, _ *cluster, h *StatusHistory) {
			t.Helper()
			mustAdvance(t, h, checkpointOf(t, log, 5))
			mustAdvance(t, h, checkpointOf(t, log, 6))
		}, writeInterval, writeInterval + writeJitter},
		"another one did": {func(t *testing.T, c *cluster, h *StatusHistory) {
			t.Helper()
			mustAdvance(t, h, checkpointOf(t, log, 5))
			time.Sleep(time.Minute)
			mustAdvance(t, c.history(), checkpointOf(t, log, 6))
			if _, _, err := h.Latest(t.Context(), log.Origin()); err != nil {
				t.Fatal(err)
			}
		}, writeInterval, writeInterval + writeJitter},
		"one that wrote before this one began": {func(t *testing.T, c *cluster, h *StatusHistory) {
			t.Helper()
			mustAdvance(t, c.history(), checkpointOf(t, log, 5))
			time.Sleep(time.Minute)
			if _, _, err := h.Latest(t.Context(), log.Origin()); err != nil {
				t.Fatal(err)
			}
		}, 0, 0},
		"a clock that is ahead wrote": {func(t *testing.T, c *cluster, h *StatusHistory) {
			t.Helper()
			mustAdvance(t, c.history(), checkpointOf(t, log, 5))
			obj := c.object()
			obj.Status.Checkpoint.VerifiedAt = metav1.NewTime(time.Now().Add(time.Hour))
			if err := c.Status().Update(t.Context(), obj); err != nil {
				t.Fatal(err)
			}
			if _, _, err := h.Latest(t.Context(), log.Origin()); err != nil {
				t.Fatal(err)
			}
		}, writeInterval, writeInterval + writeJitter},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t)
				h := c.history()
				test.before(t, c, h)
				begin := time.Now()
				waited, err := h.Turn(t.Context())
				if took := time.Since(begin); err != nil || waited != (took > 0) || took < test.min || took > test.max {
					t.Errorf("Turn = %v, %v after %v; want %v to %v", waited, err, took, test.min, test.max)
				}
			})
		})
	}
}

func TestTurnEndsWithItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, log := newCluster(t), grown(5)
		h := c.history()
		mustAdvance(t, h, checkpointOf(t, log, 4))
		mustAdvance(t, h, checkpointOf(t, log, 5))
		ctx, cancel := context.WithTimeout(t.Context(), writeInterval/2)
		defer cancel()
		if _, err := h.Turn(ctx); !errors.Is(err, tlog.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Turn = %v; want ErrUnavailable for want of time", err)
		}
	})
}
