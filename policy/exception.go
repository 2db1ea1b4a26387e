// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/image"
	"github.com/countersign-dev/countersign/pkg/verify"
)

const (
	// maxClockSkew is how far behind the API server's clock, which an exception's
	// creation is from, ours may be for the exception to count. It bounds how long
	// after its end one can.
	maxClockSkew = time.Minute
	// maxExceptions bounds the exceptions of one namespace that are looked at.
	maxExceptions = 256
)

// Why an exception does nothing.
var (
	ErrExceptionExpired = errors.New("it has expired")
	ErrExceptionTooLong = errors.New("it lasts longer than exceptions may")
	ErrExceptionInvalid = errors.New("it cannot be read")
	ErrClockBehind      = errors.New("this replica's clock is behind the API server's")
)

// Exception is a compiled ImagePolicyException. Immutable.
type Exception struct {
	namespace, name         string
	images                  []image.Glob
	created, expires        time.Time
	maxAge                  time.Duration
	reason, approvedBy, ref string
	invalid                 error
}

// CompileException returns the form of obj that is looked at. It never fails: one that
// cannot be read does nothing. maxAge is how long it may last from its creation, which is
// by the API server's clock and cannot be written.
func CompileException(obj *v1alpha1.ImagePolicyException, maxAge time.Duration) *Exception {
	x := &Exception{
		namespace: obj.Namespace, name: obj.Name, created: obj.CreationTimestamp.Time, expires: obj.Spec.Expires.Time, maxAge: maxAge,
		reason: obj.Spec.Reason, approvedBy: obj.Spec.ApprovedBy, ref: obj.Spec.Reference,
	}
	for i, pattern := range obj.Spec.Images {
		glob, err := image.ParseGlob(pattern.Glob)
		switch {
		case err != nil:
			x.invalid = fmt.Errorf("%w: spec.images[%d].glob: %w", ErrExceptionInvalid, i, err)
		case glob.HasTag():
			x.invalid = fmt.Errorf("%w: spec.images[%d].glob: it has a tag", ErrExceptionInvalid, i)
		}
		x.images = append(x.images, glob)
	}
	for i := range obj.Spec.Unread {
		x.invalid = fmt.Errorf("%w: %w", ErrExceptionInvalid, obj.Spec.Unread[i].Err())
	}
	if obj.Namespace == "" || x.created.IsZero() || x.expires.IsZero() || x.reason == "" {
		x.invalid = fmt.Errorf("%w: namespace, creation, end or reason is missing", ErrExceptionInvalid)
	}
	return x
}

// Problem returns why the exception does nothing at that time, or nil.
func (x *Exception) Problem(now time.Time) error {
	switch {
	case x.invalid != nil:
		return x.invalid
	case x.expires.Sub(x.created) > x.maxAge:
		return fmt.Errorf("%w: %v from its creation", ErrExceptionTooLong, x.maxAge)
	case !now.Before(x.expires):
		return ErrExceptionExpired
	case now.Before(x.created.Add(-maxClockSkew)):
		return ErrClockBehind
	default:
		return nil
	}
}

// Expires is when the exception ends.
func (x *Exception) Expires() time.Time { return x.expires }

// ExceptionUse is the exception for which a policy's refusal is set aside. Each one is
// shown: in the response, in a metric, in the audit event and in an Event.
type ExceptionUse struct {
	// Namespace and Name are those of the ImagePolicyException.
	Namespace  string    `json:"namespace"`
	Name       string    `json:"name"`
	Reason     string    `json:"reason"`
	ApprovedBy string    `json:"approvedBy,omitempty"`
	Reference  string    `json:"reference,omitempty"`
	Expires    time.Time `json:"expires"`

	// byDigest is set where the exception is for a digest, which must be what runs.
	byDigest bool
}

// use returns the use of the exception for an image, if it is for that.
func (x *Exception) use(ref image.Reference) *ExceptionUse {
	at := slices.IndexFunc(x.images, func(g image.Glob) bool { return g.Match(ref) })
	if at < 0 {
		return nil
	}
	// One for the whole repository does not depend on the digest.
	byDigest := !slices.ContainsFunc(x.images, func(g image.Glob) bool { return g.Match(ref) && !g.HasDigest() })
	return &ExceptionUse{
		Namespace: x.namespace, Name: x.name, Reason: x.reason, ApprovedBy: x.approvedBy, Reference: x.ref, Expires: x.expires.UTC(), byDigest: byDigest,
	}
}

// Exceptions holds the exceptions that exist, by namespace. The zero value is empty.
type Exceptions struct {
	mu          sync.RWMutex
	byNamespace map[string][]*Exception
}

