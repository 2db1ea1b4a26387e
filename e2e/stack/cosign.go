// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// KeyPair is a cosign key pair, encrypted under Password.
type KeyPair struct {
	Private   string // path
	Public    string // path
	PublicPEM []byte
}

// GenerateKey makes a P-256 key pair with cosign. The name is that of its files.
func (s *Stack) GenerateKey(ctx context.Context, name string) (KeyPair, error) {
	dir := s.run.file("keys")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return KeyPair{}, err
	}
	prefix := filepath.Join(dir, name)
	env := append(s.run.environ(), "COSIGN_PASSWORD="+Password)
	result, err := s.runWith(ctx, nil, env, "cosign-v2", "generate-key-pair", "--output-key-prefix", prefix)
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

// Log is a transparency log that cosign can write to: *Rekor or *RekorTiles.
type Log interface {
	signingLog() signingLog
}

// signingLog is what cosign is told about a log.
type signingLog struct {
	url       string // where to write
	hostname  string // the origin
	publicKey string // path
	version   int    // of the API
}

func (r *Rekor) signingLog() signingLog {
	return signingLog{url: r.URL, hostname: r.Hostname, publicKey: r.PublicKeyFile, version: 1}
}

func (r *RekorTiles) signingLog() signingLog {
	return signingLog{url: r.URL, hostname: r.Hostname, publicKey: r.PublicKeyFile, version: 2}
}

// SignOptions say how to sign. The zero value is cosign v2's default: a legacy
// signature with the stack's key, uploaded to the stack's Rekor v1.
type SignOptions struct {
	Cosign      Cosign            // default CosignV2
	Format      Format            // default Legacy
	Key         KeyPair           // default Stack.Key
	Log         Log               // default Stack.Rekor
	NoUpload    bool              // sign, and leave no trace in any log
	Annotations map[string]string // claims to sign (cosign -a)
}

// Sign signs an image, by digest or by tag, with a cosign program.
func (s *Stack) Sign(ctx context.Context, image string, o SignOptions) error {
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
	log := o.Log.signingLog()
	args := []string{"sign", "--yes", "--key", o.Key.Private, "--allow-http-registry"}
	for key, value := range o.Annotations {
		args = append(args, "-a", key+"="+value)
	}
	where, err := s.whereToLog(ctx, o, log)
	if err != nil {
		return err
	}
	args = append(append(args, where...), image)
	env := append(s.run.environ(), "COSIGN_PASSWORD="+Password, "SIGSTORE_REKOR_PUBLIC_KEY="+log.publicKey)
	result, err := s.runWith(ctx, nil, env, string(o.Cosign), args...)
	if err != nil {
		return err
	}
	return result.Err()
}

// whereToLog is the part of cosign's command line about format and log.
func (s *Stack) whereToLog(ctx context.Context, o SignOptions, log signingLog) ([]string, error) {
	if o.Cosign == CosignV3 && o.Format == Bundle {
		dir, err := os.MkdirTemp(s.run.file("tmp"), "signing-")
		if err != nil {
			return nil, err
		}
		config, root, err := s.signingFiles(ctx, log, o.NoUpload, dir)
		return []string{"--signing-config", config, "--trusted-root", root}, err
	}
	args := []string{
		"--use-signing-config=false",
		fmt.Sprintf("--new-bundle-format=%t", o.Format == Bundle),
		fmt.Sprintf("--tlog-upload=%t", !o.NoUpload),
	}
	if !o.NoUpload {
		args = append(args, "--rekor-url", log.url)
	}
	return args, nil
}

// signingFiles makes the signing config and the trusted root that cosign v3 wants.
func (s *Stack) signingFiles(ctx context.Context, log signingLog, noUpload bool, dir string) (config, root string, err error) {
	config, root = filepath.Join(dir, "signing-config.json"), filepath.Join(dir, "trusted-root.json")
	const since = "start-time=2024-01-01T00:00:00Z"
	// sigstore-go takes a v2 log's origin from the host of its URL in the trusted root.
	rootURL := log.url
	if log.version == 2 {
		rootURL = "http://" + log.hostname
	}
	signing := []string{"signing-config", "create", "--out", config}
	if !noUpload {
		signing = append(signing, "--rekor-config=ANY",
			fmt.Sprintf("--rekor=url=%s,api-version=%d,%s,operator=stack", log.url, log.version, since))
	}
	trusted := []string{"trusted-root", "create", "--out", root,
		fmt.Sprintf("--rekor=url=%s,public-key=%s,%s,origin=%s", rootURL, log.publicKey, since, log.hostname)}
	for _, args := range [][]string{signing, trusted} {
		result, err := s.runWith(ctx, nil, s.run.environ(), string(CosignV3), args...)
		if err == nil {
			err = result.Err()
		}
		if err != nil {
			return "", "", fmt.Errorf("%s: %w", strings.Join(args[:2], " "), err)
		}
	}
	return config, root, nil
}
