#include "faultfs/plan.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include <fmt/format.h>

#include "faultfs/base/bytes.h"
#include "faultfs/write_log.h"

namespace faultfs {

namespace {

/// Sector numbers in a plan end here (a write of 512 MiB in sectors of 512 bytes), so that a range
/// in a text cannot ask for more memory than the machine has.
constexpr std::uint32_t sectors_max = 1U << 20;

constexpr std::string_view allowed_fates =
    "kept, lost, torn sectors 0-3,6, torn sectors 0-1 then 256 bytes, garbled sectors 2, "
    "misdirected to 0x8000";

/// What is wrong with a line, and what is allowed there.
tl::unexpected<Error> refuse(std::string_view line, std::string_view wrong) {
  return fail(fmt::format("plan line \"{}\": {}", line, wrong));
}

bool is_entry_word(std::string_view word) {
  return word.size() > 1 && word[0] == 'w' &&
         word.find_first_not_of("0123456789", 1) == std::string_view::npos;
}

/// The number of digits `text`; false when it is none or 2^32 and more.
bool read_number(std::string_view text, std::uint32_t& value) {
  const char* end = text.data() + text.size();
  auto [stop, trouble] = std::from_chars(text.data(), end, value);
  return trouble == std::errc() && stop == end && !text.empty();
}

bool read_entry(std::string_view word, std::uint32_t& entry) {
  return is_entry_word(word) && read_number(word.substr(1), entry);
}

std::string sectors_text(const std::vector<std::uint32_t>& sectors) {
  std::string text;
  for (std::size_t i = 0; i < sectors.size();) {
    std::size_t last = i;
    while (last + 1 < sectors.size() && sectors[last + 1] == sectors[last] + 1) {
      ++last;
    }
    text += fmt::format("{}{}", i == 0 ? "" : ",", sectors[i]);
    if (last > i) {
      text += fmt::format("-{}", sectors[last]);
    }
    i = last + 1;
  }
  return text.empty() ? "none" : text;
}

/// Adds the sectors of "3" or "0-3"; false when the text is neither, or not above the ones before.
bool read_range(std::string_view text, std::vector<std::uint32_t>& sectors) {
  std::size_t dash = text.find('-');
  std::uint32_t first = 0;
  std::uint32_t last = 0;
  if (!read_number(text.substr(0, dash), first)) {
    return false;
  }
  last = first;
  if (dash != std::string_view::npos && !read_number(text.substr(dash + 1), last)) {
    return false;
  }
  bool ascending = sectors.empty() || first > sectors.back();
  if (!ascending || last < first || last >= sectors_max) {
    return false;
  }
  for (std::uint32_t sector = first; sector <= last; ++sector) {
    sectors.push_back(sector);
  }
  return true;
}

bool read_sectors(std::string_view text, std::vector<std::uint32_t>& sectors) {
  if (text == "none") {
    return true;
  }
  while (true) {
    std::size_t comma = text.find(',');
    if (!read_range(text.substr(0, comma), sectors)) {
      return false;
    }
    if (comma == std::string_view::npos) {
      return true;
    }
    text.remove_prefix(comma + 1);
  }
}

Status parse_cut(std::string_view line,
                 const std::vector<std::string_view>& found,
                 CrashPoint& point) {
  bool placed = found.size() == 3 && (found[1] == "after" || found[1] == "inside");
  if (!placed || !read_entry(found[2], point.entry)) {
    return refuse(
        line,
        fmt::format("not a crash point; allowed: {0} after w0118, {0} inside w0118", found[0]));
  }
  point.kind = found[0] == "kill" ? CutKind::kill : CutKind::power_cut;
  point.inside = found[1] == "inside";
  return {};
}

Status parse_sectors(std::string_view line,
                     const std::vector<std::string_view>& found,
                     Fate& fate) {
  if (found.size() < 4 || found[2] != "sectors" || !read_sectors(found[3], fate.sectors)) {
    return refuse(line,
                  fmt::format("\"{}\" needs its sectors, ascending and below {}; allowed: "
                              "{} sectors 0-3,6 or sectors none",
                              found[1],
                              sectors_max,
                              found[1]));
  }
  if (found.size() == 4) {
    return {};
  }
  bool tears = fate.kind == FateKind::torn && found.size() == 7 && found[4] == "then" &&
               found[6] == "bytes" && read_number(found[5], fate.tear_bytes);
  if (!tears || fate.tear_bytes == 0) {
    return refuse(line,
                  fmt::format("\"{}\" is not allowed after the sectors; allowed: nothing, or, of a "
                              "torn write, then 256 bytes (at least 1)",
                              found[4]));
  }
  return {};
}

Status parse_target(std::string_view line, const std::vector<std::string_view>& found, Fate& fate) {
  bool worded = found.size() == 4 && found[2] == "to";
  Result<std::uint64_t> offset = worded ? parse_number(found[3]) : Result<std::uint64_t>(0);
  if (!worded || !offset) {
    return refuse(line, "\"misdirected\" needs its target; allowed: misdirected to 0x8000");
  }
  fate.to_offset_bytes = *offset;
  return {};
}

Status parse_fate(std::string_view line, const std::vector<std::string_view>& found, Fate& fate) {
  if (!read_entry(found[0], fate.write) || fate.write == 0) {
    return refuse(line,
                  fmt::format("\"{}\" is not a write; allowed: w0001 to w4294967295", found[0]));
  }
  std::string_view word = found.size() > 1 ? found[1] : "";
  if (found.size() == 2 && (word == "kept" || word == "lost")) {
    fate.kind = word == "kept" ? FateKind::kept : FateKind::lost;
    return {};
  }
  if (word == "torn" || word == "garbled") {
    fate.kind = word == "torn" ? FateKind::torn : FateKind::garbled;
    return parse_sectors(line, found, fate);
  }
  if (word == "misdirected") {
    fate.kind = FateKind::misdirected;
    return parse_target(line, found, fate);
  }
  return refuse(line, fmt::format("that is no fate of a write; allowed: {}", allowed_fates));
}

std::string fate_text(const Fate& fate) {
  switch (fate.kind) {
    case FateKind::kept:
      return "kept";
    case FateKind::lost:
      return "lost";
    case FateKind::torn:
      return fate.tear_bytes == 0 ? fmt::format("torn sectors {}", sectors_text(fate.sectors))
                                  : fmt::format("torn sectors {} then {} bytes",
                                                sectors_text(fate.sectors),
                                                fate.tear_bytes);
    case FateKind::garbled:
      return fmt::format("garbled sectors {}", sectors_text(fate.sectors));
    case FateKind::misdirected:
      return fmt::format("misdirected to 0x{:x}", fate.to_offset_bytes);
  }
  return "";
}

constexpr std::string_view again_word = "again";

bool is_cut_word(std::string_view word) {
  return word == "cut" || word == "kill";
}

Status parse_again(std::string_view line,
                   const std::vector<std::string_view>& found,
                   CrashPlan& plan) {
  if (found.size() < 2 || !is_cut_word(found[1])) {
    return refuse(line, "\"again\" needs a crash point; allowed: again cut after w0003");
  }
  if (plan.again.size() == cuts_again_max) {
    return refuse(line, fmt::format("allowed are {} cuts inside recoveries", cuts_again_max));
  }
  Cut cut;
  Status read = parse_cut(line, {found.begin() + 1, found.end()}, cut.point);
  if (read) {
    plan.again.push_back(std::move(cut));
  }
  return read;
}

}  // namespace

std::string to_text(const CrashPoint& point) {
  return fmt::format("{} {} {}",
                     point.kind == CutKind::kill ? "kill" : "cut",
                     point.inside ? "inside" : "after",
                     entry_name(point.entry));
}

std::string to_text(const Fate& fate) {
  return fmt::format("{:<9} {}", entry_name(fate.write), fate_text(fate));
}

std::string to_text(const CrashPlan& plan) {
  std::string text = fmt::format("{:<9} {} {}\n",
                                 plan.point.kind == CutKind::kill ? "kill" : "cut",
                                 plan.point.inside ? "inside" : "after",
                                 entry_name(plan.point.entry));
  for (const Fate& fate : plan.fates) {
    text += to_text(fate) + "\n";
  }
  for (const Cut& cut : plan.again) {
    text += fmt::format("{:<9} {}\n", again_word, to_text(cut.point));
    for (const Fate& fate : cut.fates) {
      text += to_text(fate) + "\n";
    }
  }
  return text;
}

CrashPlan CrashPlan::alone(std::size_t at) const {
  return at == 0 ? CrashPlan{point, fates} : CrashPlan{again[at - 1].point, again[at - 1].fates};
}

CrashPlan CrashPlan::first_cuts(std::size_t count) const {
  CrashPlan first = *this;
  first.again.resize(std::min(again.size(), count - 1));
  return first;
}

bool is_plan_line(std::string_view line) {
  std::vector<std::string_view> found = words(line);
  return !found.empty() &&
         (is_cut_word(found[0]) || found[0] == again_word || is_entry_word(found[0]));
}

Status parse_plan_line(std::string_view line, CrashPlan& plan) {
  std::vector<std::string_view> found = words(line);
  if (!is_plan_line(line)) {
    return refuse(line,
                  "a line of a plan begins with cut, kill, again or a write; allowed: w0118 lost");
  }
  if (found[0] == again_word) {
    return parse_again(line, found, plan);
  }
  if (is_cut_word(found[0])) {
    return parse_cut(line, found, plan.point);
  }
  Fate fate;
  Status read = parse_fate(line, found, fate);
  if (!read) {
    return read;
  }
  std::vector<Fate>& fates = plan.fates_of(plan.again.size());
  auto place = std::lower_bound(
      fates.begin(), fates.end(), fate.write, [](const Fate& other, std::uint32_t write) {
        return other.write < write;
      });
  if (place != fates.end() && place->write == fate.write) {
    return refuse(line,
                  fmt::format("{} has a fate already; allowed: one line for each write",
                              entry_name(fate.write)));
  }
  fates.insert(place, std::move(fate));
  return {};
}

Result<CrashPlan> parse_plan(std::string_view text) {
  CrashPlan plan;
  bool has_cut = false;
  while (!text.empty()) {
    std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    std::vector<std::string_view> found = words(line);
    if (found.empty()) {
      continue;
    }
    if (is_cut_word(found[0]) && has_cut) {
      return refuse(line, "the plan has its crash point already; allowed: one cut or kill line");
    }
    has_cut = has_cut || is_cut_word(found[0]);
    Status read = parse_plan_line(line, plan);
    if (!read) {
      return tl::unexpected<Error>(read.error());
    }
  }
  if (!has_cut) {
    return fail("the plan has no crash point; it needs one line such as: cut after w0118");
  }
  return plan;
}

}  // namespace faultfs
