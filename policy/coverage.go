// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"math"
	"slices"
	"strconv"

	"github.com/countersign-dev/countersign/pkg/image"
)

// state is what policies there are for images in one namespace. It can be compared: two that
// are equal hold the same.
type state struct {
	cluster *layer
	// own are those of the namespace; nil where it has none.
	own *layer
}

// find returns the policy with that ID, or nil.
func (s state) find(id ID) *Policy {
	l := s.cluster
	if id.Namespace != "" {
		l = s.own
	}
	if l != nil {
		if i, found := l.find(id); found {
			return l.policies[i]
		}
	}
	return nil
}

// of returns the policies that may have a say about what comes from there, whatever it
// is.
func (s state) of(from view) []*Policy {
	var policies []*Policy
	for _, l := range []*layer{s.cluster, s.own} {
		if l == nil {
			continue
		}
		for _, p := range l.policies {
			if p.selection.reaches(from) != outside {
				policies = append(policies, p)
			}
		}
	}
	return policies
}

// coverage is what one state of the policies says of one image from one origin.
type coverage struct {
	policies []*Policy
	// asked is the state whose policies they are, without those that cover nothing.
	asked state
	// unsure are those of which nobody can tell whether they reach the origin.
	unsure []ID
	// exceptions are those that count, where one of the policies allows any.
	exceptions []*Exception
	wantDigest bool
	// key is different for every list of policies of one state, and for what is asked of
	// them.
	key string
}

// with adds the exceptions that count at the moment, and returns the coverage.
func (c *coverage) with(exceptions []*Exception, ref image.Reference) *coverage {
	if len(exceptions) == 0 || !slices.ContainsFunc(c.policies, func(p *Policy) bool { return p.exceptions }) {
		return c
	}
	c.exceptions = exceptions
	if c.wantDigest = wantDigest(exceptions, ref); c.wantDigest {
		c.key += " digest"
	}
	return c
}

// covering returns what the policies say of an image that comes from there, which is the
// namespace that s is of.
func (s state) covering(ref image.Reference, from view) *coverage {
	c := &coverage{asked: state{cluster: s.cluster}}
	c.add(s.cluster, ref, from, math.MaxInt)
	c.key += " |"
	if c.add(s.own, ref, from, maxOwnPolicies) {
		c.asked.own = s.own
	}
	return c
}

// add adds those of a layer that cover the image, and reports whether there are any. Of more
// than most, the first refuses it.
func (c *coverage) add(l *layer, ref image.Reference, from view, most int) bool {
	if l == nil {
		return false
	}
	key, found := []byte(c.key), 0
	for _, i := range l.index().candidates(ref.Repository()) {
		p := l.policies[i]
		if !p.mayCover(ref) {
			continue
		}
		reached := p.selection.reaches(from)
		if reached == outside {
			continue
		}
		if reached == perhaps {
			c.unsure = append(c.unsure, p.id)
		}
		key = strconv.AppendInt(append(key, ' '), int64(i), 36)
		if found++; found > most {
			c.policies = append(c.policies, p.tooMany())
			break
		}
		c.policies = append(c.policies, p)
	}
	c.key = string(key)
	return found > 0
}

// finish notes in a decision what depends on where its image comes from: of which policies
// nobody can tell whether they reach it, and which exceptions there are. Callers share
// what was found, and may come from elsewhere.
func (c *coverage) finish(d Decision, ref image.Reference) Decision {
	d.unsure = c.unsure
	return except(d, ref, c.exceptions)
}
