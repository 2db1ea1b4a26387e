// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/digitorus/timestamp"

	"github.com/countersign-dev/countersign/e2e/stack"
)

// These scenarios, too, are about the components alone.

// Extensions of certificates: RFC 6962, section 3.3, and Fulcio's
// docs/oid-info.md.
var (
	sctList          = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 2}
	issuerV2         = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 8}
	sourceRepository = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 12}
)

func TestFulcioCertifiesIdentitiesAndLogsTheCertificates(t *testing.T) {
	t.Parallel()
	for what, tc := range map[string]struct {
		identity   stack.Identity
		repository string // in the extension
	}{
		"a person":            {emailIdentity(t, "someone@countersign.test"), ""},
		"a run of a workflow": {gitHubIdentity(t, "acme/shop"), "https://github.com/acme/shop"},
		"a service account":   {serviceAccountIdentity(t, newNamespace(t)), ""},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			certificate := certify(t, S(t).Keyless.Fulcio, tc.identity)
			subjects := slices.Clone(certificate.EmailAddresses)
			for _, uri := range certificate.URIs {
				subjects = append(subjects, uri.String())
			}
			if want := []string{tc.identity.Subject}; !slices.Equal(subjects, want) {
				t.Errorf("the certificate is for %q, want %q", subjects, want)
			}
			if extension(t, certificate, sctList) == nil {
				t.Error("the certificate has no SCT")
			}
			if got := text(t, extension(t, certificate, issuerV2)); got != tc.identity.Issuer {
				t.Errorf("the issuer is %q, want %q", got, tc.identity.Issuer)
			}
			if got := text(t, extension(t, certificate, sourceRepository)); got != tc.repository {
				t.Errorf("the source repository is %q, want %q", got, tc.repository)
			}
		})
	}
}

func TestFulcioAnswersAgainAfterACrash(t *testing.T) {
	t.Parallel()
	ca, err := S(t).NewCA(newName(t))
	if err != nil {
		t.Fatal(err)
	}
	fulcio := newFulcio(t, ca)
	fulcio.Kill()
	if err := fulcio.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	certify(t, fulcio, emailIdentity(t, "someone@countersign.test"))
}

func TestTSAStampsWithItsCertificate(t *testing.T) {
	t.Parallel()
	message := []byte("something signed")
	request, err := timestamp.CreateRequest(bytes.NewReader(message), &timestamp.RequestOptions{Hash: crypto.SHA256, Certificates: true})
	if err != nil {
		t.Fatal(err)
	}
	stamped, err := timestamp.ParseResponse(postTo(t, S(t).Keyless.TSA.URL, "application/timestamp-query", request))
	if err != nil {
		t.Fatal(err)
	}
	if want := sha256.Sum256(message); !bytes.Equal(stamped.HashedMessage, want[:]) {
		t.Errorf("it stamps %x, want %x", stamped.HashedMessage, want)
	}
	block, _ := pem.Decode(S(t).Keyless.TSA.Chain)
	if len(stamped.Certificates) != 1 || !bytes.Equal(stamped.Certificates[0].Raw, block.Bytes) {
		t.Errorf("the timestamp has %d certificates, want the first of the chain", len(stamped.Certificates))
	}
}

