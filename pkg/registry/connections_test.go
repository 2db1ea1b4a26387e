// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign-dev/countersign/pkg/verify"
)

// names resolves host names to addresses, as a name server that the test holds: a
// name that it does not know does not exist.
func names(addresses map[string]string) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go answerNames(server, addresses)
		return client, nil
	}}
}

// answerNames speaks DNS over a stream (RFC 1035, 4.2.2), for questions of type A.
func answerNames(conn net.Conn, addresses map[string]string) {
	defer conn.Close()
	for {
		var length uint16
		if binary.Read(conn, binary.BigEndian, &length) != nil {
			return
		}
		query := make([]byte, length)
		if _, err := io.ReadFull(conn, query); err != nil {
			return
		}
		var labels []string
		at := 12
		for query[at] != 0 {
			labels = append(labels, string(query[at+1:at+1+int(query[at])]))
			at += 1 + int(query[at])
		}
		question := query[12 : at+5]
		isA := binary.BigEndian.Uint16(query[at+1:]) == 1
		address, known := addresses[strings.Join(labels, ".")]
		flags := uint16(0x8180)
		if !known {
			flags |= 3 // NXDOMAIN
		}
		answer := binary.BigEndian.AppendUint16(append([]byte{}, query[:2]...), flags)
		answers := uint16(0)
		if known && isA {
			answers = 1
		}
		for _, count := range []uint16{1, answers, 0, 0} {
			answer = binary.BigEndian.AppendUint16(answer, count)
		}
		answer = append(answer, question...)
		if answers == 1 {
			answer = append(answer, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
			answer = append(answer, netip.MustParseAddr(address).AsSlice()...)
		}
		if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)); err != nil {
			return
		}
	}
}

// TestWhatANameResolvesToIsCheckedWhenItIsDialled: a name says nothing of the
// address that it has at that moment, and it may have had another one before.
func TestWhatANameResolvesToIsCheckedWhenItIsDialled(t *testing.T) {
	resolver := names(map[string]string{
		"local.example": "127.0.0.1", "metadata.example": "169.254.169.254", "unspecified.example": "0.0.0.0", "azure.example": "168.63.129.16",
	})
	for name, tc := range map[string]struct {
		host    string
		named   bool
		refused bool
	}{
		"a registry's name that leads to this machine":                     {"local.example", false, true},
		"a named registry's name that leads to this machine":               {"local.example", true, false},
		"a registry's name that leads to this machine by another address":  {"unspecified.example", false, true},
		"a registry's name that leads to the metadata service":             {"metadata.example", false, true},
		"a named registry's name that leads to the metadata service":       {"metadata.example", true, true},
		"a named registry's name that leads to another's metadata service": {"azure.example", true, true},
		"a registry that is this machine, and that nobody named":           {"127.0.0.1", false, true},
		"a registry that is this machine":                                  {"127.0.0.1", true, false},
		"a registry that is the metadata service, and that nobody named":   {"169.254.169.254", false, true},
		"localhost, that nobody named":                                     {"localhost", false, true},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.on(latest, withDigest(ociManifest, subject))
			_, port, err := net.SplitHostPort(f.host())
			if err != nil {
				t.Fatal(err)
			}
			host := tc.host + ":" + port
			options := Options{dialer: net.Dialer{Resolver: resolver}}
			if tc.named {
				options.InsecureRegistries = []string{host}
			}
			_, err = New(options).Resolve(t.Context(), parse(t, host+"/org/app"))
			if want := map[bool]verify.Reason{true: verify.RegistryUnavailable}[tc.refused]; reasonOf(t, err) != want || errors.Is(err, errRefused) != tc.refused {
				t.Errorf("%v, want refused = %v", err, tc.refused)
			}
			if tc.refused && len(f.requests()) != 0 {
				t.Error("it was asked")
			}
		})
	}
}

