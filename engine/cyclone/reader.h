#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "engine/cyclone/log.h"
#include "engine/store.h"

namespace engine::cyclone {

/// A document that was read: its header, and where its parts lie in the reader's buffer.
struct Found {
  DocumentHeader header;
  std::uint64_t data_offset = 0;
  bool phase = false;                        ///< of its row
  std::span<const std::byte> meta, content;  ///< valid until the next read
};

/// Finds documents by key and lets nothing unverified out.
class Reader {
 public:
  Reader(Core& core, Log& log);

  /// The newest head of `key` that passes every gate; with `object`, only one of that name.
  [[nodiscard]] Result<std::optional<Found>> find_head(const Key& key, std::string_view object);
  [[nodiscard]] Status get(std::string_view name, ByteRange range, GetReply& reply);
  /// As `Store::still`: the rows of head and fragments are as they were, and nothing was written
  /// over them.
  [[nodiscard]] bool still(std::string_view name, std::span<const std::uint64_t> parts);
  /// The rows of `key` that point at one of its heads, as their headers on the medium say.
  [[nodiscard]] Status heads_of(const Key& key, std::vector<Row>& into);
  /// The header of the document at `row`; none where it is not whole.
  [[nodiscard]] Result<std::optional<DocumentHeader>> read_header(const Row& row);
  /// The row of the fragment `key` of the object `first_key`; none where it is gone.
  [[nodiscard]] Result<std::optional<Found>> find_fragment(const Key& first_key,
                                                           const Key& key,
                                                           std::uint64_t body_offset);

  /// The document at `row`, whatever its key; none where it does not pass every gate.
  [[nodiscard]] Result<std::optional<Found>> read(const Row& row);

 private:
  void note_hot(const Found& found);
  [[nodiscard]] std::optional<Found> judge(const DecodedDocument& decoded,
                                           std::span<const std::byte> bytes);
  [[nodiscard]] std::span<std::byte> extent(const Row& row, std::uint64_t bytes_max);
  [[nodiscard]] const Alternate* choose(const Vector& vector, std::string_view name);
  [[nodiscard]] Result<bool> read_body(const Found& head,
                                       const Alternate& alternate,
                                       ByteRange range,
                                       GetReply& reply);
  [[nodiscard]] Result<bool> read_fragments(const Key& first_key,
                                            const Alternate& alternate,
                                            ByteRange range,
                                            GetReply& reply);

  Core& core_;
  Log& log_;
  std::vector<Row> rows_, fragment_rows_;
};

}  // namespace engine::cyclone
