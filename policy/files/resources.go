// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package files

import (
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/json"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1/validation"
	"github.com/countersign-dev/countersign/pkg/apis/sigstore/conversion"
	"github.com/countersign-dev/countersign/pkg/trust"
)

// Resources are the objects that a decision depends on.
type Resources struct {
	Policies []v1alpha1.ClusterImagePolicy
	// Own are the policies that namespaces have for themselves.
	Own []v1alpha1.ImagePolicy
	// Exceptions are checked, and no decision rests on them.
	Exceptions []v1alpha1.ImagePolicyException
	Logs       []v1alpha1.TransparencyLog
	Roots      []v1alpha1.TrustRoot
	// Secrets are what policies and logs can name, ConfigMaps what trust roots
	// can.
	Secrets    trust.Secrets
	ConfigMaps trust.ConfigMaps
	// Namespaces are those whose labels policies can ask about.
	Namespaces Namespaces
	// Problems are what the API would reject, with the place where it stands.
	Problems []ProblemError
	// Warnings are what is legal but dangerous, with the place where it stands.
	Warnings []string

	policySources, ownSources, logSources, rootSources []string
}

// ProblemError is one mistake in one object.
type ProblemError struct {
	// Source is the file, Object the kind and name.
	Source, Object string
	Err            error
}

func (p ProblemError) Error() string { return fmt.Sprintf("%s: %s: %v", p.Source, p.Object, p.Err) }

// Unwrap returns the mistake itself.
func (p ProblemError) Unwrap() error { return p.Err }

// Load sorts objects into policies and what they refer to, and checks them as the
// API would, with their defaults. Those of policy.sigstore.dev are read as options say,
// into ours. An unknown field is a mistake, and so is an object of any other kind: what
// is given must not be passed over in silence.
func Load(objects []Object, options conversion.Options) Resources {
	r := Resources{Secrets: trust.Secrets{}, ConfigMaps: trust.ConfigMaps{}, Namespaces: Namespaces{}}
	sources, namespace := map[string]string{}, options.Namespace
	for _, o := range objects {
		switch {
		case conversion.IsPolicy(o.Kind):
			r.addSigstorePolicy(sources, o, options)
			continue
		case conversion.IsTrustRoot(o.Kind):
			r.addSigstoreRoot(sources, o)
			continue
		}
		switch o.Kind {
		case v1alpha1.GroupVersion().WithKind(v1alpha1.ClusterImagePolicyKind):
			policy := decode[v1alpha1.ClusterImagePolicy](&r, o)
			policy.SetDefaults()
			r.once(sources, o, policy.Name, policy.Name)
			r.Policies, r.policySources = append(r.Policies, *policy), append(r.policySources, o.Source)
		case v1alpha1.GroupVersion().WithKind(v1alpha1.ImagePolicyKind):
			r.addOwn(sources, o)
		case v1alpha1.GroupVersion().WithKind(v1alpha1.ImagePolicyExceptionKind):
			r.addException(sources, o)
		case v1alpha1.GroupVersion().WithKind(v1alpha1.TransparencyLogKind):
			log := decode[v1alpha1.TransparencyLog](&r, o)
			log.SetDefaults()
			r.once(sources, o, log.Name, log.Name)
			r.Logs, r.logSources = append(r.Logs, *log), append(r.logSources, o.Source)
		case v1alpha1.GroupVersion().WithKind(v1alpha1.TrustRootKind):
			trustRoot := decode[v1alpha1.TrustRoot](&r, o)
			trustRoot.SetDefaults()
			r.once(sources, o, trustRoot.Name, trustRoot.Name)
			r.Roots, r.rootSources = append(r.Roots, *trustRoot), append(r.rootSources, o.Source)
		case corev1.SchemeGroupVersion.WithKind("Secret"):
			r.addSecret(sources, o, namespace)
		case corev1.SchemeGroupVersion.WithKind("ConfigMap"):
			r.addConfigMap(sources, o, namespace)
		case corev1.SchemeGroupVersion.WithKind("Namespace"):
			if err := r.Namespaces.Add([]Object{o}); err != nil {
				r.problem(o, nameOf(o), err)
			}
		default:
			r.problem(o, "", fmt.Errorf("an object of kind %s in %s is neither a policy nor what one refers to", o.Kind.Kind, o.Kind.GroupVersion()))
		}
	}
	r.check()
	return r
}

func (r *Resources) addOwn(sources map[string]string, o Object) {
	policy := decode[v1alpha1.ImagePolicy](r, o)
	policy.SetDefaults()
	r.once(sources, o, namespaced(policy.Namespace, policy.Name), policy.Name)
	if policy.Namespace == "" {
		r.problem(o, policy.Name, errors.New("metadata.namespace is missing"))
	}
	r.Own, r.ownSources = append(r.Own, *policy), append(r.ownSources, o.Source)
}

