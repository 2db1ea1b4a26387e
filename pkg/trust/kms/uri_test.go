// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package kms

import (
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	uuid = "1234abcd-12ab-34cd-56ef-1234567890ab"
	mrk  = "mrk-1234abcd12ab34cd56ef1234567890ab"
	ring = "gcpkms://projects/corp/locations/europe-west3/keyRings/release/cryptoKeys/signing"
)

// TestURIs has the forms that sigstore documents, and what it makes of them.
func TestURIs(t *testing.T) {
	type parts = map[string]string
	for name, tt := range map[string]struct {
		text   string
		scheme Scheme
		want   parts
	}{
		"AWS, a key":                     {"awskms:///" + uuid, AWS, parts{"key": uuid}},
		"AWS, a multi-region key":        {"awskms:///" + mrk, AWS, parts{"key": mrk}},
		"AWS, a key at an endpoint":      {"awskms://localhost:4566/" + uuid, AWS, parts{"endpoint": "localhost:4566", "key": uuid}},
		"AWS, a key by ARN":              {"awskms:///arn:aws:kms:us-east-2:111122223333:key/" + uuid, AWS, parts{"key": "arn:aws:kms:us-east-2:111122223333:key/" + uuid, "region": "us-east-2"}},
		"AWS, an ARN in China":           {"awskms:///arn:aws-cn:kms:cn-north-1:111122223333:key/" + uuid, AWS, parts{"key": "arn:aws-cn:kms:cn-north-1:111122223333:key/" + uuid, "region": "cn-north-1"}},
		"AWS, an ARN at an endpoint":     {"awskms://vpce-1.kms.us-east-2.vpce.amazonaws.com/arn:aws:kms:us-east-2:111122223333:key/" + mrk, AWS, parts{"endpoint": "vpce-1.kms.us-east-2.vpce.amazonaws.com", "key": "arn:aws:kms:us-east-2:111122223333:key/" + mrk, "region": "us-east-2"}},
		"AWS, an alias":                  {"awskms:///alias/ExampleAlias", AWS, parts{"key": "alias/ExampleAlias"}},
		"AWS, an alias with a slash":     {"awskms:///alias/release/api_1", AWS, parts{"key": "alias/release/api_1"}},
		"AWS, an alias by ARN":           {"awskms:///arn:aws:kms:us-east-2:111122223333:alias/ExampleAlias", AWS, parts{"key": "arn:aws:kms:us-east-2:111122223333:alias/ExampleAlias", "region": "us-east-2"}},
		"Azure, the newest version":      {"azurekms://corp.vault.azure.net/release", Azure, parts{"vault": "corp.vault.azure.net", "key": "release"}},
		"Azure, with a slash at its end": {"azurekms://corp.vault.azure.net/release/", Azure, parts{"vault": "corp.vault.azure.net", "key": "release"}},
		"Azure, a version":               {"azurekms://corp.vault.azure.net/release/0123456789abcdef0123456789abcdef", Azure, parts{"vault": "corp.vault.azure.net", "key": "release", "version": "0123456789abcdef0123456789abcdef"}},
		"Azure, a managed HSM":           {"azurekms://corp.managedhsm.azure.net/release", Azure, parts{"vault": "corp.managedhsm.azure.net", "key": "release"}},
		"GCP, a key":                     {ring, GCP, parts{"key": strings.TrimPrefix(ring, "gcpkms://")}},
		"GCP, a version":                 {ring + "/cryptoKeyVersions/7", GCP, parts{"key": strings.TrimPrefix(ring, "gcpkms://"), "version": "7"}},
		"GCP, a version, short":          {ring + "/versions/12", GCP, parts{"key": strings.TrimPrefix(ring, "gcpkms://"), "version": "12"}},
		"Vault":                          {"hashivault://release", HashiVault, parts{"key": "release"}},
		"Vault, one letter":              {"hashivault://r", HashiVault, parts{"key": "r"}},
		"Vault, all that a name has":     {"hashivault://Release_key-1.2", HashiVault, parts{"key": "Release_key-1.2"}},
	} {
		t.Run(name, func(t *testing.T) {
			uri, err := ParseURI(tt.text)
			if err != nil {
				t.Fatal(err)
			}
			maps.DeleteFunc(uri.parts, func(_, value string) bool { return value == "" })
			if diff := cmp.Diff(tt.want, uri.parts); diff != "" || uri.Scheme != tt.scheme || uri.String() != tt.text {
				t.Errorf("%v of %s (-want +got):\n%s", uri, uri.Scheme, diff)
			}
			for part, value := range tt.want {
				if got := uri.Part(part); got != value {
					t.Errorf("Part(%s) = %q", part, got)
				}
			}
		})
	}
}

