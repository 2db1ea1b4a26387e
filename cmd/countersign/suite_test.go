// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
	"github.com/countersign-dev/countersign/pkg/verify/verifytest"
)

// suite is a sigstore instance in memory, for cases of the conformance suite whose
// files are not at hand: each is minted under its name, wrong in the way that its
// README says.
type suite struct {
	t      *testing.T
	fulcio *verifytest.Fulcio
	tsa    *verifytest.TSA
	signer *verifytest.Signer
	// v1 and v2 are logs of Rekor v1 (P-256) and of Rekor v2 (Ed25519).
	v1 *tlogtest.Log
	v2 *tiled
	at time.Time
}

func newSuite(t *testing.T) *suite {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s := &suite{
		t: t, fulcio: verifytest.NewFulcio(), tsa: verifytest.NewTSA(), signer: verifytest.NewSigner(),
		v1: tlogtest.New("rekor.example.test"), v2: &tiled{tlogtest.NewWithKey("log2026.rekor.example.test", key), key},
		at: verifytest.SigningTime(),
	}
	s.v1.FirstIndex = 1000
	s.v1.Grow(5)
	s.v2.Grow(5)
	return s
}

// tiled is a Rekor v2 log: the same tree as a Rekor v1's, under checkpoints of another
// form.
type tiled struct {
	*tlogtest.Log
	key ed25519.PrivateKey
}

// ID is the hash that names the log, https://c2sp.org/signed-note.
func (l *tiled) ID() []byte {
	id := sha256.Sum256(slices.Concat([]byte(l.Hostname+"\n\x01"), l.key.Public().(ed25519.PublicKey)))
	return id[:]
}

// text is what the log signs of its tree.
func (l *tiled) text() string {
	return fmt.Sprintf("%s\n%d\n%s\n", l.Hostname, l.Size(), base64.StdEncoding.EncodeToString(l.Root(l.Size())))
}

// line is the log's signature line for a note.
func (l *tiled) line(text string) string {
	return fmt.Sprintf("— %s %s\n", l.Hostname, base64.StdEncoding.EncodeToString(slices.Concat(l.ID()[:4], ed25519.Sign(l.key, []byte(text)))))
}

// entry is the last entry as a bundle carries it.
func (l *tiled) entry() *tlog.Entry {
	index := l.Size() - 1
	promised := l.Promise(index)
	return &tlog.Entry{
		LogID: l.ID(), Body: promised.Body, LogIndex: int64(index),
		Inclusion: &tlog.Inclusion{Index: int64(index), Hashes: l.Inclusion(index, l.Size()), Checkpoint: l.text() + "\n" + l.line(l.text())},
	}
}

// minted is one case: what the suite's folder of that name holds.
type minted struct {
	bundle verifytest.BundleJSON
	// text replaces the bundle where that is no JSON.
	text string
	// key is a PEM, or empty. Both is set where an identity is given, too.
	key              string
	both             bool
	identity, issuer string
	// artifact is suiteContent if empty.
	artifact string
	root     verifytest.BundleJSON

	// entry and signature are what a case may want to change.
	entry     *tlog.Entry
	signature []byte
}

const suiteContent = "DON'T MIND ME\n"

// message is a signature over the artifact, in Rekor v1, by certificate.
func (s *suite) message() minted { return s.messageBy(s.certified()) }

func (s *suite) certified(changes ...verifytest.Change) *verifytest.Signer {
	return s.signer.With(s.fulcio.Issue(s.signer.Public(), changes...))
}

func (s *suite) messageBy(signer *verifytest.Signer) minted {
	signed := signer.Legacy([]byte(suiteContent))
	entry := s.v1.Entry(s.v1.Append(signer.HashedRekord(signed)), s.v1.Size())
	return s.minted(signer.MessageBundle(signed, entry), entry, decoded(signed.Base64Signature))
}

// messageV2 is a signature over the artifact, in Rekor v2, with a timestamp.
func (s *suite) messageV2() minted { return s.messageV2By(s.certified()) }

func (s *suite) messageV2By(signer *verifytest.Signer) minted {
	signed := signer.Legacy([]byte(suiteContent))
	sig := decoded(signed.Base64Signature)
	s.v2.Append(signer.HashedRekordV2([]byte(suiteContent), sig))
	entry := s.v2.entry()
	return s.minted(signer.MessageBundle(signed, entry).Stamped(s.tsa.Stamp(sig, s.at)), entry, sig)
}

// attested is a statement about the artifact; body makes its entry.
func (s *suite) attested(signer *verifytest.Signer, body func(*verifytest.Signer, verifytest.Envelope) []byte) minted {
	envelope := signer.Envelope(verifytest.PayloadType, statementAbout(suiteContent))
	entry := s.v1.Entry(s.v1.Append(body(signer, envelope)), s.v1.Size())
	return s.minted(signer.Bundle(envelope, entry), entry, envelope.Signatures[0])
}

