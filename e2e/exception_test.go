// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/e2e/stack"
)

// exception is an ImagePolicyException named x, for one pattern.
func exception(t *testing.T, namespace, glob string, expires time.Time) string {
	t.Helper()
	return manifestOf(t, object{
		"apiVersion": "policy.countersign.dev/v1alpha1", "kind": "ImagePolicyException",
		"metadata": object{"name": "x", "namespace": namespace},
		"spec": object{
			"images": []any{object{"glob": glob}}, "reason": "the signer is down", "approvedBy": "alice", "reference": "OPS-1",
			"expires": expires.UTC().Format(time.RFC3339),
		},
	})
}

// takesExceptions is a policy for an image, which nobody signed, that allows exceptions.
func takesExceptions(t *testing.T, image stack.Image) string {
	t.Helper()
	name := newName(t)
	applied(t, "clusterimagepolicy/"+name, manifest(t, "ClusterImagePolicy", name, object{
		"images":      []any{object{"glob": image.Registry + "/" + image.Repository}},
		"authorities": []any{keyedBy(S(t).Key)},
		"exceptions":  "allow",
	}))
	return name
}

// mayExcept gives a user the right to write exceptions in a namespace.
func mayExcept(t *testing.T, namespace, user string) {
	t.Helper()
	mustKubectl(t, "", "create", "rolebinding", "exceptions", "-n", namespace, "--clusterrole=countersign-exceptions", "--user="+user)
	eventually(t, "the role to be bound", func() bool {
		return strings.TrimSpace(kubectl(t, "", "auth", "can-i", "create", "imagepolicyexceptions.policy.countersign.dev", "-n", namespace, "--as="+user).Stdout) == "yes"
	})
}

// TestAnExceptionAdmitsForAWhileAndIsSeen: it takes the right, and a policy that allows it;
// then the image is admitted by tag, pinned, in that namespace, with a warning and an
// Event, until the exception ends by the clock.
func TestAnExceptionAdmitsForAWhileAndIsSeen(t *testing.T) {
	t.Parallel()
	namespace, elsewhere := newNamespace(t), newNamespace(t)
	image := pushImage(t, S(t).Registry)
	policy := takesExceptions(t, image)
	refused(t, runPod(t, namespace, "before", image.Ref()), "NoSignature", policy, "or ask for an ImagePolicyException")

	owner := ownerOf(t, namespace)
	byDigest := image.Registry + "/" + image.Repository + "@" + image.Digest
	if result := kubectl(t, exception(t, namespace, byDigest, time.Now().Add(time.Hour)), "apply", "--as="+owner, "-f", "-"); result.Code == 0 || !strings.Contains(result.Stderr, "forbidden") {
		t.Fatalf("the owner of a namespace made an exception without the right to: %s%s", result.Stdout, result.Stderr)
	}
	mayExcept(t, namespace, owner)
	end := time.Now().Add(20 * time.Second)
	admitted(t, kubectl(t, exception(t, namespace, byDigest, end), "apply", "--as="+owner, "-f", "-"))
	mustKubectl(t, "", "wait", "--for=condition=Active", "--timeout=15s", "-n", namespace, "imagepolicyexception/x")

	result := runPod(t, namespace, "app", image.Ref())
	admitted(t, result)
	for _, want := range []string{`admitted by ImagePolicyException "` + namespace + `/x" until`, "the signer is down", "alice", "OPS-1", "NoSignature"} {
		if !strings.Contains(result.Stderr, want) {
			t.Errorf("the warning does not say %q:\n%s", want, result.Stderr)
		}
	}
	if got := imageOf(t, namespace, "app"); !strings.HasSuffix(got, "@"+image.Digest) {
		t.Errorf("the Pod runs %s, which is not pinned", got)
	}
	refused(t, runPod(t, elsewhere, "app", image.Ref()), "NoSignature", policy)
	eventually(t, "an Event", func() bool {
		return strings.Contains(kubectl(t, "", "get", "events", "-n", namespace, "--field-selector=reason=ExceptionUsed").Stdout, "admitted images")
	})

	time.Sleep(time.Until(end.Truncate(time.Second)) + time.Second)
	refused(t, runPod(t, namespace, "after", image.Ref()), "NoSignature", policy)
	mustKubectl(t, "", "wait", "--for=condition=Active=false", "--timeout=15s", "-n", namespace, "imagepolicyexception/x")
}

// TestAnExceptionCannotBeStretched: what it may not say is refused, by whoever may write
// exceptions, and it does nothing to a policy that takes none.
func TestAnExceptionCannotBeStretched(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t)
	image := pushImage(t, S(t).Registry)
	policy := newPolicy(t, image.Registry+"/"+image.Repository, S(t).Key)
	user := newName(t)
	mayExcept(t, namespace, user)
	repository := image.Registry + "/" + image.Repository
	apply := func(manifest string) stack.Result {
		return kubectl(t, manifest, "apply", "--validate=false", "--as="+user, "-f", "-")
	}
	for what, tc := range map[string]struct {
		manifest, field string
	}{
		"more than a week":             {exception(t, namespace, repository, time.Now().Add(8*24*time.Hour)), "spec.expires"},
		"a time that is past":          {exception(t, namespace, repository, time.Now().Add(-time.Hour)), "spec.expires"},
		"a tag":                        {exception(t, namespace, repository+":v1", time.Now().Add(time.Hour)), "spec.images[0].glob"},
		"a field that does not exist":  {strings.Replace(exception(t, namespace, repository, time.Now().Add(time.Hour)), `"reference"`, `"namespaces"`, 1), "spec.namespaces"},
		"a creation in the far future": {strings.Replace(exception(t, namespace, repository, time.Now().Add(300*24*time.Hour)), `"name":"x"`, `"name":"x","creationTimestamp":"2099-01-01T00:00:00Z"`, 1), "spec.expires"},
		"another namespace":            {exception(t, "default", repository, time.Now().Add(time.Hour)), "forbidden"},
	} {
		if result := apply(tc.manifest); result.Code == 0 || !strings.Contains(result.Stderr, tc.field) {
			t.Errorf("%s: exit status %d, want a refusal that says %s:\n%s", what, result.Code, tc.field, result.Stderr)
		}
	}
	admitted(t, apply(exception(t, namespace, "**", time.Now().Add(time.Hour))))
	mustKubectl(t, "", "wait", "--for=condition=Active", "--timeout=15s", "-n", namespace, "imagepolicyexception/x")
	result := runPod(t, namespace, "app", image.Ref())
	refused(t, result, "NoSignature", policy)
	if strings.Contains(result.Stderr, "ImagePolicyException") {
		t.Errorf("a policy that takes no exceptions speaks of them:\n%s", result.Stderr)
	}
	if result := apply(exception(t, namespace, "**", time.Now().Add(7*24*time.Hour+time.Hour))); result.Code == 0 {
		t.Error("an exception was extended beyond a week from its creation")
	}
}
