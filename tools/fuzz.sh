#!/usr/bin/env bash
# Copyright The Countersign Authors.
# SPDX-License-Identifier: Apache-2.0
#
# Runs the fuzz targets whose names match, one after another, for a time each.
#
#   tools/fuzz.sh TIME [REGEXP]
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
time=$1
wanted=${2:-.}

grep -rE --include='*_test.go' '^func Fuzz\w+\(f ' . | sed -E 's#^(.*)/[^/]*:func (Fuzz\w+)\(.*#\1 \2#' | sort -u |
  while read -r package target; do
    [[ $target =~ $wanted ]] || continue
    printf '== %s in %s\n' "$target" "$package"
    # Without the last flag the fuzzer spends its first minute on making one seed smaller.
    go test "$package" -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 10x -parallel "${FUZZPARALLEL:-1}" </dev/null
  done
