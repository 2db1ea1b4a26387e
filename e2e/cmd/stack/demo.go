// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/countersign-dev/countersign/e2e/stack"
	"github.com/countersign-dev/countersign/pkg/tlog"
)

// demo shows on a small stack of its own, with a log of this version, what Countersign
// does, and fails if that is not what it should do.
func demo(ctx context.Context, root string, version tlog.Version) (err error) {
	began := time.Now()
	out := newScreen(os.Stdout)
	out.titlef("What Countersign does, on real components")
	out.sayf(`Three images are pushed to a registry. One is not signed. One is signed with the right key, but
its signature is in no log. One is signed, and its signature is in the log. Only that one may run.`)
	out.titlef("Starting a Kubernetes API server, a registry and a private transparency log: %s", nameOf(version))
	dir, err := stack.NewRunDir(filepath.Join(root, ".cache", "run"), "demo")
	if err != nil {
		return err
	}
	s, err := stack.Start(ctx, stack.Options{Root: root, Dir: dir, Progress: printProgress, Only: version})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()

	d := &demonstration{screen: out, stack: s, dir: filepath.Join(dir, "demo"), signing: signingWith(s)}
	if d.env, err = s.WriteEnv(ctx); err != nil {
		return err
	}
	if err := d.writeFiles(); err != nil {
		return err
	}
	for _, act := range []func(context.Context) error{d.rules, d.images, d.unsigned, d.notLogged, d.logged} {
		if err := act(ctx); err != nil {
			return err
		}
	}
	out.titlef("That is Countersign: no entry in your log, no Pod. (%.0f s)", time.Since(began).Seconds())
	for _, line := range []string{
		"  not signed                      refused    NoSignature",
		"  signed, and in no log           refused    NotLogged",
		"  signed, and proven to be in it  admitted   pinned to the digest that was verified",
		"",
		"Drive it yourself:  make stack && source .cache/stack/env",
	} {
		out.sayf("%s", line)
	}
	return nil
}

// signing is how the demonstration signs into a log.
type signing struct {
	log stack.Log
	// secretly and openly are commands that sign the second image and the third.
	secretly, openly []string
}

// signingWith signs into the one log that the stack has: with cosign v2 into Rekor v1,
// with cosign v3 into Rekor v2.
func signingWith(s *stack.Stack) signing {
	if s.RekorV2 == nil {
		return signing{
			s.Rekor,
			[]string{"cosign-v2 sign -y --key $COSIGN_KEY --tlog-upload=false " + notLogged},
			[]string{"cosign-v2 sign -y --key $COSIGN_KEY --rekor-url $REKOR_URL " + logged},
		}
	}
	const sign = "cosign-v3 sign -y --key $COSIGN_KEY --trusted-root $TRUSTED_ROOT_V2 "
	return signing{
		s.RekorV2,
		[]string{
			"cosign-v3 signing-config create --out no-log.json",
			sign + "\\\n    --signing-config no-log.json " + notLogged,
		},
		[]string{sign + "\\\n    --signing-config $SIGNING_CONFIG_V2 " + logged},
	}
}

func nameOf(version tlog.Version) string {
	if version == tlog.RekorV1 {
		return "Rekor v1"
	}
	return "Rekor v2"
}

// demonstration runs shell commands as a person would type them with the stack's
// env file sourced, in a directory with a few files.
type demonstration struct {
	*screen
	signing

	stack *stack.Stack
	env   string // the env file
	dir   string
}

// Repositories of the three images, in the order in which they appear.
const (
	unsigned  = "$REGISTRY/shop/unsigned:1.0"
	notLogged = "$REGISTRY/shop/signed-in-secret:1.0"
	logged    = "$REGISTRY/shop/signed-and-logged:1.0"
)

func (d *demonstration) writeFiles() error {
	if err := os.MkdirAll(d.dir, 0o755); err != nil {
		return err
	}
	files := map[string]string{
		"log.yaml":    d.stack.TransparencyLog(d.log, "rekor", true),
		"policy.yaml": stack.KeyPolicy("shop", d.stack.Registry.Host+"/shop/**", d.stack.Key),
	}
	for _, layer := range []string{"unsigned", "secret", "logged"} {
		content, err := layerOf("hello", "this is the image "+layer+"\n")
		if err != nil {
			return err
		}
		files[layer+".tar"] = content
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(d.dir, name), []byte(content), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// layerOf is a tar archive with one file.
func layerOf(name, content string) (string, error) {
	var buffer strings.Builder
	archive := tar.NewWriter(&buffer)
	if err := archive.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content))}); err != nil {
		return "", err
	}
	if _, err := archive.Write([]byte(content)); err != nil {
		return "", err
	}
	if err := archive.Close(); err != nil {
		return "", err
	}
	return buffer.String(), nil
}

func (d *demonstration) rules(ctx context.Context) error {
	d.titlef("1. The rules: which log counts, and whose signature the shop's images need")
	return d.all(ctx,
		"cat log.yaml policy.yaml",
		"kubectl apply -f log.yaml -f policy.yaml",
		"kubectl wait --for=condition=Ready --timeout=30s transparencylog/rekor clusterimagepolicy/shop",
	)
}

func (d *demonstration) images(ctx context.Context) error {
	d.titlef("2. Three images: unsigned, signed without the log, signed and logged")
	return d.all(ctx, slices.Concat([]string{
		"crane append -f unsigned.tar -t " + unsigned,
		"crane append -f secret.tar -t " + notLogged,
		"crane append -f logged.tar -t " + logged,
	}, d.secretly, d.openly)...)
}

func (d *demonstration) unsigned(ctx context.Context) error {
	d.titlef("3. The unsigned image")
	return d.refused(ctx, "unsigned", unsigned, "NoSignature", "refused: nobody has signed it")
}

func (d *demonstration) notLogged(ctx context.Context) error {
	d.titlef("4. The image with a valid signature that the log has never seen")
	return d.refused(ctx, "in-secret", notLogged, "NotLogged",
		"refused: whoever signed it, with the right key, did so where nobody can see it")
}

func (d *demonstration) logged(ctx context.Context) error {
	d.titlef("5. The image whose signature is in the log")
	digest, err := d.capture(ctx, "crane digest "+logged)
	if err != nil {
		return err
	}
	run, err := d.show(ctx, "kubectl run logged --image="+logged)
	if err != nil {
		return err
	}
	pinned, err := d.show(ctx, "kubectl get pod logged -o jsonpath='{.spec.containers[0].image}'")
	if err != nil {
		return err
	}
	if run.Code != 0 || !strings.HasSuffix(pinned.Stdout, "@"+digest) {
		return d.unexpected("this Pod should have been admitted and pinned to " + digest)
	}
	d.good("admitted: its entry is proven to be in the log, and the Pod runs the digest that was verified")
	_, err = d.show(ctx, "kubectl get transparencylogs")
	return err
}

// refused runs a Pod that must be refused for a reason.
func (d *demonstration) refused(ctx context.Context, pod, image, reason, meaning string) error {
	result, err := d.show(ctx, "kubectl run "+pod+" --image="+image)
	if err != nil {
		return err
	}
	if named := regexp.MustCompile(`\b` + reason + `\b`); result.Code == 0 || !named.MatchString(result.Stderr) {
		return d.unexpected("this Pod should have been refused with " + reason)
	}
	d.good(meaning)
	return nil
}

func (d *demonstration) unexpected(what string) error {
	d.bad(what)
	return errors.New("the demo did not go as it should: " + what)
}
