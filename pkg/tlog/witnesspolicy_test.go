// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
)

// witnessed fills the verifier keys of witnesses into a policy: %0 is that of the
// first.
func witnessed(policy string, witnesses ...*tlogtest.Witness) string {
	for i, w := range witnesses {
		policy = strings.ReplaceAll(policy, fmt.Sprintf("%%%d", i), w.VerifierKey())
	}
	return policy
}

func TestWitnessPolicyAccepts(t *testing.T) {
	x, y, z := tlogtest.NewWitness("x.example"), tlogtest.NewWitness("y.example/w1"), tlogtest.NewPostQuantumWitness("oid/1.2.3")
	logKey := ed25519Key("log.example", 0x01)
	for name, policy := range map[string]string{
		"one witness":                               "witness X %0\nquorum X\n",
		"a last line without a newline":             "witness X %0\nquorum X",
		"no witness is asked for":                   "quorum none\n",
		"witnesses that nobody asks for":            "witness X %0\nquorum none\n",
		"an unused group":                           "witness X %0\nwitness Y %1\ngroup G any Y\nquorum X\n",
		"tabs and spaces":                           " \twitness\t X  %0\t\n\tquorum\tX \n",
		"comments and empty lines":                  "# a policy\n\n   \t\n  # of one\nwitness X %0\n#quorum none\nquorum X\n",
		"comments that are not ASCII":               "# ключ, 鍵, \xff\xfe\nwitness X %0\nquorum X\n",
		"names that are not ASCII":                  "witness ведьма %0\ngroup \xff\xfe all ведьма\nquorum \xff\xfe\n",
		"names that differ only to Unicode":         "witness K %0\nwitness \u212a %1\ngroup G 2 K \u212a\nquorum G\n",
		"URLs":                                      "log " + logKey + " https://log.example/\nwitness X %0 https://x.example/prefix\nquorum X\n",
		"lines after the quorum":                    "witness X %0\nquorum X\nwitness Y %1\nlog " + logKey + "\n",
		"witnesses called any, all, 2 and quorum":   "witness any %0\nwitness all %1\nwitness 2 %2\ngroup quorum 2 any all 2\nquorum quorum\n",
		"an ML-DSA-44 witness":                      "witness Z %2\nquorum Z\n",
		"groups in groups":                          "witness X %0\nwitness Y %1\nwitness Z %2\ngroup A any X Y\ngroup B all A Z\nquorum B\n",
		"a group of one group of one":               "witness X %0\ngroup A 1 X\ngroup B 1 A\nquorum B\n",
		"a group and a witness that it holds":       "witness X %0\nwitness Y %1\ngroup A any X Y\nquorum X\n",
		"all that C2SP asks an implementation for":  largePolicy(32),
		"a name that ends in a number":              "witness X1 %0\nquorum X1\n",
		"a # inside of a line is part of a name":    "witness X# %0\nquorum X#\n",
		"two logs, one of each kind of key":         "log " + logKey + "\nlog " + ecdsaKey("log2.example") + "\nquorum none\n",
		"the same key name for two different keys":  "witness X %0\nwitness Y " + tlogtest.NewWitness("x.example").VerifierKey() + "\ngroup G all X Y\nquorum G\n",
		"the name of a witness in upper case twice": "witness X %0\nwitness x %1\ngroup G all X x\nquorum G\n",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := tlog.ParseWitnessPolicy(witnessed(policy, x, y, z)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestWitnessPolicyRefuses(t *testing.T) {
	x, y := tlogtest.NewWitness("x.example"), tlogtest.NewWitness("y.example")
	raw, err := base64.StdEncoding.DecodeString(strings.SplitN(x.VerifierKey(), "+", 3)[2])
	if err != nil {
		t.Fatal(err)
	}
	sameKey := tlogtest.VerifierKey("another-name.example", 0x04, raw[1:])
	const two = "witness X %0\nwitness Y %1\n"
	otherLog := ecdsaKey("log.example")
	for name, test := range map[string]struct{ policy, want string }{
		"nothing":                                  {"", `no line says which quorum`},
		"only comments":                            {"# quorum none\n", `no line says which quorum`},
		"no quorum":                                {two, `no line says which quorum`},
		"two quorums":                              {two + "quorum X\nquorum Y\n", "line 4: line 3 has said"},
		"two quorums, of which one is none":        {two + "quorum X\nquorum none\n", "line 4: line 3 has said"},
		"two quorums that are the same":            {two + "quorum X\nquorum X\n", "line 4: line 3 has said"},
		"a quorum of nobody":                       {two + "quorum\n", "line 3: a quorum is"},
		"a quorum of two":                          {two + "quorum X Y\n", "line 3: a quorum is"},
		"a quorum that is not defined":             {two + "quorum Z\n", `line 3: no line above defines "Z"`},
		"a quorum that is defined later":           {"quorum X\n" + two, `line 1: no line above defines "X"`},
		"a quorum in other letters":                {two + "quorum x\n", `line 3: no line above defines "x"`},
		"quorum NONE":                              {two + "quorum NONE\n", `line 3: no line above defines "NONE"`},
		"an unknown keyword":                       {"witnes X %0\nquorum none\n", `line 1: "witnes" is not one of`},
		"a keyword in other letters":               {"Witness X %0\nquorum none\n", `line 1: "Witness" is not one of`},
		"an HTML page":                             {"<!DOCTYPE html>\n<html>\n", `line 1: "<!DOCTYPE" is not one of`},
		"CRLF":                                     {"witness X %0\r\nquorum X\r\n", `the control character '\r'`},
		"a NUL":                                    {"quorum none\n\x00", `line 2: character 1 is the control character '\x00'`},
		"a form feed between items":                {"quorum\fnone\n", `line 1: character 7 is the control character '\f'`},
		"DEL":                                      {"# \x7f\nquorum none\n", `line 1: character 3 is the control character '\x7f'`},
		"a control character in a comment":         {"# \x1b[2J\nquorum none\n", `line 1: character 3 is the control character '\x1b'`},
		"items parted by a no-break space":         {"quorum\u00a0none\n", `line 1: "quorum\u00a0none" is not one of`},
		"a byte order mark":                        {"\ufeffquorum none\n", "line 1: \"\\ufeffquorum\" is not one of"},
		"a witness without a key":                  {"witness X\nquorum none\n", "line 1: a witness is"},
		"a witness with a third item":              {"witness X %0 https://x.example #comment\nquorum none\n", "line 1: a witness is"},
		"a witness called none":                    {"witness none %0\nquorum none\n", `line 1: "none" has a meaning of its own`},
		"a group called none":                      {two + "group none any X\nquorum none\n", `line 3: "none" has a meaning of its own`},
		"a group with the member none":             {two + "group G any none\nquorum G\n", `line 3: group "G": no line above defines "none"`},
		"a name given twice":                       {"witness X %0\nwitness X %1\nquorum X\n", `line 2: line 1 has defined "X"`},
		"a group with the name of a witness":       {two + "group X any Y\nquorum X\n", `line 3: line 1 has defined "X"`},
		"one key under two names":                  {"witness X %0\nwitness Y %0\ngroup G 2 X Y\nquorum G\n", `line 2: witness "Y": line 1 has the same public key`},
		"one key under two names and key names":    {"witness X %0\nwitness Y " + sameKey + "\ngroup G 2 X Y\nquorum G\n", `line 2: witness "Y": line 1 has the same public key`},
		"one key for a log and a witness":          {"log " + tlogtest.VerifierKey("x.example", 0x01, raw[1:]) + "\nwitness X %0\nquorum X\n", `line 2: witness "X": line 1 has the same public key`},
		"a log after the witness that has its key": {"witness X %0\nquorum X\nlog " + tlogtest.VerifierKey("x.example", 0x01, raw[1:]) + "\n", `line 3: line 1 has the same public key`},
		"a log given twice":                        {"log " + otherLog + "\nlog " + otherLog + "\nquorum none\n", "line 2: line 1 has the same public key"},
		"a log without a key":                      {"log\nquorum none\n", "line 1: a log is"},
		"a log with a key that is none":            {"log x\nquorum none\n", "line 1: a verifier key is"},
		"a log with a third item":                  {"log a b c\nquorum none\n", "line 1: a log is"},
		"a log with a witness's key":               {"log %0\nquorum none\n", "line 1: a key of type 0x04 is not one that logs sign with"},
		"a log with a short Ed25519 key":           {"log " + tlogtest.VerifierKey("l", 0x01, make([]byte, 31)) + "\nquorum none\n", "line 1: an Ed25519 key has 32 bytes, not 31"},
		"a log with an ECDSA key that is none":     {"log " + ecdsaVerifierKey("l", []byte("nonsense")) + "\nquorum none\n", "line 1: the key is not a SubjectPublicKeyInfo"},
		"a witness with a log's key":               {"witness X " + tlogtest.VerifierKey("x.example", 0x01, raw[1:]) + "\nquorum X\n", `line 1: witness "X": a key of type 0x01 is not one that witnesses sign with`},
		"a witness with an RFC 6962 key":           {"witness X " + tlogtest.VerifierKey("x.example", 0x05, raw[1:]) + "\nquorum X\n", `a key of type 0x05 is not`},
		"a witness with a reserved type of key":    {"witness X " + tlogtest.VerifierKey("x.example", 0xff, raw[1:]) + "\nquorum X\n", `a key of type 0xff is not`},
		"a key of 31 bytes":                        {"witness X " + tlogtest.VerifierKey("x.example", 0x04, raw[1:32]) + "\nquorum X\n", `a key of type 0x04 has 32 bytes, not 31`},
		"a key of 33 bytes":                        {"witness X " + tlogtest.VerifierKey("x.example", 0x04, append(raw[1:], 0)) + "\nquorum X\n", `a key of type 0x04 has 32 bytes, not 33`},
		"an ML-DSA-44 key of 32 bytes":             {"witness X " + tlogtest.VerifierKey("x.example", 0x06, raw[1:]) + "\nquorum X\n", `a key of type 0x06 has 1312 bytes, not 32`},
		"an empty key":                             {"witness X " + tlogtest.VerifierKey("x.example", 0x04, nil) + "\nquorum X\n", `the key is not base64`},
		"a key with the hash of another":           {"witness X " + hashOf(y.VerifierKey(), x.VerifierKey()) + "\nquorum X\n", `line 1: witness "X": the hash is`},
		"a key with the hash of another name":      {"witness X " + strings.Replace(x.VerifierKey(), "x.example", "y.example", 1) + "\nquorum X\n", `line 1: witness "X": the hash is`},
		"a key with the hash of another type":      {"witness X " + hashOf(tlogtest.VerifierKey("x.example", 0x01, raw[1:]), x.VerifierKey()) + "\nquorum X\n", `the hash is`},
		"a hash of 7 digits":                       {"witness X x+1234567+AAAA\nquorum X\n", `is not a hash of 8 hexadecimal digits`},
		"a hash that is not hexadecimal":           {"witness X x+1234567g+AAAA\nquorum X\n", `is not a hash of 8 hexadecimal digits`},
		"a hash with a sign":                       {"witness X x++1234567+AAAA\nquorum X\n", `is not a hash of 8 hexadecimal digits`},
		"a key that is not base64":                 {"witness X x+12345678+****\nquorum X\n", `the key is not base64`},
		"a key in the other base64":                {"witness X x+12345678+-_-_\nquorum X\n", `the key is not base64`},
		"a key without a name":                     {"witness X +12345678+AAAA\nquorum X\n", `"" is not the name of a key`},
		"a key with a Unicode space in its name":   {"witness X a\u2003b+12345678+AAAA\nquorum X\n", `is not the name of a key`},
		"a key whose name is not UTF-8":            {"witness X \xff+12345678+AAAA\nquorum X\n", `is not the name of a key`},
		"a key whose name is 256 bytes long":       {"witness X " + strings.Repeat("a", 256) + "+12345678+AAAA\nquorum X\n", `is not the name of a key`},
		"a bare name for a key":                    {"witness X x.example\nquorum X\n", `a verifier key is <name>+<hash>+<key>`},
		"a key in hexadecimal, as sigsum has it":   {"witness X 1c25f8a44c635457e2e391d1efbca7d4c2951a0aef06225a881e46b98962ac6c\nquorum X\n", `a verifier key is <name>+<hash>+<key>`},
		"a name that is 256 bytes long":            {"witness " + strings.Repeat("a", 256) + " %0\nquorum none\n", `is longer than 255 bytes`},
		"a group without members":                  {two + "group G any\nquorum G\n", "line 3: a group is"},
		"a group without a threshold":              {two + "group G X Y\nquorum G\n", `line 3: group "G": "X" is not any, all, or a number`},
		"a group of 0":                             {two + "group G 0 X Y\nquorum G\n", `line 3: group "G": 0 of 2 members cannot be asked for`},
		"a group of -1":                            {two + "group G -1 X Y\nquorum G\n", `line 3: group "G": -1 of 2 members cannot be asked for`},
		"a group of 3 of 2":                        {two + "group G 3 X Y\nquorum G\n", `line 3: group "G": 3 of 2 members cannot be asked for`},
		"a group of 02":                            {two + "group G 02 X Y\nquorum G\n", `line 3: group "G": "02" is not any, all, or a number`},
		"a group of +1":                            {two + "group G +1 X Y\nquorum G\n", `line 3: group "G": "+1" is not any, all, or a number`},
		"a group of 1.5":                           {two + "group G 1.5 X Y\nquorum G\n", `is not any, all, or a number`},
		"a group of 2^64 + 1":                      {two + "group G 18446744073709551617 X Y\nquorum G\n", `is not any, all, or a number`},
		"a group of most":                          {two + "group G most X Y\nquorum G\n", `"most" is not any, all, or a number`},
		"a witness twice in one group":             {two + "group G 2 X X\nquorum G\n", `line 3: group "G": line 3 made "X" a member of a group already`},
		"a witness in two groups":                  {two + "group G any X\ngroup H any X Y\nquorum H\n", `line 4: group "H": line 3 made "X" a member of a group already`},
		"a group in two groups":                    {two + "group G any X\ngroup H any G\ngroup I any G Y\nquorum I\n", `line 5: group "I": line 4 made "G" a member of a group already`},
		"a group in itself":                        {two + "group G any G\nquorum G\n", `line 3: group "G": no line above defines "G"`},
		"two groups in each other":                 {two + "group G any H\ngroup H any G\nquorum G\n", `line 3: group "G": no line above defines "H"`},
		"a group of a witness that comes later":    {"witness X %0\ngroup G any X Y\nwitness Y %1\nquorum G\n", `line 2: group "G": no line above defines "Y"`},
		"more witnesses than the bound":            {largePolicy(65), "line 65: the policy has more than 64 witnesses"},
		"more groups than the bound":               {manyGroups(65), "line 66: the policy has more than 64 groups"},
		"more logs than the bound":                 {manyLogs(65), "line 65: the policy has more than 64 logs"},
		"a policy of 1 MiB":                        {strings.Repeat("# comment\n", 1<<20/10) + "quorum none\n", "the policy is longer than 131072 bytes"},
		"a policy of 1 MiB without a newline":      {strings.Repeat("x", 1<<20), "the policy is longer than 131072 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := tlog.ParseWitnessPolicy(witnessed(test.policy, x, y))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %v, want one that says %s", err, test.want)
			}
		})
	}
}

