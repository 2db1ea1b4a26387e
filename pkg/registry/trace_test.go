// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"

	"github.com/countersign-dev/countersign/pkg/verify"
)

// exchanges collects what a client traces.
type exchanges struct {
	mu  sync.Mutex
	all []Exchange
}

func (e *exchanges) add(x Exchange) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, x)
}

// texts shows them without times, and with the hosts of fakes replaced by names.
func (e *exchanges) texts(hosts map[string]string) []string {
	var shown []string
	for _, x := range e.all {
		text := fmt.Sprintf("%s %s %d %d %s", x.Method, x.URL, x.Status, x.Bytes, x.Problem)
		for host, name := range hosts {
			text = strings.ReplaceAll(text, host, name)
		}
		shown = append(shown, strings.TrimSpace(text))
	}
	return shown
}

func TestEachRequestIsTraced(t *testing.T) {
	f := newFake(t)
	f.protect(serve("application/json", `{"token":"good"}`))
	var seen exchanges
	client := New(Options{InsecureRegistries: []string{f.host()}, Keychain: keychain{host: f.host()}, Trace: seen.add})
	if _, err := client.Resolve(t.Context(), f.ref(t, "")); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"GET http://f/v2/ 401 0",
		"GET http://f/token?scope=repository%3Aorg%2Fapp%3Apull&service=fake 200 16",
		"HEAD http://f/v2/org/app/manifests/latest 200 0",
	}
	if diff := cmp.Diff(want, seen.texts(map[string]string{f.host(): "f"})); diff != "" {
		t.Errorf("exchanges (-want +got):\n%s", diff)
	}
	for _, x := range seen.all {
		if x.Took <= 0 {
			t.Errorf("%s %s took %s", x.Method, x.URL, x.Took)
		}
	}
}

// TestWhatIsShownHoldsNoCredentials: neither what is traced nor what is logged, of
// addresses that are signed, of passwords and tokens.
func TestWhatIsShownHoldsNoCredentials(t *testing.T) {
	const secret = "s3cr3t"
	for name, tc := range map[string]struct {
		location string
		shown    string
	}{
		"a signed redirect":                     {"http://storage.example/bucket/blob?X-Amz-Signature=" + secret + "&X-Amz-Expires=60", "http://storage.example/REDACTED"},
		"a path that is signed at home":         {"http://f/storage/" + secret + "/blob", "http://f/REDACTED"},
		"a path that is signed":                 {"http://storage.example/" + secret + "/blob", "http://storage.example/REDACTED"},
		"a user in the address":                 {"http://user:" + secret + "@storage.example/blob", "http://storage.example/REDACTED"},
		"a path that is signed among manifests": {"http://f/v2/other/manifests/" + secret, "http://f/REDACTED"},
		"a parameter of the same question":      {"http://f/v2/org/app/manifests/latest?n=" + secret, "http://f/v2/org/app/manifests/latest?n=REDACTED"},
		"a parameter that looks harmless":       {"http://f/v2/org/app/manifests/latest?service=" + secret + "&scope=" + secret, "http://f/v2/org/app/manifests/latest?service=REDACTED&scope=REDACTED"},
		"one without a name":                    {"http://storage.example/v2/org/app/manifests/latest?" + secret, "http://storage.example/v2/org/app/manifests/latest?REDACTED"},
		"the same question, with a user":        {"http://user:" + secret + "@storage.example/v2/org/app/manifests/latest", "http://REDACTED@storage.example/v2/org/app/manifests/latest"},
		"a fragment":                            {"http://storage.example/v2/org/app/manifests/latest#" + secret, "http://storage.example/v2/org/app/manifests/latest"},
		"a path that is a part of the question": {"http://storage.example/" + secret + "/latest", "http://storage.example/REDACTED"},
		"a scheme that is not spoken":           {"ftp://storage.example/" + secret, "ftp://storage.example/REDACTED"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.on(latest, redirect(strings.Replace(tc.location, "://f/", "://"+f.host()+"/", 1)))
			f.on("/v2/", func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") == "" {
					w.Header().Set("WWW-Authenticate", `Basic realm="here"`)
					w.WriteHeader(http.StatusUnauthorized)
				}
			})
			var logged strings.Builder
			var seen exchanges
			client := New(Options{
				InsecureRegistries: []string{f.host(), "storage.example"}, Keychain: keychain{host: f.host()}, Trace: seen.add,
				Logger: funcr.New(func(_, args string) { logged.WriteString(args + "\n") }, funcr.Options{Verbosity: 9}),
				dialer: net.Dialer{Resolver: names(nil)},
			})
			_, err := client.Resolve(t.Context(), f.ref(t, ""))
			texts := strings.Join(seen.texts(map[string]string{f.host(): "f"}), "\n")
			if !strings.Contains(texts, " "+tc.shown+" ") {
				t.Errorf("it is not shown as %s:\n%s", tc.shown, texts)
			}
			for _, text := range []string{texts, logged.String(), fmt.Sprint(err)} {
				if strings.Contains(text, secret) || strings.Contains(text, "cm9ib3Q6") { // base64 of "robot:"
					t.Errorf("it holds a credential:\n%s", text)
				}
			}
		})
	}
}

