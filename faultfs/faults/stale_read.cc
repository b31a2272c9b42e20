// A stale read: it succeeds and gives, for each sector that was written since the fault was put
// there, what the sector held before its last write. The next read may tell the truth again: the
// version was old, not lost.
//
//     w0001  write 0 4K A
//     w0002  write 0 4K B
//     read 0 4K, fires         A
//     read 0 4K, does not      B
//
// A read that touches no such sector is no match. After a power-on the old versions are forgotten.

#include <algorithm>
#include <map>
#include <set>

#include "faultfs/faults/catalogue.h"

namespace faultfs::faults {

namespace {

class StaleRead : public Fault {
 public:
  bool fire(const Request& request, const Medium& medium, Deed& deed) override {
    auto old = older_.find(request.disk);
    if (old == older_.end() || request.size_bytes == 0) {
      return false;
    }
    std::uint64_t sector_bytes = medium.profile->sector_bytes;
    auto sector = old->second.written.lower_bound(request.offset_bytes / sector_bytes);
    if (sector == old->second.written.end() || *sector * sector_bytes >= request.end_bytes()) {
      return false;
    }
    deed.on_its_way.push_back(this);
    return true;
  }

  void before_change(const Request& request, const Medium& medium) override {
    if (request.size_bytes == 0) {
      return;
    }
    const Image& now = (*medium.disks)[request.disk];
    Older& older = older_.try_emplace(request.disk, now.size_bytes()).first->second;
    std::uint64_t sector_bytes = medium.profile->sector_bytes;
    std::uint64_t first = request.offset_bytes / sector_bytes;
    std::uint64_t end = (request.end_bytes() + sector_bytes - 1) / sector_bytes;
    older.versions.copy_range(now, first * sector_bytes, (end - first) * sector_bytes);
    for (std::uint64_t sector = first; sector < end; ++sector) {
      older.written.insert(sector);
    }
  }

  void returned(const Request& request, const Medium& medium, MutableByteView bytes) override {
    const Older& older = older_.at(request.disk);
    std::uint64_t sector_bytes = medium.profile->sector_bytes;
    std::uint64_t end = request.offset_bytes + bytes.size();
    for (auto sector = older.written.lower_bound(request.offset_bytes / sector_bytes);
         sector != older.written.end() && *sector * sector_bytes < end;
         ++sector) {
      std::uint64_t from = std::max(*sector * sector_bytes, request.offset_bytes);
      std::uint64_t to = std::min((*sector + 1) * sector_bytes, end);
      older.versions.read(from, bytes.subspan(from - request.offset_bytes, to - from));
    }
  }

  void power_on() override { older_.clear(); }

 private:
  struct Older {
    explicit Older(std::uint64_t disk_bytes) : versions(disk_bytes) {}
    Image versions;                   ///< of each sector in `written`
    std::set<std::uint64_t> written;  ///< sectors
  };
  std::map<DiskNumber, Older> older_;
};

std::unique_ptr<Fault> make(const Expression& /*expression*/) {
  return std::make_unique<StaleRead>();
}

}  // namespace

FaultKind stale_read() {
  return {"stale-read",
          "gives what the sectors held before their last write",
          {RequestKind::read},
          {},
          false,
          make};
}

}  // namespace faultfs::faults
