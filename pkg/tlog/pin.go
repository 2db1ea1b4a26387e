// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
)

// Pin is a checkpoint that the cluster's owner knows to be of the log, and did not learn
// from it: what the log shows must be of one history with it.
type Pin struct {
	// Size is the number of entries, at least 1.
	Size uint64
	// Root is the root of the tree of that size.
	Root [32]byte
}

// Tree is one of the trees of a log: a shard of Rekor v1, or all of Rekor v2.
type Tree struct {
	// ID is the tree ID of a Rekor v1 shard, and 0 for Rekor v2.
	ID int64
	// Pin is nil where the first checkpoint is trusted on first use.
	Pin *Pin
}

// setTrees takes the trees that count.
func (l *Log) setTrees(trees []Tree) error {
	if len(trees) == 0 {
		return nil
	}
	if l.origin == "" {
		return errors.New("a log without an origin cannot have trees named")
	}
	l.trees = make(map[string]*Pin, len(trees))
	for _, tree := range trees {
		origin, err := l.originOf(tree.ID)
		if err != nil {
			return err
		}
		if _, repeated := l.trees[origin]; repeated {
			return fmt.Errorf("tree %d is named twice", tree.ID)
		}
		if tree.Pin != nil && tree.Pin.Size == 0 {
			return fmt.Errorf("tree %d is pinned at size 0, which says nothing", tree.ID)
		}
		l.trees[origin] = tree.Pin
	}
	return nil
}

// originOf is the origin of the checkpoints of a tree.
func (l *Log) originOf(treeID int64) (string, error) {
	switch {
	case l.version == RekorV2 && treeID != 0:
		return "", errors.New("a Rekor v2 log has one tree, which has no ID")
	case l.version == RekorV2:
		return l.origin, nil
	case treeID <= 0:
		return "", fmt.Errorf("%d is not a tree ID", treeID)
	default:
		return fmt.Sprintf("%s - %d", l.origin, treeID), nil
	}
}

// errUnnamedTree: the checkpoint is of a tree that does not count.
var errUnnamedTree = errors.New("is not one of the trees that the configuration")

// checkTree refuses a tree that is not among those that were named, if any were.
func (l *Log) checkTree(origin string) error {
	if _, named := l.trees[origin]; l.trees != nil && !named {
		return fmt.Errorf("%q %w of log %q names", origin, errUnnamedTree, l.name)
	}
	return nil
}

// requirePin returns nil when c is of one history with the pin of its tree, or when its
// tree has none. That the log cannot show it is ErrInconsistent and never evidence: the
// log did not sign the pin.
func (p *Prover) requirePin(ctx context.Context, c Checkpoint) error {
	pin := p.log.trees[c.origin]
	if pin == nil {
		return nil
	}
	return p.requireHistory(ctx, c, *pin, "its pin", false)
}

// requireHistory is requirePin for any checkpoint that somebody else than the log names.
// now asks the log whatever is remembered.
func (p *Prover) requireHistory(ctx context.Context, c Checkpoint, pin Pin, what string, now bool) error {
	pinned := Checkpoint{origin: c.origin, treeID: c.treeID, size: pin.Size, root: pin.Root}
	var err error
	switch {
	case c.size == pinned.size && c.root == pinned.root:
		return nil
	case c.size == pinned.size:
		err = ErrInconsistent
	case p.client == nil:
		return fmt.Errorf("%w: nothing can show that size %d of %q and %s at size %d are one history", ErrUnavailable, c.size, c.origin, what, pin.Size)
	case c.size > pinned.size:
		err = p.client.showPrefix(ctx, pinned, c, now)
	default:
		err = p.client.showPrefix(ctx, c, pinned, now)
	}
	if errors.Is(err, ErrInconsistent) {
		return fmt.Errorf("%w: the log cannot show that %v is of one history with %s, size %d root %s",
			ErrInconsistent, c, what, pin.Size, hex.EncodeToString(pin.Root[:]))
	}
	return err
}

// anchor makes sure that what the store holds of a tree is of one history with the
// tree's pin, and so is next, which is to be compared with it.
//
// What was shown once stays so as the store goes forward: what takes the place of stored
// was shown to extend it. Once stored is as large as the pin, it holds the pin, and all
// that is consistent with stored is consistent with the pin.
func (p *Prover) anchor(ctx context.Context, stored, next Checkpoint) error {
	pin := p.log.trees[stored.origin]
	if pin == nil || p.isAnchored(stored.origin) {
		return nil
	}
	epoch := p.currentEpoch()
	if err := p.requirePin(ctx, stored); err != nil {
		return err
	}
	if stored.size < pin.Size {
		// stored is a prefix of the pin, and says nothing of what follows.
		return p.requirePin(ctx, next)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if epoch == p.epoch {
		p.anchored[stored.origin] = true
	}
	return nil
}

func (p *Prover) isAnchored(origin string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.anchored[origin]
}
