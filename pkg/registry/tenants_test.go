// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-logr/logr/funcr"
	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/countersign-dev/countersign/pkg/image"
	"github.com/countersign-dev/countersign/pkg/registry/keyring"
	"github.com/countersign-dev/countersign/pkg/verify"
)

// secretFor is a keyring of one pull secret: user and password for each pattern.
func secretFor(t *testing.T, name, user, password string, patterns ...string) keyring.Part {
	t.Helper()
	auths := map[string]authn.AuthConfig{}
	for _, p := range patterns {
		auths[p] = authn.AuthConfig{Username: user, Password: password}
	}
	raw, err := json.Marshal(map[string]any{"auths": auths})
	if err != nil {
		t.Fatal(err)
	}
	config, err := keyring.ParseConfigJSON(raw)
	if err != nil {
		t.Fatal(err)
	}
	return keyring.Part{Owner: `Secret "` + name + `"`, Config: config}
}

// restricted is a fake that asks for a user and a password, and notes who came.
type restricted struct {
	*fake
	mu   sync.Mutex
	came []string
}

// restrict makes everything but the fake's ping need one of the users, whose
// passwords are "right".
func restrict(t *testing.T, users ...string) *restricted {
	t.Helper()
	r := &restricted{fake: newFake(t)}
	challenge := func(w http.ResponseWriter) {
		w.Header().Set("WWW-Authenticate", `Basic realm="here"`)
		w.WriteHeader(http.StatusUnauthorized)
	}
	next := r.Config.Handler
	r.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		user, password, _ := req.BasicAuth()
		if req.URL.Path != "/v2/" {
			r.mu.Lock()
			r.came = append(r.came, user)
			r.mu.Unlock()
		}
		if req.URL.Path == "/v2/" || !slices.Contains(users, user) || password != "right" {
			challenge(w)
			return
		}
		next.ServeHTTP(w, req)
	})
	return r
}

// visitors are who came since the last call.
func (r *restricted) visitors() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	came := r.came
	r.came = nil
	return came
}

// signed puts an image with a signature into the fake.
func (f *fake) signed(t *testing.T) {
	t.Helper()
	f.legacyTag(f.legacyLayer("private payload"))
	f.on(latest, withDigest(ociManifest, subject))
}

// TestWhatOneTenantMaySeeIsNotToldToAnother: the second names the same image, whose
// digest he knows, after all about it is known and remembered.
func TestWhatOneTenantMaySeeIsNotToldToAnother(t *testing.T) {
	f := restrict(t, "a")
	f.signed(t)
	client := f.client(Limits{})
	a := client.As(keyring.New(secretFor(t, "pull", "a", "right", f.host())))
	ref := f.ref(t, "")
	if got, err := a.Resolve(t.Context(), ref); err != nil || got != subject {
		t.Fatalf("%q, %v", got, err)
	}
	if got, err := a.Signatures(t.Context(), ref, subject, Source{}); err != nil || len(got) != 1 {
		t.Fatalf("%v, %v", got, err)
	}
	if got, ok := a.CachedSignatures(ref, subject, Source{}); !ok || len(got) != 1 {
		t.Fatal("it is not remembered for who found it")
	}
	for name, k := range map[string]*keyring.Keyring{
		"nobody":                              nil,
		"one with an empty keyring":           keyring.New(),
		"one with another password":           keyring.New(secretFor(t, "pull", "a", "wrong", f.host())),
		"one with another user":               keyring.New(secretFor(t, "pull", "b", "right", f.host())),
		"one with the password for elsewhere": keyring.New(secretFor(t, "pull", "a", "right", "registry.example")),
	} {
		t.Run(name, func(t *testing.T) {
			b := client.As(k)
			if got, err := b.Resolve(t.Context(), ref); reasonOf(t, err) != verify.RegistryUnauthorized {
				t.Errorf("Resolve: %q, %v", got, err)
			}
			if got, err := b.Signatures(t.Context(), ref, subject, Source{}); reasonOf(t, err) != verify.RegistryUnauthorized || len(got) > 0 {
				t.Errorf("Signatures: %v, %v", got, err)
			}
			if got, err := b.Attestations(t.Context(), ref, subject, Source{}); reasonOf(t, err) != verify.RegistryUnauthorized || len(got) > 0 {
				t.Errorf("Attestations: %v, %v", got, err)
			}
			if got, ok := b.CachedSignatures(ref, subject, Source{}); ok || len(got) > 0 {
				t.Errorf("CachedSignatures: %v", got)
			}
		})
	}
	f.requests()
	same := client.As(keyring.New(secretFor(t, "under-another-name", "a", "right", f.host())))
	if got, ok := same.CachedSignatures(ref, subject, Source{}); !ok || len(got) != 1 {
		t.Error("it is not known to one with the same credentials")
	}
	if _, err := same.Signatures(t.Context(), ref, subject, Source{}); err != nil {
		t.Error(err)
	}
	if asked := strings.Join(f.requests(), "\n"); strings.Contains(asked, "/blobs/") {
		t.Errorf("content that is known was fetched:\n%s", asked)
	}
}

