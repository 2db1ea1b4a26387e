// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign-dev/countersign/e2e/stack"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
	"github.com/countersign-dev/countersign/pkg/trust/trusttest"
)

// installAPI applies what config/ says about the API: also in a bare stack, where
// nothing else of it is installed.
var installAPI = sync.OnceValue(func() error {
	root, err := stack.FindRoot()
	if err != nil {
		return err
	}
	for _, part := range []string{"namespace", "crd", "rbac"} {
		dir := filepath.Join(root, "config", part)
		result, err := shared.Kubectl(context.Background(), "", "apply", "--server-side", "--force-conflicts", "-k", dir)
		if err == nil {
			err = result.Err()
		}
		if err != nil {
			return err
		}
	}
	for _, resource := range []string{"clusterimagepolicies", "imagepolicies", "imagepolicyexceptions", "transparencylogs", "trustroots"} {
		result, err := shared.Kubectl(context.Background(), "", "wait", "--for=condition=Established", "--timeout=30s",
			"crd/"+resource+".policy.countersign.dev")
		if err == nil {
			err = result.Err()
		}
		if err != nil {
			return err
		}
	}
	return nil
})

func withAPI(t *testing.T) {
	t.Helper()
	if err := installAPI(); err != nil {
		t.Fatal(err)
	}
}

// object is a manifest in the making.
type object = map[string]any

func policyManifest(t *testing.T, edit func(spec, authority object)) string {
	t.Helper()
	authority := object{"name": "release-key", "key": object{"data": string(S(t).Key.PublicPEM)}}
	spec := object{
		"images":      []any{object{"glob": "registry.example/" + newName(t) + "/**"}},
		"authorities": []any{authority},
	}
	edit(spec, authority)
	return manifest(t, "ClusterImagePolicy", newName(t), spec)
}

func logManifest(t *testing.T, name string, edit func(spec object)) string {
	t.Helper()
	spec := object{
		"type": "rekor-v1", "urls": []any{"https://rekor.example"}, "origin": "rekor.example",
		"publicKey": object{"data": string(S(t).Key.PublicPEM)},
	}
	edit(spec)
	return manifest(t, "TransparencyLog", name, spec)
}

