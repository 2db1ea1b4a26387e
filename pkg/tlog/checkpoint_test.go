// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
)

func TestVerifyCheckpointAcceptsOneSpelling(t *testing.T) {
	l := tlogtest.New(hostname)
	l.Grow(3)
	root := base64.StdEncoding.EncodeToString(l.Root(3))
	origin := l.Origin()
	body := origin + "\n3\n" + root + "\n"
	line := l.SignatureLine(body)

	witness := tlogtest.New("witness.example.test")
	foreign := witness.SignatureLine(body)
	impostor := tlogtest.New(hostname)
	// A signature by another key under our key's hint.
	stolenHint := fmt.Sprintf("— %s %s\n", hostname, base64.StdEncoding.EncodeToString(append(l.ID()[:4:4], impostor.Sign([]byte(body))...)))
	garbled := fmt.Sprintf("— %s %s\n", hostname, base64.StdEncoding.EncodeToString(append(l.ID()[:4:4], 1, 2, 3)))

	signed := func(text string) string { return l.SignNote(text) }
	size := func(spelling string) string { return signed(origin + "\n" + spelling + "\n" + root + "\n") }
	hash := func(spelling string) string { return signed(origin + "\n3\n" + spelling + "\n") }
	from := func(first string) string { return signed(first + "\n3\n" + root + "\n") }

	for name, test := range map[string]struct {
		note string
		// kept is what remains of the note, where that is not all.
		kept string
		err  error
	}{
		"as the log writes it":                           {note: l.Checkpoint(3)},
		"a witness signed after the log":                 {note: body + "\n" + line + foreign, kept: body + "\n" + line},
		"a witness signed before the log":                {note: body + "\n" + foreign + line, kept: body + "\n" + line},
		"the log signed twice":                           {note: body + "\n" + line + l.SignatureLine(body), kept: body + "\n" + line},
		"another key of the log's name signed, too":      {note: body + "\n" + impostor.SignatureLine(body) + line, kept: body + "\n" + line},
		"origin of another tree of the same host":        {note: from(hostname + " - 1")},
		"origin with the largest tree ID":                {note: from(hostname + " - 9223372036854775807")},
		"the size is the largest number":                 {note: size("18446744073709551615")},
		"nothing":                                        {note: "", err: tlog.ErrCheckpoint},
		"only signature lines":                           {note: "\n" + line, err: tlog.ErrCheckpoint},
		"no signature line":                              {note: body + "\n", err: tlog.ErrCheckpoint},
		"no signature block":                             {note: body, err: tlog.ErrCheckpoint},
		"signed by a witness only":                       {note: body + "\n" + foreign, err: tlog.ErrCheckpoint},
		"signed by another key of the log's name":        {note: body + "\n" + impostor.SignatureLine(body), err: tlog.ErrCheckpoint},
		"the log's key hint before another signature":    {note: body + "\n" + stolenHint, err: tlog.ErrCheckpoint},
		"a wrong signature before a right one":           {note: body + "\n" + stolenHint + line, err: tlog.ErrCheckpoint},
		"a signature that is not one":                    {note: body + "\n" + garbled, err: tlog.ErrCheckpoint},
		"signature over other text":                      {note: body + "\n" + l.SignatureLine(body+"x"), err: tlog.ErrCheckpoint},
		"signature line of another name":                 {note: body + "\n" + strings.Replace(line, hostname, "rekor.example.tesu", 1), err: tlog.ErrCheckpoint},
		"signature line with an ASCII dash":              {note: body + "\n" + strings.Replace(line, "—", "-", 1), err: tlog.ErrCheckpoint},
		"signature line without newline":                 {note: strings.TrimSuffix(l.Checkpoint(3), "\n"), err: tlog.ErrCheckpoint},
		"text after the signature lines":                 {note: l.Checkpoint(3) + "x\n", err: tlog.ErrCheckpoint},
		"an empty line after the signature lines":        {note: l.Checkpoint(3) + "\n", err: tlog.ErrCheckpoint},
		"an extension line":                              {note: signed(body + "extension\n"), err: tlog.ErrCheckpoint},
		"an empty extension line":                        {note: signed(body + "\n"), err: tlog.ErrCheckpoint},
		"Rekor's old timestamp line":                     {note: signed(body + "Timestamp: 1661884800000000000\n")},
		"two timestamp lines":                            {note: signed(body + "Timestamp: 1661884800000000000\nTimestamp: 1661884800000000000\n"), err: tlog.ErrCheckpoint},
		"a timestamp line and another":                   {note: signed(body + "Timestamp: 1661884800000000000\nx\n"), err: tlog.ErrCheckpoint},
		"a timestamp line that was not signed":           {note: body + "Timestamp: 1661884800000000000\n\n" + line, err: tlog.ErrCheckpoint},
		"a timestamp that is no number":                  {note: signed(body + "Timestamp: now\n"), err: tlog.ErrCheckpoint},
		"a timestamp with a leading zero":                {note: signed(body + "Timestamp: 01661884800000000000\n"), err: tlog.ErrCheckpoint},
		"a timestamp of zero":                            {note: signed(body + "Timestamp: 0\n"), err: tlog.ErrCheckpoint},
		"a timestamp above 63 bits":                      {note: signed(body + "Timestamp: 9223372036854775808\n"), err: tlog.ErrCheckpoint},
		"a timestamp line in other letters":              {note: signed(body + "timestamp: 1661884800000000000\n"), err: tlog.ErrCheckpoint},
		"two lines":                                      {note: signed(origin + "\n3\n"), err: tlog.ErrCheckpoint},
		"an empty first line":                            {note: signed("\n3\n" + root + "\n"), err: tlog.ErrCheckpoint},
		"lines end in CR LF":                             {note: signed(strings.ReplaceAll(body, "\n", "\r\n")), err: tlog.ErrCheckpoint},
		"whole note in CR LF":                            {note: strings.ReplaceAll(l.Checkpoint(3), "\n", "\r\n"), err: tlog.ErrCheckpoint},
		"text that is not UTF-8":                         {note: signed(hostname + " - 1\xff\n3\n" + root + "\n"), err: tlog.ErrCheckpoint},
		"a NUL in the text":                              {note: signed(hostname + " - 1\x00\n3\n" + root + "\n"), err: tlog.ErrCheckpoint},
		"size 0":                                         {note: size("0"), err: tlog.ErrCheckpoint},
		"size with a leading zero":                       {note: size("03"), err: tlog.ErrCheckpoint},
		"size with a plus sign":                          {note: size("+3"), err: tlog.ErrCheckpoint},
		"size with a minus sign":                         {note: size("-3"), err: tlog.ErrCheckpoint},
		"size with a trailing space":                     {note: size("3 "), err: tlog.ErrCheckpoint},
		"size with a leading space":                      {note: size(" 3"), err: tlog.ErrCheckpoint},
		"size with a separator":                          {note: size("1_000"), err: tlog.ErrCheckpoint},
		"size in hexadecimal":                            {note: size("0x3"), err: tlog.ErrCheckpoint},
		"size in other digits":                           {note: size("٣"), err: tlog.ErrCheckpoint},
		"size with a fraction":                           {note: size("3.0"), err: tlog.ErrCheckpoint},
		"size is empty":                                  {note: size(""), err: tlog.ErrCheckpoint},
		"size above 64 bits":                             {note: size("18446744073709551616"), err: tlog.ErrCheckpoint},
		"size of a thousand digits":                      {note: size(strings.Repeat("9", 1000)), err: tlog.ErrCheckpoint},
		"root of 31 bytes":                               {note: hash(base64.StdEncoding.EncodeToString(make([]byte, 31))), err: tlog.ErrCheckpoint},
		"root of 33 bytes":                               {note: hash(base64.StdEncoding.EncodeToString(make([]byte, 33))), err: tlog.ErrCheckpoint},
		"root is empty":                                  {note: hash(""), err: tlog.ErrCheckpoint},
		"root without padding":                           {note: hash(strings.TrimRight(root, "=")), err: tlog.ErrCheckpoint},
		"root with bits in the padding":                  {note: hash(paddingBits(root)), err: tlog.ErrCheckpoint},
		"root in the URL alphabet":                       {note: hash(base64.URLEncoding.EncodeToString([]byte(strings.Repeat("\xff", 32)))), err: tlog.ErrCheckpoint},
		"root in hexadecimal":                            {note: hash(fmt.Sprintf("%x", l.Root(3))), err: tlog.ErrCheckpoint},
		"root with a trailing space":                     {note: hash(root + " "), err: tlog.ErrCheckpoint},
		"origin is the host alone":                       {note: from(hostname), err: tlog.ErrCheckpoint},
		"origin of another host":                         {note: from("other.example.test - 1"), err: tlog.ErrCheckpoint},
		"origin of a host that the name begins":          {note: from(hostname + ".evil - 1"), err: tlog.ErrCheckpoint},
		"origin of a host that ends in the name":         {note: from("evil" + hostname + " - 1"), err: tlog.ErrCheckpoint},
		"origin in capitals":                             {note: from(strings.ToUpper(hostname) + " - 1"), err: tlog.ErrCheckpoint},
		"origin with tree ID 0":                          {note: from(hostname + " - 0"), err: tlog.ErrCheckpoint},
		"origin with a negative tree ID":                 {note: from(hostname + " - -1"), err: tlog.ErrCheckpoint},
		"origin with a leading zero in the tree ID":      {note: from(hostname + " - 01"), err: tlog.ErrCheckpoint},
		"origin with a plus sign in the tree ID":         {note: from(hostname + " - +1"), err: tlog.ErrCheckpoint},
		"origin without tree ID":                         {note: from(hostname + " - "), err: tlog.ErrCheckpoint},
		"origin with a tree ID above 63 bits":            {note: from(hostname + " - 9223372036854775808"), err: tlog.ErrCheckpoint},
		"origin with a space after the tree ID":          {note: from(hostname + " - 1 "), err: tlog.ErrCheckpoint},
		"origin with two spaces":                         {note: from(hostname + " -  1"), err: tlog.ErrCheckpoint},
		"origin with a tree ID in hexadecimal":           {note: from(hostname + " - 3aecd549481eb522"), err: tlog.ErrCheckpoint},
		"a note of more than 100 signature lines":        {note: body + "\n" + strings.Repeat(foreign, 101) + line, err: tlog.ErrCheckpoint},
		"a note longer than the limit":                   {note: signed(body + strings.Repeat("x", tlog.MaxNoteBytes)), err: tlog.ErrLimit},
		"a note of a million bytes that is not a note":   {note: strings.Repeat("x", 1<<20), err: tlog.ErrLimit},
		"a note exactly at the limit that is not a note": {note: strings.Repeat("x", tlog.MaxNoteBytes), err: tlog.ErrCheckpoint},
	} {
		t.Run(name, func(t *testing.T) {
			checkpoint, err := configured(t, l).VerifyCheckpoint([]byte(test.note))
			wantErr(t, err, test.err)
			if (checkpoint == tlog.Checkpoint{}) != (err != nil) {
				t.Errorf("got checkpoint %v and error %v: one of the two must be zero", checkpoint, err)
			}
			if test.kept == "" {
				test.kept = test.note
			}
			if err == nil && checkpoint.Note() != test.kept {
				t.Errorf("the stored note is %q, not what was verified, %q", checkpoint.Note(), test.kept)
			}
		})
	}
}

