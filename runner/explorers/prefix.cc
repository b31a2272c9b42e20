// In-order loss, the model of a disk that never reorders: at every crash point the volatile writes
// reached the medium up to some write and no further. And every kill: after each request, and
// inside each write at each page boundary.
//
// Example: three volatile writes a b c give the power cuts {} {a} {a b} {a b c} at the last point.

#include "runner/explorers/explorers.h"

namespace runner::explorers {
namespace {

class Prefix : public Explorer {
 public:
  explicit Prefix(const faultfs::CrashModel& model)
      : model_(model), entries_(crash_entries(model.log())) {}

  std::optional<faultfs::CrashPlan> next() override {
    while (at_ < entries_.size()) {
      if (step_ == 0) {
        begin_point();
      }
      if (step_ < plans_.size()) {
        return plans_[step_++];
      }
      step_ = 0;
      ++at_;
    }
    return std::nullopt;
  }

  [[nodiscard]] std::vector<Unexplored> unexplored() const override {
    std::vector<Unexplored> left = {{"power cuts that lose writes out of order or tear them", 0}};
    if (at_ < entries_.size()) {
      left.push_back({"crash points not reached", entries_.size() - at_});
    }
    return left;
  }

 private:
  void begin_point() {
    plans_.clear();
    const std::uint32_t entry = entries_[at_];
    for (std::uint32_t pages = 1; pages <= pages_inside(model_.log(), entry); ++pages) {
      plans_.push_back(kill_inside(model_, entry, pages));
    }
    plans_.push_back({{faultfs::CutKind::kill, entry, false}, {}});
    const faultfs::CrashPoint point{faultfs::CutKind::power_cut, entry, false};
    const auto writes = model_.volatile_writes(point);
    for (std::size_t kept = writes.size() + 1; kept-- > 0;) {
      faultfs::CrashPlan plan{point, {}};
      for (std::size_t lost = kept; lost < writes.size(); ++lost) {
        lose(plan, writes[lost].entry);
      }
      plans_.push_back(plan);
    }
  }

  const faultfs::CrashModel& model_;
  std::vector<std::uint32_t> entries_;
  std::size_t at_ = 0;
  std::size_t step_ = 0;
  std::vector<faultfs::CrashPlan> plans_;
};

}  // namespace

std::unique_ptr<Explorer> make_prefix(const faultfs::CrashModel& model) {
  return std::make_unique<Prefix>(model);
}

}  // namespace runner::explorers
