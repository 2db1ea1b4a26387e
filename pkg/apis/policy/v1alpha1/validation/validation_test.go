// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/countersign-dev/countersign/pkg/apis/policy/v1alpha1"
	"github.com/countersign-dev/countersign/pkg/trust/trusttest"
)

// keys returns the PEM text of a new public key, and of its private one.
func keys(t *testing.T) (public, private string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pub, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	priv, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pub})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: priv}))
}

func goodPolicy(t *testing.T) *v1alpha1.ClusterImagePolicy {
	t.Helper()
	public, _ := keys(t)
	p := &v1alpha1.ClusterImagePolicy{Spec: v1alpha1.ClusterImagePolicySpec{
		Images: []v1alpha1.ImagePattern{{Glob: "registry.example/payments/**"}},
		Authorities: []v1alpha1.Authority{
			{Name: "release-key", Key: &v1alpha1.KeyAuthority{Data: public}, CTLog: &v1alpha1.CTLog{LogRefs: []string{"corp"}}},
			{Name: "retired", Static: &v1alpha1.StaticAuthority{Action: v1alpha1.StaticFail, Message: "retired"}},
		},
	}}
	p.SetDefaults()
	return p
}

// where returns the fields that errors are about, and checks that none of them
// quotes a secret.
func where(t *testing.T, errs field.ErrorList, secret string) []string {
	t.Helper()
	var fields []string
	for _, err := range errs {
		fields = append(fields, err.Field)
		if secret != "" && strings.Contains(err.Error(), secret) {
			t.Errorf("%v quotes what may be a secret", err)
		}
	}
	return fields
}

