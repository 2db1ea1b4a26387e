// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/sigstore/sigstore-go/pkg/root"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/trust"
	"github.com/countersign-dev/countersign/pkg/trust/kms"
	"github.com/countersign-dev/countersign/pkg/verify"
)

// counted is where references lead, and how often they were followed.
type counted struct {
	Trust
	followed atomic.Int64
}

func (c *counted) Select(ctlog *v1alpha1.CTLog) ([]*tlog.Prover, error) {
	c.followed.Add(1)
	return c.Logs.Select(ctlog)
}

func (c *counted) Root(name string) (root.TrustedMaterial, error) {
	c.followed.Add(1)
	return c.Roots.Root(name)
}

func (c *counted) Authorities(k *v1alpha1.KeylessAuthority) (root.TrustedMaterial, error) {
	c.followed.Add(1)
	return c.Roots.Authorities(k)
}

func (c *counted) Secret(ctx context.Context, name string) (map[string][]byte, error) {
	c.followed.Add(1)
	return c.Secrets.Secret(ctx, name)
}

func (c *counted) Lookup(uri string) kms.State {
	c.followed.Add(1)
	return c.KMS.Lookup(uri)
}

// TestNoRequestReadsTrustMaterial: keys, trust roots and logs are read and parsed when a
// policy is compiled, each once, and never for an image. (What a trust root holds is
// parsed once a change of it: TestOnlyWhatChangedIsParsedAgain in pkg/trust.)
func TestNoRequestReadsTrustMaterial(t *testing.T) {
	keyless := keylessAuthority()
	keyless.RFC3161Timestamp = nil
	authorities := []v1alpha1.Authority{
		keyless,
		{Name: "secret", Key: &v1alpha1.KeyAuthority{SecretRef: &v1alpha1.SecretKeyReference{Name: "keys", Key: "cosign.pub"}}, CTLog: keyless.CTLog},
		kmsAuthority("service", release),
	}
	c := &counted{Trust: Trust{
		Roots: testRoots(t), Secrets: trust.Secrets{"keys": {"cosign.pub": []byte(publicKey(t))}},
		KMS: services{release: {Versions: []kms.Version{keyVersion(t, "1")}}}, Logs: trust.LogsFromObjects(t.Context(), nil, nil),
	}}
	p := Compile(t.Context(), &v1alpha1.ClusterImagePolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "p"},
		Spec:       v1alpha1.ClusterImagePolicySpec{Images: []v1alpha1.ImagePattern{{Glob: "corp.example/**"}}, Authorities: authorities},
	}, Trust{Logs: c, Roots: c, Secrets: c, KMS: c})
	if problems := p.Problems(); len(problems) > 0 {
		t.Fatal(problems)
	}
	if got := c.followed.Load(); got != int64(len(authorities)) {
		t.Errorf("%d references were followed %d times to compile the policy", len(authorities), got)
	}
	before := c.followed.Load()
	evaluator := NewEvaluator(Options{Policies: NewSet(p), Registry: &scripted{fresh: []verify.Signature{verify.LegacySignature{Payload: []byte("x"), Base64Signature: "AAAA"}}}})
	for i := range 100 {
		d := evaluator.Evaluate(t.Context(), Origin{}, fmt.Sprintf("corp.example/app@sha256:%064x", i))
		if got := summary(d); !strings.Contains(got, "=Rejected/") {
			t.Fatal(got)
		}
	}
	if got := c.followed.Load() - before; got != 0 {
		t.Errorf("%d times trust material was looked for because of 100 images", got)
	}
}
