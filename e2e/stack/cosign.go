// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// KeyPair is a cosign key pair, encrypted under Password, or a key of Stack.Vault.
type KeyPair struct {
	Private   string // path, or the URI of a key that leaves its service never
	Public    string // path; empty for a key of a service
	PublicPEM []byte // of a service's key: the version that it signs with now
}

// GenerateKey makes a P-256 key pair with cosign. The name is that of its files.
func (s *Stack) GenerateKey(ctx context.Context, name string) (KeyPair, error) {
	dir := s.run.file("keys")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return KeyPair{}, err
	}
	prefix := filepath.Join(dir, name)
	env := append(s.run.environ(), "COSIGN_PASSWORD="+Password)
	result, err := s.runWith(ctx, nil, env, string(CosignV3), "generate-key-pair", "--output-key-prefix", prefix)
	if err == nil {
		err = result.Err()
	}
	if err != nil {
		return KeyPair{}, err
	}
	public, err := os.ReadFile(prefix + ".pub")
	return KeyPair{Private: prefix + ".key", Public: prefix + ".pub", PublicPEM: public}, err
}

// Cosign is a release of cosign that signs.
type Cosign string

// The releases that the stack has.
const (
	CosignV2 Cosign = "cosign-v2"
	CosignV3 Cosign = "cosign-v3"
)

// Format is how a signature is stored.
type Format string

// The formats: a .sig tag, or a v0.3 bundle that refers to the image.
const (
	Legacy Format = "legacy"
	Bundle Format = "bundle"
)

// SignOptions say how to sign. The zero value is cosign v2's default: a legacy
// signature with the stack's key, uploaded to the stack's Rekor v1.
type SignOptions struct {
	Cosign      Cosign            // default CosignV2
	Format      Format            // default Legacy
	Key         KeyPair           // default Stack.Key
	Identity    Identity          // if set, it signs in place of a key: with a certificate
	Fulcio      *Fulcio           // that issues the certificate; default Keyless.Fulcio
	TSA         *TSA              // that stamps the signature; default none
	Log         Log               // default Stack.Rekor
	NoUpload    bool              // sign, and leave no trace in any log
	Annotations map[string]string // claims to sign (cosign -a); not in attestations
	Repository  string            // where it is stored (COSIGN_REPOSITORY); default beside the image
	TagPrefix   string            // of the tag under which it is stored, if it is one
	Through     *SecureRegistry   // the image's registry, if that is behind TLS
}

// defaulted fills in the defaults.
func (s *Stack) defaulted(o SignOptions) SignOptions {
	if o.Cosign == "" {
		o.Cosign = CosignV2
	}
	if o.Format == "" {
		o.Format = Legacy
	}
	if o.Key.Private == "" {
		o.Key = s.Key
	}
	if o.Log == nil {
		o.Log = s.Rekor
	}
	if o.Fulcio == nil && o.Identity.Token != "" {
		o.Fulcio = s.Keyless.Fulcio
	}
	return o
}

// Sign signs an image, by digest or by tag, with a cosign program.
func (s *Stack) Sign(ctx context.Context, image string, o SignOptions) error {
	var args []string
	for key, value := range o.Annotations {
		args = append(args, "-a", key+"="+value)
	}
	return s.cosign(ctx, "sign", args, image, s.defaulted(o))
}

// Attest attaches a signed statement to an image. The type is one of cosign's
// short names or a URI; the predicate is JSON.
func (s *Stack) Attest(ctx context.Context, image, predicateType string, predicate []byte, o SignOptions) error {
	file, err := s.run.temporary("predicate", predicate)
	if err != nil {
		return err
	}
	return s.cosign(ctx, "attest", []string{"--type", predicateType, "--predicate", file}, image, s.defaulted(o))
}

// cosign runs one of cosign's commands that sign.
func (s *Stack) cosign(ctx context.Context, verb string, args []string, image string, o SignOptions) error {
	args = append([]string{verb, "--yes", "--allow-http-registry"}, args...)
	if o.Through != nil {
		args = append(args, "--registry-cacert", o.Through.CAFile)
		if o.Through.ClientCertFile != "" {
			args = append(args, "--registry-client-cert", o.Through.ClientCertFile, "--registry-client-key", o.Through.ClientKeyFile)
		}
	}
	if o.TagPrefix != "" {
		args = append(args, "--attachment-tag-prefix", o.TagPrefix)
	}
	if o.Identity.Token != "" {
		// In a file: on the command line, cosign takes a token only if it is signed with RSA.
		token, err := s.run.temporary("token", []byte(o.Identity.Token))
		if err != nil {
			return err
		}
		args = append(args, "--identity-token", token)
	} else {
		args = append(args, "--key", o.Key.Private)
	}
	services, err := s.whichServices(ctx, o)
	if err != nil {
		return err
	}
	args = append(append(args, services...), image)
	env := append(s.run.environ(), "COSIGN_PASSWORD="+Password, "SIGSTORE_REKOR_PUBLIC_KEY="+o.Log.known().publicKey)
	if s.Vault != nil {
		env = append(env, "VAULT_ADDR="+s.Vault.URL, "VAULT_TOKEN="+s.Vault.token)
	}
	if o.Repository != "" {
		env = append(env, "COSIGN_REPOSITORY="+o.Repository)
	}
	if o.Through != nil && o.Through.DockerConfig != "" {
		env = append(env, "DOCKER_CONFIG="+o.Through.DockerConfig)
	}
	if o.Fulcio != nil {
		// Otherwise cosign looks them up in the public infrastructure.
		env = append(env, "SIGSTORE_ROOT_FILE="+o.Fulcio.CA.File, "SIGSTORE_CT_LOG_PUBLIC_KEY_FILE="+o.Fulcio.CTLog.PublicKeyFile)
	}
	result, err := s.runWith(ctx, nil, env, string(o.Cosign), args...)
	if err != nil {
		return err
	}
	return result.Err()
}

// whichServices is the part of cosign's command line about format, log, Fulcio and
// timestamp authority.
func (s *Stack) whichServices(ctx context.Context, o SignOptions) ([]string, error) {
	if o.Cosign == CosignV3 && o.Format == Bundle {
		dir, err := os.MkdirTemp(s.run.file("tmp"), "signing-")
		if err != nil {
			return nil, err
		}
		config, root, err := s.signingFiles(ctx, Services{Log: o.Log, Fulcio: o.Fulcio, TSA: o.TSA}, o.NoUpload, dir)
		return []string{"--signing-config", config, "--trusted-root", root}, err
	}
	args := []string{
		"--use-signing-config=false",
		fmt.Sprintf("--new-bundle-format=%t", o.Format == Bundle),
		fmt.Sprintf("--tlog-upload=%t", !o.NoUpload),
	}
	if !o.NoUpload {
		args = append(args, "--rekor-url", o.Log.known().url)
	}
	if o.Fulcio != nil {
		args = append(args, "--fulcio-url", o.Fulcio.URL)
	}
	if o.TSA != nil {
		args = append(args, "--timestamp-server-url", o.TSA.URL)
	}
	return args, nil
}
