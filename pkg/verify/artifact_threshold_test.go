// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"testing"

	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
	"github.com/countersign-dev/countersign/pkg/verify"
)

// TestVerifyArtifactBelowTheThreshold: where fewer logs are named than are needed,
// each of them proves its part and the verdict is still a rejection.
func TestVerifyArtifactBelowTheThreshold(t *testing.T) {
	w := newWorld(t)
	a := w.offline(t)
	a.Logs = append(a.Logs, proverFor(t, "other", tlogtest.New("other.example.test"), nil, tlog.NewMemoryHistory()))
	a.LogThreshold = 2
	b := w.messageBundle(releaseNotes, "SHA2_256", digestOf(releaseNotes)).Verify()
	want(t, a.VerifyArtifact(t.Context(), artifactOf(releaseNotes), b), verify.NotLogged)
}
