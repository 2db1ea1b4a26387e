// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
)

// TestAPolicyAcceptsNothingByWhatItSaysAndNobodyReads: objects that were stored while no
// webhook asked, or by a later version. Read without their unknown fields, each
// would pass the image.
func TestAPolicyAcceptsNothingByWhatItSaysAndNobodyReads(t *testing.T) {
	for name, tt := range map[string]struct {
		spec string
		// field is in the refusal; "" is none.
		field string
	}{
		"all of it is read":               {`{"images":[{"glob":"**"}],"authorities":[{"name":"a","static":{"action":"pass"}}]}`, ""},
		"a misspelt threshold":            {`{"images":[{"glob":"**"}],"treshold":2,"authorities":[{"name":"a","static":{"action":"pass"}}]}`, "spec.treshold"},
		"a requirement of a later time":   {`{"images":[{"glob":"**"}],"authorities":[{"name":"a","static":{"action":"pass"},"quorum":{}}]}`, "spec.authorities[0].quorum"},
		"another authority has it":        {`{"images":[{"glob":"**"}],"authorities":[{"name":"a","static":{"action":"pass"}},{"name":"b","static":{"action":"pass"},"quorum":{}}]}`, ""},
		"a threshold that is text":        {`{"images":[{"glob":"**"}],"threshold":"1","authorities":[{"name":"a","static":{"action":"pass"}}]}`, "spec.threshold"},
		"a pattern that is none":          {`{"images":[{"glob":"other.example/**"},5],"authorities":[{"name":"a","static":{"action":"pass"}}]}`, "spec.images"},
		"a field of a pattern":            {`{"images":[{"glob":"**","regex":"x"}],"authorities":[{"name":"a","static":{"action":"pass"}}]}`, "spec.images[0].regex"},
		"a requirement in another case":   {`{"images":[{"glob":"**"}],"RequireDigest":true,"authorities":[{"name":"a","static":{"action":"pass"}}]}`, "spec.RequireDigest"},
		"a mode that is not read is none": {`{"images":[{"glob":"**"}],"mode":["audit"],"authorities":[{"name":"a","static":{"action":"pass"}}]}`, "spec.mode"},
	} {
		t.Run(name, func(t *testing.T) {
			var obj v1alpha1.ClusterImagePolicy
			if err := json.Unmarshal([]byte(`{"metadata":{"name":"p"},"spec":`+tt.spec+`}`), &obj); err != nil {
				t.Fatal(err)
			}
			e := NewEvaluator(Options{Policies: NewSet(Compile(t.Context(), &obj, Trust{})), Registry: &scripted{digest: digestOf("1")}})
			denial := Denial([]Decision{e.Evaluate(t.Context(), Origin{Namespace: "shop"}, "corp.example/app:1")}, NoMatchAllow)
			if (denial != "") != (tt.field != "") || !strings.Contains(denial, tt.field) {
				t.Errorf("want a refusal about %q: %s", tt.field, denial)
			}
			if tt.field != "" && (!strings.Contains(denial, `ClusterImagePolicy "p"`) || !strings.Contains(denial, "PolicyNotReady")) {
				t.Errorf("the refusal does not name the policy: %s", denial)
			}
		})
	}
}

func TestAnImagePolicyAcceptsNothingByWhatNobodyReads(t *testing.T) {
	var obj v1alpha1.ImagePolicy
	text := `{"metadata":{"name":"p","namespace":"shop"},"spec":{"images":[{"glob":"**"}],"authorities":[{"name":"a","key":{"data":"x"},"quorum":{}}]}}`
	if err := json.Unmarshal([]byte(text), &obj); err != nil {
		t.Fatal(err)
	}
	p := CompileOwn(t.Context(), &obj, Trust{})
	for _, problem := range p.Problems() {
		if problem.Path == "spec.authorities[0].quorum" {
			return
		}
	}
	t.Errorf("problems: %v", p.Problems())
}
