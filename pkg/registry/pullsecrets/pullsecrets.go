// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

// Package pullsecrets reads the credentials that objects of a cluster name for their
// images: imagePullSecrets, their own or those of a ServiceAccount.
//
// Whoever may create a Pod has the kubelet use any pull secret of the Pod's
// namespace, whether he may read it or not. He gets no more here: a Secret is read
// in the namespace of the object that names it, and nothing of its content is in an
// error, a log or a printed value.
package pullsecrets

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/countersign-dev/countersign/pkg/registry/keyring"
)

// Bounds: see docs/design/limits.md.
const (
	// maxSecrets is how many Secrets of one object are read.
	maxSecrets = 16
	// maxContent is the largest configuration in a Secret, in bytes.
	maxContent = 64 << 10
	// maxKept is how many Secrets, and how many ServiceAccounts, are kept.
	maxKept = 1024
	// lifetime is how long what was read is kept, and failureLifetime how long that
	// it could not be read.
	lifetime        = 10 * time.Second
	failureLifetime = 2 * time.Second
	// patience is how long the API server is waited for.
	patience = 3 * time.Second
)

// Mode says which Secrets are read.
type Mode string

// Modes.
const (
	// None reads nothing.
	None Mode = "none"
	// Named reads Secrets of certain names, in every namespace.
	Named Mode = "named"
	// All reads every Secret that an object names as a pull secret.
	All Mode = "all"
)

// ParseMode returns the mode of that name. names, of Secrets, belong to Named.
func ParseMode(s string, names []string) (Mode, error) {
	for _, name := range names {
		if problems := validation.IsDNS1123Subdomain(name); len(problems) > 0 {
			return "", fmt.Errorf("%q is no name of a Secret: %s", name, problems[0])
		}
	}
	switch m := Mode(s); m {
	case None, All:
		if len(names) > 0 {
			return "", fmt.Errorf("with %q no names of Secrets can be given", s)
		}
		return m, nil
	case Named:
		if len(names) == 0 {
			return "", fmt.Errorf("with %q names of Secrets must be given", s)
		}
		return m, nil
	default:
		return "", fmt.Errorf("%q is none of none, named, all", s)
	}
}

// Names are the pull secrets that an object names, and where.
type Names struct {
	// Namespace is that of the object, and of all that it names.
	Namespace string
	// Secrets are those that it names itself, ServiceAccounts those whose pull
	// secrets go with its Pods. Nothing has checked them.
	Secrets, ServiceAccounts []string
}

// Options configure a Reader.
type Options struct {
	// Reader asks the API server. It should keep nothing itself. It may be nil with
	// the mode None.
	Reader client.Reader
	// Mode says what is read: nothing by default. Names are those of Named.
	Mode  Mode
	Names []string
	// As says for a person who it is that asks: "countersign" by default.
	As string
	// Log is told at level 1 what could not be read.
	Log logr.Logger
}

// Reader reads pull secrets when they are asked for, and keeps them for some
// seconds. It is safe for concurrent use.
type Reader struct {
	mode     Mode
	names    []string
	log      logr.Logger
	secrets  *kept[keyring.Part]
	accounts *kept[[]string]
}

// New returns a Reader.
func New(o Options) *Reader {
	read := source{o.Reader, cmp.Or(o.As, "countersign"), o.Log}
	return &Reader{
		mode: o.Mode, names: o.Names, log: o.Log,
		secrets:  newKept(read.secret),
		accounts: newKept(read.serviceAccount),
	}
}

// Keyring returns the credentials that an object names, in its order. What cannot be
// read is a Problem of the keyring, and no credential: it fails nothing by itself.
func (r *Reader) Keyring(ctx context.Context, n Names) *keyring.Keyring {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	secrets, problems := n.Secrets, []keyring.Part(nil)
	if r.mode != None && r.mode != "" {
		var more []string
		more, problems = r.ofAccounts(ctx, n)
		secrets = slices.Concat(secrets, more)
	}
	secrets = distinct(secrets)
	if len(secrets) > maxSecrets {
		secrets = secrets[:maxSecrets]
		problems = append(problems, keyring.Part{Owner: "of its pull secrets", Problem: fmt.Sprintf("only %d are read", maxSecrets)})
	}
	parts := make([]keyring.Part, len(secrets))
	var wg sync.WaitGroup
	for i, name := range secrets {
		wg.Go(func() { parts[i] = r.part(ctx, n.Namespace, name) })
	}
	wg.Wait()
	return keyring.New(slices.Concat(parts, problems)...)
}

// distinct returns the names that are not empty, each once.
func distinct(names []string) []string {
	var all []string
	for _, name := range names {
		if name != "" && !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	return all
}

// ofAccounts returns the pull secrets of the ServiceAccounts.
func (r *Reader) ofAccounts(ctx context.Context, n Names) (secrets []string, problems []keyring.Part) {
	for _, name := range distinct(n.ServiceAccounts) {
		found, problem := []string(nil), "has no name of a ServiceAccount"
		if len(validation.IsDNS1123Subdomain(name)) == 0 {
			found, problem = r.accounts.get(ctx, key{n.Namespace, name})
		}
		if problem != "" {
			problems = append(problems, keyring.Part{Owner: fmt.Sprintf("ServiceAccount %.253q", name), Problem: problem})
		}
		secrets = append(secrets, found...)
	}
	return secrets, problems
}

// part is what one Secret holds, or why nothing.
func (r *Reader) part(ctx context.Context, namespace, name string) keyring.Part {
	none := keyring.Part{Owner: fmt.Sprintf("Secret %.253q", name)}
	switch {
	case len(validation.IsDNS1123Subdomain(name)) > 0:
		none.Problem = "has no name of a Secret"
	case r.mode == None || r.mode == "":
		none.Problem = "is not read (--pull-secrets=none)"
	case r.mode == Named && !slices.Contains(r.names, name):
		none.Problem = "is not read (it is not one of --pull-secret-name)"
	default:
		part, problem := r.secrets.get(ctx, key{namespace, name})
		if problem == "" {
			return part
		}
		none.Problem = problem
	}
	return none
}
