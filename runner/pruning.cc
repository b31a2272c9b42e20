// Which crash states need not be run.
//
// The cache under test, given the same seeds, is a function of what it reads from its disk. So
// after one run, whose reads the device has noted (read_watch.h), every other crash state with the
// same content in the places that were read would lead to the same run, whatever the other places
// hold. Its answers are known; only what was *allowed* to be answered may differ with the crash
// point, so it is judged for its own point.
//
//     contents   in the explorers: two contents of a place with equal bytes are one branch
//     image      two plans that leave the same bytes everywhere, often at neighbouring crash points
//     reads      two that leave the same bytes in all that is read before it is overwritten
//     answers    the same answers at the same crash point are judged once
//
// `reads` contains `image`, which is cheaper to ask. A set of places that was read is kept with the
// digests of what it held, run for run. A state is looked up in the sets that helped last.
//
// Nothing here is for targets that are not deterministic, or for devices with faults, which count
// requests. What is not in the log is the same in every crash state, so only places of the log
// count. Bytes are compared by digests of 128 bits.

#include "runner/pruning.h"

#include <algorithm>
#include <span>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace runner {
namespace {

constexpr std::size_t sets_max = 48;
constexpr std::uint64_t runs_max = 200000;
constexpr std::uint64_t seen_bytes_max = 48ULL << 20U;
constexpr std::uint64_t places_seed = 0x706c61636573;

/// About what `seen` takes in memory.
std::uint64_t bytes_of(const scenarios::Examination& seen) {
  constexpr std::uint64_t of_reading = 300;
  constexpr std::uint64_t of_entry = 120;
  std::uint64_t bytes = sizeof(seen);
  for (const auto* readings :
       {&seen.after_recovery, &seen.after_reopen, &seen.after_traffic, &seen.after_last_restart}) {
    bytes += of_reading * readings->size();
  }
  for (const auto* structure : {&seen.structure, &seen.structure_after_traffic}) {
    if (*structure) {
      bytes += of_entry * (*structure)->entries.size();
      bytes += sizeof(std::uint32_t) * (*structure)->unit_count;
    }
  }
  return bytes;
}

auto judged_key(const scenarios::Examination& seen, const faultfs::CrashPoint& point) {
  return std::tuple(&seen, point.entry, point.inside, point.kind);
}

}  // namespace

const std::vector<std::string>& prune_names() {
  static const std::vector<std::string> names = {"contents", "image", "reads", "answers", "all"};
  return names;
}

faultfs::Status switch_off(const std::string& name, PruneOptions& options) {
  const auto& names = prune_names();
  if (std::ranges::find(names, name) == names.end()) {
    return faultfs::fail(
        fmt::format("\"{}\" is no pruning; allowed: {}", name, fmt::join(names, ", ")));
  }
  const bool all = name == "all";
  options.contents = options.contents && !all && name != "contents";
  options.image = options.image && !all && name != "image";
  options.reads = options.reads && !all && name != "reads";
  options.answers = options.answers && !all && name != "answers";
  return {};
}

Pruner::Pruner(const scenarios::Recording& recording, const PruneOptions& options)
    : recording_(recording),
      options_(options),
      digests_(recording.base, recording.log, recording.profile.sector_bytes),
      all_(digests_.part(*digests_.places())) {}

faultfs::LogDigests::State Pruner::state(std::uint32_t limit,
                                         std::vector<faultfs::SectorPlace> deviating,
                                         const std::vector<faultfs::Image>& disks) {
  if (digests_.extend(deviating, recording_.base)) {
    all_ = digests_.part(*digests_.places());
  }
  return *digests_.state(limit, std::move(deviating), disks);
}

bool Pruner::fits(const ReadSet& set, const faultfs::LogDigests::State& state) {
  return std::ranges::all_of(state.deviations,
                             [&](const auto& deviation) { return deviation.place < set.places; });
}

const Pruner::Run* Pruner::find(const faultfs::LogDigests::State& state, std::uint32_t unit_bytes) {
  if (options_.image) {
    const auto known = images_.find({faultfs::LogDigests::digest(all_, state), unit_bytes});
    if (known != images_.end()) {
      return &known->second;
    }
  }
  for (std::size_t at = 0; options_.reads && at < sets_.size(); ++at) {
    if (!fits(*sets_[at], state)) {
      continue;
    }
    const Key key{faultfs::LogDigests::digest(sets_[at]->part, state), unit_bytes};
    const auto known = sets_[at]->runs.find(key);
    if (known != sets_[at]->runs.end()) {
      std::swap(sets_[at], sets_[at / 2]);
      return &known->second;
    }
  }
  return nullptr;
}

/// The set of these places. One that did not help lately makes room for a new one.
Pruner::ReadSet& Pruner::set_of(const std::vector<faultfs::SectorPlace>& reads) {
  std::vector<faultfs::SectorPlace> places = reads;
  std::ranges::sort(places);
  const std::size_t watched = digests_.places()->size();
  faultfs::Digest name{watched, 0};
  for (const auto& place : places) {
    const std::uint64_t words[] = {place.disk, place.sector};
    name += faultfs::digest_of(std::as_bytes(std::span(words)), places_seed);
  }
  const auto known = std::ranges::find_if(
      sets_, [&](const std::unique_ptr<ReadSet>& each) { return each->name == name; });
  if (known != sets_.end()) {
    return **known;
  }
  auto made = std::make_unique<ReadSet>();
  made->name = name;
  made->part = digests_.part(places);
  made->places = watched;
  if (sets_.size() == sets_max) {
    kept_ -= sets_.back()->runs.size();
    sets_.pop_back();
  }
  // In the middle: before those that never helped.
  return **sets_.insert(sets_.begin() + static_cast<std::ptrdiff_t>(sets_.size() / 2),
                        std::move(made));
}

bool Pruner::share(Run& run) {
  const faultfs::Digest print = scenarios::fingerprint(*run.seen);
  auto known = seen_.find(print);
  if (known == seen_.end()) {
    if (seen_bytes_ > seen_bytes_max) {
      return false;
    }
    known = seen_.emplace(print, run.seen).first;
    seen_bytes_ += bytes_of(*run.seen);
  }
  run.seen = known->second;
  return true;
}

void Pruner::add(const faultfs::LogDigests::State& state,
                 std::uint32_t unit_bytes,
                 const Run& run) {
  if (kept_ > runs_max) {
    return;
  }
  if (options_.image) {
    images_.insert_or_assign({faultfs::LogDigests::digest(all_, state), unit_bytes}, run);
    ++kept_;
  }
  if (options_.reads) {
    ReadSet& set = set_of(*run.reads);
    set.runs.insert_or_assign({faultfs::LogDigests::digest(set.part, state), unit_bytes}, run);
    ++kept_;
  }
}

bool Pruner::held_before(const scenarios::Examination& seen,
                         const faultfs::CrashPoint& point) const {
  return options_.answers && held_.contains(judged_key(seen, point));
}

void Pruner::note_held(const scenarios::Examination& seen, const faultfs::CrashPoint& point) {
  if (options_.answers && held_.size() < runs_max) {
    held_.insert(judged_key(seen, point));
  }
}

}  // namespace runner
