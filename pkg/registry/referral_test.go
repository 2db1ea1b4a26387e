// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/countersign-dev/countersign/pkg/image"
	"github.com/countersign-dev/countersign/pkg/verify"
)

// internet is a number of fakes under names, of which everybody but the test takes
// loopback for addresses of a zone. All are named for plain HTTP, so that nothing is
// refused for that.
type internet struct {
	t     *testing.T
	home  *fake
	hosts Hosts
	names map[string]string
	fakes map[string]*fake
	seen  exchanges
	// loopback is the zone that loopback is taken for.
	loopback atomic.Int32
}

func newInternet(t *testing.T) *internet {
	t.Helper()
	i := &internet{t: t, hosts: Hosts{}, names: map[string]string{}, fakes: map[string]*fake{}}
	_, i.home = i.add("registry.example")
	return i
}

// add starts a fake, and returns its host[:port].
func (i *internet) add(called string) (string, *fake) {
	i.t.Helper()
	f := newFake(i.t)
	host := called + f.host()[strings.LastIndexByte(f.host(), ':'):]
	i.names[called], i.fakes[host] = "127.0.0.1", f
	i.hosts[host] = Host{PlainHTTP: true}
	return host, f
}

func (i *internet) host() string {
	for host, f := range i.fakes {
		if f == i.home {
			return host
		}
	}
	return ""
}

func (i *internet) client(chain authn.Keychain) *Client {
	return New(Options{
		Hosts: i.hosts, Keychain: chain, Trace: i.seen.add, dialer: net.Dialer{Resolver: names(i.names)},
		zone: func(a netip.Addr) zone {
			if plain(a).IsLoopback() {
				return zone(i.loopback.Load())
			}
			return zoneOf(a)
		},
	})
}

func (i *internet) ref() image.Reference { return parse(i.t, i.host()+"/org/app") }

// look resolves the tag and reads the signatures, and returns the error of either.
func (i *internet) look(c *Client) ([]verify.Signature, error) {
	if _, err := c.Resolve(i.t.Context(), i.ref()); err != nil {
		return nil, err
	}
	return c.Signatures(i.t.Context(), i.ref(), subject, Source{})
}

