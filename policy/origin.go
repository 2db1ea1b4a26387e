// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"context"
	"errors"
	"sync"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/countersign-dev/countersign/pkg/image"
)

// Origin is where an image comes from: what there is to know of the object that
// names it, beside its images. It decides which policies cover the image. Nothing in
// it is trusted further than that: whoever writes the object chooses most of it.
//
// The zero value is that of an image of which nobody says where it is to run. No
// policy of a namespace covers it, and every other does whatever it selects.
type Origin struct {
	// Namespace is the name of the object's namespace, and "" where it has none or
	// nobody knows. It is from the request, where the API server has checked it.
	Namespace string
	// Resource is the object's, as in the API's URLs. It is empty where nobody
	// knows.
	Resource schema.GroupVersionResource
	// Pull names, in that namespace, who has credentials for the images. Whoever
	// writes the object chooses them: they are worth what they open.
	Pull image.PullNames
	// Labels returns the labels of the Pods that the object brings in, one set for
	// each Pod template. It is called when a policy asks, at most once for an object
	// if it remembers; nil where nobody knows.
	Labels func() ([]map[string]string, error)
	// ObjectLabels returns the labels of the object itself, as Labels does those of its
	// Pods.
	ObjectLabels func() (map[string]string, error)
}

// Namespaces knows the labels of namespaces.
type Namespaces interface {
	// Labels returns the labels of the namespace with that name.
	Labels(ctx context.Context, name string) (map[string]string, error)
}

// question is what is asked: about an image, as it is written, under those policies of
// one state of the Set that cover it where it comes from, and with which credentials.
// Images of any origins share an
// answer if and only if all of these are the same.
type question struct {
	policies state
	// covering names the policies by their positions in it.
	covering string
	image    string
	// tenant and scope are those of the access: what one finds with his credentials
	// is not told to others.
	tenant, scope string
}

// view is an Origin as policies look at it.
type view struct {
	Origin
	// namespaceLabels returns those of the namespace, read at most once; nil where
	// nobody can.
	namespaceLabels func() (labels.Set, error)
}

var (
	errNoNamespace = errors.New("nobody says which namespace it is")
	errNoReader    = errors.New("nobody knows the labels of namespaces")
)

// view returns origin for the policies of one decision, or of all about one object, so
// that they see the same labels.
func (e *Evaluator) view(ctx context.Context, origin Origin) view {
	return view{Origin: origin, namespaceLabels: sync.OnceValues(func() (labels.Set, error) {
		switch {
		case origin.Namespace == "":
			return nil, errNoNamespace
		case e.namespaces == nil:
			return nil, errNoReader
		default:
			return e.namespaces.Labels(ctx, origin.Namespace)
		}
	})}
}
