#pragma once

#include <algorithm>

#include "engine/block/device.h"

namespace engine::block {

/// A part of a device as a device of its own. Requests outside of it are refused.
class Window final : public Device {
 public:
  /// `below` outlives the window.
  Window(Device& below, std::uint64_t offset_bytes, std::uint64_t size_bytes)
      : below_(below), offset_bytes_(offset_bytes), size_bytes_(size_bytes) {}

  [[nodiscard]] std::uint64_t size_bytes() const override { return size_bytes_; }
  [[nodiscard]] Status read(std::uint64_t offset_bytes, std::span<std::byte> into) override {
    const Status inside = check(offset_bytes, into.size());
    return inside ? below_.read(offset_bytes_ + offset_bytes, into) : inside;
  }
  [[nodiscard]] Status write(std::uint64_t offset_bytes,
                             std::span<const std::byte> from,
                             WriteMode mode) override {
    const Status inside = check(offset_bytes, from.size());
    return inside ? below_.write(offset_bytes_ + offset_bytes, from, mode) : inside;
  }
  [[nodiscard]] Status flush() override { return below_.flush(); }
  [[nodiscard]] Status discard(std::uint64_t offset_bytes, std::uint64_t size_bytes) override {
    const Status inside = check(offset_bytes, size_bytes);
    return inside ? below_.discard(offset_bytes_ + offset_bytes, size_bytes) : inside;
  }
  [[nodiscard]] bool takes_many() const override { return below_.takes_many(); }
  [[nodiscard]] std::uint32_t write_block_bytes() const override {
    return below_.write_block_bytes();
  }
  [[nodiscard]] std::uint64_t blank_until(std::uint64_t offset_bytes) override {
    const std::uint64_t until = below_.blank_until(offset_bytes_ + offset_bytes);
    return std::clamp(until - offset_bytes_, offset_bytes, std::max(offset_bytes, size_bytes_));
  }
  [[nodiscard]] std::uint32_t cheap_read_bytes() const override {
    return below_.cheap_read_bytes();
  }

 private:
  [[nodiscard]] Status check(std::uint64_t offset_bytes, std::uint64_t size_bytes) const {
    return offset_bytes <= size_bytes_ && size_bytes <= size_bytes_ - offset_bytes
               ? Status{}
               : fail(Trouble::device, "a request outside of a part of a disk");
  }

  Device& below_;
  std::uint64_t offset_bytes_;
  std::uint64_t size_bytes_;
};

}  // namespace engine::block
