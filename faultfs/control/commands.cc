// The control language: a line asks, a line answers.
//
//   cut now                  from now on every request fails with EIO
//   cut at-request N         the N-th write, flush or discard from now, and all later, fail
//   cut at-mark TEXT         the cut falls just after the next mark that contains TEXT
//   disarm                   an armed cut is not to happen
//   mark TEXT                puts a named point into the log
//   power-on                 new power-on, with what a reader saw last: as after a kill
//   power-on lost            … with every volatile write lost
//   power-on random SEED     … with a fate for each volatile write, drawn from SEED
//   power-on torn SHAPE      … each torn, where it is large enough: prefix, suffix, hole or first
//                            (tear.cc); smaller ones are lost
//   power-on plan FILE       … with the fates of a crash plan (lines as in plan.txt)
//   swap DISK FILE           power-on with the bytes of FILE as DISK, the other disks as they are
//   reset                    power-on with all disks zero
//   snapshot DIR             writes every disk, as a reader sees it, to DIR/<disk>.img
//   log save FILE            writes the log since the last power-on
//   log record DIR           … with the disks as they were then: `powercut explore DIR` needs no
//   more log export DISK FILE     … of one disk, in the format of dm-log-writes counters requests
//   since the beginning fault …                  faults (fault_commands.cc) status on or cut,
//   generation, log entries, profile, disks
//
// The answer is "ok", with facts after it, or "error" and a sentence. It comes after the command
// took effect. A power-on that is refused leaves the device cut; any other fences every open file,
// empties the log and disarms. File names must be absolute, since asker and answerer may stand in
// different directories; they may hold blanks. Example:
//     cut at-request 3        ok
//     status                  ok on generation 1, log 2 entries, ssd_4k_volatile, disk0 4M
//     status                  ok cut generation 1, log 4 entries, ssd_4k_volatile, disk0 4M
//     power-on random 7       ok generation 2, 3 of 4 volatile writes not whole

#include "faultfs/control/commands.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <numeric>
#include <utility>

#include <fmt/format.h>

#include "faultfs/base/random.h"
#include "faultfs/control/fault_commands.h"
#include "faultfs/crash_model.h"
#include "faultfs/disk_recording.h"
#include "faultfs/dm_log.h"
#include "faultfs/tear.h"

