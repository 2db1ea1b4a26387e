// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
	"github.com/countersign-dev/countersign/pkg/verify"
	"github.com/countersign-dev/countersign/pkg/verify/verifytest"
)

func TestLegacySignature(t *testing.T) {
	document := func(text string) func(*world) verify.Signature {
		return func(w *world) verify.Signature { return w.signer.LoggedLegacy(w.log, []byte(text)) }
	}
	changed := func(change func(*world, *verify.LegacySignature)) func(*world) verify.Signature {
		return func(w *world) verify.Signature {
			s := w.legacy()
			change(w, &s)
			return s
		}
	}
	for name, test := range map[string]struct {
		sign func(*world) verify.Signature
		want verify.Reason
	}{
		"signed and logged":                             {sign: changed(func(*world, *verify.LegacySignature) {}), want: verified},
		"signed and logged, and the annotation is lost": {sign: changed(func(_ *world, s *verify.LegacySignature) { s.RekorBundle = "" }), want: verified},
		"with a timestamp that nobody asked for":        {sign: changed(func(_ *world, s *verify.LegacySignature) { s.RFC3161Timestamp = "{" }), want: verified},
		"a document with optional claims":               {sign: document(strings.Replace(simple(imageA), `"optional":null`, `"optional":{"build":"7"}`, 1)), want: verified},
		"not logged":                                    {sign: func(w *world) verify.Signature { return w.signer.Legacy([]byte(simple(imageA))) }, want: verify.NotLogged},
		"promised by the log, and not in it": {sign: changed(func(w *world, s *verify.LegacySignature) {
			*s = w.signer.LoggedLegacy(w.log.Fork(7), s.Payload) // its signature is another one than before
		}), want: verify.NotLogged},
		"of another image":                        {sign: document(simple(imageB)), want: verify.SignatureInvalid},
		"of no image":                             {sign: document(simple("")), want: verify.SignatureInvalid},
		"of the image under another hash":         {sign: document(simple(strings.Replace(imageA, "sha256", "sha512", 1))), want: verify.SignatureInvalid},
		"of the image in capitals":                {sign: document(simple("sha256:" + strings.ToUpper(imageA[7:]))), want: verify.SignatureInvalid},
		"of the digest without algorithm":         {sign: document(simple(imageA[7:])), want: verify.SignatureInvalid},
		"of the digest and a space":               {sign: document(simple(imageA + " ")), want: verify.SignatureInvalid},
		"of another type":                         {sign: document(strings.Replace(simple(imageA), "cosign container image signature", "atomic container signature", 1)), want: verify.SignatureInvalid},
		"of no type":                              {sign: document(strings.Replace(simple(imageA), `,"type":"cosign container image signature"`, "", 1)), want: verify.SignatureInvalid},
		"the digest outside of the critical part": {sign: document(`{"critical":{"type":"cosign container image signature"},"optional":{"image":{"docker-manifest-digest":"` + imageA + `"}}}`), want: verify.SignatureInvalid},
		"the type outside of the critical part":   {sign: document(`{"type":"cosign container image signature","critical":{"image":{"docker-manifest-digest":"` + imageA + `"}}}`), want: verify.SignatureInvalid},
		"a list of digests":                       {sign: document(strings.Replace(simple(imageA), `"`+imageA+`"`, `["`+imageA+`"]`, 1)), want: verify.SignatureInvalid},
		"two documents":                           {sign: document(simple(imageA) + simple(imageB)), want: verify.SignatureInvalid},
		"the digest and nothing else":             {sign: document(imageA), want: verify.SignatureInvalid},
		"a statement of the new format":           {sign: document(string(verifytest.Statement(imageA))), want: verify.SignatureInvalid},
		"null":                                    {sign: document("null"), want: verify.SignatureInvalid},
		"an empty document":                       {sign: document(""), want: verify.SignatureInvalid},
		"no document":                             {sign: changed(func(_ *world, s *verify.LegacySignature) { s.Payload = nil }), want: verify.NoSignature},
		"a document that was changed":             {sign: changed(func(_ *world, s *verify.LegacySignature) { s.Payload = []byte(simple(imageA) + " ") }), want: verify.SignatureInvalid},
		"the document of image B made to name A": {sign: func(w *world) verify.Signature {
			s := w.signer.LoggedLegacy(w.log, []byte(simple(imageB)))
			s.Payload = []byte(strings.Replace(string(s.Payload), imageB, imageA, 1))
			return s
		}, want: verify.SignatureInvalid},
		"no signature":                    {sign: changed(func(_ *world, s *verify.LegacySignature) { s.Base64Signature = "" }), want: verify.SignatureInvalid},
		"a signature that is not base64":  {sign: changed(func(_ *world, s *verify.LegacySignature) { s.Base64Signature = "%" + s.Base64Signature }), want: verify.SignatureInvalid},
		"a signature in the URL alphabet": {sign: changed(func(_ *world, s *verify.LegacySignature) { s.Base64Signature = "__" + s.Base64Signature }), want: verify.SignatureInvalid},
		"a signature of zeros": {sign: changed(func(_ *world, s *verify.LegacySignature) {
			s.Base64Signature = base64.StdEncoding.EncodeToString(make([]byte, 70))
		}), want: verify.SignatureInvalid},
		"a signature with a byte more": {sign: changed(func(_ *world, s *verify.LegacySignature) { s.Base64Signature = withByte(s.Base64Signature) }), want: verify.SignatureInvalid},
		"a signature of 64 KiB and a byte": {sign: changed(func(_ *world, s *verify.LegacySignature) {
			s.Base64Signature = strings.Repeat("A", verify.MaxPayloadBytes+1)
		}), want: verify.LimitExceeded},
		"a document of 64 KiB and a byte": {sign: changed(func(_ *world, s *verify.LegacySignature) { s.Payload = make([]byte, verify.MaxPayloadBytes+1) }), want: verify.LimitExceeded},
		"an annotation of 64 KiB and a byte": {sign: changed(func(_ *world, s *verify.LegacySignature) {
			s.RekorBundle = strings.Repeat(" ", verify.MaxPayloadBytes+1)
		}), want: verify.LimitExceeded},
		"by another key, logged": {sign: func(w *world) verify.Signature {
			return verifytest.NewSigner().LoggedLegacy(w.log, []byte(simple(imageA)))
		}, want: verify.KeyMismatch},
		"by another key, which nothing says": {sign: func(*world) verify.Signature {
			return verifytest.NewSigner().Legacy([]byte(simple(imageA)))
		}, want: verify.SignatureInvalid},
		"with a certificate":                       {sign: changed(func(_ *world, s *verify.LegacySignature) { s.Certificate = "-----BEGIN CERTIFICATE-----" }), want: verify.KeyMismatch},
		"with a certificate and no good signature": {sign: changed(func(_ *world, s *verify.LegacySignature) { s.Certificate, s.Base64Signature = "x", "x" }), want: verify.SignatureInvalid},
		"logged in another log": {sign: func(w *world) verify.Signature {
			return w.signer.LoggedLegacy(tlogtest.New("rekor.example.test"), []byte(simple(imageA)))
		}, want: verify.LogUnknown},
		"logged here, with the annotation of another log": {sign: changed(func(w *world, s *verify.LegacySignature) {
			other := tlogtest.New("other.example.test")
			s.RekorBundle = verifytest.Annotation(other.Promise(other.Append(w.signer.HashedRekord(*s))))
		}), want: verified},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			want(t, w.verdict(t, test.sign(w)), test.want)
		})
	}
}

