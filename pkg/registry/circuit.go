// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/countersign-dev/countersign/pkg/verify"
)

// circuit says whether it makes sense to ask a registry, so that one that is down
// costs one time-out and not one a request.
//
// What one repository does says little about the registry: a proxy cache whose
// upstream stalls, or something that whoever creates a Pod can bring about, must not
// take away all others. So failures only raise a doubt, and a question that does not
// turn on any repository, the ping, decides. Only that opens the circuit.
type circuit struct {
	host    string
	breaker *gobreaker.CircuitBreaker[struct{}]
	pings   flight[struct{}]

	mu sync.Mutex
	// failures is how many there were since the last answer.
	failures int
	doubted  bool
	// last is why the circuit opened.
	last *Error
}

func newCircuit(host string, timeout time.Duration) *circuit {
	return &circuit{
		host:  host,
		pings: flight[struct{}]{limit: timeout},
		breaker: gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{
			Name:        host,
			Timeout:     openFor,
			ReadyToTrip: func(counts gobreaker.Counts) bool { return counts.ConsecutiveFailures > 0 },
			IsExcluded:  func(err error) bool { return errors.Is(err, context.Canceled) },
		}),
	}
}

// check returns nil if the registry can be asked. While there is a doubt it waits for
// one ping, which all who wait share.
func (c *circuit) check(ctx context.Context, ping func(context.Context) error) error {
	c.mu.Lock()
	doubted := c.doubted
	c.mu.Unlock()
	if !doubted {
		return nil
	}
	_, err := c.pings.do(ctx, "", func(ctx context.Context) (struct{}, error) {
		return c.breaker.Execute(func() (struct{}, error) { return struct{}{}, c.trust(ctx, ping(ctx)) })
	})
	if errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests) {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.last
	}
	return err
}

// isOpen tells whether the registry is left alone.
func (c *circuit) isOpen() bool { return c.breaker.State() != gobreaker.StateClosed }

// trust takes note of what came of a ping, and returns it as an *Error.
func (c *circuit) trust(ctx context.Context, err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		c.failures, c.doubted = 0, false
		return nil
	}
	e := failure(ctx, c.host, err)
	c.last = &Error{verify.RegistryUnavailable, e.Detail + ", a moment ago, and is left alone", fmt.Errorf("%w: %w", errLeftAlone, e)}
	return c.last
}

// errLeftAlone marks what was not asked.
var errLeftAlone = errors.New("the registry is left alone")

// outcome is what a request says about the registry.
type outcome int

const (
	// unclear is nothing, as when the request was given up.
	unclear outcome = iota
	// answered is any answer of the registry, a refusal included.
	answered
	// failed is a connection that ended early, or an answer that says that the
	// registry is at fault.
	failed
	// stalled is that the time for an exchange passed.
	stalled
)

func (c *circuit) note(o outcome) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch o {
	case unclear:
	case answered:
		c.failures, c.doubted = 0, false
	case failed:
		c.failures++
		c.doubted = c.doubted || c.failures >= maxFailures
	case stalled:
		c.doubted = true
	}
}

// ping asks a registry whether it is up: nil means that it answered, whatever it said, but
// that it is at fault.
func (c *core) ping(ctx context.Context, via *connections, host string) error {
	status, err := c.pingStatus(ctx, via, host, func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse })
	if err == nil && isFault(status) {
		err = statusError(host, "the question whether it is a registry", status, "")
	}
	return err
}

// pingStatus asks a registry whether it is one (OCI distribution specification,
// "Endpoints"), without credentials. redirects is as in http.Client.
func (c *core) pingStatus(ctx context.Context, via *connections, host string, redirects func(*http.Request, []*http.Request) error) (int, error) {
	target := pingURL(via, host)
	ctx = withJourney(ctx, journey{via: via, home: host, asks: target.String(), last: &sighting{}})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), http.NoBody)
	if err != nil {
		return 0, err
	}
	client := &http.Client{Transport: c.guard, CheckRedirect: redirects}
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	_ = resp.Body.Close()
	return resp.StatusCode, nil
}

func pingURL(via *connections, host string) *url.URL {
	return &url.URL{Scheme: via.scheme(host), Host: host, Path: "/v2/"}
}

// isFault tells whether a status says that the registry is at fault, and so may
// answer otherwise in a moment.
func isFault(status int) bool {
	return status >= http.StatusInternalServerError && status != http.StatusNotImplemented
}

// judge tells what came of a request that began at a time.
func judge(ctx context.Context, began time.Time, a answer, err error) outcome {
	var (
		known   *Error
		network net.Error
	)
	switch {
	case err == nil && isFault(a.status):
		return failed
	case err == nil:
		return answered
	case ctx.Err() != nil && time.Since(began) < longSilence:
		return unclear
	case errors.As(err, &known) && known.Reason == verify.DeadlineExceeded,
		errors.As(err, &network) && network.Timeout():
		return stalled
	case isPassing(a, err):
		return failed
	case errors.As(err, &known) && (known.Reason == verify.RegistryUnauthorized || known.Reason == verify.RegistryThrottled || known.Reason == verify.LimitExceeded):
		return answered
	}
	return unclear
}
