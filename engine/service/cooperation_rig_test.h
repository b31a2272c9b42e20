#pragma once

// For tests: two engines on one disk, and clients at work.

#include <atomic>
#include <chrono>
#include <list>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>

#include "engine/service/program_rig_test.h"
#include "engine/service/source.h"

namespace engine::service {

/// One of the two, and where it is reached.
struct Engine {
  pid_t process = -1;
  fs::path socket;
};

/// Engines on one disk, and their prefix in shared memory, which is empty again after each test.
class CooperationTest : public ProgramTest {
 protected:
  void SetUp() override {
    ProgramTest::SetUp();
    fs::resize_file(disk_, 2 << 20);
    prefix_ = fmt::format("pcc{}", ::getpid());
  }
  void TearDown() override {
    for (const Engine& engine : engines_) {
      if (engine.process > 0) {
        ::kill(engine.process, SIGKILL);
        ::waitpid(engine.process, nullptr, 0);
      }
    }
    EXPECT_EQ(run({"shm", "clear", "--prefix", prefix_}).code, 0) << read_file(directory_ / "err");
    for (const auto& entry : fs::directory_iterator("/dev/shm")) {
      EXPECT_FALSE(entry.path().filename().string().starts_with(prefix_ + "-")) << entry.path();
    }
    ProgramTest::TearDown();
  }

  /// Starts an engine and waits until its clients can reach it. `more`: further words.
  Engine& start(const std::vector<std::string>& more = {}) {
    Engine& engine = engines_.emplace_back();
    engine.socket = directory_ / fmt::format("{}.sock", engines_.size());
    std::vector<std::string> words = words_of(engine.socket);
    words.insert(words.end(), more.begin(), more.end());
    errors_ = fmt::format("{}.err", engines_.size());
    engine.process = spawn(std::move(words));
    EXPECT_TRUE(soon([&] { return connect_socket(engine.socket).has_value(); }))
        << read_file(directory_ / errors_);
    errors_ = "err";
    return engine;
  }
  [[nodiscard]] std::vector<std::string> words_of(const fs::path& socket) const {
    return {"serve",
            "--disk",
            disk_.string(),
            "--store",
            "cyclone",
            "--slot",
            "4K",
            "--shm",
            "enabled=1",
            "--shm",
            "name_prefix=" + prefix_,
            "--cooperate",
            "--socket",
            socket.string()};
  }
  static std::unique_ptr<RemoteStore> client(const Engine& engine) {
    return connect_client(connect_socket(engine.socket).value().release());
  }
  template <typename Condition>
  static bool soon(const Condition& condition) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!condition()) {
      if (std::chrono::steady_clock::now() > deadline) {
        return false;
      }
      // pause: another process is at work; the deadline bounds the loop
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return true;
  }
  Outcome hand_over(const Engine& from, const std::vector<std::string>& more = {}) {
    std::vector<std::string> words = {"handoff", "--socket", from.socket.string()};
    words.insert(words.end(), more.begin(), more.end());
    return run(std::move(words));
  }
  /// Waits for the end of `engine`; how it ended, as `exit_code` says.
  static int end_of(Engine& engine) {
    const int code = exit_code(engine.process);
    engine.process = -1;
    return code;
  }
  [[nodiscard]] nlohmann::json board() {
    return nlohmann::json::parse(run({"shm", "status", "--prefix", prefix_, "--json"}).out)
        .at("cooperation");
  }
  static GetReply get(Store& store, std::string_view key) {
    GetReply reply;
    EXPECT_TRUE(store.get(key, {}, reply));
    return reply;
  }
  static bool writes(const Engine& engine) {
    const auto store = client(engine);
    return store->put("probe", "h", body(1, 10)).has_value();
  }

  std::string prefix_;
  std::list<Engine> engines_;
};

