// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package image

import "fmt"

// What can name an image in a PodSpec of k8s.io/api/core/v1, whose other fields may
// be larger than anybody wants to hold: `"tolerations":[{},{}…]` takes a hundred
// times its length when it is decoded. That nothing is missing here is tested
// against k8s.io/api.
type (
	// container is one of containers, initContainers or ephemeralContainers.
	container struct {
		Name  string `json:"name"`
		Image string `json:"image"`
	}
	volume struct {
		Name  string `json:"name"`
		Image *struct {
			Reference string `json:"reference"`
		} `json:"image"`
	}
)

// podSpec collects the images of the PodSpec that r is at.
func (c *collector) podSpec(r *reader, at place) error {
	seen := map[string]bool{}
	return r.object(at, func(name string) error {
		var read func(r *reader, list place, i int, at place) error
		switch name {
		case "containers", "initContainers", "ephemeralContainers":
			read = c.container
		case "volumes":
			read = c.volume
		default:
			return r.skip()
		}
		list := at.child(name)
		if seen[name] {
			return duplicate(list)
		}
		seen[name] = true
		return r.list(list, func(i int, at place) error { return read(r, list, i, at) })
	})
}

func (c *collector) container(r *reader, list place, i int, at place) error {
	var o container
	if err := r.strictly(at, &o); err != nil {
		return err
	}
	return c.add(Occurrence{Container: o.Name, Slot: list.slot(o.Name, i), Image: o.Image}, at.child("image"))
}

func (c *collector) volume(r *reader, list place, i int, at place) error {
	var o volume
	if err := r.strictly(at, &o); err != nil || o.Image == nil {
		return err
	}
	return c.add(Occurrence{Container: o.Name, Slot: list.slot(o.Name, i), Image: o.Image.Reference}, at.child("image").child("reference"))
}

// reference collects the image reference that r is at, in a custom resource.
func (c *collector) reference(r *reader, at place) error {
	var o *string
	if err := r.strictly(at, &o); err != nil {
		return fmt.Errorf("%s is not a string", at.path)
	}
	if o == nil {
		return nil
	}
	return c.add(Occurrence{Slot: at.pointer, Image: *o}, at)
}
