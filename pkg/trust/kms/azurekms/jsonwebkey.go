// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package azurekms

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"

	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"
)

// parse reads a JSON Web Key (RFC 7518 section 6) as Key Vault writes it: the type
// of a key in hardware ends in -HSM.
func parse(jwk *azkeys.JSONWebKey) (crypto.PublicKey, error) {
	if jwk.Kty == nil {
		return nil, errors.New("it has no type")
	}
	switch *jwk.Kty {
	case azkeys.KeyTypeEC, azkeys.KeyTypeECHSM:
		return parseEC(jwk)
	case azkeys.KeyTypeRSA, azkeys.KeyTypeRSAHSM:
		e := new(big.Int).SetBytes(jwk.E)
		if len(jwk.N) == 0 || !e.IsInt64() || e.Int64() < 2 || e.Int64() > 1<<31-1 {
			return nil, errors.New("its RSA parameters are malformed")
		}
		return &rsa.PublicKey{N: new(big.Int).SetBytes(jwk.N), E: int(e.Int64())}, nil
	default:
		return nil, fmt.Errorf("it is of type %.40q", *jwk.Kty)
	}
}

func parseEC(jwk *azkeys.JSONWebKey) (crypto.PublicKey, error) {
	if jwk.Crv == nil {
		return nil, errors.New("it has no curve")
	}
	curve, ok := map[azkeys.CurveName]elliptic.Curve{
		azkeys.CurveNameP256: elliptic.P256(), azkeys.CurveNameP384: elliptic.P384(), azkeys.CurveNameP521: elliptic.P521(),
	}[*jwk.Crv]
	if !ok {
		return nil, fmt.Errorf("it is on the curve %.40q", *jwk.Crv)
	}
	size := (curve.Params().BitSize + 7) / 8
	if len(jwk.X) > size || len(jwk.Y) > size {
		return nil, errors.New("its point is malformed")
	}
	// SEC 1 section 2.3.3, each coordinate with its leading zeros.
	point := make([]byte, 1+2*size)
	point[0] = 4
	copy(point[1+size-len(jwk.X):], jwk.X)
	copy(point[1+2*size-len(jwk.Y):], jwk.Y)
	key, err := ecdsa.ParseUncompressedPublicKey(curve, point)
	if err != nil {
		return nil, errors.New("its point is not on the curve")
	}
	return key, nil
}
