// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

// Package stack starts and stops the real components that Countersign works
// with, as plain processes on loopback: a Kubernetes control plane, two OCI
// registries, Rekor v1 on Trillian and PostgreSQL (MariaDB, if asked for), Rekor v2, Fulcio with a
// certificate transparency log and identity issuers, a timestamp authority, and
// Countersign itself.
//
// Each component is a file of this package, has ports that were free when it
// started, a readiness probe, and a log file of its own in the run directory.
// Nothing is left behind: every process is killed by the kernel when the
// process that started it dies, whatever it dies of (Linux; elsewhere on an
// orderly end only).
package stack
