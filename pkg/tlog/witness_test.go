// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
)

// withPolicy is l as configured with a witness policy.
func withPolicy(t testing.TB, l *tlogtest.Log, policy string, witnesses ...*tlogtest.Witness) *tlog.Log {
	t.Helper()
	parsed, err := tlog.ParseWitnessPolicy(witnessed(policy, witnesses...))
	if err != nil {
		t.Fatal(err)
	}
	config := configOf(l)
	config.Witnesses = parsed
	return newLog(t, config)
}

// nestedPolicy asks for two of three witnesses and one of two others.
const nestedPolicy = `
witness X1 %0
witness X2 %1
witness X3 %2
group X-witnesses 2 X1 X2 X3
witness Y1 %3
witness Y2 %4
group Y-witnesses any Y1 Y2
group X-and-Y all X-witnesses Y-witnesses
quorum X-and-Y
`

func fiveWitnesses() []*tlogtest.Witness {
	return []*tlogtest.Witness{
		tlogtest.NewWitness("x1.example"), tlogtest.NewPostQuantumWitness("x2.example"), tlogtest.NewWitness("x3.example"),
		tlogtest.NewWitness("y1.example"), tlogtest.NewPostQuantumWitness("y2.example"),
	}
}

func TestQuorum(t *testing.T) {
	l, _ := logged(t, 5)
	w := fiveWitnesses()
	log, now := withPolicy(t, l, nestedPolicy, w...), time.Now()
	for cosigners, missing := range map[string]string{
		"":      "cosigned by none; missing 2 of (X1, X2, X3) and 1 of (Y1, Y2)",
		"0":     "cosigned by X1; missing 1 of (X2, X3) and 1 of (Y1, Y2)",
		"00":    "cosigned by X1; missing 1 of (X2, X3) and 1 of (Y1, Y2)",
		"3":     "cosigned by Y1; missing 2 of (X1, X2, X3)",
		"34":    "cosigned by Y1, Y2; missing 2 of (X1, X2, X3)",
		"034":   "cosigned by X1, Y1, Y2; missing 1 of (X2, X3)",
		"012":   "cosigned by X1, X2, X3; missing 1 of (Y1, Y2)",
		"013":   "",
		"104":   "",
		"324":   "cosigned by X3, Y1, Y2; missing 1 of (X1, X2)",
		"01234": "",
	} {
		t.Run("cosigned by "+cosigners, func(t *testing.T) {
			note := l.Checkpoint(5)
			for _, c := range cosigners {
				note = w[c-'0'].Cosign(note, now)
			}
			checkpoint, err := log.VerifyCheckpoint([]byte(note))
			if err != nil {
				t.Fatal(err)
			}
			err = checkpoint.Quorum()
			if missing == "" {
				wantErr(t, err, nil)
				if got := checkpoint.Witnesses(); !strings.HasPrefix(got, "cosigned by X") || strings.Contains(got, "missing") {
					t.Errorf("the witnesses are %q", got)
				}
				return
			}
			wantErr(t, err, tlog.ErrWitnessQuorum)
			if err == nil || !strings.Contains(err.Error(), missing) {
				t.Errorf("got error %v, want one that says %q", err, missing)
			}
		})
	}
}

func TestQuorumExpressions(t *testing.T) {
	l, _ := logged(t, 5)
	w := fiveWitnesses()
	const define = "witness A %0\nwitness B %1\nwitness C %2\nwitness D %3\nwitness E %4\n"
	for name, test := range map[string]struct {
		policy, cosigners, missing string
	}{
		"nobody is asked for":                         {policy: "quorum none\n"},
		"one witness, and it cosigned":                {policy: "quorum B\n", cosigners: "1"},
		"one witness, and another cosigned":           {policy: "quorum B\n", cosigners: "0", missing: "missing B"},
		"all":                                         {policy: "group G all A B C\nquorum G\n", cosigners: "012"},
		"all but one":                                 {policy: "group G all A B C\nquorum G\n", cosigners: "02", missing: "missing B"},
		"any":                                         {policy: "group G any A B C\nquorum G\n", cosigners: "2"},
		"any, and one outside of the group":           {policy: "group G any A B C\nquorum G\n", cosigners: "3", missing: "missing 1 of (A, B, C)"},
		"groups of groups, met by the other way":      {policy: "group G all A B\ngroup H any G C\nquorum H\n", cosigners: "2"},
		"groups of groups, half of one":               {policy: "group G all A B\ngroup H any G C\nquorum H\n", cosigners: "0", missing: "missing 1 of (B, C)"},
		"a full group counts once, however many sign": {policy: "group G any A B C\ngroup H 2 G D E\nquorum H\n", cosigners: "012", missing: "missing 1 of (D, E)"},
	} {
		t.Run(name, func(t *testing.T) {
			note := l.Checkpoint(5)
			for _, c := range test.cosigners {
				note = w[c-'0'].Cosign(note, time.Now())
			}
			checkpoint, err := withPolicy(t, l, define+test.policy, w...).VerifyCheckpoint([]byte(note))
			if err != nil {
				t.Fatal(err)
			}
			if err := checkpoint.Quorum(); (err != nil) != (test.missing != "") || err != nil && !strings.HasSuffix(err.Error(), test.missing) {
				t.Errorf("got error %v, want %q", err, test.missing)
			}
		})
	}
}

