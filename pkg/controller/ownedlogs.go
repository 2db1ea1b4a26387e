// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/trust"
)

// errTypeChanged: the trust root says of a log whose history was seen that it is of another
// type. The type of a log cannot change, and its history must not get lost.
var errTypeChanged = errors.New("the trust root says that the log is of another type than before, and its history is in this object's status: delete the object if that is right")

// errNotOurs: an object of that name exists that the trust root does not own.
var errNotOurs = errors.New("a TransparencyLog of that name exists that the trust root does not own")

// ownLogs makes the TransparencyLog objects that a trust root owns what it says, and
// takes away those of logs that it does not hold any more. It is not for a trust root
// that cannot be used: what was seen of a log is in its status, and must not be lost
// to a mirror that is down.
func (s *rootStatus) ownLogs(ctx context.Context, obj *v1alpha1.TrustRoot, state trust.RootState) error {
	wanted := sets.New[string]()
	var errs []error
	owned, err := trust.OwnedLogs(obj, state)
	if err != nil {
		errs = append(errs, err)
	}
	for _, log := range owned {
		wanted.Insert(log.Name)
		if err := s.ownLog(ctx, obj, &log); err != nil {
			errs = append(errs, fmt.Errorf("TransparencyLog %q: %w", log.Name, err))
		}
	}
	var logs v1alpha1.TransparencyLogList
	if err := s.client.List(ctx, &logs); err != nil {
		return err
	}
	for i := range logs.Items {
		log := &logs.Items[i]
		if !metav1.IsControlledBy(log, obj) || wanted.Has(log.Name) {
			continue
		}
		uid := log.UID
		err := client.IgnoreNotFound(s.client.Delete(ctx, log, client.Preconditions{UID: &uid}))
		if err != nil {
			errs = append(errs, fmt.Errorf("TransparencyLog %q: %w", log.Name, err))
		}
	}
	return errors.Join(errs...)
}

// ownLog creates a log's object, or changes what the trust root says of it. The rest
// is the operator's: whether it is the default, how often it is polled, which of its trees
// count and who must have cosigned them.
func (s *rootStatus) ownLog(ctx context.Context, obj *v1alpha1.TrustRoot, wanted *v1alpha1.TransparencyLog) error {
	var log v1alpha1.TransparencyLog
	err := s.client.Get(ctx, types.NamespacedName{Name: wanted.Name}, &log)
	if apierrors.IsNotFound(err) {
		ctrl.LoggerFrom(ctx).Info("A trust root has a transparency log", "trustRoot", obj.Name, "log", wanted.Name)
		return client.IgnoreAlreadyExists(s.client.Create(ctx, wanted))
	}
	if err != nil {
		return err
	}
	if !metav1.IsControlledBy(&log, obj) {
		return errNotOurs
	}
	if log.Spec.Type != wanted.Spec.Type {
		return s.replaceLog(ctx, &log, wanted)
	}
	if slices.Equal(log.Spec.URLs, wanted.Spec.URLs) && log.Spec.Origin == wanted.Spec.Origin && log.Spec.PublicKey == wanted.Spec.PublicKey &&
		equality.Semantic.DeepEqual(log.Spec.Validity, wanted.Spec.Validity) {
		return nil
	}
	before := log.DeepCopy()
	log.Spec.URLs, log.Spec.Origin, log.Spec.PublicKey = wanted.Spec.URLs, wanted.Spec.Origin, wanted.Spec.PublicKey
	log.Spec.Validity = wanted.Spec.Validity
	return s.client.Patch(ctx, &log, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
}

// replaceLog makes a log's object anew that was of the wrong type, if nothing was ever
// verified of it, so that nothing is lost but what the operator wrote, which is kept.
func (s *rootStatus) replaceLog(ctx context.Context, log, wanted *v1alpha1.TransparencyLog) error {
	if log.Status.Checkpoint != nil || len(log.Status.Shards) > 0 || log.Status.Inconsistency != nil {
		return errTypeChanged
	}
	ctrl.LoggerFrom(ctx).Info("A transparency log of a trust root is of another type than was thought", "log", log.Name, "type", wanted.Spec.Type)
	uid, version := log.UID, log.ResourceVersion
	err := client.IgnoreNotFound(s.client.Delete(ctx, log, client.Preconditions{UID: &uid, ResourceVersion: &version}))
	if err != nil {
		return err
	}
	next := wanted.DeepCopy()
	next.Spec.Default, next.Spec.PollInterval, next.Spec.MaxStaleness = log.Spec.Default, log.Spec.PollInterval, log.Spec.MaxStaleness
	next.Spec.TLS, next.Spec.Auth, next.Spec.Witnesses = log.Spec.TLS, log.Spec.Auth, log.Spec.Witnesses
	return client.IgnoreAlreadyExists(s.client.Create(ctx, next))
}

// tellOwning makes an Event of logs that could not be made what they should be, and
// says when to try again.
func (s *rootStatus) tellOwning(ctx context.Context, obj *v1alpha1.TrustRoot, err error) time.Duration {
	switch {
	case err == nil:
		return lookInterval
	case apierrors.IsConflict(err):
		return conflictDelay
	}
	ctrl.LoggerFrom(ctx).Error(err, "The logs of a trust root are not all there", "trustRoot", obj.Name)
	s.recorder.Eventf(obj, nil, corev1.EventTypeWarning, "LogsNotOwned", "Own", "%s", truncate(err.Error()))
	return lookInterval
}