// TestPolicyIsForItsLog: what only shows when the log is known.
func TestPolicyIsForItsLog(t *testing.T) {
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	l := tlogtest.NewWithKey(hostname, key)
	own := tlogtest.NewWitnessWithKey("w.example", key)
	other, ecdsaLog, otherLog := tlogtest.NewWitness("x.example"), tlogtest.New(hostname), ecdsaKey("log.example")
	for name, test := range map[string]struct {
		log    *tlogtest.Log
		policy string
		want   string
	}{
		"a policy that names no log":            {l, witnessed("witness X %0\nquorum X\n", other), ""},
		"a policy for this log":                 {l, "log " + tlogtest.VerifierKey(hostname, 0x01, public) + "\nquorum none\n", ""},
		"a policy for this log and others":      {l, "log " + otherLog + "\nlog " + tlogtest.VerifierKey(hostname, 0x01, public) + "\nquorum none\n", ""},
		"a policy for this log, with ECDSA":     {ecdsaLog, "log " + ecdsaVerifierKey(hostname, spkiOf(ecdsaLog)) + "\nquorum none\n", ""},
		"a policy for another log":              {l, "log " + otherLog + "\nquorum none\n", "the policy is for 1 other logs"},
		"the log's own key as a witness":        {l, witnessed("witness X %0\nquorum X\n", own), `witness "X" has the key of the log`},
		"the log's own key, nobody asks for it": {l, witnessed("witness X %0\nquorum none\n", own), `witness "X" has the key of the log`},
	} {
		t.Run(name, func(t *testing.T) {
			policy, err := tlog.ParseWitnessPolicy(test.policy)
			if err != nil {
				t.Fatal(err)
			}
			config := configOf(test.log)
			config.Witnesses = policy
			_, err = tlog.NewLog(config)
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got error %v, want %q", err, test.want)
			}
		})
	}
}

