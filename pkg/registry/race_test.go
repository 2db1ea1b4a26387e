// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build race

package registry

// allocationUnderTest is how much more than the program a test allocates: under the race
// detector a sync.Pool drops at random what is put into it, so that buffers are made anew.
const allocationUnderTest = 2
