#include "scenarios/targets/store_trap.h"

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

#include <sys/mman.h>
#include <ucontext.h>

#include <array>
#include <csignal>
#include <cstring>

#include "faultfs/base/check.h"

namespace scenarios {

namespace {

constexpr std::uintptr_t page_bytes = 4096;
constexpr greg_t trap_flag = 0x100;
constexpr std::size_t pages_max = 4;  // that one instruction may store into

struct OpenPage {
  std::byte* page = nullptr;
  std::array<std::byte, page_bytes> before = {};
};

/// What the handlers know.
struct Watched {
  StoreTrap* trap = nullptr;
  std::array<OpenPage, pages_max> open = {};
  std::size_t open_count = 0;
  struct sigaction segv = {}, step = {};
};

Watched& watched() {
  static Watched all;
  return all;
}

}  // namespace

/// The handlers. What they do is done between two instructions of the cache, never inside an
/// allocator: that does not store into shared memory.
struct TrapSignals {
  static void fault(int /*signal*/, siginfo_t* facts, void* context) {
    Watched& all = watched();
    auto* const address = static_cast<std::byte*>(facts->si_addr);
    if (all.trap == nullptr || all.open_count == pages_max ||
        !all.trap->memory_.object_at(address)) {
      ::sigaction(SIGSEGV, &all.segv, nullptr);  // not ours: let it end the process
      return;
    }
    OpenPage& open = all.open.at(all.open_count++);
    open.page = address - reinterpret_cast<std::uintptr_t>(address) % page_bytes;
    std::memcpy(open.before.data(), open.page, page_bytes);
    ::mprotect(open.page, page_bytes, PROT_READ | PROT_WRITE);
    static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_EFL] |= trap_flag;
  }

  static void step_done(int /*signal*/, siginfo_t* /*facts*/, void* context) {
    Watched& all = watched();
    static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_EFL] &= ~trap_flag;
    const std::byte* changed = nullptr;
    for (std::size_t at = 0; at < all.open_count; ++at) {
      const OpenPage& open = all.open.at(at);
      ::mprotect(open.page, page_bytes, PROT_READ);
      for (std::size_t byte = 0; changed == nullptr && byte < page_bytes; ++byte) {
        changed = open.before.at(byte) != open.page[byte] ? open.page + byte : nullptr;
      }
    }
    all.open_count = 0;
    if (changed != nullptr && all.trap != nullptr && --all.trap->stores_left_ == 0) {
      all.trap->spring(changed);
    }
  }
};

bool StoreTrap::possible() {
  return true;
}

void StoreTrap::arm(std::uint64_t stores) {
  disarm();
  Watched& all = watched();
  POWERCUT_CHECK(all.trap == nullptr, "another store is waited for");
  all.trap = this;
  all.open_count = 0;
  struct sigaction action = {};
  action.sa_flags = SA_SIGINFO;
  action.sa_sigaction = TrapSignals::fault;
  ::sigaction(SIGSEGV, &action, &all.segv);
  action.sa_sigaction = TrapSignals::step_done;
  ::sigaction(SIGTRAP, &action, &all.step);
  armed_ = true;
  stores_left_ = stores;
  memory_.trap_stores(true);
}

/// The memory is open again: the life goes on for a while, and what it does counts no more.
void StoreTrap::close() {
  memory_.trap_stores(false);
  ::sigaction(SIGSEGV, &watched().segv, nullptr);
  ::sigaction(SIGTRAP, &watched().step, nullptr);
  watched().trap = nullptr;
  armed_ = false;
}

void StoreTrap::disarm() {
  if (armed_) {
    close();
  }
  sprung_ = false;
  objects_.clear();
}

void StoreTrap::spring(const std::byte* at) {
  sprung_ = true;
  for (const auto& [name, bytes] : memory_.contents()) {
    objects_.emplace(name, faultfs::Bytes(bytes.begin(), bytes.end()));
    if (at >= bytes.data() && at < bytes.data() + bytes.size()) {
      object_ = name;
      offset_ = static_cast<std::size_t>(at - bytes.data());
    }
  }
  close();
}

}  // namespace scenarios

#else

namespace scenarios {

bool StoreTrap::possible() {
  return false;
}
void StoreTrap::arm(std::uint64_t /*stores*/) {}
void StoreTrap::disarm() {}
void StoreTrap::spring(const std::byte* /*at*/) {}
void StoreTrap::close() {}

}  // namespace scenarios

#endif
