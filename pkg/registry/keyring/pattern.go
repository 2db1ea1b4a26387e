// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package keyring

import (
	"net"
	"path"
	"strings"
)

// pattern says to which registries, and repositories in them, a credential may be
// shown. The rules are the kubelet's (k8s.io/kubernetes/pkg/credentialprovider,
// keyring.go), so that what a node may pull can be verified, and so that a
// credential goes to nobody whom a node would not show it to.
type pattern struct {
	// text orders patterns: of two that match, the longer and so the more
	// specific one comes first when they are sorted backwards.
	text   string
	labels []string
	port   string
	below  string
}

func newPattern(host, below string) pattern {
	labels, port := splitHost(host)
	return pattern{text: host + below, labels: labels, port: port, below: below}
}

func splitHost(host string) (labels []string, port string) {
	if bare, port, err := net.SplitHostPort(host); err == nil {
		return strings.Split(bare, "."), port
	}
	return strings.Split(host, "."), ""
}

// matches reports whether a repository, by its registry's host[:port] and its name,
// is one of those. Each label of the host matches one glob, and nothing but that: *
// leads to no other domain. What stands before the repository's name is a prefix.
func (p pattern) matches(host, repository string) bool {
	return strings.HasPrefix("/"+repository, p.below) && p.matchesHost(host)
}

func (p pattern) matchesHost(host string) bool {
	labels, port := splitHost(host)
	if port != p.port || len(labels) != len(p.labels) {
		return false
	}
	for i, label := range labels {
		if ok, err := path.Match(p.labels[i], label); !ok || err != nil {
			return false
		}
	}
	return true
}

// MatchHost tells whether a host[:port] is one that a glob stands for: each label of it
// one host's, and the port the same.
func MatchHost(glob, host string) bool { return newPattern(glob, "").matchesHost(host) }

// The names of Docker Hub, in images and in the configurations that Docker writes.
const (
	dockerHub = "docker.io"
	hubIndex  = "index.docker.io"
)

func (p pattern) isHubIndex() bool { return p.text == hubIndex }
