// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/countersign-dev/countersign/e2e/stack"
	"github.com/countersign-dev/countersign/pkg/tlog"
)

// watchedTiles is a Rekor v2 of the scenario's own, of three entries, whose files
// Countersign reads through a proxy in front of nginx.
type watchedTiles struct {
	tiledLog
	proxy *stack.Proxy
	log   string // the TransparencyLog, which has seen size 3
	// honest is an image whose signature has entry 0. It has not run yet.
	honest stack.Image
}

func watchTiles(t *testing.T) watchedTiles {
	t.Helper()
	w := watchedTiles{tiledLog: newTiledLog(t, stack.RekorTilesOptions{}), honest: pushImage(t, S(t).Registry)}
	sign(t, w.honest, inTiles(w.RekorTiles))
	fill(t, w.RekorTiles, 2)
	var err error
	if w.proxy, err = S(t).ProxyURL(t.Context(), w.nginx.URL); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.proxy.Down)
	w.log = newLog(t, w, w.proxy.URL)
	newPolicy(t, w.honest.Registry+"/"+w.honest.Repository, S(t).Key, w.log)
	w.awaitSize(t, 3)
	return w
}

// awaitSize waits until this cluster has seen so many entries.
func (w watchedTiles) awaitSize(t *testing.T, size int64) {
	t.Helper()
	eventually(t, fmt.Sprintf("the log to be seen with size %d", size), func() bool { return logStatus(t, w.log).Checkpoint.Size == size })
}

func (w watchedTiles) wantEvidence(t *testing.T, sizes ...uint64) {
	t.Helper()
	wantEvidence(t, w.log, tlog.Config{Version: tlog.RekorV2, Origin: w.Hostname, Key: w.Signer.Public()}, sizes...)
}

// twin is another history of the log: its operator, or a thief of its key, runs a second
// server.
func (w watchedTiles) twin(t *testing.T) *stack.RekorTiles {
	t.Helper()
	return newRekorTiles(t, stack.RekorTilesOptions{Hostname: w.Hostname, Key: w.Signer})
}

// insteadOf answers with what is at another URL.
func insteadOf(t *testing.T, url string) stack.Hook {
	t.Helper()
	other, err := S(t).ProxyURL(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(other.Down)
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) { other.ServeHTTP(w, r) }
}