func manifest(t *testing.T, kind, name string, spec object) string {
	t.Helper()
	text, err := json.Marshal(object{
		"apiVersion": "policy.countersign.dev/v1alpha1", "kind": kind, "metadata": object{"name": name}, "spec": spec,
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// keyless makes an authority one of an identity.
func keyless(authority, identity object) {
	delete(authority, "key")
	authority["keyless"] = object{"trustRootRef": "corp", "identities": []any{identity}}
}

// TestAMisspeltRequirementIsRefused whatever the client asks the API server to
// validate: kubectl asks for all, most others for a warning that nobody reads.
func TestAMisspeltRequirementIsRefused(t *testing.T) {
	t.Parallel()
	const policies = "/apis/policy.countersign.dev/v1alpha1/clusterimagepolicies"
	for what, tc := range map[string]struct {
		edit func(spec, authority object)
		at   string
	}{
		"a field of the policy":   {func(s, _ object) { s["excludedImages"] = []any{} }, "spec.excludedImages"},
		"a field in another case": {func(s, _ object) { s["Threshold"] = 2 }, "spec.Threshold"},
		"a field of an authority": {func(_, a object) { a["atestations"] = []any{} }, "spec.authorities[0].atestations"},
		"a field of a log's":      {func(_, a object) { a["ctlog"] = object{"logRefs": []any{"a"}, "treshold": 1} }, "spec.authorities[0].ctlog.treshold"},
		"a field of a later time": {
			func(_, a object) {
				a["attestations"] = []any{object{"name": "a", "predicateType": "vuln", "fromTheFuture": object{}}}
			},
			"spec.authorities[0].attestations[0].fromTheFuture",
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			manifest := policyManifest(t, tc.edit)
			for _, validation := range []string{"Strict", "Warn", "Ignore"} {
				for _, request := range []call{
					{http.MethodPost, policies + "?dryRun=All&fieldValidation=" + validation, "", manifest},
					{http.MethodPatch, policies + "/applied?dryRun=All&fieldManager=e2e&fieldValidation=" + validation, applyPatch, regexp.MustCompile(`"name":"testamis[^"]*"`).ReplaceAllString(manifest, `"name":"applied"`)},
				} {
					a := request.send(t)
					if a.code != http.StatusUnprocessableEntity || !strings.Contains(a.status.Message, `unknown field "`+tc.at+`"`) {
						t.Errorf("%s with fieldValidation=%s: %d %.1000s", request.method, validation, a.code, a.body)
					}
				}
			}
		})
	}
}

// dryRun offers a manifest to the API server, which stores nothing.
func dryRun(t *testing.T, manifest string) stack.Result {
	t.Helper()
	return kubectl(t, manifest, "apply", "--dry-run=server", "-f", "-")
}

func TestTheAPIServerRefusesPoliciesThatMakeNoSense(t *testing.T) {
	t.Parallel()
	withAPI(t)
	static := func(action, message string) object {
		if message == "" {
			return object{"action": action}
		}
		return object{"action": action, "message": message}
	}
	for what, tc := range map[string]struct {
		edit func(spec, authority object)
		want string // "" when it is accepted
	}{
		"a policy with a key":           {func(object, object) {}, ""},
		"a key in a Secret":             {func(_, a object) { a["key"] = object{"secretRef": object{"name": "signing", "key": "cosign.pub"}} }, ""},
		"a static refusal":              {func(_, a object) { delete(a, "key"); a["static"] = static("fail", "no") }, ""},
		"two logs of two":               {func(_, a object) { a["ctlog"] = object{"logRefs": []any{"a", "b"}, "threshold": 2} }, ""},
		"a log by its URL":              {func(_, a object) { a["ctlog"] = object{"url": "https://rekor.example"} }, ""},
		"two logs of a root":            {func(_, a object) { a["ctlog"] = object{"trustRootRef": "corp", "threshold": 2} }, ""},
		"two logs at one URL":           {func(_, a object) { a["ctlog"] = object{"url": "https://rekor.example", "threshold": 2} }, "threshold must not be larger than the number of logs"},
		"names and a URL":               {func(_, a object) { a["ctlog"] = object{"logRefs": []any{"a"}, "url": "https://rekor.example"} }, "logRefs excludes url and trustRootRef"},
		"no log at all":                 {func(_, a object) { a["ctlog"] = object{"insecureIgnoreTlog": true} }, ""},
		"no images":                     {func(s, _ object) { s["images"] = []any{} }, "spec.images"},
		"no authorities":                {func(s, _ object) { s["authorities"] = []any{} }, "spec.authorities"},
		"an unknown mode":               {func(s, _ object) { s["mode"] = "block" }, "Unsupported value: \"block\""},
		"an outage that opens the gate": {func(s, _ object) { s["onUnavailable"] = "allow" }, "Unsupported value: \"allow\""},
		"an empty glob":                 {func(s, _ object) { s["images"] = []any{object{"glob": ""}} }, "spec.images[0].glob"},
		"more authorities to pass than there are": {
			func(s, _ object) { s["threshold"] = 2 }, "threshold must not be larger than the number of authorities",
		},
		"a threshold of none":    {func(s, _ object) { s["threshold"] = 0 }, "spec.threshold"},
		"an authority twice":     {func(s, a object) { s["authorities"] = []any{a, a} }, "Duplicate value"},
		"an authority's name":    {func(_, a object) { a["name"] = "Release Key" }, "spec.authorities[0].name"},
		"neither key nor static": {func(_, a object) { delete(a, "key") }, "exactly one of key, keyless, static must be set"},
		"both key and static":    {func(_, a object) { a["static"] = static("pass", "") }, "exactly one of key, keyless, static must be set"},
		"logs of a static answer": {func(_, a object) {
			delete(a, "key")
			a["static"] = static("pass", "")
			a["ctlog"] = object{"logRefs": []any{"a"}}
		}, "ctlog does not apply to a static authority"},
		"a message nobody sees": {func(_, a object) { delete(a, "key"); a["static"] = static("pass", "hello") }, "message is shown only when action is fail"},
		"an unknown answer":     {func(_, a object) { delete(a, "key"); a["static"] = static("maybe", "") }, "Unsupported value: \"maybe\""},
		"an identity":           {func(_, a object) { keyless(a, object{"issuer": "https://a.example", "subjectRegExp": ".*"}) }, ""},
		"all that can be asked of an identity": {func(_, a object) {
			keyless(a, object{"issuerRegExp": "a", "subject": "a", "extensions": object{"buildTrigger": "push", "sourceRepositoryURI": "a"}})
			a["rfc3161timestamp"] = object{"trustRootRef": "corp"}
			a["attestations"] = []any{object{"name": "a", "predicateType": "slsaprovenance1"}, object{"name": "b", "predicateType": "https://a.example/b"}}
			a["requireSignature"] = false
			a["signatureFormat"] = "bundle"
		}, ""},
		"a claim":                    {func(_, a object) { a["annotations"] = object{"release": "true"} }, ""},
		"an identity without issuer": {func(_, a object) { keyless(a, object{"subject": "a"}) }, "exactly one of issuer, issuerRegExp must be set"},
		"an identity with two": {func(_, a object) {
			keyless(a, object{"issuer": "https://a.example", "subject": "a", "subjectRegExp": "a"})
		}, "exactly one of subject, subjectRegExp must be set"},
		"an extension of nobody": {func(_, a object) {
			keyless(a, object{"issuer": "https://a.example", "subject": "a", "extensions": object{"sourceRepositoryUri": "a"}})
		}, "an extension has a name that Fulcio does not give"},
		"a key and an identity": {func(_, a object) {
			a["keyless"] = object{"trustRootRef": "corp", "identities": []any{object{"issuer": "https://a.example", "subject": "a"}}}
		}, "exactly one of key, keyless, static must be set"},
		"attestations of a static answer": {func(_, a object) {
			delete(a, "key")
			a["static"] = static("pass", "")
			a["attestations"] = []any{object{"name": "a", "predicateType": "vuln"}}
		}, "a static authority looks at no signature"},
		"neither signature nor attestation": {func(_, a object) { a["requireSignature"] = false }, "requireSignature: false needs attestations"},
		"an unknown predicate":              {func(_, a object) { a["attestations"] = []any{object{"name": "a", "predicateType": "sbom"}} }, "predicateType"},
		"two sources": {func(_, a object) {
			a["source"] = []any{object{"oci": "registry.example/signatures"}, object{"tagPrefix": "release-"}}
		}, ""},
		"a source that is no place":         {func(_, a object) { a["source"] = []any{object{}} }, "spec.authorities[0].source[0]"},
		"no sources":                        {func(_, a object) { a["source"] = []any{} }, "spec.authorities[0].source"},
		"a source with a tag":               {func(_, a object) { a["source"] = []any{object{"oci": "registry.example/s:v1"}} }, "spec.authorities[0].source[0].oci"},
		"a tag prefix that leads elsewhere": {func(_, a object) { a["source"] = []any{object{"tagPrefix": "../"}} }, "spec.authorities[0].source[0].tagPrefix"},
		"an unknown format":                 {func(_, a object) { a["signatureFormat"] = "dsse" }, "Unsupported value: \"dsse\""},
		"neither data nor secret":           {func(_, a object) { a["key"] = object{} }, "exactly one of data, secretRef, kms must be set"},
		"both data and secret":              {func(_, a object) { a["key"].(object)["secretRef"] = object{"name": "signing"} }, "exactly one of data, secretRef, kms must be set"},
		"an unknown hash":                   {func(_, a object) { a["key"].(object)["hashAlgorithm"] = "sha1" }, "Unsupported value: \"sha1\""},
		"a key beyond all bounds":           {func(_, a object) { a["key"] = object{"data": strings.Repeat("a", 20000)} }, "Too long"},
		"an empty ctlog":                    {func(_, a object) { a["ctlog"] = object{} }, "spec.authorities[0].ctlog"},
		"a log twice":                       {func(_, a object) { a["ctlog"] = object{"logRefs": []any{"a", "a"}} }, "Duplicate value"},
		"more logs than named":              {func(_, a object) { a["ctlog"] = object{"logRefs": []any{"a"}, "threshold": 2} }, "threshold must not be larger than the number of logs"},
		"a key in a service":                {func(_, a object) { a["key"] = object{"kms": "awskms:///alias/release"} }, ""},
		"a key in a service, too":           {func(_, a object) { a["key"].(object)["kms"] = "hashivault://release" }, "exactly one of data, secretRef, kms must be set"},
		"a key in an unknown service":       {func(_, a object) { a["key"] = object{"kms": "vault://release"} }, "key.kms"},
		"a key in no key of a service":      {func(_, a object) { a["key"] = object{"kms": "hashivault://a/b"} }, "TRANSIT_SECRET_ENGINE_PATH"},
		"more logs than one default": {
			func(_, a object) { a["ctlog"] = object{"threshold": 2} }, "threshold must not be larger than the number of logs",
		},
		"logs named and ignored": {
			func(_, a object) { a["ctlog"] = object{"logRefs": []any{"a"}, "insecureIgnoreTlog": true} },
			"insecureIgnoreTlog excludes logRefs, url, trustRootRef and threshold",
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			expectAnswer(t, dryRun(t, policyManifest(t, tc.edit)), tc.want)
		})
	}
}

func TestTheAPIServerRefusesLogsThatMakeNoSense(t *testing.T) {
	t.Parallel()
	withAPI(t)
	for what, tc := range map[string]struct {
		edit func(spec object)
		want string
	}{
		"a log":                     {func(object) {}, ""},
		"a URL with port and path":  {func(s object) { s["urls"] = []any{"http://127.0.0.1:3000/rekor"} }, ""},
		"polling once an hour":      {func(s object) { s["pollInterval"] = "1h0m0s" }, ""},
		"an unknown type":           {func(s object) { s["type"] = "rekor-v9" }, "Unsupported value: \"rekor-v9\""},
		"a Rekor v2 log":            {func(s object) { s["type"], s["readURLs"] = "rekor-v2", []any{"https://tiles/a"} }, ""},
		"a Rekor v1 read elsewhere": {func(s object) { s["readURLs"] = []any{"https://tiles/a"} }, "only a rekor-v2 log has readURLs"},
		"read at no URL":            {func(s object) { s["type"], s["readURLs"] = "rekor-v2", []any{} }, "spec.readURLs"},
		"read at a password":        {func(s object) { s["type"], s["readURLs"] = "rekor-v2", []any{"https://me:secret@a"} }, "spec.readURLs[0]"},
		"a pin of its one shard": {func(s object) {
			s["shards"], s["pin"] = []any{object{"treeID": "9223372036854775807"}}, object{"size": 1, "rootHash": strings.Repeat("0f", 32)}
		}, ""},
		"a pin of no shard": {func(s object) { s["pin"] = object{"size": 1, "rootHash": strings.Repeat("0f", 32)} }, "the pin of a rekor-v1 log is of one tree"},
		"a pin without a size": {func(s object) {
			s["shards"] = []any{object{"treeID": "1", "pin": object{"rootHash": strings.Repeat("0f", 32)}}}
		}, "spec.shards[0].pin.size"},
		"a tree ID that is a number": {func(s object) { s["shards"] = []any{object{"treeID": 1}} }, "spec.shards[0].treeID"},
		"a tree twice":               {func(s object) { s["shards"] = []any{object{"treeID": "1"}, object{"treeID": "1"}} }, "Duplicate value"},
		"no shards in so many words": {func(s object) { s["shards"] = []any{} }, "spec.shards"},
		"a validity that ends first": {func(s object) {
			s["validity"] = object{"notBefore": "2026-02-01T00:00:00Z", "notAfter": "2026-01-01T00:00:00Z"}
		}, "notBefore must be before notAfter"},
		"a validity of nothing":      {func(s object) { s["validity"] = object{} }, "spec.validity"},
		"no URL":                     {func(s object) { s["urls"] = []any{} }, "spec.urls"},
		"two URLs":                   {func(s object) { s["urls"] = []any{"https://a", "https://b"} }, ""},
		"nine URLs":                  {func(s object) { s["urls"] = slices.Repeat([]any{"https://a"}, 9) }, "spec.urls"},
		"a URL with a password":      {func(s object) { s["urls"] = []any{"https://me:secret@a"} }, "spec.urls[0]"},
		"a URL with a query":         {func(s object) { s["urls"] = []any{"https://a?b=c"} }, "spec.urls[0]"},
		"a URL of another scheme":    {func(s object) { s["urls"] = []any{"ftp://a"} }, "spec.urls[0]"},
		"an origin with a tree ID":   {func(s object) { s["origin"] = "rekor.example - 1" }, "spec.origin"},
		"an origin that is a URL":    {func(s object) { s["origin"] = "https://rekor.example" }, "spec.origin"},
		"neither data nor secretRef": {func(s object) { s["publicKey"] = object{} }, "spec.publicKey"},
		"both data and secretRef":    {func(s object) { s["publicKey"].(object)["secretRef"] = object{"name": "a"} }, "exactly one of data, secretRef must be set"},
		"polling without a pause":    {func(s object) { s["pollInterval"] = "100ms" }, "pollInterval must be between 1s and 24h"},
		"polling once a month":       {func(s object) { s["pollInterval"] = "720h" }, "pollInterval must be between 1s and 24h"},
		"polling now and then":       {func(s object) { s["pollInterval"] = "often" }, "spec.pollInterval"},
		"a password":                 {func(s object) { s["auth"] = object{"basicSecretRef": object{"name": "a"}} }, ""},
		"a token":                    {func(s object) { s["auth"] = object{"bearerSecretRef": object{"name": "a", "key": "b"}} }, ""},
		"a password and a token": {func(s object) {
			s["auth"] = object{"basicSecretRef": object{"name": "a"}, "bearerSecretRef": object{"name": "b"}}
		}, "exactly one of basicSecretRef, bearerSecretRef must be set"},
		"auth that says nothing":    {func(s object) { s["auth"] = object{} }, "spec.auth"},
		"tls that says nothing":     {func(s object) { s["tls"] = object{} }, "spec.tls"},
		"a Secret elsewhere":        {func(s object) { s["tls"] = object{"clientCertSecretRef": object{"name": "ns/a"}} }, "spec.tls.clientCertSecretRef.name"},
		"an authority that is none": {func(s object) { s["tls"] = object{"caBundle": "x"} }, "spec.tls.caBundle"},
		"no verification of TLS":    {func(s object) { s["tls"] = object{"insecureSkipVerify": true} }, ""},
		"stale for a day":           {func(s object) { s["maxStaleness"] = "24h" }, ""},
		"never stale":               {func(s object) { s["maxStaleness"] = "8760h" }, "maxStaleness must be between 1s and 720h"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			expectAnswer(t, dryRun(t, logManifest(t, newName(t), tc.edit)), tc.want)
		})
	}
}

