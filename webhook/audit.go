// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"encoding/hex"
	"encoding/json"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/countersign-dev/countersign/pkg/verify"
	"github.com/countersign-dev/countersign/policy"
)

const (
	// maxAudited bounds the images that one audit event describes.
	maxAudited = 32
	// maxAuditText bounds, in bytes, an image or a detail in an audit event.
	maxAuditText = 512
)

// auditAnnotations are what the audit event of a request says. The API server
// puts the webhook's name, which ends in countersign.dev, and a slash before each
// key; a key with a slash of its own would be dropped.
//
// runs says that the images will run as they are written: the object is a Pod.
func auditAnnotations(decision string, decisions []policy.Decision, runs bool) map[string]string {
	if len(decisions) == 0 {
		return nil
	}
	annotations := map[string]string{"decision": decision, "images": strconv.Itoa(len(decisions))}
	for i, d := range decisions {
		if i == maxAudited {
			break
		}
		annotations["image-"+strconv.Itoa(i)] = auditRecord(d, runs)
	}
	return annotations
}

// auditedImage is the compact form of a decision in an audit event.
type auditedImage struct {
	Image  string `json:"image"`
	Digest string `json:"digest,omitempty"`
	// Unpinned says that what runs is what the tag then points to.
	Unpinned bool            `json:"unpinned,omitempty"`
	Policies []auditedPolicy `json:"policies"`
}

type auditedPolicy struct {
	// Policy is its short name@generation: payments@4, shop/payments@4.
	Policy  string        `json:"policy"`
	Mode    string        `json:"mode"`
	Outcome string        `json:"outcome"`
	Reason  policy.Reason `json:"reason,omitempty"`
	Detail  string        `json:"detail,omitempty"`
	// Format is that of verify.Evidence: legacy, bundle or static.
	Format string `json:"format,omitempty"`
	Signer string `json:"signer,omitempty"`
	// Insecure names the field of the policy without which it would not accept.
	Insecure string `json:"insecure,omitempty"`
	// Leniency is the rule of onUnavailable without which it would not accept, and
	// Reason and Detail say why; VerifiedAt is when the image was verified in full.
	Leniency   string     `json:"leniency,omitempty"`
	VerifiedAt *time.Time `json:"verifiedAt,omitempty"`

	// Exception is the ImagePolicyException for which it is admitted all the same.
	Exception *auditedException `json:"exception,omitempty"`

	Logs []auditedLog `json:"logs,omitempty"`
}

type auditedException struct {
	// Exception is namespace/name.
	Exception  string    `json:"exception"`
	Reason     string    `json:"reason"`
	ApprovedBy string    `json:"approvedBy,omitempty"`
	Reference  string    `json:"reference,omitempty"`
	Expires    time.Time `json:"expires"`
}

// auditedLog is what is needed to find the entry again, and to hold the log to
// the checkpoint that it showed.
type auditedLog struct {
	Origin string `json:"origin"`
	Index  int64  `json:"index"`
	Size   uint64 `json:"size"`
	Root   string `json:"root"`
	// Unasked says that the log could not be asked whether that is in its history.
	Unasked bool `json:"unasked,omitempty"`
}

func auditRecord(d policy.Decision, runs bool) string {
	record := auditedImage{Image: clip(d.Image), Digest: d.Digest, Unpinned: runs && !d.Pinned, Policies: []auditedPolicy{}}
	for _, r := range d.Policies {
		record.Policies = append(record.Policies, auditPolicy(r))
	}
	text, err := json.Marshal(record)
	if err != nil {
		return `{"error":"the decision could not be written down"}`
	}
	return string(text)
}

func auditPolicy(r policy.PolicyResult) auditedPolicy {
	outcome, reason, detail := policy.Outcome(r.Verdict)
	audited := auditedPolicy{
		Policy:  r.Policy.Short() + "@" + strconv.FormatInt(r.Generation, 10),
		Mode:    string(r.Mode),
		Outcome: outcome,
		Reason:  reason,
		Detail:  clip(detail),
	}
	if x := r.Exception; x != nil {
		audited.Exception = &auditedException{
			Exception: x.Namespace + "/" + x.Name, Reason: clip(x.Reason), ApprovedBy: clip(x.ApprovedBy), Reference: clip(x.Reference), Expires: x.Expires,
		}
	}
	if good, ok := r.Verdict.(verify.Verified); ok {
		audited.Format, audited.Signer = good.Evidence.Format, good.Evidence.Signer
		if r.Unlogged() {
			audited.Insecure = "insecureIgnoreTlog"
		}
		if lenient := r.Leniency(); lenient != nil {
			audited.Leniency, audited.VerifiedAt = string(lenient.Rule), lenient.VerifiedAt
			audited.Reason, audited.Detail = lenient.Cause, clip(lenient.Detail)
		}
		for _, proof := range good.Evidence.Proofs {
			checkpoint := proof.Checkpoint()
			root := checkpoint.Root()
			audited.Logs = append(audited.Logs, auditedLog{
				Origin: checkpoint.Origin(), Index: proof.Index(), Size: checkpoint.Size(), Root: hex.EncodeToString(root[:]),
				Unasked: proof.Unasked() != "",
			})
		}
	}
	return audited
}

// clip cuts s to maxAuditText bytes, between characters.
func clip(s string) string {
	if len(s) <= maxAuditText {
		return s
	}
	cut := maxAuditText
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
