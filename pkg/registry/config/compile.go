// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/countersign-dev/countersign/pkg/image"
	"github.com/countersign-dev/countersign/pkg/registry"
	"github.com/countersign-dev/countersign/pkg/registry/keyring"
)

// Bounds: see docs/design/limits.md.
const (
	maxRegistries = 256
	maxMirrors    = 4
	maxReferrals  = 64
)

// direct is the proxy that is none.
const direct = "direct"

// compile turns a document into what a client takes. read returns the content of
// the files that it names. What is wrong comes with the field it is in.
func compile(d document, read func(name string) ([]byte, error)) (registry.Hosts, error) {
	path := field.NewPath("registries")
	if len(d.Registries) > maxRegistries {
		return nil, field.TooMany(path, len(d.Registries), maxRegistries)
	}
	hosts := make(registry.Hosts, len(d.Registries))
	others, errs := referrals(field.NewPath("refersTo"), d.RefersTo)
	if others != nil {
		hosts[registry.Others] = registry.Host{RefersTo: others}
	}
	for i := range d.Registries {
		c := compiler{entry: &d.Registries[i], path: path.Index(i), read: read}
		name := c.name()
		if _, repeated := hosts[name]; repeated && name != "" {
			c.errs = append(c.errs, field.Duplicate(c.path.Child("host"), c.Host))
		}
		hosts[name] = c.host()
		errs = append(errs, c.errs...)
	}
	if len(errs) > 0 {
		return nil, errs.ToAggregate()
	}
	return hosts, nil
}

// compiler is the work on one entry.
type compiler struct {
	*entry
	path *field.Path
	read func(string) ([]byte, error)
	errs field.ErrorList
}

// invalid notes a mistake. The value is left out where it may be a secret.
func (c *compiler) invalid(child string, value any, err error) {
	c.errs = append(c.errs, field.Invalid(c.path.Child(child), value, err.Error()))
}

func (c *compiler) name() string {
	name, err := image.ParseHost(c.Host)
	if err != nil {
		c.invalid("host", c.Host, err)
	}
	if c.InsecureHTTP && name != c.Host && strings.HasSuffix(c.Host, ":443") {
		c.invalid("host", c.Host, errors.New("443 is the port of HTTPS"))
	}
	return name
}

func (c *compiler) host() registry.Host {
	h := registry.Host{PlainHTTP: c.InsecureHTTP, MirrorsOnly: c.MirrorsOnly, RootCAs: c.rootCAs(), Certificate: c.certificate()}
	if c.InsecureHTTP && (c.CABundle != "" || c.CAFile != "" || c.ClientCertificate != nil) {
		c.invalid("insecureHTTP", true, errors.New("plain HTTP has no certificates: caBundle, caFile and clientCertificate do not apply"))
	}
	h.Credentials = c.credentials()
	h.Proxy, h.Direct = c.proxy()
	h.Mirrors = c.mirrors()
	listed, errs := referrals(c.path.Child("refersTo"), c.RefersTo)
	h.RefersTo, c.errs = listed, append(c.errs, errs...)
	if c.MirrorsOnly && len(c.Mirrors) == 0 {
		c.invalid("mirrorsOnly", true, errors.New("there are no mirrors"))
	}
	if c.Signatures != "" {
		repository, err := image.ParseRepository(c.Signatures)
		if err != nil {
			c.invalid("signatures", c.Signatures, err)
		}
		h.Signatures = repository
	}
	return h
}

// rootCAs returns the system's authorities and those of the entry, as Docker and
// containerd have it: the storage that a registry redirects to may be elsewhere.
func (c *compiler) rootCAs() *x509.CertPool {
	bundle, child := []byte(c.CABundle), "caBundle"
	if c.CAFile != "" {
		child = "caFile"
		if c.CABundle != "" {
			c.invalid(child, c.CAFile, errors.New("only one of caFile, caBundle may be set"))
		}
		var err error
		if bundle, err = c.read(c.CAFile); err != nil {
			c.invalid(child, c.CAFile, err)
			return nil
		}
	} else if c.CABundle == "" {
		return nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if err := addCertificates(pool, bundle); err != nil {
		c.invalid(child, field.OmitValueType{}, err)
	}
	return pool
}

// addCertificates adds certificates in PEM form, of which there must be at least
// one; CertPool's own method passes over what it cannot read.
func addCertificates(pool *x509.CertPool, bundle []byte) error {
	found := false
	for {
		var block *pem.Block
		if block, bundle = pem.Decode(bundle); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return fmt.Errorf("holds a %q, where only certificates belong", block.Type)
		}
		parsed, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return errors.New("holds a certificate that cannot be parsed")
		}
		pool.AddCert(parsed)
		found = true
	}
	if !found {
		return errors.New("holds no certificate in PEM form")
	}
	return nil
}

