// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package files_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign-dev/countersign/pkg/apis/sigstore/conversion"
	"github.com/countersign-dev/countersign/pkg/image"
	"github.com/countersign-dev/countersign/policy/files"
)

func read(t *testing.T, text string) ([]files.Object, error) {
	t.Helper()
	return files.Read([]string{"-"}, strings.NewReader(text))
}

func TestRead(t *testing.T) {
	const pod = "apiVersion: v1\nkind: Pod\n"
	for name, tt := range map[string]struct {
		text string
		// want are the sources and kinds of the objects.
		want []string
		err  string
	}{
		"one document":                      {text: pod, want: []string{"stdin v1 Pod"}},
		"two documents":                     {text: pod + "---\n" + pod, want: []string{"stdin#1 v1 Pod", "stdin#2 v1 Pod"}},
		"documents of comments are nothing": {text: "# a\n---\n" + pod + "---\n# b\n", want: []string{"stdin v1 Pod"}},
		"nothing":                           {text: ""},
		"JSON":                              {text: `{"apiVersion":"apps/v1","kind":"Deployment"}`, want: []string{"stdin apps/v1 Deployment"}},
		"a list":                            {text: `{"apiVersion":"v1","kind":"List","items":[{"apiVersion":"v1","kind":"Pod"}]}`, want: []string{"stdin v1 Pod"}},
		"an empty list":                     {text: `{"apiVersion":"v1","kind":"List","items":[]}`},
		"a typed list":                      {text: `{"apiVersion":"apps/v1","kind":"DeploymentList","items":[{},{}]}`, want: []string{"stdin#1 items[0] apps/v1 Deployment", "stdin#1 items[1] apps/v1 Deployment"}},
		"a kind that ends in List":          {text: "apiVersion: example.com/v1\nkind: AllowList\nspec: {}\n", want: []string{"stdin example.com/v1 AllowList"}},
		"an item without a kind in a List":  {text: `{"apiVersion":"v1","kind":"List","items":[{}]}`, err: "items[0]: is not a Kubernetes object"},
		"lists in lists, too deep": {
			text: strings.Repeat(`{"apiVersion":"v1","kind":"List","items":[`, 6) + strings.Repeat(`]}`, 6), err: "nested more than 4 deep",
		},
		"no kind":                  {text: "apiVersion: v1\n", err: "stdin#1: is not a Kubernetes object"},
		"a scalar":                 {text: "hello\n", err: "is not a Kubernetes object"},
		"a key twice":              {text: pod + "kind: Secret\n", err: `"kind" already set`},
		"YAML that does not parse": {text: pod + "---\na: [\n", err: "stdin#2"},
	} {
		t.Run(name, func(t *testing.T) {
			objects, err := read(t, tt.text)
			if (err != nil) != (tt.err != "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Fatalf("error = %v, want %q", err, tt.err)
			}
			var got []string
			for _, o := range objects {
				got = append(got, o.Source+" "+o.Kind.GroupVersion().String()+" "+o.Kind.Kind)
			}
			if diff := cmp.Diff(tt.want, got); err == nil && diff != "" {
				t.Errorf("objects (-want +got):\n%s", diff)
			}
		})
	}
}

// endless is a reader without an end.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '#'
	}
	return len(p), nil
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("broken pipe") }

func TestReadIsBounded(t *testing.T) {
	for name, tt := range map[string]struct {
		in  io.Reader
		err string
	}{
		"an input without an end": {endless{}, "larger than"},
		"an input that fails":     {failing{}, "broken pipe"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := files.Read([]string{"-"}, tt.in); err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("error = %v, want %q", err, tt.err)
			}
		})
	}
}

func TestReadOfAFolderThatCannotBeReadIsAnError(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink(filepath.Join(dir, "nowhere"), filepath.Join(dir, "dangling.yaml")); err != nil {
		t.Fatal(err)
	}
	if _, err := files.Read([]string{dir}, nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error = %v, want that the file does not exist", err)
	}
}

