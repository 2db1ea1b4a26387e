// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign-dev/countersign/pkg/verify"
	"github.com/countersign-dev/countersign/pkg/verify/verifytest"
)

// TestIdentities: a certificate that is good in every way, and whose it is.
func TestIdentities(t *testing.T) {
	const repo = "https://github.com/org/repo"
	subject := func(text string) []verifytest.Change { return []verifytest.Change{verifytest.Names(uri(text))} }
	mail := func(text string) []verifytest.Change {
		return []verifytest.Change{verifytest.Names(verifytest.Name{Tag: verifytest.EmailTag, Value: []byte(text)})}
	}
	issuer := func(text string) []verifytest.Change {
		return []verifytest.Change{verifytest.IssuedByNobody, verifytest.Extension(8, text)}
	}
	exactly := func(text string) verify.IdentitySpec {
		return verify.IdentitySpec{Issuer: verifytest.Issuer, Subject: text}
	}
	like := func(expression string) verify.IdentitySpec {
		return verify.IdentitySpec{Issuer: verifytest.Issuer, SubjectRegExp: expression}
	}
	by := func(text string) verify.IdentitySpec {
		return verify.IdentitySpec{Issuer: text, Subject: verifytest.Subject}
	}
	byLike := func(expression string) verify.IdentitySpec {
		return verify.IdentitySpec{IssuerRegExp: expression, Subject: verifytest.Subject}
	}
	for name, tt := range map[string]struct {
		leaf []verifytest.Change
		spec verify.IdentitySpec
		want bool
	}{
		"the subject itself":                               {spec: exactly(verifytest.Subject), want: true},
		"the subject in capitals":                          {spec: exactly(strings.ToUpper(verifytest.Subject))},
		"a beginning of the subject":                       {spec: exactly(verifytest.Subject[:len(verifytest.Subject)-1])},
		"the subject and more":                             {spec: exactly(verifytest.Subject + "x")},
		"a subject with wildcards, which are none":         {spec: exactly("https://github.com/org/*")},
		"a subject that would match as an expression":      {spec: exactly("https://github.com/org/.*")},
		"the issuer with a slash more":                     {spec: by(verifytest.Issuer + "/")},
		"another issuer":                                   {spec: by("https://accounts.example.test")},
		"another issuer, whose name begins like it":        {leaf: issuer(verifytest.Issuer + ".evil.example"), spec: by(verifytest.Issuer)},
		"an expression for all of it":                      {spec: like(`https://github\.com/org/.*`), want: true},
		"an expression for a part in the middle":           {spec: like(`github\.com/org/repo`)},
		"an expression for its beginning":                  {spec: like(`https://github\.com/org/repo`)},
		"an expression for its end":                        {spec: like(`refs/heads/main`)},
		"an expression with anchors of its own":            {spec: like(`^https://github\.com/org/.*$`), want: true},
		"a repository whose name begins like it":           {leaf: subject(repo + "-evil"), spec: like(repo)},
		"a repository whose name begins like it, anchored": {leaf: subject(repo + "-evil"), spec: like("^" + repo + "$")},
		"an organisation in another host's path":           {leaf: subject("https://evil.example/github.com/org/x"), spec: like(`github.com/org/.*`)},
		"an organisation in another's query":               {leaf: subject("https://evil.example/?https://github.com/org/x"), spec: like(`https://github.com/org/.*`)},
		"a dot that is any character":                      {leaf: subject("https://githubxcom/org/x"), spec: like(`https://github.com/org/.*`), want: true},
		"alternatives, the first as a beginning":           {leaf: subject(repo + "-evil"), spec: like(repo + "|https://github.com/org/other")},
		"alternatives, the second as an end":               {leaf: subject("https://evil.example/" + repo), spec: like("https://github.com/org/other|" + repo)},
		"alternatives, the first":                          {leaf: subject(repo), spec: like(repo + "|https://github.com/org/other"), want: true},
		"alternatives, the second":                         {leaf: subject(repo), spec: like("https://github.com/org/other|" + repo), want: true},
		"alternatives, the empty one":                      {spec: like("x|")},
		"lines, of which one fits":                         {leaf: mail("a@example.test\nb@evil.example"), spec: like(`(?m)^a@example\.test$`)},
		"lines, of which the last fits":                    {leaf: mail("b@evil.example\na@example.test"), spec: like(`(?m)^a@example\.test$`)},
		"a line feed that a dot does not match":            {leaf: mail("a@example.test\nb@evil.example"), spec: like(`a@example\.test.*`)},
		"a line feed at the end":                           {leaf: mail("a@example.test\n"), spec: like(`a@example\.test`)},
		"a line feed at the end, with a dollar sign":       {leaf: mail("a@example.test\n"), spec: like(`^a@example\.test$`)},
		"a line feed where a policy allows it":             {leaf: mail("a@example.test\n"), spec: like(`(?s)a@example\.test.*`), want: true},
		"a zero byte at the end":                           {leaf: mail("a@example.test\x00"), spec: exactly("a@example.test")},
		"a zero byte, and more":                            {leaf: mail("a@example.test\x00.evil.example"), spec: like(`a@example\.test`)},
		"capitals, where a policy ignores them":            {spec: like(`(?i)HTTPS://GITHUB\.COM/ORG/.*`), want: true},
		"capitals ignored in a part only":                  {leaf: subject("https://github.com/ORG/x"), spec: like(`https://(?i:GITHUB)\.com/org/.*`)},
		"capitals ignored, and still anchored":             {leaf: subject(repo + "-evil"), spec: like(`(?i)` + repo)},
		"the least match is still the whole":               {leaf: subject(repo + "-evil"), spec: like(`(?U)https://github.com/org/repo.*`), want: true},
		"an escaped slash in a path":                       {leaf: subject("https://github.com/org%2Frepo"), spec: exactly(repo)},
		"a way up in a path":                               {leaf: subject("https://github.com/org/repo/../evil"), spec: exactly("https://github.com/org/evil")},
		"an empty fragment, which a URL parser drops":      {leaf: subject(repo + "#"), spec: exactly(repo)},
		"a scheme in capitals, which a URL parser lowers":  {leaf: subject("HTTPS://github.com/org/repo"), spec: exactly(repo)},
		"no issuer, where any will do":                     {leaf: []verifytest.Change{verifytest.IssuedByNobody}, spec: byLike(".*")},
		"an empty issuer, where any will do":               {leaf: issuer(""), spec: byLike(".*")},
		"any issuer":                                       {spec: byLike(".*"), want: true},
		"an issuer's beginning":                            {spec: byLike(`https://token\.actions`)},
		"an issuer in another's path":                      {leaf: issuer("https://evil.example/" + verifytest.Issuer), spec: byLike(`token\.actions\.githubusercontent\.com`)},
		"an issuer with a tenant":                          {leaf: issuer(verifytest.Issuer + "/acme"), spec: byLike(verifytest.Issuer + "(/acme)?"), want: true},
		"a mail address that is a URI's text":              {leaf: mail(repo), spec: exactly(repo), want: true},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKeyless(t)
			k.identities = []verify.IdentitySpec{tt.spec}
			reason := verify.IdentityMismatch
			if tt.want {
				reason = verified
			}
			s := k.legacyBy(k.certified(tt.leaf...))
			want(t, k.trusts(t).Verify(t.Context(), imageA, []verify.Signature{s}), reason)
			if !tt.want && k.server.Requests.Load() != 0 {
				t.Error("the log was asked on behalf of somebody else")
			}
		})
	}
}

