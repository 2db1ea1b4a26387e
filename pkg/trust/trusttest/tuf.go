// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package trusttest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// Repository is a TUF repository that can be served, archived, and made to
// misbehave. Its roles have one key each.
type Repository struct {
	mu        sync.Mutex
	keys      map[string]ed25519.PrivateKey
	root      *metadata.Metadata[metadata.RootType]
	targets   *metadata.Metadata[metadata.TargetsType]
	snapshot  *metadata.Metadata[metadata.SnapshotType]
	timestamp *metadata.Metadata[metadata.TimestampType]
	files     map[string][]byte
	broken    int
	asked     int
}

// NewRepository returns a repository with one target, whose roles end at the
// given time.
func NewRepository(target string, content []byte, end time.Time) *Repository {
	r := &Repository{
		keys: map[string]ed25519.PrivateKey{}, root: metadata.Root(end), targets: metadata.Targets(end),
		snapshot: metadata.Snapshot(end), timestamp: metadata.Timestamp(end), files: map[string][]byte{},
	}
	for _, role := range metadata.TOP_LEVEL_ROLE_NAMES {
		r.newKey(role)
	}
	r.writeRoot()
	r.publish(target, content)
	return r
}

// Root returns the first root.json: what one begins to trust with.
func (r *Repository) Root() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return string(r.files["1.root.json"])
}

// Publish replaces the target, and signs newer versions of everything but the root.
func (r *Repository) Publish(target string, content []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.targets.Signed.Version++
	r.snapshot.Signed.Version++
	r.timestamp.Signed.Version++
	r.publish(target, content)
}

// SetEnd signs a newer timestamp, which ends at the given time.
func (r *Repository) SetEnd(end time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.timestamp.Signed.Version++
	r.timestamp.Signed.Expires = end.UTC()
	r.files["timestamp.json"] = sign(r.timestamp, r.keys[metadata.TIMESTAMP])
}

// Rotate makes a newer root, with new keys for all roles, that the keys of the last
// one sign, and signs everything anew.
func (r *Repository) Rotate() {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.keys[metadata.ROOT]
	for _, role := range metadata.TOP_LEVEL_ROLE_NAMES {
		must(r.root.Signed.RevokeKey(r.root.Signed.Roles[role].KeyIDs[0], role))
		r.newKey(role)
	}
	r.root.Signed.Version++
	r.writeRoot(before)
	r.targets.Signed.Version++
	r.snapshot.Signed.Version++
	r.timestamp.Signed.Version++
	r.signAll()
}

// Files returns what is served.
func (r *Repository) Files() map[string][]byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.files)
}

// Show serves other files from now on.
func (r *Repository) Show(files map[string][]byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.files = files
}

// Break has every request answered with a status; 0 mends it.
func (r *Repository) Break(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.broken = status
}

// Asked is how many requests there were.
func (r *Repository) Asked() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked
}

// ServeHTTP implements http.Handler.
func (r *Repository) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked++
	content, ok := r.files[strings.TrimPrefix(request.URL.Path, "/")]
	switch {
	case r.broken != 0:
		w.WriteHeader(r.broken)
	case !ok:
		w.WriteHeader(http.StatusNotFound)
	default:
		_, _ = w.Write(content)
	}
}

// Archive returns the repository, below a folder, as tar and gzip make it.
func (r *Repository) Archive(folder string) []byte {
	files := r.Files()
	var text bytes.Buffer
	zipped := gzip.NewWriter(&text)
	archive := tar.NewWriter(zipped)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		must(archive.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: folder + name, Mode: 0o644, Size: int64(len(files[name]))}))
		_, err := archive.Write(files[name])
		must(err)
	}
	must(archive.Close())
	must(zipped.Close())
	return text.Bytes()
}

func (r *Repository) newKey(role string) {
	_, private, err := ed25519.GenerateKey(nil)
	must(err)
	r.keys[role] = private
	key, err := metadata.KeyFromPublicKey(private.Public())
	must(err)
	must(r.root.Signed.AddKey(key, role))
}

func (r *Repository) writeRoot(others ...ed25519.PrivateKey) {
	r.files[fmt.Sprintf("%d.root.json", r.root.Signed.Version)] = sign(r.root, append(others, r.keys[metadata.ROOT])...)
}

func (r *Repository) publish(target string, content []byte) {
	file, err := metadata.TargetFile().FromBytes(target, content, "sha256")
	must(err)
	r.targets.Signed.Targets[target] = file
	hash := sha256.Sum256(content)
	r.files["targets/"+hex.EncodeToString(hash[:])+"."+target] = content
	r.signAll()
}

func (r *Repository) signAll() {
	r.snapshot.Signed.Meta["targets.json"] = metadata.MetaFile(r.targets.Signed.Version)
	r.timestamp.Signed.Meta["snapshot.json"] = metadata.MetaFile(r.snapshot.Signed.Version)
	r.files[fmt.Sprintf("%d.targets.json", r.targets.Signed.Version)] = sign(r.targets, r.keys[metadata.TARGETS])
	r.files[fmt.Sprintf("%d.snapshot.json", r.snapshot.Signed.Version)] = sign(r.snapshot, r.keys[metadata.SNAPSHOT])
	r.files["timestamp.json"] = sign(r.timestamp, r.keys[metadata.TIMESTAMP])
}

func sign[T metadata.Roles](role *metadata.Metadata[T], keys ...ed25519.PrivateKey) []byte {
	role.ClearSignatures()
	for _, key := range keys {
		signer, err := signature.LoadSigner(key, crypto.Hash(0))
		must(err)
		_, err = role.Sign(signer)
		must(err)
	}
	text, err := role.ToBytes(false)
	must(err)
	return text
}
