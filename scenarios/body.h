#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "faultfs/base/bytes.h"

namespace scenarios {

/// Keys are numbered; key 7 is called "k7".
using Key = std::uint32_t;
/// Puts are numbered by operation, put#3; unique in a history. 0: none.
using PutNumber = std::uint32_t;

[[nodiscard]] std::string key_name(Key key);
[[nodiscard]] std::optional<Key> parse_key(std::string_view name);

/// Names one body: the bytes that put `put` stored under `key`.
struct BodyId {
  Key key = 0;        ///< below 10^7
  PutNumber put = 0;  ///< below 10^6
  std::uint64_t size_bytes = 0;
  [[nodiscard]] bool operator==(const BodyId&) const = default;
};

/// Bytes of a body: 64-byte printable lines that each carry key, put number, line number, body size
/// and a keyed hash, so that any byte range says whose it is. The last line may be cut.
[[nodiscard]] faultfs::Bytes make_body(Key key, PutNumber put, std::uint64_t size_bytes);

/// The bytes [offset, offset + into.size()) of that body.
void write_body(const BodyId& id, std::uint64_t offset_bytes, faultfs::MutableByteView into);

/// A run of bytes of one origin in what a cache served.
struct Piece {
  enum class Kind {
    body,       ///< lines of (key, put) at their own offset
    displaced,  ///< lines of (key, put), but from another offset of that body
    unwritten,  ///< zeros
    garbage,    ///< nobody's bytes
  };
  std::uint64_t begin = 0, end = 0;  ///< offsets in the object's body, as served
  Kind kind = Kind::garbage;
  Key key = 0;
  PutNumber put = 0;
  [[nodiscard]] bool operator==(const Piece&) const = default;
};

/// Cuts `bytes`, which were served as the body from `offset_bytes` on, into maximal pieces. Bodies
/// are recognised by any whole line in `bytes`; `known` names bodies to try besides, so that ranges
/// too short to hold a line are recognised too. Where two bodies meet, bytes that are equal in both
/// (the constant text of a line) belong to the earlier piece.
[[nodiscard]] std::vector<Piece> classify(faultfs::ByteView bytes,
                                          std::uint64_t offset_bytes = 0,
                                          std::span<const BodyId> known = {});

/// A header identifies itself too: which put it belongs to and which update wrote it (0: the put).
struct HeaderId {
  Key key = 0;
  PutNumber put = 0;
  std::uint32_t update = 0;      ///< operation number of the header update, or 0
  std::uint64_t body_bytes = 0;  ///< of the body it was stored with
  [[nodiscard]] bool operator==(const HeaderId&) const = default;
};

/// One line of text without line ends, padded to `size_bytes` (0: no padding), with a keyed hash.
[[nodiscard]] std::string make_header(const HeaderId& id, std::uint32_t size_bytes = 0);
/// Empty where the text is not exactly what `make_header` makes.
[[nodiscard]] std::optional<HeaderId> parse_header(std::string_view text);

}  // namespace scenarios
