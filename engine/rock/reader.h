#pragma once

#include "engine/rock/core.h"

namespace engine::rock {

/// Serves gets. Every slot is read with its header and judged by the gates before one byte of it is
/// handed out; the first get after a rebuild judges the whole chain, whatever range was asked for.
/// What a gate refuses is a miss, and the object is gone.
class Reader {
 public:
  explicit Reader(Core& core) : core_(core) {}

  [[nodiscard]] Status get(std::string_view key, ByteRange range, GetReply& reply);
  /// Reads the slot at position `place` of the entry's chain into the core's scratch. Empty: all
  /// gates let it pass. Error: the device's.
  [[nodiscard]] Result<std::optional<Gate>> read_judged(const Entry& entry,
                                                        std::uint32_t place,
                                                        std::uint32_t slot);
  /// Counts the refusal and takes the entry out, on the medium too.
  [[nodiscard]] Status reject(std::uint32_t number, Gate gate);

 private:
  struct Part {
    std::uint64_t begin = 0, end = 0;  ///< of the body
  };
  [[nodiscard]] Result<std::optional<Gate>> serve(const Entry& entry, Part part, GetReply& reply);
  [[nodiscard]] bool take_header(const Entry& entry, std::uint32_t payload_bytes, GetReply& reply);
  [[nodiscard]] std::optional<Gate> refuse_slot(const Entry& entry,
                                                const DecodedSlot& slot,
                                                const SlotHeader& expected) const;

  Core& core_;
  std::vector<std::byte> metadata_;
};

}  // namespace engine::rock
