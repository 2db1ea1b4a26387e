// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// pace is how fast a registry lets itself be asked with one credential. Its lane's lock
// is held.
type pace struct {
	most, underWay int
	// width is how many requests may be under way now. It is halved when the registry
	// limits the rate, and grows by one with each answer.
	width int
	// paused is since when, and until when, nobody is let in, and why.
	since, until time.Time
	why          *Error
	// pause is how long the next one is, if the registry does not say it.
	pause wait.Backoff
}

func newPace(most int) *pace { return &pace{most: most, width: most, pause: throttlePause()} }

// throttlePause is how long a registry that limits the rate is left alone, each time
// that it does so without having answered in between. Its jitter keeps replicas of
// countersign apart.
func throttlePause() wait.Backoff {
	return wait.Backoff{Duration: firstThrottle, Factor: 2, Jitter: 0.5, Steps: 16, Cap: maxRest}
}

func (p *pace) left() time.Duration { return time.Until(p.until) }

func (p *pace) allows() bool { return p.underWay < p.width && p.left() <= 0 }

// isForgotten tells whether p is as good as a new one.
func (p *pace) isForgotten() bool { return p.underWay == 0 && p.left() < -maxRest }

func (p *pace) answered() {
	p.width = min(p.width+1, p.most)
	p.pause = throttlePause()
}

// throttled takes note of an answer that asks for a pause, for asked if that is more
// than nothing, and reports whether there is now one that ends later.
func (p *pace) throttled(began time.Time, asked time.Duration, why *Error) bool {
	now := time.Now()
	// Those who had been let in when a pause began are no reason for another one.
	if p.left() < 0 && began.After(p.since) {
		p.since = now
		p.width = max(p.width/2, 1)
		asked = max(asked, p.pause.Step())
	}
	until := now.Add(min(asked, maxRest))
	if !until.After(p.until) {
		return false
	}
	p.until, p.why = until, why
	return true
}

func (p *pace) refusal() error {
	left := max(p.left(), time.Second).Round(time.Second)
	return &Error{p.why.Reason, fmt.Sprintf("%s; it is left alone for another %v", p.why.Detail, left), p.why.Err}
}

// inTime tells whether it makes sense to wait for the end of a pause.
func inTime(ctx context.Context, left time.Duration) bool {
	end, ok := ctx.Deadline()
	return left <= maxPause && (!ok || time.Until(end) > left)
}

// retryAfter reads the header Retry-After (RFC 9110, section 10.2.3): seconds, or a
// time. What cannot be read, or is past, is 0.
func retryAfter(header http.Header, now time.Time) time.Duration {
	value := header.Get("Retry-After")
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}
