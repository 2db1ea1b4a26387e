// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
)

// sourceOf returns the source that obj names, and a fingerprint of all that it was
// made from.
func (r *Roots) sourceOf(ctx context.Context, obj *v1alpha1.TrustRoot) (rootSource, string, error) {
	spec := &obj.Spec
	if unread := v1alpha1.UnreadErrors(spec.Unread); len(unread) > 0 {
		return nil, "", unread.ToAggregate() // it may have asked for more than the rest
	}
	text := ""
	if spec.TrustedRoot != nil {
		var err error
		if text, err = trustedRootText(ctx, spec.TrustedRoot, r.configMaps); err != nil {
			return nil, "", fmt.Errorf("trustedRoot: %w", err)
		}
	}
	written, err := json.Marshal(spec)
	if err != nil {
		return nil, "", err
	}
	sum := sha256.Sum256(append(written, text...))
	source, err := r.newSource(spec, text)
	return source, hex.EncodeToString(sum[:]), err
}

func (r *Roots) newSource(spec *v1alpha1.TrustRootSpec, text string) (rootSource, error) {
	var sources []rootSource
	if spec.SigstoreKeys != nil {
		sources = append(sources, fixedSource{now: r.now, parse: func() (*root.TrustedRoot, error) { return ParseSigstoreKeys(spec.SigstoreKeys) }})
	}
	if spec.TrustedRoot != nil {
		sources = append(sources, fixedSource{now: r.now, parse: func() (*root.TrustedRoot, error) { return ParseTrustedRoot([]byte(text)) }})
	}
	if spec.Remote != nil {
		source, err := r.remoteSource(spec.Remote)
		if err != nil {
			return nil, fmt.Errorf("remote: %w", err)
		}
		sources = append(sources, source)
	}
	if spec.Repository != nil {
		source, err := r.embeddedSource(spec.Repository)
		if err != nil {
			return nil, fmt.Errorf("repository: %w", err)
		}
		sources = append(sources, source)
	}
	if len(sources) != 1 {
		return nil, errors.New("exactly one of sigstoreKeys, remote, repository, trustedRoot must be set")
	}
	return sources[0], nil
}

// trustedRootText returns the text that an object holds, or else refers to.
func trustedRootText(ctx context.Context, from *v1alpha1.TrustedRootText, configMaps ConfigMapReader) (string, error) {
	if (from.Data == "") == (from.ConfigMapRef == nil) {
		return "", errors.New("exactly one of data, configMapRef must be set")
	}
	if from.ConfigMapRef == nil {
		return from.Data, nil
	}
	data, err := configMaps.ConfigMap(ctx, from.ConfigMapRef.Name)
	if err != nil {
		return "", err
	}
	key := from.ConfigMapRef.Key
	if key == "" {
		key = v1alpha1.DefaultTrustedRootKey
	}
	text, ok := data[key]
	if !ok {
		return "", fmt.Errorf("%w: ConfigMap %q has no key %q", ErrConfigMapNotFound, from.ConfigMapRef.Name, key)
	}
	return text, nil
}

// fixedSource says what is written, always.
type fixedSource struct {
	now   func() time.Time
	parse func() (*root.TrustedRoot, error)
}

func (fixedSource) isRemote() bool { return false }

func (s fixedSource) read(context.Context, TUFVersions) (heldRoot, error) {
	trusted, err := s.parse()
	if err != nil {
		return heldRoot{}, err
	}
	return heldRoot{trusted: trusted, at: s.now()}, nil
}

// seenVersions are the versions that the status of obj says were seen of this very
// specification. An operator who changes it begins anew.
func seenVersions(obj *v1alpha1.TrustRoot) TUFVersions {
	seen := obj.Status.TUF
	if seen == nil || obj.Status.ObservedGeneration != obj.Generation {
		return TUFVersions{}
	}
	return TUFVersions{Root: seen.RootVersion, Timestamp: seen.TimestampVersion, Snapshot: seen.SnapshotVersion, Targets: seen.TargetsVersion}
}
