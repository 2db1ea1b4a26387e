// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/policy"
)

// loadException brings one ImagePolicyException up to date in memory. That it ends needs
// nobody: its end is looked at when it is used.
func (l *loader) loadException(ctx context.Context, name types.NamespacedName) error {
	var obj v1alpha1.ImagePolicyException
	err := l.reader.Get(ctx, name, &obj)
	if apierrors.IsNotFound(err) {
		l.config.Exceptions.Delete(name.Namespace, name.Name)
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading an ImagePolicyException: %w", err)
	}
	l.config.Exceptions.Set(policy.CompileException(&obj, l.config.MaxExceptionAge))
	return nil
}

func (l *loader) loadExceptions(ctx context.Context) error {
	var objects v1alpha1.ImagePolicyExceptionList
	if err := l.reader.List(ctx, &objects); err != nil {
		return fmt.Errorf("listing ImagePolicyExceptions: %w", err)
	}
	compiled := make([]*policy.Exception, 0, len(objects.Items))
	for i := range objects.Items {
		compiled = append(compiled, policy.CompileException(&objects.Items[i], l.config.MaxExceptionAge))
	}
	l.config.Exceptions.Replace(compiled)
	return nil
}