// fulcioExtensions are the extensions and their numbers as documented at
// https://github.com/sigstore/fulcio/blob/main/docs/oid-info.md, in this project's spelling.
var fulcioExtensions = map[string]int{
	"githubWorkflowTrigger": 2, "githubWorkflowSHA": 3, "githubWorkflowName": 4, "githubWorkflowRepository": 5, "githubWorkflowRef": 6,
	"buildSignerURI": 9, "buildSignerDigest": 10, "runnerEnvironment": 11, "sourceRepositoryURI": 12, "sourceRepositoryDigest": 13,
	"sourceRepositoryRef": 14, "sourceRepositoryIdentifier": 15, "sourceRepositoryOwnerURI": 16, "sourceRepositoryOwnerIdentifier": 17,
	"buildConfigURI": 18, "buildConfigDigest": 19, "buildTrigger": 20, "runInvocationURI": 21, "sourceRepositoryVisibilityAtSigning": 22,
	"deploymentEnvironment": 23, "tokenSubject": 24,
}

func TestEachExtension(t *testing.T) {
	var documented []string
	for name, number := range fulcioExtensions {
		documented = append(documented, name)
		for title, tt := range map[string]struct {
			leaf []verifytest.Change
			want verify.Reason
		}{
			"has the value":                  {leaf: []verifytest.Change{verifytest.Extension(number, "wanted")}, want: verified},
			"has another":                    {leaf: []verifytest.Change{verifytest.Extension(number, "another")}, want: verify.IdentityMismatch},
			"has the value and more":         {leaf: []verifytest.Change{verifytest.Extension(number, "wanted ")}, want: verify.IdentityMismatch},
			"is empty":                       {leaf: []verifytest.Change{verifytest.Extension(number, "")}, want: verify.IdentityMismatch},
			"is missing":                     {want: verify.IdentityMismatch},
			"is missing, all others have it": {leaf: allBut(number, "wanted"), want: verify.IdentityMismatch},
		} {
			t.Run(name+" "+title, func(t *testing.T) {
				k := newKeyless(t)
				k.identities[0].Extensions = map[string]string{name: "wanted"}
				s := k.legacyBy(k.certified(tt.leaf...))
				want(t, k.trusts(t).Verify(t.Context(), imageA, []verify.Signature{s}), tt.want)
			})
		}
	}
	slices.Sort(documented)
	if diff := cmp.Diff(documented, verify.IdentityExtensions()); diff != "" {
		t.Error("the documented names (-) and ours (+):\n", diff)
	}
}

