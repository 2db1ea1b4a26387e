// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !race

package registry

// allocationUnderTest is how much more than the program a test allocates.
const allocationUnderTest = 1
