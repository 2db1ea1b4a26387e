// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

// Login is a user of a registry.
type Login struct{ User, Password string }

// DockerConfigJSON is a Docker configuration that lets a user into a registry: what a
// pull secret holds.
func (l Login) DockerConfigJSON(host string) string {
	auth := base64.StdEncoding.EncodeToString([]byte(l.User + ":" + l.Password))
	text, err := json.Marshal(map[string]any{"auths": map[string]any{host: map[string]string{"auth": auth}}})
	if err != nil {
		panic(err) // strings can be encoded
	}
	return string(text)
}

// admit writes the file of users, and the configuration of the first, and returns what
// the registry's own configuration says of them.
func (r *SecureRegistry) admit(s *Stack, name string, users []Login) (string, error) {
	if len(users) == 0 {
		return "", nil
	}
	r.Login, r.users = users[0], s.run.file(name+"-users")
	if err := r.SetUsers(s, users...); err != nil {
		return "", err
	}
	config, err := s.run.write(filepath.Join(name+"-docker", "config.json"), []byte(users[0].DockerConfigJSON(r.Host)))
	r.DockerConfig = filepath.Dir(config)
	return fmt.Sprintf("auth:\n  htpasswd:\n    realm: stack\n    path: %q\n", r.users), err
}

// SetUsers replaces the users. The registry reads them when they have changed.
func (r *SecureRegistry) SetUsers(s *Stack, users ...Login) error {
	var lines strings.Builder
	for _, l := range users {
		hash, err := bcrypt.GenerateFromPassword([]byte(l.Password), bcrypt.MinCost)
		if err != nil {
			return err
		}
		fmt.Fprintf(&lines, "%s:%s\n", l.User, hash)
	}
	_, err := s.run.write(filepath.Base(r.users), []byte(lines.String()))
	return err
}

// answers is ready once a server answers, be it that it wants a password.
func answers(client *http.Client, url string) func(context.Context) error {
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, probeTimeout)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusUnauthorized {
			return fmt.Errorf("%s answered %s", url, resp.Status)
		}
		return nil
	}
}
