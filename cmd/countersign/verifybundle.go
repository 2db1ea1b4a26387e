// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/verify"
	"github.com/countersign-dev/countersign/policy"
	"github.com/countersign-dev/countersign/policy/files"
)

// maxInput bounds a bundle, a key or a trusted root, in bytes.
const maxInput = 32 << 20

// bundleOptions are the flags of verify bundle.
type bundleOptions struct {
	bundle, key, hash, trustedRoot string
	trust                          []string
	namespace, output              string
}

func newVerifyBundle(name string) *cobra.Command {
	var o bundleOptions
	c := &cobra.Command{
		Use:   name + " FILE|sha256:HEX",
		Short: "Verify a sigstore bundle offline",
		Long: `Verify a sigstore bundle about a file, or about a digest, without a network: the
signature under the key, and the inclusion proof and checkpoint that the bundle
carries under a log of the trusted root. A bundle without a proof is rejected.`,
		Example: "  countersign verify bundle --bundle app.sigstore.json --key release.pub --trusted-root trusted_root.json app.tar.gz",
		Args:    cobra.ExactArgs(1),
		RunE:    func(c *cobra.Command, args []string) error { return o.verify(c, args[0]) },
	}
	f := c.Flags()
	f.StringVar(&o.bundle, "bundle", "", "the bundle (JSON)")
	f.StringVar(&o.key, "key", "", "the public key (PEM)")
	f.StringVar(&o.hash, "hash-algorithm", "sha256", "the hash that the key signs: sha256, sha384 or sha512")
	f.StringVar(&o.trustedRoot, "trusted-root", "", "the logs to trust, as a trusted_root.json")
	f.StringArrayVar(&o.trust, "trust", nil, "the logs to trust, as files or folders of TransparencyLogs and Secrets (repeatable)")
	f.StringVar(&o.namespace, "namespace", defaultNamespace, "countersign's own namespace, whose Secrets can be named")
	f.StringVarP(&o.output, "output", "o", "text", "text, json or yaml")
	for _, required := range []string{"bundle", "key"} {
		if err := c.MarkFlagRequired(required); err != nil {
			panic(err) // the flag is defined above
		}
	}
	c.MarkFlagsMutuallyExclusive("trusted-root", "trust")
	return c
}

func (o *bundleOptions) verify(c *cobra.Command, subject string) error {
	show, err := printerFor(o.output)
	if err != nil {
		return err
	}
	logs, err := o.logs(c.Context(), c.InOrStdin())
	if err != nil {
		return err
	}
	authority, err := o.authority(logs)
	if err != nil {
		return err
	}
	bundle, err := readInput(o.bundle)
	if err != nil {
		return err
	}
	artifact, done, err := openArtifact(subject)
	if err != nil {
		return err
	}
	defer done()
	verdict := authority.VerifyArtifact(c.Context(), artifact, verify.Bundle{JSON: bundle})
	verdict = files.WithinValidity(verdict, logs, time.Now())
	if err := show(c.OutOrStdout(), bundleReport{policy.ReportOf(verdict), verdict}); err != nil {
		return exitError{code: exitUnavailable, err: err}
	}
	switch verdict.(type) {
	case verify.Verified:
		return nil
	case verify.Unavailable:
		return exitError{code: exitUnavailable}
	default:
		return exitError{code: exitRejected}
	}
}

func (o *bundleOptions) logs(ctx context.Context, stdin io.Reader) ([]files.OfflineLog, error) {
	switch {
	case o.trustedRoot != "":
		text, err := readInput(o.trustedRoot)
		if err != nil {
			return nil, err
		}
		return files.TrustedRootLogs(text)
	case len(o.trust) > 0:
		objects, err := files.Read(o.trust, stdin)
		if err != nil {
			return nil, err
		}
		loaded := files.Load(objects, o.namespace)
		if len(loaded.Problems) > 0 {
			return nil, loaded.Problems[0]
		}
		return loaded.OfflineLogs(ctx)
	default:
		return nil, errors.New("a trusted root is required: name the logs to trust with --trusted-root or --trust; there is no default, and no public log is asked")
	}
}

func (o *bundleOptions) authority(logs []files.OfflineLog) (*verify.Authority, error) {
	text, err := readInput(o.key)
	if err != nil {
		return nil, err
	}
	key, err := verify.ParseKey(text, o.hash)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.key, err)
	}
	provers := make([]*tlog.Prover, 0, len(logs))
	for _, l := range logs {
		provers = append(provers, l.Prover)
	}
	authority := &verify.Authority{Name: "key", Keys: []verify.Key{key}, Logs: provers}
	if err := authority.Validate(); err != nil {
		return nil, err
	}
	return authority, nil
}

// openArtifact returns what subject names: a digest, or the file of that name.
func openArtifact(subject string) (verify.Artifact, func(), error) {
	nothing := func() {}
	if digits, ok := strings.CutPrefix(subject, "sha256:"); ok {
		digest, err := hex.DecodeString(digits)
		if err != nil || len(digest) != sha256.Size {
			return verify.Artifact{}, nothing, fmt.Errorf("%q is not a SHA-256 digest", subject)
		}
		return verify.Artifact{SHA256: [sha256.Size]byte(digest)}, nothing, nil
	}
	file, err := os.Open(subject)
	if err != nil {
		return verify.Artifact{}, nothing, err
	}
	h := sha256.New()
	if _, err := io.Copy(h, file); err != nil {
		file.Close()
		return verify.Artifact{}, nothing, err
	}
	return verify.Artifact{SHA256: [sha256.Size]byte(h.Sum(nil)), Content: file}, func() { file.Close() }, nil
}

func readInput(name string) ([]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxInput+1))
	if err == nil && len(text) > maxInput {
		err = fmt.Errorf("%s is larger than %d bytes", name, maxInput)
	}
	return text, err
}

// bundleReport is the verdict on a bundle.
type bundleReport struct {
	policy.VerdictReport
	verdict verify.Verdict
}

// String is the report for a person.
func (r bundleReport) String() string {
	return policy.Found(r.verdict) + "\n"
}
