// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
)

// errNoCertificate is what a handshake fails with before there is a certificate.
var errNoCertificate = errors.New("the webhook has no serving certificate yet")

// Certificate is the webhook's serving certificate: the one in the Secret that is
// kept by the rotator, read through the API and kept in memory. No kubelet has to
// mount it, and a new one is served from the next handshake on.
type Certificate struct {
	secret  types.NamespacedName
	dnsName string
	dir     string
	log     logr.Logger
	current atomic.Pointer[tls.Certificate]
}

// NewCertificate returns an empty Certificate for dnsName, which is kept in
// secret. The public part is also written to tls.crt in dir, where the rotator
// waits for it; the private key is never written.
func NewCertificate(secret types.NamespacedName, dnsName, dir string, log logr.Logger) *Certificate {
	return &Certificate{secret: secret, dnsName: dnsName, dir: dir, log: log}
}

// GetCertificate is for tls.Config. Without a certificate the handshake fails, so
// that nobody is answered by a webhook that cannot prove what it is.
func (c *Certificate) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if current := c.current.Load(); current != nil {
		return current, nil
	}
	return nil, errNoCertificate
}

// Ready is a health check: it fails until there is a certificate that is valid now.
func (c *Certificate) Ready(*http.Request) error {
	current := c.current.Load()
	if current == nil {
		return errNoCertificate
	}
	if now := time.Now(); now.After(current.Leaf.NotAfter) || now.Before(current.Leaf.NotBefore) {
		return fmt.Errorf("the webhook's serving certificate is valid from %s to %s only", current.Leaf.NotBefore, current.Leaf.NotAfter)
	}
	return nil
}

// Update takes the certificate in the Secret's data. A certificate that cannot
// serve leaves the one before in place, and is an error. A Secret that is still
// empty is not: it is how a fresh install begins.
func (c *Certificate) Update(secret *corev1.Secret) error {
	certPEM, keyPEM := secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey]
	if len(certPEM) == 0 && len(keyPEM) == 0 {
		return nil
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return fmt.Errorf("serving certificate in Secret %s: %w", c.secret, err)
	}
	if err := pair.Leaf.VerifyHostname(c.dnsName); err != nil {
		return fmt.Errorf("serving certificate in Secret %s: %w", c.secret, err)
	}
	if err := c.publish(certPEM); err != nil {
		return err
	}
	c.current.Store(&pair)
	c.log.Info("Serving with a certificate", "serial", pair.Leaf.SerialNumber.String(), "notAfter", pair.Leaf.NotAfter)
	return nil
}

func (c *Certificate) publish(certPEM []byte) error {
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return fmt.Errorf("certificate directory: %w", err)
	}
	path := filepath.Join(c.dir, corev1.TLSCertKey)
	if err := os.WriteFile(path+".new", certPEM, 0o600); err != nil {
		return fmt.Errorf("certificate directory: %w", err)
	}
	return os.Rename(path+".new", path)
}

// certificateWatch keeps a Certificate up to date. Every replica runs it, leader
// or not.
type certificateWatch struct {
	certificate *Certificate
	cache       cache.Cache
}

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (certificateWatch) NeedLeaderElection() bool { return false }

// Start implements manager.Runnable.
func (w certificateWatch) Start(ctx context.Context) error {
	informer, err := w.cache.GetInformer(ctx, &corev1.Secret{})
	if err != nil {
		return fmt.Errorf("watching Secret %s: %w", w.certificate.secret, err)
	}
	registration, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc:    w.update,
		UpdateFunc: func(_, secret any) { w.update(secret) },
	})
	if err != nil {
		return fmt.Errorf("watching Secret %s: %w", w.certificate.secret, err)
	}
	<-ctx.Done()
	return informer.RemoveEventHandler(registration)
}

func (w certificateWatch) update(object any) {
	secret, ok := object.(*corev1.Secret)
	if !ok || secret.Name != w.certificate.secret.Name || secret.Namespace != w.certificate.secret.Namespace {
		return
	}
	if err := w.certificate.Update(secret); err != nil {
		w.certificate.log.Error(err, "Kept the certificate as it was")
	}
}
