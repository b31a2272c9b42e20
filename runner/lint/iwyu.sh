#!/usr/bin/env bash
# Finds includes of our own headers of which nothing is used, in the sources that BUILD compiles
# (tests excepted). Only these: what include-what-you-use 8.18 says of the headers of libstdc++ 12 and
# fmt is often wrong, and the headers it wants added may lie in a room that may not be included.
# Where it errs, `// IWYU pragma: keep` says so. Usage: iwyu.sh BUILD TOP JOBS
set -euo pipefail
build=$1 top=$2 jobs=$3

mapfile -t sources < <(find "$top"/{engine,faultfs,scenarios,properties,runner,reports} \
  -name '*.cc' ! -name '*_test.cc' ! -name '*_bench.cc' | sort)
log=$(mktemp)
commands=$(mktemp -d)
trap 'rm -rf "$log" "$commands"' EXIT
# Without GCC's precompiled headers: clang cannot read them.
sed -E 's/ -Winvalid-pch -include [^ ]*cmake_pch\.hxx//' "$build/compile_commands.json" \
  >"$commands/compile_commands.json"
iwyu_tool -p "$commands" -j "$jobs" "${sources[@]}" -- -Xiwyu --no_fwd_decls >"$log" 2>&1 || true

checked=$(grep -cE '^The full include-list for .*\.cc:|^\(.*\.cc has correct' "$log" || true)
unused=$(awk '/ should remove these lines:$/ { file = $1; next }
              /^$/ { file = "" }
              file != "" && /^- #include "/ { print file ": " $3 " is included and not used" }' \
  "$log" | sed "s|^$top/||" | sort -u)
echo "iwyu: $checked of ${#sources[@]} sources"
if [[ $checked -eq 0 ]]; then
  tail -n 20 "$log"
  exit 1
fi
if [[ -n $unused ]]; then
  echo "$unused"
  exit 1
fi
