// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
)

// Postgres is the database under Trillian. It listens on a Unix socket only.
type Postgres struct {
	*Process

	socketDir string
	programs  string // the directory of initdb, postgres and psql
}

// databaseUser owns the database cluster, and is a database user, not one of the machine.
const databaseUser = "trillian"

func (s *Stack) startPostgres(ctx context.Context) (*Postgres, error) {
	programs, err := postgresPrograms()
	if err != nil {
		return nil, err
	}
	account, err := unprivileged("postgres")
	if err != nil {
		return nil, err
	}
	// Not in the run directory: the account may be unable to enter it, and the
	// path of a Unix socket is 107 bytes at most.
	dir, err := s.run.outside("postgres")
	if err != nil {
		return nil, err
	}
	if account != nil {
		if err := os.Chown(dir, int(account.Uid), int(account.Gid)); err != nil {
			return nil, err
		}
	}
	data := filepath.Join(dir, "data")
	pg := &Postgres{socketDir: dir, programs: programs}
	if err := s.runCommand(ctx, "initdb", command{
		path: filepath.Join(programs, "initdb"),
		args: []string{"-D", data, "-U", databaseUser, "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync", "--no-instructions"},
		user: account,
	}); err != nil {
		return nil, err
	}
	pg.Process, err = s.start(ctx, command{
		name: "postgres",
		path: filepath.Join(programs, "postgres"),
		args: []string{
			"-D", data, "-k", dir,
			"-c", "listen_addresses=",
			"-c", "fsync=off",
			"-c", "full_page_writes=off",
			"-c", "synchronous_commit=off",
			"-c", "max_connections=300",
			"-c", "dynamic_shared_memory_type=mmap",
		},
		user:   account,
		ready:  s.postgresReady(pg),
		signal: syscall.SIGINT, // "fast" shutdown
	})
	return pg, err
}

// postgresReady asks PostgreSQL itself: it accepts connections before it serves any.
func (s *Stack) postgresReady(pg *Postgres) func(context.Context) error {
	return func(ctx context.Context) error {
		result, err := s.Run(ctx, nil, filepath.Join(pg.programs, "pg_isready"), "-h", pg.socketDir)
		if err != nil {
			return err
		}
		return result.Err()
	}
}

// createDatabase makes an empty database and runs a schema file in it.
func (s *Stack) createDatabase(ctx context.Context, pg *Postgres, name, schema string) error {
	psql := filepath.Join(pg.programs, "psql")
	connect := []string{"-h", pg.socketDir, "-U", databaseUser, "-v", "ON_ERROR_STOP=1", "-q", "-X"}
	create := append(slices.Clone(connect), "-d", "postgres", "-c", "CREATE DATABASE "+name)
	if err := s.runCommand(ctx, "createdb-"+name, command{path: psql, args: create}); err != nil {
		return err
	}
	fill := append(slices.Clone(connect), "-d", name, "-f", schema)
	return s.runCommand(ctx, "schema-"+name, command{path: psql, args: fill})
}

// storage are the flags of Trillian's programs for a database.
func (pg *Postgres) storage(database string) []string {
	query := url.Values{"host": {pg.socketDir}, "user": {databaseUser}, "sslmode": {"disable"}}
	return []string{
		"--storage_system=postgresql", "--quota_system=postgresql",
		"--postgresql_uri=postgresql:///" + database + "?" + query.Encode(),
	}
}

// postgresPrograms finds the newest PostgreSQL: Debian's is not in PATH.
func postgresPrograms() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil {
		return "", err
	}
	slices.SortFunc(found, func(a, b string) int { return postgresMajor(a) - postgresMajor(b) })
	if len(found) > 0 {
		return filepath.Dir(found[len(found)-1]), nil
	}
	path, err := exec.LookPath("postgres")
	if err != nil {
		return "", fmt.Errorf("PostgreSQL is not installed, see tools/system-packages.sh: %w", err)
	}
	return filepath.Dir(path), nil
}

func postgresMajor(path string) int {
	major, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
	return major
}

// unprivileged is the account to run a database as, which refuses to run as root, or
// nil to run as ourselves.
func unprivileged(name string) (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil //nolint:nilnil // nil is the answer
	}
	account, err := user.Lookup(name)
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(account.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}
