// A mounted tree against a directory of the machine, and what only the tree can do.

#include "faultfs/mount/tree_mount.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <map>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "faultfs/base/random.h"
#include "faultfs/tree/tree_choice.h"
#include "faultfs/tree/tree_faults.h"
#include "faultfs/tree/tree_files.h"

namespace faultfs::mount {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;

/// A descriptor, closed at the end of its scope.
class Opened {
 public:
  Opened(const fs::path& path, int flags, mode_t mode = 0644)
      : number_(open(path.c_str(), flags | O_CLOEXEC, mode)), error_(number_ < 0 ? errno : 0) {}
  Opened(const Opened&) = delete;
  Opened& operator=(const Opened&) = delete;
  ~Opened() { close(); }
  void close() {
    if (number_ >= 0) {
      ::close(number_);
    }
    number_ = -1;
  }
  [[nodiscard]] int number() const { return number_; }
  [[nodiscard]] int error() const { return error_; }
  /// 0 or errno.
  [[nodiscard]] int write(std::string_view text) const {
    return ::write(number_, text.data(), text.size()) == static_cast<ssize_t>(text.size()) ? 0
                                                                                           : errno;
  }
  [[nodiscard]] int sync() const { return fsync(number_) == 0 ? 0 : errno; }

 private:
  int number_;
  int error_;
};

std::string text_of(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

class TreeMountTest : public testing::Test {
 protected:
  void SetUp() override {
    const Status possible = can_mount();
    if (!possible) {
      GTEST_SKIP() << possible.error().message;
    }
    std::string name = (fs::temp_directory_path() / "powercut-treemount-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    scratch_ = name;
    fs::create_directory(scratch_ / "mount");
    fs::create_directory(scratch_ / "real");
    top_ = scratch_ / "mount";
    auto made = mount_tree(tree_, {.directory = top_});
    ASSERT_TRUE(made) << made.error().message;
    mount_ = std::move(*made);
  }
  void TearDown() override {
    mount_.reset();
    if (!scratch_.empty()) {
      fs::remove_all(scratch_);
    }
  }

  /// Cuts now, and goes on with the crash state called `how`.
  void cut_and_go_on(std::string_view how) {
    tree_.cut_now();
    const tree::Recording recording = tree_.recording();
    tree::TreeModel model(recording);
    const auto plan = tree::choose(model, {CutKind::power_cut, recording.log.size(), false}, how);
    ASSERT_TRUE(plan) << plan.error().message;
    tree_.power_on(model.build(*plan));
  }
  /// The log, as far as it is about names and marks.
  [[nodiscard]] std::vector<std::string> marks() const {
    const WriteLog log = tree_.recording().log;
    std::vector<std::string> found;
    for (std::uint32_t number = 1; number <= log.size(); ++number) {
      found.push_back(log.entry(number).kind == EntryKind::flush ? "flush"
                      : log.entry(number).kind == EntryKind::write
                          ? "write"
                          : std::string(log.mark_text(number)));
    }
    return found;
  }

  fs::path scratch_;
  fs::path top_;
  tree::Tree tree_{*tree::find_tree_profile("ssd_4k_volatile", "ordered")};
  std::unique_ptr<Mount> mount_;
};

/// One random system call below `top`; what it said.
std::string call(const fs::path& top, Random& random) {
  constexpr std::array<const char*, 8> names = {"a", "b", "d", "e", "d/a", "e/a", "d/e", "e/d"};
  const std::string name = names.at(random.below(names.size()));
  const fs::path path = top / name;
  const fs::path other = top / names.at(random.below(names.size()));
  const auto size = static_cast<std::size_t>(random.below(9000));
  const auto offset = static_cast<off_t>(random.below(9000));
  const std::string bytes(size, static_cast<char>('a' + random.below(26)));
  const auto said = [&](const char* what, ssize_t result) {
    return fmt::format(
        "{} {} {}: {}", what, name, other.filename().string(), result < 0 ? -errno : result);
  };
  const auto with_file = [&](const char* what, int flags, auto act) {
    const Opened file(path, flags);
    errno = file.error();
    return said(what, file.number() < 0 ? -1 : act(file.number()));
  };
  switch (random.below(16)) {
    case 0:
      return with_file("create", O_RDWR | O_CREAT | O_EXCL, [](int) { return 0; });
    case 1:
      return with_file("trunc", O_RDWR | O_CREAT | O_TRUNC, [](int) { return 0; });
    case 2:
      return said("mkdir", mkdir(path.c_str(), 0755));
    case 3:
      return said("rmdir", rmdir(path.c_str()));
    case 4:
      return said("unlink", unlink(path.c_str()));
    case 5:
    case 6:
      return said("rename", rename(path.c_str(), other.c_str()));
    case 7:
      return said("link", link(path.c_str(), other.c_str()));
    case 8:
      return said("symlink", symlink("nowhere", path.c_str()));
    case 9:
    case 10:
      return with_file("pwrite", O_RDWR, [&](int file) {
        return pwrite(file, bytes.data(), bytes.size(), offset);
      });
    case 11:
      return with_file("append", O_WRONLY | O_APPEND, [&](int file) {
        return ::write(file, bytes.data(), bytes.size());
      });
    case 12:
      return with_file(
          "truncate", O_RDWR, [&](int file) { return ssize_t{ftruncate(file, offset)}; });
    case 13:
      return with_file(
          "fallocate", O_RDWR, [&](int file) { return ssize_t{fallocate(file, 0, offset, 100)}; });
    case 14:
      return with_file("punch", O_RDWR, [&](int file) {
        return ssize_t{fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, 5000)};
      });
    default:
      return with_file("fsync", O_RDONLY, [](int file) { return ssize_t{fsync(file)}; });
  }
}

/// "x100 .20": runs of letters; '.' is a zero byte.
std::string runs_of(const std::string& text) {
  std::string runs;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find_first_not_of(text[at], at), text.size());
    runs += fmt::format(" {}{}", text[at] == 0 ? '.' : text[at], end - at);
    at = end;
  }
  return runs;
}