// TestContentIsNotShownToWhoOnlyKnowsItsDigest: his own registry lists content of
// somebody else's.
func TestContentIsNotShownToWhoOnlyKnowsItsDigest(t *testing.T) {
	private, evil := restrict(t, "a"), newFake(t)
	private.signed(t)
	evil.signed(t)
	blob := repo + "blobs/" + describeContent(simpleSigningType, "private payload").Digest
	evil.on(blob, status(http.StatusNotFound))
	client := New(Options{InsecureRegistries: []string{private.host(), evil.host()}})
	a := client.As(keyring.New(secretFor(t, "pull", "a", "right", private.host())))
	if got, err := a.Signatures(t.Context(), private.ref(t, ""), subject, Source{}); err != nil || len(got) != 1 {
		t.Fatalf("%v, %v", got, err)
	}
	got, err := client.Signatures(t.Context(), evil.ref(t, ""), subject, Source{})
	if reasonOf(t, err) != verify.RegistryUnavailable || len(got) > 0 {
		t.Errorf("%v, %v", got, err)
	}
	if !slices.Contains(evil.requests(), "GET "+blob) {
		t.Error("that the content is known could be seen from that it was not asked for")
	}
}

// TestATenantDoesNotJoinTheQuestionOfAnother that is under way.
func TestATenantDoesNotJoinTheQuestionOfAnother(t *testing.T) {
	f := restrict(t, "a")
	held, release := make(chan struct{}), make(chan struct{})
	f.on(latest, func(w http.ResponseWriter, r *http.Request) {
		close(held)
		<-release
		withDigest(ociManifest, subject)(w, r)
	})
	client := f.client(Limits{})
	answered := make(chan error, 1)
	go func() {
		_, err := client.As(keyring.New(secretFor(t, "pull", "a", "right", f.host()))).Resolve(context.WithoutCancel(t.Context()), f.ref(t, ""))
		answered <- err
	}()
	<-held
	_, err := client.Resolve(t.Context(), f.ref(t, ""))
	close(release)
	if reasonOf(t, err) != verify.RegistryUnauthorized {
		t.Error(err)
	}
	if err := <-answered; err != nil {
		t.Error(err)
	}
}

