// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	rekorv1 "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/countersign-dev/countersign/e2e/stack"
	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
)

// lyingLog is a log, empty at first, with the name, the tree ID and the key of a
// real Rekor: what its operator, or a thief of its key, can show to some.
func lyingLog(t *testing.T, rekor *stack.Rekor) *tlogtest.Log {
	t.Helper()
	tree, err := strconv.ParseInt(rekor.TreeID, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	log := tlogtest.NewWithKey(rekor.Hostname, rekor.Signer)
	log.TreeID = tree
	return log
}

// show answers all questions to a real log from another one.
func show(t *testing.T, log *tlogtest.Log) stack.Hook {
	t.Helper()
	server := tlogtest.NewServer(log)
	t.Cleanup(server.Close)
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) { server.Config.Handler.ServeHTTP(w, r) }
}

// watchedRekor is a Rekor of the scenario's own, of three entries, behind a proxy
// through which Countersign sees it.
type watchedRekor struct {
	*stack.Rekor
	proxy *stack.Proxy
	log   string // the TransparencyLog, which has seen size 3
	// honest is an image whose signature has entry 0. It has not run yet.
	honest stack.Image
}

func watchRekor(t *testing.T) watchedRekor {
	t.Helper()
	w := watchedRekor{Rekor: newRekor(t), honest: pushImage(t, S(t).Registry)}
	sign(t, w.honest, stack.SignOptions{Log: w.Rekor})
	for range 2 {
		sign(t, pushImage(t, S(t).Registry), stack.SignOptions{Log: w.Rekor})
	}
	w.proxy = newLogProxy(t, w.Rekor)
	w.log = newLog(t, w.Rekor, w.proxy.URL)
	newPolicy(t, w.honest.Registry+"/"+w.honest.Repository, S(t).Key, w.log)
	if got := w.status(t).Checkpoint; got == nil || got.Size != 3 {
		t.Fatalf("the log was seen as %+v, want size 3", got)
	}
	return w
}

func (w watchedRekor) status(t *testing.T) v1alpha1.TransparencyLogStatus {
	t.Helper()
	return logStatus(t, w.log)
}

func logStatus(t *testing.T, log string) v1alpha1.TransparencyLogStatus {
	t.Helper()
	var obj v1alpha1.TransparencyLog
	if err := newClient(t).Get(t.Context(), types.NamespacedName{Name: log}, &obj); err != nil {
		t.Fatal(err)
	}
	return obj.Status
}

func (w watchedRekor) wantEvidence(t *testing.T, sizes ...uint64) {
	t.Helper()
	wantEvidence(t, w.log, tlog.Config{Version: tlog.RekorV1, Origin: w.Hostname, Key: w.Signer.Public()}, sizes...)
}

// wantEvidence wants two notes in a TransparencyLog's status that the log did sign, and
// that cannot both be true.
func wantEvidence(t *testing.T, log string, config tlog.Config, sizes ...uint64) {
	t.Helper()
	status := logStatus(t, log)
	if status.Inconsistency == nil || len(status.Inconsistency.Notes) != 2 {
		t.Fatalf("status.inconsistency is %+v, want two notes", status.Inconsistency)
	}
	config.Name = log
	identity, err := tlog.NewLog(config)
	if err != nil {
		t.Fatal(err)
	}
	var seen []uint64
	roots := map[[32]byte]bool{}
	for _, note := range status.Inconsistency.Notes {
		checkpoint, err := identity.VerifyCheckpoint([]byte(note))
		if err != nil {
			t.Fatalf("the evidence proves nothing: %v:\n%s", err, note)
		}
		seen = append(seen, checkpoint.Size())
		roots[checkpoint.Root()] = true
	}
	slices.Sort(seen)
	if diff := cmp.Diff(sizes, seen); diff != "" || len(roots) != 2 {
		t.Errorf("the evidence is of %d roots and other sizes (-want +got):\n%s", len(roots), diff)
	}
}

// TestALogThatShowsAForkIsBelievedNoMore: the log's operator signs another history
// than the one that this cluster has seen, and has an entry in it that the world
// does not see.
func TestALogThatShowsAForkIsBelievedNoMore(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	for what, size := range map[string]int{
		"a fork of the same size": 3,
		"a larger fork":           5,
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w := watchRekor(t)
			hidden := pushImage(t, S(t).Registry)
			newPolicy(t, hidden.Registry+"/"+hidden.Repository, S(t).Key, w.log)
			sign(t, hidden, stack.SignOptions{NoUpload: true})
			fork := lyingLog(t, w.Rekor)
			fork.Append(hashedRekord(t, hidden))
			fork.Grow(size - 1)

			w.proxy.SetHook(show(t, fork))
			refused(t, runPod(t, namespace, newName(t), hidden.Ref()), "CheckpointInconsistent")
			awaitCondition(t, w.log, "Consistent", "False LogInconsistent")
			awaitCondition(t, w.log, "Ready", "False LogInconsistent")
			w.wantEvidence(t, 3, uint64(size))

			// That it shows the true history again, at two polls or more, helps
			// no more: it takes an operator to remove the evidence.
			w.proxy.SetHook(nil)
			w.proxy.Reset()
			eventually(t, "two polls", func() bool { return polls(w.proxy) >= 2 })
			refused(t, runPod(t, namespace, newName(t), w.honest.Ref()), "CheckpointInconsistent", "inconsistency on record")
			if got := conditionOf(t, w.log, "Consistent"); got != "False LogInconsistent" {
				t.Errorf("the condition Consistent is %q", got)
			}
			// Not by hand, whoever he is: the API server refuses any other way back.
			if out := kubectl(t, "", "patch", "transparencylog", w.log, "--subresource=status", "--type=merge", "-p", `{"status":{"inconsistency":null}}`); out.Code == 0 {
				t.Errorf("the evidence was taken away by hand: %s", out.Stdout)
			}
			putEvidenceAway(t, w.log)
			awaitCondition(t, w.log, "Consistent", "True Succeeded")
			admitted(t, runPod(t, namespace, newName(t), w.honest.Ref()))
		})
	}
}

