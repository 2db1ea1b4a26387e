// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog_test

import (
	"strings"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
)

// validFor is l as configured with a key that is valid from one time to another, given
// as hours from now; 0 is no bound.
func validFor(t testing.TB, l *tlogtest.Log, from, until int) *tlog.Log {
	t.Helper()
	config := configOf(l)
	if from != 0 {
		config.Validity.NotBefore = time.Now().Add(inHours(from))
	}
	if until != 0 {
		config.Validity.NotAfter = time.Now().Add(inHours(until))
	}
	return newLog(t, config)
}

// inHours is that many hours.
func inHours(n int) time.Duration { return time.Duration(n) * time.Hour }

// entryAt is an entry that the log says it took hours from now, or says nothing of when.
func entryAt(l *tlogtest.Log, index, size, hours int, promised bool) *tlog.Entry {
	entry := l.Entry(index, size)
	entry.IntegratedTime, entry.SignedEntryTimestamp = 0, nil
	if promised {
		entry.IntegratedTime = time.Now().Add(inHours(hours)).Unix()
		entry.SignedEntryTimestamp = l.SignEntry(entry)
	}
	return entry
}

func TestEntryIsOfTheTimeOfItsKey(t *testing.T) {
	l, claims := logged(t, 10)
	server := serve(t, l)
	hours := func(all ...int) []time.Time {
		var times []time.Time
		for _, h := range all {
			times = append(times, time.Now().Add(inHours(h)))
		}
		return times
	}
	for name, test := range map[string]struct {
		from, until int
		promised    bool
		at          int
		stamped     []time.Time
		want        error
	}{
		"promised, no validity":                             {promised: true, at: -100},
		"promised within":                                   {from: -5, until: 5, promised: true, at: -1},
		"promised before":                                   {from: -5, until: 5, promised: true, at: -6, want: tlog.ErrEntryTime},
		"promised before, no end":                           {from: -5, promised: true, at: -6, want: tlog.ErrEntryTime},
		"promised within, the key has ended since":          {from: -5, until: -2, promised: true, at: -3},
		"promised after the end":                            {from: -5, until: -2, promised: true, at: -1, want: tlog.ErrEntryTime},
		"promised after the end, no beginning":              {until: -2, promised: true, at: -1, want: tlog.ErrEntryTime},
		"promised in the future, within":                    {from: -5, until: 5, promised: true, at: 1},
		"promised outside, and stamped within":              {from: -5, until: -2, promised: true, at: -1, stamped: hours(-3), want: tlog.ErrEntryTime},
		"promised within, and stamped outside":              {from: -5, until: -2, promised: true, at: -3, stamped: hours(-1)},
		"no promise, no stamp, the key is valid":            {from: -5, until: 5},
		"no promise, stamped within":                        {from: -5, until: 5, stamped: hours(-1)},
		"no promise, stamped within, the key has ended":     {from: -5, until: -2, stamped: hours(-3)},
		"no promise, stamped before":                        {from: -5, until: 5, stamped: hours(-6), want: tlog.ErrEntryTime},
		"no promise, stamped after":                         {from: -5, until: -2, stamped: hours(-1), want: tlog.ErrEntryTime},
		"no promise, stamped within and again later":        {from: -5, until: -2, stamped: hours(-1, -3)},
		"no promise, stamped before and after":              {from: -5, until: -2, stamped: hours(-6, -1), want: tlog.ErrEntryTime},
		"no promise, no stamp, the key has ended":           {from: -5, until: -2, want: tlog.ErrKeyValidity},
		"no promise, no stamp, the key's time has not come": {from: 1, want: tlog.ErrKeyValidity},
		"promised within a time that has not come":          {from: 1, until: 3, promised: true, at: 2, want: tlog.ErrKeyValidity},
	} {
		t.Run(name, func(t *testing.T) {
			prover := tlog.NewProver(validFor(t, l, test.from, test.until), dial(t, server.URL), tlog.NewMemoryHistory())
			_, err := prover.Prove(t.Context(), claims[3].StampedAt(test.stamped), entryAt(l, 3, 7, test.at, test.promised))
			wantErr(t, err, test.want)
			// The log's own word, when nothing but a promise came along.
			if !test.promised || test.want != nil {
				return
			}
			_, err = prover.Prove(t.Context(), claims[3].StampedAt(test.stamped), entryAt(l, 3, 7, test.at, test.promised))
			wantErr(t, err, nil)
		})
	}
}

func TestEndsOfTheValidityBelongToIt(t *testing.T) {
	l, claims := logged(t, 3)
	server := serve(t, l)
	begin := time.Now().Add(-2 * time.Hour).Truncate(time.Second)
	end := begin.Add(time.Hour)
	config := configOf(l)
	config.Validity = tlog.Validity{NotBefore: begin, NotAfter: end}
	for at, want := range map[time.Time]error{
		begin.Add(-time.Second): tlog.ErrEntryTime, begin: nil, end: nil, end.Add(time.Second): tlog.ErrEntryTime,
	} {
		entry := entryAt(l, 1, 3, 0, true)
		entry.IntegratedTime = at.Unix()
		entry.SignedEntryTimestamp = l.SignEntry(entry)
		_, err := tlog.NewProver(newLog(t, config), dial(t, server.URL), tlog.NewMemoryHistory()).Prove(t.Context(), claims[1], entry)
		wantErr(t, err, want)
	}
}