func TestClusterImagePolicy(t *testing.T) {
	public, private := keys(t)
	yes := true
	type spec = v1alpha1.ClusterImagePolicySpec
	tests := map[string]struct {
		edit func(*spec)
		want []string
	}{
		"a good policy":                 {func(*spec) {}, nil},
		"a mode that does not exist":    {func(s *spec) { s.Mode = "block" }, []string{"spec.mode"}},
		"an outage that opens the gate": {func(s *spec) { s.OnUnavailable = "allow" }, []string{"spec.onUnavailable"}},
		"platforms that are neither":    {func(s *spec) { s.Platforms = "some" }, []string{"spec.platforms"}},
		"all platforms":                 {func(s *spec) { s.Platforms = v1alpha1.PlatformsAll }, nil},
		"a recent verdict in an outage": {func(s *spec) { s.OnUnavailable = v1alpha1.OnUnavailableAllowPreviouslyVerified }, nil},
		"no images":                     {func(s *spec) { s.Images = nil }, []string{"spec.images"}},
		"a glob that does not parse":    {func(s *spec) { s.Images[0].Glob = "UPPER case" }, []string{"spec.images[0].glob"}},
		"a glob that is too long": {
			func(s *spec) { s.Images[0].Glob = strings.Repeat("a", maxGlob+1) }, []string{"spec.images[0].glob"},
		},
		"an exclusion that does not parse": {
			func(s *spec) { s.ExcludeImages = []v1alpha1.ImagePattern{{Glob: ""}} }, []string{"spec.excludeImages[0].glob"},
		},
		"too many patterns": {
			func(s *spec) { s.ExcludeImages = make129() }, []string{"spec.excludeImages"},
		},
		"no authorities":                  {func(s *spec) { s.Authorities = nil }, []string{"spec.authorities"}},
		"an authority twice":              {func(s *spec) { s.Authorities[1].Name = "release-key" }, []string{"spec.authorities[1].name"}},
		"an authority's name":             {func(s *spec) { s.Authorities[0].Name = "Release Key" }, []string{"spec.authorities[0].name"}},
		"neither key, keyless nor static": {func(s *spec) { s.Authorities[1].Static = nil }, []string{"spec.authorities[1]"}},
		"both key and static":             {func(s *spec) { s.Authorities[1].Key = s.Authorities[0].Key }, []string{"spec.authorities[1]"}},
		"a threshold that nobody can meet": {
			func(s *spec) { s.Threshold = 3 }, []string{"spec.threshold"},
		},
		"one key under two names, of which a threshold needs two": {
			func(s *spec) {
				s.Authorities[1] = v1alpha1.Authority{Name: "again", Key: &v1alpha1.KeyAuthority{Data: s.Authorities[0].Key.Data, HashAlgorithm: "sha512"}}
				s.Threshold = 2
			},
			[]string{"spec.authorities[1].key"},
		},
		"one Secret under two names, of which a threshold needs two": {
			func(s *spec) {
				secret := &v1alpha1.KeyAuthority{SecretRef: &v1alpha1.SecretKeyReference{Name: "keys", Key: "cosign.pub"}, HashAlgorithm: "sha256"}
				s.Authorities[0].Key, s.Authorities[1] = secret, v1alpha1.Authority{Name: "again", Key: secret}
				s.Threshold = 2
			},
			[]string{"spec.authorities[1].key"},
		},
		"one key under two names that are alternatives": {
			func(s *spec) { s.Authorities[1] = v1alpha1.Authority{Name: "again", Key: s.Authorities[0].Key} }, nil,
		},
		"a log by its URL": {func(s *spec) { s.Authorities[0].CTLog = &v1alpha1.CTLog{URL: "https://rekor.example"} }, nil},
		"a log by a URL with a password": {
			func(s *spec) { s.Authorities[0].CTLog = &v1alpha1.CTLog{URL: "https://me:pw@rekor.example"} }, []string{"spec.authorities[0].ctlog.url"},
		},
		"two logs at one URL": {
			func(s *spec) { s.Authorities[0].CTLog = &v1alpha1.CTLog{URL: "https://rekor.example", Threshold: 2} }, []string{"spec.authorities[0].ctlog.threshold"},
		},
		"two logs of a trust root": {func(s *spec) { s.Authorities[0].CTLog = &v1alpha1.CTLog{TrustRootRef: "corp", Threshold: 2} }, nil},
		"nine logs of a trust root": {
			func(s *spec) { s.Authorities[0].CTLog = &v1alpha1.CTLog{TrustRootRef: "corp", Threshold: 9} }, []string{"spec.authorities[0].ctlog.threshold"},
		},
		"the logs of a trust root that cannot be": {
			func(s *spec) { s.Authorities[0].CTLog = &v1alpha1.CTLog{TrustRootRef: "a b"} }, []string{"spec.authorities[0].ctlog.trustRootRef"},
		},
		"logs by name and by URL": {
			func(s *spec) { s.Authorities[0].CTLog.URL = "https://rekor.example" }, []string{"spec.authorities[0].ctlog"},
		},
		"logs by name and by trust root": {
			func(s *spec) { s.Authorities[0].CTLog.TrustRootRef = "corp" }, []string{"spec.authorities[0].ctlog"},
		},
		"no log at all, and a URL": {
			func(s *spec) {
				s.Authorities[0].CTLog = &v1alpha1.CTLog{InsecureIgnoreTlog: &yes, URL: "https://rekor.example"}
			}, []string{"spec.authorities[0].ctlog"},
		},
		"one key in a service under two names, of which a threshold needs two": {
			func(s *spec) {
				service := &v1alpha1.KeyAuthority{KMS: "hashivault://release", HashAlgorithm: "sha256"}
				s.Authorities[0].Key, s.Authorities[1] = service, v1alpha1.Authority{Name: "again", Key: service}
				s.Threshold = 2
			},
			[]string{"spec.authorities[1].key"},
		},
		"a key in a service": {
			func(s *spec) {
				s.Authorities[0].Key = &v1alpha1.KeyAuthority{KMS: "awskms:///alias/release", HashAlgorithm: "sha256"}
			}, nil,
		},
		"a key in no service that we know": {
			func(s *spec) {
				s.Authorities[0].Key = &v1alpha1.KeyAuthority{KMS: "vault://release", HashAlgorithm: "sha256"}
			},
			[]string{"spec.authorities[0].key.kms"},
		},
		"a key in a service, not in its form, and a hash that does not exist": {
			func(s *spec) {
				s.Authorities[0].Key = &v1alpha1.KeyAuthority{KMS: "gcpkms://release", HashAlgorithm: "md5"}
			},
			[]string{"spec.authorities[0].key.hashAlgorithm", "spec.authorities[0].key.kms"},
		},
		"both data and a key in a service": {
			func(s *spec) { s.Authorities[0].Key.KMS = "hashivault://release" }, []string{"spec.authorities[0].key"},
		},
		"neither data nor secretRef": {
			func(s *spec) { s.Authorities[0].Key.Data = "" }, []string{"spec.authorities[0].key"},
		},
		"both data and secretRef": {
			func(s *spec) { s.Authorities[0].Key.SecretRef = &v1alpha1.SecretKeyReference{Name: "a"} }, []string{"spec.authorities[0].key"},
		},
		"a Secret's name and key": {
			func(s *spec) {
				s.Authorities[0].Key = &v1alpha1.KeyAuthority{SecretRef: &v1alpha1.SecretKeyReference{Name: "../etc", Key: "a/b"}, HashAlgorithm: "sha256"}
			},
			[]string{"spec.authorities[0].key.secretRef.name", "spec.authorities[0].key.secretRef.key"},
		},
		"a hash that does not exist": {
			func(s *spec) { s.Authorities[0].Key.HashAlgorithm = "md5" }, []string{"spec.authorities[0].key.hashAlgorithm"},
		},
		"a key in a certificate": {func(s *spec) { s.Authorities[0].Key.Data = trusttest.NewCA("a", time.Now().AddDate(-1, 0, 0)).PEM(0) }, nil},
		"two certificates": {
			func(s *spec) { s.Authorities[0].Key.Data = trusttest.NewCA("a", time.Now().AddDate(1, 0, 0)).PEM() }, []string{"spec.authorities[0].key.data"},
		},
		"a private key":           {func(s *spec) { s.Authorities[0].Key.Data = private }, []string{"spec.authorities[0].key.data"}},
		"a key that is cut short": {func(s *spec) { s.Authorities[0].Key.Data = public[:80] }, []string{"spec.authorities[0].key.data"}},
		"a static answer that does not exist": {
			func(s *spec) { s.Authorities[1].Static = &v1alpha1.StaticAuthority{Action: "maybe"} }, []string{"spec.authorities[1].static.action"},
		},
		"a message that nobody would see": {
			func(s *spec) { s.Authorities[1].Static.Action = v1alpha1.StaticPass }, []string{"spec.authorities[1].static.message"},
		},
		"a message that is too long": {
			func(s *spec) { s.Authorities[1].Static.Message = strings.Repeat("a", maxMessage+1) }, []string{"spec.authorities[1].static.message"},
		},
		"logs of a static authority": {
			func(s *spec) { s.Authorities[1].CTLog = &v1alpha1.CTLog{LogRefs: []string{"corp"}} }, []string{"spec.authorities[1].ctlog"},
		},
		"logs that are named and ignored": {
			func(s *spec) { s.Authorities[0].CTLog.InsecureIgnoreTlog = &yes }, []string{"spec.authorities[0].ctlog"},
		},
		"more logs to prove than are named": {
			func(s *spec) { s.Authorities[0].CTLog.Threshold = 2 }, []string{"spec.authorities[0].ctlog.threshold"},
		},
		"a log twice": {
			func(s *spec) { s.Authorities[0].CTLog.LogRefs = []string{"corp", "corp"} }, []string{"spec.authorities[0].ctlog.logRefs[1]"},
		},
		"a log's name": {
			func(s *spec) { s.Authorities[0].CTLog.LogRefs = []string{"Corp Log"} }, []string{"spec.authorities[0].ctlog.logRefs[0]"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			p := goodPolicy(t)
			tc.edit(&p.Spec)
			if diff := cmp.Diff(tc.want, where(t, ClusterImagePolicy(p), private)); diff != "" {
				t.Errorf("fields with errors (-want +got):\n%s", diff)
			}
		})
	}
}

