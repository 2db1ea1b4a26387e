// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package conversion

import (
	"fmt"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	sigstore "github.com/countersign-dev/countersign/pkg/apis/sigstore/v1alpha1"
)

func (c *converter) authorities(path *field.Path, in []sigstore.Authority) []v1alpha1.Authority {
	names := nameGiver{}
	var out []v1alpha1.Authority
	for i := range in {
		out = append(out, c.authority(path.Index(i), names.give(in[i].Name, fmt.Sprintf("authority-%d", i)), &in[i]))
	}
	return out
}

func (c *converter) authority(path *field.Path, name string, in *sigstore.Authority) v1alpha1.Authority {
	out := v1alpha1.Authority{Name: name}
	switch count(in.Key != nil, in.Keyless != nil, in.Static != nil) {
	case 0:
		c.refuse(field.Required(path, "exactly one of key, keyless, static must be set"))
		return out
	case 1:
	default:
		c.refuse(field.Forbidden(path, "exactly one of key, keyless, static must be set"))
		return out
	}
	if in.Static != nil {
		out.Static = c.static(path, in)
	} else {
		out.Key = c.key(path.Child("key"), in.Key)
		out.Keyless = c.keyless(path.Child("keyless"), in.Keyless)
		out.CTLog = c.ctlog(path.Child("ctlog"), in)
	}
	if in.RFC3161Timestamp != nil {
		out.RFC3161Timestamp = &v1alpha1.RFC3161Timestamp{TrustRootRef: in.RFC3161Timestamp.TrustRootRef}
	}
	// Unset, that API looks at the legacy format alone. Which format a signature is
	// stored in says nothing about how good it is: here, any is looked at.
	out.SignatureFormat = v1alpha1.SignatureFormat(in.SignatureFormat)
	if out.SignatureFormat == v1alpha1.SignatureFormatAuto {
		c.refuse(field.NotSupported(path.Child("signatureFormat"), in.SignatureFormat, []string{"legacy", "bundle"}))
	}
	out.Source = c.sources(path.Child("source"), in.Source)
	out.Attestations = c.attestations(path.Child("attestations"), in.Attestations)
	if len(out.Attestations) > 0 {
		// There, an authority with attestations does not look at the signature.
		no := false
		out.RequireSignature = &no
	}
	return out
}

func count(conditions ...bool) int {
	n := 0
	for _, condition := range conditions {
		if condition {
			n++
		}
	}
	return n
}

// static: a ctlog beside it is refused, since ours has none to keep it in.
func (c *converter) static(path *field.Path, in *sigstore.Authority) *v1alpha1.StaticAuthority {
	if in.CTLog != nil {
		c.refuse(field.Forbidden(path.Child("ctlog"), "ctlog does not apply to a static authority"))
	}
	out := &v1alpha1.StaticAuthority{Action: v1alpha1.StaticAction(in.Static.Action), Message: in.Static.Message}
	if out.Action == v1alpha1.StaticPass && out.Message != "" {
		c.warnf(path.Child("static", "message"), "is shown nowhere, since the action is pass")
		out.Message = ""
	}
	return out
}

func (c *converter) key(path *field.Path, in *sigstore.KeyRef) *v1alpha1.KeyAuthority {
	if in == nil {
		return nil
	}
	out := &v1alpha1.KeyAuthority{
		Data: in.Data, KMS: in.KMS,
		HashAlgorithm: v1alpha1.HashAlgorithm(strings.ToLower(strings.TrimSpace(in.HashAlgorithm))),
	}
	if ref := in.SecretRef; ref != nil {
		out.SecretRef = &v1alpha1.SecretKeyReference{Name: ref.Name}
		if ref.Namespace != "" && ref.Namespace != c.Namespace {
			c.refuse(field.Invalid(path.Child("secretRef", "namespace"), ref.Namespace,
				fmt.Sprintf("Secrets are read in countersign's own namespace, %q, and in no other", c.Namespace)))
		}
	}
	return out
}

