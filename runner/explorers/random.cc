// Random crash states: a crash point drawn evenly over the requests of the log, then fates. Swarm:
// each seed leaves each kind of damage (kills, cuts inside a request, tears between units, tears
// inside a sector, noise, misdirected writes) out of all its plans with a chance of one in five, so
// that what is left meets more often (operations are left out by the generator of histories in the
// same way). Swarm weights: each plan draws how likely a write is to survive (almost none … almost
// all), and whether writes are torn, so that runs of like fates are as common as even mixtures.
// Where the profile allows it, writes are also torn inside a sector, garbled, or misdirected. Where
// the log is that of a cache that writes in a circle, a quarter of the points is where it began
// again, mostly inside. Where the cache's format is known, half of the points are writes that
// matter in it: of headers, of directories, of the ends of chains, each kind as often as the
// others.

#include <algorithm>
#include <array>

#include "runner/explorers/explorers.h"

namespace runner::explorers {
namespace {

constexpr std::uint64_t swarm_part = 0x737761726d;

DamageKinds draw_kinds(std::uint64_t seed) {
  faultfs::Random random(faultfs::mix(seed, swarm_part));
  DamageKinds kinds;
  for (bool* kind : {&kinds.kills,
                     &kinds.cuts_inside,
                     &kinds.unit_tears,
                     &kinds.sector_tears,
                     &kinds.noise,
                     &kinds.misdirected}) {
    *kind = random.chance(4, 5);
  }
  return kinds;
}

class RandomStates : public Explorer {
 public:
  RandomStates(const faultfs::CrashModel& model, const ExplorerOptions& options)
      : model_(model),
        entries_(crash_entries(model.log())),
        weighty_(options.weighty),
        weight_of_4_(weighty_.empty() ? 1 : 2),
        kinds_(draw_kinds(options.seed)),
        random_(options.seed),
        states_max_(options.states_max),
        mixed_(options.name == "mixed") {
    if (auto wraps = wrap_entries(model.log()); weighty_.empty() && !wraps.empty()) {
      weighty_.push_back(std::move(wraps));
    }
  }

  std::optional<faultfs::CrashPlan> next() override {
    if (entries_.empty() || (states_max_ != 0 && given_ >= states_max_)) {
      return std::nullopt;
    }
    ++given_;
    const bool weighs = !weighty_.empty() && random_.chance(weight_of_4_, 4);
    const std::vector<std::uint32_t>& points = weighs ? any_group() : entries_;
    const std::uint32_t entry = points[random_.below(points.size())];
    const std::uint64_t kind = random_.below(6);
    if (kinds_.kills && (kind == 0 || (mixed_ && kind == 1))) {
      return kill(entry);
    }
    const bool inside = kinds_.cuts_inside && random_.chance(weighs ? 3 : 1, 4);
    faultfs::CrashPlan plan{{faultfs::CutKind::power_cut, entry, inside}, {}};
    const auto writes = model_.volatile_writes(plan.point);
    if (mixed_ && kind == 2) {
      in_order(writes, plan);
    } else if (mixed_ && kind <= 4) {
      few_deviations(writes, plan);
    } else {
      each_alone(writes, plan);
    }
    return plan;
  }

  [[nodiscard]] std::vector<Unexplored> unexplored() const override {
    return {{"crash states that the random draw did not hit: it samples", 0}};
  }

 private:
  const std::vector<std::uint32_t>& any_group() {
    return weighty_.size() == 1 ? weighty_.front() : weighty_[random_.below(weighty_.size())];
  }

  faultfs::CrashPlan kill(std::uint32_t entry) {
    const std::uint32_t pages = pages_inside(model_.log(), entry);
    if (pages > 0 && random_.chance(1, 2)) {
      return kill_inside(model_, entry, 1 + static_cast<std::uint32_t>(random_.below(pages)));
    }
    return {{faultfs::CutKind::kill, entry, false}, {}};
  }