// expectAnswer wants a refusal that says want, or none where want is empty.
func expectAnswer(t *testing.T, result stack.Result, want string) {
	t.Helper()
	switch {
	case want == "" && result.Code != 0:
		t.Errorf("refused:\n%s", result.Stderr)
	case want != "" && (result.Code == 0 || !strings.Contains(result.Stderr, want)):
		t.Errorf("exit status %d; want a refusal that says %q:\n%s%s", result.Code, want, result.Stdout, result.Stderr)
	}
}

func TestTheAPIServerFillsInDefaults(t *testing.T) {
	t.Parallel()
	withAPI(t)
	var policy struct {
		Spec struct {
			Mode        string
			Threshold   int
			Authorities []struct {
				Key struct{ HashAlgorithm string }
			}
		}
	}
	answer := kubectl(t, policyManifest(t, func(object, object) {}), "apply", "--dry-run=server", "-o", "json", "-f", "-")
	if err := json.Unmarshal([]byte(answer.Stdout), &policy); err != nil {
		t.Fatal(err, answer.Stderr)
	}
	got := fmt.Sprint(policy.Spec.Mode, policy.Spec.Threshold, policy.Spec.Authorities[0].Key.HashAlgorithm)
	if want := fmt.Sprint("enforce", 1, "sha256"); got != want {
		t.Errorf("mode, threshold, hashAlgorithm = %s; want %s", got, want)
	}
	var log struct{ Spec struct{ PollInterval string } }
	answer = kubectl(t, logManifest(t, newName(t), func(object) {}), "apply", "--dry-run=server", "-o", "json", "-f", "-")
	if err := json.Unmarshal([]byte(answer.Stdout), &log); err != nil {
		t.Fatal(err, answer.Stderr)
	}
	if log.Spec.PollInterval != "30s" {
		t.Errorf("pollInterval = %q; want 30s", log.Spec.PollInterval)
	}
}

