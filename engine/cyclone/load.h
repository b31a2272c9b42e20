#pragma once

#include <optional>

#include "engine/cyclone/core.h"

namespace engine::cyclone {

/// What was found of one copy.
struct CopyState {
  bool readable = false;
  bool usable = false;  ///< may be tried: every gate on header and footer let it pass
  ImageHeader header;
};

/// The header of the newest copy that its header and footer speak for; none where there is none.
/// Reads no rows and counts no refusals.
[[nodiscard]] std::optional<ImageHeader> newest_header(block::Device& device,
                                                       const StripeGeometry& geometry,
                                                       const Instance& instance,
                                                       Gates gates);

/// A guard: also with checks switched off, nothing in `header` leads outside the stripe.
void keep_inside(ImageHeader& header, const StripeGeometry& geometry);

/// Reads the directory back from its copies.
class Loader {
 public:
  Loader(Core& core, const Instance& instance) : core_(core), instance_(instance) {}

  /// Fills the image with the newest copy that passes every gate. False where none does; the image
  /// is then undefined. Error: never; a copy that cannot be read is one that does not pass.
  [[nodiscard]] bool load();
  /// True where the other copy than the one loaded is whole too.
  [[nodiscard]] bool other_copy_usable() const { return other_usable_; }

 private:
  [[nodiscard]] bool take(unsigned copy);

  Core& core_;
  Instance instance_;
  bool other_usable_ = false;
};

}  // namespace engine::cyclone
