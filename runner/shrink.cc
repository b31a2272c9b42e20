#include "runner/shrink.h"

#include <algorithm>
#include <chrono>

namespace runner {
namespace {

using Commands = std::vector<scenarios::Command>;

class Shrinker {
 public:
  Shrinker(Prober& prober, Commands commands, Hint failing, const ShrinkOptions& options)
      : prober_(prober),
        commands_(std::move(commands)),
        failing_(std::move(failing)),
        options_(options),
        deadline_(std::chrono::steady_clock::now() +
                  std::chrono::duration_cast<std::chrono::steady_clock::duration>(
                      std::chrono::duration<double>(options.seconds_max))) {}

  faultfs::Status shrink_commands() {
    bool smaller = true;
    while (smaller && !bounded()) {
      auto merged = merge_puts();
      if (!merged) {
        return faultfs::fail(merged.error().message);
      }
      smaller = *merged;
      for (std::size_t length = std::max<std::size_t>(1, commands_.size() / 2); length > 0;
           length /= 2) {
        auto dropped = drop_runs(length);
        if (!dropped) {
          return faultfs::fail(dropped.error().message);
        }
        smaller = smaller || *dropped;
      }
      auto cut = cut_sizes();
      if (!cut) {
        return faultfs::fail(cut.error().message);
      }
    }
    return {};
  }

  /// Fewer faults, and simpler ones.
  faultfs::Status shrink_faults() {
    for (std::size_t at = prober_.faults().size(); at-- > 0 && !bounded();) {
      scenarios::Faults fewer = prober_.faults();
      fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(at));
      auto dropped = accept_faults(std::move(fewer));
      if (!dropped) {
        return faultfs::fail(dropped.error().message);
      }
      bool accepted = *dropped;
      for (const auto& simple : accepted ? scenarios::Faults() : simpler(prober_.faults()[at])) {
        if (accepted || bounded()) {
          break;
        }
        scenarios::Faults candidate = prober_.faults();
        candidate[at] = simple;
        auto done = accept_faults(std::move(candidate));
        if (!done) {
          return faultfs::fail(done.error().message);
        }
        accepted = *done;
      }
    }
    return {};
  }

  faultfs::Status shrink_plan() {
    each_needed_ = false;
    bool smaller = true;
    while (smaller && !bounded()) {
      smaller = false;
      auto dropped = drop_cuts();
      if (!dropped) {
        return faultfs::fail(dropped.error().message);
      }
      smaller = *dropped;
      for (cut_ = 0; cut_ <= failing_.plan.again.size(); ++cut_) {
        for (auto step : {&Shrinker::earlier_point,
                          &Shrinker::drop_fates,
                          &Shrinker::whole_fates,
                          &Shrinker::fewer_sectors,
                          &Shrinker::fewer_bytes}) {
          auto done = (this->*step)();
          if (!done) {
            return faultfs::fail(done.error().message);
          }
          smaller = smaller || *done;
        }
      }
    }
    each_needed_ = !bounded();
    return {};
  }

  Shrunk result() const {
    return {commands_, failing_.plan, each_needed_, !bounded(), prober_.states()};
  }

 private:
  [[nodiscard]] bool bounded() const {
    return prober_.states() >= options_.states_max || std::chrono::steady_clock::now() >= deadline_;
  }

  /// `fault` fired once only, as early as may be, and at no matter what; simplest first. What draws
  /// becomes what does not.
  static scenarios::Faults simpler(const faultfs::faults::Expression& fault) {
    constexpr std::uint64_t early = 16;
    scenarios::Faults simple;
    auto once = fault;
    once.every = once.times = once.chance = once.out_of = 1;
    for (once.nth = 1; once.nth <= early; ++once.nth) {
      if (once == fault) {
        return simple;  // those that follow fire later
      }
      simple.push_back(once);
    }
    return simple;
  }

