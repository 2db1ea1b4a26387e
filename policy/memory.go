// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"slices"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/countersign-dev/countersign/pkg/verify"
)

// maxRemembered bounds the images that one policy remembers: about 2 KiB each.
const maxRemembered = 4096

// memory holds which images one policy verified in full, and when, for
// allowPreviouslyVerified. It is this process's: one that has just started remembers
// nothing, and nothing that a client can write tells it anything. A nil memory is that of
// a policy that needs none.
type memory struct {
	images *lru.Cache[remembered, acceptance]
}

// remembered is what was verified: a digest, in the repository that an object names,
// with the credentials of a scope: whoever has others was never shown the image.
type remembered struct{ repository, digest, scope string }

// acceptance is a verdict that lacked nothing.
type acceptance struct {
	at          time.Time
	verdict     verify.Verdict
	authorities []AuthorityResult
}

func newMemory() *memory {
	images, err := lru.New[remembered, acceptance](maxRemembered)
	if err != nil {
		panic(err) // the size is positive
	}
	return &memory{images: images}
}

func (m *memory) remember(ev *evidence, result PolicyResult) {
	if m == nil || ev.digest == "" {
		return
	}
	authorities := slices.Clone(result.Authorities)
	for i := range authorities {
		authorities[i].Verdict = withoutContent(authorities[i].Verdict)
	}
	m.images.Add(remembered{ev.ref.Repository(), ev.digest, ev.scope}, acceptance{
		at: time.Now(), verdict: withoutContent(result.Verdict), authorities: authorities,
	})
}

// withoutContent returns the verdict without what attestations say: that was looked at when
// it was reached, and would take megabytes of each image.
func withoutContent(v verify.Verdict) verify.Verdict {
	if good, ok := v.(verify.Verified); ok {
		return verify.Verified{Evidence: good.Evidence.WithoutContent()}
	}
	return v
}

func (m *memory) recall(ev *evidence) (acceptance, bool) {
	if m == nil || ev.digest == "" {
		return acceptance{}, false
	}
	return m.images.Get(remembered{ev.ref.Repository(), ev.digest, ev.scope})
}

// inherit makes p go on with what before remembers, if it would have come to the same
// verdicts: it is the same object in the same generation, and all keys, roots and logs
// that it names are still what they were.
func (p *Policy) inherit(before *Policy) {
	if before == nil || p.memory == nil || before.memory == nil || p.memory == before.memory {
		return
	}
	if p.uid == before.uid && p.generation == before.generation && slices.EqualFunc(p.authorities, before.authorities, sameTrust) {
		p.memory = before.memory
	}
}

// sameTrust reports whether two authorities of the same policy trust the same.
func sameTrust(a, b authority) bool {
	if a.key == nil || b.key == nil {
		return a.key == nil && b.key == nil && a.name == b.name
	}
	now, ok := a.key.(*verify.Authority)
	then, too := b.key.(*verify.Authority)
	return ok && too && now.SameTrust(then)
}
