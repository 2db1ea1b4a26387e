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
	// Requests is how many requests to one registry are under way at a time, a
	// quarter of them to one repository; whoever comes then waits. One registry has
	// half of Memory.
	Requests int
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
		Requests:   32,
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
	// maxLanes is how many registries are known by how they answered last.
	maxLanes = 1024
	// maxTries is how often a request is made that fails in a way that often passes,
	// and firstPause the least that is waited before the second, twice that at most;
	// it doubles for the third.
	maxTries   = 3
	firstPause = 70 * time.Millisecond
	// maxThrottledTries is the same where a registry limits the rate. All who ask it
	// pause together: firstThrottle, or half as long again, twice that if it
	// does so again, and never longer than maxRest, whatever it says. Whoever would
	// wait for longer than maxPause is refused at once.
	maxThrottledTries = 5
	firstThrottle     = 50 * time.Millisecond
	maxPause          = 2 * time.Second
	maxRest           = 30 * time.Second
	// maxFailures is how many failures in a row make it doubtful whether a registry
	// is up. Of stalls one is enough, or that nothing came for longSilence when a
	// request was given up.
	maxFailures = 5
	longSilence = time.Second
	// pingTimeout bounds the ping that decides, and openFor is how long a registry
	// that did not answer it is not asked.
	pingTimeout = 2 * time.Second
	openFor     = time.Second
	// shownCredentials is the longest text about credentials in an error.
	shownCredentials = 500
	// maxPlatforms is how many platforms an image may be for, maxMembers how many
	// fields or elements a part of its manifest or index may have, and maxDepth how
	// deep they are nested, where all platforms are judged.
	maxPlatforms = 32
	maxMembers   = 1024
	maxDepth     = 16
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
	l.Requests = or(l.Requests, d.Requests)
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

// ping bounds the question whether a registry is up: those who wait for it are not
// gone by then.
func (l Limits) ping() time.Duration { return min(pingTimeout, l.exchange()/2) }

// shared bounds work that several callers wait for.
func (l Limits) shared() time.Duration { return l.Timeout / 3 }

// registryMemory is the part of Memory that one registry may have.
func (l Limits) registryMemory() int64 { return max(l.Memory/2, l.Total, l.Manifest, l.List) }

// response is the most that any response may hold, whoever reads it.
func (l Limits) response() int64 {
	return max(l.Manifest, l.List, l.Payload, l.Bundle, handshakeBody)
}
