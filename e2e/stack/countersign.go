// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Names under which config/ installs Countersign.
const (
	Namespace      = "countersign-system"
	serviceAccount = "countersign"
	webhookService = "countersign-webhook"
)

// Countersign is a running `countersign serve`, outside of the cluster, with the
// rights that config/ gives its service account and no others.
type Countersign struct {
	*Process

	Binary     string
	WebhookURL string
	MetricsURL string // of /metrics
	ProbeURL   string // of /healthz and /readyz, without the path
	Kubeconfig string // of its service account

	flags []string // as it was started at first
}

// widgetExtractor says where a kind of the scenarios holds images, as an
// administrator would. The rule that goes with it is in moveOutside.
const widgetExtractor = `apiVersion: config.countersign.dev/v1alpha1
kind: ImageExtractors
extractors:
- group: e2e.example
  versions: [v1]
  kind: Widget
  images: [".spec.parts[*].image"]
`

// buildCountersign builds the program and returns its path.
func (s *Stack) buildCountersign(ctx context.Context, race bool) (string, error) {
	binary := s.run.tool("countersign")
	args := []string{"build", "-o"}
	if race {
		binary += "-race"
		args = []string{"build", "-race", "-o"}
	}
	cmd := exec.CommandContext(ctx, "go", append(args, binary, "./cmd/countersign")...)
	cmd.Dir = s.root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build countersign: %w\n%s", err, out)
	}
	return binary, nil
}

// startCountersign installs config/ into the cluster, with its Service leading to
// this machine, and starts the program there. It waits until it can judge.
func (s *Stack) startCountersign(ctx context.Context, binary string) (*Countersign, error) {
	var port [3]int
	for i := range port {
		var err error
		if port[i], err = s.ports.next(); err != nil {
			return nil, err
		}
	}
	if err := s.install(ctx, port[0]); err != nil {
		return nil, err
	}
	kubeconfig, err := s.serviceAccountKubeconfig(ctx)
	if err != nil {
		return nil, err
	}
	extractors, err := s.run.write("extractors.yaml", []byte(widgetExtractor))
	if err != nil {
		return nil, err
	}
	certs := s.run.file("webhook-certs")
	if err := os.MkdirAll(certs, 0o700); err != nil {
		return nil, err
	}
	c := &Countersign{
		Binary:     binary,
		WebhookURL: "https://" + loopback(port[0]),
		MetricsURL: loopbackURL(port[1]) + "/metrics",
		ProbeURL:   loopbackURL(port[2]),
		Kubeconfig: kubeconfig,
	}
	args := []string{
		"serve",
		"--kubeconfig=" + kubeconfig,
		"--namespace=" + Namespace,
		"--webhook-bind-address=127.0.0.1",
		fmt.Sprintf("--webhook-port=%d", port[0]),
		"--metrics-bind-address=" + loopback(port[1]),
		"--health-probe-bind-address=" + loopback(port[2]),
		"--cert-dir=" + certs,
		"--webhook-service=" + webhookService,
		"--image-extractors=" + extractors,
		"--log-level=debug",
		"--pull-secrets=all",
		"--shutdown-delay=100ms", // there is no load balancer to wait for
		"--kms-refresh-interval=1s",
	}
	if err := s.writeRegistryConfig(); err != nil {
		return nil, err
	}
	args = append(args, "--registry-config="+s.run.file(registryConfig))
	for _, host := range s.registryHosts {
		args = append(args, "--insecure-registry="+host)
	}
	c.flags = args
	c.Process, err = s.start(ctx, command{
		name:  "countersign",
		path:  binary,
		args:  args,
		env:   s.Vault.readerEnv(),
		ready: httpReady(http.DefaultClient, c.ProbeURL+"/readyz"),
	})
	return c, err
}

