// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package verifytest

import (
	"crypto/x509"
	"encoding/asn1"

	"github.com/digitorus/pkcs7"
	"github.com/digitorus/timestamp"
)

// Forge returns what a timestamp says, signed by somebody else, who shows further
// certificates beside his own: first, as GHSA-xm5m-wgh2-rrg3 has it.
func Forge(stamp []byte, by Pair, shown ...*x509.Certificate) []byte {
	genuine, err := timestamp.ParseResponse(stamp)
	if err != nil {
		panic(err)
	}
	token, err := pkcs7.Parse(genuine.RawToken)
	if err != nil {
		panic(err)
	}
	forged, err := pkcs7.NewSignedData(token.Content)
	if err != nil {
		panic(err)
	}
	forged.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
	forged.SetContentType(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 4})
	for _, certificate := range shown {
		forged.AddCertificate(certificate)
	}
	if err := forged.AddSigner(by.Certificate, by.Key, pkcs7.SignerInfoConfig{}); err != nil {
		panic(err)
	}
	raw, err := forged.Finish()
	if err != nil {
		panic(err)
	}
	return der(struct {
		Status struct{ Granted int }
		Token  asn1.RawValue
	}{Token: asn1.RawValue{FullBytes: raw}})
}
