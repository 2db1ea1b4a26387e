// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"crypto"
	"errors"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/options"

	"github.com/countersign-dev/countersign/pkg/tlog"
)

// claim is what an entry of a log about this signature by this key must say: in any
// of the kinds that there are for it in that version of Rekor.
func (c *candidate) claim(key Key, log *tlog.Log) (tlog.Claim, error) {
	var kinds []tlog.Claim
	var errs []error
	add := func(kind tlog.Claim, err error) {
		if err != nil {
			errs = append(errs, err)
			return
		}
		kinds = append(kinds, kind)
	}
	if log.Holds(tlog.RekorV1) {
		c.addV1(key, add)
	}
	if log.Holds(tlog.RekorV2) {
		c.addV2(key, add)
	}
	if len(kinds) == 0 {
		return tlog.Claim{}, errors.Join(errs...)
	}
	return tlog.AnyOf(kinds...), nil
}

// addV1 adds the kinds of Rekor v1: hashedrekord for what was signed, and for an
// envelope also dsse, and intoto before it.
func (c *candidate) addV1(key Key, add func(tlog.Claim, error)) {
	add(tlog.HashedRekord(key.hash, c.signedDigest(key.hash), c.signature, key.pem))
	if c.payload == nil {
		return
	}
	envelope := c.entity.GetDsseEnvelope()
	add(tlog.DSSE(c.payload, c.signature, key.pem), nil)
	add(tlog.InToto(envelope.GetPayloadType(), c.payload, c.signature, envelope.GetSignatures()[0].GetKeyid(), key.pem), nil)
}

// addV2 adds the kinds of Rekor v2: hashedrekord for what was signed, and the dsse of
// older servers for an envelope.
func (c *candidate) addV2(key Key, add func(tlog.Claim, error)) {
	// A hashedrekord holds a digest alone: Ed25519 signs one as Ed25519ph.
	add(tlog.HashedRekordV2(key.hash, c.signedDigest(key.hash), c.signature, key.verifierV2(options.WithED25519ph())))
	if c.payload != nil {
		add(tlog.DSSEV2(c.payload, c.signature, key.verifierV2()))
	}
}

// verifierV2 is how Rekor v2 names the key, and how it is used. Without a name for
// that there is no entry.
func (k Key) verifierV2(used ...signature.LoadOption) tlog.Verifier {
	verifier := tlog.Verifier{DER: k.spki}
	if k.certificate != nil {
		verifier = tlog.Verifier{DER: k.certificate, Certificate: true}
	}
	algorithm, err := signature.GetDefaultAlgorithmDetails(k.public, used...)
	if err == nil && (algorithm.GetHashType() == k.hash || algorithm.GetHashType() == crypto.Hash(0)) {
		verifier.Details = algorithm.GetSignatureAlgorithm().String()
	}
	return verifier
}

// signedDigest is the digest of the bytes that were signed: of the message, or of an
// envelope's pre-authentication encoding.
func (c *candidate) signedDigest(hash crypto.Hash) []byte {
	if c.payload == nil {
		return c.messageDigest(hash)
	}
	h := hash.New()
	h.Write(dsse.PAE(c.entity.GetDsseEnvelope().GetPayloadType(), c.payload))
	return h.Sum(nil)
}
