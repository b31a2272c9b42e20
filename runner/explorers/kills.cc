// The mildest end there is: the process is killed between two requests. What had completed is on
// the disk, nothing is lost and nothing is torn. A cache that lies here needs no help from the
// device, which makes it the control: a history that holds under it and not under others owes that
// to them.
//
// Example: three requests give the kills after each of them, in an order drawn from the seed, so
// that a bound on states does not always leave out the end of the log.

#include <algorithm>

#include "runner/explorers/explorers.h"

namespace runner::explorers {
namespace {

class Kills : public Explorer {
 public:
  Kills(const faultfs::CrashModel& model, std::uint64_t seed)
      : entries_(crash_entries(model.log())) {
    faultfs::Random random(seed);
    for (std::size_t left = entries_.size(); left > 1; --left) {
      std::swap(entries_[left - 1], entries_[random.below(left)]);
    }
  }

  std::optional<faultfs::CrashPlan> next() override {
    if (at_ == entries_.size()) {
      return std::nullopt;
    }
    return faultfs::CrashPlan{{faultfs::CutKind::kill, entries_[at_++], false}, {}};
  }

  [[nodiscard]] std::vector<Unexplored> unexplored() const override {
    std::vector<Unexplored> left = {{"power cuts, and kills inside a write", 0}};
    if (at_ < entries_.size()) {
      left.push_back({"crash points not reached", entries_.size() - at_});
    }
    return left;
  }

 private:
  std::vector<std::uint32_t> entries_;
  std::size_t at_ = 0;
};

}  // namespace

std::unique_ptr<Explorer> make_kills(const faultfs::CrashModel& model, std::uint64_t seed) {
  return std::make_unique<Kills>(model, seed);
}

}  // namespace runner::explorers
