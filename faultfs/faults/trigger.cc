// Counting is by match, and a draw hangs on the number of the match alone. So the same requests
// meet the same faults in every run, and a fault that had nothing to do at a match (a write too
// small to be torn) has used up that match, but none of its `times`.

#include "faultfs/faults/trigger.h"

#include <algorithm>

#include "faultfs/base/random.h"

namespace faultfs::faults {

Trigger::Trigger(const Expression& expression, std::optional<DiskNumber> disk)
    : expression_(expression), disk_(disk), open_(expression.mark.empty()) {}

void Trigger::mark(std::string_view text) {
  open_ = open_ || text.find(expression_.mark) != std::string_view::npos;
}

bool Trigger::concerns(const Request& request) const {
  const auto& kinds = expression_.kinds;
  bool its_kind = std::find(kinds.begin(), kinds.end(), request.kind) != kinds.end();
  bool its_disk = !disk_ || *disk_ == request.disk;
  if (!open_ || !its_kind || !its_disk) {
    return false;
  }
  if (!expression_.at) {
    return true;
  }
  std::uint64_t end = expression_.at->offset_bytes + expression_.at->size_bytes;
  return request.size_bytes > 0 && request.offset_bytes < end &&
         expression_.at->offset_bytes < request.end_bytes();
}

bool Trigger::due() {
  ++matches_;
  if (matches_ < expression_.nth || (matches_ - expression_.nth) % expression_.every != 0) {
    return false;
  }
  if (expression_.times != 0 && fired_ >= expression_.times) {
    return false;
  }
  return expression_.chance == expression_.out_of ||
         Random(mix(expression_.seed, matches_)).chance(expression_.chance, expression_.out_of);
}

}  // namespace faultfs::faults
