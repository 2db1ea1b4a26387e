// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"context"

	"golang.org/x/sync/errgroup"
)

// Keyless is what signatures by identities are made with: issuers that vouch for
// them, an authority that certifies them, the log of its certificates, and a
// timestamp authority.
type Keyless struct {
	OIDC   *OIDC
	CTLog  *CTLog
	Fulcio *Fulcio
	TSA    *TSA
}

// startKeyless starts them once the control plane and Trillian run, which the
// channels say when they are closed.
func (s *Stack) startKeyless(ctx context.Context, controlPlane, trillian <-chan struct{}) error {
	k := &Keyless{}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		k.TSA, err = s.StartTSA(ctx, "tsa")
		return err
	})
	g.Go(func() (err error) {
		if k.OIDC, err = s.startOIDC(ctx); err != nil {
			return err
		}
		ca, err := s.NewCA("fulcio")
		if err != nil {
			return err
		}
		<-trillian
		if s.Trillian == nil {
			return nil // its own error is the one to report
		}
		if k.CTLog, err = s.StartCTLog(ctx, "ctlog", ca); err != nil {
			return err
		}
		<-controlPlane
		if s.ControlPlane == nil {
			return nil // its own error is the one to report
		}
		if err := s.Apply(ctx, anyoneMayDiscover); err != nil {
			return err
		}
		k.Fulcio, err = s.startFulcio(ctx, "fulcio", k.OIDC, ca, k.CTLog)
		return err
	})
	if err := g.Wait(); err != nil || k.Fulcio == nil {
		return err
	}
	s.Keyless = k
	return nil
}

// anyoneMayDiscover lets Fulcio read the keys of the cluster's service accounts.
const anyoneMayDiscover = `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: anyone-may-discover-the-issuer
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: system:service-account-issuer-discovery
subjects:
- apiGroup: rbac.authorization.k8s.io
  kind: Group
  name: system:unauthenticated
`
