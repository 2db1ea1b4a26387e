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
)

// SetDefaults fills in what the API server would fill in.
func (p *ClusterImagePolicy) SetDefaults() {
	if p.Spec.Mode == "" {
		p.Spec.Mode = ModeEnforce
	}
	if p.Spec.Threshold == 0 {
		p.Spec.Threshold = 1
	}
	for i := range p.Spec.Authorities {
		if key := p.Spec.Authorities[i].Key; key != nil && key.HashAlgorithm == "" {
			key.HashAlgorithm = DefaultHashAlgorithm
		}
	}
}

// SetDefaults fills in what the API server would fill in.
func (l *TransparencyLog) SetDefaults() {
	if l.Spec.PollInterval == nil {
		l.Spec.PollInterval = &metav1.Duration{Duration: DefaultPollInterval}
	}
}