// TestARegistryLeadsToNoHostOfOurOwn, by whatever name, and however it says so.
func TestARegistryLeadsToNoHostOfOurOwn(t *testing.T) {
	victim := newFake(t)
	victim.on("/secret", serve(ociManifest, "{}"))
	_, port, err := net.SplitHostPort(victim.host())
	if err != nil {
		t.Fatal(err)
	}
	resolver := names(map[string]string{"registry.example": "127.0.0.1", "innocent.example": "127.0.0.1", "cloud.example": "169.254.169.254"})
	for name, target := range map[string]string{
		"by its address":                           "http://127.0.0.1:" + port,
		"by its name":                              "http://localhost:" + port,
		"by a name that resolves to it":            "http://innocent.example:" + port,
		"by an address in other digits":            "http://2130706433:" + port,
		"by a short address":                       "http://127.1:" + port,
		"by an address in IPv6":                    "http://[::1]:" + port,
		"by an address in IPv6 that stands for it": "http://[::ffff:127.0.0.1]:" + port,
		"the metadata service":                     "http://169.254.169.254",
		"the metadata service by name":             "http://cloud.example",
	} {
		for how, answer := range map[string]func(f *fake){
			"in a redirect of the manifest": func(f *fake) { f.on(latest, redirect(target+"/secret")) },
			"in a redirect of the ping":     func(f *fake) { f.on("/v2/", redirect(target+"/secret")) },
			"as who issues tokens": func(f *fake) {
				f.on("/v2/", func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("WWW-Authenticate", `Bearer realm="`+target+`/secret"`)
					w.WriteHeader(http.StatusUnauthorized)
				})
			},
		} {
			t.Run(name+", "+how, func(t *testing.T) {
				f := newFake(t)
				answer(f)
				_, registryPort, err := net.SplitHostPort(f.host())
				if err != nil {
					t.Fatal(err)
				}
				// Everything is named, so that the rule about plain HTTP refuses nothing.
				hosts := []string{"registry.example:" + registryPort, strings.TrimPrefix(target, "http://")}
				client := New(Options{InsecureRegistries: hosts, dialer: net.Dialer{Resolver: resolver}})
				_, err = client.Resolve(t.Context(), parse(t, hosts[0]+"/org/app"))
				if reasonOf(t, err) != verify.RegistryUnavailable {
					t.Errorf("%v", err)
				}
				if asked := victim.requests(); len(asked) != 0 {
					t.Errorf("it was asked %v", asked)
				}
			})
		}
	}
}

func TestCheckAddress(t *testing.T) {
	stranger, local, inside := route{}, route{local: true, inside: true}, route{inside: true}
	cases := map[string]struct {
		address string
		written string
		route   route
		refused bool
	}{
		"a public address":                                {"192.0.2.1:443", "", stranger, false},
		"a public address in IPv6":                        {"[2001:db8::1]:443", "", stranger, false},
		"a private address":                               {"10.0.0.5:9000", "", stranger, true},
		"another private address":                         {"172.31.255.255:443", "", stranger, true},
		"what is not private any more":                    {"172.32.0.1:443", "", stranger, false},
		"a home network":                                  {"192.168.1.1:443", "", stranger, true},
		"a Pod's shared address":                          {"100.64.0.1:443", "", stranger, true},
		"what is not shared any more":                     {"100.128.0.1:443", "", stranger, false},
		"a unique local address":                          {"[fd12::1]:443", "", stranger, true},
		"a site-local address":                            {"[fec0::1]:443", "", stranger, true},
		"a private address dressed as IPv6":               {"[::ffff:10.0.0.5]:443", "", stranger, true},
		"a private address behind NAT64":                  {"[64:ff9b::a00:5]:443", "", stranger, true},
		"a private address behind a network's own NAT64":  {"[64:ff9b:1::a00:5]:443", "", stranger, true},
		"a private address by 6to4":                       {"[2002:a00:5::1]:443", "", stranger, true},
		"a private address as IPv4-compatible":            {"[::10.0.0.5]:443", "", stranger, true},
		"an address by Teredo":                            {"[2001:0:1::1]:443", "", stranger, true},
		"a reserved address":                              {"240.0.0.1:443", "", stranger, true},
		"this network":                                    {"0.1.2.3:443", "", stranger, true},
		"a private address for who may":                   {"10.0.0.5:9000", "", inside, false},
		"a unique local address for who may":              {"[fd12::1]:443", "", inside, false},
		"loopback for who may only be inside":             {"127.0.0.1:80", "", inside, true},
		"the metadata service for who may only be inside": {"169.254.169.254:80", "169.254.169.254", inside, true},
		"loopback":                                          {"127.0.0.1:80", "", stranger, true},
		"loopback in IPv6":                                  {"[::1]:80", "", stranger, true},
		"loopback dressed as IPv6":                          {"[::ffff:127.0.0.1]:80", "", stranger, true},
		"the unspecified address":                           {"0.0.0.0:80", "", stranger, true},
		"loopback for who may":                              {"127.0.0.1:80", "", local, false},
		"the metadata service":                              {"169.254.169.254:80", "", stranger, true},
		"the metadata service for who may":                  {"169.254.169.254:443", "", local, true},
		"the metadata service, written out":                 {"169.254.169.254:443", "169.254.169.254", stranger, true},
		"link-local, written out, for who may":              {"169.254.7.7:443", "169.254.7.7", local, false},
		"link-local, where another is written, for who may": {"169.254.169.254:443", "169.254.7.7", local, true},
		"the metadata service in IPv6":                      {"[fd00:ec2::254]:443", "", local, true},
		"another cloud's metadata service":                  {"100.100.100.200:443", "", local, true},
		"the metadata service behind NAT64":                 {"[64:ff9b::a9fe:a9fe]:443", "", local, true},
		"the metadata service behind a network's own NAT64": {"[64:ff9b:1::a9fe:a9fe]:443", "", local, true},
		"the metadata service by 6to4":                      {"[2002:a9fe:a9fe::1]:443", "", local, true},
		"the metadata service as IPv4-compatible":           {"[::169.254.169.254]:443", "", local, true},
		"Google's metadata service in IPv6":                 {"[fd20:ce::254]:443", "", local, true},
		"loopback behind NAT64":                             {"[64:ff9b::7f00:1]:443", "", stranger, true},
		"a public address behind NAT64":                     {"[64:ff9b::c000:201]:443", "", stranger, false},
		"link-local with a zone":                            {"[fe80::1%eth0]:443", "", local, true},
		"no address":                                        {"somewhere", "", local, true},
	}
	via := &connections{zone: zoneOf}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			written, _ := netip.ParseAddr(tc.written)
			if err := via.checkAddress("host.example", tc.address, written, tc.route); errors.Is(err, errRefused) != tc.refused {
				t.Errorf("%v, want refused = %v", err, tc.refused)
			}
		})
	}
}

