// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/countersign-dev/countersign/pkg/registry/keyring"
)

// request is one question to a repository.
type request struct {
	via        *connections
	repository name.Repository
	credential keyring.Credential
	method     string
	path       string // below /v2/<repository>/, "manifests/latest"
	query      string
	accept     string
	// max is the largest body that is accepted with status 200.
	max int64
	// stay means that a redirect to another host is an answer, and followed only if it
	// leads to the same question.
	stay bool
	// elsewhere means that another endpoint will be asked if this one limits the rate
	// of requests: it is not waited for.
	elsewhere bool
}

// answer is what the registry said, whatever its status. The body is read whole
// for status 200 and left out otherwise.
type answer struct {
	status    int
	mediaType string // without parameters; "" where there is none
	body      []byte
	header    http.Header
	code      string // of the error, as the OCI distribution specification lists them
}

func (r request) url() *url.URL {
	host := r.repository.RegistryStr()
	return &url.URL{
		Scheme:   r.via.scheme(host),
		Host:     host,
		Path:     "/v2/" + r.repository.RepositoryStr() + "/" + r.path,
		RawQuery: r.query,
	}
}

// isOfEveryRegistry reports whether there is no registry that lacks what is asked for.
// One without the referrers API, or what is in front of it, may answer 401 to that, and
// know the credential all the same.
func (r request) isOfEveryRegistry() bool {
	return strings.HasPrefix(r.path, "manifests/") || strings.HasPrefix(r.path, "blobs/")
}

// note logs more of an error than its kind, which is all that a denial says.
func (c *core) note(r request, err error) {
	if err == nil {
		return
	}
	c.log.V(1).Info("A request to a registry failed", "repository", r.repository.Name(), "path", r.path, "error", causeOf(err))
}

// askOnce sends a request. The error is an *Error.
func (c *core) askOnce(ctx context.Context, r request) (answer, error) {
	// Also ends what is left of an exchange when we have what we want of it.
	ctx, cancel := context.WithTimeout(ctx, c.limits.exchange())
	defer cancel()
	host := r.repository.RegistryStr()
	session, err := c.session(ctx, r)
	if err != nil {
		return answer{}, failure(ctx, host, err)
	}
	asks := r.url().String()
	ctx = withJourney(ctx, r.journey(asks))
	req, err := http.NewRequestWithContext(ctx, r.method, asks, nil)
	if err != nil {
		return answer{}, failure(ctx, host, err)
	}
	req.Header.Set("Accept", r.accept)
	client := &http.Client{Transport: session, CheckRedirect: r.redirects}
	resp, err := client.Do(req)
	if err != nil {
		return answer{}, failure(ctx, host, err)
	}
	defer func() { _ = resp.Body.Close() }()
	a, err := read(resp, r.max)
	if err != nil {
		return answer{}, failure(ctx, host, err)
	}
	if a.status == http.StatusUnauthorized || a.status == http.StatusForbidden {
		c.sessions.Remove(r.session())
		if r.isOfEveryRegistry() {
			c.turnAway(r, a.status, statusError(host, "a question with these credentials", a.status, a.code))
		}
	}
	return a, nil
}

// journey is that of a request, or of the handshake before it, that asks an address.
func (r request) journey(asks string) journey {
	return journey{
		via: r.via, home: r.repository.RegistryStr(), credential: r.credential.ID,
		asks: asks, scope: r.repository.Scope(transport.PullScope), last: &sighting{},
	}
}

// redirects tells whether a redirect is to be followed. Where it may lead to is for
// guard to say.
func (r request) redirects(next *http.Request, _ []*http.Request) error {
	if r.stay && next.URL.Host != r.url().Host && !r.isAskedBy(next.URL) {
		return http.ErrUseLastResponse
	}
	return nil
}

// isAskedBy tells whether an address asks the same of another registry.
func (r request) isAskedBy(address *url.URL) bool {
	return strings.HasPrefix(address.Path, "/v2/") && strings.HasSuffix(address.Path, "/"+r.path)
}

func read(resp *http.Response, limit int64) (answer, error) {
	a := answer{status: resp.StatusCode, header: resp.Header}
	if mediaType, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err == nil {
		a.mediaType = mediaType
	}
	if resp.Request != nil && resp.Request.Method == http.MethodHead {
		return a, nil
	}
	if a.status != http.StatusOK {
		a.code = errorCode(resp.Body)
		return a, nil
	}
	if resp.ContentLength > limit {
		return a, errTooLarge
	}
	var body bytes.Buffer
	if resp.ContentLength > 0 { // one that is a lie takes no more than the limit, either
		body.Grow(int(resp.ContentLength) + bytes.MinRead)
	}
	_, err := body.ReadFrom(&cappedBody{ReadCloser: resp.Body, left: limit})
	if err == nil {
		a.body = body.Bytes()
	}
	return a, err
}

var knownCode = regexp.MustCompile(`^[A-Z_]{1,40}$`)

// errorCode reads the first code of an error body of the OCI distribution
// specification, or "".
func errorCode(body io.Reader) string {
	raw, err := io.ReadAll(io.LimitReader(body, errorBody))
	if err != nil {
		return ""
	}
	var said struct {
		Errors []struct {
			Code string `json:"code"`
		} `json:"errors"`
	}
	if json.Unmarshal(raw, &said) != nil || len(said.Errors) == 0 || !knownCode.MatchString(said.Errors[0].Code) {
		return ""
	}
	return said.Errors[0].Code
}
