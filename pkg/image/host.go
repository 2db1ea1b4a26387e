// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// The other names of Docker Hub: the name that its credentials are filed under,
// the host that answers for docker.io, and another that answers alike.
const (
	hubIndex    = "index.docker.io"
	hubRegistry = "registry-1.docker.io"
	hubAlias    = "registry.hub.docker.com"
)

// hostLabels is a DNS name as container runtimes accept it, in lower case.
var hostLabels = regexp.MustCompile(`^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$`)

// numericLabel is a last label that resolvers may read as part of an IPv4
// address (WHATWG URL, "ends in a number").
var numericLabel = regexp.MustCompile(`^(?:[0-9]+|0x[0-9a-f]*)$`)

func isDockerHub(host string) bool {
	return host == dockerHub || host == hubIndex || isHubEndpoint(host)
}

// isHubEndpoint tells the hosts that serve Docker Hub's images, under which no
// runtime adds "library/".
func isHubEndpoint(host string) bool { return host == hubRegistry || host == hubAlias }

// normaliseHost joins the names of one registry: those of Docker Hub, and a host
// with and without the default port of HTTPS.
func normaliseHost(host string) string {
	if isDockerHub(host) {
		return dockerHub
	}
	return strings.TrimSuffix(host, ":443")
}

// ParseHost reads the host[:port] of a registry in the one spelling that references
// may have, and returns its normalised name, as Reference.Registry. The error is a
// *SyntaxError.
func ParseHost(s string) (string, error) {
	err := checkText(s)
	if err == nil {
		err = checkHost(s)
	}
	if err != nil {
		return "", &SyntaxError{Kind: "registry host", Text: s, Problem: err.Error()}
	}
	return normaliseHost(s), nil
}

// NormaliseHost returns the name of the registry that answers at a host[:port]: that
// of ParseHost where that accepts it.
func NormaliseHost(host string) string { return normaliseHost(host) }

// checkHost accepts a registry host in its one canonical spelling. Another
// spelling of the same host (upper case, a trailing dot, 127.1, a port 0443)
// would be the same registry under a name that no policy's glob matches.
func checkHost(host string) error {
	if hasUpper(host) {
		return fmt.Errorf("has upper-case letters in registry host %q; write it in lower case", host)
	}
	bare, port, err := cutPort(host)
	if err != nil {
		return err
	}
	if isDockerHub(bare) && port != "" {
		return errors.New("names Docker Hub with a port; write docker.io without one")
	}
	if len(bare) > 253 {
		return errors.New("has a registry host longer than 253 characters")
	}
	if inner, ok := strings.CutPrefix(bare, "["); ok {
		inner, closed := strings.CutSuffix(inner, "]")
		address, err := netip.ParseAddr(inner)
		if !closed || err != nil || !address.Is6() || address.Is4In6() || address.Zone() != "" || address.String() != inner {
			return fmt.Errorf("has registry host %q, which is not an IPv6 address in canonical form", bare)
		}
		return nil
	}
	if !hostLabels.MatchString(bare) {
		return fmt.Errorf("has an invalid registry host %q", bare)
	}
	if numericLabel.MatchString(bare[strings.LastIndexByte(bare, '.')+1:]) {
		if address, err := netip.ParseAddr(bare); err != nil || address.String() != bare {
			return fmt.Errorf("has registry host %q, which is not an IPv4 address in canonical form", bare)
		}
	}
	return nil
}

// cutPort splits host[:port]; port is "" where none is given.
func cutPort(host string) (bare, port string, err error) {
	i := strings.LastIndexByte(host, ':')
	if i < 0 || strings.HasSuffix(host, "]") {
		return host, "", nil
	}
	bare, port = host[:i], host[i+1:]
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || number == 0 || strconv.FormatUint(number, 10) != port {
		return "", "", fmt.Errorf("has an invalid port %q", port)
	}
	return bare, port, nil
}