// TestPolicyLinesAreNumbered: the number is of the line, comments and empty lines
// included.
func TestPolicyLinesAreNumbered(t *testing.T) {
	_, err := tlog.ParseWitnessPolicy("# 1\n\n\t\n# 4\nquorum X\n")
	if err == nil || !strings.HasPrefix(err.Error(), "line 5: ") {
		t.Errorf("got error %v, want one of line 5", err)
	}
}

func largePolicy(n int) string {
	var lines, names strings.Builder
	for i := range n {
		name := fmt.Sprintf("w%d.example", i)
		fmt.Fprintf(&lines, "witness w%d %s https://%s/\n", i, tlogtest.NewPostQuantumWitness(name).VerifierKey(), name)
		fmt.Fprintf(&names, " w%d", i)
	}
	return lines.String() + "group all 2" + names.String() + "\nquorum all\n"
}

func manyGroups(n int) string {
	lines := "witness g0 " + tlogtest.NewWitness("x.example").VerifierKey() + "\n"
	for i := range n {
		lines += fmt.Sprintf("group g%d any g%d\n", i+1, i)
	}
	return lines + fmt.Sprintf("quorum g%d\n", n)
}

func manyLogs(n int) string {
	var lines string
	for i := range n {
		lines += "log " + ed25519Key(fmt.Sprintf("l%d.example", i), 0x01) + "\n"
	}
	return lines + "quorum none\n"
}

