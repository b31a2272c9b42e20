// A latent sector error: the sectors of a read turn out to be unreadable. That read fails with EIO,
// and so does every later one that touches one of them: trying again does not heal. Writing does: a
// write or discard of the whole sector lets the drive put it elsewhere.
//
//     read 8K 4K, fires                EIO
//     read 8K 4K, again                EIO
//     read 4K 8K                       EIO: sector 2 is in it
//     write 8K 100                     done, and sector 2 still cannot be read
//     write 8K 4K                      sector 2 can be read again
//
// Bad sectors outlive a power cut. The bytes below are as they were: switched off, it reads them.

#include <cerrno>
#include <set>
#include <utility>

#include "faultfs/faults/catalogue.h"

namespace faultfs::faults {

namespace {

class LatentSectorError : public Fault {
 public:
  bool fire(const Request& request, const Medium& medium, Deed& deed) override {
    std::uint64_t sector_bytes = medium.profile->sector_bytes;
    for (std::uint64_t sector = request.offset_bytes / sector_bytes;
         sector * sector_bytes < request.end_bytes();
         ++sector) {
      bad_.emplace(request.disk, sector);
    }
    deed.error = EIO;
    return request.size_bytes > 0;
  }

  void attend(const Request& request, const Medium& medium, Deed& deed) override {
    if (request.kind != RequestKind::read || request.size_bytes == 0) {
      return;
    }
    auto bad =
        bad_.lower_bound({request.disk, request.offset_bytes / medium.profile->sector_bytes});
    bool hit = bad != bad_.end() && bad->first == request.disk &&
               bad->second * medium.profile->sector_bytes < request.end_bytes();
    deed.error = hit ? EIO : deed.error;
  }

  void before_change(const Request& request, const Medium& medium) override {
    std::uint64_t sector_bytes = medium.profile->sector_bytes;
    std::uint64_t first = (request.offset_bytes + sector_bytes - 1) / sector_bytes;
    std::uint64_t end = request.end_bytes() / sector_bytes;
    if (first < end) {
      bad_.erase(bad_.lower_bound({request.disk, first}), bad_.lower_bound({request.disk, end}));
    }
  }

 private:
  std::set<std::pair<DiskNumber, std::uint64_t>> bad_;
};

std::unique_ptr<Fault> make(const Expression& /*expression*/) {
  return std::make_unique<LatentSectorError>();
}

}  // namespace

FaultKind latent_sector_error() {
  return {"latent-sector-error",
          "its sectors cannot be read (EIO) until they are written",
          {RequestKind::read},
          {},
          false,
          make};
}

}  // namespace faultfs::faults
