// Bit rot of what was written: one bit of the write is stored as the other value, and stays so
// until the place is written again. Which bit, the seed and the number of the rotten write decide.
//
//     w0001  write 0 4K zeros, rotten     reads give 4095 zero bytes and one with a single bit set
//
// The drive's own checksum does not notice: the read succeeds. One that notices is a
// `latent-sector-error`.

#include "faultfs/base/random.h"
#include "faultfs/faults/catalogue.h"

namespace faultfs::faults {

namespace {

class RotOnWrite : public Fault {
 public:
  explicit RotOnWrite(std::uint64_t seed) : seed_(seed) {}

  bool fire(const Request& request, const Medium& /*medium*/, Deed& deed) override {
    if (request.size_bytes == 0) {
      return false;
    }
    Change change;
    change.kind = ChangeKind::flipped;
    change.value = Random(mix(seed_, rotten_++)).below(request.size_bytes * 8);
    deed.changes.push_back(change);
    return true;
  }

 private:
  std::uint64_t seed_;
  std::uint64_t rotten_ = 0;
};

std::unique_ptr<Fault> make(const Expression& expression) {
  return std::make_unique<RotOnWrite>(expression.seed);
}

}  // namespace

FaultKind rot_on_write() {
  return {"rot-on-write", "one bit of it is stored wrong", {RequestKind::write}, {}, false, make};
}

}  // namespace faultfs::faults
