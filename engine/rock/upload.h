#pragma once

#include <map>
#include <memory>
#include <vector>

#include "engine/rock/core.h"
#include "engine/rock/space.h"

namespace engine::rock {

/// Puts in progress. Each has one slot-size buffer; a full buffer is written when one more byte
/// arrives, so that the last slot always has payload. The next slot is reserved before the current
/// one is written, and before the first one where there is more than one: an object in an empty
/// store lies in slots 1, 0, 2, 3 …
class Uploads {
 public:
  Uploads(Core& core, Rebuild& rebuild, Space& space)
      : core_(core), rebuild_(rebuild), space_(space) {}

  [[nodiscard]] Result<UploadId> begin(std::string_view key,
                                       std::string_view header,
                                       std::uint64_t body_bytes);
  [[nodiscard]] Status append(UploadId id, std::span<const std::byte> bytes);
  [[nodiscard]] Status commit(UploadId id);
  [[nodiscard]] Status abort(UploadId id);
  [[nodiscard]] Status abort_all();

 private:
  struct Upload {
    Entry object;  ///< what it will be; its chain is what was written so far
    std::vector<std::byte> buffer;
    std::uint32_t payload_bytes = 0;  ///< in the buffer
    std::int32_t current = no_slot;   ///< reserved for the buffer
    std::int32_t last = no_slot;      ///< written last
    std::uint64_t received = 0;
    std::uint64_t suffix_digest = 0;
    bool overrides = false;
  };
  using Table = std::map<UploadId, std::unique_ptr<Upload>>;

  [[nodiscard]] Result<Table::iterator> find(UploadId id);
  [[nodiscard]] bool in_progress(const Digest& key) const;
  [[nodiscard]] Status reserve(std::int32_t& slot);
  [[nodiscard]] Status write_buffer(UploadId id, Upload& upload, bool tail);
  [[nodiscard]] bool replaces_unsurely(const Upload& upload) const;
  [[nodiscard]] Status publish(Upload& upload);
  [[nodiscard]] Status give_up(Table::iterator row);
  std::unique_ptr<Upload> fresh_upload();
  void close(Table::iterator upload);

  Core& core_;
  Rebuild& rebuild_;
  Space& space_;
  Table table_;
  std::vector<std::unique_ptr<Upload>> spare_;  // their buffers are used again
  UploadId last_id_ = 0;
};

}  // namespace engine::rock
