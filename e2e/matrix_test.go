// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/countersign-dev/countersign/e2e/stack"
)

// combination is one row of the table: an image that is good or bad under a policy
// of that mode comes to that list of an object of that kind by that operation.
type combination struct {
	kind, list, operation, mode string
	good                        bool
}

func (c combination) String() string {
	image := "bad"
	if c.good {
		image = "good"
	}
	return fmt.Sprintf("%s %s of a %s, a %s image, mode %s", c.operation, c.list, c.kind, image, c.mode)
}

// matrix is what the combinations are tried on.
type matrix struct {
	namespace string
	images    map[string]map[bool]stack.Image // by mode, and whether it is good
	other     stack.Image                     // which no policy covers
}

var (
	matrixKinds = append(slices.Clone(workloadKinds), "Rollout")
	matrixLists = []string{"containers", "initContainers", "ephemeralContainers", "volumes"}
	matrixModes = []string{"enforce", "warn", "audit"}
)

// TestTheTable tries every combination of kind, list of images, operation and mode
// with a good and with a bad image. Nothing is left out: where Kubernetes itself
// knows no such change, it has to say so.
func TestTheTable(t *testing.T) {
	t.Parallel()
	newCustomKind(t, "argoproj.io", "v1alpha1", "Rollout")
	m := newMatrix(t)
	tried := 0
	for _, kind := range matrixKinds {
		for _, mode := range matrixModes {
			for _, good := range []bool{true, false} {
				for _, list := range matrixLists {
					for _, operation := range []string{"create", "update", "update the subresource for"} {
						c := combination{kind, list, operation, mode, good}
						if operation == "update the subresource for" && (kind != "Pod" || list != "ephemeralContainers") {
							continue // there is no other subresource with images
						}
						tried++
						t.Run(c.String(), func(t *testing.T) {
							t.Parallel()
							m.try(t, c)
						})
					}
				}
			}
		}
		for what, request := range map[string]call{
			"labelled": {http.MethodPatch, m.at(kind, "old") + "?dryRun=All", mergePatch, `{"metadata":{"labels":{"a":"b"}}}`},
			"deleted":  {http.MethodDelete, m.at(kind, "old") + "?dryRun=All", "", ""},
		} {
			tried++
			t.Run("a "+kind+" with bad images in every list is "+what, func(t *testing.T) {
				t.Parallel()
				request.must(t)
			})
		}
	}
	if want := 10*3*2*4*2 + 6 + 10*2; tried != want {
		t.Errorf("%d combinations were tried, want %d", tried, want)
	}
}

// newMatrix makes a policy a mode with its images, and of each kind an object to be
// changed, base, and one with bad images that was there before the policies, old.
func newMatrix(t *testing.T) *matrix {
	t.Helper()
	m := &matrix{namespace: newNamespace(t), images: map[string]map[bool]stack.Image{}, other: pushImage(t, S(t).Registry)}
	for _, mode := range matrixModes {
		m.images[mode] = map[bool]stack.Image{}
		for _, good := range []bool{true, false} {
			image, err := stack.PushImage(t.Context(), S(t).Registry.Host, newName(t)+"/"+mode+"/"+strconv.FormatBool(good), "v1")
			if err != nil {
				t.Fatal(err)
			}
			m.images[mode][good] = image
			if good {
				sign(t, image, stack.SignOptions{})
			}
		}
	}
	for _, kind := range matrixKinds {
		call{http.MethodPost, collection(kind, m.namespace), "", m.object(t, kind, "old", m.everywhere(m.images["enforce"][false].Ref()))}.must(t)
		call{http.MethodPost, collection(kind, m.namespace), "", m.object(t, kind, "base", m.everywhere(m.other.Ref()))}.must(t)
	}
	for _, mode := range matrixModes {
		name := newName(t)
		policy := stack.KeyPolicy(name, "placeholder", S(t).Key)
		globs := "  - glob: " + m.images[mode][true].Registry + "/" + m.images[mode][true].Repository + "\n" +
			"  - glob: " + m.images[mode][false].Registry + "/" + m.images[mode][false].Repository + "\n"
		policy = strings.Replace(policy, "  - glob: \"placeholder\"\n", globs, 1)
		applied(t, "clusterimagepolicy/"+name, strings.Replace(policy, "spec:\n", "spec:\n  mode: "+mode+"\n", 1))
	}
	return m
}

func (m *matrix) at(kind, name string) string { return collection(kind, m.namespace) + "/" + name }

// everywhere is a PodSpec with the image in every list that a new object may have.
func (m *matrix) everywhere(image string) object {
	return object{
		"automountServiceAccountToken": false,
		"containers":                   []any{container("main", image)},
		"initContainers":               []any{container("init", image)},
		"volumes":                      []any{object{"name": "v", "image": object{"reference": image}}},
	}
}

