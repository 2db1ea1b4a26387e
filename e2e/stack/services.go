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

// Log is a transparency log of the stack: *Rekor or *RekorTiles.
type Log interface {
	known() knownLog
}

// knownLog is what cosign and Countersign are told about a log.
type knownLog struct {
	url       string // where to write
	readURL   string // where to read
	hostname  string // the origin
	publicKey string // path
	pem       []byte // its content
	version   int    // of the API
}

func (r *Rekor) known() knownLog {
	return knownLog{url: r.URL, readURL: r.URL, hostname: r.Hostname, publicKey: r.PublicKeyFile, pem: r.PublicKey, version: 1}
}

func (r *RekorTiles) known() knownLog {
	return knownLog{url: r.URL, readURL: r.ReadURL, hostname: r.Hostname, publicKey: r.PublicKeyFile, pem: r.PublicKey, version: 2}
}

// Services are what a signature is made with. A nil one is not used.
type Services struct {
	Log    Log
	Fulcio *Fulcio
	TSA    *TSA
}

// since is from when on services are trusted, as cosign's commands take it.
const since = "start-time=2024-01-01T00:00:00Z"

// TrustedRoot is the trusted_root.json that says to trust these services and no
// others, made by cosign v3.
func (s *Stack) TrustedRoot(ctx context.Context, services Services) (string, error) {
	dir, err := os.MkdirTemp(s.run.file("tmp"), "trusted-root-")
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, "trusted-root.json")
	if err := s.createTrustedRoot(ctx, services, file); err != nil {
		return "", err
	}
	content, err := os.ReadFile(file)
	return string(content), err
}

func (s *Stack) createTrustedRoot(ctx context.Context, services Services, out string) error {
	args := []string{"trusted-root", "create", "--out", out}
	if services.Log != nil {
		log := services.Log.known()
		// sigstore-go takes a v2 log's origin from the host of its URL in the trusted root.
		url := log.url
		if log.version == 2 {
			url = "http://" + log.hostname
		}
		args = append(args, fmt.Sprintf("--rekor=url=%s,public-key=%s,%s,origin=%s", url, log.publicKey, since, log.hostname))
	}
	if fulcio := services.Fulcio; fulcio != nil {
		args = append(args,
			fmt.Sprintf("--fulcio=url=%s,certificate-chain=%s,%s", fulcio.URL, fulcio.CA.File, since),
			fmt.Sprintf("--ctfe=url=%s,public-key=%s,%s", fulcio.CTLog.URL, fulcio.CTLog.PublicKeyFile, since))
	}
	if tsa := services.TSA; tsa != nil {
		args = append(args, fmt.Sprintf("--tsa=url=%s,certificate-chain=%s,%s", tsa.URL, tsa.ChainFile, since))
	}
	return s.cosignFile(ctx, args)
}

func (s *Stack) createSigningConfig(ctx context.Context, services Services, out string) error {
	args := []string{"signing-config", "create", "--out", out}
	if services.Log != nil {
		log := services.Log.known()
		args = append(args, "--rekor-config=ANY",
			fmt.Sprintf("--rekor=url=%s,api-version=%d,%s,operator=stack", log.url, log.version, since))
	}
	if services.Fulcio != nil {
		args = append(args, fmt.Sprintf("--fulcio=url=%s,api-version=1,%s,operator=stack", services.Fulcio.URL, since))
	}
	if services.TSA != nil {
		args = append(args, "--tsa-config=ANY",
			fmt.Sprintf("--tsa=url=%s,api-version=1,%s,operator=stack", services.TSA.URL, since))
	}
	return s.cosignFile(ctx, args)
}

// signingFiles makes the signing config and the trusted root that cosign v3 wants.
func (s *Stack) signingFiles(ctx context.Context, services Services, noUpload bool, dir string) (config, root string, err error) {
	config, root = filepath.Join(dir, "signing-config.json"), filepath.Join(dir, "trusted-root.json")
	if err := s.createTrustedRoot(ctx, services, root); err != nil {
		return "", "", err
	}
	if noUpload {
		services.Log = nil
	}
	return config, root, s.createSigningConfig(ctx, services, config)
}

// cosignFile runs a command of cosign v3 that makes a file.
func (s *Stack) cosignFile(ctx context.Context, args []string) error {
	result, err := s.runWith(ctx, nil, s.run.environ(), string(CosignV3), args...)
	if err == nil {
		err = result.Err()
	}
	if err != nil {
		return fmt.Errorf("%s: %w", strings.Join(args[:2], " "), err)
	}
	return nil
}
