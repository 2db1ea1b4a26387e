// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/countersign-dev/countersign/pkg/image"
	"github.com/countersign-dev/countersign/policy"
	"github.com/countersign-dev/countersign/policy/files"
)

func newVerifyImage() *cobra.Command {
	var o decideOptions
	c := &cobra.Command{
		Use:   "image REF...",
		Short: "Verify images under policies",
		Long: `Reach the verdict that admission would reach on each image, and show the evidence.

The images are judged as those of a Pod without a namespace that anybody knows:
whatever namespaces and labels a policy selects, it covers them. --as-namespace says
where the Pod would be. With --kubeconfig it would have the pull secrets of that
namespace's ServiceAccount "default", which are read if you may read them.

The exit code is about the verdict, under policies of every mode: a policy with
mode warn or audit would admit what it does not accept, and this still ends with 1.`,
		Example: "  countersign verify image registry.corp.example/api:1.4 --policy policy.yaml --trust log.yaml",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			images := make([]located, 0, len(args))
			for _, written := range args {
				images = append(images, located{image: written, origin: policy.Origin{
					Namespace: o.asNamespace, Resource: schema.GroupVersionResource{Version: "v1", Resource: "pods"},
					Pull: image.PullNames{ServiceAccounts: []string{"default"}},
				}})
			}
			return o.verify(c, images, 0, nil)
		},
	}
	o.register(c)
	return c
}

func newVerifyManifest() *cobra.Command {
	var o decideOptions
	var allowNone, allowUnknown bool
	var extractors string
	c := &cobra.Command{
		Use:   "manifest FILE|DIR|-...",
		Short: "Verify every image in manifests under policies",
		Long: `Reach the verdict that admission would reach on every image that the objects bring
in: Pods, workloads, and custom resources that are known, in files with several
documents, and in lists. Objects of other kinds are counted; one that has containers all the same is rejected, since
what its kind makes of them is not known. Each object is judged where it says that it
is; the labels of namespaces are those of the Namespaces in the files. With --kubeconfig
its pull secrets, and those of its ServiceAccount, are read if you may read them. That no image is found at all is an
error of usage. See "verify image" about the exit code.`,
		Example: "  kustomize build . | countersign verify manifest - --policy policies/",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			extractor, err := newExtractor(extractors)
			if err != nil {
				return err
			}
			objects, err := files.Read(args, c.InOrStdin())
			if err != nil {
				return err
			}
			found, without, err := files.Images(extractor, objects, allowUnknown)
			if unknown := (*files.UnknownKindError)(nil); errors.As(err, &unknown) {
				return exitError{code: exitRejected, err: fmt.Errorf("%w; --image-extractors says where it holds images, --allow-unknown-kinds passes it over", err)}
			}
			if err != nil {
				return err
			}
			if len(found) == 0 && !allowNone {
				return fmt.Errorf("no image was found in %d objects; --allow-none accepts that", without)
			}
			images := make([]located, 0, len(found))
			for _, f := range found {
				if f.Origin.Namespace == "" {
					f.Origin.Namespace = o.asNamespace
				}
				images = append(images, located{image: f.Image, source: f.Source, object: f.Object, path: f.Path, origin: f.Origin})
			}
			return o.verify(c, images, without, objects)
		},
	}
	o.register(c)
	registerExtractors(c.Flags(), &extractors)
	c.Flags().BoolVar(&allowNone, "allow-none", false, "end with 0 when no image is found")
	c.Flags().BoolVar(&allowUnknown, "allow-unknown-kinds", false, "pass over objects that have containers but are of no kind whose images are known")
	return c
}
