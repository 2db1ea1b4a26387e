// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package conversion

import (
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1/validation"
	sigstore "github.com/countersign-dev/countersign/pkg/apis/sigstore/v1alpha1"
)

// Root is what a TrustRoot of policy.sigstore.dev means.
type Root struct {
	// Object is the trust root in our terms, with its own name. With a field that is
	// refused it holds nothing.
	Object *v1alpha1.TrustRoot
	// Refused are the fields that mean nothing that can be kept.
	Refused field.ErrorList
	// Warnings are what is dangerous.
	Warnings []string
}

// TrustRoot reads a TrustRoot of policy.sigstore.dev, which is JSON.
func TrustRoot(raw []byte) Root {
	c := &converter{}
	var in object[sigstore.TrustRootSpec]
	readable := c.decode(raw, &in)
	out := &v1alpha1.TrustRoot{ObjectMeta: in.ObjectMeta}
	out.ManagedFields = nil
	if readable {
		out.Spec = c.trustRoot(field.NewPath("spec"), &in.Spec)
		out.SetDefaults()
		c.refuseAlso(validation.TrustRoot(out))
		c.warnings = append(c.warnings, validation.TrustRootWarnings(out)...)
	}
	if len(c.refused) > 0 {
		// A part of it is not what its owner meant.
		out.Spec = v1alpha1.TrustRootSpec{}
	}
	return Root{Object: out, Refused: c.refused, Warnings: c.warnings}
}

// Qualify names the trust root as objects of policy.sigstore.dev are known among ours.
func (r *Root) Qualify() { r.Object.Name = v1alpha1.SigstoreName(r.Object.Name) }

func (c *converter) trustRoot(path *field.Path, in *sigstore.TrustRootSpec) v1alpha1.TrustRootSpec {
	var out v1alpha1.TrustRootSpec
	if r := in.Remote; r != nil {
		out.Remote = &v1alpha1.RemoteRepository{Root: r.Root, Mirror: r.Mirror, Targets: r.Targets, TrustedRootTarget: r.TrustedRootTarget}
	}
	if r := in.Repository; r != nil {
		out.Repository = &v1alpha1.EmbeddedRepository{Root: r.Root, MirrorFS: r.MirrorFS, Targets: r.Targets, TrustedRootTarget: r.TrustedRootTarget}
	}
	if keys := in.SigstoreKeys; keys != nil {
		path := path.Child("sigstoreKeys")
		out.SigstoreKeys = &v1alpha1.SigstoreKeys{
			CertificateAuthorities: chains(keys.CertificateAuthorities),
			TimestampAuthorities:   chains(keys.TimestampAuthorities),
			CTLogs:                 c.instances(path.Child("ctLogs"), keys.CTLogs),
			TLogs:                  c.instances(path.Child("tLogs"), keys.TLogs),
		}
	}
	return out
}

// chains leaves the subject out: that API asks for one, and compares it with nothing.
func chains(in []sigstore.CertificateAuthority) []v1alpha1.CertificateAuthority {
	var out []v1alpha1.CertificateAuthority
	for _, ca := range in {
		out = append(out, v1alpha1.CertificateAuthority{URI: ca.URI, CertChain: ca.CertChain})
	}
	return out
}

func (c *converter) instances(path *field.Path, in []sigstore.TransparencyLogInstance) []v1alpha1.TransparencyLogInstance {
	var out []v1alpha1.TransparencyLogInstance
	for i, log := range in {
		hash := v1alpha1.MerkleHash(log.HashAlgorithm)
		switch log.HashAlgorithm {
		case "", "sha256", string(v1alpha1.DefaultMerkleHash):
			hash = v1alpha1.DefaultMerkleHash
		default:
			c.refuse(field.NotSupported(path.Index(i).Child("hashAlgorithm"), log.HashAlgorithm, []string{"sha-256", "sha256"}))
		}
		out = append(out, v1alpha1.TransparencyLogInstance{BaseURL: log.BaseURL, HashAlgorithm: hash, PublicKey: log.PublicKey})
	}
	return out
}