// paddingBits sets a bit of the last character that decoders ignore.
func paddingBits(b64 string) string {
	last := strings.IndexByte(b64, '=') - 1
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	return b64[:last] + string(alphabet[strings.IndexByte(alphabet, b64[last])+1]) + b64[last+1:]
}

func TestCheckpointSaysWhatWasSigned(t *testing.T) {
	l := tlogtest.New(hostname)
	l.Grow(5)
	got := checkpointOf(t, l, 5)
	if got.Origin() != l.Origin() || got.Size() != 5 {
		t.Errorf("got origin %q size %d", got.Origin(), got.Size())
	}
	root := got.Root()
	if diff := cmp.Diff(l.Root(5), root[:]); diff != "" {
		t.Errorf("root (-want +got):\n%s", diff)
	}
	if want := fmt.Sprintf("%q size 5 root %x", l.Origin(), l.Root(5)); got.String() != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestVerifyCheckpointChangedInOneByte(t *testing.T) {
	l := tlogtest.New(hostname)
	l.Grow(7)
	log := configured(t, l)
	note := l.Checkpoint(7)
	for i := range note {
		for _, bit := range []byte{0x01, 0x20, 0x80} {
			changed := []byte(note)
			changed[i] ^= bit
			checkpoint, err := log.VerifyCheckpoint(changed)
			if err == nil && strings.TrimRight(string(changed), "\n") != note {
				// The last bits of a signature's base64 are padding: the same
				// signature in another spelling, over the same text.
				if text, _, _ := strings.Cut(string(changed), "\n\n"); !strings.HasPrefix(note, text+"\n\n") {
					t.Fatalf("byte %d changed by %#x is accepted as %v", i, bit, checkpoint)
				}
			}
		}
	}
}

func TestVerifyCheckpointOfEachKindOfLogKey(t *testing.T) {
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]crypto.Signer{"ECDSA P-384": p384, "RSA": rsaKey, "Ed25519": ed} {
		t.Run(name, func(t *testing.T) {
			l := tlogtest.NewWithKey(hostname, key)
			claims := extend(t, l, 3, "")
			log := configured(t, l)
			if _, err := log.VerifyCheckpoint([]byte(l.Checkpoint(3))); err != nil {
				t.Error(err)
			}
			other := configured(t, tlogtest.New(hostname))
			if _, err := other.VerifyCheckpoint([]byte(l.Checkpoint(3))); !errors.Is(err, tlog.ErrCheckpoint) {
				t.Errorf("under another key: got error %v", err)
			}
			entry := l.Promise(1)
			if err := entry.CheckSignedEntryTimestamp(log); err != nil {
				t.Error(err)
			}
			entry.LogIndex++
			if err := entry.CheckSignedEntryTimestamp(log); !errors.Is(err, tlog.ErrSignedEntryTimestamp) {
				t.Errorf("a changed index: got error %v", err)
			}
			prover := tlog.NewProver(log, nil, tlog.NewMemoryHistory())
			if _, err := prover.Prove(t.Context(), claims[1], l.Entry(1, 3)); err != nil {
				t.Error(err)
			}
		})
	}
}
