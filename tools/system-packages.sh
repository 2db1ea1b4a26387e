#!/usr/bin/env bash
# Copyright The Countersign Authors.
# SPDX-License-Identifier: Apache-2.0
#
# Makes sure that Debian packages are there:
#
#   tools/system-packages.sh stack   PostgreSQL (under Trillian), MariaDB (the same), Redis (under Rekor), nginx (in front of logs
#                                   and registries), docker-registry
#   tools/system-packages.sh race    the C compiler that Go's race detector needs
set -euo pipefail

missing=()
for purpose in "$@"; do
  case $purpose in
    stack)
      if ! command -v postgres >/dev/null && ! compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null; then
        missing+=(postgresql)
      fi
      command -v mariadbd >/dev/null || [[ -x /usr/sbin/mariadbd ]] || missing+=(mariadb-server)
      command -v redis-server >/dev/null || missing+=(redis-server)
      command -v docker-registry >/dev/null || missing+=(docker-registry)
      command -v nginx >/dev/null || [[ -x /usr/sbin/nginx ]] || missing+=(nginx)
      ;;
    race)
      command -v gcc >/dev/null || missing+=(gcc libc6-dev)
      ;;
    *)
      echo "usage: tools/system-packages.sh stack|race ..." >&2
      exit 2
      ;;
  esac
done
((${#missing[@]})) || exit 0

if [[ $(id -u) != 0 ]] || ! command -v apt-get >/dev/null; then
  echo "missing system packages: ${missing[*]}. Install them, then run this again:" >&2
  echo "  sudo apt-get update && sudo apt-get install --no-install-recommends -y ${missing[*]}" >&2
  exit 1
fi
echo "installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { apt-get update && apt-get install --no-install-recommends -y "${missing[@]}"; } </dev/null >"$log" 2>&1; then
  tail -n 30 "$log" >&2
  exit 1
fi
