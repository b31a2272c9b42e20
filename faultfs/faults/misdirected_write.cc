// A misdirected write: acknowledged, whole, and at another place of its disk. Two places are wrong
// then: its own, which holds what was there before, and the other, whose owner did not write.
//
//     w0001  write 0 4K A, misdirected to 32K    0 holds what it held, 32K holds A
//
// It keeps its promises at the wrong place: FUA and flushes make it durable there. `to` is a
// multiple of the sector. A write that does not fit there, or belongs there, is no match.
//
// A crash plan can misdirect a write, too, of a profile that does such things; there the wrong
// place shows only after the cut, as with a drive that has the right bytes still in its cache.

#include "faultfs/faults/catalogue.h"

namespace faultfs::faults {

namespace {

class MisdirectedWrite : public Fault {
 public:
  explicit MisdirectedWrite(std::uint64_t to_bytes) : to_bytes_(to_bytes) {}

  bool fire(const Request& request, const Medium& medium, Deed& deed) override {
    std::uint64_t disk_bytes = (*medium.disks)[request.disk].size_bytes();
    bool fits = to_bytes_ <= disk_bytes && request.size_bytes <= disk_bytes - to_bytes_;
    bool on_a_sector = to_bytes_ % medium.profile->sector_bytes == 0;
    if (!fits || !on_a_sector || to_bytes_ == request.offset_bytes) {
      return false;
    }
    Change change;
    change.kind = ChangeKind::moved;
    change.value = to_bytes_;
    deed.changes.push_back(change);
    return true;
  }

 private:
  std::uint64_t to_bytes_;
};

std::unique_ptr<Fault> make(const Expression& expression) {
  return std::make_unique<MisdirectedWrite>(expression.number("to"));
}

}  // namespace

FaultKind misdirected_write() {
  return {"misdirected-write",
          "lands at `to`, and not where it belongs",
          {RequestKind::write},
          {{"to", OwnWord::Type::size, "", {}}},
          false,
          make};
}

}  // namespace faultfs::faults
