// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"maps"
	"net/url"
	"slices"
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
func OwnedLogs(obj *v1alpha1.TrustRoot, state RootState) []v1alpha1.TransparencyLog {
	var owned []v1alpha1.TransparencyLog
	for _, id := range slices.Sorted(maps.Keys(state.Logs)) {
		log := state.Logs[id]
		base, err := url.Parse(log.BaseURL)
		if err != nil || base.Hostname() == "" {
			continue
		}
		logType, ok := typeOf(log, base.Hostname())
		if !ok {
			continue
		}
		next := v1alpha1.TransparencyLog{
			ObjectMeta: metav1.ObjectMeta{Name: obj.Name + "-" + id[:ownedNameHex], OwnerReferences: []metav1.OwnerReference{ownerReference(obj)}},
			Spec: v1alpha1.TransparencyLogSpec{
				Type: logType, URLs: []string{log.BaseURL}, Origin: base.Hostname(),
				PublicKey: v1alpha1.LogPublicKey{Data: keyPEM(log.PublicKey)}, Validity: ownedValidity(log),
			},
		}
		next.SetDefaults()
		owned = append(owned, next)
	}
	return owned
}

// ownerReference makes the log go when the trust root goes.
func ownerReference(obj *v1alpha1.TrustRoot) metav1.OwnerReference {
	isController := true
	return metav1.OwnerReference{
		APIVersion: v1alpha1.GroupVersion().String(), Kind: v1alpha1.TrustRootKind, Name: obj.Name, UID: obj.UID, Controller: &isController,
	}
}

// typeOf returns the type of a log that a trust root names by its ID: the hash of its key
// for Rekor v1, and of its name and key for Rekor v2. For an ECDSA key these are the same,
// and the log is taken for Rekor v1: one of Rekor v2 needs a TransparencyLog that says so.
func typeOf(log *root.TransparencyLog, origin string) (v1alpha1.LogType, bool) {
	for _, logType := range []v1alpha1.LogType{v1alpha1.LogTypeRekorV1, v1alpha1.LogTypeRekorV2} {
		version, err := VersionOf(logType)
		if err != nil {
			continue
		}
		named, err := tlog.NewLog(tlog.Config{Version: version, Origin: origin, Key: log.PublicKey})
		if err != nil {
			continue
		}
		if id := named.ID(); bytes.Equal(id[:], log.ID) {
			return logType, true
		}
	}
	return "", false
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
