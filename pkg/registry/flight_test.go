// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestWorkEndsWhenTheLastCallerHasGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := flight[int]{limit: time.Minute}
		ended := make(chan error, 1)
		work := func(ctx context.Context) (int, error) {
			<-ctx.Done()
			ended <- ctx.Err()
			return 0, ctx.Err()
		}
		call := func(d time.Duration) chan error {
			done := make(chan error, 1)
			go func() {
				ctx, cancel := context.WithTimeout(t.Context(), d)
				defer cancel()
				_, err := f.do(ctx, "k", work)
				done <- err
			}()
			return done
		}
		first, second := call(time.Second), call(3*time.Second)
		if err := <-first; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("first caller: %v", err)
		}
		synctest.Wait()
		select {
		case <-ended:
			t.Error("the work ended while somebody waited")
		default:
		}
		<-second
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("work: %v", err)
		}
		synctest.Wait()
		if len(f.calls) != 0 {
			t.Error("the call is still known")
		}
	})
}

func TestACallerAfterAllHaveGoneStartsAnew(t *testing.T) {
	f := flight[int]{limit: time.Minute}
	release := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	started := make(chan struct{})
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_, _ = f.do(ctx, "k", func(context.Context) (int, error) {
			close(started)
			<-release // does not heed its context
			return 1, nil
		})
	}()
	<-started
	cancel()
	<-gone
	got, err := f.do(t.Context(), "k", func(context.Context) (int, error) { return 2, nil })
	close(release)
	if got != 2 || err != nil {
		t.Errorf("%d, %v", got, err)
	}
}

func TestAPanicIsAnErrorOfItsCallers(t *testing.T) {
	f := flight[int]{limit: time.Minute}
	_, err := f.do(t.Context(), "k", func(context.Context) (int, error) { panic("boom") })
	if err == nil || !strings.Contains(err.Error(), "boom") {
		t.Errorf("%v", err)
	}
	_, err = inParallel(2, 2, nil)
	if err == nil {
		t.Error("a panic in parallel work is lost")
	}
}

func TestACallerWhoIsTooLateStartsNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f := flight[int]{limit: time.Minute}
	_, err := f.do(ctx, "k", func(context.Context) (int, error) { t.Error("it worked"); return 0, nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