// TestLogWhoseKeyHasEnded: after that, whoever has the key may have taken it from where it
// was put away. What was seen before goes on being believed.
func TestLogWhoseKeyHasEnded(t *testing.T) {
	l, claims := logged(t, 20)
	for name, test := range map[string]struct {
		seeded   int
		size     int // of the proof
		promised bool
		want     error
		stored   uint64
	}{
		"no time, under what was stored":                {seeded: 10, size: 10, stored: 10},
		"no time, under a prefix of what was stored":    {seeded: 10, size: 6, stored: 10},
		"no time, under a larger tree":                  {seeded: 10, size: 15, want: tlog.ErrKeyValidity, stored: 10},
		"no time, first contact":                        {size: 10, want: tlog.ErrKeyValidity},
		"promised in time, under a larger tree":         {seeded: 10, size: 15, promised: true, stored: 15},
		"promised in time, first contact":               {size: 10, promised: true, stored: 20},
		"promised in time, under a prefix of the store": {seeded: 10, size: 6, promised: true, stored: 10},
	} {
		t.Run(name, func(t *testing.T) {
			history := tlog.NewMemoryHistory()
			if test.seeded > 0 {
				history = seeded(l, test.seeded)
			}
			p := tlog.NewProver(validFor(t, l, -5, -2), dial(t, serve(t, l).URL), history)
			_, err := p.Prove(t.Context(), claims[3], entryAt(l, 3, test.size, -3, test.promised))
			wantErr(t, err, test.want)
			if got := storedSize(t, l, history); got != test.stored {
				t.Errorf("stored size is %d, want %d", got, test.stored)
			}
			checkpoint, err := p.Poll(t.Context())
			if err != nil || checkpoint.Size() != 20 {
				t.Errorf("a poll gives %v and error %v", checkpoint, err)
			}
			if got := storedSize(t, l, history); got != test.stored {
				t.Errorf("a poll has stored size %d", got)
			}
		})
	}
	t.Run("a fork is an inconsistency still", func(t *testing.T) {
		fork := l.Fork(5)
		extend(t, fork, 10, "fork ")
		history := seeded(l, 10)
		p := tlog.NewProver(validFor(t, l, -5, -2), dial(t, serve(t, fork).URL), history)
		_, err := p.Poll(t.Context())
		wantErr(t, err, tlog.ErrInconsistent)
		if accused(history) == nil {
			t.Error("there is no evidence")
		}
	})
	t.Run("a larger tree that witnesses cosigned in time", func(t *testing.T) {
		w := tlogtest.NewWitness("w.example")
		policy, err := tlog.ParseWitnessPolicy(witnessed("witness W %0\nquorum W\n", w))
		if err != nil {
			t.Fatal(err)
		}
		config := configOf(l)
		config.Witnesses, config.Validity = policy, tlog.Validity{NotBefore: time.Now().Add(-5 * time.Hour), NotAfter: time.Now().Add(-2 * time.Hour)}
		log := newLog(t, config)
		for name, test := range map[string]struct {
			hours int
			want  error
		}{
			"in time":    {hours: -3},
			"too late":   {hours: -1, want: tlog.ErrKeyValidity},
			"too early":  {hours: -6, want: tlog.ErrKeyValidity},
			"no promise": {hours: -3},
		} {
			t.Run(name, func(t *testing.T) {
				history := seeded(l, 10)
				entry := entryAt(l, 3, 15, 0, false)
				entry.Inclusion.Checkpoint = w.Cosign(entry.Inclusion.Checkpoint, time.Now().Add(inHours(test.hours)))
				_, err := tlog.NewProver(log, dial(t, serve(t, l).URL), history).Prove(t.Context(), claims[3], entry)
				wantErr(t, err, test.want)
			})
		}
		t.Run("promised in time, and nobody cosigned in time", func(t *testing.T) {
			_, err := tlog.NewProver(log, dial(t, serve(t, l).URL), seeded(l, 10)).Prove(t.Context(), claims[3], entryAt(l, 3, 15, -3, true))
			wantErr(t, err, tlog.ErrWitnessQuorum)
		})
	})
}

func TestLogWhoseKeyIsNotValidYet(t *testing.T) {
	l, _ := logged(t, 5)
	log := validFor(t, l, 1, 0)
	_, err := log.VerifyCheckpoint([]byte(l.Checkpoint(5)))
	wantErr(t, err, tlog.ErrKeyValidity)
	_, err = tlog.NewProver(log, dial(t, serve(t, l).URL), tlog.NewMemoryHistory()).Poll(t.Context())
	wantErr(t, err, tlog.ErrKeyValidity)
	if err == nil || !strings.Contains(err.Error(), `the key of log "corp" is valid from 2`) {
		t.Errorf("got error %v, which does not say from when", err)
	}
}

func TestValidityThatCannotBe(t *testing.T) {
	l := tlogtest.New(hostname)
	config := configOf(l)
	config.Validity = tlog.Validity{NotBefore: time.Unix(2, 0), NotAfter: time.Unix(1, 0)}
	_, err := tlog.NewLog(config)
	if err == nil || !strings.Contains(err.Error(), "validity ends at 1970-01-01T00:00:01Z, before it begins") {
		t.Errorf("got error %v", err)
	}
	config.Validity = tlog.Validity{NotAfter: time.Unix(1, 0)}
	newLog(t, config)
}
