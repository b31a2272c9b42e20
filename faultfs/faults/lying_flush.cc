// A lying flush: acknowledged, and nothing was done. What it should have made durable stays
// volatile, and a later, honest flush covers it.
//
//     w0001  write 0 4K A       after a cut at the end the sector may be as before w0001, though
//     w0002  flush, lying       the client was told that A is safe
//
// A profile that lies does so at every flush; this one chooses. FUA is another fault (`lying-fua`).

#include "faultfs/faults/catalogue.h"

namespace faultfs::faults {

namespace {

class LyingFlush : public Fault {
 public:
  bool fire(const Request& /*request*/, const Medium& /*medium*/, Deed& deed) override {
    Change change;
    change.kind = ChangeKind::ignored;
    deed.changes.push_back(change);
    return true;
  }
};

std::unique_ptr<Fault> make(const Expression& /*expression*/) {
  return std::make_unique<LyingFlush>();
}

}  // namespace

FaultKind lying_flush() {
  return {"lying-flush", "is acknowledged and ignored", {RequestKind::flush}, {}, false, make};
}

}  // namespace faultfs::faults
