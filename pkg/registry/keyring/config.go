// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package keyring

import (
	"encoding/json"
	"errors"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
)

// MaxEntries bounds the registries that one configuration names.
const MaxEntries = 1024

// Config is what one configuration says of registries. Immutable.
type Config struct{ entries []entry }

// entry is the credential for registries that match a pattern.
type entry struct {
	pattern pattern
	auth    authn.AuthConfig
}

var (
	// errMalformed is all that is said of content that cannot be read: the errors of
	// decoders repeat parts of it.
	errMalformed = errors.New("is not a Docker configuration that can be read")
	errNoConfig  = errors.New("holds neither .dockerconfigjson nor .dockercfg")
	errTooMany   = errors.New("names more registries than are read")
)

// ParseConfigJSON reads the content of a file config.json of Docker, which is what
// a Secret of type kubernetes.io/dockerconfigjson holds. Fields other than auths,
// which Docker has many of, are left out.
func ParseConfigJSON(raw []byte) (Config, error) {
	var file struct {
		Auths map[string]authn.AuthConfig `json:"auths"`
	}
	if json.Unmarshal(raw, &file) != nil {
		return Config{}, errMalformed
	}
	return newConfig(file.Auths)
}

// ParseDockercfg reads the content of a file .dockercfg, the older form, which is
// what a Secret of type kubernetes.io/dockercfg holds.
func ParseDockercfg(raw []byte) (Config, error) {
	var auths map[string]authn.AuthConfig
	if json.Unmarshal(raw, &auths) != nil {
		return Config{}, errMalformed
	}
	return newConfig(auths)
}

// ParseSecret reads the data of a Secret of either type.
func ParseSecret(data map[string][]byte) (Config, error) {
	if raw, ok := data[".dockerconfigjson"]; ok {
		return ParseConfigJSON(raw)
	}
	if raw, ok := data[".dockercfg"]; ok {
		return ParseDockercfg(raw)
	}
	return Config{}, errNoConfig
}

func newConfig(auths map[string]authn.AuthConfig) (Config, error) {
	if len(auths) > MaxEntries {
		return Config{}, errTooMany
	}
	var c Config
	for _, where := range slices.Sorted(maps.Keys(auths)) {
		auth := auths[where]
		// One that nobody can match is left out, as the kubelet does, and so is one
		// that says nothing: it is no other than anonymous.
		if p, ok := parsePattern(where); ok && auth != (authn.AuthConfig{}) {
			c.entries = append(c.entries, entry{p, auth})
		}
	}
	return c, nil
}

// For returns what c says of the registry at host[:port], docker.io for Docker Hub,
// and of repositories in it.
func (c Config) For(host string) Config {
	entries := slices.DeleteFunc(slices.Clone(c.entries), func(e entry) bool {
		return !e.pattern.matchesHost(host) && !(host == dockerHub && e.pattern.isHubIndex())
	})
	return Config{entries}
}

// IsEmpty reports whether c holds no credentials.
func (c Config) IsEmpty() bool { return len(c.entries) == 0 }

// parsePattern reads what stands in the place of a registry in a configuration:
// host[:port][/path], possibly as a URL, in whose host a label may be a glob.
// Docker writes https://index.docker.io/v1/ for Docker Hub.
func parsePattern(where string) (pattern, bool) {
	if !strings.HasPrefix(where, "https://") && !strings.HasPrefix(where, "http://") {
		where = "https://" + where
	}
	u, err := url.Parse(where)
	if err != nil || u.Host == "" {
		return pattern{}, false
	}
	below := u.Path
	if strings.HasPrefix(below, "/v1/") || strings.HasPrefix(below, "/v2/") {
		below = below[3:]
	}
	if below == "/" {
		below = ""
	}
	return newPattern(u.Host, below), true
}