func simple(digest string) string { return string(verifytest.SimpleSigning(repository, digest)) }

func withByte(b64 string) string {
	raw, _ := base64.StdEncoding.DecodeString(b64)
	return base64.StdEncoding.EncodeToString(append(raw, 0))
}

// TestAnnotationOfTheLog writes whatever JSON allows into the annotation of a good
// signature. cosign v2.6.5 ends the process when body is not a string.
func TestAnnotationOfTheLog(t *testing.T) {
	for name, test := range map[string]struct {
		change func(top, payload map[string]any)
		raw    string // instead of the JSON of top
		want   verify.Reason
	}{
		"as cosign writes it":                 {want: verified},
		"fields that nobody knows":            {change: func(top, payload map[string]any) { top["x"], payload["y"] = 1, []any{nil} }, want: verified},
		"body is a number":                    {change: func(_, p map[string]any) { p["body"] = 7 }, want: verify.LogEntryMismatch},
		"body is true":                        {change: func(_, p map[string]any) { p["body"] = true }, want: verify.LogEntryMismatch},
		"body is an object":                   {change: func(_, p map[string]any) { p["body"] = map[string]any{"kind": "hashedrekord"} }, want: verify.LogEntryMismatch},
		"body is a list of strings":           {change: func(_, p map[string]any) { p["body"] = []any{"a"} }, want: verify.LogEntryMismatch},
		"body is null":                        {change: func(_, p map[string]any) { p["body"] = nil }, want: verify.LogEntryMismatch},
		"body is missing":                     {change: func(_, p map[string]any) { delete(p, "body") }, want: verify.LogEntryMismatch},
		"body is empty":                       {change: func(_, p map[string]any) { p["body"] = "" }, want: verify.LogEntryMismatch},
		"body is not base64":                  {change: func(_, p map[string]any) { p["body"] = "%" }, want: verify.LogEntryMismatch},
		"body is base64 of what is not JSON":  {change: func(_, p map[string]any) { p["body"] = "AAAA" }, want: verify.LogEntryMismatch},
		"body is base64 of null":              {change: func(_, p map[string]any) { p["body"] = "bnVsbA==" }, want: verify.LogEntryMismatch},
		"time is changed":                     {change: func(_, p map[string]any) { p["integratedTime"] = 1 }, want: verify.TimestampInvalid},
		"time is a string":                    {change: func(_, p map[string]any) { p["integratedTime"] = "1" }, want: verify.LogEntryMismatch},
		"time is a fraction":                  {change: func(_, p map[string]any) { p["integratedTime"] = 1.5 }, want: verify.LogEntryMismatch},
		"time is above 63 bits":               {change: func(_, p map[string]any) { p["integratedTime"] = json.Number("9223372036854775808") }, want: verify.LogEntryMismatch},
		"time is missing":                     {change: func(_, p map[string]any) { delete(p, "integratedTime") }, want: verify.TimestampInvalid},
		"index is changed":                    {change: func(_, p map[string]any) { p["logIndex"] = 3 }, want: verify.TimestampInvalid},
		"index is negative":                   {change: func(_, p map[string]any) { p["logIndex"] = -1 }, want: verify.TimestampInvalid},
		"log ID is missing, the log is asked": {change: func(_, p map[string]any) { delete(p, "logID") }, want: verified},
		"log ID is not hexadecimal":           {change: func(_, p map[string]any) { p["logID"] = "zz" }, want: verify.LogEntryMismatch},
		"log ID is a number":                  {change: func(_, p map[string]any) { p["logID"] = 7 }, want: verify.LogEntryMismatch},
		"timestamp is missing":                {change: func(top, _ map[string]any) { delete(top, "SignedEntryTimestamp") }, want: verify.TimestampInvalid},
		"timestamp is null":                   {change: func(top, _ map[string]any) { top["SignedEntryTimestamp"] = nil }, want: verify.TimestampInvalid},
		"timestamp is empty":                  {change: func(top, _ map[string]any) { top["SignedEntryTimestamp"] = "" }, want: verify.TimestampInvalid},
		"timestamp is not base64":             {change: func(top, _ map[string]any) { top["SignedEntryTimestamp"] = "%" }, want: verify.LogEntryMismatch},
		"timestamp is another":                {change: func(top, _ map[string]any) { top["SignedEntryTimestamp"] = "AAAA" }, want: verify.TimestampInvalid},
		"payload is missing":                  {change: func(top, _ map[string]any) { delete(top, "Payload") }, want: verified},
		"payload is null":                     {change: func(top, _ map[string]any) { top["Payload"] = nil }, want: verified},
		"payload is a list":                   {change: func(top, _ map[string]any) { top["Payload"] = []any{} }, want: verify.LogEntryMismatch},
		"payload is a string":                 {change: func(top, _ map[string]any) { top["Payload"] = "x" }, want: verify.LogEntryMismatch},
		"null":                                {raw: "null", want: verify.TimestampInvalid},
		"an empty object":                     {raw: "{}", want: verify.TimestampInvalid},
		"a list":                              {raw: "[]", want: verify.LogEntryMismatch},
		"a number":                            {raw: "1e400", want: verify.LogEntryMismatch},
		"a space":                             {raw: " ", want: verify.LogEntryMismatch},
		"half of it":                          {raw: `{"SignedEntryTimestamp":"AAAA","Payload":{"body":`, want: verify.LogEntryMismatch},
		"nested 10,000 deep and more":         {raw: strings.Repeat(`{"Payload":`, 12_000)[:verify.MaxPayloadBytes], want: verify.LogEntryMismatch},
		"text that is not UTF-8":              {raw: "\xff\xfe", want: verify.LogEntryMismatch},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			s := w.legacy()
			var top map[string]any
			decoder := json.NewDecoder(strings.NewReader(s.RekorBundle))
			decoder.UseNumber()
			if err := decoder.Decode(&top); err != nil {
				t.Fatal(err)
			}
			if test.change != nil {
				test.change(top, top["Payload"].(map[string]any))
			}
			text, err := json.Marshal(top)
			if err != nil {
				t.Fatal(err)
			}
			s.RekorBundle = string(text)
			if test.raw != "" {
				s.RekorBundle = test.raw
			}
			want(t, w.verdict(t, s), test.want)
		})
	}
}

