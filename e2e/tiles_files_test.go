// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/countersign-dev/countersign/e2e/stack"
	"github.com/countersign-dev/countersign/pkg/tlog"
)

// These scenarios are about who serves the files of a Rekor v2 log, and how.

// wantRead wants that what nginx was asked for begins with all of lines: path and status.
func (l tiledLog) wantRead(t *testing.T, lines ...string) {
	t.Helper()
	asked, err := os.ReadFile(l.nginx.AccessLog)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range lines {
		if !strings.Contains(string(asked), "GET "+line) {
			t.Errorf("there is no %q among what was asked for:\n%s", line, asked)
		}
	}
}

// newMirroredLog configures a Rekor v2 that is read at several URLs. It returns the
// TransparencyLog's name once it is Ready.
func newMirroredLog(t *testing.T, log stack.Log, urls ...string) string {
	t.Helper()
	name := newName(t)
	manifest := stack.TransparencyLogAt(urls[0], log, name, false)
	applied(t, "transparencylog/"+name, strings.Replace(manifest, `readURLs: ["`+urls[0], `readURLs: ["`+strings.Join(urls, `", "`), 1))
	return name
}

// TestTheGateReadsTilesOfAllKinds: full ones, partial ones, and a second level.
func TestTheGateReadsTilesOfAllKinds(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	w := watchTiles(t)
	var images []stack.Image
	for range 2 {
		fill(t, w.RekorTiles, 299)
		images = append(images, signedImage(t, inTiles(w.RekorTiles), w.log))
	}
	for _, image := range append(images, w.honest) {
		admitted(t, runPod(t, namespace, newName(t), image.Ref()))
	}
	w.awaitSize(t, 603)
	w.wantRead(t, "/tile/0/000 200", "/tile/0/001 200", "/tile/0/002.p/91 200", "/tile/1/000.p/2 200")
}

// TestAWrongTileIsAskedOfAnotherServer: of two servers of the files, one changes them.
func TestAWrongTileIsAskedOfAnotherServer(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	w := watchTiles(t)
	log := newMirroredLog(t, w, w.proxy.URL, w.nginx.URL)
	w.proxy.SetHook(tiles(stack.RewriteBody(func(tile []byte) []byte { flip(tile); return tile })))
	image := signedImage(t, inTiles(w.RekorTiles), log)
	admitted(t, runPod(t, namespace, "from-the-other", image.Ref()))
	if got := conditionOf(t, log, "Consistent"); got != "True Succeeded" {
		t.Errorf("the condition Consistent is %q", got)
	}
}

// TestTheGateRefusesWhatTilesDoNotShow: the proof that came with a signature is of a tree
// that this cluster has not seen, and whoever serves the tiles does not show that it is a
// prefix of what it has. None of this is a statement that the log signed.
func TestTheGateRefusesWhatTilesDoNotShow(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	rekor := newTiledLog(t, stack.RekorTilesOptions{})
	fill(t, rekor.RekorTiles, 1)
	signed := pushImage(t, S(t).Registry)
	sign(t, signed, inTiles(rekor.RekorTiles))
	fill(t, rekor.RekorTiles, 1)
	genuine := storedEvidence(t, signed, stack.Bundle)
	for what, tc := range map[string]struct {
		hook   stack.Hook
		reason string
		says   string
	}{
		"an internal error":           {stack.Answer(http.StatusInternalServerError, "text/plain", "oops"), "LogUnavailable", ""},
		"a rate limit":                {stack.Answer(http.StatusTooManyRequests, "text/plain", "slow down"), "LogUnavailable", ""},
		"a connection that is closed": {stack.Drop(), "LogUnavailable", ""},
		"no tile":                     {stack.Answer(http.StatusNotFound, "text/html", "<html>not found</html>"), "CheckpointInconsistent", "cannot show that size 2 is a prefix of size 3"},
		"a page for people":           {stack.Answer(http.StatusOK, "text/html", "<html>welcome</html>"), "CheckpointInconsistent", "cannot show that size 2 is a prefix of size 3"},
		"hashes of nothing":           {stack.Answer(http.StatusOK, "application/octet-stream", strings.Repeat("x", 3*32)), "CheckpointInconsistent", "cannot show that size 2 is a prefix of size 3"},
		"more than a tile":            {stack.Answer(http.StatusOK, "application/octet-stream", strings.Repeat("x", 1<<20)), "LimitExceeded", ""},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			proxy, err := S(t).ProxyURL(t.Context(), rekor.nginx.URL)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(proxy.Down)
			log := newLog(t, rekor, proxy.URL)
			image := copyImage(t, signed, S(t).Registry)
			genuine.layBeside(t, image)
			newPolicy(t, image.Registry+"/"+image.Repository, S(t).Key, log)
			proxy.SetHook(tiles(tc.hook))
			refused(t, runPod(t, namespace, newName(t), image.Ref()), tc.reason, tc.says)
			if evidence := logStatus(t, log).Inconsistency; evidence != nil {
				t.Errorf("the evidence proves nothing: %v", evidence.Notes)
			}
			proxy.SetHook(nil)
			eventually(t, "the image to be admitted", func() bool { return runPod(t, namespace, newName(t), image.Ref()).Code == 0 })
		})
	}
}

