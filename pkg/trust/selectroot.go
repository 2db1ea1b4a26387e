// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
)

// Authorities returns the trust root that an authority means: the one that it names, or the
// only one with a certificate authority at its url, of which those of policy.sigstore.dev
// are none: there, too, they count only where they are named, and whoever may write them
// must not say what the URL in a policy of ours means. With a url, only the certificate
// authorities at it count; the logs of certificates and the timestamp authorities are
// those of the whole trust root. The URL is compared and never asked, and one that no
// configured trust root has selects nothing, whatever answers there.
//
// The error is ErrRootNotFound, ErrRootNotReady or ErrRootUnsuitable.
func (r *Roots) Authorities(k *v1alpha1.KeylessAuthority) (root.TrustedMaterial, error) {
	switch {
	case k.TrustRootRef == "" && k.URL == "":
		return nil, fmt.Errorf("%w: none is named, and no url says which", ErrRootNotFound)
	case k.TrustRootRef == "":
		return r.only(k.URL)
	}
	material, err := r.Root(k.TrustRootRef)
	if err != nil || k.URL == "" {
		return material, err
	}
	selected := authoritiesAt{material, k.URL}
	if len(selected.FulcioCertificateAuthorities()) == 0 {
		return nil, fmt.Errorf("%w: %q has no certificate authority whose uri is %q", ErrRootUnsuitable, k.TrustRootRef, k.URL)
	}
	return selected, nil
}

// only returns the one trust root that has a certificate authority at a URL. Of two,
// nobody knows which is meant.
func (r *Roots) only(url string) (root.TrustedMaterial, error) {
	var found root.TrustedMaterial
	var having, unready []string
	names := r.Names()
	slices.Sort(names)
	for _, name := range names {
		if _, theirs := v1alpha1.CutSigstoreName(name); theirs {
			continue
		}
		material, err := r.Root(name)
		if err != nil {
			unready = append(unready, name)
			continue
		}
		if selected := (authoritiesAt{material, url}); len(selected.FulcioCertificateAuthorities()) > 0 {
			found = selected
			having = append(having, name)
		}
	}
	switch {
	case len(having) == 1:
		return found, nil
	case len(having) > 1:
		return nil, fmt.Errorf("%w: several have a certificate authority whose uri is %q (%s): name one by trustRootRef", ErrRootUnsuitable, url, strings.Join(having, ", "))
	case len(unready) > 0:
		return nil, fmt.Errorf("%w: none that is ready has a certificate authority whose uri is %q, and these are not: %s", ErrRootNotFound, url, strings.Join(unready, ", "))
	default:
		return nil, fmt.Errorf("%w: none has a certificate authority whose uri is %q: add that authority to a TrustRoot, with this uri", ErrRootNotFound, url)
	}
}

// authoritiesAt is a trust root of whose certificate authorities only those at a URL
// count. It is comparable: the same trust root and URL are the same trust.
type authoritiesAt struct {
	root.TrustedMaterial
	url string
}

// FulcioCertificateAuthorities returns the certificate authorities at the URL.
func (a authoritiesAt) FulcioCertificateAuthorities() []root.CertificateAuthority {
	var at []root.CertificateAuthority
	for _, authority := range a.TrustedMaterial.FulcioCertificateAuthorities() {
		if fulcio, ok := authority.(*root.FulcioCertificateAuthority); ok && v1alpha1.SameURL(fulcio.URI, a.url) {
			at = append(at, authority)
		}
	}
	return at
}
