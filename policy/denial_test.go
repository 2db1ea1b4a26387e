// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/image"
	"github.com/countersign-dev/countersign/pkg/verify"
)

func TestDenialReadsAsItIsDocumented(t *testing.T) {
	image, digest := "registry.corp.example/payments/api:1.4", "sha256:9f61"+strings.Repeat("0", 56)+"c29e"
	notLogged := verify.Rejected{
		Reason: verify.NotLogged,
		Detail: `a valid signature was found, but its entry is not in log "corp" (origin rekor.corp.example, size 48213)`,
	}
	result := func(mode v1alpha1.Mode, threshold int, v verify.Verdict, a ...AuthorityResult) PolicyResult {
		return PolicyResult{Policy: ClusterPolicy("payments"), Mode: mode, Threshold: threshold, Authorities: a, Verdict: v}
	}
	for name, tt := range map[string]struct {
		decision Decision
		noMatch  NoMatch
		want     string
	}{
		"one authority": {
			decision: Decision{Image: image, Digest: digest, Policies: []PolicyResult{
				result(enforce, 1, notLogged, AuthorityResult{Name: "release-key", Verdict: notLogged}),
			}},
			want: `image registry.corp.example/payments/api:1.4 (sha256:9f61…c29e) denied by ClusterImagePolicy "payments"
  authority "release-key": NotLogged: a valid signature was found, but its entry is not in log "corp" (origin rekor.corp.example, size 48213)
  → ` + Advice(verify.NotLogged),
		},
		"two of three authorities": {
			decision: Decision{Image: image, Digest: digest, Policies: []PolicyResult{
				result(enforce, 2, notLogged, AuthorityResult{Name: "a", Verdict: verify.Verified{Evidence: verify.Evidence{Format: "bundle", Signer: "key sha256:00"}}}, AuthorityResult{Name: "b", Verdict: notLogged}),
			}},
			want: `image registry.corp.example/payments/api:1.4 (sha256:9f61…c29e) denied by ClusterImagePolicy "payments" (1 of 2 required authorities accept it)
  authority "a": accepts it: signed by key sha256:00 (bundle), in no log (insecureIgnoreTlog)
  authority "b": NotLogged: a valid signature was found, but its entry is not in log "corp" (origin rekor.corp.example, size 48213)
  → ` + Advice(verify.NotLogged),
		},
		"a digest in the reference is shown in short, once": {
			decision: Decision{Image: image + "@" + digest, Digest: digest, Pinned: true, Policies: []PolicyResult{
				result(enforce, 1, verify.Unavailable{Cause: verify.DeadlineExceeded, Detail: "late"}),
			}},
			want: `image registry.corp.example/payments/api:1.4 (sha256:9f61…c29e) denied by ClusterImagePolicy "payments"
  DeadlineExceeded: late
  → ` + Advice(verify.DeadlineExceeded),
		},
		"warn and audit policies deny nothing": {
			decision: Decision{Image: image, Policies: []PolicyResult{result(warn, 1, notLogged), result(audit, 1, notLogged)}},
		},
		"no policy, which is allowed":   {decision: Decision{Image: image}, noMatch: NoMatchAllow},
		"no policy, which is warned of": {decision: Decision{Image: image}, noMatch: NoMatchWarn},
		"no policy, which is refused": {
			decision: Decision{Image: image}, noMatch: NoMatchDeny,
			want: "image registry.corp.example/payments/api:1.4 denied\n  NoMatchingPolicy: no policy covers this image\n  → " + Advice(verify.NoMatchingPolicy),
		},
		"a setting that nobody knows refuses": {
			decision: Decision{Image: image}, noMatch: "alow",
			want: "image registry.corp.example/payments/api:1.4 denied\n  NoMatchingPolicy: no policy covers this image\n  → " + Advice(verify.NoMatchingPolicy),
		},
		"a name with control characters stays on its line": {
			decision: Decision{Image: "evil\n\x1b[2Jname\u202e", Policies: []PolicyResult{result(enforce, 1, verify.Rejected{Reason: verify.ImageNotFound, Detail: "bad"})}},
			want:     "image evil\\n\\x1b[2Jname\\u202e denied by ClusterImagePolicy \"payments\"\n  ImageNotFound: bad\n  → " + Advice(verify.ImageNotFound),
		},
	} {
		t.Run(name, func(t *testing.T) {
			noMatch := tt.noMatch
			if noMatch == "" {
				noMatch = NoMatchAllow
			}
			if diff := cmp.Diff(tt.want, Denial([]Decision{tt.decision}, noMatch)); diff != "" {
				t.Errorf("denial (-want +got):\n%s", diff)
			}
		})
	}
}

// unsigned is n decisions about unsigned images, whose names hold part.
func unsigned(n int, part string) []Decision {
	var decisions []Decision
	for i := range n {
		decisions = append(decisions, Decision{
			Image:    fmt.Sprintf("registry.corp.example/%s/app:%d", part, i),
			Policies: []PolicyResult{{Policy: ClusterPolicy("p"), Mode: enforce, Verdict: verify.Rejected{Reason: verify.NoSignature, Detail: "none"}}},
		})
	}
	return decisions
}

