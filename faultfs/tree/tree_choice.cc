// Crash states with a name. A plan lists what was lost or torn; changes of names that need a lost
// one are lost with it, so each choice here gives a legal plan.

#include "faultfs/tree/tree_choice.h"

#include <algorithm>
#include <numeric>
#include <set>

#include <fmt/format.h>

#include "faultfs/base/bytes.h"
#include "faultfs/base/random.h"

namespace faultfs::tree {
namespace {

using Kind = OpenRequest::Kind;

/// The plan in which those are lost of which `loses` says so, and the changes that need one of
/// them.
template <typename Loses>
CrashPlan lose(const TreeModel& model, const CrashPoint& point, const Loses& loses) {
  CrashPlan plan = all_kept(point);
  std::set<std::uint32_t> lost;
  for (const OpenRequest& request : model.open_requests(point)) {
    const bool follows = std::any_of(request.needs.begin(),
                                     request.needs.end(),
                                     [&](std::uint32_t entry) { return lost.contains(entry); });
    if (follows || loses(request)) {
      lost.insert(request.entry);
      plan.fates.push_back({.write = request.entry, .kind = FateKind::lost});
    }
  }
  return plan;
}

/// Each atomic unit is kept or not, by the toss of a coin; or the first ones only.
Fate torn(const OpenRequest& request, Random& random) {
  const VolatileWrite& write = request.write;
  Fate fate{.write = request.entry, .kind = FateKind::torn};
  const bool prefix = random.chance(1, 2);
  const std::uint64_t units = write.unit_begins.size();
  const std::uint64_t first = random.below(units + 1);
  for (std::uint64_t unit = 0; unit < units; ++unit) {
    if (prefix ? unit >= first : random.chance(1, 2)) {
      continue;
    }
    const bool last = unit + 1 == units;
    const std::uint32_t end = last ? write.sector_count : write.unit_begins[unit + 1];
    for (std::uint32_t sector = write.unit_begins[unit]; sector < end; ++sector) {
      fate.sectors.push_back(sector);
    }
  }
  if (fate.sectors.empty()) {
    fate.kind = FateKind::lost;
  } else if (fate.sectors.size() == write.sector_count) {
    fate = {.write = request.entry, .kind = FateKind::kept};
  }
  return fate;
}

Fate torn_length(const OpenRequest& request, Random& random) {
  Fate fate{.write = request.entry, .kind = FateKind::torn};
  fate.sectors.resize(1 + random.below(request.steps - 1));
  std::iota(fate.sectors.begin(), fate.sectors.end(), 0U);
  return fate;
}

}  // namespace

CrashPlan all_kept(const CrashPoint& point) {
  CrashPlan plan;
  plan.point = point;
  return plan;
}

CrashPlan all_lost(const TreeModel& model, const CrashPoint& point) {
  return lose(model, point, [](const OpenRequest&) { return true; });
}

CrashPlan bytes_lost(const TreeModel& model, const CrashPoint& point) {
  return lose(model, point, [](const OpenRequest& it) { return it.kind == Kind::bytes; });
}

CrashPlan only_names(const TreeModel& model, const CrashPoint& point) {
  return lose(model, point, [](const OpenRequest& it) { return it.kind != Kind::names; });
}

CrashPlan names_lost(const TreeModel& model, const CrashPoint& point) {
  return lose(model, point, [](const OpenRequest& it) { return it.kind == Kind::names; });
}

CrashPlan one_lost(const TreeModel& model, const CrashPoint& point, std::uint32_t lost) {
  return lose(model, point, [&](const OpenRequest& it) { return it.entry == lost; });
}

CrashPlan one_kept(const TreeModel& model, const CrashPoint& point, std::uint32_t kept) {
  const std::vector<OpenRequest> open = model.open_requests(point);
  std::set<std::uint32_t> wanted = {kept};
  for (auto request = open.rbegin(); request != open.rend(); ++request) {
    if (wanted.contains(request->entry)) {
      wanted.insert(request->needs.begin(), request->needs.end());
    }
  }
  return lose(model, point, [&](const OpenRequest& it) { return !wanted.contains(it.entry); });
}

CrashPlan drawn(const TreeModel& model, const CrashPoint& point, std::uint64_t seed) {
  Random random(mix(seed, point.entry));
  // How much is lost is drawn for each kind, so that extremes are as likely as the middle.
  const std::uint64_t of = 4;
  const std::uint64_t bytes = random.below(of + 1);
  const std::uint64_t lengths = random.below(of + 1);
  const std::uint64_t names = random.below(of + 1);
  const std::vector<OpenRequest> open = model.open_requests(point);
  const auto pending = static_cast<std::uint64_t>(std::count_if(
      open.begin(), open.end(), [](const OpenRequest& it) { return it.kind == Kind::names; }));
  const bool in_order = model.profile().changes_in_order;
  std::uint64_t names_kept = in_order ? random.below(pending + 1) : pending;
  const CrashPlan some = lose(model, point, [&](const OpenRequest& it) {
    if (it.kind == Kind::names && in_order) {
      return names_kept == 0 || names_kept-- == 0;
    }
    return random.chance(it.kind == Kind::bytes    ? bytes
                         : it.kind == Kind::length ? lengths
                                                   : names,
                         of);
  });
  CrashPlan plan = all_kept(point);
  for (const OpenRequest& it : open) {
    const bool lost = std::any_of(some.fates.begin(), some.fates.end(), [&](const Fate& fate) {
      return fate.write == it.entry;
    });
    const bool tears = it.kind == Kind::bytes    ? it.write.unit_begins.size() > 1
                       : it.kind == Kind::length ? it.steps > 1
                                                 : false;
    Fate fate{.write = it.entry, .kind = lost ? FateKind::lost : FateKind::kept};
    if (tears && random.chance(1, 2)) {
      fate = it.kind == Kind::bytes ? torn(it, random) : torn_length(it, random);
    }
    if (fate.kind != FateKind::kept) {
      plan.fates.push_back(fate);
    }
  }
  return plan;
}

Result<CrashPlan> choose(const TreeModel& model, const CrashPoint& point, std::string_view how) {
  const std::vector<std::string_view> said = words(how);
  const std::string_view name = said.empty() ? "" : said[0];
  if (name == "random" && said.size() == 2) {
    const Result<std::uint64_t> seed = parse_number(said[1]);
    return seed ? drawn(model, point, *seed) : Result<CrashPlan>(fail(seed.error().message));
  }
  if (said.size() == 1) {
    if (name == "kept") {
      return all_kept(point);
    }
    using Choice = CrashPlan (*)(const TreeModel&, const CrashPoint&);
    for (const auto& [known, choice] : {std::pair<std::string_view, Choice>{"lost", all_lost},
                                        {"bytes-lost", bytes_lost},
                                        {"only-names", only_names},
                                        {"names-lost", names_lost}}) {
      if (name == known) {
        return choice(model, point);
      }
    }
  }
  return fail(
      fmt::format("'{}' is no crash state; allowed: kept, lost, bytes-lost, only-names, "
                  "names-lost, random SEED",
                  how));
}

}  // namespace faultfs::tree