// ed25519Key is a new key as a policy writes it.
func ed25519Key(name string, kind byte) string {
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	return tlogtest.VerifierKey(name, kind, public)
}

func ecdsaKey(name string) string {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		panic(err)
	}
	return ecdsaVerifierKey(name, spki)
}

// ecdsaVerifierKey writes a key of type 0x02, whose hash is of the key alone.
func ecdsaVerifierKey(name string, spki []byte) string {
	sum := sha256.Sum256(spki)
	return fmt.Sprintf("%s+%x+%s", name, sum[:4], base64.StdEncoding.EncodeToString(append([]byte{0x02}, spki...)))
}

func spkiOf(l *tlogtest.Log) []byte {
	spki, err := x509.MarshalPKIXPublicKey(l.PublicKey())
	if err != nil {
		panic(err)
	}
	return spki
}

// hashOf puts the hash of one verifier key into another.
func hashOf(from, into string) string {
	hash := strings.Split(from, "+")[1]
	parts := strings.SplitN(into, "+", 3)
	return parts[0] + "+" + hash + "+" + parts[2]
}

func TestPolicyForAKeyThatIsNone(t *testing.T) {
	policy, err := tlog.ParseWitnessPolicy("quorum none")
	if err != nil {
		t.Fatal(err)
	}
	if err := policy.CheckLog("not a key"); err == nil {
		t.Error("text is taken for a public key")
	}
}

