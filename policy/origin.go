// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/countersign-dev/countersign/pkg/image"
)

// Origin is where an image comes from: what there is to know of the object that
// names it, beside its images. It decides which policies cover the image. Nothing in
// it is trusted further than that: whoever writes the object chooses most of it.
//
// The zero value is that of an image of which nobody says where it is to run. No
// policy of a namespace covers it.
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
}

// question is what is asked: about an image, as it is written, under those policies of
// one state of the Set that cover it where it comes from, and with which credentials.
// Images of any origins share an
// answer if and only if all of these are the same.
type question struct {
	policies *snapshot
	// covering names the policies by their positions in the snapshot.
	covering string
	image    string
	// tenant and scope are those of the access: what one finds with his credentials
	// is not told to others.
	tenant, scope string
}

// coverage is what one state of the policies says of one image.
type coverage struct {
	policies []*Policy
	// key is different for every list of policies.
	key string
}