// TestWhatARegistryPutsIntoAddressesIsNotShown: it may be what it was shown before.
func TestWhatARegistryPutsIntoAddressesIsNotShown(t *testing.T) {
	const secret = "s3cr3t"
	for name, registry := range map[string]func(f *fake){
		"in the link to a next page": func(f *fake) {
			f.on(apiPath, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.RawQuery == "" {
					w.Header().Set("Link", "<"+apiPath+"?n=5&last="+secret+"&service="+secret+"&scope="+secret+`>; rel="next"`)
				}
				serve(ociIndex, index())(w, r)
			})
		},
		"in the link to a next page elsewhere": func(f *fake) {
			f.on(apiPath, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Link", "<https://user:"+secret+"@cdn.example"+apiPath+"?n=5&last="+secret+`>; rel="next"`)
				serve(ociIndex, index())(w, r)
			})
		},
		"in the redirect of a signature": func(f *fake) {
			f.on(repo+"blobs/"+describeContent("", "good").Digest, redirect("/v2/"+secret+"/blobs/x?n="+secret))
		},
		"in the parameters of who issues tokens": func(f *fake) {
			f.on("/token", serve("application/json", `{"token":"good"}`))
			f.on("/v2/", challengeBy("http://user:"+secret+"@"+f.host()+"/token?n="+secret+"&last="+secret))
		},
		"in a scope that is wanted of who has a token": func(f *fake) {
			f.on("/token", serve("application/json", `{"token":"good"}`))
			f.on("/v2/", challengeBy("http://"+f.host()+"/token"))
			f.on(legacyPath, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("WWW-Authenticate", `Bearer realm="http://`+f.host()+`/token",service="x",scope="repository:`+secret+`:pull"`)
				w.WriteHeader(http.StatusUnauthorized)
			})
		},
		"in the body of an error": func(f *fake) {
			f.on(legacyPath, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusForbidden)
				_, _ = w.Write([]byte(`{"errors":[{"code":"DENIED","message":"` + secret + `","detail":"` + secret + `"},{"code":"` + secret + `"}]}`))
			})
		},
		"in the code of an error": func(f *fake) {
			f.on(legacyPath, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusForbidden)
				_, _ = w.Write([]byte(`{"errors":[{"code":"` + secret + `"}]}`))
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.on(latest, withDigest(ociManifest, subject))
			f.legacyTag(f.legacyLayer("good"))
			registry(f)
			var logged strings.Builder
			var seen exchanges
			client := New(Options{
				InsecureRegistries: []string{f.host()}, Trace: seen.add,
				Logger: funcr.New(func(_, args string) { logged.WriteString(args + "\n") }, funcr.Options{Verbosity: 9}),
			})
			_, err := client.Signatures(t.Context(), f.ref(t, ""), subject, Source{})
			for _, text := range append(seen.texts(nil), logged.String(), fmt.Sprint(err)) {
				if strings.Contains(text, secret) {
					t.Errorf("it holds what must not be shown: %s", text)
				}
			}
			if len(seen.all) < 3 {
				t.Errorf("only %q", seen.texts(nil))
			}
		})
	}
}

