// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/countersign-dev/countersign/pkg/verify"
)

// ask sends a request and, where it failed in a way that often passes, sends it
// again: all are GET or HEAD. The error is an *Error.
//
// After a failure it pauses, twice as long each time. A registry that limits the rate
// of requests has its lane paused instead, in which all wait, or are refused.
func (c *core) ask(ctx context.Context, r request) (answer, error) {
	l := r.via.lane(r.repository.RegistryStr())
	pause := wait.Backoff{Duration: firstPause, Factor: 2, Jitter: 1, Steps: maxTries}
	for try := 1; ; try++ {
		a, err := c.askInTurn(ctx, l, r)
		c.note(r, err)
		switch {
		case ctx.Err() != nil:
			return a, err
		case isThrottled(a, err) && try < maxThrottledTries && !r.elsewhere:
		case isPassing(a, err) && try < maxTries && sleep(ctx, pause.Step()):
		default:
			return a, err
		}
	}
}

// askInTurn sends a request once, when the registry can be asked and it is its turn.
func (c *core) askInTurn(ctx context.Context, l *lane, r request) (answer, error) {
	canAsk := func() error {
		return l.circuit.check(ctx, func(ctx context.Context) error { return c.ping(ctx, r.via, l.host) })
	}
	if err := canAsk(); err != nil {
		return answer{}, failure(ctx, l.host, err)
	}
	leave, err := l.enter(ctx, r.turnstile(), r.elsewhere)
	if err != nil {
		return answer{}, err
	}
	defer leave()
	// While this one waited, others may have seen that the registry is down.
	if err := canAsk(); err != nil {
		return answer{}, failure(ctx, l.host, err)
	}
	began := time.Now()
	a, err := c.askOnce(ctx, r)
	l.circuit.note(judge(ctx, began, a, err))
	return a, err
}

// isThrottled tells whether a request was made, and the registry limits the rate.
func isThrottled(a answer, err error) bool {
	if handshake, ok := errors.AsType[*transport.Error](err); ok {
		return handshake.StatusCode == http.StatusTooManyRequests
	}
	return err == nil && a.status == http.StatusTooManyRequests
}

// isPassing tells whether a failure is worth another try.
func isPassing(a answer, err error) bool {
	var (
		known     *Error
		handshake *transport.Error
		network   *net.OpError
	)
	switch {
	case err == nil:
		return isFault(a.status)
	case errors.Is(err, errRefused), errors.Is(err, errLeftAlone), errors.As(err, &known) && known.Reason == verify.DeadlineExceeded:
		return false
	case errors.As(err, &handshake):
		return isFault(handshake.StatusCode)
	case errors.As(err, &network):
		return !network.Timeout() && network.Op != "remote error" // which is a TLS alert
	default:
		return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
	}
}

// sleep waits, and reports whether there was time for it.
func sleep(ctx context.Context, pause time.Duration) bool {
	if end, ok := ctx.Deadline(); ok && time.Until(end) <= pause {
		return false
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
