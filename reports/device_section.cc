// What the device was asked since the last flush before the cut, and what became of each write. The
// marks in the log say which operation a write belongs to, the bytes themselves whose body they
// hold. Fates that the plan names are starred. The last 30 lines are shown, and every starred one
// before.
#include <algorithm>
#include <string_view>

#include <fmt/format.h>

#include "reports/trace_view.h"

namespace reports {
namespace {

using faultfs::EntryKind;
using faultfs::LogEntry;
using scenarios::Piece;

constexpr std::size_t lines_max = 30;
constexpr std::size_t fate_column = 60;

std::string_view text_of(faultfs::ByteView bytes) {
  const void* begin = bytes.data();
  return {static_cast<const char*>(begin), bytes.size()};
}

/// A range of the body of one put, as found in the bytes of a write.
struct BodyPart {
  scenarios::Key key = 0;
  scenarios::PutNumber put = 0;
  std::uint64_t begin = UINT64_MAX, end = 0;  // begin > end: not found in that body
};

/// Widens `part` by what the bytes of `piece` are of its body.
void widen(BodyPart& part, const Piece& piece, faultfs::ByteView data, std::uint64_t body_bytes) {
  const faultfs::Bytes body = scenarios::make_body(piece.key, piece.put, body_bytes);
  const std::uint64_t size = piece.end - piece.begin;
  const std::size_t at = text_of(body).find(text_of(data.subspan(piece.begin, size)));
  if (at != std::string_view::npos) {
    part.begin = std::min<std::uint64_t>(part.begin, at);
    part.end = std::max<std::uint64_t>(part.end, at + size);
  }
}

/// "k7 put#5 [0, 32K)".
std::string part_text(const BodyPart& part) {
  const std::string name = fmt::format("{} put#{}", scenarios::key_name(part.key), part.put);
  return part.begin < part.end ? fmt::format("{} [{}, {})",
                                             name,
                                             faultfs::size_text(part.begin),
                                             faultfs::size_text(part.end))
                               : name;
}

/// What the writes and flushes of a log are for, told in order.
class Purpose {
 public:
  explicit Purpose(const scenarios::Recording& recording) : recording_(recording) {}

  /// To be called for every entry, in order: takes note of marks.
  void pass(std::uint32_t entry) {
    const std::string_view mark = recording_.log.mark_text(entry);
    if (mark.empty()) {
      return;
    }
    if (mark.ends_with(" begin")) {
      doing_ = mark.substr(0, mark.size() - 6);
    } else if (mark.starts_with("start ")) {
      doing_ = "recovery";
    } else if (mark == "stop") {
      doing_ = "clean stop";
    } else {
      doing_ = {};
    }
  }

  /// "k7 put#5 [0, 32K)", "purge#4 k7", "recovery".
  [[nodiscard]] std::string text(std::uint32_t entry) const {
    std::string bytes;
    for (const BodyPart& part : parts(recording_.log.data(entry))) {
      bytes += (bytes.empty() ? "" : ", ") + part_text(part);
    }
    const std::string doing(doing_);
    if (bytes.empty()) {
      return doing;
    }
    const bool own = doing.empty() || doing.starts_with("put#");
    return own ? bytes : fmt::format("{}: {}", doing, bytes);
  }

 private:
  [[nodiscard]] std::vector<BodyPart> parts(faultfs::ByteView data) const {
    std::vector<BodyPart> parts;
    for (const Piece& piece : scenarios::classify(data)) {
      if (piece.kind != Piece::Kind::body && piece.kind != Piece::Kind::displaced) {
        continue;
      }
      auto part = std::find_if(parts.begin(), parts.end(), [&piece](const BodyPart& known) {
        return known.key == piece.key && known.put == piece.put;
      });
      if (part == parts.end()) {
        part = parts.insert(parts.end(), BodyPart{piece.key, piece.put});
      }
      widen(*part, piece, data, body_bytes(piece.put));
    }
    return parts;
  }

  [[nodiscard]] std::uint64_t body_bytes(scenarios::PutNumber number) const {
    for (const scenarios::Operation& operation : recording_.history.operations) {
      if (operation.number == number) {
        return operation.body_bytes;
      }
    }
    return 0;
  }

  const scenarios::Recording& recording_;
  std::string_view doing_;
};

struct Row {
  std::string text;
  std::string note;  ///< what it is in the cache's own format; empty: not known
  std::string fate;
  bool starred = false;
};

class Rows {
 public:
  explicit Rows(const TraceView& view)
      : view_(view), purpose_(view.recording()), inside_(view.plan().point.inside) {
    if (view.model() != nullptr) {
      volatile_ = view.model()->volatile_writes(view.plan().point);
    }
  }

  /// The entry shown first: the last flush before the cut, or what is volatile from before it.
  [[nodiscard]] std::uint32_t first() const {
    std::uint32_t first = 1;
    for (std::uint32_t entry = 1; entry <= view_.cut_entry(); ++entry) {
      const bool over = entry < view_.cut_entry() || !inside_;
      first = over && view_.log().entry(entry).kind == EntryKind::flush ? entry : first;
    }
    for (const faultfs::VolatileWrite& write : volatile_) {
      first = std::min(first, write.entry);
    }
    for (const faultfs::Fate& fate : view_.plan().fates) {
      first = std::min(first, fate.write);
    }
    return first;
  }