func (c *compiler) certificate() *tls.Certificate {
	if c.ClientCertificate == nil {
		return nil
	}
	var pair [2][]byte
	for i, file := range []struct{ child, name string }{{"certFile", c.ClientCertificate.CertFile}, {"keyFile", c.ClientCertificate.KeyFile}} {
		path := c.path.Child("clientCertificate", file.child)
		if file.name == "" {
			c.errs = append(c.errs, field.Required(path, "a certificate and its key are in two files"))
			return nil
		}
		var err error
		if pair[i], err = c.read(file.name); err != nil {
			c.errs = append(c.errs, field.Invalid(path, file.name, err.Error()))
			return nil
		}
	}
	parsed, err := tls.X509KeyPair(pair[0], pair[1])
	if err != nil {
		c.invalid("clientCertificate", field.OmitValueType{}, err)
		return nil
	}
	return &parsed
}

// credentials returns what the file says of this registry, and of no other that it
// may name.
func (c *compiler) credentials() *keyring.Keyring {
	if c.CredentialsFile == "" {
		return nil
	}
	content, err := c.read(c.CredentialsFile)
	if err != nil {
		c.invalid("credentialsFile", c.CredentialsFile, err)
		return nil
	}
	all, err := keyring.ParseConfigJSON(content)
	if err != nil {
		c.invalid("credentialsFile", c.CredentialsFile, err)
		return nil
	}
	own := all.For(image.NormaliseHost(c.Host))
	if own.IsEmpty() {
		c.invalid("credentialsFile", c.CredentialsFile, errors.New("has nothing about this registry"))
	}
	return keyring.New(keyring.Part{Owner: "those configured for the registry", Config: own})
}

// proxy returns the proxy, or that there is to be none.
func (c *compiler) proxy() (*url.URL, bool) {
	if c.Proxy == "" || c.Proxy == direct {
		return nil, c.Proxy == direct
	}
	address, err := url.Parse(c.Proxy)
	switch {
	case err != nil || address.Host == "" || (address.Scheme != "http" && address.Scheme != "https" && address.Scheme != "socks5"):
		c.invalid("proxy", field.OmitValueType{}, errors.New("must be a URL that begins with http://, https:// or socks5://, or \"direct\""))
	case address.User != nil:
		c.invalid("proxy", field.OmitValueType{}, errors.New("credentials do not belong into this file: leave proxy out, and set HTTPS_PROXY from a Secret"))
	case strings.Trim(address.Path, "/") != "" || address.RawQuery != "" || address.Fragment != "":
		c.invalid("proxy", c.Proxy, errors.New("must have no path, query or fragment"))
	}
	return address, false
}

func (c *compiler) mirrors() []registry.Mirror {
	path := c.path.Child("mirrors")
	if len(c.Mirrors) > maxMirrors {
		c.errs = append(c.errs, field.TooMany(path, len(c.Mirrors), maxMirrors))
		return nil
	}
	var mirrors []registry.Mirror
	seen := map[string]bool{}
	for i, text := range c.Mirrors {
		host, below, _ := strings.Cut(text, "/")
		name, err := image.ParseHost(host)
		if err == nil && (below != "" || strings.HasSuffix(text, "/")) {
			_, err = image.ParseRepository(text)
		}
		switch {
		case err != nil:
			c.errs = append(c.errs, field.Invalid(path.Index(i), text, err.Error()))
		case below == "" && name == image.NormaliseHost(c.Host):
			c.errs = append(c.errs, field.Invalid(path.Index(i), text, "is the registry itself"))
		case seen[name+"/"+below]:
			c.errs = append(c.errs, field.Duplicate(path.Index(i), text))
		}
		seen[name+"/"+below] = true
		mirrors = append(mirrors, registry.Mirror{Host: host, Path: below})
	}
	return mirrors
}

// referrals reads the hosts that a registry may refer to. That there are to be none is
// another thing than that nothing is said.
func referrals(path *field.Path, hosts []string) (registry.Referrals, field.ErrorList) {
	if len(hosts) > maxReferrals {
		return nil, field.ErrorList{field.TooMany(path, len(hosts), maxReferrals)}
	}
	var errs field.ErrorList
	for i, host := range hosts {
		if _, err := image.ParseHost(strings.NewReplacer("*", "x", "?", "x").Replace(host)); err != nil {
			errs = append(errs, field.Invalid(path.Index(i), host, "must be host[:port] in lower case, in whose labels * and ? stand for other characters"))
		}
	}
	return registry.Referrals(hosts), errs
}
