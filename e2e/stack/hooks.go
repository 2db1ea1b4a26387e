// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"bytes"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
)

// When applies hook to the requests that match, and passes the others on.
func When(match func(*http.Request) bool, hook Hook) Hook {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if match(r) {
			hook(w, r, next)
			return
		}
		next.ServeHTTP(w, r)
	}
}

// RewriteBody replaces the body of each successful answer with rewrite of it.
func RewriteBody(rewrite func([]byte) []byte) Hook {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		r.Header.Del("Accept-Encoding") // rewrite wants to see plain bytes
		recorder := httptest.NewRecorder()
		recorder.Body = &bytes.Buffer{}
		next.ServeHTTP(recorder, r)
		body := recorder.Body.Bytes()
		if recorder.Code >= 200 && recorder.Code < 300 {
			body = rewrite(body)
		}
		maps.Copy(w.Header(), recorder.Header())
		if r.Method != http.MethodHead {
			w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		}
		w.WriteHeader(recorder.Code)
		_, _ = w.Write(body)
	}
}

// Answer answers with a status code and a body instead of the server.
func Answer(code int, contentType, body string) Hook {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(code)
		_, _ = w.Write([]byte(body))
	}
}

// NotLogged answers as Rekor does for an entry that it does not have.
func NotLogged() Hook {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Cache-Control", "no-cache, no-store, no-transform, must-revalidate, private, max-age=0")
		w.WriteHeader(http.StatusNotFound)
	}
}

// Forward has another server answer.
func Forward(target string) Hook {
	to, err := url.Parse(target)
	if err != nil {
		panic(err) // every server of the stack has one
	}
	other := httputil.NewSingleHostReverseProxy(to)
	other.ErrorLog = log.New(io.Discard, "", 0)
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) { other.ServeHTTP(w, r) }
}

// Stall does not answer before release is closed or the client has gone.
func Stall(release <-chan struct{}) Hook {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		select {
		case <-release:
			next.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	}
}

// Drop closes the connection without an answer.
func Drop() Hook {
	return func(http.ResponseWriter, *http.Request, http.Handler) {
		panic(http.ErrAbortHandler)
	}
}
