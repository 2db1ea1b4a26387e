// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/tlog"
	"github.com/countersign-dev/countersign/pkg/tlog/tlogtest"
	"github.com/countersign-dev/countersign/pkg/trust"
	"github.com/countersign-dev/countersign/pkg/verify"
	"github.com/countersign-dev/countersign/pkg/verify/verifytest"
	"github.com/countersign-dev/countersign/policy"
)

// watchedHistory is that of a log that was verified a minute ago.
type watchedHistory struct{ *tlog.MemoryHistory }

func (h watchedHistory) Freshness(ctx context.Context) (tlog.Freshness, error) {
	_, err := h.MemoryHistory.Freshness(ctx)
	return tlog.Freshness{VerifiedAt: time.Now().Add(-time.Minute), Limit: time.Hour}, err
}

// gateInOutage is a gate whose log was seen when it was smaller, and is away, before an
// image whose signature brings its own proof.
func gateInOutage(t *testing.T, rule v1alpha1.OnUnavailable, mode v1alpha1.Mode) (gate *Images, log *tlogtest.Log, signer *verifytest.Signer, source *shelf) {
	t.Helper()
	signer, log = verifytest.NewSigner(), tlogtest.New("rekor.corp.example")
	log.Grow(5)
	history := tlog.NewMemoryHistory()
	history.Seed(log.Origin(), log.Checkpoint(5))
	server := tlogtest.NewServer(log)
	t.Cleanup(server.Close)
	server.Intercept(func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusBadGateway)
		return true
	})
	key, err := cryptoutils.MarshalPublicKeyToPEM(log.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	logs := trust.NewLogs(func(*v1alpha1.TransparencyLog) tlog.History { return watchedHistory{history} }, trust.Secrets{}, nil)
	isDefault := true
	if err := logs.Set(t.Context(), &v1alpha1.TransparencyLog{
		ObjectMeta: metav1.ObjectMeta{Name: "corp"},
		Spec: v1alpha1.TransparencyLogSpec{
			Type: v1alpha1.LogTypeRekorV1, URLs: []string{server.URL}, Origin: log.Hostname, Default: &isDefault,
			PublicKey: v1alpha1.LogPublicKey{Data: string(key)},
		},
	}); err != nil {
		t.Fatal(err)
	}
	obj := &v1alpha1.ClusterImagePolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "payments", Generation: 4},
		Spec: v1alpha1.ClusterImagePolicySpec{
			Mode: mode, OnUnavailable: rule, Images: []v1alpha1.ImagePattern{{Glob: "corp.example/**"}},
			Authorities: []v1alpha1.Authority{{Name: "release", Key: &v1alpha1.KeyAuthority{Data: string(signer.PEM())}}},
		},
	}
	obj.SetDefaults()
	digest := strings.TrimPrefix(pinned, "@")
	source = &shelf{digest: digest, signatures: []verify.Signature{signer.LoggedBundle(log, verifytest.Statement(digest))}}
	compiled := policy.Compile(t.Context(), obj, policy.Trust{Logs: logs, Secrets: trust.Secrets{}})
	return newImages(policy.NewEvaluator(policy.Options{Policies: policy.NewSet(compiled), Registry: source})), log, signer, source
}

// TestAnAcceptanceInAnOutageIsShown to whoever runs the image and to whoever audits.
func TestAnAcceptanceInAnOutageIsShown(t *testing.T) {
	for name, tt := range map[string]struct {
		rule     v1alpha1.OnUnavailable
		mode     v1alpha1.Mode
		allowed  bool
		warned   bool
		leniency string
	}{
		"deny":                    {rule: v1alpha1.OnUnavailableDeny, mode: enforce},
		"nothing is said":         {mode: enforce},
		"allowEmbeddedProof":      {rule: v1alpha1.OnUnavailableAllowEmbeddedProof, mode: enforce, allowed: true, warned: true, leniency: "allowEmbeddedProof"},
		"the same, only warning":  {rule: v1alpha1.OnUnavailableAllowEmbeddedProof, mode: warn, allowed: true, warned: true, leniency: "allowEmbeddedProof"},
		"the same, only auditing": {rule: v1alpha1.OnUnavailableAllowEmbeddedProof, mode: audit, allowed: true, leniency: "allowEmbeddedProof"},
		"allowPreviouslyVerified": {rule: v1alpha1.OnUnavailableAllowPreviouslyVerified, mode: enforce},
	} {
		t.Run(name, func(t *testing.T) {
			gate, log, _, _ := gateInOutage(t, tt.rule, tt.mode)
			answer := send(t, gate, create("", "Pod", pod(good)))
			if answer.Allowed != tt.allowed {
				t.Fatalf("allowed = %v: %+v", answer.Allowed, answer.Result)
			}
			if !tt.allowed && !strings.Contains(answer.Result.Message, "LogUnavailable") {
				t.Errorf("refused without its reason: %s", answer.Result.Message)
			}
			warnings := strings.Join(answer.Warnings, " ")
			if tt.warned != strings.Contains(warnings, "without full verification (onUnavailable: allowEmbeddedProof)") ||
				tt.warned != strings.Contains(warnings, "LogUnavailable: size 5 and size 6") {
				t.Errorf("warnings %q, want some: %v", answer.Warnings, tt.warned)
			}
			var record auditedImage
			if err := json.Unmarshal([]byte(answer.AuditAnnotations["image-0"]), &record); err != nil {
				t.Fatal(err)
			}
			got := record.Policies[0]
			if got.Leniency != tt.leniency || got.Reason != verify.LogUnavailable || got.Detail == "" {
				t.Errorf("audit record %+v", got)
			}
			if tt.leniency != "" {
				if diff := cmp.Diff([]auditedLog{{Origin: log.Origin(), Index: 5, Size: 6, Root: got.Logs[0].Root, Unasked: true}}, got.Logs); diff != "" {
					t.Errorf("audited logs (-want +got):\n%s", diff)
				}
			}
		})
	}
}

// TestALogThatLiesIsNoOutage: a checkpoint that contradicts what is stored denies under
// every rule, also while the log is away, and from then on so does everything else.
func TestALogThatLiesIsNoOutage(t *testing.T) {
	for _, rule := range []v1alpha1.OnUnavailable{
		v1alpha1.OnUnavailableDeny, v1alpha1.OnUnavailableAllowEmbeddedProof, v1alpha1.OnUnavailableAllowPreviouslyVerified,
	} {
		t.Run(string(rule), func(t *testing.T) {
			gate, log, signer, source := gateInOutage(t, rule, enforce)
			honest := source.signatures
			fork := log.Fork(2)
			fork.Grow(2)
			source.signatures = []verify.Signature{signer.LoggedBundle(fork, verifytest.Statement(source.digest))}
			for _, signatures := range [][]verify.Signature{source.signatures, honest} {
				source.signatures = signatures
				answer := send(t, gate, create("", "Pod", pod(good)))
				if answer.Allowed || !strings.Contains(answer.Result.Message, "CheckpointInconsistent") {
					t.Errorf("allowed = %v: %+v", answer.Allowed, answer.Result)
				}
			}
		})
	}
}