// putEvidenceAway resets a log to the history that was stored.
func putEvidenceAway(t *testing.T, log string) {
	t.Helper()
	status := logStatus(t, log)
	kept := fmt.Sprintf("%d:%s", status.Checkpoint.Size, status.Checkpoint.RootHash)
	out, err := S(t).Run(t.Context(), nil, S(t).Countersign.Binary, "log", "reset", log, "--kubeconfig", S(t).ControlPlane.Kubeconfig,
		"--stored", kept, "--accepted", kept, "--reason", "the fork was a thief's")
	if err != nil || out.Code != 0 {
		t.Fatalf("log reset: %v: exit code %d\n%s%s", err, out.Code, out.Stdout, out.Stderr)
	}
	if record := logStatus(t, log).LastReset; record == nil || record.Inconsistency == nil || record.Reset.RequestedBy == "" {
		t.Errorf("the record of the reset is %+v", record)
	}
}

// polls counts how often the log was asked for its latest checkpoint.
func polls(proxy *stack.Proxy) int {
	n := 0
	for _, r := range proxy.Requests() {
		if r.Path == "/api/v1/log" {
			n++
		}
	}
	return n
}

// TestALogThatShrinksIsNotBelievedUntilItIsWhole: the log is as it was in a backup,
// with the same tree up to there. It did not contradict itself, so there is no
// evidence to keep, but what it shows cannot be held against what was seen.
func TestALogThatShrinksIsNotBelievedUntilItIsWhole(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	w := watchRekor(t)
	backup := lyingLog(t, w.Rekor)
	backup.Append(storedEvidence(t, w.honest, stack.Legacy).rekorBundle(t).Payload.Body)

	// The real entry, since its time is the real log's, with the proof that a log
	// of one entry gives.
	restored := editedEntries(t, func(_, proof object) {
		proof["checkpoint"], proof["hashes"], proof["logIndex"] = backup.Checkpoint(1), []any{}, 0
	})
	shown := show(t, backup)
	w.proxy.SetHook(func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
		if strings.HasPrefix(r.URL.Path, entriesPath) {
			restored(rw, r, next)
			return
		}
		shown(rw, r, next)
	})
	awaitCondition(t, w.log, "Consistent", "False LogInconsistent")
	refused(t, runPod(t, namespace, "shrunk", w.honest.Ref()), "CheckpointInconsistent", "cannot show that size 1 is a prefix of size 3")
	if status := w.status(t); status.Inconsistency != nil || status.Checkpoint.Size != 3 {
		t.Errorf("status has evidence %+v and size %d, want none and 3", status.Inconsistency, status.Checkpoint.Size)
	}
	w.proxy.SetHook(nil)
	awaitCondition(t, w.log, "Consistent", "True Succeeded")
	admitted(t, runPod(t, namespace, "whole", w.honest.Ref()))
}

// TestABundleWithAForkedCheckpointGivesTheLogAway: a thief of the log's key makes
// a proof of his own for a genuine signature. The log itself is honest; asked how
// the two belong together, it shows that they do not.
func TestABundleWithAForkedCheckpointGivesTheLogAway(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	w := watchRekor(t)
	signed := pushImage(t, S(t).Registry)
	o := bundleByV3()
	o.Log = w.Rekor
	sign(t, signed, o)
	eventually(t, "the log to be seen with size 4", func() bool { return w.status(t).Checkpoint.Size == 4 })

	forged := storedEvidence(t, signed, stack.Bundle)
	fork := lyingLog(t, w.Rekor)
	fork.Grow(2)
	forged.editBundle(t, func(b *protobundle.Bundle) {
		entry := b.GetVerificationMaterial().GetTlogEntries()[0]
		index := fork.Append(entry.GetCanonicalizedBody())
		entry.InclusionProof = &rekorv1.InclusionProof{
			LogIndex:   int64(index),
			TreeSize:   3,
			RootHash:   fork.Root(3),
			Hashes:     fork.Inclusion(index, 3),
			Checkpoint: &rekorv1.Checkpoint{Envelope: fork.Checkpoint(3)},
		}
	})
	image := copyImage(t, signed, S(t).Registry)
	forged.layBeside(t, image)
	newPolicy(t, image.Registry+"/"+image.Repository, S(t).Key, w.log)
	refused(t, runPod(t, namespace, "forged", image.Ref()), "CheckpointInconsistent", "the log signed both")
	awaitCondition(t, w.log, "Consistent", "False LogInconsistent")
	w.wantEvidence(t, 3, 4)
	refused(t, runPod(t, namespace, "honest", w.honest.Ref()), "CheckpointInconsistent", "inconsistency on record")
}

// hashedRekord is the body of the entry that Rekor would make of the legacy
// signature beside image.
func hashedRekord(t *testing.T, image stack.Image) []byte {
	t.Helper()
	e := storedEvidence(t, image, stack.Legacy)
	return fmt.Appendf(nil, `{"apiVersion":"0.0.1","kind":"hashedrekord","spec":{"data":{"hash":{"algorithm":"sha256","value":"%s"}},`+
		`"signature":{"content":"%s","publicKey":{"content":"%s"}}}}`,
		e.manifest.Layers[0].Digest.Hex, e.manifest.Layers[0].Annotations[signatureAnnotation],
		base64.StdEncoding.EncodeToString(S(t).Key.PublicPEM))
}
