// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

// Package trust turns what the cluster's owner configured into what verification
// needs: TransparencyLog objects into provers with a history, TrustRoot objects
// into certificates and keys, and references to public keys into their bytes. It
// reads Secrets and ConfigMaps of countersign's own namespace and of no other.
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
	// ErrRootNotFound: no TrustRoot of that name exists.
	ErrRootNotFound = errors.New("TrustRoot not found")
	// ErrRootNotReady: the TrustRoot exists and cannot be used.
	ErrRootNotReady = errors.New("TrustRoot is not ready")
	// ErrRootUnsuitable: the TrustRoot lacks what a policy needs of it.
	ErrRootUnsuitable = errors.New("TrustRoot lacks what is needed")
	// ErrExpired: metadata of a TUF repository is past its end.
	ErrExpired = errors.New("expired")
	// ErrMirrorUnavailable: a TUF mirror did not answer, or not in time.
	ErrMirrorUnavailable = errors.New("TUF mirror unavailable")
	// ErrRepositoryInvalid: a TUF repository is not what its root stands for.
	ErrRepositoryInvalid = errors.New("TUF repository invalid")
	// ErrConfigMapNotFound: the ConfigMap, or the key in it, does not exist.
	ErrConfigMapNotFound = errors.New("config map not found")
	// ErrSecretNotFound: the Secret, or the key in it, does not exist.
	ErrSecretNotFound = errors.New("secret not found")
	// ErrCredentialInvalid: a Secret holds something else than the credentials that are
	// wanted.
	ErrCredentialInvalid = errors.New("invalid credentials")
	// ErrKeyInvalid: a public key does not parse, or is of a kind that is refused.
	ErrKeyInvalid = errors.New("invalid public key")
)