func make129() []v1alpha1.ImagePattern {
	patterns := make([]v1alpha1.ImagePattern, maxPatterns+1)
	for i := range patterns {
		patterns[i].Glob = "registry.example/a"
	}
	return patterns
}

func goodLog(t *testing.T) *v1alpha1.TransparencyLog {
	t.Helper()
	public, _ := keys(t)
	log := &v1alpha1.TransparencyLog{
		ObjectMeta: metav1.ObjectMeta{Name: "corp"},
		Spec: v1alpha1.TransparencyLogSpec{
			Type: v1alpha1.LogTypeRekorV1, URLs: []string{"https://rekor.example"}, Origin: "rekor.example",
			PublicKey: v1alpha1.LogPublicKey{Data: public},
		},
	}
	log.SetDefaults()
	return log
}

func TestTransparencyLog(t *testing.T) {
	public, private := keys(t)
	type spec = v1alpha1.TransparencyLogSpec
	url := func(text string) func(*spec) { return func(s *spec) { s.URLs = []string{text} } }
	interval := func(d time.Duration) func(*spec) {
		return func(s *spec) { s.PollInterval = &metav1.Duration{Duration: d} }
	}
	staleness := func(d time.Duration) func(*spec) {
		return func(s *spec) { s.MaxStaleness = &metav1.Duration{Duration: d} }
	}
	tests := map[string]struct {
		edit func(*spec)
		want []string
	}{
		"a good log":                 {func(*spec) {}, nil},
		"a URL with port and path":   {url("http://127.0.0.1:3000/rekor"), nil},
		"an origin with a port":      {func(s *spec) { s.Origin = "localhost:3000" }, nil},
		"a key in a Secret":          {func(s *spec) { s.PublicKey = v1alpha1.LogPublicKey{SecretRef: &v1alpha1.SecretKeyReference{Name: "a"}} }, nil},
		"a type that does not exist": {func(s *spec) { s.Type = "rekor-v9" }, []string{"spec.type"}},
		"a Rekor v2 log":             {func(s *spec) { s.Type = v1alpha1.LogTypeRekorV2 }, nil},
		"a Rekor v2 log that is read elsewhere": {func(s *spec) {
			s.Type, s.ReadURLs = v1alpha1.LogTypeRekorV2, []string{"https://tiles.example/rekor", "https://copy.example"}
		}, nil},
		"a Rekor v1 log that is read elsewhere": {func(s *spec) { s.ReadURLs = []string{"https://tiles.example"} }, []string{"spec.readURLs"}},
		"a read URL with a password": {func(s *spec) {
			s.Type, s.ReadURLs = v1alpha1.LogTypeRekorV2, []string{"https://tiles.example", "https://me:s3cret@tiles.example"}
		}, []string{"spec.readURLs[1]"}},
		"nine read URLs": {func(s *spec) {
			s.Type, s.ReadURLs = v1alpha1.LogTypeRekorV2, strings.Fields(strings.Repeat("https://tiles.example ", maxReadURLs+1))
		}, []string{"spec.readURLs"}},
		"no URL":                      {func(s *spec) { s.URLs = nil }, []string{"spec.urls"}},
		"a URL with a password":       {url("https://me:s3cret@rekor.example"), []string{"spec.urls[0]"}},
		"a URL with a query":          {url("https://rekor.example?a=b"), []string{"spec.urls[0]"}},
		"a URL with a fragment":       {url("https://rekor.example#a"), []string{"spec.urls[0]"}},
		"a URL of another scheme":     {url("ftp://rekor.example"), []string{"spec.urls[0]"}},
		"a URL without a host":        {url("https:///api"), []string{"spec.urls[0]"}},
		"a URL that is none":          {url("http://[::1"), []string{"spec.urls[0]"}},
		"an origin with the tree ID":  {func(s *spec) { s.Origin = "rekor.example - 123" }, []string{"spec.origin"}},
		"an origin that is a URL":     {func(s *spec) { s.Origin = "https://rekor.example" }, []string{"spec.origin"}},
		"no origin":                   {func(s *spec) { s.Origin = "" }, []string{"spec.origin"}},
		"neither data nor secretRef":  {func(s *spec) { s.PublicKey.Data = "" }, []string{"spec.publicKey"}},
		"both data and secretRef":     {func(s *spec) { s.PublicKey.SecretRef = &v1alpha1.SecretKeyReference{Name: "a"} }, []string{"spec.publicKey"}},
		"a private key":               {func(s *spec) { s.PublicKey.Data = private }, []string{"spec.publicKey.data"}},
		"two keys":                    {func(s *spec) { s.PublicKey.Data = public + public }, []string{"spec.publicKey.data"}},
		"polling without a pause":     {interval(100 * time.Millisecond), []string{"spec.pollInterval"}},
		"polling once in a blue moon": {interval(25 * time.Hour), []string{"spec.pollInterval"}},
		"stale for a month":           {staleness(720 * time.Hour), nil},
		"stale at once":               {staleness(0), []string{"spec.maxStaleness"}},
		"never stale":                 {staleness(721 * time.Hour), []string{"spec.maxStaleness"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			log := goodLog(t)
			tc.edit(&log.Spec)
			errs := TransparencyLog(log)
			if diff := cmp.Diff(tc.want, where(t, errs, private)); diff != "" {
				t.Errorf("fields with errors (-want +got):\n%s", diff)
			}
			if len(errs) > 0 && strings.Contains(errs.ToAggregate().Error(), "s3cret") {
				t.Errorf("%v quotes a password", errs)
			}
		})
	}
}