  faultfs::Result<bool> accept_faults(scenarios::Faults candidate) {
    const scenarios::Faults before = prober_.faults();
    prober_.put_faults(std::move(candidate));
    constexpr std::uint64_t states = 100;  // the log is much the same: near states will do
    auto found = prober_.search(commands_, failing_, states);
    if (!found || !*found) {
      prober_.put_faults(before);
      return found ? faultfs::Result<bool>(false) : faultfs::fail(found.error().message);
    }
    failing_ = **found;
    return tell();
  }

  /// True, or what the one who is told of smaller cases objects.
  [[nodiscard]] faultfs::Result<bool> tell() const {
    if (options_.smaller) {
      if (auto status = options_.smaller(commands_, failing_.plan); !status) {
        return faultfs::fail(status.error().message);
      }
    }
    return true;
  }

  faultfs::Result<bool> accept_commands(Commands candidate) {
    auto found = prober_.search(candidate, failing_);
    if (!found) {
      return faultfs::fail(found.error().message);
    }
    if (!*found) {
      return false;
    }
    commands_ = std::move(candidate);
    failing_ = **found;
    return tell();
  }

  /// Tries to leave out each run of `length` commands, last first: the end matters most, but what
  /// comes after the failure does not matter at all.
  faultfs::Result<bool> drop_runs(std::size_t length) {
    bool any = false;
    for (std::size_t end = commands_.size(); end >= length && !bounded(); --end) {
      if (end > commands_.size()) {
        continue;
      }
      Commands candidate = commands_;
      candidate.erase(candidate.begin() + static_cast<std::ptrdiff_t>(end - length),
                      candidate.begin() + static_cast<std::ptrdiff_t>(end));
      if (candidate.empty()) {
        continue;
      }
      auto accepted = accept_commands(std::move(candidate));
      if (!accepted) {
        return accepted;
      }
      any = any || *accepted;
    }
    return any;
  }

  /// In a store that writes in a circle, a run of puts is about as good as one of their size.
  faultfs::Result<bool> merge_puts() {
    bool any = false;
    for (std::size_t length = commands_.size(); length > 1 && prober_.writes_in_a_circle();
         length /= 2) {
      for (std::size_t begin = 0; begin + length <= commands_.size() && !bounded();) {
        const auto merged = with_one_put(begin, length);
        auto accepted = merged.empty() ? faultfs::Result<bool>(false) : accept_commands(merged);
        if (!accepted) {
          return accepted;
        }
        any = any || *accepted;
        begin += *accepted ? 1 : std::max<std::size_t>(1, length / 2);
      }
    }
    return any;
  }

  /// The commands with those of [begin, begin + length) as one put and, if there was one among
  /// them, one sync; empty where they are not two puts or more, or have a restart among them.
  [[nodiscard]] Commands with_one_put(std::size_t begin, std::size_t length) const {
    scenarios::Command put;
    put.kind = scenarios::CommandKind::put;
    std::size_t puts = 0;
    bool synced = false;
    const auto first = commands_.begin() + static_cast<std::ptrdiff_t>(begin);
    const auto last = first + static_cast<std::ptrdiff_t>(length);
    for (auto command = first; command != last; ++command) {
      const bool is_put = command->kind == scenarios::CommandKind::put;
      const bool is_sync = command->kind == scenarios::CommandKind::sync;
      if (!is_put && !is_sync && command->kind != scenarios::CommandKind::get &&
          command->kind != scenarios::CommandKind::purge) {
        return {};
      }
      synced = synced || is_sync;
      puts += is_put ? 1 : 0;
      put.key = is_put ? command->key : put.key;
      put.size += is_put ? command->size : 0;
    }
    if (puts < 2) {
      return {};
    }
    Commands merged(commands_.begin(), first);
    merged.push_back(put);
    if (synced) {
      merged.emplace_back();  // a sync
    }
    merged.insert(merged.end(), last, commands_.end());
    return merged;
  }