func TestCredentialsAreTriedInTheirOrder(t *testing.T) {
	const everything = "registry's own, surroundings, none"
	cases := map[string]struct {
		users     []string // whom the registry knows
		tried     []string // whom it is shown
		want      verify.Reason
		again     []string // whom it is shown when it is asked again
		anonymous bool
	}{
		"the Pod's":                            {[]string{"pod", "source", "configured", "own"}, []string{"pod"}, "", []string{"pod"}, false},
		"the source's":                         {[]string{"source", "configured", "own"}, []string{"pod", "source"}, "", []string{"source"}, false},
		"those configured for the registry":    {[]string{"configured", "own"}, []string{"pod", "source", "configured"}, "", []string{"configured"}, false},
		"those of its own surroundings":        {[]string{"own"}, []string{"pod", "source", "configured", "own"}, "", []string{"own"}, false},
		"none":                                 {nil, []string{"pod", "source", "configured", "own", ""}, "", []string{""}, true},
		"a registry that knows none":           {nil, []string{"pod", "source", "configured", "own", ""}, verify.RegistryUnauthorized, []string{"own", ""}, false},
		everything + ", of which none is good": {[]string{"x"}, []string{"pod", "source", "configured", "own", ""}, verify.RegistryUnauthorized, []string{"own", ""}, false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			users := tc.users
			f := restrict(t, users...)
			f.signed(t)
			if tc.anonymous {
				inner := f.Config.Handler
				f.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if _, _, some := r.BasicAuth(); !some && r.URL.Path != "/v2/" {
						f.mu.Lock()
						f.came = append(f.came, "")
						f.mu.Unlock()
						f.ServeHTTP(w, r)
						return
					}
					inner.ServeHTTP(w, r)
				})
			}
			client := New(Options{
				InsecureRegistries: []string{f.host()},
				Keychain:           ownKeychain{"own"},
				Hosts:              Hosts{f.host(): {Credentials: keyring.New(secretFor(t, "", "configured", "right", f.host()))}},
			})
			pod := client.As(keyring.New(secretFor(t, "pull", "pod", "right", f.host())))
			from := Source{TagPrefix: "", Credentials: keyring.New(secretFor(t, "", "source", "right", f.host()))}
			for _, want := range [][]string{tc.tried, tc.again} {
				_, err := pod.Attestations(t.Context(), f.ref(t, ""), subject, from)
				if reasonOf(t, err) != tc.want {
					t.Errorf("%v, want %q", err, tc.want)
				}
				if came := slices.Compact(f.visitors()); !slices.Equal(came, want) {
					t.Errorf("%q came, want %q", came, want)
				}
			}
		})
	}
}

// ownKeychain has one user for every registry.
type ownKeychain struct{ user string }

func (k ownKeychain) Resolve(authn.Resource) (authn.Authenticator, error) {
	return &authn.Basic{Username: k.user, Password: "right"}, nil
}

func TestARefusalSaysWhatWasTried(t *testing.T) {
	f := restrict(t, "x")
	k := keyring.New(secretFor(t, "pull", "pod", "hunter2", f.host()), secretFor(t, "elsewhere", "pod", "hunter3", "other.example"),
		keyring.Part{Owner: `Secret "gone"`, Problem: "does not exist"})
	_, err := f.client(Limits{}).As(k).Resolve(t.Context(), f.ref(t, ""))
	known := (*Error)(nil)
	if !errors.As(err, &known) || known.Reason != verify.RegistryUnauthorized {
		t.Fatal(err)
	}
	if want := `; credentials tried: Secret "pull", none (anonymous); Secret "gone" does not exist`; !strings.HasSuffix(known.Detail, want) {
		t.Errorf("%s", known.Detail)
	}
	if strings.Contains(known.Detail, "hunter") || strings.Contains(known.Detail, "elsewhere") || strings.Contains(known.Detail, `"pod"`) {
		t.Errorf("it says too much: %s", known.Detail)
	}
}

// TestACredentialIsNotShownToAMirror, nor to a repository of signatures elsewhere,
// unless it names that, too.
func TestACredentialIsNotShownToAMirror(t *testing.T) {
	mirror, original := restrict(t), restrict(t, "pod")
	original.signed(t)
	client := New(Options{
		InsecureRegistries: []string{mirror.host(), original.host()},
		Hosts:              Hosts{original.host(): {Mirrors: []Mirror{{Host: mirror.host()}}}},
	}).As(keyring.New(secretFor(t, "pull", "pod", "right", original.host())))
	if got, err := client.Resolve(t.Context(), original.ref(t, "")); err != nil || got != subject {
		t.Errorf("%q, %v", got, err)
	}
	if came := slices.Compact(mirror.visitors()); !slices.Equal(came, []string{""}) {
		t.Errorf("%q came to the mirror", came)
	}
}

// TestAnImageThatIsHiddenFromOneCredentialIsFoundWithAnother: there are registries
// that answer as if what one may not see did not exist.
func TestAnImageThatIsHiddenFromOneCredentialIsFoundWithAnother(t *testing.T) {
	f := restrict(t, "one", "two")
	f.signed(t)
	open := f.routes[latest]
	f.on(latest, func(w http.ResponseWriter, r *http.Request) {
		if user, _, _ := r.BasicAuth(); user != "two" {
			http.NotFound(w, r)
			return
		}
		open(w, r)
	})
	client := f.client(Limits{}).As(keyring.New(secretFor(t, "1", "one", "right", f.host()), secretFor(t, "2", "two", "right", f.host())))
	if got, err := client.Resolve(t.Context(), f.ref(t, "")); err != nil || got != subject {
		t.Fatalf("%q, %v", got, err)
	}
	f.visitors()
	if got, err := client.Signatures(t.Context(), f.ref(t, ""), subject, Source{}); err != nil || len(got) != 1 {
		t.Errorf("%v, %v", got, err)
	}
	if came := slices.Compact(f.visitors()); !slices.Equal(came, []string{"two"}) {
		t.Errorf("%q came: evidence is asked for as whom the image was shown to", came)
	}
}

