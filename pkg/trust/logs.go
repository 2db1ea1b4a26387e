// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/types"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/trust/kms"
)

// Logs is the index of TransparencyLog objects: for each, the prover that
// verifies inclusion in it. A prover, with all that it remembers, is kept for as
// long as what it was made from is unchanged. Safe for concurrent use.
type Logs struct {
	history func(*v1alpha1.TransparencyLog) tlog.History
	secrets SecretReader
	observe func(log string) tlog.Observer

	// setting lets one Set through at a time, so that of two the one that read
	// its Secret later wins.
	setting sync.Mutex
	mu      sync.RWMutex
	logs    map[string]configuredLog
}

// configuredLog is one TransparencyLog: a prover, or why there is none.
type configuredLog struct {
	uid        types.UID
	generation int64
	reset      string
	material   material
	// selectable is the part of the object by which authorities find it.
	selectable *v1alpha1.TransparencyLog
	prover     *tlog.Prover
	// endpoints and transport are what prover asks the log over.
	endpoints *tlog.Endpoints
	transport *http.Transport
	err       error
}

// material is what a prover is made from.
type material struct {
	uid        types.UID
	urls       string // one a line
	connection connection
	origin     string
	key        string
	// demands is what is asked of the log beside its key.
	demands string
	// accused is set while an inconsistency is on record. It is not needed to
	// make a prover: it makes that of a log that was caught, with all that it
	// remembers, end when the operator has taken the evidence away.
	accused bool
	// reset names the last reset. What a prover remembers is of the history before.
	reset string
}

// NewLogs returns an empty index. history gives the history of a log; it is called
// once for each prover that is made. Keys and credentials that objects do not hold
// themselves are read from secrets. observe, which may be nil, gives who is told of
// the requests to a log, by its name.
func NewLogs(history func(*v1alpha1.TransparencyLog) tlog.History, secrets SecretReader, observe func(log string) tlog.Observer) *Logs {
	if observe == nil {
		observe = func(string) tlog.Observer { return nil }
	}
	return &Logs{history: history, secrets: secrets, observe: observe, logs: map[string]configuredLog{}}
}