func (r *Resources) addException(sources map[string]string, o Object) {
	exception := decode[v1alpha1.ImagePolicyException](r, o)
	name := namespaced(exception.Namespace, exception.Name)
	r.once(sources, o, name, exception.Name)
	if exception.Namespace == "" {
		r.problem(o, name, errors.New("metadata.namespace is missing"))
	}
	for _, err := range validation.ImagePolicyException(exception, time.Now(), v1alpha1.DefaultMaxExceptionAge) {
		r.problem(o, name, err)
	}
	for _, warning := range validation.ExceptionWarnings(exception) {
		r.Warnings = append(r.Warnings, fmt.Sprintf("%s: %s %q: %s", o.Source, v1alpha1.ImagePolicyExceptionKind, name, warning))
	}
	r.Exceptions = append(r.Exceptions, *exception)
}

func (r *Resources) addSecret(sources map[string]string, o Object, namespace string) {
	secret := decode[corev1.Secret](r, o)
	if secret.Namespace != "" && secret.Namespace != namespace {
		r.problem(o, secret.Name, fmt.Errorf("a Secret in namespace %q cannot be referred to, only those in %q", secret.Namespace, namespace))
		return
	}
	r.once(sources, o, secret.Name, secret.Name)
	r.Secrets.Add(secret)
}

func (r *Resources) addConfigMap(sources map[string]string, o Object, namespace string) {
	configMap := decode[corev1.ConfigMap](r, o)
	if configMap.Namespace != "" && configMap.Namespace != namespace {
		r.problem(o, configMap.Name, fmt.Errorf("a ConfigMap in namespace %q cannot be referred to, only those in %q", configMap.Namespace, namespace))
		return
	}
	r.once(sources, o, configMap.Name, configMap.Name)
	r.ConfigMaps[configMap.Name] = configMap.Data
}

// check runs the API's validation over everything that was loaded.
func (r *Resources) check() {
	report := func(source, kind, name string, errs field.ErrorList, warnings []string) {
		object := fmt.Sprintf("%s %q", kind, name)
		for _, err := range errs {
			r.Problems = append(r.Problems, ProblemError{Source: source, Object: object, Err: err})
		}
		for _, warning := range warnings {
			r.Warnings = append(r.Warnings, warningOf(source, kind, name, warning))
		}
	}
	for i := range r.Policies {
		p := &r.Policies[i]
		name, errs := p.Name, validation.ClusterImagePolicy(p)
		if theirs, ok := v1alpha1.CutSigstoreName(name); ok {
			name, errs = theirs, nil // it was checked before
		}
		report(r.policySources[i], v1alpha1.ClusterImagePolicyKind, name, errs, validation.PolicyWarnings(p, validation.Known{Logs: r.Logs, Roots: r.Roots}))
	}
	for i := range r.Own {
		p := &r.Own[i]
		report(r.ownSources[i], v1alpha1.ImagePolicyKind, namespaced(p.Namespace, p.Name), validation.ImagePolicy(p), validation.ImagePolicyWarnings(p, validation.Known{Logs: r.Logs, Roots: r.Roots}))
	}
	for i := range r.Logs {
		l := &r.Logs[i]
		report(r.logSources[i], v1alpha1.TransparencyLogKind, l.Name, validation.TransparencyLog(l), validation.LogWarnings(l, r.Logs))
	}
	for i := range r.Roots {
		t := &r.Roots[i]
		if _, ok := v1alpha1.CutSigstoreName(t.Name); ok {
			continue // it was checked before
		}
		report(r.rootSources[i], v1alpha1.TrustRootKind, t.Name, validation.TrustRoot(t), validation.TrustRootWarnings(t))
	}
}

func warningOf(source, kind, name, warning string) string {
	return fmt.Sprintf("%s: %s %q: %s", source, kind, name, warning)
}

// namespaced is the name of an object in a namespace, and "" where it has none.
func namespaced(namespace, name string) string {
	if name == "" || namespace == "" {
		return name
	}
	return namespace + "/" + name
}

// once records where an object comes from, and that no other is known by its name.
func (r *Resources) once(sources map[string]string, o Object, known, name string) {
	if name == "" {
		r.problem(o, name, errors.New("metadata.name is missing"))
	}
	key := o.Kind.Kind + " " + known
	if other, ok := sources[key]; ok {
		r.problem(o, name, fmt.Errorf("another object of this kind and name is in %s", other))
	}
	sources[key] = o.Source
}

func (r *Resources) problem(o Object, name string, err error) {
	r.Problems = append(r.Problems, ProblemError{Source: o.Source, Object: fmt.Sprintf("%s %q", o.Kind.Kind, name), Err: err})
}

// decode reads an object strictly: names are case-sensitive, and unknown or
// repeated fields are problems.
func decode[T any](r *Resources, o Object) *T {
	object := new(T)
	strict, err := json.UnmarshalStrict(o.JSON, object)
	if err != nil {
		strict = append(strict, err)
	}
	for _, err := range strict {
		r.problem(o, nameOf(o), err)
	}
	return object
}

// nameOf returns the name of an object that may not decode.
func nameOf(o Object) string {
	var head struct {
		Metadata struct {
			Name string `json:"name"`
		} `json:"metadata"`
	}
	if json.UnmarshalCaseSensitivePreserveInts(o.JSON, &head) != nil {
		return ""
	}
	return head.Metadata.Name
}
