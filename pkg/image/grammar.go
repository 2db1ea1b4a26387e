// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// Bounds of the OCI distribution specification (repository names and tags) and
// of the container runtimes (255 for the repository below the registry).
const (
	maxReference = 1024
	maxPath      = 255
	maxTag       = 128
)

var (
	// pathComponent is one component of a repository name, OCI distribution
	// specification 1.1, "Pulling manifests".
	pathComponent = regexp.MustCompile(`^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$`)
	tagPattern    = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`)
	digestPattern = regexp.MustCompile(`^sha256:[a-f0-9]{64}$`)
	bareHash      = regexp.MustCompile(`^[a-f0-9]{64}$`)
	hashName      = regexp.MustCompile(`^(?:sha|md|blake)[0-9]+$`)
)

// parts is a reference taken apart; host and path are as the container runtimes
// see them, before aliases are joined.
type parts struct {
	host, path, tag, digest string
}

// splitReference takes s apart at its delimiters. The first component is a
// registry if it contains '.' or ':' or an upper-case letter or is "localhost",
// as in github.com/distribution/reference; the rest belongs to Docker Hub.
func splitReference(s string) (parts, error) {
	if err := checkText(s); err != nil {
		return parts{}, err
	}
	if strings.Contains(s, "://") {
		return parts{}, errors.New("has a URL scheme; write it without")
	}
	rest, digest, digested := strings.Cut(s, "@")
	if digested {
		if err := checkDigest(digest); err != nil {
			return parts{}, err
		}
	}
	full, tag, tagged := cutTag(rest)
	if tagged && tag == "" {
		return parts{}, errors.New("has an empty tag after ':'")
	}
	if full == "" {
		return parts{}, errors.New("names no repository")
	}
	first, below, several := strings.Cut(full, "/")
	if bareHash.MatchString(full) || (!several && hashName.MatchString(full)) {
		return parts{}, errors.New("reads like the ID of a local image")
	}
	p := parts{host: dockerHub, path: full, tag: tag, digest: digest}
	if several && namesRegistry(first) {
		p.host, p.path = first, below
	}
	if (p.host == dockerHub || p.host == hubIndex) && !strings.Contains(p.path, "/") {
		p.path = dockerHubLibrary + "/" + p.path
	}
	return p, nil
}

// cutTag splits at the last ':' behind the last '/': a colon in front of a slash
// belongs to the registry's port.
func cutTag(s string) (name, tag string, tagged bool) {
	if i := strings.LastIndexByte(s, ':'); i > strings.LastIndexByte(s, '/') {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}

// namesRegistry tells whether the first of several components is a registry.
func namesRegistry(first string) bool {
	return first == "localhost" || strings.ContainsAny(first, ".:") || hasUpper(first)
}

func hasUpper(s string) bool { return strings.ToLower(s) != s }

// checkText refuses what no reference and no glob can hold.
func checkText(s string) error {
	if s == "" {
		return errors.New("is empty")
	}
	if len(s) > maxReference {
		return fmt.Errorf("is longer than %d characters", maxReference)
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return fmt.Errorf("contains byte 0x%02x at position %d, which is not a printable ASCII character", s[i], i)
		}
	}
	return nil
}

func checkDigest(digest string) error {
	algorithm, _, found := strings.Cut(digest, ":")
	switch {
	case digest == "":
		return errors.New("has an empty digest after '@'")
	case strings.Contains(digest, "@"):
		return errors.New("has more than one '@'")
	case found && algorithm != "sha256":
		return fmt.Errorf("has a digest of algorithm %q; only sha256 digests are supported", algorithm)
	case !digestPattern.MatchString(digest):
		return errors.New("has a malformed digest; it must be sha256: and 64 lower-case hexadecimal digits")
	}
	return nil
}

// check refuses the parts that break a rule of their own, and says which.
func (p parts) check() error {
	if err := checkHost(p.host); err != nil {
		return err
	}
	if isHubEndpoint(p.host) && !strings.Contains(p.path, "/") {
		return fmt.Errorf("names Docker Hub by its endpoint, where %q is not %q; write docker.io/library/%s", p.path, "library/"+p.path, p.path)
	}
	if len(p.path) > maxPath {
		return fmt.Errorf("has a repository name longer than %d characters", maxPath)
	}
	for component := range strings.SplitSeq(p.path, "/") {
		if err := checkComponent(component); err != nil {
			return err
		}
	}
	switch {
	case len(p.tag) > maxTag:
		return fmt.Errorf("has a tag longer than %d characters", maxTag)
	case p.tag != "" && !tagPattern.MatchString(p.tag):
		return fmt.Errorf("has an invalid tag %q", p.tag)
	}
	return nil
}

func checkComponent(component string) error {
	switch {
	case component == "":
		return errors.New("has an empty path component")
	case hasUpper(component):
		return fmt.Errorf("has upper-case letters in path component %q", component)
	case !pathComponent.MatchString(component):
		return fmt.Errorf("has an invalid path component %q", component)
	}
	return nil
}