func allBut(number int, value string) []verifytest.Change {
	var changes []verifytest.Change
	for _, other := range fulcioExtensions {
		if other != number {
			changes = append(changes, verifytest.Extension(other, value))
		}
	}
	return changes
}

// TestAllExtensionsMustHold: one wrong value of several is enough to refuse.
func TestAllExtensionsMustHold(t *testing.T) {
	k := newKeyless(t)
	k.identities[0].Extensions = map[string]string{"buildTrigger": "push", "runnerEnvironment": "github-hosted"}
	for name, tt := range map[string]struct {
		trigger, runner string
		want            verify.Reason
	}{
		"both as asked":       {trigger: "push", runner: "github-hosted", want: verified},
		"another trigger":     {trigger: "pull_request_target", runner: "github-hosted", want: verify.IdentityMismatch},
		"another runner":      {trigger: "push", runner: "self-hosted", want: verify.IdentityMismatch},
		"values interchanged": {trigger: "github-hosted", runner: "push", want: verify.IdentityMismatch},
	} {
		t.Run(name, func(t *testing.T) {
			s := k.legacyBy(k.certified(verifytest.Extension(20, tt.trigger), verifytest.Extension(11, tt.runner)))
			want(t, k.trusts(t).Verify(t.Context(), imageA, []verify.Signature{s}), tt.want)
		})
	}
	t.Run("values of two alternatives do not add up", func(t *testing.T) {
		k.identities = []verify.IdentitySpec{
			{Issuer: verifytest.Issuer, Subject: verifytest.Subject, Extensions: map[string]string{"buildTrigger": "release"}},
			{Issuer: "https://gitlab.example.test", Subject: verifytest.Subject, Extensions: map[string]string{"buildTrigger": "push"}},
		}
		s := k.legacyBy(k.certified(verifytest.Extension(20, "push")))
		want(t, k.trusts(t).Verify(t.Context(), imageA, []verify.Signature{s}), verify.IdentityMismatch)
	})
}

