// The clean mark: raised only after every writer has stopped, and a kill before any single store of
// a life leaves a segment that the next start either attaches rightly or drops.

#include <sys/mman.h>
#include <ucontext.h>

#include "engine/restart/shm_test.h"

namespace engine::restart {
namespace {

using ::testing::HasSubstr;

class StopTest : public ShmTest {};

TEST_F(StopTest, ImageThatMayStillBeWrittenKeepsTheMarkDown) {
  {
    const auto life = start();
    life->take("a");
    life->take("b");
    EXPECT_FALSE(life->stop(disk_state(), 1));
    EXPECT_EQ(life->refused(Gate::writers_stopped), 1U);
    EXPECT_THAT(life->log, HasSubstr("no clean mark"));
  }
  EXPECT_EQ(start()->refused(Gate::control_clean), 1U);
}

TEST_F(StopTest, SealOfAnotherLifeDoesNotCount) {
  const auto life = start();
  life->take("a");
  StartRequest other_request = request;
  other_request.config.name_prefix += "y";
  std::vector<SealedImage> sealed;
  {
    Life other(posix_shared_memory(), other_request);
    sealed.push_back(std::move(other.take("a")).seal(disk_state()));
  }
  EXPECT_FALSE(life->restart->mark_clean(std::move(sealed)));
  Gates gates({}, nullptr);
  EXPECT_TRUE(purge(posix_shared_memory(), other_request.config.name_prefix, gates));
}

TEST_F(StopTest, ImageOnTheHeapNeedsNoSeal) {
  FaultyMemory memory;
  const auto life = start(memory);
  life->take("a");
  memory.faults.create = [](const std::string&) { return ENOSPC; };
  life->take("b");
  std::vector<SealedImage> sealed;
  sealed.push_back(std::move(life->images[0]).seal(disk_state()));
  EXPECT_TRUE(life->restart->mark_clean(std::move(sealed)));
}

TEST_F(StopTest, NoImageAfterTheMark) {
  const auto life = start();
  life->take("a");
  EXPECT_TRUE(life->stop());
  EXPECT_FALSE(life->take("b").shared());
}

TEST_F(StopTest, LateWriterIsStopped) {
  const Forked child([this] {
    ::signal(SIGSEGV, SIG_DFL);
    const auto life = start();
    const std::span<std::byte> bytes = life->take("a").bytes();
    const SealedImage sealed = std::move(life->images[0]).seal(disk_state());
    *const_cast<volatile std::byte*>(bytes.data()) = std::byte{1};
  });
  EXPECT_FALSE(child.ready());
}

TEST_F(StopTest, WriterThroughAnotherMappingIsNoticed) {
  request.config.gates_off = {};
  {
    const auto life = start();
    fill(life->take("a"), 1);
    const auto object = posix_shared_memory().open(prefix + "s0", Access::read_write);
    const auto late = (*object)->map(image_bytes, Access::read_write);
    EXPECT_TRUE(life->stop());
    (*late)->bytes()[100] = std::byte{2};
  }
  const auto life = start();
  EXPECT_FALSE(life->take("a").attached());
  EXPECT_EQ(life->refused(Gate::image_digest), 1U);
}

TEST_F(StopTest, ReferenceRaisesTheMarkWhileWritersRun) {
  request.config.gates_off = gates_off_in_trafficserver();
  const auto life = start();
  StripeImage& image = life->take("a");
  EXPECT_TRUE(life->restart->mark_clean(std::vector<SealedImage>()));
  fill(image, 6);  // the half-written change of a thread that was not joined
  life->kill();
  const auto next = start();
  EXPECT_TRUE(next->take("a").attached());
  EXPECT_TRUE(holds(next->images[0], 6));
}

TEST_F(StopTest, ReferenceAttachesAStaleImage) {
  request.config.gates_off = gates_off_in_trafficserver();
  run_and_stop({"a"}, 1, disk_state(1));
  EXPECT_TRUE(start()->take("a", disk_state(2)).attached());
}

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

/// Kills the process before its n-th store into shared memory: mappings are write-protected, a
/// store faults, is counted, let through for one instruction, and the page protected again.
class StoreCounter final : public SharedMemory {
 public:
  explicit StoreCounter(std::uint64_t stores) {
    stores_left() = stores;
    mapped().clear();
    struct sigaction action = {};
    action.sa_flags = SA_SIGINFO;
    action.sa_sigaction = [](int, siginfo_t* facts, void* context) { fault(facts, context); };
    ::sigaction(SIGSEGV, &action, nullptr);
    action.sa_sigaction = [](int, siginfo_t*, void* context) { step_done(context); };
    ::sigaction(SIGTRAP, &action, nullptr);
  }
  [[nodiscard]] SystemResult<std::unique_ptr<SharedObject>> open(const std::string& name,
                                                                 Access access) override {
    return protecting(name, posix_shared_memory().open(name, access));
  }
  [[nodiscard]] SystemResult<std::unique_ptr<SharedObject>> create(
      const std::string& name) override {
    return protecting(name, posix_shared_memory().create(name));
  }
  [[nodiscard]] SystemResult<void> unlink(const std::string& name) override {
    count("unlink " + name);
    return posix_shared_memory().unlink(name);
  }
  [[nodiscard]] std::uint32_t own_process() override { return posix_shared_memory().own_process(); }
  [[nodiscard]] bool alive(std::uint32_t process) override {
    return posix_shared_memory().alive(process);
  }