/// A client that puts, gets, updates and purges without a pause, and knows what it was promised.
class Load {
 public:
  explicit Load(std::unique_ptr<RemoteStore> store, std::uint64_t seed)
      : store_(std::move(store)), random_(seed), name_(fmt::format("c{}", seed)) {}

  /// One request, or several of one upload. Everything must succeed.
  void step() {
    const std::string key = fmt::format("{}-{}", name_, random_.below(12));
    switch (random_.below(6)) {
      case 0:
        ASSERT_TRUE(store_->purge(key));
        known_[key] = 0;
        break;
      case 1: {
        const auto updated = store_->update_header(key, "newer");
        ASSERT_TRUE(updated) << updated.error().message;
        break;
      }
      case 2:
      case 3:
        ASSERT_NO_FATAL_FAILURE(put(key));
        break;
      default:
        ASSERT_NO_FATAL_FAILURE(check(key));
    }
    ++steps_;
  }
  /// No hit is anything but the last version that was acknowledged.
  void check(const std::string& key) {
    GetReply reply;
    const Status got = store_->get(key, {}, reply);
    ASSERT_TRUE(got) << got.error().message;
    const std::uint64_t version = known_[key];
    if (reply.hit) {
      ++hits_;
      ASSERT_NE(version, 0U) << key << " was purged";
      ASSERT_TRUE(reply.body == body(version, size_of(version))) << key;
    }
  }
  void check_all() {
    for (const auto& [key, version] : std::map(known_)) {
      ASSERT_NO_FATAL_FAILURE(check(key));
    }
  }
  [[nodiscard]] std::uint64_t steps() const { return steps_; }
  [[nodiscard]] std::uint64_t hits() const { return hits_; }

 private:
  static std::size_t size_of(std::uint64_t version) { return 100 + version * 37 % 30000; }
  /// In pieces: a handoff may come between any two.
  void put(const std::string& key) {
    const std::uint64_t version = ++version_;
    const auto bytes = body(version, size_of(version));
    const auto upload = store_->begin_put(key, "h", bytes.size());
    ASSERT_TRUE(upload) << upload.error().message;
    for (std::size_t at = 0; at < bytes.size();) {
      const std::size_t part = std::min<std::size_t>(bytes.size() - at, 5000);
      const Status taken = store_->append(*upload, std::span(bytes).subspan(at, part));
      ASSERT_TRUE(taken) << taken.error().message;
      at += part;
    }
    const Status done = store_->commit(*upload);
    ASSERT_TRUE(done) << done.error().message;
    known_[key] = version;
  }

  std::unique_ptr<RemoteStore> store_;
  Random random_;
  std::string name_;
  std::map<std::string, std::uint64_t> known_;  // key → version; 0: purged
  std::uint64_t version_ = 0, hits_ = 0;
  std::atomic<std::uint64_t> steps_ = 0;
};

/// Clients at work in threads of their own, until `stop`.
class Loads {
 public:
  explicit Loads(std::vector<std::unique_ptr<RemoteStore>> stores) {
    for (auto& store : stores) {
      loads_.push_back(std::make_unique<Load>(std::move(store), loads_.size() + 1));
    }
    for (const auto& load : loads_) {
      threads_.emplace_back([this, &load = *load] {
        while (!stop_ && !::testing::Test::HasFatalFailure()) {
          load.step();
        }
      });
    }
  }
  ~Loads() { stop(); }
  Loads(const Loads&) = delete;
  Loads& operator=(const Loads&) = delete;
  Loads(Loads&&) = delete;
  Loads& operator=(Loads&&) = delete;
  void stop() {
    stop_ = true;
    for (std::thread& thread : threads_) {
      thread.join();
    }
    threads_.clear();
  }
  [[nodiscard]] const std::vector<std::unique_ptr<Load>>& each() const { return loads_; }

 private:
  std::vector<std::unique_ptr<Load>> loads_;
  std::vector<std::thread> threads_;
  std::atomic<bool> stop_ = false;
};

}  // namespace engine::service
