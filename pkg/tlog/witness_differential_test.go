// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	oracle "github.com/transparency-dev/formats/witness"

	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
)

// TestQuorumIsThatOfOthers: the parser that logs use, to know which witnesses to ask, says
// of random policies and random cosigners what ours says. (It takes policies that ours
// refuses, and needs a URL for each witness.)
func TestQuorumIsThatOfOthers(t *testing.T) {
	l, _ := logged(t, 5)
	random := rand.New(rand.NewPCG(4, 7))
	witnesses := make([]*tlogtest.Witness, 7)
	for i := range witnesses {
		witnesses[i] = tlogtest.NewWitness(fmt.Sprintf("w%d.example", i))
	}
	met := 0
	for range 300 {
		policy := randomPolicy(random, witnesses)
		note := l.Checkpoint(5)
		for _, w := range witnesses {
			if random.IntN(2) == 0 {
				note = w.Cosign(note, time.Now())
			}
		}
		group, err := oracle.ParsePolicy([]byte(policy))
		if err != nil {
			t.Fatalf("the oracle does not take this policy: %v\n%s", err, policy)
		}
		checkpoint, err := withPolicy(t, l, policy).VerifyCheckpoint([]byte(note))
		if err != nil {
			t.Fatal(err)
		}
		ours, theirs := checkpoint.Quorum() == nil, group.Satisfied([]byte(note))
		if ours != theirs {
			t.Fatalf("we say %t (%v), the oracle says %t\n%s\n%s", ours, checkpoint.Quorum(), theirs, policy, note)
		}
		if ours {
			met++
		}
	}
	if met < 50 || met > 250 {
		t.Errorf("%d of 300 quorums were met: the test shows little", met)
	}
}

// randomPolicy puts witnesses into groups, and groups into groups, until one is left.
func randomPolicy(random *rand.Rand, witnesses []*tlogtest.Witness) string {
	var policy strings.Builder
	var open []string
	for i, w := range witnesses {
		fmt.Fprintf(&policy, "witness W%d %s https://%s/\n", i, w.VerifierKey(), w.Name)
		open = append(open, fmt.Sprintf("W%d", i))
	}
	for n := 0; len(open) > 1; n++ {
		random.Shuffle(len(open), func(i, j int) { open[i], open[j] = open[j], open[i] })
		size := 1 + random.IntN(len(open))
		threshold := []string{"any", "all", fmt.Sprint(1 + random.IntN(size))}[random.IntN(3)]
		fmt.Fprintf(&policy, "group G%d %s %s\n", n, threshold, strings.Join(open[:size], " "))
		open = append(open[size:], fmt.Sprintf("G%d", n))
		if n == 60 {
			break
		}
	}
	return policy.String() + "quorum " + open[len(open)-1] + "\n"
}