func TestADenialNamesEveryBadImageAndExplainsTheFirst(t *testing.T) {
	text := Denial(unsigned(image.MaxOccurrences, "team"), NoMatchAllow)
	for i := range image.MaxOccurrences {
		head := fmt.Sprintf("image registry.corp.example/team/app:%d denied by ClusterImagePolicy \"p\"", i)
		want := head + ": NoSignature"
		if i < MaxExplained {
			want = head + "\n  NoSignature: none\n  → "
		}
		if !strings.Contains(text, want) {
			t.Errorf("the denial does not say %q", want)
		}
	}
	if len(text) > 32<<10 {
		t.Errorf("the denial has %d bytes", len(text))
	}
}

func TestADenialOfImagesWithNamesThatDoNotEndStaysSmall(t *testing.T) {
	text := Denial(unsigned(1000, strings.Repeat("x", 10_000)), NoMatchAllow)
	if !strings.HasSuffix(text, " more") || !strings.Contains(text, "\n… and ") || len(text) > 96<<10 {
		t.Errorf("denial has %d bytes and ends in %q", len(text), text[max(0, len(text)-40):])
	}
}

func TestEachReasonHasAdviceAndARank(t *testing.T) {
	for _, reason := range reasons(t) {
		if Advice(reason) == Advice("") {
			t.Errorf("no advice about %s", reason)
		}
		if !reason.Unavailable() && !moreTelling(reason, "no such reason") {
			t.Errorf("%s has no rank", reason)
		}
	}
}

// reasons reads the closed set of reasons from the source that defines it, so
// that a new one cannot be forgotten here.
func reasons(t *testing.T) []Reason {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../pkg/verify/reason.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var found []Reason
	ast.Inspect(file, func(n ast.Node) bool {
		if value, ok := n.(*ast.ValueSpec); ok && len(value.Values) == 1 {
			if literal, ok := value.Values[0].(*ast.BasicLit); ok {
				text, err := strconv.Unquote(literal.Value)
				if err != nil {
					t.Fatal(err)
				}
				found = append(found, Reason(text))
			}
		}
		return true
	})
	if !slices.Contains(found, verify.NoSignature) || len(found) < 31 {
		t.Fatalf("found only %d reasons", len(found))
	}
	return found
}

func TestRequireDigestRefusesWhatMightNotBeWhatWasVerified(t *testing.T) {
	verified := verify.Verified{Evidence: verify.Evidence{Format: "bundle"}}
	static := verify.Verified{Evidence: verify.Evidence{Format: formatStatic}}
	unsigned := verify.Rejected{Reason: verify.NoSignature}
	decide := func(pinned bool, digest string, mode v1alpha1.Mode, v verify.Verdict) Decision {
		return Decision{Image: "i", Digest: digest, Pinned: pinned, Policies: []PolicyResult{{Policy: ClusterPolicy("p"), Mode: mode, Verdict: v}}}
	}
	for name, tt := range map[string]struct {
		decision Decision
		want     string
	}{
		"a verified tag is refused":                           {decide(false, digestOf("1"), enforce, verified), "p=Rejected/DigestRequired"},
		"a verified digest is not":                            {decide(true, digestOf("1"), enforce, verified), "p=Verified"},
		"a refusal keeps its own reason":                      {decide(false, digestOf("1"), enforce, unsigned), "p=Rejected/NoSignature"},
		"a policy that only warns says the same, in its mode": {decide(false, digestOf("1"), warn, verified), "p=Rejected/DigestRequired"},
		"a static pass verified nothing that could change":    {decide(false, digestOf("1"), enforce, static), "p=Verified"},
		"an image that no policy covers is nobody's business": {Decision{Image: "i"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			before := summary(tt.decision)
			required := tt.decision.RequireDigest()
			for i, r := range required.Policies {
				if r.Mode != tt.decision.Policies[i].Mode {
					t.Errorf("mode = %q, want %q", r.Mode, tt.decision.Policies[i].Mode)
				}
			}
			if got := summary(required); got != tt.want {
				t.Errorf("decision = %s, want %s", got, tt.want)
			}
			if after := summary(tt.decision); after != before {
				t.Errorf("the original decision changed from %s to %s", before, after)
			}
		})
	}
}

func TestDecisionAsJSON(t *testing.T) {
	d := Decision{Image: "i:1", Digest: digestOf("1"), Policies: []PolicyResult{{
		Policy: ClusterPolicy("p"), Generation: 3, Mode: enforce, Threshold: 1,
		Authorities: []AuthorityResult{{Name: "a", Verdict: verify.Rejected{Reason: verify.NoSignature, Detail: "none"}}},
		Verdict:     verify.Rejected{Reason: verify.NoSignature, Detail: "none"},
	}}}
	got, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"image":"i:1","digest":"` + digestOf("1") + `","pinned":false,"policies":[{"policy":"p","generation":3,"mode":"enforce","threshold":1,` +
		`"outcome":"Rejected","reason":"NoSignature","detail":"none","authorities":[{"name":"a","outcome":"Rejected","reason":"NoSignature","detail":"none"}]}]}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("JSON (-want +got):\n%s", diff)
	}
}
