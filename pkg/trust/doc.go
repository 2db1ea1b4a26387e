// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

// Package trust turns what the cluster's owner configured into what verification
// needs: TransparencyLog objects into provers with a history, and references to
// public keys into their bytes. It reads Secrets of countersign's own namespace
// and of no other.
package trust

import "errors"

// Why something that a policy names cannot be used. Callers tell them apart with
// errors.Is, or take the condition reason from ConditionReason.
var (
	// ErrLogNotFound: no TransparencyLog of that name exists.
	ErrLogNotFound = errors.New("TransparencyLog not found")
	// ErrNoDefaultLog: no log was named, and not exactly one is the default.
	ErrNoDefaultLog = errors.New("no default TransparencyLog")
	// ErrLogNotReady: the TransparencyLog exists and cannot be used.
	ErrLogNotReady = errors.New("TransparencyLog is not ready")
	// ErrSecretNotFound: the Secret, or the key in it, does not exist.
	ErrSecretNotFound = errors.New("secret not found")
	// ErrKeyInvalid: a public key does not parse, or is of a kind that is refused.
	ErrKeyInvalid = errors.New("invalid public key")
)
