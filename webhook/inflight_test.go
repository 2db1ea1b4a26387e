// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

// serveHandler serves over TCP, as controller-runtime does.
func serveHandler(t *testing.T, h admission.Handler, inFlight *InFlight) string {
	t.Helper()
	server := httptest.NewServer(Handler(h, inFlight))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// begin sends a request's header and the first bytes of a body of that length.
func begin(t *testing.T, address, timeout string, length int) net.Conn {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_, err = fmt.Fprintf(conn, "POST /validate/images?timeout=%s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n{",
		timeout, length)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestABodyThatDoesNotArriveEndsWithItsRequest(t *testing.T) {
	t.Parallel()
	conn := begin(t, serveHandler(t, newImages(verdicts()), NewInFlight()), "1s", maxBody)
	if err := conn.SetReadDeadline(time.Now().Add(4 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, conn); err != nil {
		t.Errorf("the connection is still open: %v", err)
	}
}

func TestSlowBodiesLeaveRoomWhenTheyEnd(t *testing.T) {
	t.Parallel()
	inFlight := NewInFlight()
	address := serveHandler(t, newImages(verdicts()), inFlight)
	for range 2 * maxInFlight / maxBody {
		begin(t, address, "2s", maxBody)
	}
	for start := time.Now(); inFlight.room.TryAcquire(maxBody); inFlight.room.Release(maxBody) {
		if time.Since(start) > 5*time.Second {
			t.Fatal("the bodies that are being read are not counted")
		}
		time.Sleep(time.Millisecond)
	}
	resp := ask(t, address, "1s", reviewOf(pod(good)))
	if resp != http.StatusServiceUnavailable {
		t.Errorf("while there is no room: status %d, want 503", resp)
	}
	if resp := ask(t, address, "10s", reviewOf(pod(good))); resp != http.StatusOK {
		t.Errorf("once there is room: status %d", resp)
	}
}

// TestARequestOutlivesTheTimeForItsBody: the deadline for reading must not end
// what is done with what was read.
func TestARequestOutlivesTheTimeForItsBody(t *testing.T) {
	t.Parallel()
	slow := admission.HandlerFunc(func(ctx context.Context, _ admission.Request) admission.Response {
		select {
		case <-ctx.Done():
			return admission.Denied("too early: " + ctx.Err().Error())
		case <-time.After(bodyTime + 500*time.Millisecond):
			return admission.Allowed("")
		}
	})
	resp := ask(t, serveHandler(t, slow, NewInFlight()), "10s", reviewOf(pod(good)))
	if resp != http.StatusOK {
		t.Errorf("status %d", resp)
	}
}

func ask(t *testing.T, address, timeout, body string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address+"/validate/images?timeout="+timeout, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode == http.StatusOK && !strings.Contains(string(answer), `"allowed":true`) {
		t.Errorf("answer: %.300s", answer)
	}
	return resp.StatusCode
}

func reviewOf(object string) string {
	return `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u","operation":"CREATE","kind":{"group":"","version":"v1","kind":"Pod"},"object":` + object + `}}`
}

// TestOneRequestTakesMemoryInProportionToItsLength goes through all that reads a
// body, package admission included.
func TestOneRequestTakesMemoryInProportionToItsLength(t *testing.T) {
	empty := "[" + strings.Repeat("{},", 300_000) + "{}]"
	for name, object := range map[string]string{
		"containers":  `{"spec":{"containers":` + empty + `}}`,
		"tolerations": `{"spec":{"containers":[{"name":"c","image":"` + good + `"}],"tolerations":` + empty + `}}`,
		"volumes":     `{"spec":{"volumes":` + empty + `}}`,
	} {
		t.Run(name, func(t *testing.T) {
			body := reviewOf(object)
			h := Handler(newImages(verdicts()), NewInFlight())
			r := httptest.NewRequest(http.MethodPost, "/validate/images", strings.NewReader(body))
			r.Header.Set("Content-Type", "application/json")
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			h.ServeHTTP(httptest.NewRecorder(), r)
			runtime.ReadMemStats(&after)
			// Reading a body of unknown length alone allocates five times as much.
			if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 20*uint64(len(body)) {
				t.Errorf("%d MiB were allocated for %d MiB", allocated>>20, len(body)>>20)
			}
		})
	}
}
