// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/countersign-dev/countersign/pkg/verify"
	"github.com/countersign-dev/countersign/policy"
)

// maxInput bounds a bundle or a key, in bytes.
const maxInput = 32 << 20

// newVerifyBundle returns the command that verifies a bundle, under one of its two
// names: the other is the one that sigstore's conformance suite calls, with the
// arguments of https://github.com/sigstore/sigstore-conformance/blob/main/docs/cli_protocol.md.
func newVerifyBundle(name string) *cobra.Command {
	var o bundleOptions
	var output string
	c := &cobra.Command{
		Use:   name + " FILE|sha256:HEX",
		Short: "Verify a sigstore bundle offline",
		Long: `Verify a sigstore bundle about a file, or about a digest, without a network: the
signature by the key, or by a certificate of the identity, and the inclusion proof
and checkpoint that the bundle carries, under a log of the trusted root. A bundle
without a proof is rejected, and there is no trusted root by default.`,
		Example: `  countersign verify bundle --bundle app.sigstore.json --trusted-root trusted_root.json --key release.pub app.tar.gz
  countersign verify bundle --bundle app.sigstore.json --trusted-root trusted_root.json \
    --certificate-identity https://github.com/org/repo/.github/workflows/release.yml@refs/heads/main \
    --certificate-oidc-issuer https://token.actions.githubusercontent.com sha256:9f61…`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			show, err := printerFor(output)
			if err != nil {
				return err
			}
			verdict, err := o.verify(c.Context(), args[0], c.InOrStdin())
			if err != nil {
				return err
			}
			if err := show(c.OutOrStdout(), bundleReport{policy.ReportOf(verdict), verdict}); err != nil {
				return exitError{code: exitUnavailable, err: err}
			}
			return exitOf(verdict)
		},
	}
	o.register(c)
	c.Flags().StringVarP(&output, "output", "o", "text", "text, json or yaml")
	return c
}

// exitOf returns the exit code of a verdict, as an error unless it is 0.
func exitOf(verdict verify.Verdict) error {
	switch verdict.(type) {
	case verify.Verified:
		return nil
	case verify.Unavailable:
		return exitError{code: exitUnavailable}
	default:
		return exitError{code: exitRejected}
	}
}

// openArtifact returns what subject names: the file of that name or, if there is
// none, a digest.
func openArtifact(subject string) (verify.Artifact, func(), error) {
	nothing := func() {}
	file, err := os.Open(subject)
	if errors.Is(err, fs.ErrNotExist) {
		digits, ok := strings.CutPrefix(subject, "sha256:")
		digest, malformed := hex.DecodeString(digits)
		switch {
		case !ok:
			return verify.Artifact{}, nothing, err
		case malformed != nil || len(digest) != sha256.Size:
			return verify.Artifact{}, nothing, fmt.Errorf("%q is neither a file nor a SHA-256 digest", subject)
		}
		return verify.Artifact{SHA256: [sha256.Size]byte(digest)}, nothing, nil
	}
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
