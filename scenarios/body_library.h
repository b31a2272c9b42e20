#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "scenarios/body.h"

namespace scenarios {

/// Bodies made once and kept, so that a right answer is recognised by one comparison of memory. Not
/// thread-safe.
class BodyLibrary {
 public:
  /// All bytes of the body; valid as long as this library.
  [[nodiscard]] faultfs::ByteView body(const BodyId& id);
  /// As `parse_header`, which is asked once for each text.
  [[nodiscard]] std::optional<HeaderId> header(std::string_view text);

 private:
  struct Shelf {
    BodyId id;
    faultfs::Bytes bytes;
  };
  struct Header {
    std::string text;
    std::optional<HeaderId> id;
  };
  std::vector<Shelf> shelves_;
  std::vector<Header> headers_;
};

}  // namespace scenarios