// FuzzWitnessPolicy: whatever is taken for a policy is met when all cosign, and, if it asks
// for anybody, not met when nobody does.
func FuzzWitnessPolicy(f *testing.F) {
	x, y, z := tlogtest.NewWitness("x.example"), tlogtest.NewWitness("y.example"), tlogtest.NewPostQuantumWitness("z.example")
	for _, policy := range []string{
		"", "quorum none", "witness X %0\nquorum X\n", "witness X %0\nwitness Y %1\nwitness Z %2\ngroup G 2 X Y Z\nquorum G\n",
		"witness X %0\nwitness Y %1\ngroup G all X\ngroup H any G Y\nquorum H\n# end", "group G 0 X\nquorum G", "quorum X\r\n", "log %0\nquorum none",
	} {
		f.Add(witnessed(policy, x, y, z))
	}
	f.Fuzz(func(t *testing.T, text string) {
		policy, err := tlog.ParseWitnessPolicy(text)
		if err != nil {
			return
		}
		if missing := policy.Missing(true); missing != "" {
			t.Errorf("all have cosigned, and %s is missing", missing)
		}
		asks := policy.Missing(false) != ""
		none := strings.Contains(text, "none")
		if !asks && !none {
			t.Errorf("nobody is asked for by %q", text)
		}
	})
}
