// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

const serviceName = "countersign-webhook.countersign-system.svc"

// servingSecret is the data of a Secret with a certificate for name.
func servingSecret(t *testing.T, name string, serial int64, notAfter time.Time) *corev1.Secret {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), DNSNames: []string{name}, NotBefore: notAfter.Add(-time.Hour), NotAfter: notAfter}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return &corev1.Secret{Data: map[string][]byte{
		"tls.crt": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		"tls.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
	}}
}

func newCertificate(t *testing.T) (*Certificate, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "made", "when", "needed")
	return NewCertificate(types.NamespacedName{Namespace: "countersign-system", Name: "countersign-webhook-cert"}, serviceName, dir, logr.Discard()), dir
}

// handshake returns the serial number that a server with c presents.
func handshake(t *testing.T, c *Certificate) (int64, error) {
	t.Helper()
	clientSide, serverSide := net.Pipe()
	defer clientSide.Close()
	defer serverSide.Close()
	go func() { _ = tls.Server(serverSide, &tls.Config{GetCertificate: c.GetCertificate}).Handshake() }()
	client := tls.Client(clientSide, &tls.Config{ServerName: serviceName, InsecureSkipVerify: true})
	if err := client.Handshake(); err != nil {
		return 0, err
	}
	return client.ConnectionState().PeerCertificates[0].SerialNumber.Int64(), nil
}

func TestNobodyIsServedBeforeThereIsACertificate(t *testing.T) {
	c, _ := newCertificate(t)
	if err := c.Update(&corev1.Secret{}); err != nil {
		t.Errorf("an empty Secret is how an install begins, and was an error: %v", err)
	}
	if _, err := handshake(t, c); err == nil {
		t.Error("a handshake succeeded without a certificate")
	}
	if err := c.Ready(&http.Request{}); err == nil {
		t.Error("ready without a certificate")
	}
}

func TestANewCertificateIsServedFromTheNextHandshakeOn(t *testing.T) {
	c, dir := newCertificate(t)
	for serial := range int64(2) {
		if err := c.Update(servingSecret(t, serviceName, serial+1, time.Now().Add(time.Hour/2))); err != nil {
			t.Fatal(err)
		}
		if got, err := handshake(t, c); got != serial+1 || err != nil {
			t.Errorf("handshake shows serial %d, %v, want %d", got, err, serial+1)
		}
	}
	if err := c.Ready(&http.Request{}); err != nil {
		t.Errorf("not ready: %v", err)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 || files[0].Name() != "tls.crt" {
		t.Errorf("the certificate directory holds %v, %v, want tls.crt alone", files, err)
	}
}

func TestACertificateThatCannotServeLeavesTheOldOne(t *testing.T) {
	good := servingSecret(t, serviceName, 1, time.Now().Add(time.Hour/2))
	for name, secret := range map[string]*corev1.Secret{
		"for another name":    servingSecret(t, "evil.example", 2, time.Now().Add(time.Hour/2)),
		"without a key":       {Data: map[string][]byte{"tls.crt": good.Data["tls.crt"]}},
		"with another's key":  {Data: map[string][]byte{"tls.crt": good.Data["tls.crt"], "tls.key": servingSecret(t, serviceName, 3, time.Now()).Data["tls.key"]}},
		"with something else": {Data: map[string][]byte{"tls.crt": []byte("x"), "tls.key": []byte("y")}},
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := newCertificate(t)
			if err := c.Update(good); err != nil {
				t.Fatal(err)
			}
			if err := c.Update(secret); err == nil {
				t.Error("no error")
			}
			if got, err := handshake(t, c); got != 1 || err != nil {
				t.Errorf("handshake shows serial %d, %v, want 1", got, err)
			}
		})
	}
}

func TestAnExpiredCertificateIsNotReady(t *testing.T) {
	c, _ := newCertificate(t)
	if err := c.Update(servingSecret(t, serviceName, 1, time.Now().Add(-time.Minute))); err != nil {
		t.Fatal(err)
	}
	if err := c.Ready(&http.Request{}); err == nil {
		t.Error("ready with an expired certificate")
	}
}
