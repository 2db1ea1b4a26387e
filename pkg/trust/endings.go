// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
)

// soon is how long before its end something is worth a warning.
const soon = 30 * 24 * time.Hour

// Ending is the end of something that is trusted.
type Ending struct {
	// At is when it ends.
	At time.Time
	// What names it.
	What string
	// Soon is how long before it somebody must act.
	Soon time.Duration
}

// NearAt reports whether somebody must act now.
func (e Ending) NearAt(now time.Time) bool { return e.At.Sub(now) < e.Soon }

// endingsOf returns what in trusted ends, the first end first. What has been
// succeeded does not count: of authorities with one URI, and of logs with one URL,
// the last end does. What ended already counts only where nothing of its kind is
// left: signatures from before its end still verify, and new ones do not.
func endingsOf(trusted *root.TrustedRoot, now time.Time) []Ending {
	cas, tsas, logs, ctLogs := generations{}, generations{}, generations{}, generations{}
	for _, authority := range trusted.FulcioCertificateAuthorities() {
		if ca, ok := authority.(*root.FulcioCertificateAuthority); ok {
			cas.add(ca.URI, firstEnd(ca.ValidityPeriodEnd, append(slices.Clip(ca.Intermediates), ca.Root)...))
		}
	}
	for _, authority := range trusted.TimestampingAuthorities() {
		if tsa, ok := authority.(*root.SigstoreTimestampingAuthority); ok {
			tsas.add(tsa.URI, firstEnd(tsa.ValidityPeriodEnd, append(slices.Clip(tsa.Intermediates), tsa.Root, tsa.Leaf)...))
		}
	}
	for _, log := range trusted.RekorLogs() {
		logs.add(log.BaseURL, log.ValidityPeriodEnd)
	}
	for _, log := range trusted.CTLogs() {
		ctLogs.add(log.BaseURL, log.ValidityPeriodEnd)
	}
	var all []Ending
	all = append(all, cas.endings("certificate authority", now)...)
	all = append(all, ctLogs.endings("certificate transparency log", now)...)
	all = append(all, tsas.endings("timestamp authority", now)...)
	all = append(all, logs.endings("transparency log", now)...)
	sortEndings(all)
	return all
}

func sortEndings(all []Ending) {
	slices.SortStableFunc(all, func(a, b Ending) int { return a.At.Compare(b.At) })
}

// firstEnd returns the first of the ends of certificates and of a validity, whose
// zero value is no end.
func firstEnd(end time.Time, certificates ...*x509.Certificate) time.Time {
	for _, certificate := range certificates {
		if certificate != nil && (end.IsZero() || certificate.NotAfter.Before(end)) {
			end = certificate.NotAfter
		}
	}
	return end
}

// generations is the last end by name; the zero time is no end.
type generations map[string]time.Time

func (g generations) add(name string, end time.Time) {
	known, ok := g[name]
	switch {
	case !ok, end.IsZero():
		g[name] = end
	case !known.IsZero() && end.After(known):
		g[name] = end
	}
}

func (g generations) endings(kind string, now time.Time) []Ending {
	var ahead, past []Ending
	anyLeft := false
	for name, end := range g {
		ending := Ending{At: end, What: fmt.Sprintf("%s %s", kind, name), Soon: soon}
		switch {
		case end.IsZero():
			anyLeft = true
		case end.After(now):
			anyLeft = true
			ahead = append(ahead, ending)
		default:
			past = append(past, ending)
		}
	}
	if anyLeft || len(past) == 0 {
		return ahead
	}
	sortEndings(past)
	return past[len(past)-1:]
}