// Replace puts exceptions in the place of all that are held.
func (e *Exceptions) Replace(exceptions []*Exception) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.byNamespace = map[string][]*Exception{}
	for _, x := range exceptions {
		e.put(x)
	}
}

// Set adds x, or puts it in the place of the one with its name.
func (e *Exceptions) Set(x *Exception) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.put(x)
}

// Delete removes the exception with that name, if there is one.
func (e *Exceptions) Delete(namespace, name string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.byNamespace[namespace] == nil {
		return
	}
	all := slices.Clone(e.byNamespace[namespace])
	e.byNamespace[namespace] = slices.DeleteFunc(all, func(x *Exception) bool { return x.name == name })
	if len(e.byNamespace[namespace]) == 0 {
		delete(e.byNamespace, namespace)
	}
}

// put changes no list that a reader may hold.
func (e *Exceptions) put(x *Exception) {
	if e.byNamespace == nil {
		e.byNamespace = map[string][]*Exception{}
	}
	all := slices.Clone(e.byNamespace[x.namespace])
	at, known := slices.BinarySearchFunc(all, x.name, func(x *Exception, name string) int { return strings.Compare(x.name, name) })
	if known {
		all[at] = x
	} else {
		all = slices.Insert(all, at, x)
	}
	e.byNamespace[x.namespace] = all
}

// active returns the exceptions of a namespace that count at the moment. A nil Exceptions
// has none. The clock is asked each time: nothing has to happen for one to end.
func (e *Exceptions) active(namespace string) []*Exception {
	if e == nil || namespace == "" {
		return nil
	}
	e.mu.RLock()
	all := e.byNamespace[namespace]
	e.mu.RUnlock()
	now := time.Now()
	var active []*Exception
	for _, x := range all[:min(len(all), maxExceptions)] {
		if x.Problem(now) == nil {
			active = append(active, x)
		}
	}
	return active
}

// wantDigest reports whether it turns on the digest, which ref does not name, if one of
// the exceptions is for the image.
func wantDigest(exceptions []*Exception, ref image.Reference) bool {
	return ref.Digest() == "" && slices.ContainsFunc(exceptions, func(x *Exception) bool {
		return slices.ContainsFunc(x.images, func(g image.Glob) bool { return g.HasDigest() && g.MayMatch(ref) })
	})
}

// except notes in the decision which refusals are set aside by an exception of the
// namespace: those of policies of the cluster that allow it.
func except(d Decision, ref image.Reference, exceptions []*Exception) Decision {
	if len(exceptions) == 0 {
		return d
	}
	if ref.Digest() == "" && d.Digest != "" {
		if named, err := image.Parse(ref.Pinned(d.Digest)); err == nil {
			ref = named
		}
	}
	for i := range d.Policies {
		r := &d.Policies[i]
		if !r.exceptable() {
			continue
		}
		for _, x := range exceptions {
			if use := x.use(ref); use != nil {
				r.Exception = use
				break
			}
		}
	}
	return d
}

// exceptable reports whether an exception can set the result aside. That a log has shown
// two histories is no matter of this image or that namespace: no exception hides it.
func (r PolicyResult) exceptable() bool {
	return r.exceptions && !accepted(r.Verdict) && r.Mode != v1alpha1.ModeAudit && !inconsistent(r.Verdict) &&
		!slices.ContainsFunc(r.Authorities, func(a AuthorityResult) bool { return inconsistent(a.Verdict) })
}

func inconsistent(v verify.Verdict) bool {
	rejected, ok := v.(verify.Rejected)
	return ok && rejected.Reason == verify.CheckpointInconsistent
}

// Exceptions are the texts of the refusals that are set aside, of policies with that mode:
// one block each.
func (d Decision) Exceptions(mode v1alpha1.Mode) []string {
	var texts []string
	for _, r := range d.Policies {
		if r.Mode == mode && r.Exception != nil {
			texts = append(texts, d.explainException(r))
		}
	}
	return texts
}

func (d Decision) explainException(r PolicyResult) string {
	var b strings.Builder
	x := r.Exception
	fmt.Fprintf(&b, "%s admitted by ImagePolicyException %q until %s", d.subject(), x.Namespace+"/"+x.Name, x.Expires.Format(time.RFC3339))
	fmt.Fprintf(&b, "\n  reason: %s", printable(x.Reason, maxDetail))
	if x.ApprovedBy != "" {
		fmt.Fprintf(&b, ", approved by %s", printable(x.ApprovedBy, maxDetail))
	}
	if x.Reference != "" {
		fmt.Fprintf(&b, ", see %s", printable(x.Reference, maxDetail))
	}
	fmt.Fprintf(&b, "\n  %v does not accept it: %s", r.Policy, Found(r.Verdict))
	return b.String()
}