func TestRoutes(t *testing.T) {
	corporate, err := url.Parse("http://proxy.corp.example:3128")
	if err != nil {
		t.Fatal(err)
	}
	environment, err := url.Parse("http://egress.example:8080")
	if err != nil {
		t.Fatal(err)
	}
	certificate, _ := clientCertificate(t)
	hosts := Hosts{
		"registry.example:5000": {Certificate: &certificate, Direct: true},
		"plain.example":         {PlainHTTP: true, Direct: true},
		"localhost:5000":        {PlainHTTP: true},
		"proxied.example":       {Proxy: corporate},
		"auth.example":          {Certificate: &certificate},
		"docker.io":             {Direct: true},
	}
	via := &connections{
		hosts: hosts, named: hosts.named(), limits: DefaultLimits(), zone: zoneOf,
		proxy: func(*http.Request) (*url.URL, error) { return environment, nil },
	}
	const home = "registry.example:5000"
	for name, tc := range map[string]struct {
		url, home string
		want      route
		refused   bool
	}{
		"the registry itself":                         {"https://registry.example:5000/v2/", home, route{settings: home, presents: true, local: true, inside: true}, false},
		"the registry's host on another port":         {"https://registry.example/v2/", home, route{settings: home, local: true}, false},
		"another host, as the registry is":            {"https://storage.example/blob", home, route{settings: home}, false},
		"another host with settings of its own":       {"https://proxied.example/blob", home, route{settings: "proxied.example", proxy: corporate.String()}, false},
		"another host, whose certificate stays here":  {"https://auth.example/token", home, route{settings: "auth.example", proxy: environment.String()}, false},
		"that host, as a registry":                    {"https://auth.example/v2/", "auth.example", route{settings: "auth.example", presents: true, local: true, inside: true, proxy: environment.String()}, false},
		"that host under its other spelling":          {"https://auth.example:443/v2/", "auth.example:443", route{settings: "auth.example", presents: true, local: true, inside: true, proxy: environment.String()}, false},
		"a registry that nobody named":                {"https://ghcr.io/v2/", "ghcr.io", route{inside: true, proxy: environment.String()}, false},
		"Docker Hub by the name that it answers to":   {"https://index.docker.io/v2/", "index.docker.io", route{settings: "docker.io", presents: false, local: true, inside: true}, false},
		"through a proxy of its own":                  {"https://proxied.example/v2/", "proxied.example", route{settings: "proxied.example", local: true, inside: true, proxy: corporate.String()}, false},
		"where that one refers to":                    {"https://cdn.example/v2/", "proxied.example", route{settings: "proxied.example", proxy: corporate.String()}, false},
		"the registry by plain HTTP":                  {"http://registry.example:5000/v2/", home, route{}, true},
		"another host by plain HTTP":                  {"http://storage.example/blob", home, route{}, true},
		"a host named for plain HTTP by plain HTTP":   {"http://plain.example/v2/", home, route{settings: "plain.example"}, false},
		"a host named for plain HTTP by TLS":          {"https://plain.example/v2/", home, route{}, true},
		"that host on the port of HTTPS, in plain":    {"http://plain.example:443/v2/", home, route{}, true},
		"this machine":                                {"https://localhost/v2/", home, route{}, true},
		"this machine, though that is named":          {"http://localhost:5000/v2/", home, route{}, true},
		"this machine by address":                     {"https://127.0.0.1/v2/", home, route{}, true},
		"this machine by IPv6 address":                {"https://[::1]/v2/", home, route{}, true},
		"this machine as the registry, named":         {"http://localhost:5000/v2/", "localhost:5000", route{settings: "localhost:5000", local: true, inside: true, proxy: environment.String()}, false},
		"this machine as the registry, not named":     {"https://localhost:5001/v2/", "localhost:5001", route{}, true},
		"the metadata service":                        {"https://169.254.169.254/", home, route{}, true},
		"the metadata service as registry, not named": {"https://169.254.169.254/", "169.254.169.254", route{}, true},
		"another scheme":                              {"gopher://storage.example/", home, route{}, true},
	} {
		t.Run(name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, tc.url, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			got, err := via.route(req, journey{home: tc.home, last: &sighting{}})
			if refused := errors.Is(err, errRefused) || errors.Is(err, errGuess); refused != tc.refused || (err != nil) != tc.refused {
				t.Fatalf("%v, want refused = %v", err, tc.refused)
			}
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(route{})); diff != "" {
				t.Errorf("route (-want +got):\n%s", diff)
			}
		})
	}
}

