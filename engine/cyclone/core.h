#pragma once

#include <cstdint>
#include <cstdlib>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "engine/base/random.h"
#include "engine/block/device.h"
#include "engine/cyclone/config.h"
#include "engine/cyclone/directory.h"
#include "engine/cyclone/document.h"
#include "engine/cyclone/image.h"

namespace engine::cyclone {

struct Counters {
  std::uint64_t puts = 0, aborts = 0, gets = 0, hits = 0, misses = 0, updates = 0, purges = 0;
  std::uint64_t data_writes = 0, failed_writes = 0, documents = 0, wraps = 0;
  std::uint64_t syncs = 0, failed_syncs = 0, document_reads = 0;
  std::uint64_t evacuated = 0, evacuations_refused = 0;
  std::uint64_t alternates_evicted = 0, purges_of_all = 0;
};

/// Memory that starts at a page, as direct I/O wants it. What is in it before it is written is
/// anybody's: large buffers cost nothing until they are used.
class PageBuffer {
 public:
  explicit PageBuffer(std::size_t bytes);
  [[nodiscard]] std::span<std::byte> bytes() { return {begin_.get(), size_}; }

 private:
  struct Free {
    void operator()(std::byte* bytes) const { std::free(bytes); }
  };
  std::unique_ptr<std::byte, Free> begin_;
  std::size_t size_ = 0;
};

/// The state of one open stripe, shared by the parts that work on it (log, sync, reader, uploads,
/// recovery).
class Core {
 public:
  /// `image` is the live directory: `geometry.copy_bytes`, kept by the caller.
  Core(block::Device& target,
       const Config& settings,
       const StripeGeometry& layout,
       std::span<std::byte> live_image);

  block::Device& device;
  const Config config;
  const StripeGeometry geometry;
  const std::span<std::byte> image;
  Gates gates;
  Counters counters;
  Directory directory;
  ImageHeader header;  ///< the current one; in the image it is that of the last seal
  Random random;       ///< nonces and fragment keys
  std::uint64_t nonce = 0;
  std::uint64_t log_bytes = 0;  ///< written or skipped since the opening, or since recovery began
  bool recovering = true;
  std::map<std::uint64_t, Row> wanted;  ///< rows whose documents are to be moved, by offset
  PageBuffer scratch;                   ///< one document, for whoever reads

  [[nodiscard]] std::uint64_t data_offset(std::uint64_t position) const {
    return position - geometry.data_begin;
  }
};

}  // namespace engine::cyclone
