// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestAFlightOutlivesTheCallerWhoBeganIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f flights[string, int]
		work := func(ctx context.Context, _ func(int)) int {
			select {
			case <-time.After(5 * time.Second):
				return 42
			case <-ctx.Done():
				return -1
			}
		}
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		first := make(chan error, 1)
		go func() {
			_, err := f.do(short, "k", time.Minute, work)
			first <- err
		}()
		synctest.Wait()
		got, err := f.do(t.Context(), "k", time.Minute, work)
		if got != 42 || err != nil {
			t.Errorf("second caller: %d, %v, want 42", got, err)
		}
		if err := <-first; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("first caller: %v, want its own deadline", err)
		}
	})
}

func TestAFlightThatEverybodyHasLeftIsCancelledAndNotJoined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f flights[string, int]
		stubborn := func(ctx context.Context, _ func(int)) int {
			<-ctx.Done()
			time.Sleep(time.Minute) // does not come back at once
			return -1
		}
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := f.do(short, "k", time.Hour, stubborn); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("first caller: %v, want its deadline", err)
		}
		got, err := f.do(t.Context(), "k", time.Hour, func(context.Context, func(int)) int { return 42 })
		if got != 42 || err != nil {
			t.Errorf("the next caller joined cancelled work: %d, %v", got, err)
		}
		time.Sleep(2 * time.Minute)
		if len(f.inFlight) != 0 {
			t.Errorf("%d flights are left", len(f.inFlight))
		}
	})
}

func TestAFlightEndsAtItsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f flights[string, error]
		start := time.Now()
		got, err := f.do(t.Context(), "k", 30*time.Second, func(ctx context.Context, _ func(error)) error {
			<-ctx.Done()
			return ctx.Err()
		})
		if err != nil || !errors.Is(got, context.DeadlineExceeded) || time.Since(start) != 30*time.Second {
			t.Errorf("after %s: %v, %v", time.Since(start), got, err)
		}
	})
}
