// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlogtest

import (
	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
)

// tree is a Merkle tree of RFC 6962. It keeps its complete subtrees by level, those of one
// leaf first, so that a fork shares what it begins with: a test has one from each entry on.
type tree struct{ levels [][][]byte }

// append adds a leaf hash.
func (t *tree) append(hash []byte) {
	for level := 0; ; level++ {
		if level == len(t.levels) {
			t.levels = append(t.levels, nil)
		}
		t.levels[level] = append(t.levels[level], hash)
		row := t.levels[level]
		if len(row)%2 == 1 {
			return
		}
		hash = rfc6962.DefaultHasher.HashChildren(row[len(row)-2], hash)
	}
}

// fork returns a tree of the first size leaves.
func (t *tree) fork(size int) *tree {
	fork := &tree{}
	for level, row := range t.levels {
		n := size >> level
		fork.levels = append(fork.levels, row[:n:n]) // what is appended goes elsewhere
	}
	return fork
}

// node is the root of a complete subtree of 2^level leaves.
func (t *tree) node(level uint, index uint64) []byte { return t.levels[level][index] }

// root is the root of the first size leaves.
func (t *tree) root(size uint64) []byte {
	if size == 0 {
		return rfc6962.DefaultHasher.EmptyRoot()
	}
	nodes := t.nodes(compact.RangeNodes(0, size, nil))
	hash := nodes[len(nodes)-1]
	for i := len(nodes) - 2; i >= 0; i-- {
		hash = rfc6962.DefaultHasher.HashChildren(nodes[i], hash)
	}
	return hash
}

func (t *tree) inclusion(index, size uint64) ([][]byte, error) {
	return t.proof(proof.Inclusion(index, size))
}

func (t *tree) consistency(first, last uint64) ([][]byte, error) {
	return t.proof(proof.Consistency(first, last))
}

func (t *tree) proof(nodes proof.Nodes, err error) ([][]byte, error) {
	if err != nil {
		return nil, err
	}
	return nodes.Rehash(t.nodes(nodes.IDs), rfc6962.DefaultHasher.HashChildren)
}

func (t *tree) nodes(ids []compact.NodeID) [][]byte {
	hashes := make([][]byte, len(ids))
	for i, id := range ids {
		hashes[i] = t.node(id.Level, id.Index)
	}
	return hashes
}
