// A refusal: the device answers with an errno, and does nothing.
//
//   eio      any request          the command failed; what it concerns is as it was
//   enodev   any request          the device was pulled out
//   enospc   write, flush,        a thinly provisioned device ran out of room. A flush can meet it,
//            discard              too, where room is taken when the cache is written back
//   erofs    write, flush,        the device turned read-only to save what it has
//            discard
//
// Only these, for these: no disk answers a read with ENOSPC or EROFS, and none answers EINTR or
// EAGAIN. What a refused flush means for the writes before it is another fault (`failed-flush-…`);
// here a later flush covers them as if nothing had happened.
//
// Not modelled: a refused write of which a part arrived (`short-write`, `torn-write`).

#include <cerrno>

#include "faultfs/faults/catalogue.h"

namespace faultfs::faults {

namespace {

template <int error>
class Refusal : public Fault {
 public:
  bool fire(const Request& /*request*/, const Medium& /*medium*/, Deed& deed) override {
    deed.error = error;
    return true;
  }
};

template <int error>
std::unique_ptr<Fault> make(const Expression& /*expression*/) {
  return std::make_unique<Refusal<error>>();
}

}  // namespace

std::vector<FaultKind> errno_faults() {
  using enum RequestKind;
  const std::vector<RequestKind> all = {read, write, flush, discard};
  const std::vector<RequestKind> changing = {write, flush, discard};
  return {{"eio", "fails with EIO", all, {}, false, make<EIO>},
          {"enodev", "fails with ENODEV", all, {}, false, make<ENODEV>},
          {"enospc", "fails with ENOSPC", changing, {}, false, make<ENOSPC>},
          {"erofs", "fails with EROFS", changing, {}, false, make<EROFS>}};
}

}  // namespace faultfs::faults
