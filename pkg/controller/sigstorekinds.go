// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	toolscache "k8s.io/client-go/tools/cache"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/apis/sigstore/conversion"
	sigstore "github.com/countersign-dev/countersign/pkg/apis/sigstore/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/apis/sigstore/v1beta1"
)

const (
	// lookForKinds is how soon it is noticed that CRDs of policy.sigstore.dev were
	// installed, or taken away.
	lookForKinds = 10 * time.Second
	// firstList bounds the wait for the objects of a kind. Until they are known,
	// nothing is in force, and a replica that starts is not ready.
	firstList = 20 * time.Second
)

// sigstoreKinds follows the objects of policy.sigstore.dev, of the kinds that the API
// server serves at the moment: there need not be any. They are read as they are written,
// for what is misspelt in them to be seen. Every replica runs it.
type sigstoreKinds struct {
	served  servedResources
	objects informers
	options conversion.Options
	// changed is sent when the kinds or the objects are others than before.
	changed signal

	mu sync.Mutex
	// following are the kinds whose objects are known, and told of.
	following []schema.GroupVersionKind
}

// servedResources is the part of discovery that is needed.
type servedResources interface {
	ServerResourcesForGroupVersion(groupVersion string) (*metav1.APIResourceList, error)
}

// informers is the part of the manager's cache that is needed.
type informers interface {
	client.Reader
	GetInformer(ctx context.Context, obj client.Object, opts ...cache.InformerGetOption) (cache.Informer, error)
	RemoveInformer(ctx context.Context, obj client.Object) error
}

// sigstoreObjects are all objects of policy.sigstore.dev, by the names by which they are
// known among ours.
type sigstoreObjects struct {
	policies []conversion.Policy
	roots    []conversion.Root
}

// load reads all objects. It is called by one at a time.
func (s *sigstoreKinds) load(ctx context.Context) (sigstoreObjects, error) {
	var all sigstoreObjects
	if s == nil {
		return all, nil
	}
	kinds, err := s.follow(ctx)
	if err != nil {
		return all, err
	}
	for _, kind := range kinds {
		items, err := s.list(ctx, kind)
		if err != nil {
			return all, err
		}
		for i := range items {
			raw, err := items[i].MarshalJSON()
			if err != nil {
				return all, fmt.Errorf("%v %q: %w", kind, items[i].GetName(), err)
			}
			all.add(kind, raw, s.options)
		}
	}
	return all, nil
}

// list returns the objects of a kind that is followed.
func (s *sigstoreKinds) list(ctx context.Context, kind schema.GroupVersionKind) ([]unstructured.Unstructured, error) {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
	if err := s.objects.List(ctx, list); err != nil {
		return nil, fmt.Errorf("listing objects of %v: %w", kind, err)
	}
	return list.Items, nil
}

func (all *sigstoreObjects) add(kind schema.GroupVersionKind, raw []byte, options conversion.Options) {
	if conversion.IsTrustRoot(kind) {
		root := conversion.TrustRoot(raw)
		root.Qualify()
		all.roots = append(all.roots, root)
		return
	}
	p := conversion.ClusterImagePolicy(raw, options)
	p.Qualify()
	all.policies = append(all.policies, p)
}

// follow begins to follow the kinds that are served, ceases to follow those that are not
// any more, and returns those that are followed.
func (s *sigstoreKinds) follow(ctx context.Context) ([]schema.GroupVersionKind, error) {
	kinds, err := s.kinds()
	if err != nil {
		return nil, err
	}
	known := s.known()
	for _, kind := range known {
		if slices.Contains(kinds, kind) {
			continue
		}
		// Who takes a CRD away deletes its objects first. While there are any, it is
		// somebody's word against them, and they stay in force.
		left, err := s.list(ctx, kind)
		if err != nil {
			return nil, err
		}
		if len(left) > 0 {
			ctrl.LoggerFrom(ctx).Info("A kind of policy.sigstore.dev is not served; the objects that were there stay in force", "kind", kind.String(), "objects", len(left))
			kinds = append(kinds, kind)
			continue
		}
		ctrl.LoggerFrom(ctx).Info("A kind of policy.sigstore.dev is not served any more", "kind", kind.String())
		if err := s.objects.RemoveInformer(ctx, objectOf(kind)); err != nil {
			return nil, err
		}
	}
	for _, kind := range kinds {
		if slices.Contains(known, kind) {
			continue
		}
		if err := s.begin(ctx, kind); err != nil {
			return nil, fmt.Errorf("following objects of %v: %w", kind, err)
		}
		ctrl.LoggerFrom(ctx).Info("A kind of policy.sigstore.dev is served: its objects are in force", "kind", kind.String())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.following = kinds
	return kinds, nil
}

// begin follows the objects of a kind.
func (s *sigstoreKinds) begin(ctx context.Context, kind schema.GroupVersionKind) error {
	ctx, cancel := context.WithTimeout(ctx, firstList)
	defer cancel()
	informer, err := s.objects.GetInformer(ctx, objectOf(kind))
	if err != nil {
		return err
	}
	_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { s.changed.send() },
		DeleteFunc: func(any) { s.changed.send() },
		UpdateFunc: func(before, after any) {
			was, ok := before.(client.Object)
			is, too := after.(client.Object)
			if !ok || !too || was.GetGeneration() != is.GetGeneration() || was.GetUID() != is.GetUID() {
				s.changed.send()
			}
		},
	})
	return err
}

func objectOf(kind schema.GroupVersionKind) *unstructured.Unstructured {
	obj := &unstructured.Unstructured{}
	obj.SetGroupVersionKind(kind)
	return obj
}

func (s *sigstoreKinds) known() []schema.GroupVersionKind {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.following)
}

// kinds returns the kinds that the API server serves, each in the first version that is
// known here: in any, the objects are the same.
func (s *sigstoreKinds) kinds() ([]schema.GroupVersionKind, error) {
	var kinds []schema.GroupVersionKind
	for _, version := range []string{sigstore.Version, v1beta1.Version} {
		group := schema.GroupVersion{Group: v1alpha1.SigstoreGroup, Version: version}
		resources, err := s.served.ServerResourcesForGroupVersion(group.String())
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("asking which kinds of %v are served: %w", group, err)
		}
		for i := range resources.APIResources {
			kind := group.WithKind(resources.APIResources[i].Kind)
			if !conversion.IsPolicy(kind) && !conversion.IsTrustRoot(kind) ||
				slices.ContainsFunc(kinds, func(k schema.GroupVersionKind) bool { return k.Kind == kind.Kind }) {
				continue // unknown, a subresource, or of an earlier version
			}
			kinds = append(kinds, kind)
		}
	}
	return kinds, nil
}

// NeedLeaderElection implements manager.LeaderElectionRunnable: every replica decides.
func (*sigstoreKinds) NeedLeaderElection() bool { return false }

// Start implements manager.Runnable: it looks for kinds that come and go.
func (s *sigstoreKinds) Start(ctx context.Context) error {
	ticker := time.NewTicker(lookForKinds)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		kinds, err := s.kinds()
		if err != nil {
			ctrl.LoggerFrom(ctx).Info("Could not look for kinds of policy.sigstore.dev; those that were there stay in force", "cause", err.Error())
			continue
		}
		if !slices.Equal(kinds, s.known()) {
			s.changed.send()
		}
	}
}
