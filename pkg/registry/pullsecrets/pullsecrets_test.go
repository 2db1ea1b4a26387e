// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package pullsecrets

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/countersign-dev/countersign/pkg/registry/keyring"
)

// cluster is an API server with a few objects, by "namespace/name". What is an error
// is returned in the object's place.
type cluster struct {
	client.Reader
	mu      sync.Mutex
	objects map[string]any
	asked   []string
}

func (c *cluster) Get(ctx context.Context, k client.ObjectKey, o client.Object, _ ...client.GetOption) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	kind := strings.ToLower(strings.TrimPrefix(fmt.Sprintf("%T", o), "*v1."))
	c.asked = append(c.asked, kind+" "+k.String())
	switch found := c.objects[kind+" "+k.String()].(type) {
	case *corev1.Secret:
		found.DeepCopyInto(o.(*corev1.Secret))
	case *corev1.ServiceAccount:
		found.DeepCopyInto(o.(*corev1.ServiceAccount))
	case error:
		return found
	case chan struct{}:
		c.mu.Unlock()
		select {
		case <-found:
		case <-ctx.Done():
		}
		c.mu.Lock()
		return errors.New("too late")
	default:
		return apierrors.NewNotFound(schema.GroupResource{Resource: kind + "s"}, k.Name)
	}
	return nil
}

func (c *cluster) put(what string, o any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.objects[what] = o
}

func (c *cluster) questions() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	asked := c.asked
	c.asked = nil
	slices.Sort(asked)
	return asked
}

func dockerConfig(password string) *corev1.Secret {
	return &corev1.Secret{
		Type: corev1.SecretTypeDockerConfigJson,
		Data: map[string][]byte{corev1.DockerConfigJsonKey: []byte(`{"auths":{"r.example":{"username":"u","password":"` + password + `"}}}`)},
	}
}

func account(secrets ...string) *corev1.ServiceAccount {
	a := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "sa"}}
	for _, s := range secrets {
		a.ImagePullSecrets = append(a.ImagePullSecrets, corev1.LocalObjectReference{Name: s})
	}
	return a
}

// shown is what a keyring has for r.example: passwords, and problems.
func shown(t *testing.T, k *keyring.Keyring) []string {
	t.Helper()
	repository, err := name.NewRepository("r.example/app")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, c := range k.Lookup(repository) {
		auth, err := c.Authorization()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c.Owner+": "+auth.Password)
	}
	return append(all, k.Problems()...)
}