/// Everything below `top`, as system calls tell it.
std::map<std::string, std::string> seen(const fs::path& top) {
  std::map<std::string, std::string> found;
  for (const auto& entry : fs::recursive_directory_iterator(top)) {
    const fs::path& path = entry.path();
    struct stat state {};
    lstat(path.c_str(), &state);
    std::string what = fmt::format("{:o} {} links", state.st_mode, state.st_nlink);
    if (S_ISREG(state.st_mode)) {
      what += fmt::format(" {} bytes:{}", state.st_size, runs_of(text_of(path)));
    } else if (S_ISLNK(state.st_mode)) {
      what += " to " + fs::read_symlink(path).string();
    }
    found[path.lexically_relative(top)] = what;
  }
  return found;
}

TEST_F(TreeMountTest, AnswersAsADirectoryOfTheMachineDoes) {
  std::map<std::string, int> succeeded;
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    Random here(seed);
    Random there(seed);
    std::string done;
    for (int step = 0; step < 60; ++step) {
      const std::string real = call(scratch_ / "real", here);
      const std::string ours = call(top_, there);
      done += real + "\n";
      ASSERT_EQ(ours, real) << "seed " << seed << "\n" << done;
      succeeded[real.substr(0, real.find(' '))] += real.find(": -") == std::string::npos ? 1 : 0;
    }
    ASSERT_EQ(seen(top_), seen(scratch_ / "real")) << "seed " << seed << "\n" << done;
    // Nothing is lost where all is kept; and what the log says is what was done.
    const auto before = seen(top_);
    cut_and_go_on("kept");
    ASSERT_EQ(seen(top_), before) << "seed " << seed << "\n" << done;
  }
  for (const auto& [what, times] : succeeded) {
    EXPECT_GT(times, 0) << what << " was never seen to succeed";
  }
}

TEST_F(TreeMountTest, EndsAtACutAndGoesOnWithACrashState) {
  Opened file(top_ / "a", O_RDWR | O_CREAT);
  ASSERT_EQ(file.write("durable"), 0);
  ASSERT_EQ(file.sync(), 0);
  ASSERT_EQ(Opened(top_, O_RDONLY | O_DIRECTORY).sync(), 0);
  ASSERT_EQ(rename((top_ / "a").c_str(), (top_ / "b").c_str()), 0);
  tree_.cut_now();
  EXPECT_EQ(file.write("lost"), EIO);
  EXPECT_EQ(file.sync(), EIO);
  EXPECT_EQ(Opened(top_ / "b", O_RDONLY).error(), EIO);
  EXPECT_EQ(Opened(top_ / "c", O_RDWR | O_CREAT).error(), EIO);
  EXPECT_EQ(mkdir((top_ / "d").c_str(), 0755), -1);
  EXPECT_EQ(errno, EIO);
  cut_and_go_on("lost");
  EXPECT_EQ(file.write("through a handle from before"), EIO);
  EXPECT_EQ(text_of(top_ / "a"), "durable");
  EXPECT_FALSE(fs::exists(top_ / "b"));
  EXPECT_EQ(Opened(top_ / "c", O_RDWR | O_CREAT).error(), 0);
}