// object is a manifest of that kind whose PodSpec is spec.
func (m *matrix) object(t *testing.T, kind, name string, spec object) string {
	t.Helper()
	if kind == "Rollout" {
		return manifestOf(t, object{
			"apiVersion": "argoproj.io/v1alpha1", "kind": kind, "metadata": object{"name": name},
			"spec": object{"template": object{"spec": spec}},
		})
	}
	var o object
	decodeInto(t, []byte(workload(t, kind, m.namespace, name, "placeholder")), &o)
	at := o
	for _, field := range strings.Split(podSpecPath(kind), "/")[1:] {
		at = at[field].(object)
	}
	maps.Copy(at, spec)
	if kind != "Pod" && kind != "Job" && kind != "CronJob" {
		at["restartPolicy"] = "Always"
	}
	return manifestOf(t, o)
}

// podSpecPath is the JSON pointer to the PodSpec of an object of that kind.
func podSpecPath(kind string) string {
	switch kind {
	case "Pod":
		return "/spec"
	case "PodTemplate":
		return "/template/spec"
	case "CronJob":
		return "/spec/jobTemplate/spec/template/spec"
	default:
		return "/spec/template/spec"
	}
}

// request is what somebody sends for a combination, and the field that the image
// then is in.
func (m *matrix) request(t *testing.T, c combination) (call, string) {
	t.Helper()
	image := m.images[c.mode][c.good].Ref()
	element := map[string]any{
		"containers": container("main", image), "initContainers": container("init", image), "ephemeralContainers": container("debug", image),
		"volumes": object{"name": "v", "image": object{"reference": image}},
	}[c.list]
	field := map[bool]string{true: "/image/reference", false: "/image"}[c.list == "volumes"]
	pointer := podSpecPath(c.kind) + "/" + c.list + "/0" + field
	switch {
	case c.operation == "create":
		spec := m.everywhere(m.other.Ref())
		spec[c.list] = []any{element}
		return call{http.MethodPost, collection(c.kind, m.namespace) + "?dryRun=All", "", m.object(t, c.kind, "new", spec)}, pointer
	case c.list == "ephemeralContainers":
		at := m.at(c.kind, "base")
		if c.operation != "update" {
			at += "/ephemeralcontainers"
		}
		patch := []any{object{"op": "add", "path": podSpecPath(c.kind) + "/" + c.list, "value": []any{element}}}
		return call{http.MethodPatch, at + "?dryRun=All", jsonPatch, listOf(t, patch)}, pointer
	default:
		patch := []any{object{"op": "replace", "path": pointer, "value": image}}
		return call{http.MethodPatch, m.at(c.kind, "base") + "?dryRun=All", jsonPatch, listOf(t, patch)}, pointer
	}
}

// unknown tells the changes that Kubernetes itself refuses.
func (c combination) unknown() bool {
	switch {
	case c.kind == "Rollout":
		return false // which Kubernetes knows nothing of
	case c.list == "ephemeralContainers":
		return c.operation != "update the subresource for"
	case c.operation == "update" && c.kind == "Pod":
		return c.list == "volumes"
	default:
		return c.operation == "update" && c.kind == "Job"
	}
}

func (m *matrix) try(t *testing.T, c combination) {
	t.Helper()
	request, pointer := m.request(t, c)
	a := request.send(t)
	image := m.images[c.mode][c.good]
	warned := strings.Contains(strings.Join(a.warnings, "\n"), "would be denied")
	switch {
	case c.unknown():
		if a.code != http.StatusUnprocessableEntity {
			t.Errorf("%d %.1000s, want the API server to refuse it", a.code, a.body)
		}
	case !c.good && c.mode == "enforce":
		want := strings.NewReplacer("/0", "[0]", "/", ".").Replace(strings.TrimPrefix(pointer, "/")) + " NoSignature"
		if a.code != http.StatusForbidden || !slices.Equal(a.causes(), []string{want}) {
			t.Errorf("%d %.1000s, want refused for %s alone", a.code, a.body, want)
		}
	case !a.ok():
		t.Errorf("%d %.1000s, want admitted", a.code, a.body)
	case warned != (!c.good && c.mode == "warn"):
		t.Errorf("warned: %v: %s", warned, a.warnings)
	default:
		want := image.Ref()
		if c.kind == "Pod" {
			want = image.Pinned()
		}
		if !strings.Contains(string(a.body), strconv.Quote(want)) {
			t.Errorf("%s is not in %.1000s", want, a.body)
		}
	}
}

func listOf(t *testing.T, list []any) string {
	t.Helper()
	text := manifestOf(t, object{"list": list})
	return strings.TrimSuffix(strings.TrimPrefix(text, `{"list":`), "}")
}
