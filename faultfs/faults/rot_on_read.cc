// Bit rot on the way back: one bit of the first sector that a read touches arrives as the other
// value. The medium is right; a read at which the fault does not fire gives the truth.
//
// Which bit, the seed, the disk and the sector decide, so a fault that always fires looks like rot
// of the medium itself, in every read, through any window: a read that does not include the byte in
// question is no match.

#include "faultfs/base/random.h"
#include "faultfs/faults/catalogue.h"

namespace faultfs::faults {

namespace {

class RotOnRead : public Fault {
 public:
  explicit RotOnRead(std::uint64_t seed) : seed_(seed) {}

  bool fire(const Request& request, const Medium& medium, Deed& deed) override {
    std::uint64_t at = rotten_bit(request, *medium.profile) / 8;
    if (at < request.offset_bytes || at >= request.end_bytes()) {
      return false;
    }
    deed.on_its_way.push_back(this);
    return true;
  }

  void returned(const Request& request, const Medium& medium, MutableByteView bytes) override {
    std::uint64_t bit = rotten_bit(request, *medium.profile);
    std::uint64_t at = bit / 8 - request.offset_bytes;
    if (at < bytes.size()) {
      bytes[at] ^= std::byte{1} << (bit % 8);
    }
  }

 private:
  /// Counted from the start of the disk.
  [[nodiscard]] std::uint64_t rotten_bit(const Request& request,
                                         const DeviceProfile& profile) const {
    std::uint64_t sector = request.offset_bytes / profile.sector_bytes;
    std::uint64_t sector_bits = std::uint64_t{profile.sector_bytes} * 8;
    return sector * sector_bits + Random(mix(mix(seed_, request.disk), sector)).below(sector_bits);
  }

  std::uint64_t seed_;
};

std::unique_ptr<Fault> make(const Expression& expression) {
  return std::make_unique<RotOnRead>(expression.seed);
}

}  // namespace

FaultKind rot_on_read() {
  return {"rot-on-read",
          "one bit of its first sector arrives wrong",
          {RequestKind::read},
          {},
          false,
          make};
}

}  // namespace faultfs::faults
