#pragma once

// For tests: cache-engine as a process, on a disk of its own.

#include <fcntl.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "engine/rock/rig_test.h"
#include "engine/service/client.h"

extern char** environ;

namespace engine::service {

namespace fs = std::filesystem;
using rock::body;

struct Outcome {
  int code = -1;
  std::string out, err;
};

inline std::string read_file(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

/// The program on a disk of its own, in a directory that is gone with the test.
class ProgramTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "engine-test-XXXXXX").string();
    directory_ = ::mkdtemp(name.data());
    disk_ = directory_ / "disk";
    std::ofstream(disk_).close();
    fs::resize_file(disk_, 1 << 18);
  }
  void TearDown() override { fs::remove_all(directory_); }

  /// Starts the program; `inherited` becomes descriptor 3.
  pid_t spawn(std::vector<std::string> words,
              int inherited = -1,
              const char* program = CACHE_ENGINE) {
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    const auto redirect = [&](int descriptor, const char* name) {
      posix_spawn_file_actions_addopen(
          &actions, descriptor, (directory_ / name).c_str(), O_CREAT | O_TRUNC | O_WRONLY, 0600);
    };
    redirect(1, "out");
    redirect(2, errors_.c_str());
    if (inherited >= 0) {
      posix_spawn_file_actions_adddup2(&actions, inherited, 3);
    }
    words.insert(words.begin(), program);
    std::vector<char*> arguments;
    for (std::string& word : words) {
      arguments.push_back(word.data());
    }
    arguments.push_back(nullptr);
    pid_t child = -1;
    EXPECT_EQ(::posix_spawn(&child, program, &actions, nullptr, arguments.data(), environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    return child;
  }
  static int exit_code(pid_t child) {
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
  Outcome run(std::vector<std::string> words, const char* program = CACHE_ENGINE) {
    Outcome result;
    result.code = exit_code(spawn(std::move(words), -1, program));
    result.out = read_file(directory_ / "out");
    result.err = read_file(directory_ / "err");
    return result;
  }
  Outcome look(const std::string& verb, std::vector<std::string> more = {}) {
    more.insert(more.begin(), {verb, "--disk", disk_.string()});
    return run(std::move(more));
  }
  /// Runs `story` against a served store that is then closed. `more`: further words.
  template <typename Story>
  void serve(const Story& story, bool close = true, const std::vector<std::string>& more = {}) {
    std::array<int, 2> ends = {};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
    std::vector<std::string> words = {
        "serve", "--disk", disk_.string(), "--seed", "5", "--manual-ticks", "--socket-fd", "3"};
    if (!slot_.empty()) {
      words.insert(words.end(), {"--slot", slot_});
    }
    words.insert(words.end(), more.begin(), more.end());
    const pid_t child = spawn(std::move(words), ends[1]);
    ::close(ends[1]);
    {
      const auto store = connect_client(ends[0]);
      story(*store);
      EXPECT_TRUE(!close || store->close());
    }
    EXPECT_EQ(exit_code(child), 0) << read_file(directory_ / "err");
  }
  static void put(Store& store, std::string_view key, const rock::Bytes& bytes) {
    const auto upload = store.begin_put(key, "head", bytes.size());
    ASSERT_TRUE(upload) << upload.error().message;
    ASSERT_TRUE(store.append(*upload, bytes));
    ASSERT_TRUE(store.commit(*upload));
  }

  fs::path directory_, disk_;
  std::string slot_ = "1K";
  std::string errors_ = "err";  ///< where the next process writes what it complains of
};

}  // namespace engine::service
