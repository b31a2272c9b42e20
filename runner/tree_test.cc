// `powercut tree` on programs that people use: what keeps its promises is seen to, at a cut behind
// every request, and what does not is caught, with a trace.

#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "faultfs/mount/mount.h"
#include "runner/sandbox.h"
#include "scenarios/process/child.h"

namespace runner {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ContainsRegex;
using testing::HasSubstr;

constexpr int held = 0, violated = 1, usage = 2, undecided = 3;

std::string text_of(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

bool is_installed(const std::string& program) {
  return access(("/usr/bin/" + program).c_str(), X_OK) == 0;
}

class TreeVerb : public testing::Test {
 protected:
  void SetUp() override {
    const faultfs::Status mounts = faultfs::mount::can_mount();
    const faultfs::Status sandboxes = can_sandbox();
    if (!mounts || !sandboxes) {
      GTEST_SKIP() << (mounts ? sandboxes : mounts).error().message;
    }
    std::string name = (fs::temp_directory_path() / "powercut-treeverb-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    directory_ = name;
  }
  void TearDown() override { fs::remove_all(directory_); }

  /// Runs `powercut tree …`; its exit code, and in `output_` what it printed.
  int tree(std::vector<std::string> words) {
    words.insert(words.begin(), "tree");
    words.insert(words.end(), {"--out", (directory_ / "out").string()});
    const fs::path output = directory_ / "output";
    fs::remove(output);
    auto child = scenarios::Child::start(
        {.program = POWERCUT_PROGRAM, .arguments = words, .output = output});
    EXPECT_TRUE(child) << child.error().message;
    const auto exit = (*child)->wait(550);
    output_ = text_of(output);
    EXPECT_TRUE(exit) << "it did not end\n" << output_;
    return exit ? exit->code : -1;
  }

  fs::path directory_;
  std::string output_;
};

// -- A script that saves by append and rename.
// ------------------------------------------------------

const std::string save_check = R"sh(
last=$(tail -n 1)
[ -z "$last" ] || grep -qx "$last" log ||
  { echo "said '$last', log holds: $(cat log)"; exit 1; })sh";

TEST_F(TreeVerb, CatchesAnAppendAndRenameWithoutFsync) {
  EXPECT_EQ(
      tree({"--run",
            "for n in one two; do cat log >t 2>/dev/null; echo $n >>t; mv t log; echo $n; done",
            "--check",
            save_check,
            "--stop-at-first"}),
      violated);
  EXPECT_THAT(output_,
              AllOf(HasSubstr("FAIL  check"),
                    HasSubstr("said 'one', log holds"),
                    ContainsRegex("rename t to log +(lost|kept)"),
                    HasSubstr("lost  *"),
                    HasSubstr("------ cut after w"),
                    HasSubstr("powercut tree --recording")));
  // The case that was kept fails again, and the crash state lies there to be looked at.
  const fs::path kept = directory_ / "out" / "case-0001";
  EXPECT_TRUE(fs::is_directory(kept / "crash"));
  const std::string plan = text_of(kept / "plan.txt");
  EXPECT_EQ(tree({"--recording",
                  (kept / "recording").string(),
                  "--plan",
                  (kept / "plan.txt").string(),
                  "--check",
                  save_check}),
            violated);
  EXPECT_EQ(text_of(kept / "plan.txt"), plan);
}

TEST_F(TreeVerb, PassesAnAppendAndRenameWithFsync) {
  for (const char* names : {"ordered", "loose"}) {
    EXPECT_EQ(
        tree({"--names",
              names,
              "--run",
              "for n in one two; do cat log >t 2>/dev/null; echo $n >>t; sync t; mv t log; sync .; "
              "echo $n; done",
              "--check",
              save_check}),
        held)
        << output_;
    EXPECT_THAT(output_, AllOf(HasSubstr("violated 0"), HasSubstr("not explored")));
  }
}

TEST_F(TreeVerb, CatchesALyingFlush) {
  EXPECT_EQ(tree({"--profile",
                  "ssd_4k_lying_flush",
                  "--run",
                  "echo one >log; sync log; sync .; echo one",
                  "--check",
                  save_check,
                  "--stop-at-first"}),
            violated)
      << output_;
}

TEST_F(TreeVerb, HasFaultsWhileTheProgramRuns) {
  const std::vector<std::string> saves = {
      "--run", "echo one >t; sync t; mv t log; sync .; echo one", "--check", save_check};
  std::vector<std::string> words = saves;
  words.insert(words.end(), {"--fault", "lying-flush sync-directory", "--stop-at-first"});
  EXPECT_EQ(tree(words), violated) << output_;
  EXPECT_THAT(output_, HasSubstr("fault  lying-flush sync-directory: met 1, fired 1"));
  words = saves;
  words.insert(words.end(), {"--fault", "eio rename nth=5"});
  EXPECT_EQ(tree(words), undecided) << output_;
  EXPECT_THAT(output_, HasSubstr("eio rename nth=5: met 1, fired 0; it was not tried"));
  words = saves;
  words.insert(words.end(), {"--fault", "stale-read"});
  EXPECT_EQ(tree(words), usage);
  EXPECT_THAT(output_, HasSubstr("allowed on a tree: eio"));
}

TEST_F(TreeVerb, ExploresWhatAMountedTreeRecorded) {
  const fs::path mount = directory_ / "mount";
  const fs::path recording = directory_ / "recording";
  fs::create_directory(mount);
  const std::string program = POWERCUT_PROGRAM;
  const std::string script = fmt::format(
      "unset XDG_RUNTIME_DIR; {0} mount --tree {1} --record {2} --socket {3} & "
      "until [ -e {1}/.powercut-marks ]; do sleep 0.05; done; cd {1} && echo old >log && sync log "
      "&& "
      "sync . && {4} && echo saved >.powercut-marks; cd /; kill $!; wait $!",
      program,
      mount.string(),
      recording.string(),
      (directory_ / "socket").string(),
      "{0}");
  const auto run = [&](const std::string& text) {
    const fs::path output = directory_ / "output";
    auto child = scenarios::Child::start(
        {.program = "/bin/sh", .arguments = {"-c", text}, .output = output});
    EXPECT_TRUE(child) << child.error().message;
    const auto exit = (*child)->wait(120);
    output_ = text_of(output);
    return exit ? exit->code : -1;
  };
  const auto save = [&](const std::string& how) {
    fs::remove_all(recording);
    std::string text = script;
    text.replace(text.find("{0}"), 3, how);
    EXPECT_EQ(run(text), held) << output_;
  };
  const std::string explore =
      fmt::format("{} explore {} --out {} --check 'grep -q saved || exit 0; grep -qx new {{}}/log'",
                  program,
                  recording.string(),
                  (directory_ / "out").string());
  save("echo new >t && sync t && mv t log && sync .");
  EXPECT_EQ(run(explore), held) << output_;
  save("echo new >t && mv t log");
  EXPECT_EQ(run(explore), violated) << output_;
  EXPECT_THAT(output_, ContainsRegex("rename t to log +lost"));
}

TEST_F(TreeVerb, CutsARunningProgram) {
  EXPECT_EQ(
      tree({"--live", "--run", "echo one >log; sync log; sync .; echo one", "--check", save_check}),
      held)
      << output_;
  EXPECT_EQ(tree({"--live", "--run", "echo one >log; echo one", "--check", save_check}), violated)
      << output_;
}

TEST_F(TreeVerb, BeginsOnAnImportedTree) {
  fs::create_directories(directory_ / "begin" / "d");
  std::ofstream(directory_ / "begin" / "d" / "config") << "old\n";
  const std::string check = "grep -qx -e old -e new d/config";
  const std::vector<std::string> begin = {
      "--import", (directory_ / "begin").string(), "--check", check};
  std::vector<std::string> words = begin;
  words.insert(words.end(), {"--run", "echo new >d/t; sync d/t; mv d/t d/config"});
  EXPECT_EQ(tree(words), held) << output_;
  words = begin;
  words.insert(words.end(), {"--run", "echo new >d/config"});  // truncated in place
  EXPECT_EQ(tree(words), violated) << output_;
  EXPECT_EQ(text_of(directory_ / "begin" / "d" / "config"), "old\n");
}

TEST_F(TreeVerb, RefusesWithAReason) {
  EXPECT_EQ(tree({"--check", "true"}), usage);
  EXPECT_EQ(tree({"--check", "true", "--run", "true", "--names", "any"}), usage);
  EXPECT_THAT(output_, HasSubstr("allowed: ordered, journal, loose"));
  EXPECT_EQ(tree({"--check", "true", "--run", "true", "--profile", "ssd_4k_misdirecting"}), usage);
  EXPECT_EQ(tree({"--check", "true", "--run", "true", "--import", "/nowhere"}), usage);
  EXPECT_EQ(tree({"--check", "true", "--run", "echo broken >&2; exit 4"}), undecided);
  EXPECT_THAT(output_, HasSubstr("ended with 4 before any cut"));
}

// -- SQLite.
// ----------------------------------------------------------------------------------------

struct Sqlite {
  const char* journal;
  const char* synchronous;
  int outcome;
};

void PrintTo(const Sqlite& mode, std::ostream* out) {
  *out << mode.journal << ' ' << mode.synchronous;
}

std::string sqlite_run(const Sqlite& mode) {
  std::string text = fmt::format(
      "PRAGMA journal_mode={};\nPRAGMA synchronous={};\nCREATE TABLE t(id INTEGER PRIMARY KEY, v "
      "TEXT);\n",
      mode.journal,
      mode.synchronous);
  for (int n = 1; n <= 3; ++n) {
    text += fmt::format(
        "INSERT INTO t VALUES({0}, printf('%.6000c', '{0}'));\nSELECT 'committed {0}';\n", n);
  }
  text += "UPDATE t SET v = v || 'x' WHERE id = 1;\nPRAGMA wal_checkpoint(TRUNCATE);\n";
  return fmt::format("sqlite3 db <<'SQL'\n{}SQL\n", text);
}

const std::string sqlite_check = R"sh(
said=$(grep -c '^committed')
[ -e db ] || [ "$said" -gt 0 ] || exit 0
sound=$(sqlite3 db 'PRAGMA integrity_check' 2>&1)
[ "$sound" = ok ] || { echo "integrity_check: $sound"; exit 1; }
[ "$said" -gt 0 ] || exit 0
there=$(sqlite3 db "SELECT count(*) FROM t WHERE id <= $said AND length(v) >= 6000" 2>&1)
[ "$there" = "$said" ] || { echo "$said commits were acknowledged, $there are there"; exit 1; })sh";

class SqliteOnATree : public TreeVerb, public testing::WithParamInterface<Sqlite> {};

TEST_P(SqliteOnATree, EndsAsItPromises) {
  if (!is_installed("sqlite3")) {
    GTEST_SKIP() << "sqlite3 is not installed: apt-get install sqlite3";
  }
  std::vector<std::string> words = {
      "--run", sqlite_run(GetParam()), "--check", sqlite_check, "--states", "8"};
  if (GetParam().outcome == violated) {
    words.emplace_back("--stop-at-first");
  }
  EXPECT_EQ(tree(words), GetParam().outcome) << output_;
  if (GetParam().outcome == violated) {
    EXPECT_THAT(output_, ContainsRegex("integrity_check:|acknowledged"));
  }
}

// With DELETE, a commit is the unlinking of the journal, and FULL does not sync the directory
// behind it: the journal may come back and take the last commit with it. SQLite says so, and offers
// EXTRA.
INSTANTIATE_TEST_SUITE_P(Modes,
                         SqliteOnATree,
                         testing::Values(Sqlite{"TRUNCATE", "FULL", held},
                                         Sqlite{"WAL", "FULL", held},
                                         Sqlite{"DELETE", "EXTRA", held},
                                         Sqlite{"DELETE", "FULL", violated},
                                         Sqlite{"DELETE", "OFF", violated},
                                         Sqlite{"WAL", "OFF", violated}),
                         [](const auto& it) {
                           return std::string(it.param.journal) + it.param.synchronous;
                         });

// The cut is a real one: SQLite runs anew for each, and its requests fail from there on.
TEST_F(TreeVerb, SqliteIsCutWhileItRuns) {
  if (!is_installed("sqlite3")) {
    GTEST_SKIP() << "sqlite3 is not installed: apt-get install sqlite3";
  }
  for (const char* journal : {"WAL", "TRUNCATE"}) {
    EXPECT_EQ(tree({"--live",
                    "--points",
                    "12",
                    "--states",
                    "3",
                    "--run",
                    sqlite_run({journal, "FULL", held}),
                    "--check",
                    sqlite_check}),
              held)
        << output_;
  }
}

// -- LMDB.
// ------------------------------------------------------------------------------------------

const std::string lmdb_run = R"sh(
set -e
for n in 1 2 3; do
  printf 'VERSION=3\nformat=print\ntype=btree\nmapsize=1048576\nHEADER=END\n k%s\n %s\nDATA=END\n' \
    $n $(printf "%03000d" $n) | mdb_load -n env
  echo committed $n
done)sh";

