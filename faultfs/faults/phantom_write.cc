// A phantom write: acknowledged, and nowhere. Whoever reads finds what was there before, at once
// and after any flush. A discard can be one, too.
//
//     w0001  write 0 4K A             reads give A
//     w0002  write 0 4K B, phantom    reads still give A; a cut may leave A, never B
//
// A later write to the same place lands as any other.

#include "faultfs/faults/catalogue.h"

namespace faultfs::faults {

namespace {

class PhantomWrite : public Fault {
 public:
  bool fire(const Request& /*request*/, const Medium& /*medium*/, Deed& deed) override {
    Change change;
    change.kind = ChangeKind::ignored;
    deed.changes.push_back(change);
    return true;
  }
};

std::unique_ptr<Fault> make(const Expression& /*expression*/) {
  return std::make_unique<PhantomWrite>();
}

}  // namespace

FaultKind phantom_write() {
  return {"phantom-write",
          "is acknowledged and lands nowhere",
          {RequestKind::write, RequestKind::discard},
          {},
          false,
          make};
}

}  // namespace faultfs::faults
