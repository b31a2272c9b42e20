// A torn write without a cut: acknowledged, and only a part of it is on the medium. (Drives do it,
// too, when power sags: "shorn writes".)
//
//   unit    byte · sector · page (4 KiB of the disk): the pieces it may come apart into
//   keep    prefix   the first half of the pieces is new, the rest is old
//           suffix   the other half
//           hole     all but the third in the middle
//           first    only the first piece
//
//     w0001  write 0 16K, keep=prefix unit=sector   on 4 KiB sectors: 8 KiB new, 8 KiB old
//
// A write that is too small to come apart that way (one piece; two for a hole) is no match. The
// same shapes as fates of a crash plan are in tear.h.

#include "faultfs/faults/catalogue.h"
#include "faultfs/tear.h"

namespace faultfs::faults {

namespace {

class TornWrite : public Fault {
 public:
  TornWrite(TearShape shape, std::string unit) : shape_(shape), unit_(std::move(unit)) {}

  bool fire(const Request& request, const Medium& medium, Deed& deed) override {
    constexpr std::uint64_t page_bytes = 4096;
    std::uint64_t unit_bytes = unit_ == "byte" ? 1 : medium.profile->sector_bytes;
    unit_bytes = unit_ == "page" ? page_bytes : unit_bytes;
    std::vector<Piece> pieces =
        torn_pieces(shape_, unit_bytes, request.offset_bytes, request.size_bytes);
    if (pieces.empty()) {
      return false;
    }
    Change change;
    change.kind = ChangeKind::torn;
    for (const Piece& piece : pieces) {
      change.kept.push_back({piece.offset_bytes, piece.size_bytes});
    }
    deed.changes.push_back(change);
    return true;
  }

 private:
  TearShape shape_;
  std::string unit_;
};

std::unique_ptr<Fault> make(const Expression& expression) {
  return std::make_unique<TornWrite>(*find_tear_shape(expression.word("keep")),
                                     expression.word("unit"));
}

}  // namespace

FaultKind torn_write() {
  return {"torn-write",
          "is acknowledged and lands in part",
          {RequestKind::write},
          {{"keep", OwnWord::Type::choice, "prefix", {"prefix", "suffix", "hole", "first"}},
           {"unit", OwnWord::Type::choice, "sector", {"byte", "sector", "page"}}},
          false,
          make};
}

}  // namespace faultfs::faults
