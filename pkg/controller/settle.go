// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/trust"
)

const (
	// settleInterval is how often a log is tried that could not be asked about what
	// was accepted.
	settleInterval = 5 * time.Second
	// settleTimeout bounds one attempt.
	settleTimeout = time.Minute
)

// settler asks logs, once they answer again, about the checkpoints that were accepted
// while they could not be asked. Every replica runs it, as each has accepted its own.
type settler struct {
	client   client.Reader
	logs     *trust.Logs
	recorder events.EventRecorder
	metrics  *logMetrics
}

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (s *settler) NeedLeaderElection() bool { return false }

// Start implements manager.Runnable.
func (s *settler) Start(ctx context.Context) error {
	ticker := time.NewTicker(settleInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			s.settleAll(ctx)
		}
	}
}

// settleAll tries every log, side by side: one that stalls keeps no other waiting.
func (s *settler) settleAll(ctx context.Context) {
	var group sync.WaitGroup
	s.metrics.unasked.Reset() // of logs that were deleted
	for _, name := range s.logs.Names() {
		if prover, err := s.logs.Prover(name); err == nil {
			group.Go(func() { s.settle(ctx, name, prover) })
		}
	}
	group.Wait()
}

func (s *settler) settle(ctx context.Context, name string, prover *tlog.Prover) {
	open := prover.Unasked()
	defer func() { s.metrics.unasked.WithLabelValues(name).Set(float64(prover.Unasked())) }()
	if open == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	err := prover.Settle(ctx)
	log := ctrl.LoggerFrom(ctx).WithValues("log", name, "checkpoints", open, "left", prover.Unasked())
	switch {
	case errors.Is(err, tlog.ErrInconsistent):
		log.Error(err, "A transparency log does not stand by checkpoints that were accepted while it was away")
		s.metrics.inconsistencies.WithLabelValues(name).Inc()
		var obj v1alpha1.TransparencyLog
		if getErr := s.client.Get(ctx, types.NamespacedName{Name: name}, &obj); getErr == nil {
			s.recorder.Eventf(&obj, nil, corev1.EventTypeWarning, v1alpha1.ReasonLogInconsistent, "Settle", "%s", truncate(err.Error()))
		}
	case err != nil:
		log.V(1).Info("A transparency log could not be asked yet about what was accepted while it was away", "cause", err.Error())
	default:
		log.Info("A transparency log stands by what was accepted while it was away")
	}
}
