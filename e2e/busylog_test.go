// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	rekorv1 "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"

	"github.com/countersign-dev/countersign/e2e/stack"
)

// grow adds an entry to a log, about a signature that nobody will ask for.
func grow(t *testing.T, rekor *stack.Rekor) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte(rand.Text()))
	signature, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	body := fmt.Sprintf(`{"apiVersion":"0.0.1","kind":"hashedrekord","spec":{"data":{"hash":{"algorithm":"sha256","value":"%x"}},`+
		`"signature":{"content":"%s","publicKey":{"content":"%s"}}}}`, digest,
		base64.StdEncoding.EncodeToString(signature), base64.StdEncoding.EncodeToString([]byte(publicPEM(t, key.Public()))))
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, rekor.URL+"/api/v1/log/entries", bytes.NewBufferString(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusCreated {
		t.Fatalf("adding an entry: status %d", response.StatusCode)
	}
}

// firstEntry is the inclusion proof of a log's first entry in the tree as it is now.
func firstEntry(t *testing.T, rekor *stack.Rekor) *rekorv1.InclusionProof {
	t.Helper()
	_, body := get(t, rekor.URL+"/api/v1/log/entries?logIndex=0")
	var entries map[string]struct {
		Verification struct {
			InclusionProof struct {
				Checkpoint, RootHash string
				TreeSize             int64
				Hashes               []string
			}
		}
	}
	if err := json.Unmarshal([]byte(body), &entries); err != nil || len(entries) != 1 {
		t.Fatalf("%v: %s", err, body)
	}
	for _, entry := range entries {
		said := entry.Verification.InclusionProof
		proof := &rekorv1.InclusionProof{TreeSize: said.TreeSize, Checkpoint: &rekorv1.Checkpoint{Envelope: said.Checkpoint}}
		for _, digits := range append(said.Hashes, said.RootHash) {
			hash, err := hex.DecodeString(digits)
			if err != nil {
				t.Fatal(err)
			}
			proof.Hashes = append(proof.Hashes, hash)
		}
		last := len(proof.Hashes) - 1
		proof.RootHash, proof.Hashes = proof.Hashes[last], proof.Hashes[:last]
		return proof
	}
	return nil
}

// TestAHundredAdmissionsBringNewerCheckpoints, all at the same time: each is held against
// the history once, none is lost, and the API server is written to once a second.
func TestAHundredAdmissionsBringNewerCheckpoints(t *testing.T) {
	t.Parallel()
	const admissions = 100
	rekor := newRekor(t)
	signed := pushImage(t, S(t).Registry)
	o := bundleByV3()
	o.Log = rekor
	sign(t, signed, o)
	genuine := storedEvidence(t, signed, stack.Bundle)
	proxy := newLogProxy(t, rekor)
	log, policy := newName(t), newName(t)
	applied(t, "transparencylog/"+log, strings.Replace(stack.TransparencyLogAt(proxy.URL, rekor, log, false), "pollInterval: 1s", "pollInterval: 1h", 1))
	applied(t, "clusterimagepolicy/"+policy, stack.KeyPolicy(policy, S(t).Registry.Host+"/"+policy+"/*", S(t).Key, log))

	images := make([]stack.Image, admissions)
	var pushes sync.WaitGroup
	for i := range images {
		grow(t, rekor)
		proof, newer := firstEntry(t, rekor), genuine.clone(t)
		newer.editBundle(t, func(b *protobundle.Bundle) { b.GetVerificationMaterial().GetTlogEntries()[0].InclusionProof = proof })
		pushes.Go(func() {
			images[i] = copyTo(t, signed, policy+"/"+fmt.Sprint("app-", i))
			newer.layBeside(t, images[i])
		})
	}
	pushes.Wait()

	namespace := newNamespace(t)
	proxy.Reset()
	begun := time.Now()
	var pods sync.WaitGroup
	for _, image := range images {
		pods.Go(func() {
			if j := judge(t, namespace, image); !j.answer.ok() {
				t.Errorf("refused: %s", j.answer.status.Message)
			}
		})
	}
	pods.Wait()
	took := time.Since(begun)

	size := mustKubectl(t, "", "get", "transparencylog", log, "-o", "jsonpath={.status.checkpoint.size}")
	if want := fmt.Sprint(admissions + 1); size != want {
		t.Errorf("size %s is stored; want %s, the largest that was brought", size, want)
	}
	asked := map[string]int{}
	for _, r := range proxy.Requests() {
		switch {
		case r.Path == "/api/v1/log/proof":
			asked[r.Query]++
		case strings.HasPrefix(r.Path, entriesPath):
			t.Errorf("asked for %s, of which a proof was brought", r.Path)
		}
	}
	proofs := 0
	for query, n := range asked {
		proofs += n
		if n > 1 {
			t.Errorf("%d times the same question: %s", n, query)
		}
	}
	writes := statusWrites(t, log, begun)
	t.Logf("%d admissions in %v: %d consistency proofs, %d writes of the status", admissions, took.Round(time.Millisecond), proofs, writes)
	// One for each checkpoint; and, for each that was written meanwhile, one more of
	// who had compared with the one before.
	if proofs < admissions || proofs > 2*admissions {
		t.Errorf("%d consistency proofs of %d checkpoints", proofs, admissions)
	}
	if most := int(took/time.Second) + 2; writes > most {
		t.Errorf("the status was written %d times in %v; want %d at most", writes, took, most)
	}
}

// copyTo pushes image, without what lies beside it, to a repository.
func copyTo(t *testing.T, image stack.Image, repository string) stack.Image {
	t.Helper()
	copied, err := stack.Push(t.Context(), content(t, image), S(t).Registry.Host, repository, image.Tag)
	if err != nil {
		t.Fatal(err)
	}
	return copied
}

// statusWrites counts the writes of a TransparencyLog's status that the API server has
// accepted since then.
func statusWrites(t *testing.T, log string, since time.Time) int {
	t.Helper()
	file, err := os.Open(S(t).AuditLog())
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	writes := 0
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var event struct {
			Verb                     string
			ObjectRef                struct{ Resource, Name, Subresource string }
			ResponseStatus           struct{ Code int }
			RequestReceivedTimestamp time.Time
		}
		if !strings.Contains(lines.Text(), log) || json.Unmarshal(lines.Bytes(), &event) != nil {
			continue
		}
		if ref := event.ObjectRef; ref.Resource == "transparencylogs" && ref.Name == log && ref.Subresource == "status" &&
			event.ResponseStatus.Code < http.StatusMultipleChoices && event.RequestReceivedTimestamp.After(since) {
			writes++
		}
	}
	return writes
}
