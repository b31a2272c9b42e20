#pragma once

#include <sys/un.h>

#include <filesystem>

#include "faultfs/base/result.h"

namespace faultfs::control {

/// A descriptor that is closed with its owner.
class Descriptor {
 public:
  explicit Descriptor(int number = -1) : number_(number) {}
  Descriptor(Descriptor&& other) noexcept;
  Descriptor& operator=(Descriptor&& other) noexcept;
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor();
  [[nodiscard]] int number() const { return number_; }

 private:
  int number_;
};

/// A connected local stream socket. Error: names the path and the reason.
[[nodiscard]] Result<Descriptor> connect_to(const std::filesystem::path& path);

/// A listening one, open to its owner only. Replaces a file on which nobody listens.
[[nodiscard]] Result<Descriptor> listen_on(const std::filesystem::path& path);

}  // namespace faultfs::control