func (s *suite) attestedV2(signer *verifytest.Signer) minted {
	envelope := signer.Envelope(verifytest.PayloadType, statementAbout(suiteContent))
	s.v2.Append(signer.HashedRekordV2Of(envelope))
	entry := s.v2.entry()
	return s.minted(signer.Bundle(envelope, entry).Stamped(s.tsa.Stamp(envelope.Signatures[0], s.at)), entry, envelope.Signatures[0])
}

func statementAbout(content string) []byte {
	return verifytest.StatementOf(verifytest.StatementType, "https://slsa.dev/provenance/v1", fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(content))))
}

func (s *suite) minted(bundle verifytest.BundleJSON, entry *tlog.Entry, sig []byte) minted {
	return minted{bundle: bundle, root: s.root(), entry: entry, signature: sig, identity: verifytest.Subject, issuer: verifytest.Issuer}
}

// logged returns the case with other log entries.
func (m minted) logged(entries ...*tlog.Entry) minted {
	list := make([]any, len(entries))
	for i, e := range entries {
		list[i] = verifytest.EntryJSON(e)
	}
	m.bundle = m.bundle.Set(list, "verificationMaterial", "tlogEntries")
	return m
}

// noted returns the case with another checkpoint.
func (m minted) noted(checkpoint string) minted {
	return m.set(checkpoint, append(theEntry(), "inclusionProof", "checkpoint", "envelope")...)
}

// set returns the case with another value in its bundle.
func (m minted) set(value any, path ...any) minted {
	m.bundle = m.bundle.Set(value, path...)
	return m
}

// trusting returns the case with another value in its trusted root.
func (m minted) trusting(value any, path ...any) minted {
	m.root = m.root.Set(value, path...)
	return m
}

func theEntry() []any { return []any{"verificationMaterial", "tlogEntries", 0} }

// root is the instance's trusted root: logs in the order v1, v2 by their start.
func (s *suite) root() verifytest.BundleJSON {
	start := time.Unix(0, 0)
	ca, tsa := s.fulcio.Authority(), s.tsa.Authority()
	ca.ValidityPeriodStart, tsa.ValidityPeriodStart = start, start
	ctID, ct := s.fulcio.CT[0].Trusted()
	ct.ValidityPeriodStart = start
	logs := map[string]*root.TransparencyLog{}
	for i, l := range []struct {
		host string
		id   []byte
		key  crypto.PublicKey
	}{{s.v1.Hostname, s.v1.ID(), s.v1.PublicKey()}, {s.v2.Hostname, s.v2.ID(), s.v2.PublicKey()}} {
		logs[hex.EncodeToString(l.id)] = &root.TransparencyLog{
			BaseURL: "https://" + l.host, ID: l.id, HashFunc: crypto.SHA256, SignatureHashFunc: crypto.SHA256, PublicKey: l.key,
			ValidityPeriodStart: start.Add(time.Duration(i) * time.Hour),
		}
	}
	trusted, err := root.NewTrustedRoot(root.TrustedRootMediaType01, []root.CertificateAuthority{ca}, map[string]*root.TransparencyLog{ctID: ct}, []root.TimestampingAuthority{tsa}, logs)
	if err != nil {
		s.t.Fatal(err)
	}
	text, err := trusted.MarshalJSON()
	if err != nil {
		s.t.Fatal(err)
	}
	var parsed map[string]any
	if err := json.Unmarshal(text, &parsed); err != nil {
		s.t.Fatal(err)
	}
	return verifytest.BundleJSON(parsed)
}

// args writes the case's files and returns the command of the suite for it.
func (m minted) args(t *testing.T, byDigest bool) []string {
	t.Helper()
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		write(t, path, text)
		return path
	}
	bundle := m.text
	if bundle == "" {
		bundle = string(m.bundle.Verify().JSON)
	}
	args := []string{"verify-bundle", "--bundle", file("bundle.sigstore.json", bundle)}
	if m.key != "" {
		args = append(args, "--key", file("key.pub", m.key))
	}
	if m.key == "" || m.both {
		args = append(args, "--certificate-identity", m.identity, "--certificate-oidc-issuer", m.issuer)
	}
	args = append(args, "--trusted-root", file("trusted_root.json", string(m.root.Verify().JSON)))
	content := m.artifact
	if content == "" {
		content = suiteContent
	}
	if byDigest {
		return append(args, fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(content))))
	}
	return append(args, file("artifact", content))
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func decoded(text string) []byte {
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		panic(err)
	}
	return raw
}

func encode(raw []byte) string { return base64.StdEncoding.EncodeToString(raw) }

// flipped is raw with one bit changed in the middle.
func flipped(raw []byte) []byte {
	raw = slices.Clone(raw)
	raw[len(raw)/2] ^= 0x01
	return raw
}

// without is a note without the line of a number.
func without(note string, line int) string {
	lines := strings.SplitAfter(note, "\n")
	return strings.Join(slices.Delete(lines, line, line+1), "")
}
