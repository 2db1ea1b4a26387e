// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

// What the tests, which live outside of the package because verifytest imports
// it, need of its inside. The functions are reached without Verify's recover.

const (
	MaxPayloadBytes = maxPayloadBytes
	MaxBundleBytes  = maxBundleBytes
	MaxLogEntries   = maxLogEntries
	MaxDetailBytes  = maxDetailBytes
)

// ParseAndVerify parses a signature and verifies it under key; it returns the
// decoded signature and what was signed.
func ParseAndVerify(s Signature, key Key, digest string) (sig, signed []byte, err error) {
	c, err := parse(s)
	if err != nil {
		return nil, nil, err
	}
	signed = c.message
	if c.payload != nil {
		signed = c.payload
	}
	for _, e := range c.entries { // what package tlog is given must not crash it either
		_ = e
	}
	_, _ = c.claim(key)
	return c.signature, signed, verifySignature(c, key, digest, purpose{})
}

func CheckSimpleSigning(payload []byte, digest string) error {
	return checkSimpleSigning(payload, digest)
}

func CheckDigest(digest string) error { return checkDigest(digest) }

func Printable(text string) string { return printable(text) }

func Further(a, b Verdict) Verdict { return further(a, b) }

func VerdictOf(err error) Verdict { return verdictOf(err) }
