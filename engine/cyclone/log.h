#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/cyclone/core.h"

namespace engine::cyclone {

/// The circular log of one stripe: documents are gathered in the aggregation buffer and written in
/// one durable request at the write cursor.
class Log {
 public:
  explicit Log(Core& core);

  /// Adds a document: numbers and links it, fills in lengths and checksums, and returns its offset
  /// in the data area. Writes the buffer first where it has no room, and wraps where the stripe has
  /// none.
  [[nodiscard]] Result<std::uint64_t> append(DocumentHeader header,
                                             std::span<const std::byte> meta,
                                             std::span<const std::byte> content);
  /// Writes what is buffered. Where the device refuses, the documents of this write are gone: their
  /// rows are removed and the cursor stays.
  [[nodiscard]] Status flush();
  /// Adds the row of the document just appended.
  void index(const Key& key,
             std::uint64_t data_offset,
             std::uint64_t bytes,
             bool head,
             bool pinned = false);
  /// Takes the row of a document that the one just appended replaces out of the directory, until a
  /// write says that it does not.
  void replace(const Key& key, const Row& row);
  /// The offset that a document of `room` bytes would get.
  [[nodiscard]] std::uint64_t next_place(std::uint64_t room) const;

  /// Which rows count now, buffered documents included.
  [[nodiscard]] Window window() const;
  [[nodiscard]] std::uint64_t buffered_bytes() const { return buffered_; }
  [[nodiscard]] bool over_high_water() const;
  /// Reads document bytes, from the buffer where they are not written yet.
  [[nodiscard]] Status read(std::uint64_t data_offset, std::span<std::byte> into);
  /// The cursor was moved (recovery): starts over with an empty buffer.
  void restart();
  /// Moves the cursor to the start of the data area, and forgets the rows whose phase begins again.
  void wrap();

 private:
  struct Indexed {
    Key key;
    std::uint64_t offset_blocks = 0;
  };
  struct Replaced {
    Key key;
    Row row;
  };
  [[nodiscard]] bool covers_moved(std::uint64_t room);
  /// What the buffer replaced, without what was in the buffer itself.
  [[nodiscard]] std::vector<Replaced> replaced_on_disk() const;
  [[nodiscard]] std::uint64_t end_of_buffer() const { return core_.header.write_pos + buffered_; }

  Core& core_;
  PageBuffer buffer_;
  std::uint64_t buffered_ = 0;
  std::uint64_t first_serial_ = 0, first_link_ = 0;  // of the buffer
  std::vector<Indexed> indexed_;                     // rows of the buffer
  std::vector<Replaced> replaced_;                   // rows that went because of the buffer
  std::vector<std::uint64_t> moved_from_;            // old places of documents in the buffer
};

}  // namespace engine::cyclone