TEST_F(TreeMountTest, TheSamePathsAreAnotherTreeAfterAPowerOn) {
  fs::create_directory(top_ / "d");
  std::ofstream(top_ / "d" / "x") << "first";
  EXPECT_EQ(text_of(top_ / "d" / "x"), "first");
  cut_and_go_on("bytes-lost");
  EXPECT_EQ(text_of(top_ / "d" / "x"), std::string(5, '\0'));  // nothing of the page cache is left
  std::ofstream(top_ / "d" / "x") << "second";
  cut_and_go_on("kept");
  EXPECT_EQ(text_of(top_ / "d" / "x"), "second");
}

TEST_F(TreeMountTest, SynchronousWritesAreAWriteAndASync) {
  const Opened file(top_ / "a", O_RDWR | O_CREAT | O_DSYNC);
  ASSERT_EQ(file.write("xyz"), 0);
  EXPECT_THAT(marks(),
              ElementsAre("tree: create 2 in 1 a mode 644",
                          "tree: data 2 disk 0",
                          "write",
                          "tree: length 2 3",
                          "flush"));
}

TEST_F(TreeMountTest, SharedMappingsAreWrittenBackBySync) {
  const Opened file(top_ / "a", O_RDWR | O_CREAT);
  ASSERT_EQ(ftruncate(file.number(), 8192), 0);
  ASSERT_EQ(file.sync(), 0);
  ASSERT_EQ(Opened(top_, O_RDONLY | O_DIRECTORY).sync(), 0);
  void* const pages = mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, file.number(), 0);
  ASSERT_NE(pages, MAP_FAILED) << errno;
  static_cast<char*>(pages)[5000] = 'x';
  ASSERT_EQ(pwrite(file.number(), "y", 1, 100), 1);
  EXPECT_EQ(static_cast<char*>(pages)[100], 'y');  // the mapping sees what is written
  ASSERT_EQ(msync(pages, 8192, MS_SYNC), 0);
  EXPECT_THAT(marks(), testing::IsSupersetOf({"write", "flush"}));
  munmap(pages, 8192);
  cut_and_go_on("lost");
  const std::string text = text_of(top_ / "a");
  ASSERT_EQ(text.size(), 8192U);
  EXPECT_EQ(text[100], 'y');
  EXPECT_EQ(text[5000], 'x');
}

