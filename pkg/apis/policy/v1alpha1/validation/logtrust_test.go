// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
)

func TestWhatIsAskedOfALog(t *testing.T) {
	type spec = v1alpha1.TransparencyLogSpec
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	ownKey := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	w, itself := tlogtest.NewWitness("w.example").VerifierKey(), tlogtest.NewWitnessWithKey("rekor.example", key).VerifierKey()
	root := strings.Repeat("0f", 32)
	pinned := func(size int64, root string) *v1alpha1.LogPin { return &v1alpha1.LogPin{Size: size, RootHash: root} }
	named := func(shards ...v1alpha1.LogShard) func(*spec) { return func(s *spec) { s.Shards = shards } }
	asked := func(policy string) func(*spec) { return func(s *spec) { s.Witnesses = policy } }
	at := func(year int) *metav1.Time { return &metav1.Time{Time: time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)} }
	tests := map[string]struct {
		edit func(*spec)
		want []string
		// says is in the text of the first error.
		says string
	}{
		"a validity":                    {edit: func(s *spec) { s.Validity = &v1alpha1.Validity{NotBefore: at(2026), NotAfter: at(2027)} }},
		"a validity that ends first":    {edit: func(s *spec) { s.Validity = &v1alpha1.Validity{NotBefore: at(2027), NotAfter: at(2026)} }, want: []string{"spec.validity"}},
		"a shard":                       {edit: named(v1alpha1.LogShard{TreeID: "1193050959916656506"})},
		"shards with pins":              {edit: named(v1alpha1.LogShard{TreeID: "1", Pin: pinned(1, root)}, v1alpha1.LogShard{TreeID: "2"})},
		"the largest tree ID":           {edit: named(v1alpha1.LogShard{TreeID: "9223372036854775807"})},
		"a tree ID above that":          {edit: named(v1alpha1.LogShard{TreeID: "9223372036854775808"}), want: []string{"spec.shards[0].treeID"}},
		"tree 0":                        {edit: named(v1alpha1.LogShard{TreeID: "0"}), want: []string{"spec.shards[0].treeID"}},
		"a tree ID with a leading zero": {edit: named(v1alpha1.LogShard{TreeID: "01"}), want: []string{"spec.shards[0].treeID"}},
		"a tree ID in hexadecimal":      {edit: named(v1alpha1.LogShard{TreeID: "3aecd549481eb522"}), want: []string{"spec.shards[0].treeID"}},
		"a tree ID that is the origin":  {edit: named(v1alpha1.LogShard{TreeID: "rekor.example - 1"}), want: []string{"spec.shards[0].treeID"}},
		"no tree ID":                    {edit: named(v1alpha1.LogShard{}), want: []string{"spec.shards[0].treeID"}},
		"one tree twice":                {edit: named(v1alpha1.LogShard{TreeID: "1"}, v1alpha1.LogShard{TreeID: "1"}), want: []string{"spec.shards[1].treeID"}},
		"34 shards":                     {edit: named(manyShards(34)...), want: []string{"spec.shards"}},
		"33 shards":                     {edit: named(manyShards(33)...)},
		"a pin of size 0":               {edit: named(v1alpha1.LogShard{TreeID: "1", Pin: pinned(0, root)}), want: []string{"spec.shards[0].pin.size"}},
		"a pin of size -1":              {edit: named(v1alpha1.LogShard{TreeID: "1", Pin: pinned(-1, root)}), want: []string{"spec.shards[0].pin.size"}},
		"a pin without a root":          {edit: named(v1alpha1.LogShard{TreeID: "1", Pin: pinned(1, "")}), want: []string{"spec.shards[0].pin.rootHash"}},
		"a pin with a short root":       {edit: named(v1alpha1.LogShard{TreeID: "1", Pin: pinned(1, root[2:])}), want: []string{"spec.shards[0].pin.rootHash"}},
		"a pin with a root in capitals": {edit: named(v1alpha1.LogShard{TreeID: "1", Pin: pinned(1, strings.ToUpper(root))}), want: []string{"spec.shards[0].pin.rootHash"}},
		"a pin, and one shard":          {edit: func(s *spec) { s.Pin = pinned(5, root); s.Shards = manyShards(1) }},
		"a pin, and no shard":           {edit: func(s *spec) { s.Pin = pinned(5, root) }, want: []string{"spec.pin"}, says: "name that one in shards"},
		"a pin, and two shards":         {edit: func(s *spec) { s.Pin = pinned(5, root); s.Shards = manyShards(2) }, want: []string{"spec.pin"}},
		"a pin, and a shard with its own": {edit: func(s *spec) {
			s.Pin = pinned(5, root)
			s.Shards = []v1alpha1.LogShard{{TreeID: "1", Pin: pinned(5, root)}}
		}, want: []string{"spec.pin"}},
		"a wrong pin, and one shard":   {edit: func(s *spec) { s.Pin = pinned(0, ""); s.Shards = manyShards(1) }, want: []string{"spec.pin.size", "spec.pin.rootHash"}},
		"witnesses":                    {edit: asked("witness W " + w + "\nquorum W\n")},
		"no witness, in so many words": {edit: asked("quorum none\n")},
		"witnesses and no quorum":      {edit: asked("witness W " + w + "\n"), want: []string{"spec.witnesses"}, says: "no line says which quorum"},
		"witnesses that do not parse":  {edit: asked("# who\n\nwitness W\nquorum W\n"), want: []string{"spec.witnesses"}, says: "line 3: a witness is"},
		"CRLF":                         {edit: asked("quorum none\r\n"), want: []string{"spec.witnesses"}, says: "line 1: character 12"},
		"a space":                      {edit: asked(" "), want: []string{"spec.witnesses"}},
		"1 MiB":                        {edit: asked(strings.Repeat("#", 1<<20)), want: []string{"spec.witnesses"}, says: "longer than 131072 bytes"},
		"the log as its own witness": {
			edit: func(s *spec) { s.PublicKey.Data = ownKey; s.Witnesses = "witness W " + itself + "\nquorum W\n" },
			want: []string{"spec.witnesses"}, says: `witness "W" has the key of the log`,
		},
		"a policy for another log": {
			edit: asked("log " + tlogtest.VerifierKey("x", 0x01, public) + "\nquorum none\n"),
			want: []string{"spec.witnesses"}, says: "the policy is for 1 other logs",
		},
		"a policy for another log, as far as one can know here": {edit: func(s *spec) {
			s.PublicKey = v1alpha1.LogPublicKey{SecretRef: &v1alpha1.SecretKeyReference{Name: "a"}}
			s.Witnesses = "log " + tlogtest.VerifierKey("x", 0x01, public) + "\nquorum none\n"
		}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			log := goodLog(t)
			tc.edit(&log.Spec)
			errs := TransparencyLog(log)
			if diff := cmp.Diff(tc.want, where(t, errs, "")); diff != "" {
				t.Errorf("fields with errors (-want +got):\n%s\n%v", diff, errs)
			}
			if tc.says != "" && (len(errs) == 0 || !strings.Contains(errs[0].Detail, tc.says)) {
				t.Errorf("got %v, want %q", errs, tc.says)
			}
		})
	}
}

func manyShards(n int) []v1alpha1.LogShard {
	var shards []v1alpha1.LogShard
	for i := range n {
		shards = append(shards, v1alpha1.LogShard{TreeID: strings.Repeat("1", i%18+1) + strings.Repeat("2", i/18)})
	}
	return shards
}

// TestBoundsOfALogAreThoseOfTheSchema: what is asked of a log beside its key.
func TestBoundsOfALogAreThoseOfTheSchema(t *testing.T) {
	log := specSchema(t, "transparencylogs").Properties
	got := map[string]int64{"shards": *log["shards"].MaxItems, "witnesses": *log["witnesses"].MaxLength}
	if diff := cmp.Diff(map[string]int64{"shards": maxLogShards, "witnesses": tlog.MaxWitnessPolicyBytes}, got); diff != "" {
		t.Errorf("bounds (-here +schema):\n%s", diff)
	}
	if got := log["pin"].Properties["rootHash"].Pattern; got != rootPattern.String() {
		t.Errorf("pattern of rootHash: here %s, schema %s", rootPattern, got)
	}
}
