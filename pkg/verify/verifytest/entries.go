// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package verifytest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	commonpb "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	tilespb "github.com/sigstore/rekor-tiles/v2/pkg/generated/protobuf"
	tilesrekord "github.com/sigstore/rekor-tiles/v2/pkg/types/hashedrekord"
	"github.com/sigstore/rekor/pkg/generated/models"
	"github.com/sigstore/rekor/pkg/types"
	"github.com/sigstore/rekor/pkg/types/hashedrekord"
	_ "github.com/sigstore/rekor/pkg/types/intoto/v0.0.2" // registers the kind
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/options"
	"google.golang.org/protobuf/encoding/protojson"
)

// HashedRekordV2 is the body of the entry that Rekor v2 makes of a signature over
// message. It panics unless the signature is good, as the server refuses it.
func (s *Signer) HashedRekordV2(message, sig []byte) []byte {
	algorithm, err := signature.GetDefaultAlgorithmDetails(s.public, options.WithED25519ph())
	if err != nil {
		panic(err)
	}
	registry, err := signature.NewAlgorithmRegistryConfig([]commonpb.PublicKeyDetails{algorithm.GetSignatureAlgorithm()})
	if err != nil {
		panic(err)
	}
	h := algorithm.GetHashType().New()
	h.Write(message)
	entry, err := tilesrekord.ToLogEntry(&tilespb.HashedRekordRequestV002{
		Digest:    h.Sum(nil),
		Signature: &tilespb.Signature{Content: sig, Verifier: s.verifierV2(algorithm.GetSignatureAlgorithm())},
	}, registry)
	if err != nil {
		panic(err)
	}
	return canonicalV2(entry)
}

// HashedRekordV2Of is HashedRekordV2 of an envelope's pre-authentication encoding.
func (s *Signer) HashedRekordV2Of(e Envelope) []byte {
	return s.HashedRekordV2(dsse.PAE(e.PayloadType, e.Payload), e.Signatures[0])
}

func (s *Signer) verifierV2(details commonpb.PublicKeyDetails) *tilespb.Verifier {
	if s.leaf != nil {
		return &tilespb.Verifier{KeyDetails: details, Verifier: &tilespb.Verifier_X509Certificate{X509Certificate: &commonpb.X509Certificate{RawBytes: s.leaf}}}
	}
	spki, err := x509.MarshalPKIXPublicKey(s.public)
	if err != nil {
		panic(err)
	}
	return &tilespb.Verifier{KeyDetails: details, Verifier: &tilespb.Verifier_PublicKey{PublicKey: &tilespb.PublicKey{RawBytes: spki}}}
}

// canonicalV2 is RFC 8785 JSON of an entry, whose values need no escapes: names sorted,
// no spaces.
func canonicalV2(entry *tilespb.Entry) []byte {
	text, err := protojson.Marshal(entry)
	if err != nil {
		panic(err)
	}
	var body any
	if err := json.Unmarshal(text, &body); err != nil {
		panic(err)
	}
	return []byte(marshal(body))
}

// HashedRekordOf is the body of the entry that Rekor v1 makes of an envelope's
// pre-authentication encoding, where a client asks for that.
func (s *Signer) HashedRekordOf(e Envelope) []byte {
	h := s.hash.New()
	h.Write(dsse.PAE(e.PayloadType, e.Payload))
	return canonical(hashedrekord.New(), types.ArtifactProperties{
		ArtifactHash:   fmt.Sprintf("%s:%x", strings.ToLower(strings.ReplaceAll(s.hash.String(), "-", "")), h.Sum(nil)),
		SignatureBytes: e.Signatures[0],
		PublicKeyBytes: [][]byte{s.verifier()},
		PKIFormat:      "x509",
	})
}

// InToto is the body of the intoto 0.0.2 entry that Rekor v1 makes of an envelope which
// sigstore-js sends: its PEM lacks the last newline.
func (s *Signer) InToto(e Envelope) []byte {
	encode := base64.StdEncoding.EncodeToString
	twice := func(raw []byte) string { return encode([]byte(encode(raw))) }
	payloadHash := sha256.Sum256(e.Payload)
	proposed, err := models.UnmarshalProposedEntry(strings.NewReader(marshal(map[string]any{
		"apiVersion": "0.0.2", "kind": "intoto", "spec": map[string]any{"content": map[string]any{
			"envelope": map[string]any{
				"payloadType": e.PayloadType, "payload": twice(e.Payload),
				"signatures": []any{map[string]any{"sig": twice(e.Signatures[0]), "publicKey": encode(bytes.TrimSpace(s.verifier()))}},
			},
			"hash":        map[string]any{"algorithm": "sha256", "value": strings.Repeat("c0", sha256.Size)},
			"payloadHash": map[string]any{"algorithm": "sha256", "value": hex.EncodeToString(payloadHash[:])},
		}},
	})), jsonConsumer{})
	if err != nil {
		panic(err)
	}
	entry, err := types.CreateVersionedEntry(proposed)
	if err != nil {
		panic(err)
	}
	body, err := types.CanonicalizeEntry(context.Background(), entry)
	if err != nil {
		panic(err)
	}
	return body
}

// jsonConsumer reads JSON for Rekor's models.
type jsonConsumer struct{}

// Consume decodes r into a model.
func (jsonConsumer) Consume(r io.Reader, into any) error { return json.NewDecoder(r).Decode(into) }
