// Requests that wait.
//
//   latency   `ms` milliseconds pass before the device takes the request up
//   hold      one request waits until it is released (`fault release`); others overtake it
//   stall     this request and all that come after it wait until they are released
//
//     write 0 4K A, hold          waits; A is nowhere yet, and no flush covers it
//     flush                       0
//     fault release 1             A is written now, behind the flush
//
// Nothing waits for ever: a power cut, a power-on, a fence, switching the fault off and the end of
// the mount let everything go on, mostly into EIO. A wait comes before all other faults: they see
// the request when it goes on. The clock decides only how long a client waits, never what it gets.

#include "faultfs/faults/catalogue.h"

namespace faultfs::faults {

namespace {

class Latency : public Fault {
 public:
  explicit Latency(std::uint64_t delay_ms) : delay_ms_(delay_ms) {}

  bool fire(const Request& /*request*/, const Medium& /*medium*/, Deed& deed) override {
    deed.delay_ms += delay_ms_;
    return true;
  }

 private:
  std::uint64_t delay_ms_;
};

class Hold : public Fault {
 public:
  bool fire(const Request& /*request*/, const Medium& /*medium*/, Deed& deed) override {
    deed.held = true;
    return true;
  }
};

class Stall : public Fault {
 public:
  bool fire(const Request& /*request*/, const Medium& /*medium*/, Deed& deed) override {
    stalled_ = true;
    deed.held = true;
    return true;
  }

  void attend(const Request& /*request*/, const Medium& /*medium*/, Deed& deed) override {
    deed.held = deed.held || stalled_;
  }

  void release() override { stalled_ = false; }
  void power_on() override { stalled_ = false; }

 private:
  bool stalled_ = false;
};

std::unique_ptr<Fault> make_latency(const Expression& expression) {
  return std::make_unique<Latency>(expression.number("ms"));
}

template <typename Kind>
std::unique_ptr<Fault> make(const Expression& /*expression*/) {
  return std::make_unique<Kind>();
}

}  // namespace

std::vector<FaultKind> waiting_faults() {
  using enum RequestKind;
  const std::vector<RequestKind> all = {read, write, flush, discard};
  return {{"latency",
           "waits `ms` milliseconds",
           all,
           {{"ms", OwnWord::Type::number, "", {}}},
           true,
           make_latency},
          {"hold", "waits until it is released", all, {}, true, make<Hold>},
          {"stall", "waits with all that follow until released", all, {}, true, make<Stall>}};
}

}  // namespace faultfs::faults
