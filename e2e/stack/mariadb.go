// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// MariaDB is the other database that Trillian can keep trees in. A scenario that wants
// one starts it.
type MariaDB struct {
	*Process

	stack  *Stack
	dir    string
	socket string
	port   int
}

// StartMariaDB starts an empty one on a free port. The name names its files.
func (s *Stack) StartMariaDB(ctx context.Context, name string) (*MariaDB, error) {
	server, err := systemProgram("mariadbd")
	if err != nil {
		return nil, err
	}
	account, err := unprivileged("mysql")
	if err != nil {
		return nil, err
	}
	// As with PostgreSQL: the account may be unable to enter the run directory.
	dir, err := s.run.outside("mariadb")
	if err != nil {
		return nil, err
	}
	if account != nil {
		if err := os.Chown(dir, int(account.Uid), int(account.Gid)); err != nil {
			return nil, err
		}
	}
	port, err := s.ports.next()
	if err != nil {
		return nil, err
	}
	m := &MariaDB{stack: s, dir: dir, socket: filepath.Join(dir, "sock"), port: port}
	env := []string{"TMPDIR=" + dir} // that of the run may be closed to the account, too
	data := "--datadir=" + filepath.Join(dir, "data")
	if err := s.runCommand(ctx, name+"-install", command{
		path: "/usr/bin/mariadb-install-db",
		args: []string{"--no-defaults", data, "--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve"},
		env:  env,
		user: account,
	}); err != nil {
		return nil, err
	}
	m.Process, err = s.start(ctx, command{
		name: name,
		path: server,
		args: []string{
			"--no-defaults", data,
			"--bind-address=127.0.0.1", "--port=" + strconv.Itoa(port), "--socket=" + m.socket, "--pid-file=" + filepath.Join(dir, "pid"),
			"--skip-name-resolve",
			"--innodb-buffer-pool-size=32M",
			// A commit survives that the process is killed, and not that the machine is.
			"--innodb-flush-log-at-trx-commit=2",
		},
		env:   env,
		user:  account,
		ready: func(ctx context.Context) error { return m.run(ctx, "ready", "", "-e", "SELECT 1") },
	})
	return m, err
}

// Create makes a database with Trillian's empty tables.
func (m *MariaDB) Create(ctx context.Context, database string) error {
	schema, err := m.stack.moduleFile(ctx, "github.com/google/trillian", "storage/mysql/schema/storage.sql")
	if err != nil {
		return err
	}
	return m.Restore(ctx, database, schema)
}

// Dump writes all that a database holds to a file of SQL, as a backup, and returns its
// path. Trillian may go on writing meanwhile.
func (m *MariaDB) Dump(ctx context.Context, database string) (string, error) {
	result, err := m.stack.Run(ctx, nil, "/usr/bin/mariadb-dump", "--no-defaults", "--socket="+m.socket, "--user=root", "--single-transaction", database)
	if err == nil {
		err = result.Err()
	}
	if err != nil {
		return "", err
	}
	return m.stack.run.temporary("dump.sql", []byte(result.Stdout))
}

// Restore makes a database of what a file of SQL says.
func (m *MariaDB) Restore(ctx context.Context, database, file string) error {
	if err := m.run(ctx, "create-"+database, "", "-e", "CREATE DATABASE "+database); err != nil {
		return err
	}
	return m.run(ctx, "fill-"+database, database, "-e", "SOURCE "+file)
}

// run runs statements of SQL as its administrator.
func (m *MariaDB) run(ctx context.Context, what, database string, args ...string) error {
	args = append([]string{"--no-defaults", "--socket=" + m.socket, "--user=root", "--batch"}, args...)
	if database != "" {
		args = append(args, database)
	}
	result, err := m.stack.runWith(ctx, nil, m.stack.run.environ(), "/usr/bin/mariadb", args...)
	if err == nil {
		err = result.Err()
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// storage are the flags of Trillian's programs for a database.
func (m *MariaDB) storage(database string) []string {
	return []string{
		"--storage_system=mysql", "--quota_system=mysql",
		fmt.Sprintf("--mysql_uri=root@tcp(127.0.0.1:%d)/%s", m.port, database),
	}
}
