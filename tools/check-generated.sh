#!/usr/bin/env bash
# Copyright The Countersign Authors.
# SPDX-License-Identifier: Apache-2.0
#
# Fails when `make generate manifests` or `go mod tidy` would change anything. It
# changes nothing itself.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT

.cache/bin/controller-gen \
  object:headerFile=pkg/apis/boilerplate.go.txt crd paths=./pkg/apis/policy/... \
  output:object:dir="$fresh/object" output:crd:dir="$fresh/crd"
.cache/bin/controller-gen crd paths=./pkg/apis/sigstore/v1alpha1 paths=./pkg/apis/sigstore/v1beta1 output:crd:dir="$fresh/sigstore"

stale=0
diff -u pkg/apis/policy/v1alpha1/zz_generated.deepcopy.go "$fresh/object/zz_generated.deepcopy.go" || stale=1
for crd in config/crd/bases/*.yaml "$fresh"/crd/*.yaml; do
  name=$(basename "$crd")
  diff -Nu "config/crd/bases/$name" "$fresh/crd/$name" || stale=1
done
for crd in config/policy.sigstore.dev/policy.sigstore.dev_*.yaml "$fresh"/sigstore/*.yaml; do
  name=$(basename "$crd")
  diff -Nu "config/policy.sigstore.dev/$name" "$fresh/sigstore/$name" || stale=1
done
if ((stale)); then
  echo "generated files are stale: run make generate manifests" >&2
  exit 1
fi

if ! go mod tidy -diff; then
  echo "go.mod or go.sum is not tidy: run go mod tidy" >&2
  exit 1
fi