func TestScopesTellCallersApart(t *testing.T) {
	client := New(Options{Hosts: Hosts{"mirrored.example": {Mirrors: []Mirror{{Host: "mirror.example"}}}}})
	scope := func(written string, sources []Source, parts ...keyring.Part) string {
		return client.As(keyring.New(parts...)).Scope(parse(t, written), sources)
	}
	pull := secretFor(t, "pull", "a", "right", "r.example")
	apart := []Source{{Repository: parse(t, "signatures.example/all").Context()}}
	mine := scope("r.example/app", nil, pull)
	for name, tc := range map[string]struct {
		got  string
		want string
	}{
		"without credentials":               {scope("r.example/app", nil), ""},
		"with those of another registry":    {scope("other.example/app", nil, pull), ""},
		"with problems alone":               {scope("r.example/app", nil, keyring.Part{Owner: "x", Problem: "is gone"}), ""},
		"with the same, under another name": {scope("r.example/app", nil, secretFor(t, "p2", "a", "right", "r.example")), mine},
		"a source for which there are none": {scope("other.example/app", apart, pull), ""},
		"of an image that cannot be named":  {client.As(keyring.New(pull)).Scope(image.Reference{}, nil), ""},
		"a source's own are everybody's":    {scope("other.example/app", []Source{{Repository: apart[0].Repository, Credentials: keyring.New(secretFor(t, "", "s", "right", "signatures.example"))}}), ""},
	} {
		if tc.got != tc.want {
			t.Errorf("%s: %q, want %q", name, tc.got, tc.want)
		}
	}
	different := map[string]string{"no credentials": "", "mine": mine}
	for name, got := range map[string]string{
		"another password":         scope("r.example/app", nil, secretFor(t, "pull", "a", "other", "r.example")),
		"another repository":       scope("r.example/app2", nil, pull),
		"more credentials":         scope("r.example/app", nil, pull, secretFor(t, "2", "b", "right", "r.example")),
		"credentials for a source": scope("other.example/app", apart, secretFor(t, "s", "a", "right", "signatures.example")),
		"credentials for a mirror": scope("mirrored.example/app", nil, secretFor(t, "s", "a", "right", "mirror.example")),
	} {
		for other, s := range different {
			if got == s {
				t.Errorf("%s and %s are one scope", name, other)
			}
		}
		different[name] = got
	}
}

// TestARegistryThatAsksForAPasswordWhereItHasNothing: an API that it lacks says nothing
// of the credential.
func TestARegistryThatAsksForAPasswordWhereItHasNothing(t *testing.T) {
	f := restrict(t, "pod")
	f.signed(t)
	f.on(repo+"referrers/"+subject, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", `Basic realm="here"`)
		w.WriteHeader(http.StatusUnauthorized)
	})
	client := f.client(Limits{}).As(keyring.New(secretFor(t, "pull", "pod", "right", f.host())))
	for range 3 {
		got, err := client.Signatures(t.Context(), f.ref(t, ""), subject, Source{})
		if reasonOf(t, err) != verify.RegistryUnauthorized || len(got) != 1 {
			t.Errorf("%v, %v", got, err)
		}
		if got, err := client.Resolve(t.Context(), f.ref(t, "")); err != nil || got != subject {
			t.Errorf("%q, %v", got, err)
		}
	}
}

func TestARefusalIsShortWhateverPullSecretsAreCalled(t *testing.T) {
	f := restrict(t, "x")
	var parts []keyring.Part
	for i := range 16 {
		name := strings.Repeat(string(rune('a'+i)), 253)
		parts = append(parts, keyring.Part{Owner: `Secret "` + name + `"`, Problem: "does not exist\x1b\u202e"}, secretFor(t, name, name, "wrong", f.host()))
	}
	_, err := f.client(Limits{}).As(keyring.New(parts...)).Resolve(t.Context(), f.ref(t, ""))
	if reasonOf(t, err) != verify.RegistryUnauthorized {
		t.Error(err)
	}
}

