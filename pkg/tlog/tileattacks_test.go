// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
)

// lie makes a server answer some requests for a tile otherwise than the log would.
type lie struct {
	path   string // of the tile; empty for every one
	times  int    // how many requests for it are lied to; 0 for all
	answer func(w http.ResponseWriter, truth []byte)

	mu    sync.Mutex
	told  map[string]int
	truth *tlogtest.Server
}

func (l *lie) tell(server *tlogtest.Server, truth *tlogtest.Server) {
	l.told, l.truth = map[string]int{}, truth
	server.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		path := strings.TrimPrefix(r.URL.Path, "/")
		if !strings.HasPrefix(path, "tile/") || l.path != "" && path != l.path {
			return false
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.told[path]++; l.times > 0 && l.told[path] > l.times {
			return false
		}
		recorder := httptest.NewRecorder()
		l.truth.Config.Handler.ServeHTTP(recorder, r)
		l.answer(w, recorder.Body.Bytes())
		return true
	})
}

func statusOf(code int) func(http.ResponseWriter, []byte) {
	return func(w http.ResponseWriter, _ []byte) { w.WriteHeader(code) }
}

func write(change func([]byte) []byte) func(http.ResponseWriter, []byte) {
	return func(w http.ResponseWriter, truth []byte) { _, _ = w.Write(change(truth)) }
}

// TestWrongTilesAccuseNobody: a tile that was changed on its way is asked for once more;
// what cannot be shown then is denied, and only signed notes are evidence.
func TestWrongTilesAccuseNobody(t *testing.T) {
	const older, newer = 700, 1000
	l, claims := tiled(t, newer)
	fork := l.Fork(300)
	fork.Grow(700)
	truth, forked := serve(t, l), serve(t, fork)
	for name, test := range map[string]struct {
		answer func(http.ResponseWriter, []byte)
		err    error // when all answers are such
		// once is the verdict when the first answer for each tile is such.
		once error
	}{
		"a bit changed": {answer: write(func(b []byte) []byte { b[len(b)/2] ^= 1; return b }), err: tlog.ErrInconsistent},
		"two hashes in the other order": {answer: write(func(b []byte) []byte {
			return append(append(bytes.Clone(b[32:64]), b[:32]...), b[64:]...)
		}), err: tlog.ErrInconsistent},
		"a byte less":           {answer: write(func(b []byte) []byte { return b[:len(b)-1] }), err: tlog.ErrInconsistent},
		"a hash less":           {answer: write(func(b []byte) []byte { return b[:len(b)-32] }), err: tlog.ErrInconsistent},
		"a byte more":           {answer: write(func(b []byte) []byte { return append(b, 0) }), err: tlog.ErrLimit, once: tlog.ErrLimit},
		"a megabyte more":       {answer: write(func(b []byte) []byte { return append(b, make([]byte, 1<<20)...) }), err: tlog.ErrLimit, once: tlog.ErrLimit},
		"nothing":               {answer: statusOf(http.StatusOK), err: tlog.ErrInconsistent},
		"zeros":                 {answer: write(func(b []byte) []byte { return make([]byte, len(b)) }), err: tlog.ErrInconsistent},
		"a page of text":        {answer: write(func([]byte) []byte { return []byte("<html>") }), err: tlog.ErrInconsistent},
		"there is no such tile": {answer: statusOf(http.StatusNotFound), err: tlog.ErrInconsistent},
		"there is none, says a page": {answer: func(w http.ResponseWriter, _ []byte) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte("<html>404</html>"))
		}, err: tlog.ErrInconsistent},
		"the tile is gone":              {answer: statusOf(http.StatusGone), err: tlog.ErrUnavailable, once: tlog.ErrUnavailable},
		"the tile is forbidden":         {answer: statusOf(http.StatusForbidden), err: tlog.ErrUnavailable, once: tlog.ErrUnavailable},
		"the request is not understood": {answer: statusOf(http.StatusBadRequest), err: tlog.ErrInconsistent},
		"the server fails":              {answer: statusOf(http.StatusInternalServerError), err: tlog.ErrUnavailable},
		"the server asks for patience":  {answer: statusOf(http.StatusTooManyRequests), err: tlog.ErrUnavailable},
	} {
		for _, tile := range []string{"", "tile/0/002", "tile/0/003.p/232", "tile/1/000.p/3"} {
			if tile == "" {
				tile = "every tile"
			}
			for times, want := range []error{test.err, test.once} {
				t.Run(name+", "+tile+", "+[]string{"always", "once"}[times], func(t *testing.T) {
					server, history := serve(t, l), seeded(l, newer)
					lie := lie{path: strings.TrimPrefix(tile, "every tile"), times: times, answer: test.answer}
					lie.tell(server, truth)
					synctest.Test(t, func(t *testing.T) {
						_, err := timeless(t, l, server, history).Prove(t.Context(), claims[5], l.Entry(5, older))
						wantErr(t, err, want)
						if evidence := accused(history); evidence != nil {
							t.Errorf("a wrong tile accuses the log: %v", evidence)
						}
					})
				})
			}
		}
	}
	t.Run("tiles of a fork that the log signed elsewhere", func(t *testing.T) {
		server, history := serve(t, l), seeded(l, newer)
		lie := lie{answer: write(func(b []byte) []byte { return b })}
		lie.tell(server, forked)
		_, err := online(t, l, server, history).Prove(t.Context(), claims[5], l.Entry(5, older))
		wantErr(t, err, tlog.ErrInconsistent)
		if evidence := accused(history); evidence != nil {
			t.Errorf("tiles that lead to no signed root accuse the log: %v", evidence)
		}
	})
}

