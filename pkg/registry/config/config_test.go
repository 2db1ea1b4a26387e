// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	namesake "github.com/google/go-containerregistry/pkg/name"

	"github.com/countersign-dev/countersign/pkg/registry"
)

const head = "apiVersion: config.countersign.dev/v1alpha1\nkind: RegistryConfig\n"

// newPair returns a self-signed certificate and its key, PEM both.
func newPair(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "corp"}, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	encode := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return encode("CERTIFICATE", der), encode("PRIVATE KEY", pkcs8)
}

// folder writes files to a folder of its own.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		write(t, filepath.Join(dir, name), content)
	}
	return dir
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// indented is text as a block scalar of YAML.
func indented(text string) string {
	return "|\n      " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n      ") + "\n"
}

// shown is what a test compares of a Host.
type shown struct {
	CA, Certificate, PlainHTTP, Direct, MirrorsOnly bool
	Credentials                                     int
	Proxy, Signatures                               string
	Mirrors                                         []registry.Mirror
	RefersTo                                        registry.Referrals
}

func show(hosts registry.Hosts) map[string]shown {
	all := map[string]shown{}
	for name, h := range hosts {
		s := shown{
			CA: h.RootCAs != nil, Certificate: h.Certificate != nil, PlainHTTP: h.PlainHTTP, Direct: h.Direct, MirrorsOnly: h.MirrorsOnly, Mirrors: h.Mirrors,
			RefersTo: h.RefersTo,
		}
		if repository, err := namesake.NewRepository(name + "/team/app"); err == nil {
			s.Credentials = len(h.Credentials.Lookup(repository))
		}
		if h.Proxy != nil {
			s.Proxy = h.Proxy.String()
		}
		if !h.Signatures.IsZero() {
			s.Signatures = h.Signatures.String()
		}
		all[name] = s
	}
	return all
}

