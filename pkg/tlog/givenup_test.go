// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog_test

import (
	"errors"
	"testing"

	"github.com/countersign-dev/countersign/pkg/tlog"
)

// TestWhatWasGivenUpAccusesNobody: a log lost its last entries to a restoration, and an
// operator accepted that. Old signatures that carry checkpoints of the lost end are refused,
// and cannot undo the reset; what goes beyond it is evidence as before.
func TestWhatWasGivenUpAccusesNobody(t *testing.T) {
	for name, tc := range map[string]struct {
		size    int    // of the lost tree, as the signature's checkpoint has it
		stored  int    // of the restored tree
		givenUp uint64 // what the reset says
		accused bool
	}{
		"the lost end, while the restored log is smaller":                {size: 12, stored: 10, givenUp: 12},
		"the lost end, when the restored log is larger":                  {size: 12, stored: 18, givenUp: 12},
		"the lost end, when the restored log is as large":                {size: 12, stored: 12, givenUp: 12},
		"a part of the lost end":                                         {size: 10, stored: 18, givenUp: 12},
		"more than was given up":                                         {size: 13, stored: 18, givenUp: 12, accused: true},
		"more than was given up, and as much as the restored log is now": {size: 13, stored: 13, givenUp: 12, accused: true},
		"nothing was given up":                                           {size: 12, stored: 18, accused: true},
	} {
		t.Run(name, func(t *testing.T) {
			lost, _ := logged(t, 8)
			restored := lost.Fork(8)
			claims, wanted := extend(t, lost, 6, "lost "), extend(t, restored, 12, "restored ")
			server := serve(t, restored)
			server.Show(restored, tc.stored)
			config := configOf(lost)
			config.GivenUp = map[string]uint64{lost.Origin(): tc.givenUp}
			prover := tlog.NewProver(newLog(t, config), dial(t, server.URL), tlog.NewMemoryHistory())
			if _, err := prover.Prove(t.Context(), wanted[1], restored.Entry(9, tc.stored)); err != nil {
				t.Fatal(err)
			}
			server.Show(restored, 20)
			_, err := prover.Prove(t.Context(), claims[1], lost.Entry(9, tc.size))
			wantErr(t, err, tlog.ErrInconsistent)
			_, err = prover.Prove(t.Context(), wanted[1], restored.Entry(9, tc.stored))
			if accused := errors.Is(err, tlog.ErrInconsistent); accused != tc.accused || !accused && err != nil {
				t.Errorf("the log is accused: %t; want %t (%v)", accused, tc.accused, err)
			}
			if tc.accused || tc.size < tc.stored { // a smaller tree, which lags or was rolled back, proves nothing
				return
			}
			// What the log itself shows is another matter.
			server.Show(lost, tc.size)
			_, err = prover.Poll(t.Context())
			wantErr(t, err, tlog.ErrInconsistent)
			server.Show(restored, 20)
			_, err = prover.Prove(t.Context(), wanted[1], restored.Entry(9, tc.stored))
			wantErr(t, err, tlog.ErrInconsistent)
		})
	}
}
