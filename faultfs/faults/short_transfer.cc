// A short read, a short write: only the first `bytes` bytes are moved, and the client is told so.
// No lie, but many a program does not look. A request of no more than that is no match.
//
//     write 0 8K, short-write bytes=512     512 bytes are written; the answer is 512
//
// The rest of the request never was: it is not in the log. A caller of the device that cannot be
// told a number (`Device::read`, `Device::write`) goes on with the rest as a request of its own, as
// a careful program does; a program over a mount gets the short count and does what it does.

#include "faultfs/faults/catalogue.h"

namespace faultfs::faults {

namespace {

class ShortTransfer : public Fault {
 public:
  explicit ShortTransfer(std::uint64_t size_bytes) : size_bytes_(size_bytes) {}

  bool fire(const Request& /*request*/, const Medium& /*medium*/, Deed& deed) override {
    if (deed.size_bytes <= size_bytes_) {
      return false;
    }
    deed.size_bytes = size_bytes_;
    return true;
  }

 private:
  std::uint64_t size_bytes_;
};

std::unique_ptr<Fault> make(const Expression& expression) {
  return std::make_unique<ShortTransfer>(expression.number("bytes"));
}

}  // namespace

std::vector<FaultKind> short_transfer_faults() {
  const std::vector<OwnWord> own = {{"bytes", OwnWord::Type::number, "512", {}}};
  return {
      {"short-read", "moves only the first `bytes` bytes", {RequestKind::read}, own, false, make},
      {"short-write",
       "moves only the first `bytes` bytes",
       {RequestKind::write},
       own,
       false,
       make}};
}

}  // namespace faultfs::faults
