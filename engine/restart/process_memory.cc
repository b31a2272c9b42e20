#include "engine/restart/process_memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace engine::restart {

/// The bytes of one object.
class ProcessMemory::Pages {
 public:
  Pages() = default;
  ~Pages() { free(); }
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;

  [[nodiscard]] std::span<std::byte> bytes() const { return bytes_; }
  [[nodiscard]] bool resize(std::uint64_t size_bytes) {
    if (size_bytes == bytes_.size()) {
      return true;
    }
    void* const pages =
        size_bytes == 0
            ? nullptr
            : ::mmap(
                  nullptr, size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) {
      return false;
    }
    const std::span fresh(static_cast<std::byte*>(pages), size_bytes);
    std::copy_n(bytes_.begin(), std::min(bytes_.size(), fresh.size()), fresh.begin());
    free();
    bytes_ = fresh;
    return true;
  }
  [[nodiscard]] bool protect(int protection) const {
    return bytes_.empty() || ::mprotect(bytes_.data(), bytes_.size(), protection) == 0;
  }

  bool unlinked = false;
  const SharedObject* locked_by = nullptr;

 private:
  void free() {
    if (!bytes_.empty()) {
      ::munmap(bytes_.data(), bytes_.size());
    }
  }
  std::span<std::byte> bytes_;
};

class ProcessMemory::View final : public Mapping {
 public:
  View(std::shared_ptr<Pages> pages, std::uint64_t size_bytes)
      : Mapping(pages->bytes().first(size_bytes)), pages_(std::move(pages)) {}
  [[nodiscard]] bool make_read_only() override { return pages_->protect(PROT_READ); }
  [[nodiscard]] bool advise_huge_pages() override { return false; }
  void settle() override {}

 private:
  std::shared_ptr<Pages> pages_;
};

class ProcessMemory::Object final : public SharedObject {
 public:
  Object(std::shared_ptr<Pages> pages, bool control, bool fresh, const ProcessMemory& memory)
      : pages_(std::move(pages)),
        control_(control),
        fresh_(fresh),
        memory_(memory),
        faults_(memory.faults) {}

  ~Object() override {
    if (pages_->locked_by == this) {
      pages_->locked_by = nullptr;
    }
  }
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;

  [[nodiscard]] SystemResult<std::uint64_t> size_bytes() override { return pages_->bytes().size(); }
  [[nodiscard]] LockAnswer lock() override {
    if (faults_.lock != LockAnswer::taken) {
      return faults_.lock;
    }
    if (pages_->locked_by != nullptr && pages_->locked_by != this) {
      return LockAnswer::held;
    }
    pages_->locked_by = this;
    return LockAnswer::taken;
  }
  [[nodiscard]] bool unlinked() override { return pages_->unlinked || faults_.replaced; }
  [[nodiscard]] SystemResult<void> resize(std::uint64_t size_bytes, bool /*reserve*/) override {
    if (!control_ && faults_.image_resize != 0) {
      return tl::unexpected(faults_.image_resize);
    }
    return pages_->resize(size_bytes) ? SystemResult<void>{} : tl::unexpected(ENOMEM);
  }
  [[nodiscard]] SystemResult<std::unique_ptr<Mapping>> map(std::uint64_t size_bytes,
                                                           Access /*access*/) override {
    if (!control_ && !fresh_ && faults_.image_map != 0) {
      return tl::unexpected(faults_.image_map);
    }
    if (size_bytes == 0 || size_bytes > pages_->bytes().size() ||
        !pages_->protect(memory_.protection())) {
      return tl::unexpected(EINVAL);
    }
    return std::make_unique<View>(pages_, size_bytes);
  }

 private:
  std::shared_ptr<Pages> pages_;
  bool control_, fresh_;
  const ProcessMemory& memory_;
  const MemoryFaults& faults_;
};

ProcessMemory::ProcessMemory() = default;
ProcessMemory::~ProcessMemory() = default;

int ProcessMemory::protection() const {
  return traps_stores_ ? PROT_READ : PROT_READ | PROT_WRITE;
}

void ProcessMemory::trap_stores(bool on) {
  traps_stores_ = on;
  for (const auto& [name, pages] : objects_) {
    static_cast<void>(pages->protect(protection()));
  }
}

std::optional<std::span<std::byte>> ProcessMemory::object_at(const std::byte* address) const {
  for (const auto& [name, pages] : objects_) {
    const std::span<std::byte> bytes = pages->bytes();
    if (address >= bytes.data() && address < bytes.data() + bytes.size()) {
      return bytes;
    }
  }
  return std::nullopt;
}

std::map<std::string, std::span<std::byte>> ProcessMemory::contents() const {
  std::map<std::string, std::span<std::byte>> all;
  for (const auto& [name, pages] : objects_) {
    all.emplace(name, pages->bytes());
  }
  return all;
}

SystemResult<std::unique_ptr<SharedObject>> ProcessMemory::open(const std::string& name,
                                                                Access /*access*/) {
  const bool control = name.ends_with("-control");
  if (control && faults.control_open != 0) {
    return tl::unexpected(faults.control_open);
  }
  const std::lock_guard lock(names_mutex_);
  const auto found = objects_.find(name);
  if (found == objects_.end()) {
    return tl::unexpected(ENOENT);
  }
  return std::make_unique<Object>(found->second, control, false, *this);
}

SystemResult<std::unique_ptr<SharedObject>> ProcessMemory::create(const std::string& name) {
  const std::lock_guard lock(names_mutex_);
  const auto [place, made] = objects_.try_emplace(name, nullptr);
  if (!made) {
    return tl::unexpected(EEXIST);
  }
  place->second = std::make_shared<Pages>();
  return std::make_unique<Object>(place->second, name.ends_with("-control"), true, *this);
}

SystemResult<void> ProcessMemory::unlink(const std::string& name) {
  const std::lock_guard lock(names_mutex_);
  const auto found = objects_.find(name);
  if (found == objects_.end()) {
    return tl::unexpected(ENOENT);
  }
  found->second->unlinked = true;
  static_cast<void>(found->second->protect(PROT_READ | PROT_WRITE));  // nobody will find it
  objects_.erase(found);
  return {};
}

/// The same in every run, so that what is in the segment is too.
std::uint32_t ProcessMemory::own_process() {
  return 1;
}

bool ProcessMemory::alive(std::uint32_t process) {
  return process == own_process() || process == faults.living;
}

}  // namespace engine::restart
