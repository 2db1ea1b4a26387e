// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

// Package gcpkms reads public keys from Google Cloud KMS.
//
// Credentials are Google's application default credentials: the file that
// GOOGLE_APPLICATION_CREDENTIALS names (a service account's key, or a workload
// identity federation), a person's login, the metadata server (workload identity of
// GKE). They need roles/cloudkms.publicKeyViewer on the key and, where the URI names
// no version, cloudkms.cryptoKeyVersions.list (roles/cloudkms.viewer).
//
// It speaks the service's REST interface, of which two calls are needed: Google's
// client for it has more code than all of the rest.
package gcpkms

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"
	"golang.org/x/sync/errgroup"

	"github.com/countersign-dev/countersign/pkg/trust/kms"
)

const (
	endpoint = "https://cloudkms.googleapis.com/v1/"
	scope    = "https://www.googleapis.com/auth/cloudkms"
	// concurrentReads is how many versions of one key are read at a time.
	concurrentReads = 8
)

// Provider asks Google Cloud KMS.
type Provider struct {
	http     *http.Client
	endpoint string
	// token returns what a request is authorized by.
	token func(context.Context, *http.Client) (*oauth2.Token, error)
}

// New returns a Provider that speaks through a client.
func New(client *http.Client) *Provider {
	return &Provider{http: client, endpoint: endpoint, token: defaultToken}
}

// defaultToken gets a token by the application default credentials. The library
// asks the metadata server without a deadline, so it is left behind at ours.
func defaultToken(ctx context.Context, client *http.Client) (*oauth2.Token, error) {
	type answer struct {
		token *oauth2.Token
		err   error
	}
	got := make(chan answer, 1)
	go func() {
		credentials, err := google.FindDefaultCredentials(context.WithValue(ctx, oauth2.HTTPClient, client), scope)
		if err != nil {
			got <- answer{nil, fmt.Errorf("%w: %w", kms.ErrMisconfigured, err)}
			return
		}
		token, err := credentials.TokenSource.Token()
		got <- answer{token, err}
	}()
	select {
	case a := <-got:
		return a.token, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// PublicKeys implements kms.Provider: the version that the URI names, or else every
// version that is enabled.
func (p *Provider) PublicKeys(ctx context.Context, uri kms.URI) ([]kms.Version, error) {
	token, err := p.token(ctx, p.http)
	if err != nil {
		return nil, fmt.Errorf("%w: credentials for Google: %w", classOfToken(err), err)
	}
	c := call{provider: p, token: token}
	numbers := []string{uri.Part("version")}
	if numbers[0] == "" {
		if numbers, err = c.enabled(ctx, uri.Part("key")); err != nil {
			return nil, err
		}
	}
	versions := make([]kms.Version, len(numbers))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(concurrentReads)
	for i, number := range numbers {
		group.Go(func() error {
			var err error
			versions[i], err = c.publicKey(ctx, uri.Part("key"), number)
			return err
		})
	}
	return versions, group.Wait()
}

// call is what one question asks with.
type call struct {
	provider *Provider
	token    *oauth2.Token
}

// enabled returns the numbers of the versions of a key that are enabled, the newest
// first.
func (c call) enabled(ctx context.Context, key string) ([]string, error) {
	var listed struct {
		Versions []struct {
			Name  string `json:"name"`
			State string `json:"state"`
		} `json:"cryptoKeyVersions"`
		NextPageToken string `json:"nextPageToken"`
	}
	query := url.Values{"filter": {"state=ENABLED"}, "pageSize": {strconv.Itoa(kms.MaxVersions + 1)}}
	if err := c.get(ctx, key+"/cryptoKeyVersions?"+query.Encode(), &listed); err != nil {
		return nil, err
	}
	if listed.NextPageToken != "" {
		return nil, fmt.Errorf("%w: more than %d versions are enabled: disable old ones, or name one in the URI", kms.ErrUnusable, kms.MaxVersions)
	}
	var numbers []int
	for _, v := range listed.Versions {
		number, err := strconv.Atoi(path.Base(v.Name))
		if err != nil || number < 1 {
			return nil, fmt.Errorf("%w: a version in its answer is named %.200q", kms.ErrUnavailable, v.Name)
		}
		if v.State == "ENABLED" {
			numbers = append(numbers, number)
		}
	}
	slices.SortFunc(numbers, func(a, b int) int { return cmp.Compare(b, a) })
	texts := make([]string, len(numbers))
	for i, number := range numbers {
		texts[i] = strconv.Itoa(number)
	}
	return texts, nil
}

// publicKey reads one version of a key.
func (c call) publicKey(ctx context.Context, key, number string) (kms.Version, error) {
	var said struct {
		Name      string `json:"name"`
		PEM       string `json:"pem"`
		Algorithm string `json:"algorithm"`
	}
	name := key + "/cryptoKeyVersions/" + number
	if err := c.get(ctx, name+"/publicKey", &said); err != nil {
		return kms.Version{}, err
	}
	if said.Name != "" && said.Name != name {
		return kms.Version{}, fmt.Errorf("%w: its answer is about %.200q", kms.ErrUnavailable, said.Name)
	}
	if !strings.Contains(said.Algorithm, "_SIGN_") {
		return kms.Version{}, fmt.Errorf("%w: its algorithm is %.60q", kms.ErrUnusable, said.Algorithm)
	}
	version := kms.Version{Name: number}
	if version.Key, version.Err = cryptoutils.UnmarshalPEMToPublicKey([]byte(said.PEM)); version.Err != nil {
		version.Key, version.Err = nil, fmt.Errorf("its public key, for %.60q, does not parse", said.Algorithm)
	}
	return version, nil
}

// get asks for one resource.
func (c call) get(ctx context.Context, resource string, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.provider.endpoint+resource, http.NoBody)
	if err != nil {
		return err
	}
	c.token.SetAuthHeader(request)
	response, err := c.provider.http.Do(request)
	if err != nil {
		return fmt.Errorf("%w: %w", kms.ErrUnavailable, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body) // the client bounds it
	if err != nil {
		return fmt.Errorf("%w: %w", kms.ErrUnavailable, err)
	}
	if response.StatusCode != http.StatusOK {
		return refusal(response.StatusCode, body)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("%w: its answer is not JSON", kms.ErrUnavailable)
	}
	return nil
}

// refusal is the error for an answer other than 200. Only those that are the
// service's own, which it says in JSON, are believed about the key.
func refusal(status int, body []byte) error {
	var said struct {
		Error struct {
			Status  string `json:"status"`
			Message string `json:"message"`
		} `json:"error"`
	}
	_ = json.Unmarshal(body, &said) // what is no JSON says nothing
	class := kms.ErrUnavailable
	switch said.Error.Status {
	case "NOT_FOUND", "FAILED_PRECONDITION": // not enabled
		class = kms.ErrNoKey
	case "PERMISSION_DENIED", "UNAUTHENTICATED":
		class = kms.ErrForbidden
	case "INVALID_ARGUMENT":
		class = kms.ErrUnusable
	}
	return fmt.Errorf("%w: HTTP %d: %.300q", class, status, said.Error.Message)
}

// classOfToken says what an error of the credentials means.
func classOfToken(err error) error {
	var refused *oauth2.RetrieveError
	switch {
	case errors.Is(err, kms.ErrMisconfigured):
		return kms.ErrMisconfigured
	case errors.As(err, &refused) && refused.Response != nil && refused.Response.StatusCode < http.StatusInternalServerError:
		return kms.ErrForbidden
	default:
		return kms.ErrUnavailable
	}
}
