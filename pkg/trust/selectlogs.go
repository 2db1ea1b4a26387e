// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/tlog"
)

// Select returns the provers of the logs that an authority means, by name; nil means the
// default log. There is at least one. Its error wraps ErrNoDefaultLog when none or several
// are marked as the default, ErrLogNotFound when none is what was asked for, or is that of
// Prover: one that cannot be used spoils the selection, as nobody could tell what is
// missing from it.
func (l *Logs) Select(c *v1alpha1.CTLog) ([]*tlog.Prover, error) {
	var names []string
	if c != nil && len(c.LogRefs) > 0 {
		names = c.LogRefs
	} else {
		names = l.selected(c)
	}
	switch {
	case c.IsDefault() && len(names) == 0:
		return nil, fmt.Errorf("%w: no log is named, and none has default: true", ErrNoDefaultLog)
	case c.IsDefault() && len(names) > 1:
		return nil, fmt.Errorf("%w: several have default: true (%s)", ErrNoDefaultLog, strings.Join(names, ", "))
	case len(names) == 0:
		return nil, fmt.Errorf("%w: none %s", ErrLogNotFound, wanted(c))
	}
	provers := make([]*tlog.Prover, 0, len(names))
	for _, name := range names {
		prover, err := l.Prover(name)
		if err != nil {
			return nil, err
		}
		provers = append(provers, prover)
	}
	return provers, nil
}

// selected returns the names of the logs that c means, sorted.
func (l *Logs) selected(c *v1alpha1.CTLog) []string {
	l.mu.RLock()
	defer l.mu.RUnlock()
	var names []string
	for name, configured := range l.logs {
		if c.Selects(configured.selectable) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// wanted says what a log would have to be that c means.
func wanted(c *v1alpha1.CTLog) string {
	var qualities []string
	if c.TrustRootRef != "" {
		qualities = append(qualities, fmt.Sprintf("is owned by TrustRoot %q", c.TrustRootRef))
	}
	if c.URL != "" {
		qualities = append(qualities, fmt.Sprintf("has the URL %q", c.URL))
	}
	return strings.Join(qualities, " and ")
}

func selectable(obj *v1alpha1.TransparencyLog) *v1alpha1.TransparencyLog {
	return &v1alpha1.TransparencyLog{
		ObjectMeta: metav1.ObjectMeta{Name: obj.Name, OwnerReferences: obj.OwnerReferences},
		Spec:       v1alpha1.TransparencyLogSpec{URLs: obj.Spec.URLs, Default: obj.Spec.Default},
	}
}
