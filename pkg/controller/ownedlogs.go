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

// errNotOurs: an object of that name exists that the trust root does not own.
var errNotOurs = errors.New("a TransparencyLog of that name exists that the trust root does not own")

// ownLogs makes the TransparencyLog objects that a trust root owns what it says, and
// takes away those of logs that it does not hold any more. It is not for a trust root
// that cannot be used: what was seen of a log is in its status, and must not be lost
// to a mirror that is down.
func (s *rootStatus) ownLogs(ctx context.Context, obj *v1alpha1.TrustRoot, state trust.RootState) error {
	wanted := sets.New[string]()
	var errs []error
	for _, log := range trust.OwnedLogs(obj, state) {
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
	if slices.Equal(log.Spec.URLs, wanted.Spec.URLs) && log.Spec.Origin == wanted.Spec.Origin && log.Spec.PublicKey == wanted.Spec.PublicKey &&
		equality.Semantic.DeepEqual(log.Spec.Validity, wanted.Spec.Validity) {
		return nil
	}
	before := log.DeepCopy()
	log.Spec.URLs, log.Spec.Origin, log.Spec.PublicKey = wanted.Spec.URLs, wanted.Spec.Origin, wanted.Spec.PublicKey
	log.Spec.Validity = wanted.Spec.Validity
	return s.client.Patch(ctx, &log, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
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
