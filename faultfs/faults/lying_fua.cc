// A lying FUA: a write that asked to be durable when it completes is kept in the volatile cache as
// any other. The next flush covers it. It fires at FUA writes only; others are no match for it.
//
//     w0001  write 0 4K A FUA, lying      after a cut the sector may be as before

#include "faultfs/faults/catalogue.h"

namespace faultfs::faults {

namespace {

class LyingFua : public Fault {
 public:
  bool fire(const Request& request, const Medium& /*medium*/, Deed& deed) override {
    if (!request.fua) {
      return false;
    }
    Change change;
    change.kind = ChangeKind::not_fua;
    deed.changes.push_back(change);
    return true;
  }
};

std::unique_ptr<Fault> make(const Expression& /*expression*/) {
  return std::make_unique<LyingFua>();
}

}  // namespace

FaultKind lying_fua() {
  return {"lying-fua", "a FUA write is only cached", {RequestKind::write}, {}, false, make};
}

}  // namespace faultfs::faults