// TestURIsThatNameNoKey: what a URI can smuggle into a request, or leads elsewhere.
func TestURIsThatNameNoKey(t *testing.T) {
	for name, tt := range map[string]struct{ text, says string }{
		"nothing":                             {"", "none of awskms, gcpkms, azurekms, hashivault"},
		"a file":                              {"file:///cosign.pub", "none of"},
		"a name alone":                        {"release", "none of"},
		"a plugin's scheme":                   {"evil://x", "none of"},
		"a scheme in capitals":                {"HASHIVAULT://release", "none of"},
		"a scheme alone":                      {"hashivault://", "hashivault://KEY"},
		"Kubernetes' own":                     {"k8s://ns/secret", "none of"},
		"Vault, a path":                       {"hashivault://transit/keys/release", "TRANSIT_SECRET_ENGINE_PATH"},
		"Vault, a way up":                     {"hashivault://..", "hashivault://KEY"},
		"Vault, a query":                      {"hashivault://release?version=1", "hashivault://KEY"},
		"Vault, an escape":                    {"hashivault://release%2f..", "hashivault://KEY"},
		"Vault, a line break":                 {"hashivault://release\n", "hashivault://KEY"},
		"AWS without the third slash":         {"awskms://" + uuid, "three slashes"},
		"AWS, half a UUID":                    {"awskms:///1234abcd-12ab", "awskms://"},
		"AWS, a user in the endpoint":         {"awskms://user@host/" + uuid, "awskms://"},
		"AWS, a query in the endpoint":        {"awskms://host?x/" + uuid, "awskms://"},
		"AWS, an ARN of another service":      {"awskms:///arn:aws:s3:us-east-2:111122223333:key/" + uuid, "awskms://"},
		"AWS, an account that is short":       {"awskms:///arn:aws:kms:us-east-2:1111:key/" + uuid, "awskms://"},
		"AWS, an alias without a name":        {"awskms:///alias/", "awskms://"},
		"AWS, an alias with a space":          {"awskms:///alias/a b", "awskms://"},
		"AWS, something after the key":        {"awskms:///" + uuid + "/x", "awskms://"},
		"Azure, a vault without its domain":   {"azurekms://corp/release", "vault.azure.net"},
		"Azure without a key":                 {"azurekms://corp.vault.azure.net/", "azurekms://"},
		"Azure, a user in the vault":          {"azurekms://x@corp.vault.azure.net/release", "azurekms://"},
		"Azure, a way up":                     {"azurekms://corp.vault.azure.net/../secrets", "azurekms://"},
		"Azure, a key with a dot":             {"azurekms://corp.vault.azure.net/a.b", "azurekms://"},
		"GCP, a ring":                         {"gcpkms://projects/corp/locations/global/keyRings/release", "gcpkms://"},
		"GCP, a version that is no number":    {ring + "/cryptoKeyVersions/latest", "gcpkms://"},
		"GCP, a way up":                       {"gcpkms://projects/../locations/global/keyRings/r/cryptoKeys/k/../..", "gcpkms://"},
		"GCP, a query":                        {ring + "?alt=media", "gcpkms://"},
		"longer than anything":                {"hashivault://" + strings.Repeat("k", MaxURI), "longer than"},
		"a good one after another line":       {"x\nhashivault://release", "none of"},
		"Azure, a host that ends in a hyphen": {"azurekms://corp.vault.azure.net-/release", "azurekms://"},
	} {
		t.Run(name, func(t *testing.T) {
			if uri, err := ParseURI(tt.text); err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("ParseURI = %v, %v; want an error that says %q", uri, err, tt.says)
			}
		})
	}
}
