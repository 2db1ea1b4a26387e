// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/spf13/cobra"

	"github.com/countersign-dev/countersign/pkg/apis/sigstore/conversion"
	"github.com/countersign-dev/countersign/pkg/trust/kms"
	"github.com/countersign-dev/countersign/pkg/verify"
	"github.com/countersign-dev/countersign/policy/files"
)

// bundleOptions say which bundle to verify, who may have signed it, and whom to
// trust for it.
type bundleOptions struct {
	bundle string

	key, hash string
	identity  verify.IdentitySpec

	trustedRoot string
	trust       []string
	namespace   string
	staging     bool
}

// Names of the flags that the conformance suite's protocol has, and of their
// variants.
const (
	bundleFlag        = "bundle"
	keyFlag           = "key"
	identityFlag      = "certificate-identity"
	identityRegexFlag = "certificate-identity-regexp"
	issuerFlag        = "certificate-oidc-issuer"
	issuerRegexFlag   = "certificate-oidc-issuer-regexp"
	trustedRootFlag   = "trusted-root"
	trustFlag         = "trust"
)

func (o *bundleOptions) register(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&o.bundle, bundleFlag, "", "the bundle (JSON)")
	f.StringVar(&o.key, keyFlag, "", "the public key that must have signed (PEM), or the URI of a key in a key service")
	f.StringVar(&o.hash, "hash-algorithm", "", "the hash that the key signs: sha256, sha384 or sha512; by default sha256, or what fits the curve of an ECDSA key")
	f.StringVar(&o.identity.Subject, identityFlag, "", "who must have signed: the certificate's subject alternative name")
	f.StringVar(&o.identity.SubjectRegExp, identityRegexFlag, "", "the same, as a regular expression that must match all of it")
	f.StringVar(&o.identity.Issuer, issuerFlag, "", "the OIDC issuer that must have vouched for the signer")
	f.StringVar(&o.identity.IssuerRegExp, issuerRegexFlag, "", "the same, as a regular expression that must match all of it")
	f.StringVar(&o.trustedRoot, trustedRootFlag, "", "the authorities and logs to trust, as a trusted_root.json")
	f.StringArrayVar(&o.trust, trustFlag, nil, "the logs to trust for a key, as files or folders of TransparencyLogs and Secrets (repeatable)")
	f.StringVar(&o.namespace, "namespace", defaultNamespace, "countersign's own namespace, whose Secrets can be named")
	f.BoolVar(&o.staging, "staging", false, "sigstore's staging instance; its trusted root must be given with --"+trustedRootFlag)
	if err := c.MarkFlagRequired(bundleFlag); err != nil {
		panic(err) // the flag is defined above
	}
	c.MarkFlagsMutuallyExclusive(trustedRootFlag, trustFlag)
	c.MarkFlagsOneRequired(keyFlag, identityFlag, identityRegexFlag)
	for _, flag := range []string{identityFlag, identityRegexFlag, issuerFlag, issuerRegexFlag} {
		c.MarkFlagsMutuallyExclusive(keyFlag, flag)
	}
}

// verify returns the verdict on the bundle. An error is a mistake in what the
// command was given beside the bundle.
func (o *bundleOptions) verify(ctx context.Context, subject string, stdin io.Reader) (verify.Verdict, error) {
	trusted, err := o.trusted(ctx, stdin)
	if err != nil {
		return nil, err
	}
	authority, err := o.authority(ctx, trusted)
	if err != nil {
		return nil, err
	}
	bundle, err := readInput(o.bundle)
	if err != nil {
		return nil, err
	}
	artifact, done, err := openArtifact(subject)
	if err != nil {
		return nil, err
	}
	defer done()
	return authority.VerifyArtifact(ctx, artifact, verify.Bundle{JSON: bundle}), nil
}

