// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Defaults of optional fields. The schema says the same: these are for objects
// that never were in an API server, such as files on a command line.
const (
	DefaultHashAlgorithm HashAlgorithm = "sha256"
	DefaultPollInterval                = 30 * time.Second
	DefaultMaxStaleness                = time.Hour

	DefaultMerkleHash        MerkleHash = "sha-256"
	DefaultRefreshInterval              = time.Hour
	DefaultTargets                      = "targets"
	DefaultTrustedRootTarget            = "trusted_root.json"
	DefaultTrustedRootKey               = "trusted_root.json"
)

// SetDefaults fills in what the API server would fill in.
func (p *ClusterImagePolicy) SetDefaults() {
	if p.Spec.Mode == "" {
		p.Spec.Mode = ModeEnforce
	}
	if p.Spec.Threshold == 0 {
		p.Spec.Threshold = 1
	}
	if p.Spec.Platforms == "" {
		p.Spec.Platforms = PlatformsIndex
	}
	if p.Spec.Exceptions == "" {
		p.Spec.Exceptions = ExceptionsDeny
	}
	if p.Spec.OnUnavailable == "" {
		p.Spec.OnUnavailable = OnUnavailableDeny
	}
	setAuthorityDefaults(p.Spec.Authorities)
}

// SetDefaults fills in what the API server would fill in.
func (p *ImagePolicy) SetDefaults() {
	if p.Spec.Mode == "" {
		p.Spec.Mode = ModeEnforce
	}
	if p.Spec.Threshold == 0 {
		p.Spec.Threshold = 1
	}
	setAuthorityDefaults(p.Spec.Authorities)
}

func setAuthorityDefaults(authorities []Authority) {
	for i := range authorities {
		if key := authorities[i].Key; key != nil && key.HashAlgorithm == "" {
			key.HashAlgorithm = DefaultHashAlgorithm
		}
	}
}

// SetDefaults fills in what the API server would fill in.
func (l *TransparencyLog) SetDefaults() {
	if l.Spec.PollInterval == nil {
		l.Spec.PollInterval = &metav1.Duration{Duration: DefaultPollInterval}
	}
	if l.Spec.MaxStaleness == nil {
		l.Spec.MaxStaleness = &metav1.Duration{Duration: DefaultMaxStaleness}
	}
}

// SetDefaults fills in what the API server would fill in.
func (r *TrustRoot) SetDefaults() {
	if keys := r.Spec.SigstoreKeys; keys != nil {
		for _, logs := range [][]TransparencyLogInstance{keys.CTLogs, keys.TLogs} {
			for i := range logs {
				setDefault(&logs[i].HashAlgorithm, DefaultMerkleHash)
			}
		}
	}
	if remote := r.Spec.Remote; remote != nil {
		setDefault(&remote.Targets, DefaultTargets)
		setDefault(&remote.TrustedRootTarget, DefaultTrustedRootTarget)
		if remote.RefreshInterval == nil {
			remote.RefreshInterval = &metav1.Duration{Duration: DefaultRefreshInterval}
		}
	}
	if repository := r.Spec.Repository; repository != nil {
		setDefault(&repository.Targets, DefaultTargets)
		setDefault(&repository.TrustedRootTarget, DefaultTrustedRootTarget)
	}
}

func setDefault[T ~string](field *T, value T) {
	if *field == "" {
		*field = value
	}
}
