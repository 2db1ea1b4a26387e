// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package stack

import "crypto/x509"

// CA is an authority that issues certificates to identities, below a root of its
// own. A Fulcio issues in its name.
type CA struct {
	Chain []byte // PEM, from the issuing certificate to the root's
	File  string // of Chain
	Root  string // file of the root's certificate

	key string // file
}

// NewCA makes a root and an issuing certificate below it. The name names its
// files.
func (s *Stack) NewCA(name string) (*CA, error) {
	root, err := newAuthority(name + " root")
	if err != nil {
		return nil, err
	}
	issuing, err := root.intermediate(name, x509.ExtKeyUsageCodeSigning)
	if err != nil {
		return nil, err
	}
	key, err := privatePEM(issuing.key)
	if err != nil {
		return nil, err
	}
	ca := &CA{Chain: issuing.pem}
	for _, file := range []struct {
		name    string
		content []byte
		path    *string
	}{
		{"-chain.pem", issuing.pem, &ca.File},
		{"-root.pem", root.pem, &ca.Root},
		{".key", key, &ca.key},
	} {
		if *file.path, err = s.run.write("pki/"+name+file.name, file.content); err != nil {
			return nil, err
		}
	}
	return ca, nil
}
