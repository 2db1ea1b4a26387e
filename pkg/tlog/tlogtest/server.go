// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlogtest

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"sync/atomic"
)

// Server serves a Log at a URL, by the API of Rekor v1 and as tiles, and can be told to serve another one instead.
type Server struct {
	*httptest.Server
	// Requests counts what was asked, by anybody.
	Requests atomic.Int64

	mu        sync.Mutex
	log       *Log
	size      int // 0: as large as the log is
	retired   []*Log
	intercept func(http.ResponseWriter, *http.Request) bool
	cosign    func(note string) string
}

// NewServer starts a server for log; Close ends it.
func NewServer(log *Log) *Server {
	s := &Server{log: log}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/log", s.info)
	mux.HandleFunc("GET /api/v1/log/proof", s.proof)
	mux.HandleFunc("GET /api/v1/log/entries/{id}", s.entry)
	mux.HandleFunc("GET /api/v1/log/entries", s.entryAt)
	mux.HandleFunc("GET /checkpoint", s.checkpoint)
	mux.HandleFunc("GET /tile/{level}/{n...}", s.tile)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.Requests.Add(1)
		if _, _, intercept := s.state(); intercept != nil && intercept(w, r) {
			return
		}
		mux.ServeHTTP(w, r)
	}))
	return s
}

// Show makes the server show the first size entries of log from now on; size 0
// shows all that there are at the time of a request.
func (s *Server) Show(log *Log, size int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log, s.size = log, size
}

// Retire makes the server list log as an inactive shard, and serve what it holds.
func (s *Server) Retire(log *Log) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.retired = append(s.retired, log)
}

// shards returns what the server shows of each of its trees, the active one first.
func (s *Server) shards() (logs []*Log, sizes []int) {
	active, size, _ := s.state()
	logs, sizes = []*Log{active}, []int{size}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, log := range s.retired {
		logs, sizes = append(logs, log), append(sizes, log.Size())
	}
	return logs, sizes
}

func (s *Server) inactiveShards() []map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	var shards []map[string]any
	for _, log := range s.retired {
		shards = append(shards, map[string]any{
			"rootHash":       hex.EncodeToString(log.Root(log.Size())),
			"signedTreeHead": log.Checkpoint(log.Size()),
			"treeID":         strconv.FormatInt(log.TreeID, 10),
			"treeSize":       log.Size(),
		})
	}
	return shards
}

// Cosign makes the server pass the checkpoints that it shows of its trees through fn,
// which appends cosignatures. Those that it gives out with entries stay as they are. Nil
// ends that.
func (s *Server) Cosign(fn func(note string) string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cosign = fn
}

// Intercept makes the server call fn for each request; fn returns whether it has
// answered it. Nil ends that.
func (s *Server) Intercept(fn func(http.ResponseWriter, *http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.intercept = fn
}

func (s *Server) state() (*Log, int, func(http.ResponseWriter, *http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	size := s.size
	if size == 0 {
		size = s.log.Size()
	}
	return s.log, size, s.intercept
}

func (s *Server) info(w http.ResponseWriter, _ *http.Request) {
	log, size, _ := s.state()
	note := log.Checkpoint(size)
	s.mu.Lock()
	if s.cosign != nil {
		note = s.cosign(note)
	}
	s.mu.Unlock()
	answer(w, map[string]any{
		"inactiveShards": s.inactiveShards(),
		"rootHash":       hex.EncodeToString(log.Root(size)),
		"signedTreeHead": note,
		"treeID":         strconv.FormatInt(log.TreeID, 10),
		"treeSize":       size,
	})
}

func (s *Server) proof(w http.ResponseWriter, r *http.Request) {
	first, err1 := strconv.Atoi(r.FormValue("firstSize"))
	last, err2 := strconv.Atoi(r.FormValue("lastSize"))
	logs, sizes := s.shards()
	for i, log := range logs {
		if err1 == nil && err2 == nil && 1 <= first && first <= last && last <= sizes[i] && r.FormValue("treeID") == strconv.FormatInt(log.TreeID, 10) {
			answer(w, map[string]any{"rootHash": hex.EncodeToString(log.Root(sizes[i])), "hashes": hexes(log.Consistency(first, last))})
			return
		}
	}
	Refuse(w, http.StatusBadRequest)
}

func (s *Server) entry(w http.ResponseWriter, r *http.Request) {
	leaf := r.PathValue("id")
	if len(leaf) == 80 {
		leaf = leaf[16:]
	}
	logs, sizes := s.shards()
	for i, log := range logs {
		if index, ok := log.find(leaf); ok && index < sizes[i] {
			answerEntry(w, log, leaf, index, sizes[i])
			return
		}
	}
	Absent(w)
}

// Absent answers as Rekor does for an entry that it does not have.
func Absent(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "no-cache, no-store, no-transform, must-revalidate, private, max-age=0")
	w.WriteHeader(http.StatusNotFound)
}

// entryAt answers for an index over all shards.
func (s *Server) entryAt(w http.ResponseWriter, r *http.Request) {
	wanted, err := strconv.ParseInt(r.FormValue("logIndex"), 10, 64)
	logs, sizes := s.shards()
	for i, log := range logs {
		if index := wanted - log.FirstIndex; err == nil && 0 <= index && index < int64(sizes[i]) {
			answerEntry(w, log, log.leaf(int(index)), int(index), sizes[i])
			return
		}
	}
	Absent(w)
}

// Refuse answers as Rekor does to what it cannot answer.
func Refuse(w http.ResponseWriter, code int) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = fmt.Fprintf(w, `{"code":%d,"message":%q}`, code, http.StatusText(code))
}

func answerEntry(w http.ResponseWriter, log *Log, leaf string, index, size int) {
	e := log.Entry(index, size)
	answer(w, map[string]any{log.entryID(leaf): map[string]any{
		"body":           base64.StdEncoding.EncodeToString(e.Body),
		"integratedTime": e.IntegratedTime,
		"logID":          hex.EncodeToString(e.LogID),
		"logIndex":       e.LogIndex,
		"verification": map[string]any{
			"inclusionProof": map[string]any{
				"checkpoint": e.Inclusion.Checkpoint,
				"hashes":     hexes(e.Inclusion.Hashes),
				"logIndex":   e.Inclusion.Index,
				"rootHash":   hex.EncodeToString(log.Root(size)),
				"treeSize":   size,
			},
			"signedEntryTimestamp": e.SignedEntryTimestamp,
		},
	}})
}

func hexes(hashes [][]byte) []string {
	digits := make([]string, len(hashes))
	for i, h := range hashes {
		digits[i] = hex.EncodeToString(h)
	}
	return digits
}

func answer(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(body); err != nil {
		panic(err)
	}
}