  void in_order(const std::vector<faultfs::VolatileWrite>& writes, faultfs::CrashPlan& plan) {
    const std::size_t kept = random_.below(writes.size() + 1);
    for (std::size_t index = kept; index < writes.size(); ++index) {
      if (index == kept && random_.chance(1, 2)) {
        add(damage(model_, writes[index], kinds_, random_), plan);
      } else {
        lose(plan, writes[index].entry);
      }
    }
  }

  /// Few writes damaged among kept ones, or few kept among lost ones.
  void few_deviations(const std::vector<faultfs::VolatileWrite>& writes, faultfs::CrashPlan& plan) {
    const bool keep = random_.chance(1, 3);
    const std::uint64_t deviations = 1 + random_.below(3);
    std::vector<bool> chosen(writes.size());
    for (std::uint64_t count = 0; count < deviations && !writes.empty(); ++count) {
      // The newest writes are the ones whose order an engine gets wrong most often.
      const std::uint64_t reach =
          random_.chance(1, 2) ? std::min<std::uint64_t>(writes.size(), 6) : writes.size();
      chosen[writes.size() - 1 - random_.below(reach)] = true;
    }
    for (std::size_t index = 0; index < writes.size(); ++index) {
      if (keep && !chosen[index]) {
        lose(plan, writes[index].entry);
      } else if (!keep && chosen[index]) {
        add(damage(model_, writes[index], kinds_, random_), plan);
      }
    }
    misdirect(writes, plan);
  }

  void each_alone(const std::vector<faultfs::VolatileWrite>& writes, faultfs::CrashPlan& plan) {
    constexpr std::array<std::uint64_t, 5> survive_of_16 = {1, 4, 8, 12, 15};
    const std::uint64_t survive = survive_of_16[random_.below(survive_of_16.size())];
    const bool tear = random_.chance(1, 2);
    for (const auto& write : writes) {
      if (random_.chance(survive, 16)) {
        continue;
      }
      if (tear) {
        add(damage(model_, write, kinds_, random_), plan);
      } else {
        lose(plan, write.entry);
      }
    }
    misdirect(writes, plan);
  }

  void misdirect(const std::vector<faultfs::VolatileWrite>& writes, faultfs::CrashPlan& plan) {
    if (!kinds_.misdirected || !model_.profile().misdirects || writes.empty() ||
        random_.chance(1, 2)) {
      return;
    }
    const auto& from = writes[random_.below(writes.size())];
    const auto& to = writes[random_.below(writes.size())];
    const std::uint64_t sector_bytes = model_.profile().sector_bytes;
    faultfs::Fate fate;
    fate.write = from.entry;
    fate.kind = faultfs::FateKind::misdirected;
    fate.to_offset_bytes = to.first_sector * sector_bytes;
    if (from.first_sector == to.first_sector || from.sector_count > to.sector_count) {
      return;  // keeps the target inside the disk
    }
    std::erase_if(plan.fates,
                  [&](const faultfs::Fate& other) { return other.write == from.entry; });
    plan.fates.push_back(fate);
    std::ranges::sort(plan.fates, {}, &faultfs::Fate::write);
  }

  static void add(const faultfs::Fate& fate, faultfs::CrashPlan& plan) {
    if (fate.kind != faultfs::FateKind::kept) {
      plan.fates.push_back(fate);
    }
  }

  const faultfs::CrashModel& model_;
  std::vector<std::uint32_t> entries_;
  std::vector<std::vector<std::uint32_t>> weighty_;
  std::uint64_t weight_of_4_;
  DamageKinds kinds_;
  faultfs::Random random_;
  std::uint64_t states_max_;
  bool mixed_;
  std::uint64_t given_ = 0;
};

}  // namespace

std::unique_ptr<Explorer> make_random(const faultfs::CrashModel& model,
                                      const ExplorerOptions& options) {
  return std::make_unique<RandomStates>(model, options);
}

}  // namespace runner::explorers