func TestPullSecretsAreReadAsTheModeSays(t *testing.T) {
	many := make([]string, 0, 20)
	for i := range 20 {
		many = append(many, fmt.Sprintf("s%02d", i))
	}
	objects := func() map[string]any {
		return map[string]any{
			"secret ns/pull":         dockerConfig("one"),
			"secret ns/more":         dockerConfig("two"),
			"secret other/elsewhere": dockerConfig("theirs"),
			"secret ns/old":          &corev1.Secret{Type: corev1.SecretTypeDockercfg, Data: map[string][]byte{corev1.DockerConfigKey: []byte(`{"r.example":{"username":"u","password":"old"}}`)}},
			"secret ns/opaque":       &corev1.Secret{Type: corev1.SecretTypeOpaque, Data: map[string][]byte{corev1.DockerConfigJsonKey: []byte(`{"auths":{"r.example":{"username":"u","password":"hunter2"}}}`)}},
			"secret ns/broken":       &corev1.Secret{Type: corev1.SecretTypeDockerConfigJson, Data: map[string][]byte{corev1.DockerConfigJsonKey: []byte(`{"auths":{"r.example":"hunter2"`)}},
			"secret ns/huge":         &corev1.Secret{Type: corev1.SecretTypeDockerConfigJson, Data: map[string][]byte{corev1.DockerConfigJsonKey: make([]byte, maxContent+1)}},
			"secret ns/empty":        &corev1.Secret{Type: corev1.SecretTypeDockerConfigJson},
			"secret ns/forbidden":    apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "forbidden", errors.New("hunter2")),
			"secret ns/down":         apierrors.NewInternalError(errors.New("hunter2")),
			"serviceaccount ns/sa":   account("pull", "missing"),
		}
	}
	cases := map[string]struct {
		mode  Mode
		named []string
		names Names
		want  []string
		asked []string
	}{
		"nothing is named":                     {All, nil, Names{}, nil, nil},
		"a Secret":                             {All, nil, Names{Secrets: []string{"pull"}}, []string{`Secret "pull": one`}, []string{"secret ns/pull"}},
		"two Secrets, in their order":          {All, nil, Names{Secrets: []string{"more", "pull", "more", ""}}, []string{`Secret "more": two`, `Secret "pull": one`}, []string{"secret ns/more", "secret ns/pull"}},
		"the older form":                       {All, nil, Names{Secrets: []string{"old"}}, []string{`Secret "old": old`}, []string{"secret ns/old"}},
		"by ServiceAccount":                    {All, nil, Names{ServiceAccounts: []string{"sa", "sa"}}, []string{`Secret "pull": one`, `Secret "missing" does not exist`}, []string{"secret ns/missing", "secret ns/pull", "serviceaccount ns/sa"}},
		"a ServiceAccount that does not exist": {All, nil, Names{ServiceAccounts: []string{"later"}}, []string{`ServiceAccount "later" does not exist`}, []string{"serviceaccount ns/later"}},
		"none that exists":                     {All, nil, Names{Secrets: []string{"missing"}}, []string{`Secret "missing" does not exist`}, []string{"secret ns/missing"}},
		"one of another namespace":             {All, nil, Names{Secrets: []string{"elsewhere"}}, []string{`Secret "elsewhere" does not exist`}, []string{"secret ns/elsewhere"}},
		"a path in the place of a name":        {All, nil, Names{Secrets: []string{"../other/elsewhere", "a/b"}}, []string{`Secret "../other/elsewhere" has no name of a Secret`, `Secret "a/b" has no name of a Secret`}, nil},
		"a path in the place of an account":    {All, nil, Names{ServiceAccounts: []string{"../x"}}, []string{`ServiceAccount "../x" has no name of a ServiceAccount`}, nil},
		"a Secret of another type":             {All, nil, Names{Secrets: []string{"opaque", "pull"}}, []string{`Secret "pull": one`, `Secret "opaque" is not of type kubernetes.io/dockerconfigjson or kubernetes.io/dockercfg`}, []string{"secret ns/opaque", "secret ns/pull"}},
		"a Secret that is malformed":           {All, nil, Names{Secrets: []string{"broken"}}, []string{`Secret "broken" is not a Docker configuration that can be read`}, []string{"secret ns/broken"}},
		"a Secret without its key":             {All, nil, Names{Secrets: []string{"empty"}}, []string{`Secret "empty" is not a Docker configuration that can be read`}, []string{"secret ns/empty"}},
		"a Secret that is too large":           {All, nil, Names{Secrets: []string{"huge"}}, []string{`Secret "huge" holds more than 65536 bytes`}, []string{"secret ns/huge"}},
		"no right to read it":                  {All, nil, Names{Secrets: []string{"forbidden"}}, []string{`Secret "forbidden" may not be read by countersign`}, []string{"secret ns/forbidden"}},
		"an API server that fails":             {All, nil, Names{Secrets: []string{"down"}}, []string{`Secret "down" cannot be read now`}, []string{"secret ns/down"}},
		"the mode none":                        {None, nil, Names{Secrets: []string{"pull"}, ServiceAccounts: []string{"sa"}}, []string{`Secret "pull" is not read (--pull-secrets=none)`}, nil},
		"no mode":                              {"", nil, Names{Secrets: []string{"pull"}, ServiceAccounts: []string{"sa"}}, []string{`Secret "pull" is not read (--pull-secrets=none)`}, nil},
		"a Secret that is one of those named":  {Named, []string{"pull"}, Names{Secrets: []string{"pull"}}, []string{`Secret "pull": one`}, []string{"secret ns/pull"}},
		"one that is not":                      {Named, []string{"more"}, Names{Secrets: []string{"pull"}, ServiceAccounts: []string{"sa"}}, []string{`Secret "pull" is not read (it is not one of --pull-secret-name)`, `Secret "missing" is not read (it is not one of --pull-secret-name)`}, []string{"serviceaccount ns/sa"}},
		"more than are read":                   {All, nil, Names{Secrets: append([]string{"pull"}, many...)}, nil, nil},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c := &cluster{objects: objects()}
			tc.names.Namespace = "ns"
			k := New(Options{Reader: c, Mode: tc.mode, Names: tc.named}).Keyring(t.Context(), tc.names)
			got, asked := shown(t, k), c.questions()
			if len(tc.names.Secrets) > maxSecrets {
				if len(asked) != maxSecrets || !slices.Contains(got, "of its pull secrets only 16 are read") {
					t.Errorf("%d asked: %q", len(asked), got)
				}
				return
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("%q, want %q", got, tc.want)
			}
			if !slices.Equal(asked, tc.asked) {
				t.Errorf("asked %q, want %q", asked, tc.asked)
			}
			if strings.Contains(strings.Join(got, " "), "hunter2") {
				t.Errorf("%q", got)
			}
		})
	}
}

