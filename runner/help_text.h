#pragma once

#include <utility>

namespace runner {

/// What stands below the words of `powercut --help`.
inline constexpr const char* examples = R"(
Examples
  powercut run                                     the engine, in memory, for a minute
  powercut run --device fuse --states 5000         the engine as a process on a real mount
  powercut run --preset squid --stop-at-first      see it find a hodgepodge
  powercut run --target squid --time 10m           Squid, unmodified
  powercut run --target command --program ./kv     any program behind a script of verbs
  powercut replay run/0001/case-0001/plan.txt      see a failure again
Exit codes: 0 all claimed properties held, 1 violated, 2 usage, 3 nothing violated but something
undecided, 70 a bug in powercut.)";

/// The same for each command.
inline constexpr std::pair<const char*, const char*> examples_of[] = {
    {"run", R"(
Examples
  powercut run --states 20000 --seed 7             the same states on every machine
  powercut run --preset squid --stop-at-first      see it find a hodgepodge
  powercut run --device fuse --time 10m --jobs 2   processes, signals and a real mount
  powercut run --fault "rot-on-read chance=1/50"   and what the engine makes of bit rot
  powercut run --explorer lazy --depth 2           and cuts inside recoveries
  powercut run --junit run.xml --json run.jsonl    for a CI server
A case found in the last moments may be shrunk for a quarter of --time more.)"},
    {"replay", R"(
Examples
  powercut replay run/0001/case-0001               the directory, or the plan.txt in it
  powercut replay my-plan.txt --times 10           a plan of your own, ten times
  powercut replay run/0001/case-0001 --device fuse as a process on a real mount)"},
    {"shrink", R"(
Examples
  powercut shrink run/0001/case-0001               go on where the campaign's bound ended it
  powercut shrink my-plan.txt --time 10m           a plan of your own; again: goes on from there
Every smaller case is written back at once; the one that was found stays as plan.txt.found.)"},
    {"show", R"(
Example
  powercut show run/0001/case-0001                 its trace and its plan, judged by nobody)"},
    {"targets", R"(
Example
  powercut targets                                 exit code 3: one of them cannot run here)"},
    {"doctor", R"(
Examples
  powercut doctor                                  exit code 3: something is missing or left over
  powercut doctor --clean                          remove what killed runs left)"},
    {"bench", R"(
Examples
  powercut bench memory --seconds 10 --jobs 1
  powercut bench explore                           crash states covered by each execution
  powercut bench restart                           a cyclone of 64 GiB: attach against rebuild
  powercut bench stores                            puts and gets of a cyclone on tmpfs, on a file
  powercut bench first                             Squid: executions up to the first wrong bytes)"},
};

}  // namespace runner
