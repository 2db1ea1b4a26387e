// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package kms

import (
	"fmt"
	"regexp"
	"strings"
)

// Scheme is that of a URI: which service holds the key.
type Scheme string

// Schemes, as in sigstore.
const (
	AWS        Scheme = "awskms"
	Azure      Scheme = "azurekms"
	GCP        Scheme = "gcpkms"
	HashiVault Scheme = "hashivault"
)

// MaxURI is the length of the longest URI that is accepted, in bytes.
const MaxURI = 1024

// URI names a key of a service. The zero value names none; ParseURI makes others.
type URI struct {
	// Scheme is the service.
	Scheme Scheme
	text   string
	parts  map[string]string
}

// String is the URI as it was written.
func (u URI) String() string { return u.text }

// Part returns a named part of the URI, or "" where it is left out:
//
//	awskms      endpoint (host[:port]), region, key (what KeyId is to AWS)
//	azurekms    vault (host[:port]), key, version
//	gcpkms      key (projects/…/cryptoKeys/…), version
//	hashivault  key
func (u URI) Part(name string) string { return u.parts[name] }

const (
	hostPort = `[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?`
	awsID    = `(?:[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}|mrk-[0-9A-Fa-f]{32})`
	awsAlias = `alias/[A-Za-z0-9/_-]{1,250}`
)

// forms are sigstore's, by scheme: those of its KMS modules at v1.10.11, without the
// characters that no service has in a name.
var forms = map[Scheme]struct {
	expression *regexp.Regexp
	form       string
}{
	AWS: {
		regexp.MustCompile(`\Aawskms://(?P<endpoint>(?:` + hostPort + `)?)/(?P<key>` + awsID + `|` + awsAlias +
			`|arn:aws[a-z-]*:kms:(?P<region>[a-z0-9-]+):[0-9]{12}:(?:key/` + awsID + `|` + awsAlias + `))\z`),
		"awskms://[ENDPOINT]/ID, …/ARN, …/alias/NAME or …/ALIAS-ARN (three slashes where there is no endpoint)",
	},
	Azure: {
		regexp.MustCompile(`\Aazurekms://(?P<vault>[A-Za-z0-9-]+\.` + hostPort + `)/(?P<key>[A-Za-z0-9-]{1,127})(?:/(?P<version>[a-z0-9]{0,64}))?\z`),
		"azurekms://NAME.vault.azure.net/KEY[/VERSION]",
	},
	GCP: {
		regexp.MustCompile(`\Agcpkms://(?P<key>projects/[a-z0-9.:-]+/locations/[a-z0-9-]+/keyRings/[A-Za-z0-9_-]{1,63}/cryptoKeys/[A-Za-z0-9_-]{1,63})` +
			`(?:/(?:cryptoKeyVersions|versions)/(?P<version>[0-9]{1,18}))?\z`),
		"gcpkms://projects/PROJECT/locations/LOCATION/keyRings/RING/cryptoKeys/KEY[/cryptoKeyVersions/VERSION]",
	},
	HashiVault: {
		regexp.MustCompile(`\Ahashivault://(?P<key>[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?)\z`),
		"hashivault://KEY, where the server and the path of its transit engine come from VAULT_ADDR and TRANSIT_SECRET_ENGINE_PATH",
	},
}

// ParseURI parses the URI of a key. Its error says which form the service's have.
func ParseURI(text string) (URI, error) {
	if len(text) > MaxURI {
		return URI{}, fmt.Errorf("longer than %d bytes", MaxURI)
	}
	scheme, _, _ := strings.Cut(text, "://")
	form, ok := forms[Scheme(scheme)]
	if !ok {
		return URI{}, fmt.Errorf("the scheme is none of %s, %s, %s, %s", AWS, GCP, Azure, HashiVault)
	}
	match := form.expression.FindStringSubmatch(text)
	if match == nil {
		return URI{}, fmt.Errorf("want the form %s", form.form)
	}
	uri := URI{Scheme: Scheme(scheme), text: text, parts: map[string]string{}}
	for i, name := range form.expression.SubexpNames() {
		if name != "" {
			uri.parts[name] = match[i]
		}
	}
	return uri, nil
}
