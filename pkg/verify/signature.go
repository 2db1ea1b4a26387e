// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

// Signature is one piece of evidence as it was found beside an image: hostile
// bytes, capped in size, not yet looked at. It is LegacySignature, LegacyAttestation
// or Bundle.
type Signature interface {
	signature()
}

// LegacySignature is one layer of cosign's `sha256-<hex>.sig` image: the
// layer's bytes and the annotations of its descriptor.
type LegacySignature struct {
	// Payload is the simple signing document, the bytes that were signed.
	Payload []byte
	// Base64Signature is dev.cosignproject.cosign/signature.
	Base64Signature string
	// RekorBundle is dev.sigstore.cosign/bundle: JSON, empty when absent.
	RekorBundle string
	// Certificate and Chain are PEM, empty when absent.
	Certificate, Chain string
	// RFC3161Timestamp is JSON, empty when absent.
	RFC3161Timestamp string
}

// LegacyAttestation is one layer of cosign's `sha256-<hex>.att` image: a DSSE
// envelope, and the annotations of its descriptor as in LegacySignature.
type LegacyAttestation struct {
	// Envelope is the DSSE envelope as JSON, the layer's bytes.
	Envelope                                   []byte
	RekorBundle, Certificate, RFC3161Timestamp string
}

// Bundle is one sigstore bundle, as JSON.
type Bundle struct {
	JSON []byte
}

func (LegacySignature) signature()   {}
func (LegacyAttestation) signature() {}
func (Bundle) signature()            {}
