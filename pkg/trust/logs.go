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
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/tlog"
)

// Logs is the index of TransparencyLog objects: for each, the prover that
// verifies inclusion in it. A prover, with all that it remembers, is kept for as
// long as what it was made from is unchanged. Safe for concurrent use.
type Logs struct {
	history func(*v1alpha1.TransparencyLog) tlog.History
	secrets SecretReader
	http    *http.Client

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
	material   material
	isDefault  bool
	prover     *tlog.Prover
	err        error
}

// material is what a prover is made from.
type material struct {
	uid    types.UID
	url    string
	origin string
	key    string
	// accused is set while an inconsistency is on record. It is not needed to
	// make a prover: it makes that of a log that was caught, with all that it
	// remembers, end when the operator has taken the evidence away.
	accused bool
}

// NewLogs returns an empty index. history gives the history of a log; it is called
// once for each prover that is made. Keys that objects do not
// hold themselves are read from secrets.
func NewLogs(history func(*v1alpha1.TransparencyLog) tlog.History, secrets SecretReader) *Logs {
	return &Logs{
		history: history,
		secrets: secrets,
		http:    &http.Client{Transport: transport()},
		logs:    map[string]configuredLog{},
	}
}

// transport has connections enough for a log that many requests ask at once, and
// not more than a log should bear. Each request has its own time limit.
func transport() *http.Transport {
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		ForceAttemptHTTP2:   true,
		TLSHandshakeTimeout: 5 * time.Second,
		IdleConnTimeout:     90 * time.Second,
		MaxIdleConnsPerHost: 32,
		MaxConnsPerHost:     64,
	}
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
		next.prover = previous.prover
	}
	if next.err == nil && next.prover == nil {
		next.prover, next.err = l.newProver(obj, next.material)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.logs[obj.Name] = next
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
	configured := configuredLog{uid: obj.UID, generation: obj.Generation, isDefault: obj.Spec.IsDefault()}
	if obj.Spec.Type != v1alpha1.LogTypeRekorV1 {
		configured.err = fmt.Errorf("type %q is not supported", obj.Spec.Type)
		return configured
	}
	if len(obj.Spec.URLs) != 1 {
		configured.err = fmt.Errorf("urls has %d elements, not 1", len(obj.Spec.URLs))
		return configured
	}
	key, err := PublicKeyPEM(ctx, obj.Spec.PublicKey.Data, obj.Spec.PublicKey.SecretRef, v1alpha1.DefaultLogSecretKey, l.secrets)
	if err != nil {
		configured.err = fmt.Errorf("publicKey: %w", err)
		return configured
	}
	configured.material = material{
		uid:    obj.UID,
		url:    obj.Spec.URLs[0],
		origin: obj.Spec.Origin,
		key:    string(key),

		accused: obj.Status.Inconsistency != nil,
	}
	return configured
}

func (l *Logs) newProver(obj *v1alpha1.TransparencyLog, from material) (*tlog.Prover, error) {
	key, err := ParseLogKey([]byte(from.key))
	if err != nil {
		return nil, fmt.Errorf("publicKey: %w", err)
	}
	log, err := tlog.NewLog(tlog.Config{Name: obj.Name, Version: tlog.RekorV1, Origin: from.origin, Key: key})
	if err != nil {
		return nil, err
	}
	base, err := url.Parse(from.url)
	if err != nil {
		return nil, fmt.Errorf("urls[0] is not a URL: %w", err)
	}
	endpoints, err := tlog.NewEndpoints(tlog.EndpointsConfig{URLs: []*url.URL{base}, Client: l.http})
	if err != nil {
		return nil, err
	}
	return tlog.NewProver(log, tlog.NewRekorV1Client(endpoints), l.history(obj)), nil
}

// Delete forgets the log of that name.
func (l *Logs) Delete(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.logs, name)
}

// IsCurrent reports whether what is known of the log is this generation of obj.
func (l *Logs) IsCurrent(obj *v1alpha1.TransparencyLog) bool {
	configured, ok := l.get(obj.Name)
	return ok && configured.uid == obj.UID && configured.generation >= obj.Generation
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

// Default returns the prover of the one log that is marked as the default. Its
// error wraps ErrNoDefaultLog when none or several are, or is that of Prover.
func (l *Logs) Default() (*tlog.Prover, error) {
	marked := l.marked()
	switch len(marked) {
	case 0:
		return nil, fmt.Errorf("%w: no log is named, and none has default: true", ErrNoDefaultLog)
	case 1:
		return l.Prover(marked[0])
	default:
		return nil, fmt.Errorf("%w: several have default: true (%s)", ErrNoDefaultLog, strings.Join(marked, ", "))
	}
}

// marked returns the names of the logs that are marked as the default, sorted.
func (l *Logs) marked() []string {
	l.mu.RLock()
	defer l.mu.RUnlock()
	var names []string
	for name, configured := range l.logs {
		if configured.isDefault {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// ConditionReason returns the condition reason that names err, which came from
// this package.
func ConditionReason(err error) string {
	switch {
	case err == nil:
		return v1alpha1.ReasonSucceeded
	case errors.Is(err, ErrSecretNotFound):
		return v1alpha1.ReasonSecretNotFound
	case errors.Is(err, ErrConfigMapNotFound):
		return v1alpha1.ReasonConfigMapNotFound
	case errors.Is(err, ErrExpired):
		return v1alpha1.ReasonExpired
	case errors.Is(err, ErrMirrorUnavailable):
		return v1alpha1.ReasonUnavailable
	case errors.Is(err, ErrRepositoryInvalid):
		return v1alpha1.ReasonRepositoryInvalid
	case errors.Is(err, ErrRootUnsuitable):
		return v1alpha1.ReasonTrustRootUnsuitable
	case errors.Is(err, ErrRootNotFound):
		return v1alpha1.ReasonTrustRootNotFound
	case errors.Is(err, ErrKeyInvalid):
		return v1alpha1.ReasonKeyInvalid
	case errors.Is(err, ErrLogNotFound), errors.Is(err, ErrNoDefaultLog):
		return v1alpha1.ReasonLogNotFound
	case errors.Is(err, ErrLogNotReady):
		return v1alpha1.ReasonLogNotReady
	case errors.Is(err, ErrRootNotReady):
		return v1alpha1.ReasonTrustRootNotReady
	default:
		return v1alpha1.ReasonSpecInvalid
	}
}