// TestASecretThatChangesCountsSoon, and is not read for each of many Pods.
func TestASecretThatChangesCountsSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{objects: map[string]any{"secret ns/pull": dockerConfig("one")}}
		r := New(Options{Reader: c, Mode: All})
		ask := func() []string {
			return shown(t, r.Keyring(t.Context(), Names{Namespace: "ns", Secrets: []string{"pull"}}))
		}
		for range 100 {
			if got := ask(); !slices.Equal(got, []string{`Secret "pull": one`}) {
				t.Fatalf("%q", got)
			}
		}
		if asked := c.questions(); len(asked) != 1 {
			t.Errorf("asked %q", asked)
		}
		c.put("secret ns/pull", dockerConfig("two"))
		time.Sleep(lifetime)
		if got := ask(); !slices.Equal(got, []string{`Secret "pull": two`}) {
			t.Errorf("%q", got)
		}
		c.put("secret ns/pull", nil)
		time.Sleep(lifetime)
		if got := ask(); !slices.Equal(got, []string{`Secret "pull" does not exist`}) {
			t.Errorf("%q", got)
		}
		c.put("secret ns/pull", dockerConfig("three"))
		time.Sleep(failureLifetime)
		if got := ask(); !slices.Equal(got, []string{`Secret "pull": three`}) {
			t.Errorf("%q", got)
		}
	})
}

func TestAnAPIServerThatStallsIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{objects: map[string]any{"secret ns/pull": make(chan struct{})}}
		r := New(Options{Reader: c, Mode: All})
		start := time.Now()
		got := shown(t, r.Keyring(t.Context(), Names{Namespace: "ns", Secrets: []string{"pull"}}))
		if took := time.Since(start); took > patience || !slices.Equal(got, []string{`Secret "pull" cannot be read now`}) {
			t.Errorf("%q after %v", got, took)
		}
		synctest.Wait()
	})
}

func TestModes(t *testing.T) {
	for name, tc := range map[string]struct {
		mode  string
		names []string
		ok    bool
	}{
		"none":                {"none", nil, true},
		"all":                 {"all", nil, true},
		"named":               {"named", []string{"pull"}, true},
		"named, without":      {"named", nil, false},
		"all, with names":     {"all", []string{"pull"}, false},
		"none, with names":    {"none", []string{"pull"}, false},
		"a name that is none": {"named", []string{"a/b"}, false},
		"another":             {"some", nil, false},
		"nothing":             {"", nil, false},
	} {
		if m, err := ParseMode(tc.mode, tc.names); (err == nil) != tc.ok || (tc.ok && string(m) != tc.mode) {
			t.Errorf("%s: %q, %v", name, m, err)
		}
	}
}
