// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"github.com/open-policy-agent/cert-controller/pkg/rotator"
	"sigs.k8s.io/controller-runtime/pkg/manager"
)

// Rotation keeps the webhook's certificate: a CA and a serving certificate in a
// Secret, renewed in time, and the CA in the webhook configurations. The Secret
// and the configurations must exist: it only updates them.
type Rotation struct {
	// Certificate is what is kept.
	Certificate *Certificate
	// Mutating and Validating are the names of the webhook configurations.
	Mutating, Validating string
	// LeaderElection has one replica rotate, and the others read the Secret.
	LeaderElection bool
}

// Add adds the rotation, and the watch that serves what it makes, to m. The
// process is never restarted for a new certificate.
func (r Rotation) Add(m manager.Manager) error {
	if err := m.Add(certificateWatch{certificate: r.Certificate, cache: m.GetCache()}); err != nil {
		return err
	}
	return rotator.AddRotator(m, &rotator.CertRotator{
		SecretKey:      r.Certificate.secret,
		CertDir:        r.Certificate.dir,
		CAName:         "countersign",
		CAOrganization: "countersign",
		DNSName:        r.Certificate.dnsName,
		// Readiness is the Certificate's: only the replica that rotates closes this.
		IsReady:               make(chan struct{}),
		RequireLeaderElection: r.LeaderElection,
		FieldOwner:            "countersign",
		Webhooks: []rotator.WebhookInfo{
			{Name: r.Mutating, Type: rotator.Mutating},
			{Name: r.Validating, Type: rotator.Validating},
		},
	})
}