// storedLog creates a TransparencyLog of a log that nobody can reach, and deletes
// it when the scenario ends.
func storedLog(t *testing.T, log *tlogtest.Log) string {
	t.Helper()
	name := newName(t)
	mustKubectl(t, logManifest(t, name, func(spec object) {
		spec["urls"] = []any{"http://127.0.0.1:1"}
		spec["origin"] = log.Hostname
		spec["publicKey"] = object{"data": publicPEM(t, log.PublicKey())}
		spec["pollInterval"] = "24h"
	}), "apply", "-f", "-")
	t.Cleanup(func() {
		if _, err := S(t).Kubectl(context.Background(), "", "delete", "transparencylog", name, "--wait=false"); err != nil {
			t.Error(err)
		}
	})
	return name
}

func TestALogCannotBecomeAnotherLog(t *testing.T) {
	t.Parallel()
	withAPI(t)
	name := storedLog(t, tlogtest.New("rekor.example"))
	result := kubectl(t, "", "patch", "transparencylog", name, "--type=merge", "-p", `{"spec":{"origin":"other.example"}}`)
	expectAnswer(t, result, "origin cannot be changed")
}

func TestLogsAndPoliciesShowWhatMatters(t *testing.T) {
	t.Parallel()
	withAPI(t)
	name := storedLog(t, tlogtest.New("rekor.example"))
	for args, want := range map[string]string{
		"get tlog " + name:             "NAME TYPE ORIGIN SIZE CONSISTENT FRESH AGE",
		"get transparencylogs -o wide": "NAME TYPE ORIGIN SIZE CONSISTENT FRESH READY REACHABLE WITNESSED DEFAULT AGE",
	} {
		header, _, _ := strings.Cut(mustKubectl(t, "", strings.Fields(args)...), "\n")
		if diff := cmp.Diff(want, strings.Join(strings.Fields(header), " ")); diff != "" {
			t.Errorf("kubectl %s (-want +got):\n%s", args, diff)
		}
	}
	if all := mustKubectl(t, "", "get", "countersign", "-o", "name"); !strings.Contains(all, "/"+name) {
		t.Errorf("kubectl get countersign does not show the log:\n%s", all)
	}
}

