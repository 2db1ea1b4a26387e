// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"context"
	"strings"
)

// Kubectl runs kubectl as the cluster's administrator. Stdin may be empty.
func (s *Stack) Kubectl(ctx context.Context, stdin string, args ...string) (Result, error) {
	return s.kubectl(ctx, s.ControlPlane, stdin, args...)
}

func (s *Stack) kubectl(ctx context.Context, cp *ControlPlane, stdin string, args ...string) (Result, error) {
	args = append([]string{"--kubeconfig", cp.Kubeconfig}, args...)
	return s.runWith(ctx, strings.NewReader(stdin), s.run.environ(), "kubectl", args...)
}

// Apply is kubectl apply of YAML documents, and fails if kubectl does.
func (s *Stack) Apply(ctx context.Context, manifests string, args ...string) error {
	return s.applyTo(ctx, s.ControlPlane, manifests, args...)
}

func (s *Stack) applyTo(ctx context.Context, cp *ControlPlane, manifests string, args ...string) error {
	result, err := s.kubectl(ctx, cp, manifests, append([]string{"apply", "-f", "-"}, args...)...)
	if err != nil {
		return err
	}
	return result.Err()
}

// ApplyReady applies objects of ours and waits until each has the condition Ready.
func (s *Stack) ApplyReady(ctx context.Context, manifests string) error {
	if err := s.Apply(ctx, manifests); err != nil {
		return err
	}
	result, err := s.Kubectl(ctx, manifests, "wait", "--for=condition=Ready", "--timeout=30s", "-f", "-")
	if err != nil {
		return err
	}
	return result.Err()
}