func TestPolicyWarnings(t *testing.T) {
	yes := true
	corp, isDefault := goodLog(t), goodLog(t)
	isDefault.Name, isDefault.Spec.Default = "main", &yes
	both := []v1alpha1.TransparencyLog{*corp, *isDefault}
	second := *isDefault
	second.Name = "second"
	type spec = v1alpha1.ClusterImagePolicySpec
	tests := map[string]struct {
		edit func(*spec)
		logs []v1alpha1.TransparencyLog
		want []string // what each warning contains
	}{
		"nothing to warn of":    {func(*spec) {}, both, nil},
		"a log that is missing": {func(*spec) {}, both[1:], []string{"spec.authorities[0].ctlog.logRefs[0]"}},
		"no default log":        {func(s *spec) { s.Authorities[0].CTLog = nil }, both[:1], []string{"no TransparencyLog is the default"}},
		"the default log":       {func(s *spec) { s.Authorities[0].CTLog = nil }, both, nil},
		"two default logs": {
			func(s *spec) { s.Authorities[0].CTLog = nil }, append(both[:2:2], second), []string{"2 TransparencyLogs are marked"},
		},
		"no log is asked": {
			func(s *spec) { s.Authorities[0].CTLog = &v1alpha1.CTLog{InsecureIgnoreTlog: &yes} }, both, []string{"insecureIgnoreTlog"},
		},
		"a tag that an attacker leaves out": {
			func(s *spec) { s.Images[0].Glob = "registry.example/app:v1" }, both, []string{"names a tag"},
		},
		"everything passes": {
			func(s *spec) {
				s.Images[0].Glob, s.Authorities = "**", s.Authorities[1:]
				s.Authorities[0].Static = &v1alpha1.StaticAuthority{Action: v1alpha1.StaticPass}
			}, both, []string{"every image from everywhere"},
		},
		"proofs that nobody can be asked about": {
			func(s *spec) { s.OnUnavailable = v1alpha1.OnUnavailableAllowEmbeddedProof }, both, []string{"that nobody else sees"},
		},
		"proofs that no signature brings": {func(s *spec) {
			s.OnUnavailable = v1alpha1.OnUnavailableAllowEmbeddedProof
			s.Authorities[0].SignatureFormat = v1alpha1.SignatureFormatLegacy
		}, both, []string{"changes nothing"}},
		"earlier verdicts": {
			func(s *spec) { s.OnUnavailable = v1alpha1.OnUnavailableAllowPreviouslyVerified }, both, []string{"withdrawn"},
		},
		"a key that nobody needs": {
			func(s *spec) { s.Authorities[1].Static = &v1alpha1.StaticAuthority{Action: v1alpha1.StaticPass} },
			both, []string{"makes the others needless"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			p := goodPolicy(t)
			tc.edit(&p.Spec)
			expectEach(t, PolicyWarnings(p, Known{Logs: tc.logs}), tc.want)
		})
	}
}

