#include "runner/ordering.h"

#include <algorithm>

#include "runner/explorer.h"

namespace runner {
namespace {

constexpr std::uint64_t sample_seed = 0x6f72646572;

const faultfs::Fate* fate_of(const faultfs::CrashPlan& plan, std::uint32_t write) {
  const auto place = std::ranges::lower_bound(plan.fates, write, {}, &faultfs::Fate::write);
  return place != plan.fates.end() && place->write == write ? &*place : nullptr;
}

bool is_whole(const faultfs::CrashPlan& plan, std::uint32_t write) {
  const faultfs::Fate* fate = fate_of(plan, write);
  return fate == nullptr || fate->kind == faultfs::FateKind::kept;
}

bool is_gone(const faultfs::CrashPlan& plan, std::uint32_t write) {
  const faultfs::Fate* fate = fate_of(plan, write);
  return write > plan.point.entry || (fate != nullptr && fate->kind == faultfs::FateKind::lost);
}

/// `later` is not there without `first`.
bool keeps(const Ordering& order, const faultfs::CrashPlan& plan) {
  const bool first_there = order.first <= plan.point.entry && is_whole(plan, order.first);
  return first_there || is_gone(plan, order.later);
}

faultfs::CrashPlan with(faultfs::CrashPlan plan, std::uint32_t write, faultfs::FateKind kind) {
  std::erase_if(plan.fates, [&](const faultfs::Fate& fate) { return fate.write == write; });
  faultfs::Fate fate;
  fate.write = write;
  fate.kind = kind;
  plan.fates.insert(std::ranges::lower_bound(plan.fates, write, {}, &faultfs::Fate::write), fate);
  return plan;
}

class Explanation {
 public:
  Explanation(Prober& prober,
              const std::vector<scenarios::Command>& commands,
              const faultfs::CrashPlan& plan,
              std::uint64_t states_max)
      : prober_(prober), commands_(commands), plan_(plan), states_max_(states_max) {}

  faultfs::Result<std::optional<Ordering>> find() {
    auto made = prober_.experiment(commands_);
    if (!made) {
      return faultfs::fail(made.error().message);
    }
    const faultfs::CrashModel& model = (*made)->model();
    std::vector<std::uint32_t> absent;
    std::vector<std::uint32_t> there;
    for (const auto& write :
         model.volatile_writes({faultfs::CutKind::power_cut, plan_.point.entry, false})) {
      (is_whole(plan_, write.entry) ? there : absent).push_back(write.entry);
    }
    add_not_issued(model.log(), absent);
    for (const std::uint32_t first : absent) {
      if (!holds(with_there(first))) {
        continue;
      }
      for (const std::uint32_t later : there) {
        Ordering order{first, later, 0};
        if (holds_without(model, later) && sample_holds(model, order)) {
          return std::optional<Ordering>(order);
        }
      }
    }
    if (!trouble_.message.empty()) {
      return tl::unexpected(trouble_);
    }
    return std::optional<Ordering>();
  }

 private:
  /// The next few writes behind the crash point: what had not been issued is not there either.
  void add_not_issued(const faultfs::WriteLog& log, std::vector<std::uint32_t>& absent) const {
    constexpr int writes_max = 8;
    int added = 0;
    for (std::uint32_t entry = plan_.point.entry + 1; entry <= log.size() && added < writes_max;
         ++entry) {
      if (log.entry(entry).kind == faultfs::EntryKind::write) {
        absent.push_back(entry);
        ++added;
      }
    }
  }

  [[nodiscard]] faultfs::CrashPlan with_there(std::uint32_t write) const {
    if (write <= plan_.point.entry) {
      return with(plan_, write, faultfs::FateKind::kept);
    }
    faultfs::CrashPlan later = plan_;
    later.point = {faultfs::CutKind::power_cut, write, false};
    return later;
  }

  bool holds_without(const faultfs::CrashModel& model, std::uint32_t write) {
    faultfs::CrashPlan cut = with(plan_, write, faultfs::FateKind::lost);
    cut.point.kind = faultfs::CutKind::power_cut;
    return model.check(cut) && holds(cut);
  }

  bool holds(const faultfs::CrashPlan& plan) {
    auto broken = prober_.breaks(commands_, plan);
    if (!broken) {
      trouble_ = broken.error();
      return false;
    }
    return !*broken;
  }

  bool sample_holds(const faultfs::CrashModel& model, Ordering& order) {
    ExplorerOptions options;
    options.name = "mixed";
    options.seed = sample_seed;
    options.states_max = static_cast<std::uint32_t>(states_max_);
    const auto explorer = make_explorer(model, options);
    while (explorer) {
      const auto plan = (*explorer)->next();
      if (!plan) {
        break;
      }
      if (!keeps(order, *plan)) {
        continue;
      }
      if (!holds(*plan)) {
        return false;
      }
      ++order.states;
    }
    return order.states > 0;
  }

  Prober& prober_;
  const std::vector<scenarios::Command>& commands_;
  const faultfs::CrashPlan& plan_;
  std::uint64_t states_max_;
  faultfs::Error trouble_;
};

}  // namespace

faultfs::Result<std::optional<Ordering>> explain(Prober& prober,
                                                 const std::vector<scenarios::Command>& commands,
                                                 const faultfs::CrashPlan& plan,
                                                 std::uint64_t states_max) {
  return Explanation(prober, commands, plan, states_max).find();
}

}  // namespace runner