// Set adds the log, or replaces the one of that name; an older generation of an
// object that is known changes nothing. Its error says why the log cannot be used;
// the log is then known, and Prover returns that error, wrapped in ErrLogNotReady.
func (l *Logs) Set(ctx context.Context, obj *v1alpha1.TransparencyLog) error {
	l.setting.Lock()
	defer l.setting.Unlock()
	previous, known := l.get(obj.Name)
	if known && previous.uid == obj.UID && previous.generation > obj.Generation {
		return previous.err
	}
	next := l.configure(ctx, obj)
	if known && next.err == nil && previous.err == nil && previous.material == next.material {
		next.prover, next.endpoints, next.transport = previous.prover, previous.endpoints, previous.transport
	}
	if next.err == nil && next.prover == nil {
		next.err = l.connect(obj, &next)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.logs[obj.Name] = next
	if previous.transport != next.transport {
		previous.close()
	}
	return next.err
}

func (l *Logs) get(name string) (configuredLog, bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	configured, ok := l.logs[name]
	return configured, ok
}

// configure reads and checks what obj says, and makes no prover yet.
func (l *Logs) configure(ctx context.Context, obj *v1alpha1.TransparencyLog) configuredLog {
	configured := configuredLog{uid: obj.UID, generation: obj.Generation, reset: resetOf(obj), selectable: selectable(obj)}
	if unread := v1alpha1.UnreadErrors(obj.Spec.Unread); len(unread) > 0 {
		configured.err = unread.ToAggregate() // it may have asked for more than the rest
		return configured
	}
	if _, err := VersionOf(obj.Spec.Type); err != nil {
		configured.err = err
		return configured
	}
	key, err := PublicKeyPEM(ctx, obj.Spec.PublicKey.Data, obj.Spec.PublicKey.SecretRef, v1alpha1.DefaultLogSecretKey, l.secrets)
	if err != nil {
		configured.err = fmt.Errorf("publicKey: %w", err)
		return configured
	}
	connection, err := newConnection(ctx, &obj.Spec, l.secrets)
	if err != nil {
		configured.err = err
		return configured
	}
	read, _ := addresses(&obj.Spec)
	configured.material = material{
		uid:        obj.UID,
		urls:       strings.Join(read, "\n"),
		connection: connection,
		origin:     obj.Spec.Origin,
		key:        string(key),

		demands: demands(&obj.Spec),
		accused: obj.Status.Inconsistency != nil,
		reset:   configured.reset,
	}
	return configured
}

// connect gives configured, which is that of obj, its prover and what that asks the
// log over.
func (l *Logs) connect(obj *v1alpha1.TransparencyLog, configured *configuredLog) error {
	from := configured.material
	config, err := LogConfig(obj, []byte(from.key))
	if err != nil {
		return err
	}
	log, err := tlog.NewLog(config)
	if err != nil {
		return err
	}
	transport, err := from.connection.transport()
	if err != nil {
		return err
	}
	read, field := addresses(&obj.Spec)
	endpoints, err := newEndpoints(read, tlog.EndpointsConfig{
		Client: from.connection.client(transport), Observer: l.observe(obj.Name),
	})
	if err != nil {
		return fmt.Errorf("%s: %w", field, err)
	}
	configured.endpoints, configured.transport = endpoints, transport
	configured.prover = tlog.NewProver(log, tlog.NewClient(log, endpoints), l.history(obj))
	return nil
}

// newEndpoints returns endpoints at addresses.
func newEndpoints(addresses []string, config tlog.EndpointsConfig) (*tlog.Endpoints, error) {
	for i, address := range addresses {
		base, err := url.Parse(address)
		if err != nil {
			return nil, fmt.Errorf("[%d] is not a URL", i) // not quoted: it may hold a password
		}
		config.URLs = append(config.URLs, base)
	}
	return tlog.NewEndpoints(config)
}

// close lets go of the connections that nobody uses. Requests that are under way go on.
func (c configuredLog) close() {
	if c.transport != nil {
		c.transport.CloseIdleConnections()
	}
}

// Delete forgets the log of that name.
func (l *Logs) Delete(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.logs[name].close()
	delete(l.logs, name)
}

// IsCurrent reports whether what is known of the log is this generation of obj, after its
// last reset.
func (l *Logs) IsCurrent(obj *v1alpha1.TransparencyLog) bool {
	configured, ok := l.get(obj.Name)
	return ok && configured.uid == obj.UID && configured.generation >= obj.Generation && configured.reset == resetOf(obj)
}

// Names returns the names of all logs that are known, in no order.
func (l *Logs) Names() []string {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return slices.Collect(maps.Keys(l.logs))
}

// Prover returns the prover of the named log. Its error wraps ErrLogNotFound, or
// ErrLogNotReady and the cause.
func (l *Logs) Prover(name string) (*tlog.Prover, error) {
	configured, ok := l.get(name)
	if !ok {
		return nil, fmt.Errorf("%w: %q", ErrLogNotFound, name)
	}
	if configured.err != nil {
		return nil, fmt.Errorf("%w: %q: %w", ErrLogNotReady, name, configured.err)
	}
	return configured.prover, nil
}

// LogConnection says how one log is asked.
type LogConnection struct {
	Log string
	// SkipsTLSVerification is set when any certificate of the log is accepted.
	SkipsTLSVerification bool
	// Replicas are in the order in which they are asked.
	Replicas []tlog.ReplicaState
}

// Connections returns how each log that can be used is asked, in no order.
func (l *Logs) Connections() []LogConnection {
	l.mu.RLock()
	defer l.mu.RUnlock()
	connections := make([]LogConnection, 0, len(l.logs))
	for name, configured := range l.logs {
		if configured.endpoints == nil {
			continue
		}
		connections = append(connections, LogConnection{
			Log: name, SkipsTLSVerification: configured.material.connection.insecureSkipVerify, Replicas: configured.endpoints.Replicas(),
		})
	}
	return connections
}

// ConditionReason returns the condition reason that names err, which came from
// this package.
func ConditionReason(err error) string {
	if err == nil {
		return v1alpha1.ReasonSucceeded
	}
	// The order matters: an error can wrap several.
	for _, known := range []struct {
		err    error
		reason string
	}{
		{ErrSecretNotFound, v1alpha1.ReasonSecretNotFound},
		{ErrConfigMapNotFound, v1alpha1.ReasonConfigMapNotFound},
		{ErrExpired, v1alpha1.ReasonExpired},
		{kms.ErrNoKey, v1alpha1.ReasonKeyNotFound},
		{kms.ErrUnusable, v1alpha1.ReasonKeyInvalid},
		{kms.ErrForbidden, v1alpha1.ReasonKMSAccessDenied},
		{kms.ErrMisconfigured, v1alpha1.ReasonKMSNotConfigured},
		{kms.ErrUnsupported, v1alpha1.ReasonKMSNotSupported},
		{ErrMirrorUnavailable, v1alpha1.ReasonUnavailable},
		{kms.ErrUnavailable, v1alpha1.ReasonUnavailable},
		{ErrRepositoryInvalid, v1alpha1.ReasonRepositoryInvalid},
		{ErrRootUnsuitable, v1alpha1.ReasonTrustRootUnsuitable},
		{ErrRootNotFound, v1alpha1.ReasonTrustRootNotFound},
		{ErrCredentialInvalid, v1alpha1.ReasonCredentialInvalid},
		{ErrKeyInvalid, v1alpha1.ReasonKeyInvalid},
		{ErrLogNotFound, v1alpha1.ReasonLogNotFound},
		{ErrNoDefaultLog, v1alpha1.ReasonLogNotFound},
		{ErrLogNotReady, v1alpha1.ReasonLogNotReady},
		{ErrRootNotReady, v1alpha1.ReasonTrustRootNotReady},
	} {
		if errors.Is(err, known.err) {
			return known.reason
		}
	}
	return v1alpha1.ReasonSpecInvalid
}
