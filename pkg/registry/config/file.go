// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/countersign-dev/countersign/pkg/registry"
)

// maxFile bounds the file, and each of those that it names.
const maxFile = 1 << 20

// File is the configuration of registries on disk. It is used by one goroutine.
type File struct {
	path string
	// state tells one content, of all files together, from another.
	state [sha256.Size]byte
}

// Open returns the file at path, and what it says now.
func Open(path string) (*File, registry.Hosts, error) {
	f := &File{path: path}
	hosts, state, err := f.load()
	f.state = state
	return f, hosts, err
}

// Follow reads the file, and those that it names, as often as every says until ctx
// ends, and calls changed when they hold something else than before: with what they
// say, or with why that cannot be used.
func (f *File) Follow(ctx context.Context, every time.Duration, changed func(registry.Hosts, error)) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		hosts, state, err := f.load()
		if state == f.state {
			continue
		}
		f.state = state
		changed(hosts, err)
	}
}

// load reads everything, and takes the digest of it: also of what cannot be used,
// or read, so that the same mistake is not told again.
func (f *File) load() (registry.Hosts, [sha256.Size]byte, error) {
	r := reader{folder: filepath.Dir(f.path), digest: sha256.New()}
	hosts, err := r.hosts(filepath.Base(f.path))
	if err != nil {
		err = fmt.Errorf("%s: %w", f.path, err)
	}
	return hosts, [sha256.Size]byte(r.digest.Sum(nil)), err
}

// reader reads files by names relative to a folder.
type reader struct {
	folder string
	digest hash.Hash
}

func (r *reader) hosts(name string) (registry.Hosts, error) {
	text, err := r.read(name)
	if err != nil {
		return nil, err
	}
	parsed, err := parse(text)
	if err != nil {
		return nil, err
	}
	return compile(parsed, r.read)
}

func (r *reader) read(name string) ([]byte, error) {
	if !filepath.IsAbs(name) {
		name = filepath.Join(r.folder, name)
	}
	content, err := readFile(name)
	fmt.Fprintf(r.digest, "%q %d %v\n", name, len(content), err)
	r.digest.Write(content)
	return content, err
}

func readFile(name string) ([]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(content) > maxFile {
		return nil, fmt.Errorf("is larger than %d bytes", maxFile)
	}
	return content, nil
}