func TestIdentitiesThatDoNotCompile(t *testing.T) {
	for name, spec := range map[string]verify.IdentitySpec{
		"nothing":                               {},
		"no issuer":                             {Subject: "a@example.test"},
		"no subject":                            {Issuer: verifytest.Issuer},
		"an issuer and an expression":           {Issuer: "a", IssuerRegExp: "a", Subject: "b"},
		"a subject and an expression":           {Issuer: "a", Subject: "b", SubjectRegExp: "b"},
		"an issuer's expression that is none":   {IssuerRegExp: "(", Subject: "b"},
		"a subject's expression that is none":   {Issuer: "a", SubjectRegExp: "["},
		"an expression that closes our group":   {Issuer: "a", SubjectRegExp: `x)|(?:.*`},
		"an expression that quotes our anchor":  {Issuer: "a", SubjectRegExp: `\Qx`},
		"an expression that escapes our anchor": {Issuer: "a", SubjectRegExp: `x\`},
		"an expression that looks ahead":        {Issuer: "a", SubjectRegExp: `(?=x)x`},
		"an expression that repeats too much":   {Issuer: "a", SubjectRegExp: `((a{999}){999}){999}`},
		"an expression that is not UTF-8":       {Issuer: "a", SubjectRegExp: "\xff"},
		"an extension that there is not":        {Issuer: "a", Subject: "b", Extensions: map[string]string{"sourceRepository": "x"}},
		"an extension by its number":            {Issuer: "a", Subject: "b", Extensions: map[string]string{"1.3.6.1.4.1.57264.1.12": "x"}},
		"an extension in Go's spelling":         {Issuer: "a", Subject: "b", Extensions: map[string]string{"SourceRepositoryURI": "x"}},
		"the issuer as an extension":            {Issuer: "a", Subject: "b", Extensions: map[string]string{"issuer": "x"}},
		"an extension without a value":          {Issuer: "a", Subject: "b", Extensions: map[string]string{"buildTrigger": ""}},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := verify.NewIdentity(spec); err == nil {
				t.Error("it compiled")
			}
		})
	}
	t.Run("what is changed after it was compiled does not count", func(t *testing.T) {
		k := newKeyless(t)
		extensions := map[string]string{"buildTrigger": "push"}
		k.identities[0].Extensions = extensions
		authority := k.trusts(t)
		delete(extensions, "buildTrigger")
		want(t, authority.Verify(t.Context(), imageA, []verify.Signature{k.legacyBy(k.certified())}), verify.IdentityMismatch)
	})
}

// FuzzIdentity: whatever the expression, a match of it in a longer text is none.
func FuzzIdentity(f *testing.F) {
	for _, seed := range []string{`.*`, `a|b`, `(?m)^a$`, `(?i)a`, `\Qa\E`, `a)|(?:b`, `[[:^alpha:]]`, `(?s).`, `$`, `\z|x`} {
		f.Add(seed, "ab\nc")
	}
	f.Fuzz(func(t *testing.T, expression, subject string) {
		identity, err := verify.NewIdentity(verify.IdentitySpec{Issuer: "i", SubjectRegExp: expression})
		if err != nil {
			return
		}
		if verify.Matches(identity, "i", subject) != verify.LongestMatchIsAll(expression, subject) {
			t.Errorf("%q and %q", expression, subject)
		}
		if verify.Matches(identity, "", subject) || verify.Matches(identity, "j", subject) {
			t.Error("another issuer matched")
		}
	})
}