// StartReplica starts another replica of Countersign, which the cluster does not call:
// whoever wants its opinion asks it at its WebhookURL. It may do no background work,
// because the lease is held by somebody who does not exist. The name names its files.
func (s *Stack) StartReplica(ctx context.Context, name string) (*Countersign, error) {
	var port [3]int
	for i := range port {
		var err error
		if port[i], err = s.ports.next(); err != nil {
			return nil, err
		}
	}
	if err := s.Apply(ctx, fmt.Sprintf(heldLease, Namespace, time.Now().UTC().Format("2006-01-02T15:04:05.000000Z"))); err != nil {
		return nil, err
	}
	certs := s.run.file(name + "-certs")
	if err := os.MkdirAll(certs, 0o700); err != nil {
		return nil, err
	}
	c := *s.Countersign
	c.WebhookURL, c.MetricsURL, c.ProbeURL = "https://"+loopback(port[0]), loopbackURL(port[1])+"/metrics", loopbackURL(port[2])
	c.flags = append(slices.Clone(c.flags), // the last of two counts
		"--leader-elect",
		fmt.Sprintf("--webhook-port=%d", port[0]),
		"--metrics-bind-address="+loopback(port[1]),
		"--health-probe-bind-address="+loopback(port[2]),
		"--cert-dir="+certs)
	var err error
	c.Process, err = s.start(ctx, command{
		name: name, path: c.Binary, args: c.flags,
		ready: httpReady(http.DefaultClient, c.ProbeURL+"/readyz"),
	})
	return &c, err
}

const heldLease = `apiVersion: coordination.k8s.io/v1
kind: Lease
metadata:
  name: countersign
  namespace: %s
spec:
  holderIdentity: nobody
  leaseDurationSeconds: 86400
  renewTime: %q
`

// install applies config/, changed for a webhook that runs on this machine.
func (s *Stack) install(ctx context.Context, webhookPort int) error {
	rendered, err := s.Kubectl(ctx, "", "kustomize", filepath.Join(s.root, "config"))
	if err == nil {
		err = rendered.Err()
	}
	if err != nil {
		return err
	}
	manifests, err := outsideCluster(rendered.Stdout, webhookPort)
	if err != nil {
		return err
	}
	if _, err := s.run.write("countersign.yaml", manifests); err != nil {
		return err
	}
	if err := s.Apply(ctx, string(manifests), "--server-side"); err != nil {
		return err
	}
	rights, err := os.ReadFile(filepath.Join(s.root, "config", "pull-secrets", "all", "rbac.yaml"))
	if err != nil {
		return err
	}
	// The role alone: each scenario binds it in its namespaces.
	role, _, _ := strings.Cut(string(rights), "\n---\n")
	return s.Apply(ctx, role, "--server-side")
}

// serviceAccountKubeconfig is for Countersign's service account: were the rights
// in config/ too narrow, this stack would not work.
func (s *Stack) serviceAccountKubeconfig(ctx context.Context) (string, error) {
	token, err := s.Kubectl(ctx, "", "create", "token", serviceAccount, "--namespace", Namespace, "--duration=24h")
	if err == nil {
		err = token.Err()
	}
	if err != nil {
		return "", err
	}
	user := &clientcmdapi.AuthInfo{Token: strings.TrimSpace(token.Stdout)}
	return s.run.kubeconfig("countersign", s.ControlPlane.URL, s.ControlPlane.CA, user)
}

// RestartWith stops it and starts it anew with these flags besides its own; without
// any, as it was at first. What shares the stack must not be running.
func (c *Countersign) RestartWith(ctx context.Context, flags ...string) error {
	c.Stop()
	c.args = append(slices.Clone(c.flags), flags...)
	return c.Start(ctx)
}

// ShutDown ends it as a cluster would, and reports what it did wrong on the way.
func (c *Countersign) ShutDown() error {
	if c.Process == nil {
		return nil
	}
	wasRunning := c.Running()
	c.Stop()
	output, err := os.ReadFile(c.Log())
	if err != nil {
		return err
	}
	switch {
	case strings.Contains(string(output), "WARNING: DATA RACE"):
		return fmt.Errorf("the race detector found a data race, see %s", c.Log())
	case strings.Contains(string(output), "\npanic: "), strings.Contains(string(output), "\nfatal error: "):
		return fmt.Errorf("countersign crashed: %s", c.Tail(40))
	case !wasRunning:
		return errors.New("countersign had ended by itself: " + c.Tail(40))
	}
	return nil
}
