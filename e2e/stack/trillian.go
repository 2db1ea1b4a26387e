// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Trillian is the Merkle tree store under Rekor v1.
type Trillian struct {
	Server *Process
	Signer *Process

	port int // gRPC of the log server
}

func (s *Stack) startTrillian(ctx context.Context) (*Trillian, error) {
	pg, err := s.startPostgres(ctx)
	if err != nil {
		return nil, err
	}
	s.Postgres = pg
	schema, err := s.moduleFile(ctx, "github.com/google/trillian", "storage/postgresql/schema/storage.sql")
	if err != nil {
		return nil, err
	}
	if err := s.createDatabase(ctx, pg, "trillian", schema); err != nil {
		return nil, err
	}
	return s.startTrillianOn(ctx, "trillian", pg.storage("trillian"))
}

// StartTrillian starts a Trillian on a database of a MariaDB. The name names its logs.
func (s *Stack) StartTrillian(ctx context.Context, name string, m *MariaDB, database string) (*Trillian, error) {
	return s.startTrillianOn(ctx, name, m.storage(database))
}

func (s *Stack) startTrillianOn(ctx context.Context, name string, storage []string) (t *Trillian, err error) {
	t = &Trillian{}
	if t.Server, t.port, err = s.startTrillianServer(ctx, name, "trillian_log_server", storage); err != nil {
		return nil, err
	}
	t.Signer, _, err = s.startTrillianServer(ctx, name, "trillian_log_signer", storage,
		"--force_master", "--sequencer_interval=50ms", "--sequencer_guard_window=0")
	return t, err
}

// Stop ends both of its programs.
func (t *Trillian) Stop() {
	t.Signer.Stop()
	t.Server.Stop()
}

// startTrillianServer starts one of Trillian's programs and returns its gRPC port.
func (s *Stack) startTrillianServer(ctx context.Context, name, program string, storage []string, args ...string) (*Process, int, error) {
	rpc, err := s.ports.next()
	if err != nil {
		return nil, 0, err
	}
	web, err := s.ports.next()
	if err != nil {
		return nil, 0, err
	}
	p, err := s.start(ctx, command{
		name:  name + strings.TrimPrefix(program, "trillian"),
		path:  s.run.tool(program),
		args:  slices.Concat(storage, []string{"--rpc_endpoint=" + loopback(rpc), "--http_endpoint=" + loopback(web)}, args),
		ready: httpReady(http.DefaultClient, loopbackURL(web)+"/healthz"),
	})
	return p, rpc, err
}

// createTree makes a new, empty tree and returns its decimal ID.
func (s *Stack) createTree(ctx context.Context, t *Trillian) (string, error) {
	result, err := s.runWith(ctx, nil, s.run.environ(), "createtree",
		"--admin_server="+loopback(t.port), "--rpc_deadline=30s")
	if err != nil {
		return "", err
	}
	id := strings.TrimSpace(result.Stdout)
	if _, err := strconv.ParseInt(id, 10, 64); err != nil || result.Code != 0 {
		return "", fmt.Errorf("createtree: exit status %d: %s%s", result.Code, result.Stdout, result.Stderr)
	}
	return id, nil
}

// moduleFile is the path of a file in a module that tools/stack pins.
func (s *Stack) moduleFile(ctx context.Context, module, file string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", module)
	cmd.Dir = filepath.Join(s.root, "tools", "stack")
	cmd.Env = append(os.Environ(), "GOWORK=off")
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("find module %s: %w", module, err)
	}
	var found struct {
		Dir string `json:"Dir"`
	}
	if err := json.Unmarshal(out, &found); err != nil {
		return "", fmt.Errorf("find module %s: %w", module, err)
	}
	return filepath.Join(found.Dir, filepath.FromSlash(file)), nil
}