// TestAnyBitOfATile: no bit of a tile can be changed without being noticed, and none makes
// a prefix look like another.
func TestAnyBitOfATile(t *testing.T) {
	l, _ := tiled(t, 6)
	truth := serve(t, l)
	older, newer := checkpointOf(t, l, 5), checkpointOf(t, l, 6)
	for bit := range 6 * 256 {
		server := serve(t, l)
		lie := lie{answer: write(func(b []byte) []byte { b[bit/8] ^= 1 << (bit % 8); return b })}
		lie.tell(server, truth)
		err := dialTiles(t, l, server.URL).ShowPrefix(t.Context(), older, newer)
		if !errors.Is(err, tlog.ErrInconsistent) || errors.As(err, new(*tlog.InconsistencyError)) {
			t.Fatalf("bit %d: got error %v", bit, err)
		}
		server.Close()
	}
}

// TestPartialTiles: a log may delete a partial tile when it has the full one.
func TestPartialTiles(t *testing.T) {
	const older, newer = 700, 1000
	l, claims := tiled(t, 1024)
	for name, test := range map[string]struct {
		shown int // entries that the server has
		gone  int // the status of partial tiles
		full  func(http.ResponseWriter, []byte)
		err   error
	}{
		"partial tiles are there":                     {shown: 1024},
		"partial tiles were deleted, full ones serve": {shown: 1024, gone: http.StatusNotFound},
		"they are forbidden, as object stores say":    {shown: 1024, gone: http.StatusForbidden},
		"they are gone":                               {shown: 1024, gone: http.StatusGone},
		"they were deleted too early":                 {shown: newer, gone: http.StatusNotFound, err: tlog.ErrInconsistent},
		"the server fails: the full one isn't asked":  {shown: 1024, gone: http.StatusBadGateway, err: tlog.ErrUnavailable},
		"the full tile has another beginning":         {shown: 1024, gone: http.StatusNotFound, full: write(func(b []byte) []byte { b[0] ^= 1; return b }), err: tlog.ErrInconsistent},
		"the full tile has another end":               {shown: 1024, gone: http.StatusNotFound, full: write(func(b []byte) []byte { b[len(b)-1] ^= 1; return b })},
		"the full tile is a partial one":              {shown: 1024, gone: http.StatusNotFound, full: write(func(b []byte) []byte { return b[:232*32] }), err: tlog.ErrInconsistent},
		"the full tile is too long":                   {shown: 1024, gone: http.StatusNotFound, full: write(func(b []byte) []byte { return append(b, b[:32]...) }), err: tlog.ErrLimit},
		"the server of the full tile fails":           {shown: 1024, gone: http.StatusNotFound, full: statusOf(http.StatusInternalServerError), err: tlog.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			server, truth, history := serve(t, l), serve(t, l), seeded(l, newer)
			server.Show(l, test.shown)
			server.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
				// The partial tile above them is that of the tree that there is.
				switch path := strings.TrimPrefix(r.URL.Path, "/"); {
				case path == "tile/0/003.p/232" && test.gone != 0:
					w.WriteHeader(test.gone)
				case path == "tile/0/003" && test.full != nil:
					recorder := httptest.NewRecorder()
					truth.Config.Handler.ServeHTTP(recorder, r)
					test.full(w, recorder.Body.Bytes())
				default:
					return false
				}
				return true
			})
			synctest.Test(t, func(t *testing.T) {
				_, err := timeless(t, l, server, history).Prove(t.Context(), claims[5], l.Entry(5, older))
				wantErr(t, err, test.err)
				if evidence := accused(history); evidence != nil {
					t.Errorf("a wrong tile accuses the log: %v", evidence)
				}
			})
		})
	}
}

