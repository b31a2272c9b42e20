#pragma once

// For tests: every store into a piece of memory, in order, with the bytes it changed. The memory is
// write-protected; a store faults, the page is opened for one instruction (the trap flag), what
// changed is noted, and the page is closed again. Nothing in the code that stores knows of it.

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define POWERCUT_STORE_LOG 1

#include <sys/mman.h>
#include <ucontext.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <functional>
#include <span>
#include <vector>

namespace engine::cyclone {

/// One at a time in a process.
class StoreLog {
 public:
  /// Bytes that one store changed: where, and what was there.
  struct Store {
    std::size_t offset = 0;
    std::vector<std::byte> before;
  };

  explicit StoreLog(std::size_t size_bytes)
      : size_bytes_((size_bytes + page_bytes - 1) / page_bytes * page_bytes),
        used_bytes_(size_bytes),
        bytes_(static_cast<std::byte*>(::mmap(
            nullptr, size_bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))) {
    current() = this;
  }
  ~StoreLog() {
    ::munmap(bytes_, size_bytes_);
    current() = nullptr;
  }
  StoreLog(const StoreLog&) = delete;
  StoreLog& operator=(const StoreLog&) = delete;
  StoreLog(StoreLog&&) = delete;
  StoreLog& operator=(StoreLog&&) = delete;

  [[nodiscard]] std::span<std::byte> bytes() const { return {bytes_, used_bytes_}; }

  /// Notes what `story` stores into the bytes.
  void record(const std::function<void()>& story) {
    struct sigaction action = {}, segv = {}, trap = {};
    action.sa_flags = SA_SIGINFO;
    action.sa_sigaction = [](int, siginfo_t* facts, void* context) { fault(facts, context); };
    ::sigaction(SIGSEGV, &action, &segv);
    action.sa_sigaction = [](int, siginfo_t*, void* context) { step_done(context); };
    ::sigaction(SIGTRAP, &action, &trap);
    ::mprotect(bytes_, size_bytes_, PROT_READ);
    story();
    ::mprotect(bytes_, size_bytes_, PROT_READ | PROT_WRITE);
    ::sigaction(SIGSEGV, &segv, nullptr);
    ::sigaction(SIGTRAP, &trap, nullptr);
  }

  [[nodiscard]] const std::vector<Store>& stores() const { return stores_; }
  /// The bytes as a kill after the first `count` stores leaves them.
  [[nodiscard]] std::vector<std::byte> after(std::size_t count) const {
    std::vector<std::byte> image(bytes_, bytes_ + used_bytes_);
    for (std::size_t at = stores_.size(); at-- > count;) {
      std::ranges::copy(stores_[at].before, image.begin() + static_cast<long>(stores_[at].offset));
    }
    return image;
  }

 private:
  static constexpr std::uintptr_t page_bytes = 4096;
  static constexpr greg_t trap_flag = 0x100;
  struct Open {
    std::byte* page = nullptr;
    std::vector<std::byte> before;
  };

  static StoreLog*& current() {
    static StoreLog* log = nullptr;
    return log;
  }
  // What the handlers do is done between two instructions of the story, never inside the allocator:
  // that does not store into these bytes.
  static void fault(const siginfo_t* facts, void* context) {
    StoreLog* log = current();
    auto* address = static_cast<std::byte*>(facts->si_addr);
    if (log == nullptr || address < log->bytes_ || address >= log->bytes_ + log->size_bytes_) {
      std::signal(SIGSEGV, SIG_DFL);  // not ours: let it end the process
      return;
    }
    std::byte* page = log->bytes_ + (address - log->bytes_) / long{page_bytes} * long{page_bytes};
    log->open_.push_back({page, std::vector<std::byte>(page, page + page_bytes)});
    ::mprotect(page, page_bytes, PROT_READ | PROT_WRITE);
    static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_EFL] |= trap_flag;
  }
  static void step_done(void* context) {
    StoreLog* log = current();
    for (const Open& open : log->open_) {
      log->note(open);
      ::mprotect(open.page, page_bytes, PROT_READ);
    }
    log->open_.clear();
    static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_EFL] &= ~trap_flag;
  }
  void note(const Open& open) {
    std::size_t begin = 0;
    std::size_t end = page_bytes;
    while (begin < end && open.before[begin] == open.page[begin]) {
      ++begin;
    }
    while (end > begin && open.before[end - 1] == open.page[end - 1]) {
      --end;
    }
    if (begin < end) {
      stores_.push_back({static_cast<std::size_t>(open.page - bytes_) + begin,
                         {open.before.begin() + static_cast<long>(begin),
                          open.before.begin() + static_cast<long>(end)}});
    }
  }

  std::size_t size_bytes_, used_bytes_;
  std::byte* bytes_;
  std::vector<Store> stores_;
  std::vector<Open> open_;
};

}  // namespace engine::cyclone

#endif
