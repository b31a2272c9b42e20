// The client dies at a request.
//
//   when=before   it is killed, and the request is not carried out
//   when=after    the request is carried out; the client does not live to hear of it
//
// Over a mount the process that asked gets SIGKILL. In memory there is no process: the client's
// handles are fenced, so it can ask nothing any more. Either way the device lives on with all that
// completed, its cache included.

#include "faultfs/faults/catalogue.h"

namespace faultfs::faults {

namespace {

class KillClient : public Fault {
 public:
  explicit KillClient(bool before) : before_(before) {}

  bool fire(const Request& /*request*/, const Medium& /*medium*/, Deed& deed) override {
    deed.killed = before_ ? Killed::before : Killed::after;
    return true;
  }

 private:
  bool before_;
};

std::unique_ptr<Fault> make(const Expression& expression) {
  return std::make_unique<KillClient>(expression.word("when") == "before");
}

}  // namespace

FaultKind kill_client() {
  using enum RequestKind;
  return {"kill-client",
          "its client is killed",
          {read, write, flush, discard},
          {{"when", OwnWord::Type::choice, "after", {"before", "after"}}},
          false,
          make};
}

}  // namespace faultfs::faults
