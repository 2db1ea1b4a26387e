// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"testing"

	"github.com/countersign-dev/countersign/e2e/stack"
)

// Predicates, and their types as cosign names them.
const (
	sbomType  = "cyclonedx"
	sbom      = `{"bomFormat": "CycloneDX", "specVersion": "1.6", "components": []}`
	scanType  = "https://countersign.test/scan/v1"
	scan      = `{"findings": []}`
	scanTypes = scanType + "/more"
)

// attestationFormats are the ways in which attestations are stored.
var attestationFormats = map[string]stack.SignOptions{
	"an .att tag by cosign v2": {},
	"an .att tag by cosign v3": {Cosign: stack.CosignV3},
	"bundles by cosign v2":     {Format: stack.Bundle},
	"bundles by cosign v3":     {Cosign: stack.CosignV3, Format: stack.Bundle},
}

func TestTheGateAdmitsAnImageWithAllAttestationsThatAreDemanded(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	root := newTrustRoot(t)
	for what, o := range attestationFormats {
		for where, registry := range map[string]*stack.Registry{"with referrers": S(t).Registry, "without referrers": S(t).RegistryFallback} {
			t.Run(what+", "+where, func(t *testing.T) {
				t.Parallel()
				image, o := pushImage(t, registry), o
				o.Identity = gitHubIdentity(t, "acme/shop")
				newKeylessPolicy(t, image, stack.KeylessPolicyOptions{
					TrustRoot: root, Attestations: map[string]string{"sbom": "cyclonedx", "scan": scanType},
				}, exactly(o.Identity))
				sign(t, image, o)
				attest(t, image, sbomType, sbom, o)
				refused(t, runPod(t, namespace, newName(t), image.Ref()), "AttestationMissing", `attestation "scan" (`+scanType+")")
				attest(t, image, scanType, scan, o)
				admitted(t, runPod(t, namespace, newName(t), image.Ref()))
			})
		}
	}
}

func TestTheGateRefusesAttestationsThatAreNotWhatIsDemanded(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	root := newTrustRoot(t)
	shop, evil := gitHubIdentity(t, "acme/shop"), gitHubIdentity(t, "acme/shop-evil")
	for format, by := range attestationFormats {
		for what, tc := range map[string]struct {
			predicateType string // of the attestation; "": there is none
			signedBy      stack.Identity
			noUpload      bool
			copied        bool // from beside another image
			reason        string
			says          string
		}{
			"nothing but a signature": {"", shop, false, false, "AttestationMissing", "none was found"},
			"of another predicate type that begins with the demanded one": {
				scanTypes, shop, false, false, "AttestationMissing", "none was found",
			},
			"by another identity": {scanType, evil, false, false, "IdentityMismatch", evil.Subject},
			"in no log":           {scanType, shop, true, false, "NotLogged", ""},
			"of another image":    {scanType, shop, false, true, "AttestationInvalid", "about another image"},
		} {
			t.Run(what+", "+format, func(t *testing.T) {
				t.Parallel()
				image := pushImage(t, S(t).Registry)
				newKeylessPolicy(t, image, stack.KeylessPolicyOptions{
					TrustRoot: root, Attestations: map[string]string{"scan": scanType},
				}, exactly(shop))
				attested := image
				if tc.copied {
					attested = pushImage(t, S(t).Registry)
				}
				o := by
				o.Identity, o.NoUpload = tc.signedBy, tc.noUpload
				if tc.predicateType != "" {
					attest(t, attested, tc.predicateType, scan, o)
				}
				if tc.copied {
					storedAttestation(t, attested, by.Format).layBeside(t, image)
				}
				o.Identity, o.NoUpload = shop, false
				sign(t, image, o)
				refused(t, runPod(t, namespace, newName(t), image.Ref()), tc.reason, `attestation "scan" (`+scanType+")", tc.says)
			})
		}
	}
}

func TestAnAttestationIsNoSignature(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	root := newTrustRoot(t)
	for format, o := range attestationFormats {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			image := pushImage(t, S(t).Registry)
			o.Identity = gitHubIdentity(t, "acme/shop")
			newKeylessPolicy(t, image, stack.KeylessPolicyOptions{
				TrustRoot: root, Attestations: map[string]string{"scan": scanType},
			}, exactly(o.Identity))
			attest(t, image, scanType, scan, o)
			refused(t, runPod(t, namespace, newName(t), image.Ref()), "NoSignature", "an attestation, not an image signature")
		})
	}
}

// attest attaches a signed statement to an image.
func attest(t *testing.T, image stack.Image, predicateType, predicate string, o stack.SignOptions) {
	t.Helper()
	if err := S(t).Attest(t.Context(), image.ByDigest(), predicateType, []byte(predicate), o); err != nil {
		t.Fatal(err)
	}
}
