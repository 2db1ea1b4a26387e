// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
)

// Feeder asks witnesses to cosign what a Rekor v1 shows, which knows nothing of them: as a
// Hook of a proxy it appends their cosignatures to the checkpoints of the log's trees.
type Feeder struct {
	Rekor     *Rekor
	Witnesses []*Witness

	mu sync.Mutex
	// sizes are what each witness has cosigned last, as far as it has told.
	sizes map[*Witness]uint64
}

// NewFeeder returns a feeder for one Rekor with one tree.
func NewFeeder(rekor *Rekor, witnesses ...*Witness) *Feeder {
	return &Feeder{Rekor: rekor, Witnesses: witnesses, sizes: map[*Witness]uint64{}}
}

// Hook is the feeder as a Hook of a proxy in front of the Rekor.
func (f *Feeder) Hook(w http.ResponseWriter, r *http.Request, next http.Handler) {
	if r.URL.Path != "/api/v1/log" {
		next.ServeHTTP(w, r)
		return
	}
	answer := httptest.NewRecorder()
	r.Header.Del("Accept-Encoding") // so that the answer can be read
	next.ServeHTTP(answer, r)
	var info map[string]any
	if err := json.Unmarshal(answer.Body.Bytes(), &info); err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	if head, ok := info["signedTreeHead"].(string); ok {
		info["signedTreeHead"] = f.cosign(r.Context(), head)
	}
	cosigned, err := json.Marshal(info)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(cosigned)
}

// cosign returns the checkpoint with the cosignatures of the witnesses that answer.
func (f *Feeder) cosign(ctx context.Context, signed string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	lines := []string{signed}
	for _, w := range f.Witnesses {
		if line, err := f.ask(ctx, w, signed); err == nil {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

// ask asks a witness, again when it says that it knows another size than we thought.
func (f *Feeder) ask(ctx context.Context, w *Witness, signed string) (string, error) {
	size, err := strconv.ParseUint(strings.SplitN(signed, "\n", 3)[1], 10, 64)
	if err != nil {
		return "", err
	}
	for range 2 {
		request, err := f.request(ctx, f.sizes[w], size, signed)
		if err != nil {
			return "", err
		}
		status, body, err := post(ctx, w.URL+"/add-checkpoint", request)
		switch {
		case err != nil:
			return "", err
		case status == http.StatusOK:
			f.sizes[w] = size
			return body, nil
		case status != http.StatusConflict:
			return "", fmt.Errorf("status %d: %s", status, body)
		}
		if f.sizes[w], err = strconv.ParseUint(strings.TrimSpace(body), 10, 64); err != nil {
			return "", err
		}
	}
	return "", errors.New("the witness does not agree with itself")
}

// request is the body of an add-checkpoint request.
func (f *Feeder) request(ctx context.Context, old, size uint64, signed string) (string, error) {
	var body strings.Builder
	fmt.Fprintf(&body, "old %d\n", old)
	if old > 0 && old < size {
		var answer struct {
			Hashes []string `json:"hashes"`
		}
		address := fmt.Sprintf("%s/api/v1/log/proof?firstSize=%d&lastSize=%d&treeID=%s", f.Rekor.URL, old, size, f.Rekor.TreeID)
		if err := getJSON(ctx, address, &answer); err != nil {
			return "", err
		}
		for _, digits := range answer.Hashes {
			hash, err := hex.DecodeString(digits)
			if err != nil {
				return "", err
			}
			fmt.Fprintln(&body, base64.StdEncoding.EncodeToString(hash))
		}
	}
	return body.String() + "\n" + signed, nil
}

func post(ctx context.Context, address, body string) (status int, answer string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader([]byte(body)))
	if err != nil {
		return 0, "", err
	}
	return do(request)
}

func getJSON(ctx context.Context, address string, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return err
	}
	status, answer, err := do(request)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("GET %s: status %d: %s", address, status, answer)
	}
	if err != nil {
		return err
	}
	return json.Unmarshal([]byte(answer), into)
}

func do(request *http.Request) (status int, answer string, err error) {
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, string(body), err
}
