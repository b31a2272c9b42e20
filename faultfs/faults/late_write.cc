// A late write: the client is told EIO (it gave up waiting), and then the write lands after all,
// `by` writes, flushes and discards later. In between others may have written there; the late one
// comes on top. No flush before it lands covers it.
//
//     write 0 4K A, late-write by=2     EIO
//     write 0 4K B                      0     reads give B
//     flush                             0     A lands just before it: reads give A
//
// A power cut before that, or switching the fault off, and it never lands.

#include <algorithm>
#include <cerrno>

#include "faultfs/faults/catalogue.h"

namespace faultfs::faults {

namespace {

class LateWrite : public Fault {
 public:
  explicit LateWrite(std::uint64_t by) : by_(by) {}

  bool fire(const Request& request, const Medium& /*medium*/, Deed& deed) override {
    under_way_.push_back({request, Bytes(request.bytes.begin(), request.bytes.end()), by_});
    deed.error = EIO;
    return true;
  }

  void attend(const Request& request, const Medium& /*medium*/, Deed& deed) override {
    landed_.clear();
    if (!request.changes()) {
      return;
    }
    auto lands = std::stable_partition(
        under_way_.begin(), under_way_.end(), [](Late& late) { return --late.requests_left > 0; });
    std::move(lands, under_way_.end(), std::back_inserter(landed_));
    under_way_.erase(lands, under_way_.end());
    for (Late& late : landed_) {
      late.request.bytes = late.bytes;
      deed.landings.push_back(late.request);
    }
  }

  void power_on() override { under_way_.clear(); }
  void release() override { under_way_.clear(); }

 private:
  struct Late {
    Request request;
    Bytes bytes;
    std::uint64_t requests_left;
  };
  std::uint64_t by_;
  std::vector<Late> under_way_;
  std::vector<Late> landed_;  ///< just now: the deed looks at their bytes
};

std::unique_ptr<Fault> make(const Expression& expression) {
  return std::make_unique<LateWrite>(expression.number("by"));
}

}  // namespace

FaultKind late_write() {
  return {"late-write",
          "fails with EIO and lands `by` requests later",
          {RequestKind::write},
          {{"by", OwnWord::Type::number, "1", {}}},
          false,
          make};
}

}  // namespace faultfs::faults
