// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	cosignature "github.com/transparency-dev/formats/note"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"

	"github.com/countersign-dev/countersign/pkg/tlog"
)

// Witness is a witness of transparency logs (https://c2sp.org/tlog-witness), in this
// process: it cosigns a checkpoint of a log that it knows when the checkpoint extends the
// one that it cosigned last.
type Witness struct {
	URL         string
	VerifierKey string // as a witness policy writes it

	host   string
	signer note.Signer

	mu     sync.Mutex
	server *http.Server // nil while it is down
	logs   []*tlog.Log
	// cosigned is the last checkpoint of each tree, by origin.
	cosigned map[string]tlog.Checkpoint
}

// maxAddCheckpoint bounds the body of an add-checkpoint request.
const maxAddCheckpoint = 64 << 10

// StartWitness starts a witness of no logs, with a new key. Name is the name of the key.
func (s *Stack) StartWitness(ctx context.Context, name string) (*Witness, error) {
	port, err := s.ports.next()
	if err != nil {
		return nil, err
	}
	key, public, err := note.GenerateKey(rand.Reader, name)
	if err != nil {
		return nil, err
	}
	w := &Witness{host: loopback(port), URL: loopbackURL(port), cosigned: map[string]tlog.Checkpoint{}}
	if w.signer, err = cosignature.NewSignerForCosignatureV1(key); err != nil {
		return nil, err
	}
	if w.VerifierKey, err = cosignature.VKeyToCosignatureV1(public); err != nil {
		return nil, err
	}
	if err := w.Up(ctx); err != nil {
		return nil, err
	}
	s.onClose(w.Down)
	return w, nil
}

// Know makes the witness cosign for a log.
func (w *Witness) Know(log *tlog.Log) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.logs = append(w.logs, log)
}

// Up makes the witness listen. It does nothing when it does.
func (w *Witness) Up(ctx context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.server != nil {
		return nil
	}
	listener, err := listen(ctx, w.host)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /add-checkpoint", w.addCheckpoint)
	w.server = &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	go w.server.Serve(listener) //nolint:errcheck // ends with Close
	return nil
}

// Down makes the witness refuse connections.
func (w *Witness) Down() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.server != nil {
		_ = w.server.Close()
		w.server = nil
	}
}

// refusal is an answer other than a cosignature.
type refusal struct {
	status int
	body   string
}

func (r *refusal) Error() string { return fmt.Sprintf("status %d: %s", r.status, r.body) }

func (w *Witness) addCheckpoint(rw http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(rw, r.Body, maxAddCheckpoint))
	if err != nil {
		http.Error(rw, err.Error(), http.StatusBadRequest)
		return
	}
	line, err := w.add(string(body))
	var refused *refusal
	switch {
	case errors.As(err, &refused):
		if refused.status == http.StatusConflict {
			rw.Header().Set("Content-Type", "text/x.tlog.size")
		}
		rw.WriteHeader(refused.status)
		_, _ = io.WriteString(rw, refused.body)
	case err != nil:
		http.Error(rw, err.Error(), http.StatusInternalServerError)
	default:
		_, _ = io.WriteString(rw, line)
	}
}

// add handles the body of an add-checkpoint request: the old size, a consistency proof, an
// empty line, and the checkpoint. It returns the cosignature line.
func (w *Witness) add(body string) (string, error) {
	head, signed, ok := strings.Cut(body, "\n\n")
	lines := strings.Split(head, "\n")
	oldText, isOld := strings.CutPrefix(lines[0], "old ")
	old, err := strconv.ParseUint(oldText, 10, 64)
	if !ok || !isOld || err != nil || strconv.FormatUint(old, 10) != oldText || len(lines) > 64 {
		return "", &refusal{http.StatusBadRequest, "malformed request"}
	}
	var hashes [][]byte
	for _, line := range lines[1:] {
		hash, err := base64.StdEncoding.DecodeString(line)
		if err != nil {
			return "", &refusal{http.StatusBadRequest, "malformed proof"}
		}
		hashes = append(hashes, hash)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	checkpoint, err := w.verify(signed)
	if err != nil {
		return "", err
	}
	if err := w.checkExtends(checkpoint, old, hashes); err != nil {
		return "", err
	}
	w.cosigned[checkpoint.Origin()] = checkpoint
	text, _, _ := strings.Cut(signed, "\n\n")
	cosigned, err := note.Sign(&note.Note{Text: text + "\n"}, w.signer)
	if err != nil {
		return "", err
	}
	_, line, _ := strings.Cut(string(cosigned), "\n\n")
	return line, nil
}

// verify verifies a checkpoint under the key of the log that it says it is of.
func (w *Witness) verify(signed string) (tlog.Checkpoint, error) {
	var last error = &refusal{http.StatusNotFound, "unknown log"}
	for _, log := range w.logs {
		checkpoint, err := log.VerifyCheckpoint([]byte(signed))
		if err == nil {
			return checkpoint, nil
		}
		if strings.HasPrefix(signed, log.Origin()) {
			last = &refusal{http.StatusForbidden, err.Error()}
		}
	}
	return tlog.Checkpoint{}, last
}

// checkExtends refuses a checkpoint that is not shown to extend the last one.
func (w *Witness) checkExtends(checkpoint tlog.Checkpoint, old uint64, hashes [][]byte) error {
	known, seen := w.cosigned[checkpoint.Origin()]
	knownRoot, root := known.Root(), checkpoint.Root()
	switch {
	case old > checkpoint.Size():
		return &refusal{http.StatusBadRequest, "the old size is larger than the new one"}
	case old != known.Size(),
		seen && known.Size() == checkpoint.Size() && knownRoot != root:
		return &refusal{http.StatusConflict, fmt.Sprintf("%d\n", known.Size())}
	case !seen && len(hashes) == 0, seen && known.Size() == checkpoint.Size():
		return nil
	}
	if err := proof.VerifyConsistency(rfc6962.DefaultHasher, old, checkpoint.Size(), hashes, knownRoot[:], root[:]); err != nil {
		return &refusal{http.StatusUnprocessableEntity, "the proof does not verify"}
	}
	return nil
}
