#pragma once

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "engine/block/device.h"

namespace engine::block {

/// Takes writes of any size to a device that wants whole blocks: what else is in the first and the
/// last block of a write is read before it, and written with it. That is what the page cache does
/// for a store that goes through it. One thread at a time.
class WholeBlocks final : public Device {
 public:
  explicit WholeBlocks(std::unique_ptr<Device> below)
      : below_(std::move(below)), block_bytes_(below_->write_block_bytes()) {}

  [[nodiscard]] std::uint64_t size_bytes() const override { return below_->size_bytes(); }
  [[nodiscard]] Status read(std::uint64_t offset_bytes, std::span<std::byte> into) override {
    return below_->read(offset_bytes, into);
  }
  [[nodiscard]] Status write(std::uint64_t offset_bytes,
                             std::span<const std::byte> from,
                             WriteMode mode) override {
    const std::uint64_t before = offset_bytes % block_bytes_;
    const std::uint64_t length =
        (before + from.size() + block_bytes_ - 1) / block_bytes_ * block_bytes_;
    if (length == from.size()) {
      return below_->write(offset_bytes, from, mode);
    }
    blocks_.resize(length);
    const std::uint64_t begin = offset_bytes - before;
    const auto last = std::span(blocks_).last(block_bytes_);
    Status done;
    if (before != 0) {
      done = below_->read(begin, std::span(blocks_).first(block_bytes_));
    }
    const bool same = before != 0 && length == block_bytes_;
    if (done && !same && (before + from.size()) % block_bytes_ != 0) {
      done = below_->read(begin + length - block_bytes_, last);
    }
    if (!done) {
      return done;
    }
    std::copy(from.begin(), from.end(), blocks_.begin() + static_cast<std::ptrdiff_t>(before));
    return below_->write(begin, blocks_, mode);
  }
  [[nodiscard]] Status flush() override { return below_->flush(); }
  [[nodiscard]] Status discard(std::uint64_t offset_bytes, std::uint64_t size_bytes) override {
    return below_->discard(offset_bytes, size_bytes);
  }
  [[nodiscard]] std::uint64_t blank_until(std::uint64_t offset_bytes) override {
    return below_->blank_until(offset_bytes);
  }
  [[nodiscard]] std::uint32_t cheap_read_bytes() const override {
    return below_->cheap_read_bytes();
  }

 private:
  std::unique_ptr<Device> below_;
  std::uint32_t block_bytes_;
  std::vector<std::byte> blocks_;
};

}  // namespace engine::block
