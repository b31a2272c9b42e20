#!/usr/bin/env bash
# Runs clang-tidy over the sources below DIRECTORY that BUILD compiles; tests only with TIDY_TESTS=1
# in the environment. Prints what it found, and nothing else. Usage: tidy.sh BUILD DIRECTORY
set -euo pipefail
build=$1 directory=$2

pattern="^$directory/.*(?<!_test)\.cc$"
if [[ ${TIDY_TESTS:-} == 1 ]]; then
  pattern="^$directory/.*\.cc$"
fi
status=0
output=$(run-clang-tidy -p "$build" -quiet -j "${TIDY_JOBS:-1}" "$pattern" 2>&1) || status=$?
checked=$(grep -c '^clang-tidy' <<<"$output" || true)
grep -vE '^clang-tidy|warnings? generated|^Suppressed|^Use -header-filter|^$' <<<"$output" || true
echo "clang-tidy: $checked files below ${directory##*/}/"
if [[ $checked -eq 0 ]]; then
  echo "nothing was checked: is ${directory##*/} built in $build?"
  exit 1
fi
exit "$status"