// TestCosignatureThatDoesNotCount: each is beside a good signature of the log, and the
// policy asks for one witness.
func TestCosignatureThatDoesNotCount(t *testing.T) {
	l, _ := logged(t, 5)
	w, namesake := tlogtest.NewWitness("w.example"), tlogtest.NewWitness("w.example")
	log, now := withPolicy(t, l, "witness W %0\nquorum W\n", w), time.Now()
	note := l.Checkpoint(5)
	text := note[:strings.Index(note, "\n\n")+1]
	other := l.Checkpoint(4)
	at := uint64(now.Unix())
	for name, test := range map[string]struct {
		lines string
		// refused: the note as a whole does not verify.
		refused string
		passed  string
	}{
		"good": {lines: w.Line(text, now)},
		"none": {passed: "cosigned by none; missing W"},
		"by a witness that the policy does not know":  {lines: tlogtest.NewWitness("v.example").Line(text, now), passed: "cosigned by none; missing W"},
		"by another key under its name":               {lines: namesake.Line(text, now), passed: "cosigned by none; missing W"},
		"by its key under another name":               {lines: "— v.example" + strings.TrimPrefix(w.Line(text, now), "— w.example"), passed: "cosigned by none; missing W"},
		"by another key under its name and key hash":  {lines: w.SignatureLine(at, namesake.Sign(at, text)), refused: `the cosignature by witness "W" does not verify`},
		"over another checkpoint":                     {lines: w.Line(other[:strings.Index(other, "\n\n")+1], now), refused: `the cosignature by witness "W" does not verify`},
		"over the text without its last newline":      {lines: w.SignatureLine(at, w.Sign(at, text[:len(text)-1])), refused: `does not verify`},
		"over another time than it says":              {lines: w.SignatureLine(at+1, w.Sign(at, text)), refused: `does not verify`},
		"without a time, as logs sign":                {lines: l.SignatureLine(text), passed: "missing W"},
		"cut short by a byte":                         {lines: w.SignatureLine(at, w.Sign(at, text)[:63]), refused: `does not verify`},
		"longer by a byte":                            {lines: w.SignatureLine(at, append(w.Sign(at, text), 0)), refused: `does not verify`},
		"a time and no signature":                     {lines: w.SignatureLine(at, nil), refused: `does not verify`},
		"a bad one before a good one":                 {lines: w.SignatureLine(at, namesake.Sign(at, text)) + w.Line(text, now), refused: `does not verify`},
		"a good one before a bad one":                 {lines: w.Line(text, now) + w.SignatureLine(at, namesake.Sign(at, text))}, // the second is not looked at
		"at time 0":                                   {lines: w.SignatureLine(0, w.Sign(0, text)), passed: "not counted: W (at 1970-01-01T00:00:00Z, which is no time)"},
		"in 4 minutes":                                {lines: w.Line(text, now.Add(4*time.Minute))},
		"in 6 minutes":                                {lines: w.Line(text, now.Add(6*time.Minute)), passed: "which is in the future); missing W"},
		"in 100 years":                                {lines: w.Line(text, now.AddDate(100, 0, 0)), passed: "which is in the future); missing W"},
		"at the last second that an int64 can hold":   {lines: w.SignatureLine(math.MaxInt64, w.Sign(math.MaxInt64, text)), passed: "which is in the future); missing W"},
		"at the first second that it cannot hold":     {lines: w.SignatureLine(math.MaxInt64+1, w.Sign(math.MaxInt64+1, text)), passed: "which is no time); missing W"},
		"at the last second of all":                   {lines: w.SignatureLine(math.MaxUint64, w.Sign(math.MaxUint64, text)), passed: "which is no time); missing W"},
		"a year ago":                                  {lines: w.Line(text, now.AddDate(-1, 0, 0))}, // the tree was seen by all then, and has only grown
		"future, then good":                           {lines: w.Line(text, now.AddDate(1, 0, 0)) + w.Line(text, now), passed: "which is in the future); missing W"},
		"a line of an unknown type beside a good one": {lines: "— w.example " + base64.StdEncoding.EncodeToString([]byte("\x01\x02\x03\x04and anything")) + "\n" + w.Line(text, now)},
	} {
		t.Run(name, func(t *testing.T) {
			checkpoint, err := log.VerifyCheckpoint([]byte(note + test.lines))
			if test.refused != "" {
				wantErr(t, err, tlog.ErrCheckpoint)
				if err == nil || !strings.Contains(err.Error(), test.refused) {
					t.Errorf("got error %v, want one that says %q", err, test.refused)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			err = checkpoint.Quorum()
			if (err != nil) != (test.passed != "") || err != nil && !strings.Contains(err.Error(), test.passed) {
				t.Errorf("got error %v, want %q", err, test.passed)
			}
			if count := len(checkpoint.Cosignatures()); (count == 1) != (err == nil) {
				t.Errorf("%d cosignatures count, with error %v", count, err)
			}
		})
	}
}

// TestWitnessesAloneAreNotTheLog: their keys verify notes, too, and must not stand in
// for the log's.
func TestWitnessesAloneAreNotTheLog(t *testing.T) {
	l, _ := logged(t, 5)
	w := tlogtest.NewWitness("w.example")
	note := l.Checkpoint(5)
	text := note[:strings.Index(note, "\n\n")+1]
	for name, signed := range map[string]string{
		"a note that only the witness signed":                 text + "\n" + w.Line(text, time.Now()),
		"a note of the witness under the log's name":          text + "\n— " + hostname + strings.TrimPrefix(w.Line(text, time.Now()), "— w.example"),
		"the witness's name for the origin":                   "w.example - 1\n5\n" + strings.SplitN(text, "\n", 3)[2] + "\n" + w.Line("w.example - 1\n5\n"+strings.SplitN(text, "\n", 3)[2], time.Now()),
		"a note that another log signed and the witness, too": w.Cosign(tlogtest.New(hostname).Fork(0).SignNote(text), time.Now()),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := withPolicy(t, l, "witness W %0\nquorum W\n", w).VerifyCheckpoint([]byte(signed))
			wantErr(t, err, tlog.ErrCheckpoint)
		})
	}
}

