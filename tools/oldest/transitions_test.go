// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package oldest

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"
)

const (
	rootA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	rootB = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

// TestWhatIsStoredOfALogGoesBackByAResetAlone asks the rules of the schema, which the API
// server applies to whoever writes the status, countersign itself included.
func TestWhatIsStoredOfALogGoesBackByAResetAlone(t *testing.T) {
	checkpoint := func(origin string, size int64, root string) map[string]any {
		return map[string]any{"origin": origin, "size": size, "rootHash": root, "note": "note", "verifiedAt": "2026-01-01T00:00:00Z"}
	}
	shards := func(all ...map[string]any) []any {
		var list []any
		for _, shard := range all {
			list = append(list, shard)
		}
		return list
	}
	evidence := func(at string) map[string]any {
		return map[string]any{"notes": []any{"a", "b"}, "foundAt": at}
	}
	pin := func(size int64, root string) map[string]any { return map[string]any{"size": size, "rootHash": root} }
	reset := func(stored, accepted map[string]any) map[string]any {
		return map[string]any{"origin": "t", "stored": stored, "accepted": accepted, "requestedBy": "alice", "reason": "backup"}
	}
	record := func(at string, reset map[string]any) map[string]any {
		return map[string]any{"reset": reset, "at": at, "note": "note"}
	}
	putAway := func(size int64) []any { return []any{map[string]any{"origin": "t", "size": size}} }
	with := func(record map[string]any, field string, value any) map[string]any {
		record[field] = value
		return record
	}
	asked := reset(pin(9, rootA), pin(7, rootB))
	type fields = map[string]any
	const early, late = "2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"
	for name, tc := range map[string]struct {
		spec        fields // before and after
		before, now fields // status
		refused     bool
	}{
		"nothing is seen yet":                                    {nil, nil, fields{"checkpoint": checkpoint("t", 9, rootA)}, false},
		"it grows":                                               {nil, fields{"checkpoint": checkpoint("t", 9, rootA)}, fields{"checkpoint": checkpoint("t", 10, rootB)}, false},
		"it stays":                                               {nil, fields{"checkpoint": checkpoint("t", 9, rootA)}, fields{"checkpoint": checkpoint("t", 9, rootA)}, false},
		"it shrinks":                                             {nil, fields{"checkpoint": checkpoint("t", 9, rootA)}, fields{"checkpoint": checkpoint("t", 8, rootA)}, true},
		"it has another root":                                    {nil, fields{"checkpoint": checkpoint("t", 9, rootA)}, fields{"checkpoint": checkpoint("t", 9, rootB)}, true},
		"it is gone":                                             {nil, fields{"checkpoint": checkpoint("t", 9, rootA)}, fields{"conditions": []any{}}, true},
		"all of the status is gone":                              {nil, fields{"checkpoint": checkpoint("t", 9, rootA)}, nil, true},
		"another tree takes its place":                           {nil, fields{"checkpoint": checkpoint("t", 9, rootA)}, fields{"checkpoint": checkpoint("u", 99, rootA)}, true},
		"another tree takes its place beside it":                 {nil, fields{"checkpoint": checkpoint("t", 9, rootA)}, fields{"checkpoint": checkpoint("u", 1, rootB), "shards": shards(checkpoint("t", 9, rootA))}, false},
		"a shard becomes active":                                 {nil, fields{"checkpoint": checkpoint("t", 9, rootA), "shards": shards(checkpoint("u", 3, rootA))}, fields{"checkpoint": checkpoint("u", 4, rootB), "shards": shards(checkpoint("t", 9, rootA))}, false},
		"a shard shrinks":                                        {nil, fields{"checkpoint": checkpoint("t", 9, rootA), "shards": shards(checkpoint("u", 3, rootA))}, fields{"checkpoint": checkpoint("t", 9, rootA), "shards": shards(checkpoint("u", 2, rootA))}, true},
		"a shard is gone":                                        {nil, fields{"checkpoint": checkpoint("t", 9, rootA), "shards": shards(checkpoint("u", 3, rootA))}, fields{"checkpoint": checkpoint("t", 9, rootA)}, true},
		"evidence is found":                                      {nil, fields{"checkpoint": checkpoint("t", 9, rootA)}, fields{"checkpoint": checkpoint("t", 9, rootA), "inconsistency": evidence(early)}, false},
		"evidence is taken away by hand":                         {nil, fields{"checkpoint": checkpoint("t", 9, rootA), "inconsistency": evidence(early)}, fields{"checkpoint": checkpoint("t", 9, rootA)}, true},
		"evidence is replaced":                                   {nil, fields{"checkpoint": checkpoint("t", 9, rootA), "inconsistency": evidence(early)}, fields{"checkpoint": checkpoint("t", 9, rootA), "inconsistency": evidence(late)}, true},
		"a reset that the spec asks for":                         {fields{"reset": asked}, fields{"checkpoint": checkpoint("t", 9, rootA), "inconsistency": evidence(early)}, fields{"checkpoint": checkpoint("t", 7, rootB), "lastReset": record(late, asked)}, false},
		"a reset that the spec does not ask for":                 {nil, fields{"checkpoint": checkpoint("t", 9, rootA), "inconsistency": evidence(early)}, fields{"checkpoint": checkpoint("t", 7, rootB), "lastReset": record(late, asked)}, true},
		"a reset that is another than the spec's":                {fields{"reset": asked}, fields{"checkpoint": checkpoint("t", 9, rootA), "inconsistency": evidence(early)}, fields{"checkpoint": checkpoint("t", 7, rootB), "lastReset": record(late, reset(pin(9, rootA), pin(6, rootB)))}, true},
		"a reset without a record":                               {fields{"reset": asked}, fields{"checkpoint": checkpoint("t", 9, rootA), "inconsistency": evidence(early)}, fields{"checkpoint": checkpoint("t", 7, rootB)}, true},
		"a reset that was carried out does nothing":              {fields{"reset": asked}, fields{"checkpoint": checkpoint("t", 9, rootA), "inconsistency": evidence(late), "lastReset": record(early, asked)}, fields{"checkpoint": checkpoint("t", 7, rootB), "lastReset": record(early, asked)}, true},
		"a reset of a tree leaves the others alone":              {fields{"reset": asked}, fields{"checkpoint": checkpoint("u", 2, rootA), "shards": shards(checkpoint("t", 9, rootA))}, fields{"checkpoint": checkpoint("u", 1, rootA), "shards": shards(checkpoint("t", 7, rootB)), "lastReset": record(late, asked)}, true},
		"a record of a reset that nobody asked for":              {nil, fields{"checkpoint": checkpoint("t", 9, rootA)}, fields{"checkpoint": checkpoint("t", 9, rootA), "lastReset": record(late, asked)}, true},
		"a record that stays when the reset is out of the spec":  {nil, fields{"checkpoint": checkpoint("t", 7, rootB), "lastReset": record(early, asked)}, fields{"checkpoint": checkpoint("t", 8, rootB), "lastReset": record(early, asked)}, false},
		"a record of more than was given up":                     {fields{"reset": asked}, fields{"lastReset": record(early, asked)}, fields{"lastReset": record(early, reset(pin(99, rootA), pin(7, rootB)))}, true},
		"a record that is gone":                                  {fields{"reset": asked}, fields{"lastReset": record(early, asked)}, fields{"conditions": []any{}}, true},
		"a record to which something that was put away is added": {fields{"reset": asked}, fields{"lastReset": record(early, asked)}, fields{"lastReset": with(record(early, asked), "earlier", putAway(99))}, true},
		"a record with what was put away before it":              {fields{"reset": asked}, fields{"checkpoint": checkpoint("t", 9, rootA), "lastReset": record(early, reset(pin(8, rootA), pin(8, rootA)))}, fields{"checkpoint": checkpoint("t", 7, rootB), "lastReset": with(record(late, asked), "earlier", putAway(8))}, false},
		"a record whose evidence is another":                     {fields{"reset": asked}, fields{"lastReset": with(record(early, asked), "inconsistency", evidence(early))}, fields{"lastReset": with(record(early, asked), "inconsistency", fields{"notes": []any{"a", "c"}, "foundAt": early})}, true},
		"a record with evidence and what was put away stays":     {nil, fields{"lastReset": with(with(record(early, asked), "inconsistency", evidence(early)), "earlier", putAway(8))}, fields{"lastReset": with(with(record(early, asked), "inconsistency", evidence(early)), "earlier", putAway(8)), "conditions": []any{}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			problems := violations(t, "transparencylogs", object(tc.spec, tc.before), object(tc.spec, tc.now))
			if (len(problems) > 0) != tc.refused {
				t.Errorf("problems: %q; want some: %t", problems, tc.refused)
			}
		})
	}
}

func object(spec, status map[string]any) map[string]any {
	whole := map[string]any{"type": "rekor-v1", "urls": []any{"https://a.test"}, "origin": "a.test", "publicKey": map[string]any{"data": "key"}}
	for key, value := range spec {
		whole[key] = value
	}
	obj := map[string]any{"apiVersion": "policy.countersign.dev/v1alpha1", "kind": "TransparencyLog", "metadata": map[string]any{"name": "corp"}, "spec": whole}
	if status != nil {
		obj["status"] = status
	}
	return obj
}

// violations returns what the rules of a definition say of an update.
func violations(t *testing.T, resource string, before, now map[string]any) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "config", "crd", "bases", "policy.countersign.dev_"+resource+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var definition apiextensionsv1.CustomResourceDefinition
	if err := yaml.Unmarshal(text, &definition); err != nil {
		t.Fatal(err)
	}
	var internal apiextensions.JSONSchemaProps
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(definition.Spec.Versions[0].Schema.OpenAPIV3Schema, &internal, nil); err != nil {
		t.Fatal(err)
	}
	structural, err := structuralschema.NewStructural(&internal)
	if err != nil {
		t.Fatal(err)
	}
	errs, _ := cel.NewValidator(structural, true, celconfig.PerCallLimit).Validate(t.Context(), nil, structural, now, before, math.MaxInt64)
	var problems []string
	for _, problem := range errs {
		if strings.Contains(problem.Error(), "no such key") || strings.Contains(problem.Error(), "compilation") {
			t.Fatal(problem)
		}
		problems = append(problems, problem.Error())
	}
	return problems
}