func TestLogWarnings(t *testing.T) {
	yes := true
	log := goodLog(t)
	log.Spec.Default = &yes
	other := *log
	other.Name = "other"
	plain := log.DeepCopy()
	plain.Spec.URLs[0] = "http://rekor.example"
	expectEach(t, LogWarnings(log, []v1alpha1.TransparencyLog{*log}), nil)
	expectEach(t, LogWarnings(log, []v1alpha1.TransparencyLog{*log, other}), []string{"\"other\" is the default, too"})
	expectEach(t, LogWarnings(plain, nil), []string{"not encrypted"})
	rarely := log.DeepCopy()
	rarely.Spec.PollInterval = &metav1.Duration{Duration: 31 * time.Minute}
	expectEach(t, LogWarnings(rarely, nil), []string{"spec.maxStaleness: 1h0m0s is less than two poll intervals"})
	tiled := log.DeepCopy()
	tiled.Spec.Type, tiled.Spec.ReadURLs = v1alpha1.LogTypeRekorV2, []string{"https://tiles.example", "http://tiles.example", "https://tiles.example"}
	expectEach(t, LogWarnings(tiled, nil), []string{"spec.readURLs[1]: http is not encrypted", "spec.readURLs[2]: the same address twice"})
}

func expectEach(t *testing.T, got, want []string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("warnings %q; want %d", got, len(want))
	}
	for i := range want {
		if !strings.Contains(got[i], want[i]) {
			t.Errorf("warning %q does not contain %q", got[i], want[i])
		}
	}
}