TEST_F(TreeMountTest, LocksAreKeptBetweenProcesses) {
  const Opened file(top_ / "a", O_RDWR | O_CREAT);
  struct flock whole {};
  whole.l_type = F_WRLCK;
  ASSERT_EQ(fcntl(file.number(), F_SETLK, &whole), 0);
  const std::string path = top_ / "a";
  const pid_t other = fork();
  if (other == 0) {
    const int there = open(path.c_str(), O_RDWR);
    struct flock wanted {};
    wanted.l_type = F_WRLCK;
    const bool refused = fcntl(there, F_SETLK, &wanted) != 0 && errno == EAGAIN;
    _exit(refused && flock(there, LOCK_EX | LOCK_NB) == 0 ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(other, &status, 0), other);
  EXPECT_EQ(status, 0);
}

TEST_F(TreeMountTest, AnOpenFileWithoutANameGoesWithItsLastClose) {
  Opened file(top_ / "a", O_RDWR | O_CREAT);
  ASSERT_EQ(unlink((top_ / "a").c_str()), 0);
  ASSERT_EQ(file.write("still there"), 0);
  struct stat state {};
  ASSERT_EQ(fstat(file.number(), &state), 0);
  EXPECT_EQ(state.st_nlink, 0U);
  EXPECT_EQ(state.st_size, 11);
  EXPECT_TRUE(fs::is_empty(top_));
}

TEST_F(TreeMountTest, LinesWrittenToTheFileOfMarksAreMarks) {
  const Opened out(top_ / marks_file, O_WRONLY | O_APPEND);
  ASSERT_EQ(out.write("put k1\nput"), 0);
  EXPECT_THAT(marks(), ElementsAre("put k1"));
  ASSERT_EQ(out.write(" k2\n"), 0);
  EXPECT_THAT(marks(), ElementsAre("put k1", "put k2"));
  EXPECT_TRUE(fs::is_empty(top_));
  EXPECT_EQ(unlink((top_ / marks_file).c_str()), -1);
}

TEST_F(TreeMountTest, FaultsFallOnSystemCalls) {
  for (const char* text : {"eio rename nth=1",
                           "enospc create file=full",
                           "phantom-write file=p nth=1",
                           "lying-flush sync-directory",
                           "eio write file=m nth=1"}) {
    ASSERT_TRUE(tree_.add_fault(*tree::TreeFaults::parse(text))) << text;
  }
  std::ofstream(top_ / "a") << "x";
  EXPECT_EQ(rename((top_ / "a").c_str(), (top_ / "b").c_str()), -1);
  EXPECT_EQ(errno, EIO);
  EXPECT_EQ(rename((top_ / "a").c_str(), (top_ / "b").c_str()), 0);
  EXPECT_EQ(Opened(top_ / "full", O_RDWR | O_CREAT).error(), ENOSPC);
  {
    const Opened file(top_ / "p", O_RDWR | O_CREAT);
    EXPECT_EQ(file.write("acknowledged"), 0);
    EXPECT_EQ(file.sync(), 0);
  }
  {
    // What an mmap left dirty fails when it is written back, and the sync tells.
    const Opened file(top_ / "m", O_RDWR | O_CREAT);
    ASSERT_EQ(ftruncate(file.number(), 4096), 0);
    void* const page = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file.number(), 0);
    ASSERT_NE(page, MAP_FAILED);
    static_cast<char*>(page)[0] = 'x';
    EXPECT_EQ(msync(page, 4096, MS_SYNC), -1);
    EXPECT_EQ(errno, EIO);
    munmap(page, 4096);
  }
  EXPECT_EQ(Opened(top_, O_RDONLY | O_DIRECTORY).sync(), 0);
  for (const auto& fault : tree_.faults()) {
    EXPECT_GT(fault.firings, 0U) << fault.expression;
  }
  const std::map<std::string, std::string> truth = [&] {
    std::map<std::string, std::string> found;
    for (const auto& [path, object] : tree_.truth().paths()) {
      found[path] = tree_.truth().content(object);
    }
    return found;
  }();
  EXPECT_EQ(truth.at("p"), "acknowledged");
  cut_and_go_on("kept");
  EXPECT_EQ(text_of(top_ / "p"), std::string(12, '\0'));
  std::ofstream(top_ / "late") << "x";
  EXPECT_EQ(Opened(top_, O_RDONLY | O_DIRECTORY).sync(), 0);
  cut_and_go_on("lost");
  EXPECT_FALSE(fs::exists(top_ / "late")) << "its directory was synced, and that was a lie";
}

TEST_F(TreeMountTest, AClientIsKilledAtARequest) {
  ASSERT_TRUE(tree_.add_fault(*tree::TreeFaults::parse("kill-client rename nth=1 when=after")));
  std::ofstream(top_ / "a") << "x";
  const std::string from = top_ / "a";
  const std::string to = top_ / "b";
  const pid_t other = fork();
  if (other == 0) {
    rename(from.c_str(), to.c_str());
    _exit(0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(other, &status, 0), other);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  EXPECT_EQ(text_of(top_ / "b"), "x");
}

TEST_F(TreeMountTest, ModesHoldForOtherUsers) {
  if (geteuid() != 0) {
    GTEST_SKIP() << "needs root, to become another user";
  }
  std::ofstream(top_ / "secret") << "x";
  ASSERT_EQ(chmod((top_ / "secret").c_str(), 0600), 0);
  const std::string path = top_ / "secret";
  chmod(scratch_.c_str(), 0755);
  const pid_t other = fork();
  if (other == 0) {
    const bool left = setgid(65534) == 0 && setuid(65534) == 0;
    _exit(left && open(path.c_str(), O_RDONLY) < 0 && errno == EACCES ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(other, &status, 0), other);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace faultfs::mount
