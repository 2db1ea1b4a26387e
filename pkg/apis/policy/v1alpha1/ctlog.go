// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"net/url"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// CTLog says which transparency logs must hold the signature's entry.
// +kubebuilder:validation:MinProperties=1
// +kubebuilder:validation:XValidation:rule="!has(self.logRefs) || !(has(self.url) || has(self.trustRootRef))",message="logRefs excludes url and trustRootRef"
// +kubebuilder:validation:XValidation:rule="!has(self.insecureIgnoreTlog) || !self.insecureIgnoreTlog || !(has(self.logRefs) || has(self.url) || has(self.trustRootRef) || has(self.threshold))",message="insecureIgnoreTlog excludes logRefs, url, trustRootRef and threshold"
// +kubebuilder:validation:XValidation:rule="!has(self.threshold) || self.threshold <= (has(self.logRefs) ? size(self.logRefs) : (has(self.trustRootRef) ? 8 : 1))",fieldPath=".threshold",message="threshold must not be larger than the number of logs"
// +kubebuilder:pruning:PreserveUnknownFields
type CTLog struct {
	// logRefs names TransparencyLog objects. It defaults to the logs that url and
	// trustRootRef say, and without these to the default TransparencyLog.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	LogRefs []string `json:"logRefs,omitempty"`

	// url names the TransparencyLog objects that have it among their urls, as in
	// sigstore's API. It makes no log trusted that no object describes. It defaults
	// to any.
	// +optional
	// +kubebuilder:validation:MinLength=8
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:Pattern=`^https?://[^/?#@\s]+(/[^?#\s]*)?$`
	URL string `json:"url,omitempty"`

	// trustRootRef names the TrustRoot whose logs are asked, as in sigstore's API:
	// the TransparencyLog objects that it owns. It defaults to none.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	TrustRootRef string `json:"trustRootRef,omitempty"`

	// threshold is the number of distinct logs that must prove that they hold
	// the entry: logs with one key are one log. It defaults to 1.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=8
	Threshold int32 `json:"threshold,omitempty"`

	// insecureIgnoreTlog accepts a signature that is in no log: whoever steals
	// the key can then sign unseen. It defaults to false.
	// +optional
	InsecureIgnoreTlog *bool `json:"insecureIgnoreTlog,omitempty"`
}

// Ignored reports whether no log is asked. It is false for a nil CTLog, which
// means the default log.
func (c *CTLog) Ignored() bool {
	return c != nil && c.InsecureIgnoreTlog != nil && *c.InsecureIgnoreTlog
}

// IsDefault reports whether the default log is meant, because none is named in any way.
func (c *CTLog) IsDefault() bool {
	return !c.Ignored() && (c == nil || len(c.LogRefs) == 0 && c.URL == "" && c.TrustRootRef == "")
}

// Selects reports whether log is one of those that are meant.
func (c *CTLog) Selects(log *TransparencyLog) bool {
	switch {
	case c.Ignored():
		return false
	case c.IsDefault():
		return log.Spec.IsDefault()
	case len(c.LogRefs) > 0:
		return slices.Contains(c.LogRefs, log.Name)
	case c.TrustRootRef == "" && log.isOwnedBySigstore():
		return false
	default:
		return (c.TrustRootRef == "" || log.isOwnedBy(c.TrustRootRef)) &&
			(c.URL == "" || slices.ContainsFunc(log.Spec.URLs, func(text string) bool { return SameURL(text, c.URL) }))
	}
}

// isOwnedBySigstore reports whether a TrustRoot of policy.sigstore.dev owns the log, which
// then counts only where it is named: whoever may write those must not say what the URL in
// a policy of ours means.
func (l *TransparencyLog) isOwnedBySigstore() bool {
	return slices.ContainsFunc(l.OwnerReferences, func(owner metav1.OwnerReference) bool {
		group, _, _ := strings.Cut(owner.APIVersion, "/")
		return group == SigstoreGroup
	})
}

// isOwnedBy reports whether the TrustRoot that is known by that name owns the log.
func (l *TransparencyLog) isOwnedBy(root string) bool {
	for _, owner := range l.OwnerReferences {
		group, _, _ := strings.Cut(owner.APIVersion, "/")
		name := owner.Name
		switch group {
		case GroupName:
		case SigstoreGroup:
			name = SigstoreName(name)
		default:
			continue
		}
		if owner.Controller != nil && *owner.Controller && owner.Kind == TrustRootKind && name == root {
			return true
		}
	}
	return false
}

// SameURL reports whether two base URLs are one: scheme and host in any case, and with or
// without a slash at the end.
func SameURL(a, b string) bool {
	x, errX := url.Parse(a)
	y, errY := url.Parse(b)
	return errX == nil && errY == nil && strings.EqualFold(x.Scheme, y.Scheme) && strings.EqualFold(x.Host, y.Host) &&
		strings.TrimRight(x.Path, "/") == strings.TrimRight(y.Path, "/")
}
