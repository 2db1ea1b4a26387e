// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"context"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/tlog"
)

// LogsFromObjects returns an index of logs without a cluster, for the command
// line. The history is the process's own: it begins with the checkpoints in an
// object's status, such as `kubectl get -o yaml` prints, and trusts the first
// checkpoint of a tree that has none there. A log that cannot be used is known,
// and its Prover is an error, as in a cluster.
func LogsFromObjects(ctx context.Context, objects []v1alpha1.TransparencyLog, secrets SecretReader) *Logs {
	histories := map[string]tlog.History{}
	logs := NewLogs(func(obj *v1alpha1.TransparencyLog) tlog.History { return histories[obj.Name] }, secrets, nil)
	for i := range objects {
		histories[objects[i].Name] = recorded(&objects[i])
		// The error is kept, and returned to whoever asks for the prover.
		_ = logs.Set(ctx, &objects[i])
	}
	return logs
}

// recorded returns a history that begins with what the object's status says.
func recorded(obj *v1alpha1.TransparencyLog) tlog.History {
	history := tlog.NewMemoryHistory()
	for _, checkpoint := range checkpoints(&obj.Status) {
		history.Seed(checkpoint.Origin, checkpoint.Note)
		if checkpoint.Witnessed != nil {
			history.SeedWitnessed(checkpoint.Origin, checkpoint.Witnessed.Note)
		}
	}
	if obj.Status.Inconsistency != nil {
		return accused{History: history, log: obj}
	}
	return history
}

// accused is the history of a log that was caught before.
type accused struct {
	tlog.History
	log *v1alpha1.TransparencyLog
}

// Witnessed implements tlog.History.
func (a accused) Witnessed(context.Context, string) (note []byte, err error) {
	return nil, inconsistencyError(a.log)
}

// Freshness implements tlog.History.
func (a accused) Freshness(context.Context) (tlog.Freshness, error) {
	return tlog.Freshness{}, inconsistencyError(a.log)
}

// Latest implements tlog.History.
func (a accused) Latest(context.Context, string) (note []byte, version string, err error) {
	return nil, "", inconsistencyError(a.log)
}
