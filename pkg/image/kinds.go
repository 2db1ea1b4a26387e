// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	kjson "sigs.k8s.io/json"
)

// Kind is a kind of object that brings in images.
type Kind struct {
	schema.GroupVersionKind
	// Resource is the kind's plural name in URLs and webhook rules.
	Resource string
}

// Kinds returns every kind that Extract reads: all those of the Kubernetes API
// that hold a PodSpec. Other versions of them are not listed: a webhook with
// matchPolicy Equivalent receives them converted to these.
func Kinds() []Kind {
	kinds := make([]Kind, 0, len(holders))
	for _, h := range holders {
		kinds = append(kinds, h.Kind)
	}
	return kinds
}

// holder is a kind and how to reach its PodSpec.
type holder struct {
	Kind
	// path leads to the PodSpec.
	path []string
	// podSpec decodes the part of an object that can name an image. A template
	// that is left out names none.
	podSpec func(raw []byte) (podSpec, error)
}

var (
	specPath     = []string{"spec"}
	templatePath = []string{"spec", "template", "spec"}
)

// What is above a PodSpec in objects of each shape; nothing else is decoded.
type (
	bare struct {
		Spec podSpec `json:"spec"`
	}
	template struct {
		Template bare `json:"template"`
	}
	workload struct {
		Spec template `json:"spec"`
	}
	nested struct {
		Spec struct {
			JobTemplate workload `json:"jobTemplate"`
		} `json:"spec"`
	}
)

// holders is read-only.
var holders = []holder{
	core("Pod", "pods", specPath, decode(func(o *bare) podSpec { return o.Spec })),
	core("PodTemplate", "podtemplates", []string{"template", "spec"}, decode(func(o *template) podSpec { return o.Template.Spec })),
	core("ReplicationController", "replicationcontrollers", templatePath, ofWorkload),
	apps("ReplicaSet", "replicasets"),
	apps("Deployment", "deployments"),
	apps("StatefulSet", "statefulsets"),
	apps("DaemonSet", "daemonsets"),
	batch("Job", "jobs", templatePath, ofWorkload),
	batch("CronJob", "cronjobs", []string{"spec", "jobTemplate", "spec", "template", "spec"},
		decode(func(o *nested) podSpec { return o.Spec.JobTemplate.Spec.Template.Spec })),
}

type decoder func(raw []byte) (podSpec, error)

func ofWorkload(raw []byte) (podSpec, error) {
	return decode(func(o *workload) podSpec { return o.Spec.Template.Spec })(raw)
}

func core(kind, resource string, path []string, d decoder) holder {
	return holder{Kind{corev1.SchemeGroupVersion.WithKind(kind), resource}, path, d}
}

func apps(kind, resource string) holder {
	return holder{Kind{appsv1.SchemeGroupVersion.WithKind(kind), resource}, templatePath, ofWorkload}
}

func batch(kind, resource string, path []string, d decoder) holder {
	return holder{Kind{batchv1.SchemeGroupVersion.WithKind(kind), resource}, path, d}
}

func findHolder(gvk schema.GroupVersionKind) (holder, bool) {
	i := slices.IndexFunc(holders, func(h holder) bool { return h.GroupVersionKind == gvk })
	if i < 0 {
		return holder{}, false
	}
	return holders[i], true
}

func decode[T any](spec func(*T) podSpec) decoder {
	return func(raw []byte) (podSpec, error) {
		object := new(T)
		if err := readStrict(raw, object); err != nil {
			return podSpec{}, err
		}
		return spec(object), nil
	}
}

// readStrict reads JSON as the API server does: keys are case-sensitive, unknown
// ones are dropped. Unlike the API server it refuses a key that is given twice:
// what is verified must not depend on which of the two a reader takes.
func readStrict(raw []byte, into any) error {
	strict, err := kjson.UnmarshalStrict(raw, into, kjson.DisallowDuplicateFields)
	if err != nil {
		return err
	}
	if len(strict) > 0 {
		return strict[0]
	}
	return nil
}

// checkType refuses an object that says it is something else than gvk.
func checkType(gvk schema.GroupVersionKind, raw []byte) error {
	if first := firstByte(raw); first != '{' {
		return errors.New("not a JSON object")
	}
	var said struct {
		APIVersion json.RawMessage `json:"apiVersion"`
		Kind       json.RawMessage `json:"kind"`
	}
	if err := kjson.UnmarshalCaseSensitivePreserveInts(raw, &said); err != nil {
		return err
	}
	apiVersion, kind := gvk.ToAPIVersionAndKind()
	for _, field := range []struct {
		name, want string
		got        json.RawMessage
	}{{"apiVersion", apiVersion, said.APIVersion}, {"kind", kind, said.Kind}} {
		var got string
		if len(field.got) == 0 {
			continue
		}
		if err := json.Unmarshal(field.got, &got); err != nil {
			return fmt.Errorf("%s is not a string", field.name)
		}
		if got != "" && got != field.want {
			return fmt.Errorf("%s is %.64q, not %q", field.name, got, field.want)
		}
	}
	return nil
}

func firstByte(raw []byte) byte {
	for _, b := range raw {
		switch b {
		case ' ', '\t', '\r', '\n':
		default:
			return b
		}
	}
	return 0
}