// trusted returns whom to trust. There is no default: who names nobody trusts nobody.
func (o *bundleOptions) trusted(ctx context.Context, stdin io.Reader) (files.TrustedRoot, error) {
	switch {
	case o.trustedRoot != "":
		text, err := readInput(o.trustedRoot)
		if err != nil {
			return files.TrustedRoot{}, err
		}
		return files.ParseTrustedRoot(text)
	case o.staging:
		return files.TrustedRoot{}, errors.New("no public instance is built in, sigstore's staging neither: a trusted root is required, give its trusted_root.json with --" + trustedRootFlag)
	case len(o.trust) > 0:
		objects, err := files.Read(o.trust, stdin)
		if err != nil {
			return files.TrustedRoot{}, err
		}
		loaded := files.Load(objects, conversion.Options{Namespace: o.namespace})
		if len(loaded.Problems) > 0 {
			return files.TrustedRoot{}, loaded.Problems[0]
		}
		logs, err := loaded.OfflineLogs(ctx)
		return files.TrustedRoot{Logs: logs}, err
	default:
		return files.TrustedRoot{}, errors.New("a trusted root is required: name whom to trust with --" + trustedRootFlag + " or --" + trustFlag + "; there is no default, and no public log is asked")
	}
}

// authority is who may sign, and which logs count.
func (o *bundleOptions) authority(ctx context.Context, trusted files.TrustedRoot) (*verify.Authority, error) {
	a := &verify.Authority{Name: keyFlag, Logs: trusted.Logs}
	if trusted.Material != nil && len(trusted.Material.TimestampingAuthorities()) > 0 {
		a.TimestampRoot, a.TimestampIfPresent = trusted.Material, true
	}
	var err error
	if o.key != "" {
		a.Keys, err = o.keys(ctx)
	} else {
		a.Keyless, err = o.keyless(trusted)
	}
	if err == nil {
		err = a.Validate()
	}
	return a, err
}

func (o *bundleOptions) keys(ctx context.Context) ([]verify.Key, error) {
	if uri, err := kms.ParseURI(o.key); err == nil {
		return o.keysInService(ctx, uri)
	}
	text, err := readInput(o.key)
	if err != nil {
		return nil, err
	}
	key, err := o.parseKey(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.key, err)
	}
	return []verify.Key{key}, nil
}

// keysInService returns the versions of a key of which any may have signed.
func (o *bundleOptions) keysInService(ctx context.Context, uri kms.URI) ([]verify.Key, error) {
	services := kms.New(kms.Options{Providers: kmsProviders()})
	services.Use(ctx, []string{uri.String()})
	state := services.Lookup(uri.String())
	if errors.Is(state.Err, kms.ErrUnavailable) {
		return nil, exitError{code: exitUnavailable, err: fmt.Errorf("%v: %w", uri, state.Err)}
	}
	errs := []error{state.Err}
	var keys []verify.Key
	for _, version := range state.Versions {
		text, err := cryptoutils.MarshalPublicKeyToPEM(version.Key)
		if err == nil {
			var key verify.Key
			if key, err = o.parseKey(text); err == nil {
				keys = append(keys, key)
				continue
			}
		}
		errs = append(errs, fmt.Errorf("version %s: %w", version.Name, err))
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("%v: %w", uri, errors.Join(errs...))
	}
	return keys, nil
}

func (o *bundleOptions) parseKey(text []byte) (verify.Key, error) {
	hash := o.hash
	if hash == "" {
		hash = verify.DefaultHashAlgorithm(text)
	}
	return verify.ParseKey(text, hash)
}

func (o *bundleOptions) keyless(trusted files.TrustedRoot) (*verify.Keyless, error) {
	identity, err := verify.NewIdentity(o.identity)
	if err != nil {
		return nil, fmt.Errorf("--%s and --%s, or their -regexp variants: %w", identityFlag, issuerFlag, err)
	}
	if trusted.Material == nil {
		return nil, errors.New("--" + identityFlag + " needs a certificate authority to trust: name it with --" + trustedRootFlag)
	}
	return &verify.Keyless{Root: trusted.Material, Identities: []verify.Identity{identity}}, nil
}