  /// The store before which the last process was killed, in words. Shared with the processes that
  /// are forked after the first call.
  static char* named() {
    static auto* text = static_cast<char*>(
        ::mmap(nullptr, page_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    return text;
  }

 private:
  static constexpr std::uintptr_t page_bytes = 4096;
  static constexpr greg_t trap_flag = 0x100;

  struct Mapped {
    std::string name;
    std::uintptr_t begin = 0, end = 0;
  };
  static std::vector<Mapped>& mapped() {
    static std::vector<Mapped> all;
    return all;
  }
  /// A store into the control segment by its field, into an image by its place.
  static std::string name_of(std::uintptr_t address) {
    for (const Mapped& each : mapped()) {
      if (address < each.begin || address >= each.end) {
        continue;
      }
      const std::size_t offset = address - each.begin;
      if (each.end - each.begin < control_bytes) {
        return fmt::format("{} at {}", each.name, offset);
      }
      if (offset >= offsetof(Control, rows)) {
        const std::size_t in_rows = offset - offsetof(Control, rows);
        return fmt::format(
            "control segment, row {} at {}", in_rows / sizeof(Row), in_rows % sizeof(Row));
      }
      return offset == offsetof(Frozen, clean) ? "control segment, clean mark"
                                               : fmt::format("control segment at {}", offset);
    }
    return "nowhere";
  }

  static std::uint64_t& stores_left() {
    static std::uint64_t left = 0;
    return left;
  }
  /// Those the store being made lies in.
  static std::vector<std::uintptr_t>& pages() {
    static std::vector<std::uintptr_t> addresses;
    return addresses;
  }
  static void count(const std::string& what) {
    if (stores_left()-- == 0) {
      std::strncpy(named(), what.c_str(), page_bytes - 1);
      ::kill(::getpid(), SIGKILL);
    }
  }
  static void protect(std::uintptr_t page, int protection) {
    ::mprotect(reinterpret_cast<void*>(page), page_bytes, protection);
  }
  static void fault(const siginfo_t* facts, void* context) {
    count(name_of(reinterpret_cast<std::uintptr_t>(facts->si_addr)));
    pages().push_back(reinterpret_cast<std::uintptr_t>(facts->si_addr) & ~(page_bytes - 1));
    protect(pages().back(), PROT_READ | PROT_WRITE);
    static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_EFL] |= trap_flag;
  }
  static void step_done(void* context) {
    for (const std::uintptr_t page : pages()) {
      protect(page, PROT_READ);
    }
    pages().clear();
    static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_EFL] &= ~trap_flag;
  }

  class Object final : public SharedObject {
   public:
    Object(std::string name, std::unique_ptr<SharedObject> below)
        : name_(std::move(name)), below_(std::move(below)) {}
    [[nodiscard]] SystemResult<std::uint64_t> size_bytes() override { return below_->size_bytes(); }
    [[nodiscard]] LockAnswer lock() override { return below_->lock(); }
    [[nodiscard]] bool unlinked() override { return below_->unlinked(); }
    [[nodiscard]] SystemResult<void> resize(std::uint64_t size_bytes, bool reserve) override {
      count("size of " + name_);
      return below_->resize(size_bytes, reserve);
    }
    [[nodiscard]] SystemResult<std::unique_ptr<Mapping>> map(std::uint64_t size_bytes,
                                                             Access access) override {
      auto mapping = below_->map(size_bytes, access);
      if (mapping) {
        static_cast<void>((*mapping)->make_read_only());
        const auto begin = reinterpret_cast<std::uintptr_t>((*mapping)->bytes().data());
        mapped().push_back({name_, begin, begin + size_bytes});
      }
      return mapping;
    }

