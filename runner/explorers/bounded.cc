// At most k deviations: at every crash point, every choice of at most k volatile writes that are
// lost while all others are kept, and every choice of at most k that are kept while all others are
// lost. Ordered by k over all points, so that a search stopped early can say "all with at most k".
//
// Example: volatile writes a b c and k = 1 give {a b c} {b c} {a c} {a b} and {} {a} {b} {c}.
// Not given: torn, garbled and misdirected writes; cuts inside a request.

#include <algorithm>
#include <numeric>

#include <fmt/format.h>

#include "runner/explorers/explorers.h"

namespace runner::explorers {
namespace {

class Bounded : public Explorer {
 public:
  Bounded(const faultfs::CrashModel& model, std::uint32_t deviations)
      : model_(model), entries_(crash_entries(model.log())), deviations_max_(deviations) {
    begin_point();
  }

  std::optional<faultfs::CrashPlan> next() override {
    while (deviations_ <= deviations_max_) {
      if (at_ >= entries_.size()) {
        ++deviations_;
        at_ = 0;
        begin_point();
        continue;
      }
      if (have_choice_) {
        const auto plan = current();
        advance();
        return plan;
      }
      ++at_;
      begin_point();
    }
    return std::nullopt;
  }

  [[nodiscard]] std::vector<Unexplored> unexplored() const override {
    const std::uint32_t done = std::min(deviations_, deviations_max_ + 1);
    if (done == 0) {
      return {{"power cuts: stopped before all with no deviation were done", 0}};
    }
    return {
        {fmt::format("power cuts with more than {} deviation{}", done - 1, done == 2 ? "" : "s"),
         0},
        {"torn writes and cuts inside a request", 0}};
  }

 private:
  void begin_point() {
    have_choice_ = false;
    if (at_ >= entries_.size()) {
      return;
    }
    writes_ = model_.volatile_writes({faultfs::CutKind::power_cut, entries_[at_], false});
    keep_chosen_ = false;
    have_choice_ = first_choice();
  }

  bool first_choice() {
    chosen_.resize(deviations_);
    std::iota(chosen_.begin(), chosen_.end(), 0U);
    // "k kept of n" and "n - k lost of n" are the same states: give each once.
    const bool repeats =
        keep_chosen_ && writes_.size() <= std::size_t{deviations_} + deviations_max_;
    return deviations_ <= writes_.size() && !repeats;
  }

  /// The next choice of `deviations_` writes in lexicographic order.
  void advance() {
    std::size_t position = chosen_.size();
    while (position > 0 &&
           chosen_[position - 1] == writes_.size() - chosen_.size() + position - 1) {
      --position;
    }
    if (position > 0) {
      ++chosen_[position - 1];
      std::iota(chosen_.begin() + static_cast<std::ptrdiff_t>(position),
                chosen_.end(),
                chosen_[position - 1] + 1);
      return;
    }
    if (keep_chosen_) {
      have_choice_ = false;
      return;
    }
    keep_chosen_ = true;
    have_choice_ = first_choice();
  }

  [[nodiscard]] faultfs::CrashPlan current() const {
    faultfs::CrashPlan plan{{faultfs::CutKind::power_cut, entries_[at_], false}, {}};
    for (std::uint32_t index = 0; index < writes_.size(); ++index) {
      const bool chosen = std::binary_search(chosen_.begin(), chosen_.end(), index);
      if (chosen != keep_chosen_) {
        lose(plan, writes_[index].entry);
      }
    }
    return plan;
  }

  const faultfs::CrashModel& model_;
  std::vector<std::uint32_t> entries_;
  std::uint32_t deviations_max_;
  std::uint32_t deviations_ = 0;
  std::size_t at_ = 0;
  std::vector<faultfs::VolatileWrite> writes_;
  std::vector<std::uint32_t> chosen_;
  bool keep_chosen_ = false;
  bool have_choice_ = false;
};

}  // namespace

std::unique_ptr<Explorer> make_bounded(const faultfs::CrashModel& model, std::uint32_t deviations) {
  return std::make_unique<Bounded>(model, deviations);
}

}  // namespace runner::explorers