  /// Smaller bodies: a quarter, a half, three quarters of what is there.
  faultfs::Result<bool> cut_sizes() {
    bool any = false;
    for (std::size_t index = 0; index < commands_.size(); ++index) {
      const auto kind = commands_[index].kind;
      if (kind != scenarios::CommandKind::put && kind != scenarios::CommandKind::crowd &&
          kind != scenarios::CommandKind::begin) {
        continue;
      }
      for (std::uint64_t quarter = 1; quarter < 4 && !bounded(); ++quarter) {
        Commands candidate = commands_;
        candidate[index].size = std::max<std::uint64_t>(1, candidate[index].size * quarter / 4);
        candidate[index].offset = candidate[index].offset * quarter / 4;
        if (candidate[index].size == commands_[index].size) {
          continue;
        }
        auto accepted = accept_commands(std::move(candidate));
        if (!accepted) {
          return accepted;
        }
        any = any || *accepted;
        if (*accepted) {
          break;
        }
      }
    }
    return any;
  }

  faultfs::Result<bool> accept_plan(const faultfs::CrashPlan& candidate) {
    if (bounded() || candidate == failing_.plan) {
      return false;
    }
    auto broken = prober_.breaks(commands_, candidate);
    if (broken && *broken) {
      failing_.plan = candidate;
      return tell();
    }
    return broken;
  }

  /// Fewer cuts inside recoveries: none, or without one of them.
  faultfs::Result<bool> drop_cuts() {
    bool any = false;
    if (failing_.plan.again.empty()) {
      return any;
    }
    auto accepted = accept_plan(failing_.plan.first_cuts(1));
    for (std::size_t at = failing_.plan.again.size(); accepted && at > 0; --at) {
      any = any || *accepted;
      if (at > failing_.plan.again.size()) {
        continue;
      }
      faultfs::CrashPlan plan = failing_.plan;
      plan.again.erase(plan.again.begin() + static_cast<std::ptrdiff_t>(at - 1));
      accepted = accept_plan(plan);
    }
    if (!accepted) {
      return accepted;
    }
    return any || *accepted;
  }

  // The steps below are about cut number `cut_`.
  [[nodiscard]] const std::vector<faultfs::Fate>& fates() const {
    return failing_.plan.fates_of(cut_);
  }

  /// Simpler ends first: no cut inside a request, a kill where no fate is needed, an earlier entry.
  faultfs::Result<bool> earlier_point() {
    bool any = false;
    faultfs::CrashPlan plan = failing_.plan;
    plan.point_of(cut_) = {faultfs::CutKind::kill, plan.point_of(cut_).entry, false};
    plan.fates_of(cut_).clear();
    auto accepted = accept_plan(plan);
    if (!accepted) {
      return accepted;
    }
    any = *accepted;
    while (failing_.plan.point_of(cut_).entry > 1) {
      plan = failing_.plan;
      auto& point = plan.point_of(cut_);
      --point.entry;
      point.inside = false;
      std::erase_if(plan.fates_of(cut_),
                    [&](const auto& fate) { return fate.write > point.entry; });
      accepted = accept_plan(plan);
      if (!accepted || !*accepted) {
        break;
      }
      any = true;
    }
    if (!accepted) {
      return accepted;
    }
    return any;
  }

  faultfs::Result<bool> drop_fates() {
    bool any = false;
    for (std::size_t length = std::max<std::size_t>(1, fates().size() / 2); length > 0;
         length /= 2) {
      for (std::size_t end = fates().size(); end >= length; --end) {
        if (end > fates().size()) {
          continue;
        }
        faultfs::CrashPlan plan = failing_.plan;
        plan.fates_of(cut_).erase(
            plan.fates_of(cut_).begin() + static_cast<std::ptrdiff_t>(end - length),
            plan.fates_of(cut_).begin() + static_cast<std::ptrdiff_t>(end));
        auto accepted = accept_plan(plan);
        if (!accepted) {
          return accepted;
        }
        any = any || *accepted;
      }
    }
    return any;
  }

