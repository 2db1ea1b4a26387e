// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"net/http"
	"os"
	"strings"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// ControlPlane is a Kubernetes without nodes: Deployments become ReplicaSets and
// Pods, which pass through admission and then stay Pending.
type ControlPlane struct {
	Etcd              *Process
	APIServer         *Process
	ControllerManager *Process // nil in a small stack

	URL        string
	CA         []byte       // PEM
	Kubeconfig string       // path of the administrator's kubeconfig
	Config     *rest.Config // the same, not rate-limited
}

// controlPlanePKI is what the control plane's servers and clients know each other by.
type controlPlanePKI struct {
	ca                 *authority
	caFile             string
	certFile, keyFile  string
	saPublic, saSigner string // files
}

// startControlPlane starts it. A small one has no controllers, and of what they make only
// the service account that Pods need.
func (s *Stack) startControlPlane(ctx context.Context, small bool) (*ControlPlane, error) {
	cp := &ControlPlane{}
	var (
		etcdURL string
		err     error
	)
	if cp.Etcd, etcdURL, err = s.startEtcd(ctx); err != nil {
		return nil, err
	}
	pki, err := s.newControlPlanePKI()
	if err != nil {
		return nil, err
	}
	cp.CA = pki.ca.pem
	port, err := s.ports.next()
	if err != nil {
		return nil, err
	}
	cp.URL = "https://" + loopback(port)
	if err := s.configureAdmin(cp, pki); err != nil {
		return nil, err
	}
	if cp.APIServer, err = s.startAPIServer(ctx, cp, pki, port, etcdURL); err != nil {
		return nil, err
	}
	if small {
		return cp, s.applyTo(ctx, cp, defaultServiceAccount)
	}
	cp.ControllerManager, err = s.startControllerManager(ctx, cp, pki)
	return cp, err
}

const defaultServiceAccount = `apiVersion: v1
kind: ServiceAccount
metadata:
  name: default
  namespace: default
`

func (s *Stack) newControlPlanePKI() (*controlPlanePKI, error) {
	ca, err := newAuthority("stack-ca")
	if err != nil {
		return nil, err
	}
	serving, err := ca.server("kube-apiserver", "kubernetes.default.svc")
	if err != nil {
		return nil, err
	}
	sa, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	signer, err := privatePEM(sa)
	if err != nil {
		return nil, err
	}
	public, err := publicPEM(sa.Public())
	if err != nil {
		return nil, err
	}
	pki := &controlPlanePKI{ca: ca}
	for _, file := range []struct {
		name    string
		content []byte
		path    *string
	}{
		{"pki/ca.pem", ca.pem, &pki.caFile},
		{"pki/apiserver.pem", serving.cert, &pki.certFile},
		{"pki/apiserver.key", serving.key, &pki.keyFile},
		{"pki/serviceaccount.key", signer, &pki.saSigner},
		{"pki/serviceaccount.pub", public, &pki.saPublic},
	} {
		if *file.path, err = s.run.write(file.name, file.content); err != nil {
			return nil, err
		}
	}
	return pki, nil
}

// configureAdmin issues the administrator's certificate and kubeconfig.
func (s *Stack) configureAdmin(cp *ControlPlane, pki *controlPlanePKI) error {
	admin, err := pki.ca.client("admin", "system:masters")
	if err != nil {
		return err
	}
	if cp.Kubeconfig, err = s.run.kubeconfig("admin", cp.URL, cp.CA, certificateUser(admin)); err != nil {
		return err
	}
	if cp.Config, err = clientcmd.BuildConfigFromFlags("", cp.Kubeconfig); err != nil {
		return err
	}
	cp.Config.QPS = -1
	return nil
}

func (s *Stack) startAPIServer(ctx context.Context, cp *ControlPlane, pki *controlPlanePKI, port int, etcdURL string) (*Process, error) {
	client, err := rest.HTTPClientFor(cp.Config)
	if err != nil {
		return nil, err
	}
	audit, err := s.run.write("audit-policy.yaml", []byte(strings.TrimLeft(auditPolicy, "\n")))
	if err != nil {
		return nil, err
	}
	return s.start(ctx, command{
		name: "kube-apiserver",
		path: s.run.tool("kube-apiserver"),
		args: []string{
			"--etcd-servers=" + etcdURL,
			"--bind-address=127.0.0.1",
			"--advertise-address=127.0.0.1",
			fmt.Sprintf("--secure-port=%d", port),
			"--endpoint-reconciler-type=none",
			"--service-cluster-ip-range=10.0.0.0/24",
			"--tls-cert-file=" + pki.certFile,
			"--tls-private-key-file=" + pki.keyFile,
			"--client-ca-file=" + pki.caFile,
			"--authorization-mode=RBAC",
			"--service-account-issuer=" + cp.URL,
			"--service-account-jwks-uri=" + cp.URL + "/openid/v1/jwks",
			"--service-account-key-file=" + pki.saPublic,
			"--service-account-signing-key-file=" + pki.saSigner,
			"--audit-policy-file=" + audit,
			"--audit-log-path=" + s.AuditLog(),
			"--audit-log-mode=blocking",
		},
		ready: httpReady(client, cp.URL+"/readyz"),
	})
}

// auditPolicy logs what admission says, which is what scenarios read.
const auditPolicy = `
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  verbs: [create, update, patch]
  resources:
  - {group: "", resources: [pods, pods/ephemeralcontainers, replicationcontrollers, podtemplates]}
  - {group: apps}
  - {group: batch}
  - {group: policy.countersign.dev}
- level: None
`

// AuditLog is the path of the API server's audit log: JSON, an event a line, of
// writes to Pods, workloads and Countersign's own objects.
func (s *Stack) AuditLog() string { return s.run.file("log", "audit.log") }

func (s *Stack) startControllerManager(ctx context.Context, cp *ControlPlane, pki *controlPlanePKI) (*Process, error) {
	user, err := pki.ca.client("system:kube-controller-manager")
	if err != nil {
		return nil, err
	}
	kubeconfig, err := s.run.kubeconfig("controller-manager", cp.URL, cp.CA, certificateUser(user))
	if err != nil {
		return nil, err
	}
	port, err := s.ports.next()
	if err != nil {
		return nil, err
	}
	certDir := s.run.file("pki", "controller-manager")
	if err := os.MkdirAll(certDir, 0o700); err != nil {
		return nil, err
	}
	client := &http.Client{Transport: trustAny()} // it serves with a certificate of its own making
	return s.start(ctx, command{
		name: "kube-controller-manager",
		path: s.run.tool("kube-controller-manager"),
		args: []string{
			"--kubeconfig=" + kubeconfig,
			"--bind-address=127.0.0.1",
			fmt.Sprintf("--secure-port=%d", port),
			"--cert-dir=" + certDir,
			"--leader-elect=false",
			"--use-service-account-credentials",
			"--service-account-private-key-file=" + pki.saSigner,
			"--root-ca-file=" + pki.caFile,
		},
		ready: httpReady(client, "https://"+loopback(port)+"/healthz"),
	})
}
