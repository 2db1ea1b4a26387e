// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"errors"
	"io"
	"net/http"
	"time"

	"golang.org/x/sync/semaphore"
)

const (
	// maxBody is the largest request body that is read. Package admission refuses
	// larger ones: two objects of 3 MiB, the most that an API server takes, and
	// what describes them.
	maxBody = 7 << 20
	// maxInFlight bounds the bodies, in bytes, of all requests that are being
	// read or answered. An ordinary request has some 10 KiB.
	maxInFlight = 32 << 20
	// bodyTime bounds the reading of one body. The API server has it in memory.
	bodyTime = 5 * time.Second
)

// InFlight bounds the memory that the requests of all handlers take together:
// whoever can connect could otherwise send large bodies, slowly or many at a time.
type InFlight struct{ room *semaphore.Weighted }

// NewInFlight returns the bound for all handlers of one server, 32 MiB.
func NewInFlight() *InFlight { return &InFlight{room: semaphore.NewWeighted(maxInFlight)} }

// bound lets a request wait for room for its body, until its deadline, and ends
// one whose body does not arrive in time. Both failures are not answers of
// admission: the API server does with them what the webhook's failurePolicy says.
func (f *InFlight) bound(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		weight := r.ContentLength
		if weight < 0 || weight > maxBody {
			weight = maxBody
		}
		if err := f.room.Acquire(r.Context(), weight); err != nil {
			http.Error(w, "countersign is reading too much already", http.StatusServiceUnavailable)
			return
		}
		defer f.room.Release(weight)
		body := &timedBody{ReadCloser: r.Body, connection: http.NewResponseController(w)}
		if err := body.start(r); err != nil {
			http.Error(w, "the time for the body cannot be bounded", http.StatusInternalServerError)
			return
		}
		r.Body = body
		next.ServeHTTP(w, r)
	})
}

// timedBody is a body that must be read in time.
type timedBody struct {
	io.ReadCloser
	connection *http.ResponseController
}

func (b *timedBody) start(r *http.Request) error {
	until := time.Now().Add(bodyTime)
	if deadline, ok := r.Context().Deadline(); ok && deadline.Before(until) {
		until = deadline
	}
	err := b.connection.SetReadDeadline(until)
	if errors.Is(err, http.ErrNotSupported) {
		return nil // not a connection, as in tests: nobody can be slow
	}
	return err
}

// Read lifts the deadline when the body has ended. If it passed later, net/http
// would take the caller to be gone.
func (b *timedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		_ = b.connection.SetReadDeadline(time.Time{})
	}
	return n, err
}
