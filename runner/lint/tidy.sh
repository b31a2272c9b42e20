#!/usr/bin/env bash
# Runs clang-tidy over the sources below DIRECTORY that BUILD compiles, without its tests and
# benchmarks (with TIDY_TESTS=1 in the environment: these too). The static analyzer takes two thirds of
# the time and is left to TIDY_ANALYZER=1; the sanitizers run the same code in every CI run. Prints each
# finding once, on a line.
# Usage: tidy.sh BUILD DIRECTORY
set -euo pipefail
build=$1 directory=$2

pattern="^$directory/.*(?<!_test)(?<!bench)\.cc$"
if [[ ${TIDY_TESTS:-} == 1 ]]; then
  pattern="^$directory/.*\.cc$"
fi
log=$(mktemp)
commands=$(mktemp -d)
trap 'rm -rf "$log" "$commands"' EXIT
# Without GCC's precompiled headers: clang cannot read them, and they would hide a missing include.
sed -E 's/ -Winvalid-pch -include [^ ]*cmake_pch\.hxx//' "$build/compile_commands.json" \
  >"$commands/compile_commands.json"
status=0
checks='-clang-analyzer-*'
if [[ ${TIDY_ANALYZER:-} == 1 ]]; then
  checks=''
fi
run-clang-tidy -p "$commands" -quiet -checks="$checks" -j "${TIDY_JOBS:-1}" "$pattern" 2>&1 |
  sed 's/\x1b\[[0-9;]*m//g' >"$log" || status=$?

checked=$(grep -cE '^clang-tidy[-0-9]* ' "$log" || true)
echo "clang-tidy: $checked files below ${directory##*/}/"
if [[ $checked -eq 0 ]]; then
  echo "nothing was checked: is ${directory##*/} built in $build?"
  exit 1
fi
grep -E ': (error|warning|fatal error): ' "$log" | sed "s|^${directory%/*}/||" | sort -u || true
exit "$status"