func (c *converter) keyless(path *field.Path, in *sigstore.KeylessRef) *v1alpha1.KeylessAuthority {
	if in == nil {
		return nil
	}
	out := &v1alpha1.KeylessAuthority{TrustRootRef: in.TrustRootRef, InsecureIgnoreSCT: in.InsecureIgnoreSCT}
	if in.CACert != nil {
		c.settled = append(c.settled, path.Child("trustRootRef").String())
		c.refuse(field.Forbidden(path.Child("ca-cert"),
			"policy-controller accepts no signature by it, either: put the certificate into a TrustRoot, and name that in trustRootRef, or its uri in url"))
	}
	switch {
	case in.TrustRootRef == "" && in.URL == "" && in.CACert == nil:
		c.settled = append(c.settled, path.Child("trustRootRef").String())
		c.refuse(field.Required(path.Child("url"),
			"no certificate authority is trusted by default: write "+publicFulcio+" to mean that, and add its certificates to a TrustRoot"))
	case in.TrustRootRef == "":
		out.URL = in.URL
	case in.URL != "" && in.URL != publicFulcio:
		c.warnf(path.Child("url"), "chooses nothing beside trustRootRef, as in policy-controller: every authority of the trust root counts")
	}
	for i, identity := range in.Identities {
		out.Identities = append(out.Identities, c.identity(path.Child("identities").Index(i), identity))
	}
	return out
}

// publicFulcio is what policy-controller writes into an object that names no authority,
// one with a trustRootRef included.
const publicFulcio = "https://fulcio.sigstore.dev"

// ctlog: policy-controller asks no log of an authority with a key that names none, and
// the public log of a keyless one. Here, the proof of a log is required of both.
func (c *converter) ctlog(path *field.Path, in *sigstore.Authority) *v1alpha1.CTLog {
	switch {
	case in.CTLog != nil && in.CTLog.TrustRootRef != "":
		if in.CTLog.URL != "" {
			c.warnf(path.Child("url"), "chooses nothing beside trustRootRef, as in policy-controller: every log of the trust root counts")
		}
		return &v1alpha1.CTLog{TrustRootRef: in.CTLog.TrustRootRef}
	case in.CTLog != nil && in.CTLog.URL != "":
		return &v1alpha1.CTLog{URL: in.CTLog.URL}
	case in.Key != nil && c.OptionalTLog:
		yes := true
		return &v1alpha1.CTLog{InsecureIgnoreTlog: &yes}
	case in.Key != nil:
		c.warnf(path, "names no log: policy-controller would ask none, and here the default TransparencyLog must hold the signature, unless --sigstore-compat-tlog=optional is set")
	default:
		c.warnf(path, "names no log: policy-controller would ask sigstore's public one, and here the default TransparencyLog must hold the signature")
	}
	return nil
}

func (c *converter) sources(path *field.Path, in []sigstore.Source) []v1alpha1.Source {
	if len(in) > 1 {
		c.refuse(field.TooMany(path, len(in), 1))
	}
	var out []v1alpha1.Source
	for i, s := range in {
		source := v1alpha1.Source{OCI: s.OCI}
		if s.TagPrefix != nil {
			source.TagPrefix = *s.TagPrefix
		}
		if len(s.SignaturePullSecrets) > 0 {
			c.settled = append(c.settled, path.Index(i).String()) // it may be all that the source says
			c.refuse(field.Forbidden(path.Index(i).Child("signaturePullSecrets"),
				"they are Secrets of the namespace that runs the image: in our own API, signaturePullSecrets are those of countersign's (docs/registries.md)"))
		}
		out = append(out, source)
	}
	return out
}

func (c *converter) attestations(path *field.Path, in []sigstore.Attestation) []v1alpha1.Attestation {
	names := nameGiver{}
	var out []v1alpha1.Attestation
	for i, a := range in {
		path := path.Index(i)
		if a.Name == "" {
			c.refuse(field.Required(path.Child("name"), "how messages name it"))
		}
		c.program(path.Child("policy"), a.Policy)
		out = append(out, v1alpha1.Attestation{Name: names.give(a.Name, fmt.Sprintf("attestation-%d", i)), PredicateType: a.PredicateType})
	}
	return out
}

// nameGiver makes names that are DNS labels, each given once, out of any text.
type nameGiver struct{ given sets.Set[string] }

var notInLabel = regexp.MustCompile(`[^a-z0-9]+`)

// maxName leaves room for a number within the 63 characters of a DNS label.
const maxName = 58

func (g *nameGiver) give(text, otherwise string) string {
	name := notInLabel.ReplaceAllString(strings.ToLower(text), "-")
	name = strings.Trim(name[:min(len(name), maxName)], "-")
	if name == "" {
		name = otherwise
	}
	unique := name
	for n := 2; g.given.Has(unique); n++ {
		unique = fmt.Sprintf("%s-%d", name, n)
	}
	if g.given == nil {
		g.given = sets.New[string]()
	}
	g.given.Insert(unique)
	return unique
}
