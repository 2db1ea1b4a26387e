// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/transparency-dev/merkle/rfc6962"

	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
)

// theLog is the script command "thelog VERB…", by which a script makes its log do what a
// real one cannot be made to do:
//
//	thelog grow N           add N entries
//	thelog fork SIZE N      show, from now on, a history that has the first SIZE entries and N others
//	thelog back SIZE        show only the first SIZE entries
//	thelog honest           show all entries again
//	thelog down             answer 503
//	thelog retire           list the log as an inactive shard of a new one
//	thelog seen SIZE FILE   write FILE: log.yaml with a status that has seen SIZE entries
//	thelog caught SIZE FILE the same, with evidence of a fork
//	thelog apply FILE       put the object in FILE into the cluster
//	thelog controller HOW   have a controller in the cluster that accepts or refuses a reset,
//	                        or lets somebody change each object that is read: "busy"
func theLog(ts *testscript.TestScript, neg bool, args []string) {
	w, ok := ts.Value(worldKey{}).(*world)
	if !ok || neg || len(args) == 0 {
		ts.Fatalf("usage: thelog VERB...")
	}
	number := func(i int) int {
		n, err := strconv.Atoi(args[i])
		ts.Check(err)
		return n
	}
	switch verb := args[0]; verb {
	case "grow":
		w.log.Grow(number(1))
	case "fork":
		w.server.Show(w.fork(number(1), number(2)), 0)
	case "back":
		w.server.Show(w.log, number(1))
	case "honest":
		w.server.Show(w.log, 0)
		w.server.Intercept(nil)
	case "down":
		w.server.Intercept(func(response http.ResponseWriter, _ *http.Request) bool {
			response.WriteHeader(http.StatusServiceUnavailable)
			return true
		})
	case "retire":
		next := w.log.Fork(0)
		next.TreeID, next.FirstIndex = w.log.TreeID+1, int64(w.log.Size())
		next.Grow(4)
		w.server.Retire(w.log)
		w.server.Show(next, 0)
	case "seen":
		ts.Check(os.WriteFile(ts.MkAbs(args[2]), []byte(w.seen(number(1), "")), 0o600))
	case "caught":
		size := number(1)
		evidence := w.marshal(map[string]any{
			"foundAt": "2026-03-01T00:00:00Z", "notes": []string{w.log.Checkpoint(size), w.fork(size-1, 1).Checkpoint(size)},
		})
		ts.Check(os.WriteFile(ts.MkAbs(args[2]), []byte(w.seen(size, "  inconsistency: "+evidence+"\n")), 0o600))
	case "apply":
		ts.Check(w.api.apply(ts.ReadFile(args[1])))
	case "controller":
		w.api.have(args[1])
	default:
		ts.Fatalf("thelog: unknown verb %q", verb)
	}
}

// worldKey is where a script's world is.
type worldKey struct{}

// fork is another history of the log, signed by its key.
func (w *world) fork(size, n int) *tlogtest.Log {
	fork := w.log.Fork(size)
	fork.Grow(n)
	return fork
}

// seen is the log's object with a status that has seen size entries.
func (w *world) seen(size int, more string) string {
	status := w.marshal(map[string]any{
		"origin": w.log.Origin(), "size": size, "rootHash": hex.EncodeToString(w.log.Root(size)),
		"note": w.log.Checkpoint(size), "verifiedAt": "2026-01-01T00:00:00Z",
		"firstContact": map[string]any{"method": "TrustOnFirstUse", "size": size, "rootHash": hex.EncodeToString(w.log.Root(size)), "at": "2026-01-01T00:00:00Z"},
	})
	return w.logObject(w.server.URL) + "status:\n  checkpoint: " + status + "\n" + more
}

// tiledObject is a Rekor v2 log's object.
func (w *world) tiledObject() string {
	return fmt.Sprintf(`apiVersion: policy.countersign.dev/v1alpha1
kind: TransparencyLog
metadata: {name: tiled}
spec:
  type: rekor-v2
  urls: ["https://write.example.test"]
  readURLs: [%q]
  origin: %s
  publicKey:
    data: |
%s`, w.tiles.URL, w.tiled.Hostname, indent(publicPEM(w.tb, w.tiled.PublicKey()), "      "))
}

// logVariables are what scripts know of the entries of the logs.
func (w *world) logVariables() map[string]string {
	leaf := func(entry *tlog.Entry) string { return hex.EncodeToString(rfc6962.DefaultHasher.HashLeaf(entry.Body)) }
	return map[string]string{
		"LEAF": leaf(w.log.Promise(2)), "TREE_HEX": fmt.Sprintf("%016x", w.log.TreeID), "OTHER_LEAF": strings.Repeat("ab", 32),
		"TILED_LEAF": leaf(w.tiled.Promise(2)), "ROOT": hex.EncodeToString(w.log.Root(w.log.Size())), "SIZE": strconv.Itoa(w.log.Size()),
		"SEEN":       "6:" + hex.EncodeToString(w.log.Root(6)),
		"TILED_ROOT": hex.EncodeToString(w.tiled.Root(w.tiled.Size())),
	}
}

// bundleWith is a bundle of which something was changed, in its log entry perhaps.
func (w *world) bundleWith(change func(bundle, entry map[string]any)) string {
	var bundle map[string]any
	w.must(json.Unmarshal([]byte(w.bundle(true)), &bundle))
	change(bundle, bundle["verificationMaterial"].(map[string]any)["tlogEntries"].([]any)[0].(map[string]any))
	return w.marshal(bundle)
}