// tiles applies hook to questions for a tile, and to no others.
func tiles(hook stack.Hook) stack.Hook {
	return stack.When(func(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/tile/") }, hook)
}

// fill adds n entries about nothing, and returns when the log has published them.
func fill(t *testing.T, rekor *stack.RekorTiles, n int) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	var group errgroup.Group
	for i := range n {
		group.Go(func() error {
			digest := sha256.Sum256(fmt.Append(public, i))
			signature, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
			if err != nil {
				return err
			}
			request, err := json.Marshal(object{"hashedRekordRequestV002": object{
				"digest": digest[:],
				"signature": object{"content": signature, "verifier": object{
					"publicKey": object{"rawBytes": public}, "keyDetails": "PKIX_ECDSA_P256_SHA_256",
				}},
			}})
			if err != nil {
				return err
			}
			response, err := http.Post(rekor.URL+"/api/v2/log/entries", "application/json", bytes.NewReader(request))
			if err != nil {
				return err
			}
			defer response.Body.Close()
			if response.StatusCode != http.StatusCreated {
				return fmt.Errorf("%s: %s", rekor.URL, response.Status)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
}

// TestARekorV2LogThatShowsAForkIsBelievedNoMore: the log's operator signs another history
// than the one that this cluster has seen, and has an entry in it that the world does not
// see.
func TestARekorV2LogThatShowsAForkIsBelievedNoMore(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	for what, size := range map[string]int{
		"a fork of the same size": 3,
		"a larger fork":           5,
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w := watchTiles(t)
			fork := w.twin(t)
			fill(t, fork, size-1)
			hidden := signedImage(t, inTiles(fork), w.log)

			w.proxy.SetHook(insteadOf(t, fork.ReadURL))
			refused(t, runPod(t, namespace, newName(t), hidden.Ref()), "CheckpointInconsistent")
			awaitCondition(t, w.log, "Consistent", "False LogInconsistent")
			awaitCondition(t, w.log, "Ready", "False LogInconsistent")
			w.wantEvidence(t, 3, uint64(size))

			// That it shows the true history again helps no more: it takes an operator's
			// reset.
			w.proxy.SetHook(nil)
			w.proxy.Reset()
			eventually(t, "two polls", func() bool { return len(w.proxy.Requests()) >= 2 })
			refused(t, runPod(t, namespace, newName(t), w.honest.Ref()), "CheckpointInconsistent", "inconsistency on record")
			putEvidenceAway(t, w.log)
			awaitCondition(t, w.log, "Consistent", "True Succeeded")
			admitted(t, runPod(t, namespace, newName(t), w.honest.Ref()))
			refused(t, runPod(t, namespace, newName(t), hidden.Ref()), "CheckpointInconsistent")
		})
	}
}

// TestABundleFromAForkOfARekorV2LogGivesTheLogAway: what the log shows is honest, and a
// second server with its key has signed an entry into another history. Of whatever size
// that is, powers of two included, the tiles prove that both cannot be true.
func TestABundleFromAForkOfARekorV2LogGivesTheLogAway(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	for _, size := range []int{1, 2, 3} {
		t.Run(fmt.Sprintf("a fork of size %d", size), func(t *testing.T) {
			t.Parallel()
			w := watchTiles(t)
			fork := w.twin(t)
			fill(t, fork, size-1)
			hidden := signedImage(t, inTiles(fork), w.log)
			refused(t, runPod(t, namespace, newName(t), hidden.Ref()), "CheckpointInconsistent", "the log signed both")
			awaitCondition(t, w.log, "Consistent", "False LogInconsistent")
			w.wantEvidence(t, uint64(size), 3)
			refused(t, runPod(t, namespace, newName(t), w.honest.Ref()), "CheckpointInconsistent", "inconsistency on record")
		})
	}
}

// TestABundleFromALargerForkOfARekorV2LogIsHeldAgainstWhatComes: nobody can prove it yet.
func TestABundleFromALargerForkOfARekorV2LogIsHeldAgainstWhatComes(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	w := watchTiles(t)
	fork := w.twin(t)
	fill(t, fork, 4)
	hidden := signedImage(t, inTiles(fork), w.log)
	refused(t, runPod(t, namespace, newName(t), hidden.Ref()), "CheckpointInconsistent", "cannot show that size 3 is a prefix of size 5")
	admitted(t, runPod(t, namespace, newName(t), w.honest.Ref()))
	if evidence := logStatus(t, w.log).Inconsistency; evidence != nil {
		t.Errorf("the evidence proves nothing: %v", evidence.Notes)
	}
	fill(t, w.RekorTiles, 2)
	w.awaitSize(t, 5)
	refused(t, runPod(t, namespace, newName(t), hidden.Ref()), "CheckpointInconsistent", "the log signed both")
	w.wantEvidence(t, 5, 5)
}

// TestARekorV2LogThatIsRestoredFromABackup: it has forgotten an entry, which is not yet a
// lie, but it cannot show what this cluster has seen. What it takes in next contradicts
// what it signed before.
func TestARekorV2LogThatIsRestoredFromABackup(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	w := watchTiles(t)
	admitted(t, runPod(t, namespace, "before", w.honest.Ref()))
	restart := func(restore func() error) {
		w.Stop()
		if err := restore(); err != nil {
			t.Fatal(err)
		}
		if err := w.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	backup, whole := w.Storage+".backup", w.Storage+".whole"
	restart(func() error { return os.CopyFS(backup, os.DirFS(w.Storage)) })
	forgotten := signedImage(t, inTiles(w.RekorTiles), w.log)
	w.awaitSize(t, 4)

	restart(func() error {
		if err := os.Rename(w.Storage, whole); err != nil {
			return err
		}
		return os.CopyFS(w.Storage, os.DirFS(backup))
	})
	awaitCondition(t, w.log, "Consistent", "False LogInconsistent")
	if status := logStatus(t, w.log); status.Inconsistency != nil || status.Checkpoint.Size != 4 {
		t.Errorf("status has evidence %+v and size %d, want none and 4", status.Inconsistency, status.Checkpoint.Size)
	}
	admitted(t, runPod(t, namespace, "known", w.honest.Ref()))

	next := signedImage(t, inTiles(w.RekorTiles), w.log)
	refused(t, runPod(t, namespace, "next", next.Ref()), "CheckpointInconsistent")
	awaitCondition(t, w.log, "Consistent", "False LogInconsistent")
	w.wantEvidence(t, 4, 4)
	refused(t, runPod(t, namespace, "forgotten", forgotten.Ref()), "CheckpointInconsistent", "inconsistency on record")
}

// TestAWrongTileOfARekorV2LogAccusesNobody: whoever serves the files signs nothing.
func TestAWrongTileOfARekorV2LogAccusesNobody(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	w := watchTiles(t)
	w.proxy.SetHook(tiles(stack.RewriteBody(func(tile []byte) []byte { flip(tile); return tile })))
	image := signedImage(t, inTiles(w.RekorTiles), w.log)
	refused(t, runPod(t, namespace, "wrong-tile", image.Ref()), "CheckpointInconsistent", "cannot show that size 3 is a prefix of size 4")
	awaitCondition(t, w.log, "Consistent", "False LogInconsistent")
	if status := logStatus(t, w.log); status.Inconsistency != nil || status.Checkpoint.Size != 3 {
		t.Errorf("status has evidence %+v and size %d, want none and 3", status.Inconsistency, status.Checkpoint.Size)
	}
	w.proxy.SetHook(nil)
	awaitCondition(t, w.log, "Consistent", "True Succeeded")
	admitted(t, runPod(t, namespace, "right-tile", image.Ref()))
}
