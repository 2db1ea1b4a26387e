// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/tlog"
)

// ownedNameHex is how much of a log's ID is in the name of its object.
const ownedNameHex = 8

// OwnedLogs returns the TransparencyLog objects that the trust root obj owns: one
// for each of its logs, named <trust root>-<first 8 digits of the log's
// ID>, whose origin is the host name of its base URL, as in sigstore's clients. A log
// whose validity has ended keeps its object: what it holds was signed before.
//
// The error says which logs there is none for, and why: nobody can tell what they are, or
// obj says that they are something else than their ID says. It stands in no other's way.
func OwnedLogs(obj *v1alpha1.TrustRoot, state RootState) (owned []v1alpha1.TransparencyLog, err error) {
	if obj.Spec.SigstoreKeys == nil && len(state.Logs) > 0 {
		err = checkLogTypes(obj.Spec.LogTypes, state.Logs)
	}
	for _, id := range slices.Sorted(maps.Keys(state.Logs)) {
		next, logErr := ownedLog(obj, state.Logs[id])
		if logErr != nil {
			err = errors.Join(err, fmt.Errorf("the log with ID %s: %w", id, logErr))
			continue
		}
		next.Name = ownedName(obj.Name, id)
		next.SetDefaults()
		owned = append(owned, next)
	}
	return owned, err
}

// ownedLog is the object of one log, without its name.
func ownedLog(obj *v1alpha1.TrustRoot, log *root.TransparencyLog) (v1alpha1.TransparencyLog, error) {
	base, err := url.Parse(log.BaseURL)
	if err != nil || base.Hostname() == "" {
		return v1alpha1.TransparencyLog{}, errors.New("its base URL names no host")
	}
	logType, err := typeOf(log, base.Hostname(), declaredType(&obj.Spec, log))
	if err != nil {
		return v1alpha1.TransparencyLog{}, err
	}
	return v1alpha1.TransparencyLog{
		ObjectMeta: metav1.ObjectMeta{OwnerReferences: []metav1.OwnerReference{ownerReference(obj)}},
		Spec: v1alpha1.TransparencyLogSpec{
			Type: logType, URLs: []string{log.BaseURL}, Origin: base.Hostname(),
			PublicKey: v1alpha1.LogPublicKey{Data: keyPEM(log.PublicKey)}, Validity: ownedValidity(log),
		},
	}, nil
}

// ownedName is the name of the log with an ID. That of a log of policy.sigstore.dev's
// corp begins with policy.sigstore.dev.corp, so that ours of the same name has another.
func ownedName(root, id string) string {
	return strings.ReplaceAll(root, "/", ".") + "-" + id[:ownedNameHex]
}

// ownerReference makes the log go when the trust root goes.
func ownerReference(obj *v1alpha1.TrustRoot) metav1.OwnerReference {
	isController := true
	owner := metav1.OwnerReference{
		APIVersion: v1alpha1.GroupVersion().String(), Kind: v1alpha1.TrustRootKind, Name: obj.Name, UID: obj.UID, Controller: &isController,
	}
	if name, theirs := v1alpha1.CutSigstoreName(obj.Name); theirs {
		owner.APIVersion, owner.Name = v1alpha1.SigstoreGroup+"/v1alpha1", name
	}
	return owner
}

// declaredType is what the trust root says that a log is, or nothing.
func declaredType(spec *v1alpha1.TrustRootSpec, log *root.TransparencyLog) v1alpha1.LogType {
	if spec.SigstoreKeys == nil {
		for _, declared := range spec.LogTypes {
			if declared.BaseURL == log.BaseURL {
				return declared.Type
			}
		}
		return ""
	}
	for i := range spec.SigstoreKeys.TLogs {
		instance := &spec.SigstoreKeys.TLogs[i]
		if parsed, err := ParseLogInstance(instance); err == nil && bytes.Equal(parsed.ID, log.ID) {
			return instance.Type
		}
	}
	return ""
}

// checkLogTypes says which of the types are of no log that the trust root holds: a slip of
// the hand there would leave the log what it is not.
func checkLogTypes(types []v1alpha1.TransparencyLogType, logs map[string]*root.TransparencyLog) (err error) {
	for i, declared := range types {
		known := false
		for _, log := range logs {
			known = known || log.BaseURL == declared.BaseURL
		}
		if !known {
			err = errors.Join(err, fmt.Errorf("logTypes[%d]: the trust root holds no log with this base URL", i))
		}
	}
	return err
}

// typeOf returns the type of a log that a trust root names by its ID: the hash of its key
// for Rekor v1, and of its name and key for Rekor v2. For an ECDSA key these are the same,
// and the log is what is declared, or else Rekor v1. A log whose ID is not that of what is
// declared is refused: one of the two is wrong, and nobody can tell which.
func typeOf(log *root.TransparencyLog, origin string, declared v1alpha1.LogType) (v1alpha1.LogType, error) {
	for _, logType := range []v1alpha1.LogType{v1alpha1.LogTypeRekorV1, v1alpha1.LogTypeRekorV2} {
		if declared != "" && declared != logType {
			continue
		}
		id, err := logID(logType, origin, log.PublicKey)
		if err == nil && bytes.Equal(id[:], log.ID) {
			return logType, nil
		}
	}
	if declared != "" {
		return "", fmt.Errorf("its ID is not that of a log of type %s named %q with this key", declared, origin)
	}
	return "", errors.New("its ID is neither the hash of its key, which Rekor v1 has, nor that of its name and key, which Rekor v2 has")
}

// logID is what entries call a log.
func logID(logType v1alpha1.LogType, origin string, key crypto.PublicKey) (id [32]byte, err error) {
	version, err := VersionOf(logType)
	if err != nil {
		return id, err
	}
	log, err := tlog.NewLog(tlog.Config{Version: version, Origin: origin, Key: key})
	if err != nil {
		return id, err
	}
	return log.ID(), nil
}

// keyPEM is the PEM text of a key that NewLog took.
func keyPEM(key crypto.PublicKey) string {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return ""
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// ownedValidity is the validity of a log as an object says it; nil is always.
func ownedValidity(log *root.TransparencyLog) *v1alpha1.Validity {
	if log.ValidityPeriodStart.IsZero() && log.ValidityPeriodEnd.IsZero() {
		return nil
	}
	return &v1alpha1.Validity{NotBefore: bound(log.ValidityPeriodStart), NotAfter: bound(log.ValidityPeriodEnd)}
}

// bound is a time as an object says it, in whole seconds; nil is no bound.
func bound(t time.Time) *metav1.Time {
	if t.IsZero() {
		return nil
	}
	return &metav1.Time{Time: t.UTC().Truncate(time.Second)}
}
