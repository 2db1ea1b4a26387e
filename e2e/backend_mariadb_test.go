// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"testing"

	"github.com/countersign-dev/countersign/e2e/stack"
)

// mariaLog is a log as a team runs it: three rekor-servers on one Trillian, which keeps
// the tree in a MariaDB.
type mariaLog struct {
	db       *stack.MariaDB
	trillian *stack.Trillian
	replicas [3]*stack.Rekor
}

// TestALogOnMariaDB: scenarios that share such a log. Those that break it come first, one
// after the other; then, side by side, those that only add to it and ask it, or break what
// is their own. It takes the longest of all: its file is one of the first, since scenarios
// begin in that order, and what would wait for its turn behind all others comes last.
func TestALogOnMariaDB(t *testing.T) {
	t.Parallel()
	l := startMariaLog(t)
	t.Run("Trillian is killed under load", func(t *testing.T) { trillianIsKilled(t, l) })
	t.Run("the database is killed under load", func(t *testing.T) { databaseIsKilled(t, l) })
	t.Run("side by side", func(t *testing.T) {
		for what, scenario := range map[string]func(*testing.T, *mariaLog){
			"nginx that wants a password":               behindAPassword,
			"nginx with a private authority":            behindAPrivateAuthority,
			"nginx that wants a certificate":            behindClientCertificates,
			"nginx that limits and says for how long":   behindARateLimit(true),
			"nginx that limits and says nothing":        behindARateLimit(false),
			"nginx that redirects to another host":      behindARedirect,
			"nginx whose log is gone":                   behindAGatewayWithoutALog,
			"nothing, and one of its addresses is down": withAReplicaThatIsDown,
			"it is restored from a backup":              restored,
			"onUnavailable in its three forms":          outageRules,
		} {
			t.Run(what, func(t *testing.T) {
				t.Parallel()
				scenario(t, l)
			})
		}
	})
}

func startMariaLog(t *testing.T) *mariaLog {
	t.Helper()
	l := &mariaLog{}
	var err error
	if l.db, err = S(t).StartMariaDB(t.Context(), "mariadb"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.db.Stop)
	if err := l.db.Create(t.Context(), "trillian"); err != nil {
		t.Fatal(err)
	}
	if l.trillian, err = S(t).StartTrillian(t.Context(), "trillian-mariadb", l.db, "trillian"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.trillian.Stop)
	for i, name := range []string{"rekor-a", "rekor-b", "rekor-c"} {
		o := stack.RekorOptions{Trillian: l.trillian, ReplicaOf: l.replicas[0]}
		if l.replicas[i], err = S(t).StartRekorWith(t.Context(), name, o); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(l.replicas[i].Stop)
	}
	return l
}

// hosts are the addresses of its replicas.
func (l *mariaLog) hosts() []string {
	return []string{l.replicas[0].Host(), l.replicas[1].Host(), l.replicas[2].Host()}
}

// signed pushes an image and signs it into the log.
func (l *mariaLog) signed(t *testing.T, o stack.SignOptions) stack.Image {
	t.Helper()
	image := pushImage(t, S(t).Registry)
	o.Log = l.replicas[0]
	sign(t, image, o)
	return image
}

// covered is signed, and a policy for the image that asks log.
func (l *mariaLog) covered(t *testing.T, log string, o stack.SignOptions) stack.Image {
	t.Helper()
	image := l.signed(t, o)
	newPolicy(t, image.Registry+"/"+image.Repository, S(t).Key, log)
	return image
}
