// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/hex"
	"errors"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	peer "github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
)

// asPeer is what sigstore-go says to the suite's command: what its own program for
// the suite (test/conformance there) asks of it, less the rule that a log must prove.
func asPeer(args []string) error {
	flags := map[string]string{}
	for i := 1; i+1 < len(args); i += 2 {
		flags[args[i]] = args[i+1]
	}
	text, err := os.ReadFile(flags["--bundle"])
	if err != nil {
		return err
	}
	parsed := new(bundle.Bundle)
	if err := parsed.UnmarshalJSON(text); err != nil {
		return err
	}
	trusted, err := root.NewTrustedRootFromPath(flags["--trusted-root"])
	if err != nil {
		return err
	}
	material, policy, options, err := peerPolicy(trusted, flags)
	if err != nil {
		return err
	}
	if stamps, err := parsed.Timestamps(); err != nil {
		return err
	} else if len(stamps) > 0 && len(trusted.TimestampingAuthorities()) > 0 {
		options = append(options, peer.WithSignedTimestamps(1))
	} else if !parsed.HasInclusionPromise() && flags["--key"] != "" {
		options = append(options, peer.WithNoObserverTimestamps())
	}
	options = append(options, peer.WithTransparencyLog(1))
	if parsed.HasInclusionPromise() {
		options = append(options, peer.WithIntegratedTimestamps(1))
	}
	verifier, err := peer.NewVerifier(material, options...)
	if err != nil {
		return err
	}
	artifact, err := peerArtifact(args[len(args)-1])
	if err != nil {
		return err
	}
	_, err = verifier.Verify(parsed, peer.NewPolicy(artifact, policy))
	return err
}

// peerPolicy is who may sign, in sigstore-go's terms.
func peerPolicy(trusted *root.TrustedRoot, flags map[string]string) (root.TrustedMaterial, peer.PolicyOption, []peer.VerifierOption, error) {
	if flags["--key"] == "" {
		identity, err := peer.NewShortCertificateIdentity(flags["--certificate-oidc-issuer"], "", flags["--certificate-identity"], "")
		return trusted, peer.WithCertificateIdentity(identity), []peer.VerifierOption{peer.WithSignedCertificateTimestamps(1)}, err
	}
	text, err := os.ReadFile(flags["--key"])
	if err != nil {
		return nil, nil, nil, err
	}
	public, err := cryptoutils.UnmarshalPEMToPublicKey(text)
	if err != nil {
		return nil, nil, nil, err
	}
	key := root.NewTrustedPublicKeyMaterial(func(string) (root.TimeConstrainedVerifier, error) {
		verifier, err := signature.LoadDefaultVerifier(public)
		if err != nil {
			return nil, err
		}
		return root.NewExpiringKey(verifier, time.Time{}, time.Time{}), nil
	})
	return root.TrustedMaterialCollection{key, trusted}, peer.WithKey(), nil, nil
}

func peerArtifact(subject string) (peer.ArtifactPolicyOption, error) {
	if digits, ok := strings.CutPrefix(subject, "sha256:"); ok {
		digest, err := hex.DecodeString(digits)
		return peer.WithArtifactDigest("sha256", digest), err
	}
	content, err := os.ReadFile(subject)
	if err != nil {
		return nil, err
	}
	return peer.WithArtifact(strings.NewReader(string(content))), nil
}

// safely is asPeer, which may panic on what nobody should give it.
func safely(args []string) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = errors.New("it panics")
		}
	}()
	return asPeer(args)
}

// TestConformanceAgainstSigstoreGo: of the suite's cases we accept what sigstore-go
// accepts, but for what is listed.
func TestConformanceAgainstSigstoreGo(t *testing.T) {
	differ := map[string]string{
		// Where the suite and we accept, and sigstore-go v1.3.0 does not.
		"dsse-with-hashedrekord-happy-path": "takes hashedrekord for an envelope from Rekor v2 alone",
		// Where the suite and we refuse, and sigstore-go does not.
		"bundle-with-root-cert_fail":                                "does not look at the rest of a chain",
		"rekor2-multiple-timestamps-one-outside-cert-validity_fail": "does not look at a second timestamp of one authority",
		"managed-key-and-client-identity_fail":                      "is a library: its caller says which of the two",
		"dsse-statement-missing-type_fail":                          "does not look at the type of a statement",
		"dsse-statement-unknown-type_fail":                          "does not look at the type of a statement",
	}
	found := map[string]string{}
	cases := mustPass()
	for name, c := range mustFail() {
		cases[name] = c.mint
	}
	for name, mint := range cases {
		t.Run(name, func(t *testing.T) {
			instance(t, func(s *suite) {
				m := mint(s)
				aYearPasses()
				args := m.args(t, false)
				code, _ := exitCodeOf(args)
				if err := safely(args); (err == nil) != (code == exitVerified) {
					found[name] = differ[name]
					t.Logf("we: exit code %d; sigstore-go: %v", code, err)
				}
			})
		})
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(differ)), slices.Sorted(maps.Keys(found))); diff != "" {
		t.Error("other than sigstore-go, listed (-) and found (+):\n", diff)
	}
}

// TestNothingChangedIsAcceptedThatSigstoreGoRefuses changes each value of good bundles
// in several ways.
func TestNothingChangedIsAcceptedThatSigstoreGoRefuses(t *testing.T) {
	cases := mustPass()
	for _, name := range []string{"happy-path-v0.1", "happy-path-v0.3-new-mediaType", "happy-path-intoto-in-dsse-v3", "intoto-with-custom-trust-root", "managed-key-happy-path", "rekor2-happy-path", "rekor2-dsse-happy-path"} {
		t.Run(name, func(t *testing.T) {
			instance(t, func(s *suite) {
				m := cases[name](s)
				aYearPasses()
				changes, accepted := 0, 0
				for change := range changesOf(m) {
					changes++
					args := change.m.args(t, false)
					if code, _ := exitCodeOf(args); code != exitVerified {
						continue
					}
					accepted++
					if err := safely(args); err != nil {
						t.Errorf("%s: accepted, and sigstore-go refuses it: %v", change.name, err)
					}
				}
				t.Logf("%d changes, %d of them accepted", changes, accepted)
				if changes < 100 {
					t.Errorf("only %d changes", changes)
				}
			})
		})
	}
}
