#!/usr/bin/env bash
# Copyright The Countersign Authors.
# SPDX-License-Identifier: Apache-2.0
#
# Builds the pinned tools into .cache/bin, and only what is missing or stale.
#
#   tools/build.sh stack            the real components of e2e/ (tools/stack, tools/vault, tools/olareg)
#   tools/build.sh demo             those of them that `make demo` needs
#   tools/build.sh controller-gen   the code generator          (tools/dev)
#   tools/build.sh golangci-lint    the linter, with kube-api-linter compiled in
#
# A binary is stale when its stamp (a hash of the module that pins it) differs.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bin=$root/.cache/bin
log_dir=$root/.cache/log
mkdir -p "$bin/stamp" "$log_dir"

export GOWORK=off

# Kubernetes reports v0.0.0 to its clients unless it is linked with its version.
kube_version=$(awk '$1 == "k8s.io/kubernetes" {print $2; exit}' "$root/tools/stack/go.mod")
kube_minor=$(cut -d. -f2 <<<"$kube_version")
version_pkg=k8s.io/component-base/version
ldflags="-s -w -X $version_pkg.gitVersion=$kube_version -X $version_pkg.gitMajor=1 -X $version_pkg.gitMinor=$kube_minor"
tags=postgresql,mysql,etcd # Trillian's storage providers

# name:package:the name that `go build -o DIR/` gives it. The groups are separate
# calls because two packages of one call may not have the same name.
stack=(
  registry:github.com/distribution/distribution/v3/cmd/registry:registry
  ociregistry:./ociregistry:ociregistry
  timestamp-authority:./timestamp-authority:timestamp-authority
  crane:github.com/google/go-containerregistry/cmd/crane:crane
  createtree:github.com/google/trillian/cmd/createtree:createtree
  trillian_log_server:github.com/google/trillian/cmd/trillian_log_server:trillian_log_server
  trillian_log_signer:github.com/google/trillian/cmd/trillian_log_signer:trillian_log_signer
  ct_server:github.com/google/certificate-transparency-go/trillian/ctfe/ct_server:ct_server
  fulcio:github.com/sigstore/fulcio:fulcio
  rekor-server:github.com/sigstore/rekor/cmd/rekor-server:rekor-server
  rekor-tiles:github.com/sigstore/rekor-tiles/v2/cmd/rekor-server/posix:posix
  cosign-v3:github.com/sigstore/cosign/v3/cmd/cosign:cosign
  etcd:go.etcd.io/etcd/server/v3:server
  kube-apiserver:k8s.io/kubernetes/cmd/kube-apiserver:kube-apiserver
  kube-controller-manager:k8s.io/kubernetes/cmd/kube-controller-manager:kube-controller-manager
  kubectl:k8s.io/kubernetes/cmd/kubectl:kubectl
)
vault=(vault:.:vault)
olareg=(olareg:github.com/olareg/olareg/cmd/olareg:olareg)
stack_cosign_v2=(cosign-v2:github.com/sigstore/cosign/v2/cmd/cosign:cosign)
demo=(ociregistry crane rekor-tiles cosign-v3 etcd kube-apiserver kubectl)
controller_gen=(controller-gen:sigs.k8s.io/controller-tools/cmd/controller-gen:controller-gen)
golangci_lint=(golangci-lint:sigs.k8s.io/kube-api-linter/cmd/golangci-lint-kube-api-linter:golangci-lint-kube-api-linter)

# stamp_of MODULE_DIR prints the hash that a binary built from it carries.
stamp_of() {
  (cd "$1" && { go version; echo "$ldflags $tags"; find . -type f | LC_ALL=C sort | xargs cat; } | sha256sum | cut -d' ' -f1)
}

# pick NAME... prints the specs of the stack that have these names.
pick() {
  local name spec
  for name in "$@"; do
    for spec in "${stack[@]}"; do
      [[ ${spec%%:*} != "$name" ]] || echo "$spec"
    done
  done
}

# stale MODULE_STAMP SPEC... prints the specs whose binary has to be built.
stale() {
  local stamp=$1 spec name
  shift
  for spec in "$@"; do
    name=${spec%%:*}
    if [[ ! -x $bin/$name || $(cat "$bin/stamp/$name" 2>/dev/null) != "$stamp" ]]; then
      echo "$spec"
    fi
  done
}

# heartbeat LOG says every 20 s how far the build has come: a first build takes minutes.
heartbeat() {
  local start=$SECONDS seconds packages last nap
  trap 'kill "$nap" 2>/dev/null; exit 0' TERM # or the sleep would outlive us and hold our output open
  while true; do
    sleep 20 &
    nap=$!
    wait "$nap"
    seconds=$((SECONDS - start))
    packages=$(grep -cv '^go: ' "$1" || true)
    last=$(tail -n 1 "$1")
    printf '  … %dm%02ds, %d packages compiled, now: %s\n' $((seconds / 60)) $((seconds % 60)) "$packages" "${last:-starting}"
  done
}

# build GROUP MODULE_DIR SPEC... builds the stale ones in one go build call.
build() {
  local group=$1 module=$2 stamp todo=() names=() packages=() spec name package built start=$SECONDS
  shift 2
  stamp=$(stamp_of "$module")
  mapfile -t todo < <(stale "$stamp" "$@")
  ((${#todo[@]})) || return 0
  for spec in "${todo[@]}"; do
    IFS=: read -r name package built <<<"$spec"
    names+=("$name")
    packages+=("$package")
  done
  echo "building ${names[*]}"
  local staging log=$log_dir/build-$group.log
  staging=$(mktemp -d "$bin/staging.XXXXXX")
  : >"$log"
  heartbeat "$log" 9>&- &
  local beat=$!
  # shellcheck disable=SC2064
  trap "kill $beat 2>/dev/null || true; rm -rf '$staging'" EXIT
  if ! (cd "$module" && go build -v -trimpath -tags "$tags" -ldflags "$ldflags" -o "$staging/" "${packages[@]}") >"$log" 2>&1; then
    tail -n 30 "$log" >&2
    echo "building ${names[*]} failed; the whole log is $log" >&2
    exit 1
  fi
  for spec in "${todo[@]}"; do
    IFS=: read -r name package built <<<"$spec"
    mv -f "$staging/$built" "$bin/$name"
    echo "$stamp" >"$bin/stamp/$name"
  done
  kill "$beat" 2>/dev/null || true
  rm -rf "$staging"
  trap - EXIT
  echo "built ${names[*]} in $((SECONDS - start)) s"
}

main() {
  # Two runs at once would build everything twice.
  if command -v flock >/dev/null; then
    exec 9>"$bin/.lock"
    flock 9
  fi
  local target picked
  for target in "$@"; do
    case $target in
      stack)
        build stack "$root/tools/stack" "${stack[@]}"
        build cosign-v2 "$root/tools/stack" "${stack_cosign_v2[@]}"
        build vault "$root/tools/vault" "${vault[@]}"
        build olareg "$root/tools/olareg" "${olareg[@]}"
        ;;
      demo)
        mapfile -t picked < <(pick "${demo[@]}")
        build demo "$root/tools/stack" "${picked[@]}"
        ;;
      controller-gen) build controller-gen "$root/tools/dev" "${controller_gen[@]}" ;;
      golangci-lint) build golangci-lint "$root/tools/dev" "${golangci_lint[@]}" ;;
      *)
        echo "usage: tools/build.sh stack|demo|controller-gen|golangci-lint ..." >&2
        exit 2
        ;;
    esac
  done
}

main "$@"
