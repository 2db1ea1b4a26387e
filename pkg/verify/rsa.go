// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"io"

	"github.com/sigstore/sigstore/pkg/signature"
)

// eitherPadding verifies signatures under an RSA key by PKCS#1 v1.5 or by PSS
// (RFC 8017 sections 8.2 and 8.1), with any length of salt. A public key does not
// say which of them it is for, and no format that cosign writes says which was used:
// it depends on the client and, of a KMS, on the key. Both are unforgeable, so to
// accept either gives an attacker nothing; the hash is the one that the policy names
// in both.
type eitherPadding struct {
	*signature.RSAPKCS1v15Verifier
	pss *signature.RSAPSSVerifier
}

func newEitherPadding(public *rsa.PublicKey, hash crypto.Hash) (*eitherPadding, error) {
	pkcs1, err := signature.LoadRSAPKCS1v15Verifier(public, hash)
	if err != nil {
		return nil, err
	}
	pss, err := signature.LoadRSAPSSVerifier(public, hash, nil)
	if err != nil {
		return nil, err
	}
	return &eitherPadding{RSAPKCS1v15Verifier: pkcs1, pss: pss}, nil
}

// VerifySignature implements signature.Verifier. message is not read, and may be
// nil, where an option holds its digest.
func (v *eitherPadding) VerifySignature(sig, message io.Reader, opts ...signature.VerifyOption) error {
	made, err := io.ReadAll(sig)
	if err != nil {
		return err
	}
	again := func() io.Reader { return nil }
	if message != nil {
		signed, err := io.ReadAll(message)
		if err != nil {
			return err
		}
		again = func() io.Reader { return bytes.NewReader(signed) }
	}
	if v.RSAPKCS1v15Verifier.VerifySignature(bytes.NewReader(made), again(), opts...) == nil {
		return nil
	}
	return v.pss.VerifySignature(bytes.NewReader(made), again(), opts...)
}