// TestAPartialTileThatIsGoneIsReadFromTheFullOne: a log may delete it as soon as there is
// that.
func TestAPartialTileThatIsGoneIsReadFromTheFullOne(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	w := watchTiles(t)
	fill(t, w.RekorTiles, 297)
	w.awaitSize(t, 300)
	w.proxy.SetHook(stack.When(func(r *http.Request) bool { return r.URL.Path == "/checkpoint" }, stack.Drop()))
	image := signedImage(t, inTiles(w.RekorTiles), w.log) // about a tree of 301 entries
	fill(t, w.RekorTiles, 300)
	if err := os.RemoveAll(filepath.Join(w.Storage, "tile", "0", "001.p")); err != nil {
		t.Fatal(err)
	}
	admitted(t, runPod(t, namespace, "gone", image.Ref()))
	w.wantRead(t, "/tile/0/001.p/45 404", "/tile/0/001 200")
	w.awaitSize(t, 301)
}

// TestAMirrorThatLagsIsNoRollback: of two servers of the files one has an older copy.
func TestAMirrorThatLagsIsNoRollback(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	w := watchTiles(t)
	copied := t.TempDir()
	if err := os.CopyFS(copied, os.DirFS(w.Storage)); err != nil {
		t.Fatal(err)
	}
	log := newMirroredLog(t, w, newFileServer(t, copied).URL, w.proxy.URL)
	image := signedImage(t, inTiles(w.RekorTiles), log)
	admitted(t, runPod(t, namespace, "lags", image.Ref()))
	eventually(t, "the log to be seen with size 4", func() bool { return logStatus(t, log).Checkpoint.Size == 4 })
	w.proxy.Reset()
	eventually(t, "two polls", func() bool { return checkpoints(w.proxy) >= 4 }) // of two TransparencyLogs
	if got := conditionOf(t, log, "Consistent"); got != "True Succeeded" {
		t.Errorf("the condition Consistent is %q", got)
	}

	// Alone, it cannot say whether the other one has what it does not.
	w.proxy.Down()
	awaitCondition(t, log, "Reachable", "False Unavailable")
	if got := conditionOf(t, log, "Consistent"); got != "True Succeeded" {
		t.Errorf("the condition Consistent is %q", got)
	}
	admitted(t, runPod(t, namespace, "lags-alone", image.Ref()))
}

// checkpoints counts how often a Rekor v2 was asked for its latest checkpoint.
func checkpoints(proxy *stack.Proxy) int {
	n := 0
	for _, r := range proxy.Requests() {
		if r.Path == "/checkpoint" {
			n++
		}
	}
	return n
}

// TestTwoServersThatShowTwoHistoriesGiveTheLogAway: each is asked at each poll.
func TestTwoServersThatShowTwoHistoriesGiveTheLogAway(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	w := watchTiles(t)
	fork := w.twin(t)
	log := newMirroredLog(t, w, w.nginx.URL, newFileServer(t, fork.Storage).URL)
	image := signedImage(t, inTiles(w.RekorTiles), log)
	admitted(t, runPod(t, namespace, "one-history", image.Ref()))
	fill(t, fork, 2)
	awaitCondition(t, log, "Consistent", "False LogInconsistent")
	wantEvidence(t, log, tlog.Config{Version: tlog.RekorV2, Origin: w.Hostname, Key: w.Signer.Public()}, 2, 4)
	refused(t, runPod(t, namespace, "split", image.Ref()), "CheckpointInconsistent", "inconsistency on record")
}

// TestARekorV2LogBehindTLSAndAPassword: nginx serves its files to who has both.
func TestARekorV2LogBehindTLSAndAPassword(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	rekor := newRekorTiles(t, stack.RekorTilesOptions{})
	nginx, err := S(t).StartNginx(t.Context(), newName(t), stack.NginxOptions{
		Root: rekor.Storage, TLS: true, Mutual: true, User: "countersign", Password: "open sesame",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nginx.Stop)
	authority, err := os.ReadFile(nginx.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	certificate, password := newName(t), newName(t)
	newSecret(t, "tls", certificate, "--cert="+nginx.ClientCertFile, "--key="+nginx.ClientKeyFile)
	newSecret(t, "generic", password, "--from-literal=username=countersign", "--from-literal=password=open sesame")
	log := newName(t)
	fill(t, rekor, 1) // it is stored, so the next checkpoint is larger, and tiles are read to prove that
	applied(t, "transparencylog/"+log, stack.TransparencyLogAt(nginx.URL, rekor, log, false)+fmt.Sprintf(`  auth: {basicSecretRef: {name: %s}}
  tls:
    clientCertSecretRef: {name: %s}
    caBundle: |
%s`, password, certificate, stack.Indent(6, string(authority))))
	image := signedImage(t, inTiles(rekor), log)
	admitted(t, runPod(t, namespace, "let-in", image.Ref()))
	tiledLog{rekor, nginx}.wantRead(t, "/checkpoint 200 - countersign", "/tile/0/000.p/")
}

// newSecret makes a Secret in Countersign's own namespace, and deletes it when the
// scenario ends.
func newSecret(t *testing.T, kind, name string, args ...string) {
	t.Helper()
	mustKubectl(t, "", append([]string{"create", "secret", kind, name, "-n", stack.Namespace}, args...)...)
	t.Cleanup(func() {
		if _, err := S(t).Kubectl(context.Background(), "", "delete", "secret", name, "-n", stack.Namespace); err != nil {
			t.Error(err)
		}
	})
}