// TestManySignatureLines: a note has room for 100, of anybody.
func TestManySignatureLines(t *testing.T) {
	l, _ := logged(t, 5)
	w := tlogtest.NewWitness("w.example")
	log := withPolicy(t, l, "witness W %0\nquorum W\n", w)
	for count, want := range map[int]error{98: nil, 99: tlog.ErrCheckpoint, 1000: tlog.ErrCheckpoint} {
		note := l.Checkpoint(5)
		for i := range count {
			note += fmt.Sprintf("— w%d %s\n", i, base64.StdEncoding.EncodeToString([]byte("12345678")))
		}
		checkpoint, err := log.VerifyCheckpoint([]byte(w.Cosign(note, time.Now())))
		wantErr(t, err, want)
		if err == nil {
			wantErr(t, checkpoint.Quorum(), nil)
		}
	}
}

// TestLogWithoutPolicyPassesOverWitnesses: not even a broken line of theirs matters.
func TestLogWithoutPolicyPassesOverWitnesses(t *testing.T) {
	l, _ := logged(t, 5)
	w := tlogtest.NewWitness("w.example")
	for name, log := range map[string]*tlog.Log{
		"no policy":                 configured(t, l),
		"a policy that asks nobody": withPolicy(t, l, "witness W %0\nquorum none\n", w),
	} {
		t.Run(name, func(t *testing.T) {
			checkpoint, err := log.VerifyCheckpoint([]byte(l.Checkpoint(5) + w.SignatureLine(1, make([]byte, 64))))
			if err != nil {
				t.Fatal(err)
			}
			wantErr(t, checkpoint.Quorum(), nil)
			if got := checkpoint.Witnesses(); got != "" || checkpoint.IsWitnessed() {
				t.Errorf("the witnesses are %q, and nobody was asked for", got)
			}
			if got := checkpoint.Cosignatures(); got != nil {
				t.Errorf("%v count, and nobody was asked for", got)
			}
		})
	}
}

func TestWitnessMessageIsBounded(t *testing.T) {
	l, _ := logged(t, 5)
	policy, names := "", ""
	for i := range 64 {
		name := strings.Repeat("ведьма", 20) + fmt.Sprint(i)
		policy += "witness " + name + " " + tlogtest.NewWitness("w.example").VerifierKey() + "\n"
		names += " " + name
	}
	checkpoint, err := withPolicy(t, l, policy+"group G all"+names+"\nquorum G\n").VerifyCheckpoint([]byte(l.Checkpoint(5)))
	if err != nil {
		t.Fatal(err)
	}
	err = checkpoint.Quorum()
	if !errors.Is(err, tlog.ErrWitnessQuorum) || len(err.Error()) > 1000 || !strings.HasSuffix(err.Error(), "…") {
		t.Errorf("got error of %d bytes: %v", len(err.Error()), err)
	}
}
