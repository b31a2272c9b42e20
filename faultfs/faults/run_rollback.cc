// Correlated rollback: the erase block under a request goes back to an earlier version, all of it
// at once, whoever wrote there and however durable it was. Drives do that when the table that says
// where a block's newest copy lies was not written in time.
//
//   run     the size of the block, aligned on the disk
//   age     how many log entries back the version lies; 0: when the power went on, or the first
//           fault was put there
//
//     w0001  write 0 4K A    w0002  write 128K 4K B    w0003  flush
//     w0004  the mark of the rollback: 0 … 256K are as before w0001
//     w0005  write 64K 4K C, which brought it about, is there
//
// The old version is durable: no cut brings A or B back. Switched off, both are there.

#include <algorithm>

#include "faultfs/faults/catalogue.h"

namespace faultfs::faults {

namespace {

class RunRollback : public Fault {
 public:
  RunRollback(std::uint64_t run_bytes, std::uint64_t age) : run_bytes_(run_bytes), age_(age) {}

  bool fire(const Request& request, const Medium& medium, Deed& deed) override {
    std::uint64_t disk_bytes = (*medium.disks)[request.disk].size_bytes();
    std::uint64_t begin = request.offset_bytes - request.offset_bytes % run_bytes_;
    if (begin >= disk_bytes) {
      return false;
    }
    std::uint64_t end = std::min(disk_bytes, begin + run_bytes_);
    std::uint64_t newest = medium.done->size();
    bool all = age_ == 0 || age_ > newest;
    Change change;
    change.kind = ChangeKind::rolled_back;
    change.disk = request.disk;
    change.range = {begin, end - begin};
    change.value = std::max<std::uint64_t>(medium.known_since, all ? 0 : newest - age_);
    deed.rollbacks.push_back(change);
    return true;
  }

 private:
  std::uint64_t run_bytes_;
  std::uint64_t age_;
};

std::unique_ptr<Fault> make(const Expression& expression) {
  return std::make_unique<RunRollback>(std::max<std::uint64_t>(512, expression.number("run")),
                                       expression.number("age"));
}

}  // namespace

FaultKind run_rollback() {
  return {"run-rollback",
          "the erase block under it goes back to an earlier version",
          {RequestKind::read, RequestKind::write, RequestKind::discard},
          {{"run", OwnWord::Type::size, "256K", {}}, {"age", OwnWord::Type::size, "0", {}}},
          false,
          make};
}

}  // namespace faultfs::faults
