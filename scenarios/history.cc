#include "scenarios/history.h"

#include <fmt/format.h>

#include "faultfs/base/bytes.h"

namespace scenarios {

namespace {

using faultfs::size_text;

std::string put_text(Key key, PutNumber put, Key asked) {
  return key == asked ? fmt::format("put#{}", put)
                      : fmt::format("put#{} of {}", put, key_name(key));
}

std::string piece_text(const Piece& piece, Key asked) {
  const std::string where = fmt::format("[{}, {})", size_text(piece.begin), size_text(piece.end));
  switch (piece.kind) {
    case Piece::Kind::body:
      return fmt::format("{} from {}", where, put_text(piece.key, piece.put, asked));
    case Piece::Kind::displaced:
      return fmt::format(
          "{} from another place of {}", where, put_text(piece.key, piece.put, asked));
    case Piece::Kind::unwritten:
      return where + " zeros";
    case Piece::Kind::garbage:
      break;
  }
  return where + " nobody's bytes";
}

/// Empty for the header that belongs to the first piece, as the put wrote it.
std::string header_text(const Reading& reading) {
  if (!reading.header) {
    return ", with nobody's header";
  }
  const HeaderId& id = *reading.header;
  if (id.update != 0) {
    return fmt::format(", with the header of update#{}", id.update);
  }
  const bool usual = !reading.pieces.empty() && reading.pieces[0].kind == Piece::Kind::body &&
                     reading.pieces[0].key == id.key && reading.pieces[0].put == id.put;
  return usual ? std::string()
               : fmt::format(", with the header of {}", put_text(id.key, id.put, reading.key));
}

}  // namespace

std::string to_text(const Reading& reading) {
  if (reading.kind == GetReply::Kind::miss) {
    return "miss";
  }
  if (reading.kind == GetReply::Kind::failed) {
    return "failed: " + reading.detail;
  }
  std::string text = fmt::format("hit {}", size_text(reading.claimed_bytes));
  if (reading.offset_bytes != 0 || reading.served_bytes != reading.claimed_bytes) {
    text += fmt::format(
        ", {} served from {}", size_text(reading.served_bytes), size_text(reading.offset_bytes));
  }
  const char* separator = ": ";
  for (const Piece& piece : reading.pieces) {
    text += separator + piece_text(piece, reading.key);
    separator = ", ";
  }
  return text + header_text(reading);
}

}  // namespace scenarios