func TestARequestOnNobodysBehalfIsNotMade(t *testing.T) {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://registry.example/v2/", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&guard{}).RoundTrip(req)
	if err == nil {
		_ = resp.Body.Close()
	}
	if !errors.Is(err, errNoJourney) {
		t.Errorf("%v", err)
	}
}

func TestRequestsTakeTheProxyOfTheirRegistry(t *testing.T) {
	f := newFake(t)
	f.on(latest, withDigest(ociManifest, subject))
	seen, address := newProxy(t, map[string]string{"registry.invalid:5000": f.host()})
	// Nobody can resolve the name but the proxy.
	const host = "registry.invalid:5000"
	hosts := Hosts{host: {PlainHTTP: true, Proxy: address}}
	if got, err := New(Options{Hosts: hosts}).Resolve(t.Context(), parse(t, host+"/org/app")); err != nil || got != subject || seen.Load() == 0 {
		t.Errorf("%q, %v after %d requests to the proxy", got, err, seen.Load())
	}
	t.Run("and not another's", func(t *testing.T) {
		if _, err := New(Options{InsecureRegistries: []string{host}}).Resolve(t.Context(), parse(t, host+"/org/app")); reasonOf(t, err) != verify.RegistryUnavailable {
			t.Errorf("%v", err)
		}
	})
	t.Run("as the environment says", func(t *testing.T) {
		client := New(Options{InsecureRegistries: []string{host}, proxy: http.ProxyURL(address)})
		if got, err := client.Resolve(t.Context(), parse(t, host+"/org/app")); err != nil || got != subject {
			t.Errorf("%q, %v", got, err)
		}
	})
	t.Run("unless it has none", func(t *testing.T) {
		client := New(Options{Hosts: Hosts{host: {PlainHTTP: true, Direct: true}}, proxy: http.ProxyURL(address)})
		if _, err := client.Resolve(t.Context(), parse(t, host+"/org/app")); reasonOf(t, err) != verify.RegistryUnavailable {
			t.Errorf("%v", err)
		}
	})
	t.Run("which does not lead to hosts of our own", func(t *testing.T) {
		seen.Store(0)
		client := New(Options{proxy: http.ProxyURL(address)})
		if _, err := client.Resolve(t.Context(), parse(t, "169.254.169.254/org/app")); reasonOf(t, err) != verify.RegistryUnavailable || seen.Load() != 0 {
			t.Errorf("%v after %d requests to the proxy", err, seen.Load())
		}
	})
}