// TestAnAnswerThatIsCutShows: its status alone would say that all was well.
func TestAnAnswerThatIsCutShows(t *testing.T) {
	f := newFake(t)
	f.on(legacyPath, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", ociManifest)
		w.Header().Set("Content-Length", "100")
		_, _ = w.Write([]byte("{"))
	})
	var seen exchanges
	client := New(Options{InsecureRegistries: []string{f.host()}, Trace: seen.add})
	if _, err := client.Signatures(t.Context(), f.ref(t, ""), subject, Source{}); reasonOf(t, err) != verify.RegistryUnavailable {
		t.Errorf("%v", err)
	}
	if all := strings.Join(seen.texts(nil), "\n"); !strings.Contains(all, ".sig 200 1 its answer ends too early") {
		t.Errorf("%s", all)
	}
}

// TestWhatLibrariesSayIsNotRepeated: the errors of http.Client and of the
// handshake quote addresses, headers and bodies.
func TestWhatLibrariesSayIsNotRepeated(t *testing.T) {
	const secret = "s3cr3t"
	challenge := func(header string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("WWW-Authenticate", header)
			w.WriteHeader(http.StatusUnauthorized)
		}
	}
	for name, registry := range map[string]func(f *fake){
		"a redirect to what is no address":         func(f *fake) { f.on(latest, redirect("https://storage.example/%zz?sig="+secret)) },
		"a redirect to a part that is no address":  func(f *fake) { f.on(latest, redirect("/"+secret+"/%zz?sig="+secret)) },
		"a redirect to a port that is none":        func(f *fake) { f.on(latest, redirect("https://storage.example:x/?sig="+secret)) },
		"a redirect to a host that does not exist": func(f *fake) { f.on(latest, redirect("https://storage.example/?sig="+secret)) },
		"a redirect to the metadata service":       func(f *fake) { f.on(latest, redirect("http://169.254.169.254/?sig="+secret)) },
		"a redirect that is reset": func(f *fake) {
			f.on(latest, redirect("/v2/other?sig="+secret))
			f.on("/v2/other", reset)
		},
		"a redirect that stalls": func(f *fake) {
			f.on(latest, redirect("/v2/other?sig="+secret))
			f.on("/v2/other", silent)
		},
		"an answer that is not HTTP": func(f *fake) {
			f.on(latest, func(w http.ResponseWriter, _ *http.Request) {
				conn, _, err := http.NewResponseController(w).Hijack()
				if err == nil {
					_, _ = conn.Write([]byte(secret + "\r\n\r\n"))
					_ = conn.Close()
				}
			})
		},
		"a token in another field than where it belongs": func(f *fake) {
			f.protect(serve("application/json", `{"id_token":"`+secret+`"}`))
		},
		"a token server that is broken and quotes what it was asked": func(f *fake) {
			f.protect(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusInternalServerError)
				_, _ = w.Write([]byte(secret))
			})
		},
		"a token server that redirects to a signed address": func(f *fake) {
			f.protect(redirect("http://169.254.169.254/?sig=" + secret))
		},
		"a realm that is no address":    func(f *fake) { f.on("/v2/", challenge(`Bearer realm="https://auth.example/%zz?sig=`+secret+`"`)) },
		"a realm of another kind":       func(f *fake) { f.on("/v2/", challenge(`Bearer realm="ftp://user:`+secret+`@auth.example/"`)) },
		"a challenge that has no realm": func(f *fake) { f.on("/v2/", challenge(`Bearer token="`+secret+`"`)) },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			registry(f)
			var logged strings.Builder
			var seen exchanges
			client := New(Options{
				InsecureRegistries: []string{f.host()}, Trace: seen.add, Limits: Limits{Timeout: 3 * time.Second},
				Logger: funcr.New(func(_, args string) { logged.WriteString(args + "\n") }, funcr.Options{Verbosity: 9}),
				dialer: net.Dialer{Resolver: names(nil)},
			})
			_, err := client.Resolve(t.Context(), f.ref(t, ""))
			if reasonOf(t, err) == "" || logged.Len() == 0 {
				t.Fatalf("%v, logged %q: want a failure", err, logged.String())
			}
			for _, text := range append(seen.texts(nil), logged.String(), err.Error()) {
				if strings.Contains(text, secret) {
					t.Errorf("it holds what must not be shown: %s", text)
				}
			}
		})
	}
}