func TestTheFileSaysHowRegistriesAreReached(t *testing.T) {
	cert, key := newPair(t)
	dir := folder(t, map[string]string{"ca.pem": cert, "client.pem": cert, "client.key": key,
		"pull.json": `{"auths":{"registry.corp.example:5000":{"username":"u","password":"p"},"registry.corp.example:5000/team":{"username":"t","password":"p"},"https://index.docker.io/v1/":{"username":"h","password":"p"}}}`,
		"registries.yaml": head + `
registries:
- host: registry.corp.example:5000
  credentialsFile: pull.json
  caFile: ca.pem
  clientCertificate: {certFile: client.pem, keyFile: client.key}
  proxy: direct
- host: inline.example
  caBundle: ` + indented(cert) + `
- host: plain.example
  insecureHTTP: true
- host: index.docker.io
  credentialsFile: pull.json
  proxy: http://proxy.corp.example:3128
  mirrors: [registry.corp.example:5000/mirror/hub, cache.example]
  mirrorsOnly: true
  signatures: registry.corp.example:5000/signatures
  refersTo: [auth.docker.io, "*.r2.cloudflarestorage.com", "10.0.0.5:9000"]
- host: 127.0.0.1:5000
  refersTo: []
refersTo: [cdn.example]
`})
	_, hosts, err := Open(filepath.Join(dir, "registries.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]shown{
		"registry.corp.example:5000": {CA: true, Certificate: true, Direct: true, Credentials: 2},
		"inline.example":             {CA: true},
		"plain.example":              {PlainHTTP: true},
		"docker.io": {
			Proxy: "http://proxy.corp.example:3128", MirrorsOnly: true, Credentials: 1, Signatures: "registry.corp.example:5000/signatures",
			Mirrors:  []registry.Mirror{{Host: "registry.corp.example:5000", Path: "mirror/hub"}, {Host: "cache.example"}},
			RefersTo: registry.Referrals{"auth.docker.io", "*.r2.cloudflarestorage.com", "10.0.0.5:9000"},
		},
		"127.0.0.1:5000": {RefersTo: registry.Referrals{}},
		registry.Others:  {RefersTo: registry.Referrals{"cdn.example"}},
	}
	if diff := cmp.Diff(want, show(hosts)); diff != "" {
		t.Errorf("hosts (-want +got):\n%s", diff)
	}
}

func TestMistakesAreToldWithTheirField(t *testing.T) {
	cert, key := newPair(t)
	other, _ := newPair(t)
	dir := folder(t, map[string]string{
		"ca.pem": cert, "key.pem": key, "other.pem": other, "empty.pem": "", "cut.pem": cert[:len(cert)/2],
		"garbage.pem": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "long.pem": strings.Repeat("a", maxFile+1),
		"pull.json": `{"auths":{"other.example":{"username":"u","password":"s3cr3t"}}}`, "broken.json": `{"auths":{"r.example":"s3cr3t`,
	})
	one := func(fields string) string {
		return head + "registries:\n- host: r.example\n  " + strings.ReplaceAll(fields, "\n", "\n  ") + "\n"
	}
	for name, tc := range map[string]struct{ text, says string }{
		"nothing":                         {"", `must be "RegistryConfig"`},
		"another kind":                    {"apiVersion: v1\nkind: ConfigMap\n", `must be "RegistryConfig"`},
		"a field that nobody knows":       {one("mirror: [a.example]"), `unknown field "registries[0].mirror"`},
		"a field in other letters":        {one("cafile: ca.pem"), `unknown field "registries[0].cafile"`},
		"a field twice":                   {one("proxy: direct\nproxy: direct"), "already"},
		"no YAML":                         {"a: [", ""},
		"a text for a list":               {one("mirrors: cache.example"), "mirrors"},
		"a text for a yes":                {one(`insecureHTTP: "yes"`), "insecureHTTP"},
		"no host":                         {head + "registries:\n- caFile: ca.pem\n", "registries[0].host"},
		"a host with a path":              {head + "registries:\n- host: r.example/app\n", "registries[0].host"},
		"a host with a scheme":            {head + "registries:\n- host: https://r.example\n", "registries[0].host"},
		"a host in upper case":            {head + "registries:\n- host: R.example\n", "registries[0].host"},
		"an address in another form":      {head + "registries:\n- host: \"127.1\"\n", "registries[0].host"},
		"a host twice":                    {head + "registries:\n- host: r.example\n- host: r.example\n", "registries[1].host: Duplicate"},
		"a host under two names":          {head + "registries:\n- host: docker.io\n- host: registry-1.docker.io\n", "registries[1].host: Duplicate"},
		"a file that is not there":        {one("caFile: gone.pem"), "registries[0].caFile"},
		"a file without a certificate":    {one("caFile: empty.pem"), "registries[0].caFile: Invalid value: holds no certificate"},
		"a file that is cut":              {one("caFile: cut.pem"), "registries[0].caFile: Invalid value: holds no certificate"},
		"a certificate that is none":      {one("caFile: garbage.pem"), "cannot be parsed"},
		"a key among certificates":        {one("caFile: key.pem"), `holds a "PRIVATE KEY"`},
		"a file without end":              {one("caFile: long.pem"), "larger than"},
		"a file and a text":               {one("caFile: ca.pem\ncaBundle: x"), "registries[0].caFile: Invalid value: \"ca.pem\": only one of"},
		"a text that is no bundle":        {one("caBundle: x"), "registries[0].caBundle"},
		"a certificate without a key":     {one("clientCertificate: {certFile: ca.pem}"), "registries[0].clientCertificate.keyFile: Required"},
		"a key that is not there":         {one("clientCertificate: {certFile: ca.pem, keyFile: gone.pem}"), "registries[0].clientCertificate.keyFile"},
		"a key of another certificate":    {one("clientCertificate: {certFile: other.pem, keyFile: key.pem}"), "registries[0].clientCertificate: Invalid value: tls: private key does not match"},
		"certificates for plain HTTP":     {one("insecureHTTP: true\ncaFile: ca.pem"), "registries[0].insecureHTTP"},
		"plain HTTP on HTTPS's port":      {head + "registries:\n- host: r.example:443\n  insecureHTTP: true\n", "registries[0].host"},
		"credentials that are not there":  {one("credentialsFile: gone.json"), "registries[0].credentialsFile"},
		"credentials of another registry": {one("credentialsFile: pull.json"), `registries[0].credentialsFile: Invalid value: "pull.json": has nothing about this registry`},
		"credentials that are malformed":  {one("credentialsFile: broken.json"), `registries[0].credentialsFile: Invalid value: "broken.json": is not a Docker configuration`},
		"a proxy that is no URL":          {one("proxy: proxy.example:3128"), "registries[0].proxy"},
		"a proxy with a password":         {one("proxy: http://user:s3cr3t@proxy.example:3128"), "registries[0].proxy: Invalid value: credentials"},
		"a proxy with a path":             {one("proxy: http://proxy.example/a"), "registries[0].proxy"},
		"a mirror with a scheme":          {one("mirrors: [https://cache.example]"), "registries[0].mirrors[0]"},
		"a mirror with a tag":             {one("mirrors: [cache.example/a:v1]"), "registries[0].mirrors[0]"},
		"a mirror that ends in /":         {one("mirrors: [cache.example/]"), "registries[0].mirrors[0]"},
		"a mirror of nothing":             {one(`mirrors: [""]`), "registries[0].mirrors[0]"},
		"a mirror that is itself":         {one("mirrors: [r.example:443]"), "registries[0].mirrors[0]: Invalid value: \"r.example:443\": is the registry itself"},
		"a mirror twice":                  {one("mirrors: [cache.example/a, cache.example/a]"), "registries[0].mirrors[1]: Duplicate"},
		"too many mirrors":                {one("mirrors: [a.example, b.example, c.example, d.example, e.example]"), "registries[0].mirrors: Too many"},
		"mirrors alone, of none":          {one("mirrorsOnly: true"), "registries[0].mirrorsOnly"},
		"signatures under a tag":          {one("signatures: r.example/s:v1"), "registries[0].signatures"},
		"signatures of no registry":       {one("signatures: signatures"), "registries[0].signatures"},
		"a referral to a URL":             {one("refersTo: [https://cdn.example]"), "registries[0].refersTo[0]: Invalid value: \"https://cdn.example\": must be host[:port]"},
		"a referral with a path":          {one("refersTo: [cdn.example, cdn.example/a]"), "registries[0].refersTo[1]"},
		"a referral in upper case":        {one("refersTo: [CDN.example]"), "registries[0].refersTo[0]"},
		"a referral to a range":           {one("refersTo: [10.0.0.0/8]"), "registries[0].refersTo[0]"},
		"a referral to a class of letter": {one(`refersTo: ["[ab].example"]`), "registries[0].refersTo[0]"},
		"a referral to nothing":           {one(`refersTo: [""]`), "registries[0].refersTo[0]"},
		"too many referrals":              {one("refersTo: [" + strings.Repeat("a.example, ", maxReferrals) + "a.example]"), "registries[0].refersTo: Too many"},
		"a referral of all to a URL":      {head + "refersTo: [https://cdn.example]\n", "refersTo[0]"},
		"too many registries":             {head + "registries:\n" + strings.Repeat("- host: a.example\n", maxRegistries+1), "registries: Too many"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, "registries.yaml")
			write(t, path, tc.text)
			_, hosts, err := Open(path)
			if err == nil || hosts != nil || !strings.Contains(err.Error(), tc.says) || !strings.HasPrefix(err.Error(), path+": ") {
				t.Errorf("%v, %v; want it to say %q", hosts, err, tc.says)
			}
			if err != nil && (strings.Contains(err.Error(), "s3cr3t") || strings.Contains(err.Error(), "BEGIN")) {
				t.Errorf("it repeats a secret: %v", err)
			}
		})
	}
	t.Run("a file that is not there", func(t *testing.T) {
		if _, _, err := Open(filepath.Join(dir, "gone.yaml")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%v", err)
		}
	})
}