func TestLoadTakesSecretsOfOneNamespaceOnly(t *testing.T) {
	const secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: NAME, namespace: NAMESPACE}\nstringData: {cosign.pub: KEY}\n"
	of := func(name, namespace string) string {
		return strings.NewReplacer("NAMESPACE", namespace, "NAME", name).Replace(secret)
	}
	objects, err := read(t, of("a", `""`)+"---\n"+of("b", "countersign-system")+"---\n"+of("c", "elsewhere"))
	if err != nil {
		t.Fatal(err)
	}
	loaded := files.Load(objects, conversion.Options{Namespace: "countersign-system"})
	for name, known := range map[string]bool{"a": true, "b": true, "c": false} {
		data, err := loaded.Secrets.Secret(t.Context(), name)
		if (err == nil) != known || known && string(data["cosign.pub"]) != "KEY" {
			t.Errorf("Secret %s: %v, %v, want known %v", name, data, err, known)
		}
	}
	if len(loaded.Problems) != 1 || !strings.Contains(loaded.Problems[0].Error(), `namespace "elsewhere"`) {
		t.Errorf("problems = %v", loaded.Problems)
	}
}

func TestTrustedRootsThatNameNoLogAreRefused(t *testing.T) {
	const head = `{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"`
	for name, text := range map[string]string{
		"no JSON":      "nonsense",
		"no log":       head + `}`,
		"no base URL":  head + `,"tlogs":[{"hashAlgorithm":"SHA2_256","logId":{"keyId":"AA=="},"publicKey":{"rawBytes":"MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEmf9SWQZPWN8H5WomKmV5916FMhkvJ2OPK4bbfqlHCi5SqY4ZxFQhoYf0c/dI3xog0hQIeCNRZVhAB6WWq7NJGA==","keyDetails":"PKIX_ECDSA_P256_SHA_256","validFor":{"start":"2020-01-01T00:00:00Z"}}}]}`,
		"another type": `{"mediaType":"application/json","tlogs":[]}`,
	} {
		t.Run(name, func(t *testing.T) {
			if parsed, err := files.ParseTrustedRoot([]byte(text)); err == nil {
				t.Errorf("no error, and %d logs", len(parsed.Logs))
			}
		})
	}
}

func TestObjectsOfUnknownKindsThatHaveContainersAreNotPassedOver(t *testing.T) {
	const head = "apiVersion: example.com/v1\nkind: Custom\n"
	for name, tt := range map[string]struct {
		text    string
		unknown bool
	}{
		"a pod template":                              {head + "spec: {template: {spec: {containers: [{name: c, image: a}]}}}", true},
		"a pod template in a list":                    {head + "spec: {parts: [{initContainers: [{image: a}]}]}", true},
		"an image volume":                             {head + "spec: {volumes: [{name: v, image: {reference: a}}]}", true},
		"a key in another case":                       {head + "spec: {Containers: [{image: a}]}", false},
		"a schema that speaks of containers":          {head + "spec: {properties: {containers: {type: array}}, required: [containers]}", false},
		"containers that name no image":               {head + "spec: {containers: [{name: c}]}", false},
		"a list that the API server reads as no list": {`{"apiVersion":"v1","kind":"PodList","Items":[{"spec":{"containers":[{"image":"a"}]}}]}`, true},
	} {
		t.Run(name, func(t *testing.T) {
			objects, err := read(t, tt.text)
			if err != nil {
				t.Fatal(err)
			}
			_, _, err = files.Images(image.NewExtractor(), objects, false)
			if unknown := (*files.UnknownKindError)(nil); errors.As(err, &unknown) != tt.unknown {
				t.Errorf("error = %v, want unknown kind %v", err, tt.unknown)
			}
			if _, without, err := files.Images(image.NewExtractor(), objects, true); err != nil || without != 1 {
				t.Errorf("when allowed: %d without images, %v", without, err)
			}
		})
	}
}
