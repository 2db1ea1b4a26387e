// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import "time"

const (
	kib = 1 << 10
	mib = 1 << 20
)

// Limits bound everything that a registry decides about: sizes in bytes, counts
// and time. A registry that exceeds one is refused with LimitExceeded before
// more is read or allocated. A zero field has the default of DefaultLimits.
type Limits struct {
	// Manifest is the largest manifest of an image that is read to compute its
	// digest, where a registry does not say it. It is not parsed.
	Manifest int64
	// List is the largest signature image, manifest of a referrer, and page of a
	// referrers list.
	List int64
	// Payload is the largest simple signing document of a legacy signature.
	Payload int64
	// Bundle is the largest sigstore bundle.
	Bundle int64
	// Total is the most that is read of the manifests, payloads and bundles that
	// belong to one image.
	Total int64
	// Memory is the most that is held at a time of what belongs to Total, for all
	// images and callers together; who finds no room waits. It is at least Total.
	Memory int64
	// Signatures is the most signatures that one image may have, and the most
	// layers that a manifest may have.
	Signatures int
	// Bundles is the most referrers of an image that may hold signatures.
	Bundles int
	// Entries is the most referrers of any type that an image may have.
	Entries int
	// Pages is the most pages in which the referrers may be listed.
	Pages int
	// Redirects is the most redirects that one request may take.
	Redirects int
	// Parallel is how many requests one call has under way at a time.
	Parallel int
	// Timeout bounds one call of Resolve or Signatures; an earlier deadline of
	// the caller's context stands. An exchange with a registry has a sixth of it,
	// and work that several callers share a third: what stalls fails those who
	// wait for it, and is asked anew for the next.
	Timeout time.Duration
	// Cache is how many bytes of content known by digest are kept, and how many
	// bytes of signatures known for a digest.
	Cache int64
}

// DefaultLimits returns what holds where nothing else is said. A legacy payload
// is some 250 bytes, a signature's bundle some 10 KiB.
func DefaultLimits() Limits {
	return Limits{
		Manifest:   4 * mib,
		List:       1 * mib,
		Payload:    64 * kib,
		Bundle:     1 * mib,
		Total:      16 * mib,
		Memory:     128 * mib,
		Signatures: 1024,
		Bundles:    128,
		Entries:    4096,
		Pages:      16,
		Redirects:  5,
		Parallel:   8,
		Timeout:    30 * time.Second,
		Cache:      64 * mib,
	}
}

// Bounds that nobody needs to change.
const (
	// errorBody is how much of an error's body is looked at for its code.
	errorBody = 8 * kib
	// responseHeaders bounds the header of a response.
	responseHeaders = 64 * kib
	// handshakeBody bounds each response of the authentication handshake, which
	// go-containerregistry reads.
	handshakeBody = 128 * kib
	// maxLink is the longest reference to a next page.
	maxLink = 4 * kib
	// maxSessions is how many repositories' authenticated sessions are kept.
	maxSessions = 1024
	// sessionLifetime is how long one is kept, so that changed credentials and
	// withdrawn permissions take effect.
	sessionLifetime = 10 * time.Minute
	// refusalLifetime is how long a registry is not shown again a credential that
	// it did not know.
	refusalLifetime = 10 * time.Second
	// retryPause is waited before the one retry of a temporary failure.
	retryPause = 100 * time.Millisecond
	// shownText is the longest text from elsewhere that an error repeats.
	shownText = 200
)

// withDefaults fills the fields that are zero.
func (l Limits) withDefaults() Limits {
	d := DefaultLimits()
	l.Manifest = or(l.Manifest, d.Manifest)
	l.Payload = or(l.Payload, d.Payload)
	l.Bundle = or(l.Bundle, d.Bundle)
	l.List = or(l.List, d.List)
	l.Total = or(l.Total, d.Total)
	l.Memory = max(or(l.Memory, d.Memory), l.Total, l.Manifest, l.List)
	l.Signatures = or(l.Signatures, d.Signatures)
	l.Bundles = or(l.Bundles, d.Bundles)
	l.Entries = or(l.Entries, d.Entries)
	l.Pages = or(l.Pages, d.Pages)
	l.Redirects = or(l.Redirects, d.Redirects)
	l.Parallel = or(l.Parallel, d.Parallel)
	l.Timeout = or(l.Timeout, d.Timeout)
	l.Cache = or(l.Cache, d.Cache)
	return l
}

func or[T int | int64 | time.Duration](value, fallback T) T {
	if value > 0 {
		return value
	}
	return fallback
}

// exchange bounds one request and its answer.
func (l Limits) exchange() time.Duration { return l.Timeout / 6 }

// shared bounds work that several callers wait for.
func (l Limits) shared() time.Duration { return l.Timeout / 3 }

// response is the most that any response may hold, whoever reads it.
func (l Limits) response() int64 {
	return max(l.Manifest, l.List, l.Payload, l.Bundle, handshakeBody)
}