// TestLegacyAfterAnyByteIsChanged changes one byte at a time of all that a legacy
// signature is made of. What is still accepted must have decoded to the same, or
// name another log, which is as good as no annotation.
func TestLegacyAfterAnyByteIsChanged(t *testing.T) {
	w := newWorld(t)
	good := w.legacy()
	want(t, w.verdict(t, good), verified)
	type annotation struct {
		SignedEntryTimestamp []byte
		Payload              struct {
			Body                     []byte
			IntegratedTime, LogIndex int64
			LogID                    string
		}
	}
	var meant annotation
	if err := json.Unmarshal([]byte(good.RekorBundle), &meant); err != nil {
		t.Fatal(err)
	}
	t.Run("signature", func(t *testing.T) {
		for i, b := range eachByteChanged(good.Base64Signature) {
			s := good
			s.Base64Signature = b
			if got := reasonOf(w.verdict(t, s)); got != verify.SignatureInvalid && decoded(b) != decoded(good.Base64Signature) {
				t.Fatalf("change %d: got %s", i, got)
			}
		}
	})
	t.Run("annotation", func(t *testing.T) {
		for i, b := range eachByteChanged(good.RekorBundle) {
			s := good
			s.RekorBundle = b
			switch got := reasonOf(w.verdict(t, s)); got {
			case verify.LogEntryMismatch, verify.TimestampInvalid:
			case verified:
				var read annotation
				if err := json.Unmarshal([]byte(b), &read); err != nil || (read.Payload.LogID == meant.Payload.LogID && !cmp.Equal(read, meant)) {
					t.Fatalf("change %d is accepted: %s", i, b)
				}
			default:
				t.Fatalf("change %d: got %s", i, got)
			}
		}
	})
	t.Run("payload", func(t *testing.T) {
		for i := range good.Payload {
			s := good
			s.Payload = []byte(string(good.Payload))
			s.Payload[i] ^= 1
			want(t, w.verdict(t, s), verify.SignatureInvalid)
		}
	})
}

// eachByteChanged is text with one bit of one byte changed, for two bits of each.
func eachByteChanged(text string) []string {
	var changed []string
	for i := range text {
		for _, bit := range []byte{0x01, 0x10} {
			b := []byte(text)
			b[i] ^= bit
			changed = append(changed, string(b))
		}
	}
	return changed
}

func decoded(b64 string) string {
	raw, err := base64.StdEncoding.DecodeString(b64)
	if err != nil {
		return fmt.Sprintf("%q: %v", b64, err)
	}
	return string(raw)
}