func challengeBy(realm string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="`+realm+`",service="x"`)
		w.WriteHeader(http.StatusUnauthorized)
	}
}

// whoRefers are the ways in which a registry can send us to an address. The fake holds
// an image with a signature until then.
func whoRefers(f *fake, between string, hop *fake) map[string]func(target string) {
	return map[string]func(target string){
		"in a redirect of the manifest": func(target string) { f.on(latest, redirect(target)) },
		"in a redirect of a signature": func(target string) {
			f.on(repo+"blobs/"+describeContent("", "good").Digest, redirect(target))
		},
		"in a redirect of the signatures": func(target string) { f.on(legacyPath, redirect(target)) },
		"in a redirect of the referrers": func(target string) {
			f.on(apiPath, redirect(strings.TrimSuffix(target, "/secret")+apiPath))
		},
		"in a redirect of the ping": func(target string) { f.on("/v2/", redirect(target)) },
		"as who issues tokens":      func(target string) { f.on("/v2/", challengeBy(target)) },
		"in a redirect of who issues tokens": func(target string) {
			f.on("/v2/", challengeBy("http://"+between+"/token"))
			hop.on("/token", redirect(target))
		},
		"by way of another host": func(target string) {
			f.on(latest, redirect("http://"+between+"/hop"))
			hop.on("/hop", redirect(target))
		},
		"by way of another host, as who issues its tokens": func(target string) {
			f.on("/v2/", challengeBy("http://"+between+"/token"))
			hop.on("/token", serve("application/json", `{"token":"t"}`))
			f.on(latest, redirect("http://"+between+"/hop"))
			hop.on("/hop", challengeBy(target))
		},
	}
}

// TestARegistryLeadsToNoPrivateAddress from outside, by whatever name, and however it
// says so. That it is refused, and not tried in vain, shows in what is traced.
func TestARegistryLeadsToNoPrivateAddress(t *testing.T) {
	targets := map[string]string{
		"by its address":                             "10.1.2.3",
		"by a name that resolves to it":              "inside.example",
		"a cluster's Pod, by name":                   "pod.example",
		"a neighbour of the registry's, by its name": "neighbour.example",
		"by an address in hexadecimal":               "0x0a010203",
		"by an address as one number":                "167838211",
		"by a short address":                         "10.66051",
		"by an address with a dot behind it":         "10.1.2.3.",
		"by a unique local address":                  "[fd12:3456::1]",
		"by an IPv6 address that stands for it":      "[::ffff:10.1.2.3]",
		"behind NAT64":                               "[64:ff9b::a01:203]",
		"by 6to4":                                    "[2002:a01:203::1]",
		"the metadata service":                       "169.254.169.254",
		"the metadata service by name":               "cloud.example",
	}
	for name, target := range targets {
		for _, how := range slices.Sorted(maps.Keys(whoRefers(nil, "", nil))) {
			t.Run(name+", "+how, func(t *testing.T) {
				i := newInternet(t)
				maps.Copy(i.names, map[string]string{
					"inside.example": "10.1.2.3", "pod.example": "100.64.7.7", "neighbour.example": "192.168.0.9", "cloud.example": "169.254.169.254",
				})
				between, hop := i.add("public.example")
				i.hosts[target] = Host{PlainHTTP: true}
				i.home.on(latest, withDigest(ociManifest, subject))
				i.home.legacyTag(i.home.legacyLayer("good"))
				whoRefers(i.home, between, hop)[how]("http://" + target + "/secret")
				_, err := i.look(i.client(nil))
				if reasonOf(t, err) != verify.RegistryUnavailable && reasonOf(t, err) != verify.RegistryUnauthorized {
					t.Errorf("%v", err)
				}
				for _, x := range i.seen.all {
					if strings.Contains(x.URL, target) && (x.Status != 0 || !strings.HasPrefix(x.Problem, "refused: ")) {
						t.Errorf("it was tried: %+v", x)
					}
				}
			})
		}
	}
}

// TestWhoIsInsideMayReferInside: a company's registry has its storage and its token
// server next to it. What is reached by way of somebody outside is outside.
func TestWhoIsInsideMayReferInside(t *testing.T) {
	i := newInternet(t)
	i.loopback.Store(int32(private))
	storage, blobs := i.add("minio.corp.example")
	tokens, issuer := i.add("auth.corp.example")
	i.home.on("/v2/", challengeBy("http://"+tokens+"/token"))
	issuer.on("/token", serve("application/json", `{"token":"good"}`))
	i.home.on(latest, withDigest(ociManifest, subject))
	layer := i.home.legacyLayer("good")
	i.home.legacyTag(layer)
	i.home.on(repo+"blobs/"+layer.Digest, redirect("http://"+storage+"/signed"))
	blobs.on("/signed", serve("", "good"))
	found, err := i.look(i.client(nil))
	if diff := cmp.Diff([]string{"legacy good (sig of good)"}, texts(found)); err != nil || diff != "" {
		t.Errorf("%v, (-want +got)\n%s", err, diff)
	}
}

// TestWhoIsReachedByWayOfSomebodyOutsideIsOutside: that it began inside is no matter.
func TestWhoIsReachedByWayOfSomebodyOutsideIsOutside(t *testing.T) {
	i := newInternet(t)
	i.loopback.Store(int32(private))
	i.names["inside.example"] = "10.1.2.3"
	i.hosts["inside.example"] = Host{PlainHTTP: true}
	outside, hop := i.add("public.example")
	i.home.on(latest, func(w http.ResponseWriter, r *http.Request) {
		i.loopback.Store(int32(public)) // for all that is connected to from now on
		redirect("http://"+outside+"/hop")(w, r)
	})
	hop.on("/hop", redirect("http://inside.example/secret"))
	if _, err := i.look(i.client(nil)); !errors.Is(err, errRefused) || len(hop.requests()) != 1 {
		t.Errorf("%v", err)
	}
}

// TestWhatKnownRegistriesReferToIsReached: where those that people use send a client,
// and by which status. None of it has to be configured.
func TestWhatKnownRegistriesReferToIsReached(t *testing.T) {
	signature := describeContent("", "good").Digest
	through := func(code int, base string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", base+r.URL.Path+"?rid=1")
			w.WriteHeader(code)
		}
	}
	image := func(f *fake) {
		f.on(latest, withDigest(ociManifest, subject))
		f.legacyTag(f.legacyLayer("good"))
	}
	for name, world := range map[string]func(i *internet, other string, f *fake){
		"a token server elsewhere, as Docker Hub's": func(i *internet, other string, f *fake) {
			image(i.home)
			i.home.on("/v2/", challengeBy("http://"+other+"/token"))
			f.on("/token", serve("application/json", `{"token":"good"}`))
		},
		"blobs in storage elsewhere by 307, as GitHub's, ECR's, ACR's, Harbor's on S3": func(i *internet, other string, f *fake) {
			image(i.home)
			i.home.on(repo+"blobs/"+signature, redirect("http://"+other+"/bucket/x?X-Amz-Signature=1"))
			f.on("/bucket/x", serve("", "good"))
		},
		"blobs by 302": func(i *internet, other string, f *fake) {
			image(i.home)
			i.home.on(repo+"blobs/"+signature, through(http.StatusFound, "http://"+other))
			f.on(repo+"blobs/"+signature, serve("", "good"))
		},
		"blobs by 303": func(i *internet, other string, f *fake) {
			image(i.home)
			i.home.on(repo+"blobs/"+signature, through(http.StatusSeeOther, "http://"+other))
			f.on(repo+"blobs/"+signature, serve("", "good"))
		},
		"blobs by way of a second redirect": func(i *internet, other string, f *fake) {
			image(i.home)
			i.home.on(repo+"blobs/"+signature, through(http.StatusTemporaryRedirect, "http://"+other))
			third, storage := i.add("cdn.example")
			f.on(repo+"blobs/"+signature, redirect("http://"+third+"/x"))
			storage.on("/x", serve("", "good"))
		},
		"everything but the ping by 307, as registry.k8s.io": func(i *internet, other string, f *fake) {
			image(f)
			for _, path := range []string{latest, legacyPath, apiPath, fallbackPath, repo + "blobs/" + signature} {
				i.home.on(path, through(http.StatusTemporaryRedirect, "http://"+other))
			}
			f.list()
		},
		"everything by 308, as one that has moved": func(i *internet, other string, f *fake) {
			image(f)
			for _, path := range []string{"/v2/", latest, legacyPath, apiPath, fallbackPath, repo + "blobs/" + signature} {
				i.home.on(path, through(http.StatusPermanentRedirect, "http://"+other))
			}
		},
		"manifests at another registry that wants an anonymous token, as names of Scarf's": func(i *internet, other string, f *fake) {
			image(f)
			tokens, issuer := i.add("auth.example")
			guarded := func(next http.HandlerFunc) http.HandlerFunc {
				return func(w http.ResponseWriter, r *http.Request) {
					if r.Header.Get("Authorization") != "Bearer theirs" {
						challengeBy("http://"+tokens+"/token")(w, r)
						return
					}
					next(w, r)
				}
			}
			i.home.on("/v2/", challengeBy("http://"+i.host()+"/token"))
			i.home.on("/token", serve("application/json", `{"token":"ours"}`))
			issuer.on("/token", serve("application/json", `{"token":"theirs"}`))
			for _, path := range []string{latest, legacyPath, repo + "blobs/" + signature} {
				i.home.on(path, through(http.StatusTemporaryRedirect, "http://"+other))
				f.on(path, guarded(f.routes[path]))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			i := newInternet(t)
			other, f := i.add("elsewhere.example")
			world(i, other, f)
			found, err := i.look(i.client(nil))
			if diff := cmp.Diff([]string{"legacy good (sig of good)"}, texts(found)); err != nil || diff != "" {
				t.Errorf("%v, (-want +got)\n%s\n%s", err, diff, strings.Join(i.seen.texts(nil), "\n"))
			}
		})
	}
}

// TestOnlyTheHostsThatAreListedAreReferredTo, where there is a list.
func TestOnlyTheHostsThatAreListedAreReferredTo(t *testing.T) {
	for name, tc := range map[string]struct {
		entry, others Referrals
		refused       bool
	}{
		"no list":                                 {nil, nil, false},
		"an empty list":                           {Referrals{}, nil, true},
		"a list with the host":                    {Referrals{"storage.example:PORT"}, nil, false},
		"a list with a glob for it":               {Referrals{"*.example:PORT"}, nil, false},
		"a list with another port":                {Referrals{"storage.example"}, nil, true},
		"a list with its parent":                  {Referrals{"example:PORT"}, nil, true},
		"a list with what it ends in":             {Referrals{"age.example:PORT"}, nil, true},
		"a glob for more labels":                  {Referrals{"*.*.example:PORT"}, nil, true},
		"a list with others":                      {Referrals{"cdn.example:PORT"}, nil, true},
		"a list for those that have none":         {nil, Referrals{"storage.example:PORT"}, false},
		"a list without it for those":             {nil, Referrals{"cdn.example"}, true},
		"nothing for those that have none":        {nil, Referrals{}, true},
		"its own list, and another for those":     {Referrals{"storage.example:PORT"}, Referrals{}, false},
		"its own list that is shorter than those": {Referrals{}, Referrals{"storage.example:PORT"}, true},
	} {
		for _, how := range []string{"in a redirect of a signature", "as who issues tokens", "in a redirect of the ping"} {
			t.Run(name+", "+how, func(t *testing.T) {
				i := newInternet(t)
				storage, f := i.add("storage.example")
				port := storage[strings.LastIndexByte(storage, ':')+1:]
				withPort := func(list Referrals) Referrals {
					list = slices.Clone(list)
					for n := range list {
						list[n] = strings.ReplaceAll(list[n], "PORT", port)
					}
					return list
				}
				i.hosts[i.host()] = Host{PlainHTTP: true, RefersTo: withPort(tc.entry)}
				i.hosts[Others] = Host{RefersTo: withPort(tc.others)}
				i.home.on(latest, withDigest(ociManifest, subject))
				i.home.legacyTag(i.home.legacyLayer("good"))
				f.on("/secret", serve("application/json", "good"))
				if how == "as who issues tokens" {
					f.on("/secret", serve("application/json", `{"token":"good"}`))
				}
				whoRefers(i.home, "", nil)[how]("http://" + storage + "/secret")
				_, err := i.look(i.client(nil))
				if errors.Is(err, errRefused) != tc.refused || (err == nil) == tc.refused || (len(f.requests()) == 0) != tc.refused {
					t.Errorf("%v, want refused = %v", err, tc.refused)
				}
				if tc.refused && !strings.Contains(err.Error(), "refersTo") {
					t.Errorf("it does not say what to change: %v", err)
				}
			})
		}
	}
}

// identity is an identity token, as docker login leaves for Azure's registries.
type identity struct{}

func (identity) Resolve(authn.Resource) (authn.Authenticator, error) {
	return authn.FromConfig(authn.AuthConfig{Username: "<token>", IdentityToken: "s3cr3t"}), nil
}

// TestWhoIssuesTokensCannotPassOnAPassword: an identity token is in the body of a
// request, which a client sends again where a 307 leads to.
func TestWhoIssuesTokensCannotPassOnAPassword(t *testing.T) {
	for name, chain := range map[string]authn.Keychain{"an identity token": identity{}, "a password": keychain{host: "registry.example"}} {
		for _, code := range []int{http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
			t.Run(fmt.Sprint(name, " by ", code), func(t *testing.T) {
				i := newInternet(t)
				thief, f := i.add("thief.example")
				f.on("/token", serve("application/json", `{"token":"good"}`))
				// At home, and looking like a question, which may be redirected.
				realm := "http://" + i.host() + repo + "blobs/" + subject
				i.home.on("/v2/", challengeBy(realm))
				i.home.on(repo+"blobs/"+subject, func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Location", "http://"+thief+"/token")
					w.WriteHeader(code)
				})
				if k, ok := chain.(keychain); ok {
					k.host = i.host()
					chain = k
				}
				_, err := i.look(i.client(chain))
				if asked := f.requests(); len(asked) != 0 || !errors.Is(err, errRefused) {
					t.Errorf("%v; asked %q", err, asked)
				}
			})
		}
	}
}

func TestReferrals(t *testing.T) {
	for name, tc := range map[string]struct {
		list Referrals
		host string
		want bool
	}{
		"the host":                       {Referrals{"auth.docker.io"}, "auth.docker.io", true},
		"the host in other letters":      {Referrals{"auth.docker.io"}, "AUTH.docker.io", true},
		"the port of HTTPS":              {Referrals{"auth.docker.io"}, "auth.docker.io:443", true},
		"the port of HTTPS in the list":  {Referrals{"auth.docker.io:443"}, "auth.docker.io", true},
		"another port":                   {Referrals{"auth.docker.io"}, "auth.docker.io:8443", false},
		"a host below":                   {Referrals{"docker.io"}, "auth.docker.io", false},
		"one label":                      {Referrals{"*.blob.core.windows.net"}, "x1.blob.core.windows.net", true},
		"two labels for one":             {Referrals{"*.windows.net"}, "x1.blob.core.windows.net", false},
		"part of a label":                {Referrals{"prod-*-starport-layer-bucket.s3.eu-west-1.amazonaws.com"}, "prod-eu-west-1-starport-layer-bucket.s3.eu-west-1.amazonaws.com", true},
		"a host that begins as a listed": {Referrals{"cdn.example"}, "cdn.example.evil", false},
		"a host that ends as a listed":   {Referrals{"cdn.example"}, "evilcdn.example", false},
		"an address":                     {Referrals{"10.0.0.1:9000"}, "10.0.0.1:9000", true},
		"nothing":                        {Referrals{}, "cdn.example", false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := tc.list.include(tc.host); got != tc.want {
				t.Errorf("%v", got)
			}
		})
	}
}

// TestWhoIsListedMayBeInside: whoever names a host has looked.
func TestWhoIsListedMayBeInside(t *testing.T) {
	hosts := Hosts{"registry.example": {RefersTo: Referrals{"minio.corp.example", "10.1.2.3:9000"}}}
	via := &connections{
		hosts: hosts, limits: DefaultLimits(), zone: zoneOf, proxy: http.ProxyFromEnvironment,
	}
	for target, inside := range map[string]bool{
		"https://minio.corp.example/x": true, "https://10.1.2.3:9000/x": true, "https://10.1.2.4:9000/x": false,
		"https://registry.example:443/x": true, "https://REGISTRY.example/x": true, "https://registry.example:8443/x": false,
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r, err := via.route(req, journey{home: "registry.example", last: &sighting{}})
		if (err == nil) != inside || r.inside != inside || r.local {
			t.Errorf("%s: %+v, %v", target, r, err)
		}
	}
}