func TestFollowTellsEachChangeOnce(t *testing.T) {
	oldCert, oldKey := newPair(t)
	newCert, newKey := newPair(t)
	dir := folder(t, map[string]string{
		"registries.yaml": head + "registries:\n- host: r.example\n  clientCertificate: {certFile: c.pem, keyFile: k.pem}\n",
		"c.pem":           oldCert, "k.pem": oldKey,
	})
	path := filepath.Join(dir, "registries.yaml")
	file, _, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var mu sync.Mutex
		var told []string
		done := make(chan struct{})
		go func() {
			defer close(done)
			file.Follow(ctx, time.Second, func(hosts registry.Hosts, err error) {
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					told = append(told, "error")
					return
				}
				told = append(told, strings.Join(namesOf(hosts), " "))
			})
		}()
		step := func(what string, want ...string) {
			t.Helper()
			time.Sleep(3*time.Second + time.Millisecond)
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if diff := cmp.Diff(want, told); diff != "" {
				t.Errorf("%s: told (-want +got):\n%s", what, diff)
			}
			told = nil
		}
		step("nothing changed")
		write(t, filepath.Join(dir, "c.pem"), newCert)
		step("the certificate changed, and the key not yet", "error")
		write(t, filepath.Join(dir, "k.pem"), newKey)
		step("the key, too", "r.example")
		write(t, path, "nonsense")
		step("the file is broken", "error")
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		step("the file is gone", "error")
		write(t, path, head+"registries:\n- host: other.example\n")
		step("the file is back", "other.example")
		cancel()
		<-done
	})
}

func namesOf(hosts registry.Hosts) []string {
	var names []string
	for name := range hosts {
		names = append(names, name)
	}
	return names
}

// TestTheDocumentedFileIsValid: what docs/registries.md shows can be used.
func TestTheDocumentedFileIsValid(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "registries.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, shown, found := strings.Cut(string(text), "```yaml\n# registries.yaml\n")
	shown, _, closed := strings.Cut(shown, "```")
	if !found || !closed {
		t.Fatal("docs/registries.md shows no registries.yaml")
	}
	parsed, err := parse([]byte(shown))
	if err != nil {
		t.Fatal(err)
	}
	cert, key := newPair(t)
	hosts, err := compile(parsed, func(name string) ([]byte, error) {
		switch {
		case strings.HasSuffix(name, ".dockerconfigjson"):
			return []byte(`{"auths":{"registry.corp.example:5000":{"username":"u","password":"p"}}}`), nil
		case strings.HasSuffix(name, ".key"):
			return []byte(key), nil
		default:
			return []byte(cert), nil
		}
	})
	if err != nil || len(hosts) != 4 || !hosts["docker.io"].MirrorsOnly || hosts["registry.corp.example:5000"].Certificate == nil {
		t.Errorf("%v, %v", hosts, err)
	}
}