// TestTheInstallationIsAccepted: nothing in config/ is refused, or warned of by
// Pod security's strictest level. (The stack has no nodes that could run it.)
func TestTheInstallationIsAccepted(t *testing.T) {
	t.Parallel()
	withAPI(t)
	root, err := stack.FindRoot()
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"config", "config/default", "config/manager"} {
		manifests := mustKubectl(t, "", "kustomize", filepath.Join(root, dir))
		result := kubectl(t, manifests, "apply", "--dry-run=server", "--server-side", "--force-conflicts", "-f", "-")
		if result.Code != 0 || strings.Contains(result.Stderr, "Warning") {
			t.Errorf("%s: exit status %d; want it accepted without a warning:\n%s", dir, result.Code, result.Stderr)
		}
		if !strings.Contains(result.Stdout, "deployment.apps/countersign") {
			t.Errorf("%s has no Deployment:\n%s", dir, result.Stdout)
		}
	}
	samples := mustKubectl(t, "", "kustomize", filepath.Join(root, "config", "samples"))
	expectAnswer(t, dryRun(t, samples), "")
	exception, err := os.ReadFile(filepath.Join(root, "config", "samples", "imagepolicyexception.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	soon := time.Now().Add(72 * time.Hour).UTC().Format(time.RFC3339)
	expectAnswer(t, dryRun(t, strings.Replace(string(exception), "2026-03-04T18:00:00Z", soon, 1)), "")
}

func TestCountersignMayDoWhatItNeedsAndNoMore(t *testing.T) {
	t.Parallel()
	withAPI(t)
	const own, other = "-n=countersign-system", "-n=default"
	for what, tc := range map[string]struct {
		args string
		want bool
	}{
		"watch policies":                        {"watch clusterimagepolicies.policy.countersign.dev", true},
		"watch logs":                            {"watch transparencylogs.policy.countersign.dev", true},
		"write the status of a log":             {"patch transparencylogs.policy.countersign.dev --subresource=status", true},
		"read Secrets of its own namespace":     {"get secrets " + own, true},
		"keep its certificate":                  {"update secrets/countersign-webhook-cert " + own, true},
		"elect a leader":                        {"update leases.coordination.k8s.io/countersign " + own, true},
		"write its webhook configuration":       {"update validatingwebhookconfigurations.admissionregistration.k8s.io/countersign-validating", true},
		"watch namespaces":                      {"watch namespaces", true},
		"label a namespace":                     {"patch namespaces", false},
		"write a policy":                        {"update clusterimagepolicies.policy.countersign.dev", false},
		"write the log that a trust root owns":  {"patch transparencylogs.policy.countersign.dev", true},
		"write a trust root":                    {"update trustroots.policy.countersign.dev", false},
		"read Secrets of another namespace":     {"get secrets " + other, false},
		"list all Secrets":                      {"list secrets -A", false},
		"write another Secret of its namespace": {"update secrets/signing " + own, false},
		"create a Secret":                       {"create secrets " + own, false},
		"write another lease":                   {"update leases.coordination.k8s.io/other " + own, false},
		"write another webhook configuration":   {"update validatingwebhookconfigurations.admissionregistration.k8s.io/other", false},
		"delete its own webhook configuration":  {"delete validatingwebhookconfigurations.admissionregistration.k8s.io/countersign-validating", false},
		"create a Pod":                          {"create pods " + own, false},
		"read Pods":                             {"list pods -A", false},
		"impersonate":                           {"impersonate users", false},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			args := append([]string{"auth", "can-i", "--as=system:serviceaccount:countersign-system:countersign"}, strings.Fields(tc.args)...)
			if got := strings.TrimSpace(kubectl(t, "", args...).Stdout) == "yes"; got != tc.want {
				t.Errorf("kubectl %s: %t; want %t", strings.Join(args, " "), got, tc.want)
			}
		})
	}
}

