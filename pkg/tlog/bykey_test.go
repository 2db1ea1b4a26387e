// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog_test

import (
	"strings"
	"testing"

	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
)

// TestLogKnownByItsKey: a trusted root does not say what a log's checkpoints call it.
// The key decides, and a checkpoint must not call the log two things.
func TestLogKnownByItsKey(t *testing.T) {
	l, _ := logged(t, 4)
	text, _, _ := strings.Cut(l.Checkpoint(4), "\n\n")
	text += "\n"
	renamed := l.Fork(4)
	renamed.Hostname = "other.example"
	stranger := tlogtest.New(l.Hostname)
	stranger.Grow(4)
	for name, test := range map[string]struct {
		note string
		err  error
	}{
		"the log under its name":                    {note: l.Checkpoint(4)},
		"the same key under another name":           {note: renamed.Checkpoint(4)},
		"another key under the same name":           {note: stranger.Checkpoint(4), err: tlog.ErrCheckpoint},
		"an origin that is not the signer's name":   {note: text + "\n" + renamed.SignatureLine(text), err: tlog.ErrCheckpoint},
		"a stranger's signature before the log's":   {note: text + "\n" + stranger.SignatureLine(text) + l.SignatureLine(text)},
		"a stranger's signature under another name": {note: text + "\n" + strings.Replace(stranger.SignatureLine(text), l.Hostname, "x.example", 1), err: tlog.ErrCheckpoint},
	} {
		t.Run(name, func(t *testing.T) {
			log, err := tlog.NewLog(tlog.Config{Name: "root", Version: tlog.RekorV1, KeyOnly: true, Key: l.PublicKey()})
			if err != nil {
				t.Fatal(err)
			}
			_, err = log.VerifyCheckpoint([]byte(test.note))
			wantErr(t, err, test.err)
		})
	}
}
