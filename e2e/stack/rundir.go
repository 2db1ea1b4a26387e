// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// runDir is the directory of one run: logs, keys, generated configuration. It is
// locked while its stack lives, so that a later run can tell the dead from the
// living.
type runDir struct {
	path string
	bin  string // where the tools are
	lock *os.File
}

const (
	lockName    = "lock"
	outsideName = "outside" // lists directories of the run that lie elsewhere, a line each
)

// openRunDir makes dir the directory of a new run, or fails if a living run has
// it. What a dead run left there is removed.
func openRunDir(dir, bin string) (*runDir, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	lock := tryLock(filepath.Join(dir, lockName))
	if lock == nil {
		return nil, fmt.Errorf("a running stack uses %s", dir)
	}
	r := &runDir{path: dir, bin: bin, lock: lock}
	r.removeOutside()
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		// The command that starts a stack in the background has its own log here.
		if name := entry.Name(); name != lockName && name != SupervisorLog {
			if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
				return nil, err
			}
		}
	}
	for _, sub := range []string{"log", "home", "tmp"} {
		if err := os.MkdirAll(r.file(sub), 0o755); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// NewRunDir returns a path under base for a run of its own, and removes what dead
// runs of the same name left there, except for the newest, whose logs somebody
// may want to read.
func NewRunDir(base, name string) (string, error) {
	dirs, err := filepath.Glob(filepath.Join(base, name+"-*"))
	if err != nil {
		return "", err
	}
	slices.Sort(dirs)
	for i, dir := range dirs {
		removeDead(dir, i == len(dirs)-1)
	}
	stamp := time.Now().UTC().Format("20060102-150405")
	return filepath.Join(base, fmt.Sprintf("%s-%s-%d", name, stamp, os.Getpid())), nil
}

// removeDead removes a run directory, or only what lies outside of it, unless a
// living stack uses it.
func removeDead(dir string, keepLogs bool) {
	lock := tryLock(filepath.Join(dir, lockName))
	if lock == nil {
		return
	}
	defer lock.Close()
	(&runDir{path: dir}).removeOutside()
	if !keepLogs {
		_ = os.RemoveAll(dir)
	}
}

// close unlocks the directory and removes what lies outside it. The logs stay.
func (r *runDir) close() {
	r.removeOutside()
	_ = r.lock.Close()
}

// file is a path in the run directory.
func (r *runDir) file(elem ...string) string {
	return filepath.Join(append([]string{r.path}, elem...)...)
}

// tool is the path of a pinned binary.
func (r *runDir) tool(name string) string { return filepath.Join(r.bin, name) }

// write writes a file of the run directory and returns its path. Mode 0600.
func (r *runDir) write(name string, content []byte) (string, error) {
	path := r.file(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	return path, os.WriteFile(path, content, 0o600)
}

// temporary writes a new file of the run directory and returns its path.
func (r *runDir) temporary(name string, content []byte) (string, error) {
	file, err := os.CreateTemp(r.file("tmp"), name+"-")
	if err != nil {
		return "", err
	}
	defer file.Close()
	_, err = file.Write(content)
	return file.Name(), err
}

// outside makes a temporary directory that is removed with the run, even if this
// process does not live to do it.
func (r *runDir) outside(name string) (string, error) {
	dir, err := os.MkdirTemp("", "countersign-"+name+"-")
	if err != nil {
		return "", err
	}
	list, err := os.OpenFile(r.file(outsideName), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return "", err
	}
	if _, err := fmt.Fprintln(list, dir); err != nil {
		return "", err
	}
	return dir, list.Close()
}

func (r *runDir) removeOutside() {
	list, err := os.ReadFile(r.file(outsideName))
	if err != nil {
		return
	}
	for dir := range strings.Lines(string(list)) {
		dir = strings.TrimSpace(dir)
		if strings.HasPrefix(filepath.Base(dir), "countersign-") {
			removeSharedMemory(dir)
			_ = os.RemoveAll(dir)
		}
	}
	_ = os.Remove(r.file(outsideName))
}

// environ is the environment of every child: the tools first in PATH, and neither
// the user's home nor any setting of theirs.
func (r *runDir) environ() []string {
	return []string{
		"PATH=" + r.bin + string(os.PathListSeparator) + os.Getenv("PATH"),
		"HOME=" + r.file("home"),
		"TMPDIR=" + r.file("tmp"),
		"LANG=C.UTF-8",
	}
}

// InUse reports whether a living stack has dir as its run directory.
func InUse(dir string) bool {
	lock := tryLock(filepath.Join(dir, lockName))
	if lock == nil {
		return true
	}
	_ = lock.Close()
	return false
}