namespace faultfs::control {
namespace {

std::string_view trimmed(std::string_view text) {
  const auto begin = text.find_first_not_of(" \t\r");
  const auto end = text.find_last_not_of(" \t\r");
  return begin == std::string_view::npos ? std::string_view{} : text.substr(begin, end - begin + 1);
}

/// The first word, and the rest without the blanks between.
std::pair<std::string_view, std::string_view> split(std::string_view text) {
  text = trimmed(text);
  const auto end = text.find_first_of(" \t");
  return end == std::string_view::npos ? std::pair(text, std::string_view{})
                                       : std::pair(text.substr(0, end), trimmed(text.substr(end)));
}

constexpr const char* base_unknown =
    "what was on the disks when the log began is not known; allowed: power-on";

Result<std::filesystem::path> absolute(std::string_view text, std::string_view usage) {
  std::filesystem::path path(text);
  if (!path.is_absolute()) {
    return fail(fmt::format("'{}' is no absolute path; allowed: {}", text, usage));
  }
  return path;
}

Result<std::string> nothing_more(std::string_view rest) {
  if (!rest.empty()) {
    return fail(fmt::format("'{}' is one word too many", rest));
  }
  return std::string{};
}

/// The crash point after everything in `log`.
CrashPoint end_of(const WriteLog& log) {
  return {CutKind::power_cut, log.size(), false};
}

Fate lost(const VolatileWrite& write) {
  Fate fate;
  fate.write = write.entry;
  fate.kind = FateKind::lost;
  return fate;
}

/// Each atomic unit of the write reaches the medium or not, by the toss of a coin.
std::vector<std::uint32_t> drawn_sectors(const VolatileWrite& write, Random& random) {
  std::vector<std::uint32_t> sectors;
  for (std::size_t unit = 0; unit < write.unit_begins.size(); ++unit) {
    const bool last = unit + 1 == write.unit_begins.size();
    const std::uint32_t end = last ? write.sector_count : write.unit_begins[unit + 1];
    if (random.chance(1, 2)) {
      sectors.resize(sectors.size() + end - write.unit_begins[unit]);
      std::iota(
          sectors.end() - (end - write.unit_begins[unit]), sectors.end(), write.unit_begins[unit]);
    }
  }
  return sectors;
}

/// A third of the writes is lost, a third kept, a third torn into its atomic units.
Fate drawn(const VolatileWrite& write, Random& random) {
  constexpr std::uint64_t kinds = 3;
  Fate fate = lost(write);
  const std::uint64_t kind = random.below(kinds);
  if (kind == 1) {
    fate.kind = FateKind::kept;
  } else if (kind == 2) {
    fate.sectors = drawn_sectors(write, random);
    fate.kind = fate.sectors.empty() ? FateKind::lost : FateKind::torn;
  }
  if (fate.sectors.size() == write.sector_count) {
    fate.kind = FateKind::kept;
    fate.sectors.clear();
  }
  return fate;
}

Result<CrashPlan> plan_from(const std::filesystem::path& file) {
  std::ifstream in(file);
  if (!in) {
    return fail(file.string() + ": cannot be read");
  }
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  Result<CrashPlan> plan = parse_plan(text);
  return plan ? plan : fail(file.string() + ": " + plan.error().message);
}

Result<CrashPlan> plan_for(const CrashModel& model, std::string_view how) {
  const auto [kind, rest] = split(how);
  if (kind == "plan") {
    const auto file = absolute(rest, "power-on plan /a/file");
    return file ? plan_from(*file) : fail(file.error().message);
  }
  const Result<std::uint64_t> seed = kind == "random" ? parse_number(rest) : 0;
  if (!seed) {
    return fail(seed.error().message);
  }
  const std::optional<TearShape> shape = find_tear_shape(kind == "torn" ? rest : "");
  const bool known = kind == "random" || (kind == "lost" && rest.empty()) || shape;
  if (!known) {
    return fail(fmt::format(
        "'power-on {}' is not known; allowed: power-on, power-on lost, power-on random SEED, "
        "power-on torn prefix|suffix|hole|first, power-on plan FILE",
        how));
  }
  CrashPlan plan;
  plan.point = end_of(model.log());
  Random random(*seed);
  for (const VolatileWrite& write : model.volatile_writes(plan.point)) {
    const Fate fate = kind == "random" ? drawn(write, random)
                      : shape          ? torn_fate(*shape, write).value_or(lost(write))
                                       : lost(write);
    if (fate.kind != FateKind::kept) {
      plan.fates.push_back(fate);
    }
  }
  return plan;
}

}  // namespace

/// A word of the language.
struct Verb {
  std::string_view name;
  Result<std::string> (Commands::*answer)(std::string_view rest);
};

Commands::Commands(Device& device) : device_(&device), base_(device.snapshot()) {
  if (device.log_size() == 0) {
    base_generation_ = device.generation();
  }
}

std::string Commands::answer(std::string_view line) {
  const std::scoped_lock lock(mutex_);
  const auto [verb, rest] = split(line);
  const Result<std::string> done = carry_out(verb, rest);
  std::string text =
      done ? (done->empty() ? "ok" : "ok " + *done) : "error " + done.error().message;
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

Result<std::string> Commands::carry_out(std::string_view verb, std::string_view rest) {
  static constexpr std::array verbs = {
      Verb{"cut", &Commands::cut},
      Verb{"disarm", &Commands::disarm},
      Verb{"mark", &Commands::mark},
      Verb{"power-on", &Commands::power_on},
      Verb{"swap", &Commands::swap},
      Verb{"reset", &Commands::reset},
      Verb{"snapshot", &Commands::snapshot},
      Verb{"log", &Commands::log},
      Verb{"counters", &Commands::counters},
      Verb{"fault", &Commands::fault},
      Verb{"status", &Commands::status},
  };
  std::string names;
  for (const Verb& known : verbs) {
    if (known.name == verb) {
      return (this->*known.answer)(rest);
    }
    names += (names.empty() ? "" : ", ") + std::string(known.name);
  }
  return fail(fmt::format("'{}' is no command; allowed: {}", verb, names));
}

Result<std::string> Commands::cut(std::string_view rest) {
  const auto [when, what] = split(rest);
  if (when == "now" && what.empty()) {
    device_->cut_now();
    return std::string{};
  }
  if (when == "at-request") {
    const Result<std::uint64_t> number = parse_number(what);
    if (!number || *number == 0) {
      return fail(
          fmt::format("'{}' is no request number; allowed: cut at-request N, N from 1 on", what));
    }
    device_->cut_at_request(*number);
    return std::string{};
  }
  if (when == "at-mark" && !what.empty()) {
    device_->cut_at_mark(std::string(what));
    return std::string{};
  }
  return fail(fmt::format(
      "'cut {}' is not known; allowed: cut now, cut at-request N, cut at-mark TEXT", rest));
}

Result<std::string> Commands::disarm(std::string_view rest) {
  Result<std::string> fine = nothing_more(rest);
  if (fine) {
    device_->disarm();
  }
  return fine;
}

Result<std::string> Commands::mark(std::string_view rest) {
  if (rest.empty()) {
    return fail("a mark without a text; allowed: mark TEXT");
  }
  device_->mark(rest);
  return std::string{};
}

Result<std::string> Commands::snapshot(std::string_view rest) {
  const auto directory = absolute(rest, "snapshot /a/directory");
  if (!directory) {
    return fail(directory.error().message);
  }
  std::error_code error;
  std::filesystem::create_directories(*directory, error);
  if (error) {
    return fail(directory->string() + ": " + error.message());
  }
  const std::vector<Image> disks = device_->snapshot();
  for (std::size_t number = 0; number < disks.size(); ++number) {
    const Status saved = disks[number].save(*directory / (device_->disks()[number].name + ".img"));
    if (!saved) {
      return fail(saved.error().message);
    }
  }
  return fmt::format("{} disks", disks.size());
}

Result<std::string> Commands::swap(std::string_view rest) {
  const auto [word, file_text] = split(rest);
  const std::string_view name = word;
  const auto file = absolute(file_text, "swap DISK /a/file");
  if (!file) {
    return fail(file.error().message);
  }
  const std::optional<std::size_t> number = find_disk(name);
  if (!number) {
    return fail(fmt::format("there is no disk '{}'; see status", name));
  }
  const DiskSpec& spec = device_->disks()[*number];
  Result<Image> image = Image::load(*file);
  if (!image) {
    return fail(image.error().message);
  }
  if (image->size_bytes() != spec.size_bytes) {
    return fail(fmt::format("{} has {} bytes; allowed for {}: {}",
                            file->string(),
                            image->size_bytes(),
                            name,
                            spec.size_bytes));
  }
  std::vector<Image> disks = device_->snapshot();
  disks[*number] = std::move(*image);
  return powered_on(std::move(disks));
}

std::string Commands::powered_on(std::vector<Image> disks) {
  base_ = disks;
  device_->power_on(std::move(disks));
  base_generation_ = device_->generation();
  return fmt::format("generation {}", base_generation_);
}

Result<std::string> Commands::power_on(std::string_view rest) {
  device_->cut_now();  // nothing may slip in between the choice of the state and the power-on
  if (rest.empty()) {
    return powered_on(device_->snapshot());
  }
  if (base_generation_ != device_->generation()) {
    return fail(base_unknown);
  }
  const WriteLog log = device_->log();
  CrashModel model(base_, log, device_->profile());
  const Result<CrashPlan> plan = plan_for(model, rest);
  if (!plan) {
    return fail(plan.error().message);
  }
  const Status legal = model.check(*plan);
  if (!legal) {
    return fail(legal.error().message);
  }
  const std::size_t open = model.volatile_writes(plan->point).size();
  std::vector<Image> disks = model.build(*plan);
  return fmt::format("{}, {} of {} volatile writes not whole",
                     powered_on(std::move(disks)),
                     plan->fates.size(),
                     open);
}

Result<std::string> Commands::reset(std::string_view rest) {
  Result<std::string> fine = nothing_more(rest);
  if (!fine) {
    return fine;
  }
  std::vector<Image> disks;
  for (const DiskSpec& disk : device_->disks()) {
    disks.emplace_back(disk.size_bytes);
  }
  return powered_on(std::move(disks));
}

Result<std::string> Commands::counters(std::string_view rest) {
  Result<std::string> fine = nothing_more(rest);
  if (!fine) {
    return fine;
  }
  const DeviceCounters counted = device_->counters();
  return fmt::format(
      "reads {} read_bytes {} writes {} written_bytes {} fua_writes {} flushes {} discards {} "
      "refused_after_cut {} refused_stale {}",
      counted.reads,
      counted.read_bytes,
      counted.writes,
      counted.written_bytes,
      counted.fua_writes,
      counted.flushes,
      counted.discards,
      counted.refused_after_cut,
      counted.refused_stale);
}

Result<std::string> Commands::fault(std::string_view rest) {
  return fault_command(*device_, rest);
}

Result<std::string> Commands::log(std::string_view rest) {
  const auto [verb, file_text] = split(rest);
  if (verb == "record" || verb == "export") {
    return verb == "record" ? record(file_text) : export_log(file_text);
  }
  if (verb != "save") {
    return fail(fmt::format(
        "'log {}' is not known; allowed: log save FILE, log record DIR, log export DISK FILE",
        rest));
  }
  const auto file = absolute(file_text, "log save /a/file");
  if (!file) {
    return fail(file.error().message);
  }
  const WriteLog log = device_->log();
  const Status saved = log.save(*file);
  if (!saved) {
    return fail(saved.error().message);
  }
  return fmt::format("{} entries", log.size());
}

Result<std::string> Commands::record(std::string_view rest) {
  const auto directory = absolute(rest, "log record /a/directory");
  if (!directory) {
    return fail(directory.error().message);
  }
  if (base_generation_ != device_->generation()) {
    return fail(base_unknown);
  }
  const DiskRecording recording{device_->profile(), device_->disks(), base_, device_->log()};
  const Status saved = save_recording(recording, *directory);
  if (!saved) {
    return fail(saved.error().message);
  }
  return fmt::format("{} entries", recording.log.size());
}

Result<std::string> Commands::export_log(std::string_view rest) {
  const auto [name, file_text] = split(rest);
  const auto file = absolute(file_text, "log export DISK /a/file");
  if (!file) {
    return fail(file.error().message);
  }
  const std::optional<std::size_t> disk = find_disk(name);
  if (!disk) {
    return fail(fmt::format("there is no disk '{}'; see status", name));
  }
  if (base_generation_ != device_->generation()) {
    return fail(base_unknown);
  }
  const Result<std::uint64_t> entries = export_dm_log(
      device_->log(), static_cast<DiskNumber>(*disk), base_[*disk], device_->profile(), *file);
  return entries ? Result<std::string>(fmt::format("{} entries", *entries))
                 : fail(entries.error().message);
}

std::optional<std::size_t> Commands::find_disk(std::string_view name) const {
  const std::vector<DiskSpec>& specs = device_->disks();
  const auto spec = std::find_if(
      specs.begin(), specs.end(), [&](const DiskSpec& disk) { return disk.name == name; });
  return spec == specs.end() ? std::nullopt
                             : std::optional(static_cast<std::size_t>(spec - specs.begin()));
}

Result<std::string> Commands::status(std::string_view rest) {
  Result<std::string> fine = nothing_more(rest);
  if (!fine) {
    return fine;
  }
  std::string text = fmt::format("{} generation {}, log {} entries, {}",
                                 device_->is_cut() ? "cut" : "on",
                                 device_->generation(),
                                 device_->log_size(),
                                 device_->profile().name);
  if (const ArenaState log = device_->log_arena(); log.spilled_bytes > 0 || !log.trouble.empty()) {
    text += fmt::format(" ({} of data in memory, {} on disk as {}{})",
                        size_text(log.memory_bytes),
                        size_text(log.spilled_bytes),
                        size_text(log.file_bytes),
                        log.trouble.empty() ? "" : "; no more is spilled: " + log.trouble);
  }
  for (const DiskSpec& disk : device_->disks()) {
    text += fmt::format(", {} {}", disk.name, size_text(disk.size_bytes));
  }
  return text;
}

}  // namespace faultfs::control
