# Steps that .ci/main and .ci/test share; sourced, from the top of the tree.
# shellcheck shell=bash
set -euo pipefail
unset POWERCUT_REWRITE  # a checking run never rewrites golden files

jobs=$(nproc)

# step NAME COMMAND…: runs it quietly, says how long it took; shows its output only when it fails.
step() {
  local name=$1 log began=$SECONDS
  shift
  log=$(mktemp)
  if ! "$@" >"$log" 2>&1; then
    tail -n 200 "$log"
    echo "FAILED  $name: $* ($((SECONDS - began)) s)"
    rm -f "$log"
    return 1
  fi
  rm -f "$log"
  echo "ok      $name ($((SECONDS - began)) s)"
}

# build DIRECTORY TARGETS CMAKE-OPTION…: TARGETS is one word, "all" or names with blanks between.
build() {
  local directory=$1 targets=$2
  shift 2
  step "configure $directory" cmake -S . -B "$directory" -G Ninja "$@"
  # shellcheck disable=SC2086  # names are split on purpose
  step "build $directory" cmake --build "$directory" -j "$jobs" --target $targets
}
