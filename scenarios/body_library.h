#pragma once

#include <cstdint>
#include <vector>

#include "scenarios/body.h"

namespace scenarios {

/// Bodies made once and kept, so that a right answer is recognised by one comparison of memory. Not
/// thread-safe.
class BodyLibrary {
 public:
  /// All bytes of the body; valid as long as this library.
  [[nodiscard]] faultfs::ByteView body(const BodyId& id);

 private:
  struct Shelf {
    BodyId id;
    faultfs::Bytes bytes;
  };
  std::vector<Shelf> shelves_;
};

}  // namespace scenarios