// TestAClientGoesOnAsItBegan: a mirror that is configured meanwhile would be shown
// credentials that its scope says nothing of.
func TestAClientGoesOnAsItBegan(t *testing.T) {
	mirror, original := restrict(t, "pod"), newFake(t)
	mirror.signed(t)
	original.signed(t)
	client := New(Options{InsecureRegistries: []string{mirror.host(), original.host()}})
	tenant := client.As(keyring.New(secretFor(t, "pull", "pod", "right", mirror.host())))
	scope := tenant.Scope(original.ref(t, ""), nil)
	client.SetHosts(Hosts{original.host(): {Mirrors: []Mirror{{Host: mirror.host()}}}})
	if got, err := tenant.Resolve(t.Context(), original.ref(t, "")); err != nil || got != subject {
		t.Errorf("%q, %v", got, err)
	}
	if came := mirror.visitors(); len(came) > 0 || scope != "" || tenant.Scope(original.ref(t, ""), nil) != "" {
		t.Errorf("%q came to the mirror", came)
	}
}

// TestNothingThatIsShownHoldsAPassword, though the registry and its token server send
// back what they were sent, wherever they can.
func TestNothingThatIsShownHoldsAPassword(t *testing.T) {
	const password = "hunter2-7f3a"
	forms := []string{password, base64.StdEncoding.EncodeToString([]byte("pod:" + password)), url.QueryEscape(base64.StdEncoding.EncodeToString([]byte("pod:" + password)))}
	echo := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			_, sent, _ := r.BasicAuth()
			said := sent + " " + r.Header.Get("Authorization")
			w.Header().Set("WWW-Authenticate", `Basic realm="`+said+`"`)
			w.Header().Set("Location", "/v2/elsewhere?p="+url.QueryEscape(said))
			w.Header().Set("Docker-Content-Digest", said)
			w.Header().Set("Content-Type", said)
			w.WriteHeader(status)
			_, _ = w.Write([]byte(`{"errors":[{"code":"` + said + `","message":"` + said + `"}]}`)) //nolint:gosec // that it echoes is the test
		}
	}
	for name, routes := range map[string]map[string]http.HandlerFunc{
		"a registry that refuses":       {"/v2/": echo(401), latest: echo(401)},
		"a registry that forbids":       {"/v2/": echo(401), latest: echo(403)},
		"a registry that is broken":     {"/v2/": echo(401), latest: echo(500)},
		"a registry that redirects":     {"/v2/": echo(401), latest: echo(307), "/v2/elsewhere": echo(404)},
		"a registry that answers":       {"/v2/": echo(401), latest: echo(200)},
		"a token server that refuses":   {"/token": echo(401)},
		"a token server that is broken": {"/token": echo(500)},
		"a token server that redirects": {"/token": echo(302), "/v2/elsewhere": echo(400)},
		"a token server without tokens": {"/token": echo(200)},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.protect(status(500))
			for path, handler := range routes {
				f.on(path, handler)
			}
			var mu sync.Mutex
			var shown []string
			note := func(s string) {
				mu.Lock()
				defer mu.Unlock()
				shown = append(shown, s)
			}
			client := New(Options{
				InsecureRegistries: []string{f.host()},
				Logger:             funcr.New(func(_, args string) { note(args) }, funcr.Options{Verbosity: 9}),
				Trace:              func(e Exchange) { note(fmt.Sprintf("%+v", e)) },
			}).As(keyring.New(secretFor(t, "pull", "pod", password, f.host())))
			_, err := client.Resolve(t.Context(), f.ref(t, ""))
			_ = reasonOf(t, err)
			note(fmt.Sprintf("%v %+v", err, client.keyring))
			_, err = client.Signatures(t.Context(), f.ref(t, ""), subject, Source{})
			_ = reasonOf(t, err)
			note(fmt.Sprint(err))
			if len(shown) < 3 {
				t.Errorf("nothing is shown: %q", shown)
			}
			for _, form := range forms {
				if all := strings.Join(shown, "\n"); strings.Contains(all, form) {
					t.Errorf("%q is shown:\n%s", form, all)
				}
			}
		})
	}
}
