#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "faultfs/device.h"

namespace faultfs::control {

/// The control language of a device: one line asked, one line answered, after it took effect. The
/// words are explained at the head of commands.cc. Thread-safe as the device is.
class Commands {
 public:
  /// The disks' present contents count as durable if the log is empty. `device` must outlive it.
  explicit Commands(Device& device);

  /// "ok …" or "error …"; one line, without the newline.
  [[nodiscard]] std::string answer(std::string_view line);

 private:
  Result<std::string> carry_out(std::string_view verb, std::string_view rest);
  Result<std::string> cut(std::string_view rest);
  Result<std::string> disarm(std::string_view rest);
  Result<std::string> mark(std::string_view rest);
  Result<std::string> snapshot(std::string_view rest);
  Result<std::string> swap(std::string_view rest);
  Result<std::string> power_on(std::string_view rest);
  Result<std::string> reset(std::string_view rest);
  Result<std::string> counters(std::string_view rest);
  Result<std::string> fault(std::string_view rest);
  Result<std::string> log(std::string_view rest);
  Result<std::string> record(std::string_view rest);
  Result<std::string> export_log(std::string_view rest);
  Result<std::string> status(std::string_view rest);

  [[nodiscard]] std::optional<std::size_t> find_disk(std::string_view name) const;
  std::string powered_on(std::vector<Image> disks);

  Device* device_;
  std::mutex mutex_;                   ///< one command at a time
  std::vector<Image> base_;            ///< the disks when the log began
  std::uint64_t base_generation_ = 0;  ///< the power-on for which `base_` holds; 0: unknown
};

}  // namespace faultfs::control
