#pragma once

// For tests: objects in the machine's own shared memory under a prefix nobody else has, removed
// afterwards; lives of a process that keeps one or more stripes in them; and a layer that makes
// chosen requests fail.

#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/restart/fast_restart.h"
#include "engine/restart/purge.h"

namespace engine::restart {

inline constexpr std::uint64_t image_bytes = 3ULL * 4096;

/// The disk of a test stripe, as far as a binding tells of it.
inline Binding disk_state(std::uint64_t life = 1) {
  return {0x1234, 0x5678, life, 10 * life, 100 * life, 4096 * life};
}

/// Requests to the machine's shared memory, some of which fail.
class FaultyMemory final : public SharedMemory {
 public:
  struct Faults {
    std::function<int(const std::string&)> open, create, unlink;  ///< errno number; 0: go on
    int size = 0, resize = 0, map = 0;  ///< errno number of every such request
    std::uint64_t above_bytes = 0;      ///< … for more bytes than this
    std::optional<LockAnswer> lock;
    std::function<void()> before_lock;
  };
  Faults faults;

  [[nodiscard]] SystemResult<std::unique_ptr<SharedObject>> open(const std::string& name,
                                                                 Access access) override {
    if (const int error_number = faults.open ? faults.open(name) : 0; error_number != 0) {
      return tl::unexpected(error_number);
    }
    return wrapped(posix_shared_memory().open(name, access));
  }
  [[nodiscard]] SystemResult<std::unique_ptr<SharedObject>> create(
      const std::string& name) override {
    if (const int error_number = faults.create ? faults.create(name) : 0; error_number != 0) {
      return tl::unexpected(error_number);
    }
    return wrapped(posix_shared_memory().create(name));
  }
  [[nodiscard]] SystemResult<void> unlink(const std::string& name) override {
    if (const int error_number = faults.unlink ? faults.unlink(name) : 0; error_number != 0) {
      return tl::unexpected(error_number);
    }
    return posix_shared_memory().unlink(name);
  }
  [[nodiscard]] std::uint32_t own_process() override { return posix_shared_memory().own_process(); }
  [[nodiscard]] bool alive(std::uint32_t process) override {
    return posix_shared_memory().alive(process);
  }

 private:
  class Object final : public SharedObject {
   public:
    Object(std::unique_ptr<SharedObject> below, const Faults& faults)
        : below_(std::move(below)), faults_(faults) {}
    [[nodiscard]] SystemResult<std::uint64_t> size_bytes() override {
      return faults_.size != 0 ? tl::unexpected(faults_.size) : below_->size_bytes();
    }
    [[nodiscard]] LockAnswer lock() override {
      if (faults_.before_lock) {
        faults_.before_lock();
      }
      return faults_.lock ? *faults_.lock : below_->lock();
    }
    [[nodiscard]] bool unlinked() override { return below_->unlinked(); }
    [[nodiscard]] SystemResult<void> resize(std::uint64_t size_bytes, bool reserve) override {
      const bool fails = faults_.resize != 0 && size_bytes > faults_.above_bytes;
      return fails ? tl::unexpected(faults_.resize) : below_->resize(size_bytes, reserve);
    }
    [[nodiscard]] SystemResult<std::unique_ptr<Mapping>> map(std::uint64_t size_bytes,
                                                             Access access) override {
      const bool fails = faults_.map != 0 && size_bytes > faults_.above_bytes;
      return fails ? tl::unexpected(faults_.map) : below_->map(size_bytes, access);
    }

   private:
    std::unique_ptr<SharedObject> below_;
    const Faults& faults_;
  };

  SystemResult<std::unique_ptr<SharedObject>> wrapped(
      SystemResult<std::unique_ptr<SharedObject>> opened) {
    return opened ? SystemResult<std::unique_ptr<SharedObject>>(
                        std::make_unique<Object>(std::move(*opened), faults))
                  : std::move(opened);
  }
};

/// One life of a process that keeps stripes in shared memory.
class Life {
 public:
  Life(SharedMemory& memory, const StartRequest& request)
      : restart(std::make_unique<FastRestart>(
            memory, request, [this](std::string_view line) { log.append(line).append("\n"); })) {}

  /// Takes the image of `identity`; the reference is good until the next one.
  StripeImage& take(const std::string& identity,
                    const Binding& disk = disk_state(),
                    std::uint64_t size_bytes = image_bytes) {
    auto image = restart->take(identity, size_bytes, disk);
    EXPECT_TRUE(image) << image.error().message;
    return images.emplace_back(std::move(*image));
  }
  /// An orderly stop that leaves the disk as `disk` says.
  bool stop(const Binding& disk = disk_state(), std::size_t leave_open = 0) {
    std::vector<SealedImage> sealed;
    while (images.size() > leave_open) {
      sealed.push_back(std::move(images.back()).seal(disk));
      images.pop_back();
    }
    return restart->mark_clean(std::move(sealed));
  }
  /// What a kill leaves: nothing is sealed.
  void kill() {
    images.clear();
    restart.reset();
  }
  [[nodiscard]] std::uint64_t refused(Gate gate) const {
    return restart->refusals().at(std::string(gate_table.name(gate)));
  }
  [[nodiscard]] std::uint64_t refused_in_all() const {
    std::uint64_t all = 0;
    for (const auto& [name, count] : restart->refusals()) {
      all += count;
    }
    return all;
  }

