// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/apis/sigstore/conversion"
	"github.com/countersign-dev/countersign/policy/files"
)

func newConvert() *cobra.Command {
	var namespace string
	var sigstore sigstoreOptions
	convert := &cobra.Command{
		Use:   "convert FILE|DIR|-...",
		Short: "Write policies of policy.sigstore.dev as policies of countersign",
		Long: `Read ClusterImagePolicy and TrustRoot objects of policy.sigstore.dev, and print
what they mean as objects of policy.countersign.dev. What is different, and what is
dangerous, is a warning on standard error. Where anything cannot be kept, its field
is named, nothing is printed, and the exit code is 1.`,
		Example: "  countersign policy convert cluster-image-policies/ > policies.yaml",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			options, err := sigstore.options(namespace)
			if err != nil {
				return err
			}
			objects, err := files.Read(args, c.InOrStdin())
			if err != nil {
				return err
			}
			return convertAll(objects, options, c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	convert.Flags().StringVar(&namespace, "namespace", defaultNamespace, "countersign's own namespace, whose Secrets can be named")
	sigstore.register(convert.Flags())
	return convert
}

// manifest is an object as people write it.
type manifest struct {
	metav1.TypeMeta `json:",inline"`
	Metadata        manifestMeta `json:"metadata"`
	Spec            any          `json:"spec"`
}

type manifestMeta struct {
	Name   string            `json:"name"`
	Labels map[string]string `json:"labels,omitempty"`
}

// convertAll prints all objects, or says of which fields it cannot.
func convertAll(objects []files.Object, options conversion.Options, stdout, stderr io.Writer) error {
	if len(objects) == 0 {
		return fmt.Errorf("there is neither a ClusterImagePolicy nor a TrustRoot of %s to convert", v1alpha1.SigstoreGroup)
	}
	var converted []manifest
	refused := false
	for _, o := range objects {
		m, errs, warnings, err := convertOne(o, options)
		if err != nil {
			return err
		}
		for _, warning := range warnings {
			fmt.Fprintf(stderr, "warning: %s: %s %q: %s\n", o.Source, o.Kind.Kind, m.Metadata.Name, warning)
		}
		for _, problem := range errs {
			fmt.Fprintf(stderr, "error: %s: %s %q: %v\n", o.Source, o.Kind.Kind, m.Metadata.Name, problem)
		}
		refused = refused || len(errs) > 0
		converted = append(converted, m)
	}
	if refused {
		return exitError{code: exitRejected}
	}
	for i, m := range converted {
		text, err := yaml.Marshal(m)
		if err != nil {
			return err
		}
		if i > 0 {
			fmt.Fprintln(stdout, "---")
		}
		fmt.Fprintf(stdout, "%s", text)
	}
	return nil
}

func convertOne(o files.Object, options conversion.Options) (manifest, field.ErrorList, []string, error) {
	m := manifest{TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion().String(), Kind: o.Kind.Kind}}
	switch {
	case conversion.IsPolicy(o.Kind):
		p := conversion.ClusterImagePolicy(o.JSON, options)
		m.Metadata, m.Spec = manifestMeta{p.Object.Name, p.Object.Labels}, p.Object.Spec
		return m, p.Refused, p.Warnings, nil
	case conversion.IsTrustRoot(o.Kind):
		r := conversion.TrustRoot(o.JSON)
		m.Metadata, m.Spec = manifestMeta{r.Object.Name, r.Object.Labels}, r.Object.Spec
		return m, r.Refused, r.Warnings, nil
	default:
		return m, nil, nil, fmt.Errorf("%s: an object of kind %s in %s is neither a ClusterImagePolicy nor a TrustRoot of %s",
			o.Source, o.Kind.Kind, o.Kind.GroupVersion(), v1alpha1.SigstoreGroup)
	}
}