// TestKnownTilesOfAFork: tiles that were authenticated for one signed tree are of no use
// to another, and do no harm.
func TestKnownTilesOfAFork(t *testing.T) {
	l, _ := tiled(t, 1000)
	fork := l.Fork(300)
	fork.Grow(700)
	server := serve(t, fork)
	client := dialTiles(t, l, server.URL)
	wantErr(t, client.ShowPrefix(t.Context(), checkpointOf(t, fork, 500), checkpointOf(t, fork, 1000)), nil)
	server.Show(l, 0)
	for range 2 { // the second time from what is known
		wantErr(t, client.ShowPrefix(t.Context(), checkpointOf(t, l, 500), checkpointOf(t, l, 1000)), nil)
		err := client.ShowPrefix(t.Context(), checkpointOf(t, fork, 500), checkpointOf(t, l, 1000))
		if !errors.As(err, new(*tlog.InconsistencyError)) {
			t.Errorf("got error %v, want evidence", err)
		}
	}
}

// TestTreeThatIsTooLarge: sizes that cannot be computed with are refused before anything
// is asked.
func TestTreeThatIsTooLarge(t *testing.T) {
	l, _ := tiled(t, 5)
	text, _, _ := strings.Cut(l.Checkpoint(5), "\n\n")
	for _, size := range []uint64{tlog.MaxTiledSize + 1, 1 << 62, 1 << 63, 1<<64 - 1} {
		lines := strings.Split(text, "\n")
		lines[1] = strconv.FormatUint(size, 10)
		huge, err := configured(t, l).VerifyCheckpoint([]byte(l.SignNote(strings.Join(lines, "\n") + "\n")))
		if err != nil {
			t.Fatal(err)
		}
		server := serve(t, l)
		wantErr(t, dialTiles(t, l, server.URL).ShowPrefix(t.Context(), checkpointOf(t, l, 5), huge), tlog.ErrLimit)
		if got := server.Requests.Load(); got != 0 {
			t.Errorf("size %d: %d requests", size, got)
		}
	}
	lines := strings.Split(text, "\n")
	lines[1] = strconv.FormatUint(tlog.MaxTiledSize, 10)
	largest, err := configured(t, l).VerifyCheckpoint([]byte(l.SignNote(strings.Join(lines, "\n") + "\n")))
	if err != nil {
		t.Fatal(err)
	}
	wantErr(t, dialTiles(t, l, serve(t, l).URL).ShowPrefix(t.Context(), checkpointOf(t, l, 5), largest), tlog.ErrInconsistent)
}

// TestTilesThatNeverCome: a server that stalls ends with the request's own time limit.
func TestTilesThatNeverCome(t *testing.T) {
	l, claims := tiled(t, 1000)
	entry, history := l.Entry(5, 700), seeded(l, 1000)
	log := configured(t, l)
	synctest.Test(t, func(t *testing.T) {
		never := roundTripper(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		_, err := tlog.NewProver(log, dialTilesThrough(t, log, never), history).Prove(context.Background(), claims[5], entry)
		wantErr(t, err, tlog.ErrUnavailable)
	})
}

// TestOtherReplicaIsAsked: one replica's wrong tile is another one's right one.
func TestOtherReplicaIsAsked(t *testing.T) {
	l, _ := tiled(t, 1000)
	for name, answer := range map[string]func(http.ResponseWriter, []byte){
		"it is down":                 statusOf(http.StatusServiceUnavailable),
		"it has no tiles":            statusOf(http.StatusNotFound),
		"its tiles are cut short":    write(func(b []byte) []byte { return b[:1] }),
		"a bit of its tiles changed": write(func(b []byte) []byte { b[0] ^= 1; return b }),
	} {
		t.Run(name, func(t *testing.T) {
			bad, good := serve(t, l), serve(t, l)
			lie := lie{answer: answer}
			lie.tell(bad, good)
			for _, order := range [][]string{{bad.URL, good.URL}, {good.URL, bad.URL}} {
				wantErr(t, dialTiles(t, l, order...).ShowPrefix(t.Context(), checkpointOf(t, l, 700), checkpointOf(t, l, 1000)), nil)
			}
		})
	}
}