  [[nodiscard]] std::vector<Row> rows() {
    std::vector<Row> rows;
    const std::uint32_t begin = first();
    for (std::uint32_t entry = 1; entry <= view_.cut_entry(); ++entry) {
      purpose_.pass(entry);
      if (entry >= begin && view_.log().entry(entry).kind != EntryKind::mark) {
        rows.push_back(row(entry, entry == begin));
      }
    }
    return rows;
  }

 private:
  [[nodiscard]] Row row(std::uint32_t number, bool is_first) const {
    const LogEntry& entry = view_.log().entry(number);
    const std::string name = faultfs::entry_name(number);
    if (entry.kind == EntryKind::flush) {
      const std::string of = several_disks() ? fmt::format(" of disk {}", entry.disk + 1) : "";
      return {fmt::format("    {}  FLUSH{}", name, of), "", flush_text(number, is_first), false};
    }
    std::string what = entry.kind == EntryKind::discard ? "discard" : purpose_.text(number);
    what += entry.fua ? (what.empty() ? "FUA" : ", FUA") : "";
    const bool starred = view_.fate_of(number) != nullptr;
    const std::string on = several_disks() ? fmt::format("disk {}  ", entry.disk + 1) : "";
    return {fmt::format("    {}  {}0x{:08x} {:>6}  {}",
                        name,
                        on,
                        entry.offset_bytes,
                        faultfs::size_text(entry.size_bytes),
                        what),
            note(number),
            write_fate(number),
            starred};
  }

  /// A flush is one of its disk alone.
  [[nodiscard]] bool several_disks() const { return view_.recording().base.size() > 1; }

  [[nodiscard]] std::string note(std::uint32_t number) const {
    const std::vector<std::string>& notes = view_.failure().write_notes;
    return number <= notes.size() ? notes[number - 1] : std::string();
  }

  [[nodiscard]] std::string flush_text(std::uint32_t number, bool is_first) const {
    if (inside_ && number == view_.cut_entry()) {
      return "in flight";
    }
    const faultfs::DeviceProfile& profile = view_.recording().profile;
    if (!profile.flush_honoured) {
      return "acknowledged, and does nothing";
    }
    if (!is_first) {
      return "";
    }
    return several_disks() ? "everything above on it is durable" : "everything above is durable";
  }

  [[nodiscard]] std::string write_fate(std::uint32_t number) const {
    if (const faultfs::Fate* fate = view_.fate_of(number)) {
      return fate_text(*fate);
    }
    const auto open = std::find_if(volatile_.begin(), volatile_.end(), [number](const auto& write) {
      return write.entry == number;
    });
    if (view_.model() == nullptr) {
      return "";
    }
    if (open == volatile_.end()) {
      return view_.plan().point.kind == faultfs::CutKind::kill ? "kept" : "durable";
    }
    return open->in_flight ? "kept, in flight" : "kept";
  }

  const TraceView& view_;
  Purpose purpose_;
  bool inside_;
  std::vector<faultfs::VolatileWrite> volatile_;
};

void write_row(const Row& row, Page& page) {
  const std::string star = row.starred ? "*" : "";
  const std::size_t room = page_columns - fate_column - 2;
  const std::string left = padded(cut_to(row.text, fate_column - 2), fate_column);
  const std::string fate = padded(cut_to(row.fate, room), row.starred ? 7 : 0);
  page.line({{left, row.starred ? Style::strong : Style::plain},
             {fate, row.starred ? Style::bad : Style::plain},
             {row.starred ? " " + star : "", Style::bad}});
  if (!row.note.empty()) {
    page.line("           " + row.note, Style::faint);
  }
}

}  // namespace

std::string write_text(const TraceView& view, std::uint32_t entry) {
  std::string text = faultfs::entry_name(entry);
  if (entry == 0 || entry > view.log().size()) {
    return text;
  }
  Purpose purpose(view.recording());
  for (std::uint32_t passed = 1; passed <= entry; ++passed) {
    purpose.pass(passed);
  }
  const std::string what = purpose.text(entry);
  return what.empty() ? text : fmt::format("{} ({})", text, what);
}

void write_device(const TraceView& view, Page& page) {
  Rows shown(view);
  const std::uint32_t begin = shown.first();
  const std::vector<Row> rows = shown.rows();
  if (rows.empty()) {
    return;
  }
  const bool from_flush =
      begin <= view.log().size() && begin > 0 && view.log().entry(begin).kind == EntryKind::flush;
  page.blank();
  const std::string heading = from_flush ? "  device, from the last flush" : "  device";
  page.line({{padded(heading, fate_column), Style::strong}, {"fate", Style::strong}});
  std::size_t skipped = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (!rows[i].starred && i + lines_max < rows.size()) {
      ++skipped;
      continue;
    }
    if (skipped > 0) {
      page.line(fmt::format("    … {}", counted(skipped, "request", "requests")), Style::faint);
      skipped = 0;
    }
    write_row(rows[i], page);
  }
}

}  // namespace reports
