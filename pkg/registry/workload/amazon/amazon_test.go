// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package amazon

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

func TestPlaces(t *testing.T) {
	for host, want := range map[string]string{
		"123456789012.dkr.ecr.eu-central-1.amazonaws.com":       "eu-central-1",
		"123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com": "us-gov-west-1",
		"123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn":      "cn-north-1",
		"123456789012.dkr-ecr.eu-central-1.on.aws":              "eu-central-1",
		"public.ecr.aws": "",
		"123456789012.dkr.ecr.eu-central-1.amazonaws.com.evil.test": "",
		"evil.test.dkr.ecr.eu-central-1.amazonaws.com":              "",
		"123456789012.dkr.ecr.evil.test.amazonaws.com":              "",
		"123456789012.dkr.ecr.eu-central-1.amazonaws.com:5000":      "",
		"x123456789012.dkr.ecr.eu-central-1.amazonaws.com":          "",
	} {
		if got, ok := New().Place(host); got != want || ok != (want != "") {
			t.Errorf("%s: %q, %t", host, got, ok)
		}
	}
	for region, want := range map[string]string{"eu-central-1": "https://api.ecr.eu-central-1.amazonaws.com/", "cn-north-1": "https://api.ecr.cn-north-1.amazonaws.com.cn/"} {
		if got := endpoint(region); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestToken(t *testing.T) {
	until := time.Now().Add(12 * time.Hour).Truncate(time.Second)
	answer := func(token string) string {
		return fmt.Sprintf(`{"authorizationData":[{"authorizationToken":%q,"expiresAt":%d.5,"proxyEndpoint":"https://x"}]}`, token, until.Unix())
	}
	for name, tc := range map[string]struct {
		answer string
		good   bool
	}{
		"a token":                    {answer(base64.StdEncoding.EncodeToString([]byte("AWS:pass:word"))), true},
		"none":                       {`{"authorizationData":[]}`, false},
		"a token that is not base64": {answer("!"), false},
		"a token without a user":     {answer(base64.StdEncoding.EncodeToString([]byte("hunter2"))), false},
	} {
		t.Run(name, func(t *testing.T) {
			var asked *http.Request
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked = r
				_, _ = w.Write([]byte(tc.answer))
			}))
			defer server.Close()
			p := New()
			p.endpoint = func(string) string { return server.URL }
			p.credentials = func(context.Context, string) (aws.Credentials, error) {
				return aws.Credentials{AccessKeyID: "AKID", SecretAccessKey: "secret", SessionToken: "session"}, nil
			}
			got, err := p.Token(t.Context(), "eu-central-1")
			if (err == nil) != tc.good || (err != nil && strings.Contains(err.Error(), "hunter2")) {
				t.Fatal(err)
			}
			if tc.good && (got.Auth.Username != "AWS" || got.Auth.Password != "pass:word" || !got.Until.Equal(until)) {
				t.Errorf("%v until %v", got.Auth.Username, got.Until)
			}
			if authorization := asked.Header.Get("Authorization"); !strings.Contains(authorization, "Credential=AKID/") || !strings.Contains(authorization, "/eu-central-1/ecr/aws4_request") {
				t.Errorf("authorized by %q", authorization)
			}
			if asked.Header.Get("X-Amz-Target") != "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken" || asked.Header.Get("X-Amz-Security-Token") != "session" {
				t.Errorf("asked with %v", asked.Header)
			}
		})
	}
	p := New()
	cause := errors.New("no identity")
	p.credentials = func(context.Context, string) (aws.Credentials, error) { return aws.Credentials{}, cause }
	if _, err := p.Token(t.Context(), "eu-central-1"); !errors.Is(err, cause) {
		t.Error(err)
	}
}