func TestCosignSignsWithoutAKeyInEveryFormat(t *testing.T) {
	t.Parallel()
	for what, tc := range map[string]struct {
		sign stack.SignOptions
		says []string // what the evidence contains
	}{
		"cosign v2 writes a legacy signature with a certificate": {
			stack.SignOptions{}, []string{"dev.sigstore.cosign/certificate", "SignedEntryTimestamp"},
		},
		"cosign v2 writes a legacy signature with a timestamp": {
			stack.SignOptions{TSA: S(t).Keyless.TSA}, []string{"dev.sigstore.cosign/certificate", "dev.sigstore.cosign/rfc3161timestamp"},
		},
		"cosign v2 writes a bundle": {
			stack.SignOptions{Format: stack.Bundle, TSA: S(t).Keyless.TSA}, []string{"inclusionProof", "rfc3161Timestamps"},
		},
		"cosign v3 writes a legacy signature with a certificate": {
			stack.SignOptions{Cosign: stack.CosignV3}, []string{"dev.sigstore.cosign/certificate", "SignedEntryTimestamp"},
		},
		"cosign v3 writes a bundle": {
			bundleByV3(), []string{`"certificate"`, "inclusionProof"},
		},
		"cosign v3 writes a bundle with a timestamp": {
			stack.SignOptions{Cosign: stack.CosignV3, Format: stack.Bundle, TSA: S(t).Keyless.TSA},
			[]string{`"certificate"`, "inclusionProof", "rfc3161Timestamps"},
		},
		"cosign v3 writes a bundle about Rekor v2": {
			stack.SignOptions{Cosign: stack.CosignV3, Format: stack.Bundle, TSA: S(t).Keyless.TSA, Log: S(t).RekorV2},
			[]string{`"certificate"`, "inclusionProof", "rfc3161Timestamps"},
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			image := pushImage(t, S(t).Registry)
			tc.sign.Identity = gitHubIdentity(t, "acme/shop")
			sign(t, image, tc.sign)
			evidence := signatureTag(t, image)
			if tc.sign.Format == stack.Bundle {
				evidence = onlyBundle(t, image)
			}
			for _, word := range tc.says {
				if !strings.Contains(evidence, word) {
					t.Errorf("the evidence has no %s:\n%s", word, evidence)
				}
			}
		})
	}
}

// certify has an identity's new key certified (Fulcio's API v2).
func certify(t *testing.T, fulcio *stack.Fulcio, identity stack.Identity) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	request, err := json.Marshal(map[string]any{
		"credentials":               map[string]string{"oidcIdentityToken": identity.Token},
		"certificateSigningRequest": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr}),
	})
	if err != nil {
		t.Fatal(err)
	}
	var issued struct {
		Embedded struct {
			Chain struct {
				Certificates []string `json:"certificates"`
			} `json:"chain"`
		} `json:"signedCertificateEmbeddedSct"`
	}
	body := postTo(t, fulcio.URL+"/api/v2/signingCert", "application/json", request)
	if err := json.Unmarshal(body, &issued); err != nil {
		t.Fatal(err)
	}
	if len(issued.Embedded.Chain.Certificates) == 0 {
		t.Fatalf("no certificate: %s", body)
	}
	block, _ := pem.Decode([]byte(issued.Embedded.Chain.Certificates[0]))
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

// extension is the value of a certificate's extension, or nil.
func extension(t *testing.T, certificate *x509.Certificate, id asn1.ObjectIdentifier) []byte {
	t.Helper()
	for _, e := range certificate.Extensions {
		if e.Id.Equal(id) {
			return e.Value
		}
	}
	return nil
}

// text decodes a UTF8String; nothing is "".
func text(t *testing.T, der []byte) string {
	t.Helper()
	if der == nil {
		return ""
	}
	var s string
	if _, err := asn1.UnmarshalWithParams(der, &s, "utf8"); err != nil {
		t.Fatal(err)
	}
	return s
}

// post posts a request that has to succeed, and returns the answer's body.
func postTo(t *testing.T, url, contentType string, request []byte) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(request))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode/100 != 2 {
		t.Fatalf("POST %s: %s: %s", url, resp.Status, body)
	}
	return body
}

func emailIdentity(t *testing.T, address string) stack.Identity {
	t.Helper()
	return identity(t)(S(t).EmailIdentity(address))
}

// gitHubIdentity is a run of a repository's release workflow on main.
func gitHubIdentity(t *testing.T, repository string) stack.Identity {
	t.Helper()
	return identity(t)(S(t).GitHubIdentity(repository, nil))
}

// serviceAccountIdentity is the default service account of a namespace.
func serviceAccountIdentity(t *testing.T, namespace string) stack.Identity {
	t.Helper()
	return identity(t)(S(t).ServiceAccountIdentity(t.Context(), namespace, "default"))
}

func identity(t *testing.T) func(stack.Identity, error) stack.Identity {
	t.Helper()
	return func(identity stack.Identity, err error) stack.Identity {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return identity
	}
}