const std::string lmdb_check = R"sh(
said=$(grep -c '^committed')
[ "$said" -gt 0 ] || [ -e env ] || exit 0
[ "$said" -gt 0 ] || { mdb_stat -n env >/dev/null 2>&1 || true; exit 0; }
all=$(mdb_dump -n -p env 2>&1) || { echo "mdb_dump: $all"; exit 1; }
n=1
while [ $n -le "$said" ]; do
  echo "$all" | grep -qx " k$n" || { echo "committed $n was said, k$n is not there"; exit 1; }
  echo "$all" | grep -qx " $(printf '%03000d' $n)" || { echo "k$n is not whole"; exit 1; }
  n=$((n + 1))
done)sh";

TEST_F(TreeVerb, LmdbKeepsEveryCommit) {
  if (!is_installed("mdb_load")) {
    GTEST_SKIP() << "mdb_load is not installed: apt-get install lmdb-utils";
  }
  EXPECT_EQ(tree({"--names", "journal", "--run", lmdb_run, "--check", lmdb_check, "--states", "8"}),
            held)
      << output_;
}

// LMDB syncs the file and never its directory: where fsync of a file says nothing about its name, a
// new environment may be gone.
TEST_F(TreeVerb, LmdbCountsOnTheNameOfAFileThatIsSynced) {
  if (!is_installed("mdb_load")) {
    GTEST_SKIP() << "mdb_load is not installed: apt-get install lmdb-utils";
  }
  EXPECT_EQ(tree({"--run", lmdb_run, "--check", lmdb_check, "--states", "3", "--stop-at-first"}),
            violated)
      << output_;
  EXPECT_THAT(output_, ContainsRegex("create env +lost"));
}

}  // namespace
}  // namespace runner
