// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/trust"
	"github.com/countersign-dev/countersign/pkg/trust/kms"
	"github.com/countersign-dev/countersign/pkg/verify"
)

func (p *Policy) compileKey(ctx context.Context, verifier *verify.Authority, k *v1alpha1.KeyAuthority, path string, t Trust) *problemError {
	switch {
	case k == nil:
		return nil
	case k.KMS != "":
		return p.compileKMS(verifier, k, path+".kms", t.KMS)
	}
	pem, err := trust.PublicKeyPEM(ctx, k.Data, k.SecretRef, v1alpha1.DefaultAuthoritySecretKey, t.Secrets)
	if err != nil {
		return &problemError{PartKey, path, err}
	}
	key, err := verify.ParseKey(trust.KeyOfCertificate(pem), string(k.HashAlgorithm))
	if err != nil {
		return &problemError{PartKey, path, fmt.Errorf("%w: %w", trust.ErrKeyInvalid, err)}
	}
	verifier.Keys = []verify.Key{key}
	return nil
}

// compileKMS takes every version of a key of which a signature may be. A version
// that cannot be used is noted and left out, if there is another.
func (p *Policy) compileKMS(verifier *verify.Authority, k *v1alpha1.KeyAuthority, path string, services KMS) *problemError {
	if k.Data != "" || k.SecretRef != nil {
		return &problemError{PartKey, path, fmt.Errorf("%w: exactly one of data, secretRef, kms must be set", trust.ErrKeyInvalid)}
	}
	state := kms.State{Err: kms.ErrUnsupported}
	if services != nil {
		state = services.Lookup(k.KMS)
	}
	if state.Err != nil {
		return &problemError{PartKey, path, fmt.Errorf("%s: %w", k.KMS, state.Err)}
	}
	var left []error
	for _, version := range state.Versions {
		key, err := keyOfVersion(version, string(k.HashAlgorithm))
		if err != nil {
			left = append(left, fmt.Errorf("version %s: %w", version.Name, err))
			continue
		}
		verifier.Keys = append(verifier.Keys, key)
	}
	if len(verifier.Keys) == 0 {
		return &problemError{PartKey, path, fmt.Errorf("%w: %s: %w", trust.ErrKeyInvalid, k.KMS, errors.Join(left...))}
	}
	for _, err := range left {
		p.notef(path, v1alpha1.ReasonKeyInvalid, "%s: %v; it is left out", k.KMS, err)
	}
	if state.Stale != nil {
		p.notef(path, v1alpha1.ReasonStale, "%s: what was read at %s is in force until %s: %v", k.KMS,
			state.ReadAt.UTC().Format(time.RFC3339), state.Until.UTC().Format(time.RFC3339), state.Stale)
	}
	return nil
}

func keyOfVersion(version kms.Version, hashAlgorithm string) (verify.Key, error) {
	if version.Err != nil {
		return verify.Key{}, version.Err
	}
	return verify.NewKey(version.Key, hashAlgorithm)
}

func (p *Policy) notef(path, reason, format string, args ...any) {
	p.notes = append(p.notes, Note{Path: path, Reason: reason, Text: fmt.Sprintf(format, args...)})
}
