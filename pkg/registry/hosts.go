// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"crypto/tls"
	"crypto/x509"
	"maps"
	"net/url"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/countersign-dev/countersign/pkg/image"
	"github.com/countersign-dev/countersign/pkg/registry/keyring"
)

// Host says how one registry is reached, and where else what it serves is found.
// The zero value is HTTPS with the system's roots and the environment's proxy.
type Host struct {
	// RootCAs are who may issue its certificate, and those of the hosts that it
	// refers to; nil is the system's roots.
	RootCAs *x509.CertPool
	// Certificate is presented to it, and to no other host.
	Certificate *tls.Certificate
	// PlainHTTP speaks plain HTTP to it. The hosts that it refers to are spoken
	// to by HTTPS unless they are named themselves.
	PlainHTTP bool
	// Proxy is used for it, and for the hosts that it refers to; nil is what the
	// environment says.
	Proxy *url.URL
	// Direct uses no proxy, whatever the environment says.
	Direct bool
	// Mirrors hold copies of all its repositories. They are asked first, in this
	// order; the registry itself is asked for what none of them has.
	Mirrors []Mirror
	// MirrorsOnly never asks the registry itself.
	MirrorsOnly bool
	// Credentials are this program's own for it.
	Credentials *keyring.Keyring
	// Signatures holds the evidence about its images in the place of their own
	// repositories, where a policy does not say otherwise.
	Signatures image.Repository
	// RefersTo are the hosts that it may refer to, and no others; nil says nothing.
	RefersTo Referrals
}

// Hosts are the registries that are not reached as all others are, by their
// names: host[:port] as image.ParseHost returns it, or Others.
type Hosts map[string]Host

// Mirror is where the repositories of a registry lie below.
type Mirror struct {
	// Host is host[:port]; Path is the repository before theirs, "" for none.
	Host, Path string
}

// of returns the copy of a repository.
func (m Mirror) of(original image.Repository) (name.Repository, error) {
	path := original.Path()
	if m.Path != "" {
		path = m.Path + "/" + path
	}
	return name.NewRepository(m.Host + "/" + path)
}

// withPlainHTTP returns the hosts, and those that are only named for plain HTTP.
func (h Hosts) withPlainHTTP(named []string) Hosts {
	all := make(Hosts, len(h)+len(named))
	maps.Copy(all, h)
	for _, host := range named {
		host = strings.ToLower(host)
		entry := all[host]
		entry.PlainHTTP = true
		all[host] = entry
	}
	return all
}

// find returns what is said about a host[:port], and under which name. That a host
// is spoken to by plain HTTP is only said of that very spelling.
func (h Hosts) find(host string) (Host, string, bool) {
	if entry, ok := h[host]; ok {
		return entry, host, true
	}
	normal := image.NormaliseHost(host)
	entry, ok := h[normal]
	if !ok || entry.PlainHTTP {
		return Host{}, "", false
	}
	return entry, normal, true
}

// named returns the hosts that stand anywhere in h.
func (h Hosts) named() map[string]bool {
	named := make(map[string]bool, len(h))
	for host, entry := range h {
		named[host] = true
		for _, mirror := range entry.Mirrors {
			named[image.NormaliseHost(mirror.Host)] = true
		}
		if !entry.Signatures.IsZero() {
			named[entry.Signatures.Registry()] = true
		}
	}
	return named
}

// endpoint is a place where a repository is found.
type endpoint struct {
	repository name.Repository
	// original is set for the repository itself: what it says it does not have
	// does not exist. A copy may lack what the original has.
	original bool
	// credentials are those to try there, in this order. There is at least one.
	credentials []keyring.Credential
}

// endpoints returns where a repository is found, in the order in which to ask.
func (h Hosts) endpoints(repository image.Repository) ([]endpoint, error) {
	entry := h[repository.Registry()]
	var all []endpoint
	for _, mirror := range entry.Mirrors {
		copied, err := mirror.of(repository)
		if err != nil {
			return nil, unavailable("the mirror %s cannot hold %s, whose name becomes too long there", mirror.Host, repository)
		}
		all = append(all, endpoint{repository: copied})
	}
	if entry.MirrorsOnly && len(all) > 0 {
		return all, nil
	}
	return append(all, endpoint{repository: repository.Name(), original: true}), nil
}

// evidence returns the repository in which the evidence about an image is looked
// for.
func (h Hosts) evidence(ref image.Reference, from Source) image.Repository {
	if !from.Repository.IsZero() {
		return from.Repository
	}
	if apart := h[ref.Registry()].Signatures; !apart.IsZero() {
		return apart
	}
	return ref.Context()
}
