// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path"
	"slices"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
	"github.com/theupdateframework/go-tuf/v2/metadata/config"
	"github.com/theupdateframework/go-tuf/v2/metadata/trustedmetadata"
	"github.com/theupdateframework/go-tuf/v2/metadata/updater"
)

const (
	maxTUFRootBytes = 512 << 10
	// maxRootRotations bounds the chain of roots that is followed.
	maxRootRotations = 256
)

// TUFVersions are the versions of the metadata of a TUF repository.
type TUFVersions struct {
	Root, Timestamp, Snapshot, Targets int64
}

// olderThan returns the role in which v is older than before, or "".
func (v TUFVersions) olderThan(before TUFVersions) string {
	switch {
	case v.Root < before.Root:
		return metadata.ROOT
	case v.Timestamp < before.Timestamp:
		return metadata.TIMESTAMP
	case v.Snapshot < before.Snapshot:
		return metadata.SNAPSHOT
	case v.Targets < before.Targets:
		return metadata.TARGETS
	default:
		return ""
	}
}

// tufSource is a TUF repository, wherever its files are.
type tufSource struct {
	root            []byte
	metadata, files string // base URLs
	target          string
	remote          bool
	// onlineWindow is how long before its end the timestamp or the snapshot, which
	// are made anew all the time, are worth a warning.
	onlineWindow time.Duration
	now          func() time.Time
	fetch        func(ctx context.Context, url string, limit int64) ([]byte, error)
}

func (s *tufSource) isRemote() bool { return s.remote }

// read runs the client workflow of The Update Framework specification, section
// 5, from the root that is configured. Nothing is kept on disk: that nothing grows
// older is held against the versions that were seen before.
func (s *tufSource) read(ctx context.Context, seen TUFVersions) (heldRoot, error) {
	up, err := s.updater(ctx)
	if err != nil {
		return heldRoot{}, err
	}
	if err := up.Refresh(); err != nil {
		return heldRoot{}, tufError(err)
	}
	trusted := up.GetTrustedMetadataSet()
	versions := versionsOf(trusted)
	if role := versions.olderThan(seen); role != "" {
		return heldRoot{}, fmt.Errorf("%w: its %s is older than one that was seen before: %+v, then %+v", ErrRepositoryInvalid, role, seen, versions)
	}
	text, err := s.download(up, trusted.Root.Signed.ConsistentSnapshot)
	if err != nil {
		return heldRoot{}, err
	}
	parsed, err := ParseTrustedRoot(text)
	if err != nil {
		return heldRoot{}, fmt.Errorf("%w: target %q: %w", ErrRepositoryInvalid, s.target, err)
	}
	return heldRoot{trusted: parsed, tuf: versions, endings: s.endings(trusted), at: s.now()}, nil
}

func (s *tufSource) updater(ctx context.Context) (*updater.Updater, error) {
	cfg, err := config.New(s.metadata, s.root)
	if err != nil {
		return nil, err
	}
	cfg.RemoteTargetsURL = s.files
	cfg.MaxRootRotations = maxRootRotations
	cfg.RootMaxLength = maxTUFRootBytes
	cfg.DisableLocalCache = true
	// The updater looks for a timestamp on disk all the same: here is none.
	cfg.LocalMetadataDir = os.DevNull
	cfg.PrefixTargetsWithHash = false // see download
	cfg.Fetcher = fetcherFunc(func(url string, limit int64) ([]byte, error) { return s.fetch(ctx, url, limit) })
	up, err := updater.New(cfg)
	if err != nil {
		return nil, fmt.Errorf("%w: root: %w", ErrRepositoryInvalid, err)
	}
	return up, nil
}

// download returns the bytes of the target. With consistent snapshots a file's
// name begins with one of its hashes (section 6.2); which, a repository need not
// say, and the updater takes any.
func (s *tufSource) download(up *updater.Updater, consistent bool) ([]byte, error) {
	found, err := up.GetTargetInfo(s.target)
	if err != nil {
		return nil, tufError(err)
	}
	if found.Length > maxTrustedRootBytes {
		return nil, fmt.Errorf("%w: target %q is longer than %d bytes", ErrRepositoryInvalid, s.target, maxTrustedRootBytes)
	}
	names := []string{s.target}
	if consistent {
		names = nil
		for _, algorithm := range []string{"sha256", "sha512"} {
			if hash := found.Hashes[algorithm]; len(hash) > 0 {
				names = append(names, path.Join(path.Dir(s.target), hex.EncodeToString(hash)+"."+path.Base(s.target)))
			}
		}
	}
	err = fmt.Errorf("target %q has no hash that is known", s.target)
	for _, name := range names {
		file := metadata.TargetFiles{Length: found.Length, Hashes: found.Hashes, Path: name}
		var text []byte
		if _, text, err = up.DownloadTarget(&file, name, ""); err == nil {
			return text, nil
		}
	}
	return nil, tufError(err)
}

func versionsOf(trusted trustedmetadata.TrustedMetadata) TUFVersions {
	return TUFVersions{
		Root: trusted.Root.Signed.Version, Timestamp: trusted.Timestamp.Signed.Version,
		Snapshot: trusted.Snapshot.Signed.Version, Targets: trusted.Targets[metadata.TARGETS].Signed.Version,
	}
}

func (s *tufSource) endings(trusted trustedmetadata.TrustedMetadata) []Ending {
	all := []Ending{
		{At: trusted.Root.Signed.Expires, What: "TUF role root", Soon: soon},
		{At: trusted.Targets[metadata.TARGETS].Signed.Expires, What: "TUF role targets", Soon: soon},
		{At: trusted.Snapshot.Signed.Expires, What: "TUF role snapshot", Soon: s.onlineWindow},
		{At: trusted.Timestamp.Signed.Expires, What: "TUF role timestamp", Soon: s.onlineWindow},
	}
	sortEndings(all)
	return all
}

// tufError says whose fault an error is: that of the mirror that did not answer,
// of time, or of what was served.
func tufError(err error) error {
	var status *metadata.ErrDownloadHTTP
	switch {
	case errors.Is(err, &metadata.ErrExpiredMetadata{}):
		return fmt.Errorf("%w: %w", ErrExpired, err)
	case errors.Is(err, ErrMirrorUnavailable):
		return err
	case errors.As(err, &status):
		return fmt.Errorf("%w: %w", ErrMirrorUnavailable, err)
	default:
		return fmt.Errorf("%w: %w", ErrRepositoryInvalid, err)
	}
}

// fetcherFunc is the updater's way to its files.
type fetcherFunc func(url string, limit int64) ([]byte, error)

// DownloadFile implements fetcher.Fetcher.
func (f fetcherFunc) DownloadFile(url string, limit int64, _ time.Duration) ([]byte, error) {
	return f(url, limit)
}

// ParseTUFRoot returns the root.json that text is, or is base64 of, if one can
// begin to trust with it: it is signed by the keys that it names.
func ParseTUFRoot(text string) ([]byte, error) {
	if len(text) > maxTUFRootBytes {
		return nil, fmt.Errorf("longer than %d bytes", maxTUFRootBytes)
	}
	content, err := plain(text, isJSON)
	if err != nil {
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	if _, err := trustedmetadata.New(slices.Clone(content)); err != nil {
		return nil, fmt.Errorf("not a TUF root: %w", err)
	}
	return content, nil
}

// under returns the URL of a folder below base.
func under(base, folder string) (string, error) {
	joined, err := url.JoinPath(base, folder)
	if err != nil {
		return "", errors.New("not a URL")
	}
	return joined, nil
}
