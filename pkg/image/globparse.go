// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

var (
	globComponent = regexp.MustCompile(`^[a-z0-9._*-]+$`)
	globHost      = regexp.MustCompile(`^[a-z0-9.*-]+(?::[0-9]+)?$`)
	globTag       = regexp.MustCompile(`^[A-Za-z0-9_*][A-Za-z0-9_.*-]*$`)
	globDigest    = regexp.MustCompile(`^(?:sha256:[a-f0-9*]{1,64}|\*{1,2})$`)
)

// ParseGlob reads a glob. It refuses one that could match nothing because of how
// it is spelled, and one whose meaning depends on whether its beginning is a
// registry or a namespace of Docker Hub. The error is a *SyntaxError, without
// the field in which the glob stands.
func ParseGlob(s string) (Glob, error) {
	g, err := compileGlob(s)
	if err != nil {
		return Glob{}, &SyntaxError{Kind: "image glob", Text: s, Problem: err.Error()}
	}
	return g, nil
}

func compileGlob(s string) (Glob, error) {
	if err := checkGlobText(s); err != nil {
		return Glob{}, err
	}
	rest, digest, digested := strings.Cut(s, "@")
	repository, tag, tagged := cutTag(rest)
	if err := checkGlobDigest(digest, digested); err != nil {
		return Glob{}, err
	}
	if tagged && (len(tag) > maxTag || !globTag.MatchString(tag)) {
		return Glob{}, fmt.Errorf("has an invalid tag %q", tag)
	}
	full, err := normaliseGlob(repository)
	if err != nil {
		return Glob{}, err
	}
	prefix, _, _ := strings.Cut(full, "*")
	g := Glob{text: s, prefix: prefix, repository: wildcards(full), hubIndex: isWholeName(repository)}
	if tagged {
		g.tag = wildcards(tag)
	}
	if digested {
		g.digest = wildcards(digest)
		if strings.Trim(digest, "*") == "" {
			g.digest = wildcards("sha256:*")
		}
	}
	return g, nil
}

func checkGlobText(s string) error {
	if err := checkText(s); err != nil {
		return err
	}
	// '[' is legal only around an IPv6 registry.
	literal := s
	if host, _, _ := strings.Cut(s, "/"); strings.HasPrefix(host, "[") {
		literal = s[len(host):]
	}
	if i := strings.IndexAny(literal, `?[]{}()!^$\|+,`); i >= 0 {
		return fmt.Errorf("contains %q; the only special characters are * and **", literal[i])
	}
	if strings.Contains(s, "***") {
		return errors.New("contains ***; use * within a path segment or ** across segments")
	}
	if strings.Contains(s, "://") {
		return errors.New("has a URL scheme; write it without")
	}
	return nil
}

func checkGlobDigest(digest string, digested bool) error {
	switch {
	case !digested:
		return nil
	case digest == "":
		return errors.New("has an empty digest after '@'")
	case !globDigest.MatchString(digest):
		return errors.New("has a malformed digest; it must be sha256: and lower-case hexadecimal digits, of which * may replace some")
	case !strings.Contains(digest, "*") && !digestPattern.MatchString(digest):
		return errors.New("has a digest that is too short; sha256 has 64 hexadecimal digits")
	}
	return nil
}

// normaliseGlob writes the repository part of a glob in the form that
// Reference.Repository has, so that the two can be compared as texts.
func normaliseGlob(repository string) (string, error) {
	switch repository {
	case "":
		return "", errors.New("names no repository")
	case "**", "*/**":
		return "**", nil
	case "*/*":
		return dockerHub + "/*/*", nil
	}
	if isWholeName(repository) {
		return repository, checkGlobPath(repository)
	}
	host, path, err := splitGlob(repository)
	if err != nil {
		return "", err
	}
	if len(path) > maxPath {
		return "", fmt.Errorf("has a repository name longer than %d characters", maxPath)
	}
	return host + "/" + path, checkGlobPath(path)
}

// isWholeName tells whether a glob leaves open where the registry ends: it begins with
// ** and goes on in the same component, as **nginx** does.
func isWholeName(repository string) bool {
	first, _, _ := strings.Cut(repository, "/")
	return strings.HasPrefix(first, "**") && first != "**"
}

func checkGlobPath(path string) error {
	for component := range strings.SplitSeq(path, "/") {
		if err := checkGlobComponent(component); err != nil {
			return err
		}
	}
	return nil
}

// splitGlob tells the registry from the path as splitReference does.
func splitGlob(repository string) (host, path string, err error) {
	first, below, several := strings.Cut(repository, "/")
	switch {
	case !several && (first == "localhost" || strings.Contains(first, ".")):
		return "", "", fmt.Errorf("names a registry only; write %s/** for all its images", first)
	case first == "**":
		return "**", below, nil
	case strings.Contains(first, "**"):
		return "", "", fmt.Errorf("has ** beside other characters in its first component %q; it must stand alone there", first)
	case !several:
		return dockerHub, dockerHubLibrary + "/" + first, nil
	case namesRegistry(first):
		if host, err = normaliseGlobHost(first); err != nil {
			return "", "", err
		}
	case strings.Contains(first, "*"):
		return "", "", fmt.Errorf("begins with %q, which may be a registry or a namespace of Docker Hub; write docker.io/%s, **/%s, or the registry", first, repository, below)
	default:
		host, below = dockerHub, repository
	}
	if host == dockerHub && !strings.Contains(below, "/") && below != "**" {
		if strings.Contains(below, "**") {
			return "", "", fmt.Errorf("has ** beside other characters in %q, which Docker Hub reads as library/%s; write docker.io/library/%s", below, below, below)
		}
		below = dockerHubLibrary + "/" + below
	}
	return host, below, nil
}

func normaliseGlobHost(host string) (string, error) {
	if !strings.Contains(host, "*") {
		return normaliseHost(host), checkHost(host)
	}
	if hasUpper(host) {
		return "", fmt.Errorf("has upper-case letters in registry host %q; write it in lower case", host)
	}
	bare, _, err := cutPort(host)
	if err != nil {
		return "", err
	}
	if !globHost.MatchString(host) || strings.HasPrefix(bare, ".") || strings.HasSuffix(bare, ".") || strings.Contains(bare, "..") {
		return "", fmt.Errorf("has an invalid registry host %q", host)
	}
	pattern := wildcards(host)
	// *.com matches the alias as well, but nobody means Docker Hub by it.
	alias := strings.Contains(host, "docker") && pattern.MatchString(hubAlias)
	if (alias || pattern.MatchString(hubIndex) || pattern.MatchString(hubRegistry)) && !pattern.MatchString(dockerHub) {
		return "", fmt.Errorf("has registry host %q, which means Docker Hub but would not match it; write docker.io", host)
	}
	return normaliseHost(host), nil
}

func checkGlobComponent(component string) error {
	if !strings.Contains(component, "*") {
		return checkComponent(component)
	}
	if hasUpper(component) {
		return fmt.Errorf("has upper-case letters in path component %q", component)
	}
	if !globComponent.MatchString(component) {
		return fmt.Errorf("has an invalid path component %q", component)
	}
	return nil
}

// wildcards compiles a text in which * and ** are special. Go's regular
// expressions match in time linear in the text.
func wildcards(glob string) *regexp.Regexp {
	quoted := regexp.QuoteMeta(glob)
	quoted = strings.ReplaceAll(quoted, `\*\*`, `.*`)
	quoted = strings.ReplaceAll(quoted, `\*`, `[^/]*`)
	return regexp.MustCompile(`\A(?:` + quoted + `)\z`)
}
