// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"strings"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
)

const (
	// maxMirrorBytes and maxMirrorFiles bound a repository that is unpacked.
	maxMirrorBytes = 16 << 20
	maxMirrorFiles = 4096
	// embedded is the base URL of a repository that nobody serves.
	embedded = "https://repository.invalid/"
)

// remoteSource is a TUF repository behind a mirror.
func (r *Roots) remoteSource(from *v1alpha1.RemoteRepository) (rootSource, error) {
	text, err := ParseTUFRoot(from.Root)
	if err != nil {
		return nil, fmt.Errorf("root: %w", err)
	}
	files, err := under(from.Mirror, orDefault(from.Targets, v1alpha1.DefaultTargets))
	if err != nil {
		return nil, fmt.Errorf("mirror: %w", err)
	}
	return &tufSource{
		root: text, metadata: from.Mirror, files: files, target: orDefault(from.TrustedRootTarget, v1alpha1.DefaultTrustedRootTarget),
		remote: true, now: r.now, fetch: r.download,
		// Two refreshes that brought nothing newer: nobody signs it any more.
		onlineWindow: 2 * from.Interval(),
	}, nil
}

// embeddedSource is a TUF repository in the object itself.
func (r *Roots) embeddedSource(from *v1alpha1.EmbeddedRepository) (rootSource, error) {
	text, err := ParseTUFRoot(from.Root)
	if err != nil {
		return nil, fmt.Errorf("root: %w", err)
	}
	contents, err := UnpackRepository(from.MirrorFS)
	if err != nil {
		return nil, fmt.Errorf("mirrorFS: %w", err)
	}
	files, err := under(embedded, orDefault(from.Targets, v1alpha1.DefaultTargets))
	if err != nil {
		return nil, fmt.Errorf("targets: %w", err)
	}
	return &tufSource{
		root: text, metadata: embedded, files: files, target: orDefault(from.TrustedRootTarget, v1alpha1.DefaultTrustedRootTarget),
		now: r.now, onlineWindow: soon,
		fetch: func(_ context.Context, url string, limit int64) ([]byte, error) {
			content, ok := contents[strings.TrimPrefix(url, embedded)]
			if !ok {
				return nil, &metadata.ErrDownloadHTTP{StatusCode: http.StatusNotFound, URL: url}
			}
			if int64(len(content)) > limit {
				return nil, fmt.Errorf("%s is longer than %d bytes", url, limit)
			}
			return content, nil
		},
	}, nil
}

func orDefault(text, value string) string {
	if text == "" {
		return value
	}
	return text
}

// download gets one file of a mirror. Everything in it is signed, or hashed by what
// is: only its length and its time are to be feared.
func (r *Roots) download(ctx context.Context, url string, limit int64) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	request.Header.Set("User-Agent", "countersign")
	response, err := r.http.Do(request)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMirrorUnavailable, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, &metadata.ErrDownloadHTTP{StatusCode: response.StatusCode, URL: url}
	}
	content, err := io.ReadAll(io.LimitReader(response.Body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMirrorUnavailable, err)
	}
	if int64(len(content)) > limit {
		return nil, fmt.Errorf("%s is longer than %d bytes", url, limit)
	}
	return content, nil
}

// UnpackRepository returns the files of a TUF repository by their path below the
// folder that its metadata is in, which need not be the top of the archive.
func UnpackRepository(archive []byte) (map[string][]byte, error) {
	unzipped, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		return nil, errors.New("not compressed by gzip")
	}
	all, err := untar(io.LimitReader(unzipped, maxMirrorBytes+1))
	if err != nil {
		return nil, err
	}
	top, found := "", 0
	for name := range all {
		if path.Base(name) == "timestamp.json" {
			top, found = path.Dir(name), found+1
		}
	}
	if found != 1 {
		return nil, fmt.Errorf("it holds %d files timestamp.json, not one", found)
	}
	contents := map[string][]byte{}
	for name, content := range all {
		if below, ok := strings.CutPrefix(name, top+"/"); ok {
			contents[below] = content
		} else if top == "." {
			contents[name] = content
		}
	}
	return contents, nil
}

func untar(archive io.Reader) (map[string][]byte, error) {
	files := map[string][]byte{}
	total := int64(0)
	for reader := tar.NewReader(archive); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, errors.New("not a tar file, or one that is cut short")
		}
		if header.Typeflag != tar.TypeReg {
			continue
		}
		total += header.Size
		if len(files) == maxMirrorFiles || total > maxMirrorBytes {
			return nil, fmt.Errorf("it holds more than %d files or %d bytes", maxMirrorFiles, maxMirrorBytes)
		}
		content, err := io.ReadAll(reader)
		if err != nil {
			return nil, errors.New("a tar file that is cut short")
		}
		files[path.Clean(strings.TrimPrefix(header.Name, "/"))] = content
	}
}
