#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>

#include "faultfs/base/result.h"
#include "faultfs/image.h"

namespace scenarios {

/// A disk as an ordinary file, off the fault device: for recoveries of which nothing needs to be
/// logged, watched or refused. It is no evidence: what goes wrong on it is tried again on the
/// device. One thread.
class PlainDisk {
 public:
  /// Makes `file` with `size_bytes` zeros; other users may write it. The file goes with this
  /// object. Error: names the file.
  [[nodiscard]] static faultfs::Result<std::unique_ptr<PlainDisk>> create(
      const std::filesystem::path& file, std::uint64_t size_bytes);
  ~PlainDisk();
  PlainDisk(const PlainDisk&) = delete;
  PlainDisk& operator=(const PlainDisk&) = delete;

  /// Where it is, for `Target::move_to`.
  [[nodiscard]] std::filesystem::path directory() const { return file_.parent_path(); }
  /// From now on the file holds `image`, a disk of the same size, whatever it held.
  void put(const faultfs::Image& image);

 private:
  PlainDisk(std::filesystem::path file, faultfs::MutableByteView bytes)
      : file_(std::move(file)), bytes_(bytes) {}

  std::filesystem::path file_;
  faultfs::MutableByteView bytes_;  ///< the file, mapped
};

}  // namespace scenarios
