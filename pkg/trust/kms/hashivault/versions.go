// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package hashivault

import (
	"cmp"
	"crypto"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/sigstore/sigstore/pkg/cryptoutils"

	"github.com/countersign-dev/countersign/pkg/trust/kms"
)

// keyTypeEd25519 is how Vault names the one type whose public key it does not give
// as PEM.
const keyTypeEd25519 = "ed25519"

// versions reads what Vault says of a key:
//
//	{"type": "ecdsa-p256", "min_decryption_version": 1, "latest_version": 2,
//	 "keys": {"1": {"name": "P-256", "public_key": "-----BEGIN…"}, "2": {…}}}
//
// min_decryption_version is also the first version that Vault verifies with, and
// what an operator raises to retire those before it. A key that encrypts has numbers
// (times) in place of the objects. The newest version is the first.
func versions(answer map[string]any) ([]kms.Version, error) {
	keys, ok := answer["keys"].(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%w: Vault's answer has no keys", kms.ErrUnavailable)
	}
	first, err := number(answer["min_decryption_version"])
	if err != nil {
		return nil, fmt.Errorf("%w: min_decryption_version in Vault's answer: %w", kms.ErrUnavailable, err)
	}
	type numbered struct {
		kms.Version
		number int64
	}
	var found []numbered
	for name, said := range keys {
		n, err := strconv.ParseInt(name, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%w: a version in Vault's answer is %.40q, not a number", kms.ErrUnavailable, name)
		}
		key, ok := said.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("%w: it is a key of type %.40q, which signs nothing", kms.ErrUnusable, answer["type"])
		}
		if n < first {
			continue
		}
		v := numbered{Version: kms.Version{Name: name}, number: n}
		v.Key, v.Err = publicKey(key, answer["type"] == keyTypeEd25519)
		found = append(found, v)
	}
	slices.SortFunc(found, func(a, b numbered) int { return cmp.Compare(b.number, a.number) })
	all := make([]kms.Version, len(found))
	for i, v := range found {
		all[i] = v.Version
	}
	return all, nil
}

func number(value any) (int64, error) {
	text, ok := value.(json.Number)
	if !ok {
		return 0, errors.New("it is not a number")
	}
	return text.Int64()
}

func publicKey(version map[string]any, isEd25519 bool) (crypto.PublicKey, error) {
	text, ok := version["public_key"].(string)
	if !ok || text == "" {
		return nil, errors.New("it has no public key")
	}
	if !isEd25519 {
		return cryptoutils.UnmarshalPEMToPublicKey([]byte(text))
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(raw) != ed25519.PublicKeySize {
		return nil, errors.New("its public key is not one of Ed25519")
	}
	return ed25519.PublicKey(raw), nil
}
