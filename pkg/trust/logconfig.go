// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/tlog"
)

// LogConfig returns what the spec of a TransparencyLog says of its log. keyPEM is the
// text of its public key, which the spec may only refer to.
func LogConfig(obj *v1alpha1.TransparencyLog, keyPEM []byte) (tlog.Config, error) {
	spec := &obj.Spec
	version, err := VersionOf(spec.Type)
	if err != nil {
		return tlog.Config{}, err
	}
	key, err := ParseLogKey(keyPEM)
	if err != nil {
		return tlog.Config{}, fmt.Errorf("publicKey: %w", err)
	}
	config := tlog.Config{Name: obj.Name, Version: version, Origin: spec.Origin, Key: key, Validity: ValidityOf(spec.Validity), PutAway: putAwayOf(obj.Status.LastReset)}
	if config.Trees, err = trees(spec); err != nil {
		return tlog.Config{}, err
	}
	if spec.Witnesses != "" {
		if config.Witnesses, err = tlog.ParseWitnessPolicy(spec.Witnesses); err != nil {
			return tlog.Config{}, fmt.Errorf("witnesses: %w", err)
		}
	}
	return config, nil
}

// ValidityOf returns the validity of a log's key; nil is always.
func ValidityOf(v *v1alpha1.Validity) tlog.Validity {
	start, end := bounds(v)
	return tlog.Validity{NotBefore: start, NotAfter: end}
}

// trees returns the trees that the spec names, none where it names none.
func trees(spec *v1alpha1.TransparencyLogSpec) ([]tlog.Tree, error) {
	pin, err := pinOf(spec.Pin)
	if err != nil {
		return nil, fmt.Errorf("pin: %w", err)
	}
	if spec.Type != v1alpha1.LogTypeRekorV1 {
		if len(spec.Shards) > 0 {
			return nil, fmt.Errorf("shards: a log of type %s has none", spec.Type)
		}
		if pin == nil {
			return nil, nil
		}
		return []tlog.Tree{{Pin: pin}}, nil
	}
	if pin != nil && (len(spec.Shards) != 1 || spec.Shards[0].Pin != nil) {
		return nil, errors.New("pin: it is of one tree, and shards does not name that one")
	}
	var named []tlog.Tree
	for i, shard := range spec.Shards {
		tree := tlog.Tree{Pin: pin}
		if tree.ID, err = strconv.ParseInt(shard.TreeID, 10, 64); err != nil {
			return nil, fmt.Errorf("shards[%d].treeID: %.40q is not a tree ID", i, shard.TreeID)
		}
		if shard.Pin != nil {
			if tree.Pin, err = pinOf(shard.Pin); err != nil {
				return nil, fmt.Errorf("shards[%d].pin: %w", i, err)
			}
		}
		named = append(named, tree)
	}
	return named, nil
}

func pinOf(pin *v1alpha1.LogPin) (*tlog.Pin, error) {
	if pin == nil {
		return nil, nil //nolint:nilnil // no pin is no pin
	}
	root, err := hex.DecodeString(pin.RootHash)
	if err != nil || len(root) != 32 {
		return nil, errors.New("rootHash is not 64 hexadecimal digits")
	}
	if pin.Size < 1 {
		return nil, errors.New("size must be at least 1")
	}
	return &tlog.Pin{Size: uint64(pin.Size), Root: [32]byte(root)}, nil
}

// pinOfTree returns the pin that the spec has for the tree of an origin, or nil.
func pinOfTree(spec *v1alpha1.TransparencyLogSpec, origin string) *v1alpha1.LogPin {
	if spec.Type != v1alpha1.LogTypeRekorV1 {
		return spec.Pin
	}
	for _, shard := range spec.Shards {
		if spec.Origin+" - "+shard.TreeID != origin {
			continue
		}
		if shard.Pin != nil {
			return shard.Pin
		}
		return spec.Pin
	}
	return nil
}

// demands is the part of a spec that says what is asked of a log beside its key, in a
// form that can be compared.
func demands(spec *v1alpha1.TransparencyLogSpec) string {
	text, err := json.Marshal(v1alpha1.TransparencyLogSpec{
		Validity: spec.Validity, Shards: spec.Shards, Pin: spec.Pin, Witnesses: spec.Witnesses,
	})
	if err != nil {
		panic(err) // it came from JSON
	}
	return string(text)
}
