// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"encoding/json"
	"errors"
	"fmt"

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

// Kinds returns every kind of the Kubernetes API that holds a PodSpec. Other
// versions of them are not listed: a webhook with matchPolicy Equivalent receives
// them converted to these.
func Kinds() []Kind {
	kinds := make([]Kind, 0, len(builtIn))
	for _, h := range builtIn {
		kinds = append(kinds, h.Kind)
	}
	return kinds
}

// holder is a kind, and where in it the images are.
type holder struct {
	Kind
	// podSpecs lead to PodSpecs, images to image references. A template that is
	// left out names none.
	podSpecs, images []path
}

// builtIn is read-only.
var builtIn = []holder{
	core("Pod", "pods", "spec"),
	core("PodTemplate", "podtemplates", "template", "spec"),
	core("ReplicationController", "replicationcontrollers", "spec", "template", "spec"),
	apps("ReplicaSet", "replicasets"),
	apps("Deployment", "deployments"),
	apps("StatefulSet", "statefulsets"),
	apps("DaemonSet", "daemonsets"),
	batch("Job", "jobs", "spec", "template", "spec"),
	batch("CronJob", "cronjobs", "spec", "jobTemplate", "spec", "template", "spec"),
}

func core(kind, resource string, podSpec ...string) holder {
	return holder{Kind: Kind{corev1.SchemeGroupVersion.WithKind(kind), resource}, podSpecs: []path{fields(podSpec...)}}
}

func apps(kind, resource string) holder {
	return holder{Kind: Kind{appsv1.SchemeGroupVersion.WithKind(kind), resource}, podSpecs: []path{fields("spec", "template", "spec")}}
}

func batch(kind, resource string, podSpec ...string) holder {
	return holder{Kind: Kind{batchv1.SchemeGroupVersion.WithKind(kind), resource}, podSpecs: []path{fields(podSpec...)}}
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