  std::string log;
  std::unique_ptr<FastRestart> restart;
  std::vector<StripeImage> images;
};

inline void fill(const StripeImage& image, int value) {
  std::memset(image.bytes().data(), value, image.bytes().size());
}
inline bool holds(const StripeImage& image, int value) {
  for (const std::byte byte : image.bytes()) {
    if (byte != static_cast<std::byte>(value)) {
      return false;
    }
  }
  return true;
}

/// A forked process that runs `story` and then waits, until it is killed or told to go on.
class Forked {
 public:
  explicit Forked(const std::function<void()>& story) {
    std::array<int, 2> ready = {}, go = {};
    EXPECT_EQ(::pipe(ready.data()), 0);
    EXPECT_EQ(::pipe(go.data()), 0);
    process_ = ::fork();
    if (process_ == 0) {
      ::close(ready[0]);
      ::close(go[1]);
      story();
      char byte = 'r';
      static_cast<void>(!::write(ready[1], &byte, 1));
      static_cast<void>(!::read(go[0], &byte, 1));
      ::_exit(0);
    }
    ::close(ready[1]);
    ::close(go[0]);
    go_ = go[1];
    char byte = 0;
    ready_ = ::read(ready[0], &byte, 1) == 1;
    ::close(ready[0]);
  }
  ~Forked() { end(SIGKILL); }
  Forked(const Forked&) = delete;
  Forked& operator=(const Forked&) = delete;

  /// False: it ended before its story did.
  [[nodiscard]] bool ready() const { return ready_; }
  [[nodiscard]] pid_t process() const { return process_; }
  /// Its wait status.
  int end(int signal_number) {
    if (process_ > 0) {
      if (signal_number != 0) {
        ::kill(process_, signal_number);
      }
      ::close(go_);
      ::waitpid(process_, &status_, 0);
      process_ = -1;
    }
    return status_;
  }

 private:
  pid_t process_ = -1;
  int go_ = -1;
  bool ready_ = false;
  int status_ = 0;
};

/// A prefix of its own and settings that go with it; leaves nothing behind.
class ShmTest : public ::testing::Test {
 public:
  ~ShmTest() override { remove_all(); }
  ShmTest(const ShmTest&) = delete;
  ShmTest& operator=(const ShmTest&) = delete;

 protected:
  ShmTest() {
    static int number = 0;
    request.config.enabled = true;
    request.config.name_prefix = fmt::format("pct{}x{}", ::getpid(), ++number);
    prefix = *frame_prefix(request.config.name_prefix);
    request.spans = {{"disk-a", 1000, 8192, 512}};
    request.format_facts = {"test directory: one byte per entry"};
  }

  /// Removes what is there, whoever owns it.
  void remove_all() const {
    PurgeReport report;
    sweep_names(posix_shared_memory(), prefix, report);
    remove_object(posix_shared_memory(), control_name(prefix), report);
  }

  [[nodiscard]] std::unique_ptr<Life> start(SharedMemory& memory = posix_shared_memory()) const {
    return std::make_unique<Life>(memory, request);
  }
  /// A life with the stripes `identities`, filled with `value`, that stops in order.
  void run_and_stop(const std::vector<std::string>& identities,
                    int value,
                    const Binding& disk = disk_state()) const {
    const auto life = start();
    for (const std::string& identity : identities) {
      fill(life->take(identity, disk), value);
    }
    life->restart->finish_start();
    ASSERT_TRUE(life->stop(disk)) << life->log;
  }
  [[nodiscard]] bool exists(const std::string& name) const {
    return posix_shared_memory().open(prefix + name, Access::read_only).has_value();
  }
  /// Changes the control segment as somebody else would.
  void poke(const std::function<void(Control&)>& change) const {
    const auto object = posix_shared_memory().open(control_name(prefix), Access::read_write);
    ASSERT_TRUE(object);
    const auto mapping = (*object)->map(control_bytes, Access::read_write);
    ASSERT_TRUE(mapping);
    change(*reinterpret_cast<Control*>((*mapping)->bytes().data()));
  }
  void resize(const std::string& name, std::uint64_t size_bytes) const {
    const auto object = posix_shared_memory().open(prefix + name, Access::read_write);
    ASSERT_TRUE(object);
    ASSERT_TRUE((*object)->resize(size_bytes, false));
  }

  StartRequest request;
  std::string prefix;
};

}  // namespace engine::restart
