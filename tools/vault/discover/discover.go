// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

// Package discover stands in for the module of that name, with which a Vault finds
// others to form a cluster with: nowhere. The real one is linked with the client of each
// cloud there is, a third of all packages of this program, and ours is alone.
package discover

import (
	"errors"
	"log"
)

// Provider finds addresses.
type Provider any

// Providers are those that there are.
var Providers map[string]Provider

// Discover finds nothing.
type Discover struct{}

// Option configures Discover.
type Option func(*Discover) error

// Config is what a provider is told.
type Config map[string]string

// String is empty: there is nothing to be told.
func (Config) String() string { return "" }

// New returns a Discover.
func New(...Option) (*Discover, error) { return &Discover{}, nil }

// WithProviders changes nothing.
func WithProviders(map[string]Provider) Option { return nil }

// Addrs finds nothing.
func (*Discover) Addrs(string, *log.Logger) ([]string, error) { return nil, errNowhere }

// Parse parses nothing.
func Parse(string) (Config, error) { return nil, errNowhere }

var errNowhere = errors.New("this Vault looks for no other")
