#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "engine/base/result.h"

namespace engine::block {

enum class WriteMode {
  cached,   ///< complete when the device has it; durable after a flush
  durable,  ///< FUA: durable when it completes
};

/// The seam under every store: a fixed-size disk of five requests. Requests run to completion;
/// one thread at a time, unless `takes_many`. Errors are `Trouble::device`.
class Device {
 public:
  virtual ~Device() = default;
  [[nodiscard]] virtual std::uint64_t size_bytes() const = 0;
  [[nodiscard]] virtual Status read(std::uint64_t offset_bytes, std::span<std::byte> into) = 0;
  [[nodiscard]] virtual Status write(std::uint64_t offset_bytes,
                                     std::span<const std::byte> from,
                                     WriteMode mode) = 0;
  /// Makes every write that completed before the call durable.
  [[nodiscard]] virtual Status flush() = 0;
  [[nodiscard]] virtual Status discard(std::uint64_t offset_bytes, std::uint64_t size_bytes) = 0;

  /// True where several threads may make requests at the same time.
  [[nodiscard]] virtual bool takes_many() const { return false; }

  /// Writes must be of whole blocks of so many bytes, at multiples of it; 1: anything goes.
  [[nodiscard]] virtual std::uint32_t write_block_bytes() const { return 1; }

  // What reading costs, for whoever reads much in order. A device that says nothing is right, too.
  /// Everything in [offset, result) is known to read as zeros without reading it (a hole of a
  /// sparse file); the offset itself where nothing is known.
  [[nodiscard]] virtual std::uint64_t blank_until(std::uint64_t offset_bytes) {
    return offset_bytes;
  }
  /// So many bytes at once cost about what a few cost (each request is a system call); 0: each byte
  /// costs.
  [[nodiscard]] virtual std::uint32_t cheap_read_bytes() const { return 0; }

 protected:
  Device() = default;
  Device(const Device&) = default;
  Device& operator=(const Device&) = default;
};

}  // namespace engine::block