   private:
    std::string name_;
    std::unique_ptr<SharedObject> below_;
  };
  static SystemResult<std::unique_ptr<SharedObject>> protecting(
      const std::string& name, SystemResult<std::unique_ptr<SharedObject>> opened) {
    return opened ? SystemResult<std::unique_ptr<SharedObject>>(
                        std::make_unique<Object>(name, std::move(*opened)))
                  : std::move(opened);
  }
};

/// One whole life: takes two stripes, changes some bytes of each, stops.
void live(const StartRequest& request, SharedMemory& memory, int value) {
  Life life(memory, request);
  life.take("a", disk_state(1));
  life.take("b", disk_state(1));
  life.restart->finish_start();
  for (const StripeImage& image : life.images) {
    for (std::size_t at = 0; at < image.bytes().size(); at += 1024) {
      image.bytes()[at] = static_cast<std::byte>(value);
    }
  }
  if (!life.stop(disk_state(2))) {
    ::_exit(1);
  }
}

/// Kills a life before every single store it makes, until one survives.
class KillTest : public StopTest {
 protected:
  /// Starts after a kill; returns what the two stripes hold: -1 for a fresh image.
  [[nodiscard]] std::array<int, 2> look(const Binding& disk) const {
    const auto life = start();
    std::array<int, 2> values = {-1, -1};
    for (std::size_t n = 0; n < values.size(); ++n) {
      const StripeImage& image = life->take(n == 0 ? "a" : "b", disk);
      EXPECT_TRUE(image.shared()) << life->log;
      values.at(n) = image.attached() ? static_cast<int>(image.bytes()[0]) : -1;
    }
    return values;
  }
};

TEST_F(KillTest, BeforeEveryStoreOfAFirstLife) {
  bool survived = false;
  int kills = 0;
  for (std::uint64_t stores = 0; !survived && stores < 2000; ++stores) {
    remove_all();
    Forked child([&] {
      StoreCounter memory(stores);
      live(request, memory, 1);
    });
    survived = child.ready();
    child.end(SIGKILL);
    kills += survived ? 0 : 1;
    const auto seen = look(disk_state(2));
    const std::array<int, 2> fresh = {-1, -1}, all = {1, 1};
    // The mark is the last store but the settling ones: before it nothing is attached.
    EXPECT_TRUE(seen == fresh || (seen == all && kills > 20)) << stores;
    EXPECT_TRUE(!survived || seen == all);
  }
  EXPECT_TRUE(survived);
  EXPECT_GT(kills, 40);
}

TEST_F(KillTest, BeforeEveryStoreOfALifeThatAttached) {
  bool survived = false;
  int kills = 0;
  for (std::uint64_t stores = 0; !survived && stores < 2000; ++stores) {
    remove_all();
    run_and_stop({"a", "b"}, 1, disk_state(1));
    Forked child([&] {
      StoreCounter memory(stores);
      live(request, memory, 2);
    });
    survived = child.ready();
    child.end(SIGKILL);
    kills += survived ? 0 : 1;
    // The disk may be as before that life, or as it left it. Never both, never a mixture.
    const bool before = look(disk_state(1)) == std::array<int, 2>{1, 1};
    EXPECT_TRUE(!before || stores == 0) << stores;
    EXPECT_TRUE(!survived || !before);
  }
  EXPECT_TRUE(survived);
  EXPECT_GT(kills, 20);
}

/// A life whose clean mark is raised while a thread still writes "b".
void stop_too_early(const StartRequest& request, SharedMemory& memory, int value) {
  Life life(memory, request);
  life.take("a", disk_state(1));
  life.take("b", disk_state(1));
  life.restart->finish_start();
  std::vector<SealedImage> sealed;
  sealed.push_back(std::move(life.images[0]).seal(disk_state(2)));
  static_cast<void>(life.restart->mark_clean(std::move(sealed)));
  const std::span<std::byte> bytes = life.images[1].bytes();
  for (std::size_t at = 0; at < bytes.size(); at += 1024) {
    bytes[at] = static_cast<std::byte>(value);
  }
}

/// The stores before which a kill left a torn "b" that the next start attached.
class EarlyMarkTest : public KillTest {
 protected:
  [[nodiscard]] std::vector<std::string> torn_after_kills() const {
    std::vector<std::string> torn;
    bool survived = false;
    StoreCounter::named();
    for (std::uint64_t stores = 0; !survived && stores < 2000; ++stores) {
      remove_all();
      Forked child([&] {
        StoreCounter memory(stores);
        stop_too_early(request, memory, 3);
      });
      survived = child.ready();
      child.end(SIGKILL);
      const auto life = start();
      const StripeImage& image = life->take("b", disk_state(2));
      int written = 0;
      for (std::size_t at = 0; at < image.bytes().size(); at += 1024) {
        written += image.bytes()[at] == std::byte{3} ? 1 : 0;
      }
      const int all = static_cast<int>(image.bytes().size() / 1024);
      if (image.attached() && written != all && !survived) {
        torn.emplace_back(StoreCounter::named());
      }
    }
    EXPECT_TRUE(survived);
    return torn;
  }
};

TEST_F(EarlyMarkTest, KillsFindItAndNameTheStore) {
  request.config.gates_off = gates_off_in_trafficserver();
  const std::vector<std::string> torn = torn_after_kills();
  ASSERT_FALSE(torn.empty());
  for (const std::string& store : torn) {
    const bool image = store.find("s1 at ") != std::string::npos;
    EXPECT_TRUE(image || store.starts_with("control segment")) << store;
  }
  EXPECT_TRUE(std::any_of(torn.begin(), torn.end(), [](const std::string& store) {
    return store.find("s1 at 1024") != std::string::npos;
  }));
  fmt::print("{} kills leave a torn image that is attached, the first before the store {}\n",
             torn.size(),
             torn.front());
}

TEST_F(EarlyMarkTest, TheGatesKeepItOut) {
  EXPECT_TRUE(torn_after_kills().empty());
}

#endif

}  // namespace
}  // namespace engine::restart
