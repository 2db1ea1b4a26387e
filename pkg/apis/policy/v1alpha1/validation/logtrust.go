// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"regexp"
	"strconv"

	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/trust"
)

// maxLogShards is how many trees a status remembers.
const maxLogShards = 33

// rootPattern is a SHA-256 hash as a status says it.
var rootPattern = regexp.MustCompile("^[0-9a-f]{64}$")

// logDemands returns what is wrong with what is asked of a log beside its key.
func logDemands(path *field.Path, spec *v1alpha1.TransparencyLogSpec) field.ErrorList {
	errs := validity(path.Child("validity"), spec.Validity)
	errs = append(errs, shards(path.Child("shards"), spec)...)
	errs = append(errs, pin(path.Child("pin"), spec.Pin)...)
	if spec.Pin != nil && spec.Type == v1alpha1.LogTypeRekorV1 && (len(spec.Shards) != 1 || spec.Shards[0].Pin != nil) {
		errs = append(errs, field.Forbidden(path.Child("pin"),
			"the pin of a rekor-v1 log is of one tree: name that one in shards, or pin each tree there"))
	}
	return append(errs, witnesses(path.Child("witnesses"), spec)...)
}

func shards(path *field.Path, spec *v1alpha1.TransparencyLogSpec) field.ErrorList {
	if len(spec.Shards) == 0 {
		return nil
	}
	if spec.Type != v1alpha1.LogTypeRekorV1 {
		return field.ErrorList{field.Forbidden(path, "only a rekor-v1 log has shards")}
	}
	var errs field.ErrorList
	if len(spec.Shards) > maxLogShards {
		errs = append(errs, field.TooMany(path, len(spec.Shards), maxLogShards))
	}
	named := sets.New[string]()
	for i, shard := range spec.Shards {
		if id, err := strconv.ParseInt(shard.TreeID, 10, 64); err != nil || id < 1 || strconv.FormatInt(id, 10) != shard.TreeID {
			errs = append(errs, field.Invalid(path.Index(i).Child("treeID"), shard.TreeID,
				"must be the decimal number after \" - \" in the first line of the tree's checkpoints"))
		}
		if named.Has(shard.TreeID) {
			errs = append(errs, field.Duplicate(path.Index(i).Child("treeID"), shard.TreeID))
		}
		named.Insert(shard.TreeID)
		errs = append(errs, pin(path.Index(i).Child("pin"), shard.Pin)...)
	}
	return errs
}

func pin(path *field.Path, p *v1alpha1.LogPin) field.ErrorList {
	if p == nil {
		return nil
	}
	var errs field.ErrorList
	if p.Size < 1 {
		errs = append(errs, field.Invalid(path.Child("size"), p.Size, "must be at least 1"))
	}
	if !rootPattern.MatchString(p.RootHash) {
		errs = append(errs, field.Invalid(path.Child("rootHash"), p.RootHash, "must be 64 lower-case hexadecimal digits"))
	}
	return errs
}

// witnesses parses the policy, and holds it against the log's key where the object holds
// that.
func witnesses(path *field.Path, spec *v1alpha1.TransparencyLogSpec) field.ErrorList {
	if spec.Witnesses == "" {
		return nil
	}
	parsed, err := tlog.ParseWitnessPolicy(spec.Witnesses)
	if err != nil {
		return field.ErrorList{field.Invalid(path, field.OmitValueType{}, err.Error())}
	}
	key, err := trust.ParseLogKey([]byte(spec.PublicKey.Data))
	if err != nil {
		return nil // it is elsewhere, or is what is wrong
	}
	if err := parsed.CheckLog(key); err != nil {
		return field.ErrorList{field.Invalid(path, field.OmitValueType{}, err.Error())}
	}
	return nil
}