func TestTheAPIServerRefusesTrustRootsThatMakeNoSense(t *testing.T) {
	t.Parallel()
	withAPI(t)
	text := func(spec object) { spec["trustedRoot"] = object{"configMapRef": object{"name": "a"}} }
	log := func(edit func(object)) func(object) {
		return func(spec object) {
			log := object{"baseURL": "https://rekor.example", "publicKey": trusttest.NewLogKey()}
			edit(log)
			spec["sigstoreKeys"] = object{"tLogs": []any{log}}
		}
	}
	root := trusttest.NewRepository("trusted_root.json", trusttest.TrustedRoot("a.example", time.Now().AddDate(1, 0, 0)), time.Now().AddDate(1, 0, 0)).Root()
	remote := func(edit func(object)) func(object) {
		return func(spec object) {
			remote := object{"mirror": "https://tuf.example", "root": root}
			edit(remote)
			spec["remote"] = remote
		}
	}
	for what, tc := range map[string]struct {
		edit func(spec object)
		want string // "" when it is accepted
	}{
		"a trusted root elsewhere": {text, ""},
		"a log":                    {log(func(object) {}), ""},
		"a mirror":                 {remote(func(object) {}), ""},
		"nothing":                  {func(object) {}, "spec"},
		"two forms":                {func(s object) { text(s); log(func(object) {})(s) }, "exactly one of sigstoreKeys, remote, repository, trustedRoot must be set"},
		"neither data nor a map":   {func(s object) { s["trustedRoot"] = object{} }, "exactly one of data, configMapRef must be set"},
		"a log of another hash":    {log(func(l object) { l["hashAlgorithm"] = "sha-1" }), "Unsupported value: \"sha-1\""},
		"a log without a URL":      {log(func(l object) { delete(l, "baseURL") }), "baseURL"},
		"a log that is valid never": {log(func(l object) {
			l["validity"] = object{"notBefore": "2026-02-01T00:00:00Z", "notAfter": "2026-01-01T00:00:00Z"}
		}), "notBefore must be before notAfter"},
		"a mirror that is no URL": {remote(func(r object) { r["mirror"] = "tuf.example" }), "spec.remote.mirror"},
		"a mirror without a root": {remote(func(r object) { delete(r, "root") }), "spec.remote.root"},
		"targets outside":         {remote(func(r object) { r["targets"] = "../a" }), "spec.remote.targets"},
		"asking without a pause":  {remote(func(r object) { r["refreshInterval"] = "10ms" }), "refreshInterval must be between 1s and 24h"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			spec := object{}
			tc.edit(spec)
			result := dryRun(t, manifest(t, "TrustRoot", newName(t), spec))
			switch accepted := result.Err() == nil; {
			case tc.want == "" && !accepted:
				t.Errorf("it is refused: %s", result.Stderr)
			case tc.want != "" && (accepted || !strings.Contains(result.Stderr, tc.want)):
				t.Errorf("accepted: %t, stderr %q; want %q", accepted, result.Stderr, tc.want)
			}
		})
	}
}