  /// A torn or otherwise odd fate becomes a plain loss where that breaks the claim too.
  faultfs::Result<bool> whole_fates() {
    bool any = false;
    for (std::size_t index = 0; index < fates().size(); ++index) {
      if (fates()[index].kind == faultfs::FateKind::lost) {
        continue;
      }
      faultfs::CrashPlan plan = failing_.plan;
      plan.fates_of(cut_)[index] = {
          plan.fates_of(cut_)[index].write, faultfs::FateKind::lost, {}, 0, 0};
      auto accepted = accept_plan(plan);
      if (!accepted) {
        return accepted;
      }
      any = any || *accepted;
    }
    return any;
  }

  /// Fewer garbled sectors; fewer lost ones in a torn write (a longer prefix is kept).
  faultfs::Result<bool> fewer_sectors() {
    bool any = false;
    for (std::size_t index = 0; index < fates().size(); ++index) {
      while (fates()[index].kind == faultfs::FateKind::garbled &&
             fates()[index].sectors.size() > 1) {
        faultfs::CrashPlan plan = failing_.plan;
        plan.fates_of(cut_)[index].sectors.pop_back();
        auto accepted = accept_plan(plan);
        if (!accepted) {
          return accepted;
        }
        if (!*accepted) {
          break;
        }
        any = true;
      }
      auto filled = fill_gaps(index);
      if (!filled) {
        return filled;
      }
      any = any || *filled;
    }
    return any;
  }

  /// A tear inside a sector at its end, or with as few new bytes as possible.
  faultfs::Result<bool> fewer_bytes() {
    bool any = false;
    for (std::size_t index = 0; index < fates().size(); ++index) {
      while (fates()[index].tear_bytes > 0) {
        faultfs::CrashPlan plan = failing_.plan;
        auto& fate = plan.fates_of(cut_)[index];
        fate.tear_bytes = fate.tear_bytes > 8 ? fate.tear_bytes / 16 * 8 : 0;
        auto accepted = accept_plan(plan);
        if (!accepted) {
          return accepted;
        }
        if (!*accepted) {
          break;
        }
        any = true;
      }
    }
    return any;
  }

  /// In a torn write, keeps each sector below the last kept one that need not be lost.
  faultfs::Result<bool> fill_gaps(std::size_t index) {
    bool any = false;
    const faultfs::Fate fate = fates()[index];
    if (fate.kind != faultfs::FateKind::torn || fate.tear_bytes != 0 || fate.sectors.empty()) {
      return any;
    }
    for (std::uint32_t sector = 0; sector < fate.sectors.back(); ++sector) {
      if (std::ranges::binary_search(fate.sectors, sector)) {
        continue;
      }
      faultfs::CrashPlan plan = failing_.plan;
      plan.fates_of(cut_)[index].sectors.push_back(sector);
      std::ranges::sort(plan.fates_of(cut_)[index].sectors);
      auto accepted = accept_plan(plan);
      if (!accepted) {
        return accepted;
      }
      any = any || *accepted;
    }
    return any;
  }

  Prober& prober_;
  Commands commands_;
  Hint failing_;
  ShrinkOptions options_;
  std::chrono::steady_clock::time_point deadline_;
  std::size_t cut_ = 0;
  bool each_needed_ = false;
};

}  // namespace

faultfs::Result<Shrunk> shrink(Prober& prober,
                               std::vector<scenarios::Command> commands,
                               const Hint& failing,
                               const ShrinkOptions& options,
                               bool keep_commands) {
  Shrinker shrinker(prober, std::move(commands), failing, options);
  if (!keep_commands) {
    if (auto status = shrinker.shrink_commands(); !status) {
      return faultfs::fail(status.error().message);
    }
    if (auto status = shrinker.shrink_faults(); !status) {
      return faultfs::fail(status.error().message);
    }
  }
  if (auto status = shrinker.shrink_plan(); !status) {
    return faultfs::fail(status.error().message);
  }
  return shrinker.result();
}

}  // namespace runner
