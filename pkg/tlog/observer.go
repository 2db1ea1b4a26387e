// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog

import "time"

// Operation is what a log is asked for.
type Operation string

// What a log can be asked for.
const (
	OperationCheckpoint  Operation = "checkpoint"
	OperationConsistency Operation = "consistency"
	OperationEntry       Operation = "entry"
	OperationTile        Operation = "tile"
)

// Outcome is how one request to one replica of a log ended.
type Outcome string

// How a request can end. What the log says with Answered and Refused is a statement
// about its content; all others are none.
const (
	// Answered: with what was asked for.
	Answered Outcome = "answered"
	// Refused: the replica answered that it has no such thing.
	Refused Outcome = "refused"
	// Invalid: the answer is not one that a log gives, or is too long.
	Invalid Outcome = "invalid"
	// Forbidden: the replica wants other credentials.
	Forbidden Outcome = "forbidden"
	// Throttled: the replica wants to be asked less often.
	Throttled Outcome = "throttled"
	// Failed: the replica answered that it cannot do that now.
	Failed Outcome = "failed"
	// Untrusted: the replica's TLS certificate does not verify.
	Untrusted Outcome = "untrusted"
	// Unreachable: no connection, or one that was cut.
	Unreachable Outcome = "unreachable"
	// Stalled: nothing came, or not all of it, in the time for one request.
	Stalled Outcome = "stalled"
	// Skipped: no request was made, because the replica did not answer others a
	// moment ago, or wants to be left alone.
	Skipped Outcome = "skipped"
	// Abandoned: whoever asked gave up.
	Abandoned Outcome = "abandoned"
)

// isAnswer reports whether somebody is there and answers: nothing against asking
// again.
func (o Outcome) isAnswer() bool {
	return o == Answered || o == Refused || o == Invalid || o == Forbidden
}

// isNeutral reports whether the outcome says nothing about whether the replica is up.
func (o Outcome) isNeutral() bool { return o == Abandoned || o == Throttled }

// Observer is told of each request to a replica of one log. Its methods are called
// concurrently.
type Observer interface {
	// Requested says how a request ended and how long it took: 0 for Skipped.
	Requested(operation Operation, outcome Outcome, took time.Duration)
}

type unobserved struct{}

func (unobserved) Requested(Operation, Outcome, time.Duration) {}

// ReplicaState says how one replica of a log answers.
type ReplicaState struct {
	// URL is the base URL of the replica, without a password.
	URL string
	// Down is set while the replica is left alone because it did not answer.
	Down bool
}

// Replicas returns the state of each replica, in the order in which they are asked.
func (e *Endpoints) Replicas() []ReplicaState {
	states := make([]ReplicaState, len(e.replicas))
	for i, r := range e.replicas {
		states[i] = ReplicaState{URL: place(r.base), Down: r.isDown()}
	}
	return states
}
