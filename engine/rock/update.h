#pragma once

#include <vector>

#include "engine/rock/core.h"
#include "engine/rock/reader.h"
#include "engine/rock/space.h"

namespace engine::rock {

/// Replaces an object's header. The new prefix (one slot, or two where header and the body bytes
/// that shared the inode do not fit into one) is written to new slots; after a barrier it takes the
/// place of the old one, which is invalidated. So a cut leaves the old object or the new one.
class Updater {
 public:
  Updater(Core& core, Reader& reader, Space& space) : core_(core), reader_(reader), space_(space) {}

  [[nodiscard]] Result<bool> update(std::string_view key, std::string_view header);

 private:
  struct Prefix {
    std::vector<std::uint32_t> slots;
    Entry object;  ///< the entry with the new prefix
  };
  /// Fills `content_` with the body bytes of the old prefix, behind room for new metadata.
  [[nodiscard]] Result<bool> read_old_prefix(std::uint32_t number, std::uint32_t meta_bytes);
  [[nodiscard]] Result<bool> reserve(std::uint32_t number, Prefix& prefix);
  [[nodiscard]] Status write_prefix(Prefix& prefix, std::int32_t suffix);
  [[nodiscard]] Status exchange(std::uint32_t number, Prefix& prefix);

  Core& core_;
  Reader& reader_;
  Space& space_;
  std::vector<std::byte> content_;  // payload of the new prefix
  std::vector<std::byte> buffer_;
};

}  // namespace engine::rock
