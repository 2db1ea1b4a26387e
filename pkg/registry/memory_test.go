// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/pkg/image"
	"github.com/countersign-dev/countersign/pkg/verify"
)

func TestSearchesTogetherHoldNoMoreMemoryThanIsAllowed(t *testing.T) {
	const other = "sha256:" + "1111111111111111111111111111111111111111111111111111111111111111"
	f := newFake(t)
	f.legacyTag(f.legacyLayer("good"))
	stalling := f.blob(bundleV03, strings.Repeat("x", 900*kib))
	m := f.manifest(imageManifest{SchemaVersion: 2, MediaType: ociManifest, ArtifactType: bundleV03, Layers: []descriptor{stalling},
		Subject: &target{MediaType: ociManifest, Digest: other}})
	m.ArtifactType = bundleV03
	f.on(repo+"referrers/"+other, serve(ociIndex, index(m)))
	begun, end := make(chan struct{}), make(chan struct{})
	f.on(repo+"blobs/"+stalling.Digest, func(http.ResponseWriter, *http.Request) {
		close(begun)
		<-end
	})
	// Room for one list and what the first search then holds, not for a second.
	client := f.client(Limits{List: mib, Bundle: mib, Total: 2 * mib, Memory: 2 * mib, Manifest: mib, Timeout: 30 * time.Second})
	first := make(chan error, 1)
	go func() {
		_, err := client.Signatures(t.Context(), f.ref(t, ""), other, Source{})
		first <- err
	}()
	<-begun
	for held := 0; !client.memory.TryAcquire(mib); held++ { // the first has given its surplus back
		time.Sleep(time.Millisecond)
	}
	ref := f.ref(t, "")
	if _, err := asked(t, client, ref, 200*time.Millisecond); reasonOf(t, err) != verify.DeadlineExceeded {
		t.Errorf("while there is no room: %v", err)
	}
	client.memory.Release(mib)
	close(end)
	if reason := reasonOf(t, <-first); reason != verify.LimitExceeded && reason != verify.RegistryUnavailable {
		t.Errorf("the first: %v", reason)
	}
	if got, err := asked(t, client, ref, 10*time.Second); err != nil || len(got) != 1 {
		t.Errorf("once there is room: %v, %v", texts(got), err)
	}
	if !client.memory.TryAcquire(2 * mib) {
		t.Error("memory is held that nobody uses")
	}
}

func asked(t *testing.T, client *Client, ref image.Reference, patience time.Duration) ([]verify.Signature, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return client.Signatures(ctx, ref, subject, Source{})
}

func TestAManifestThatIsLargerThanAnyListIsRefused(t *testing.T) {
	f := newFake(t)
	f.on(legacyPath, serve(ociManifest, fmt.Sprintf(`{"layers":[],"x":%q}`, strings.Repeat("x", mib))))
	if _, err := f.client(Limits{}).Signatures(t.Context(), f.ref(t, ""), subject, Source{}); reasonOf(t, err) != verify.LimitExceeded {
		t.Errorf("%v, want LimitExceeded", err)
	}
}
