// The places of the disk where the fates that matter fell, as the cut left them: one column is a
// power of two of bytes, its character the put most of whose body bytes stand there. Adjacent
// writes make one picture with a bar between them.
#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "reports/trace_view.h"

namespace reports {
namespace {

using faultfs::Origin;
using scenarios::Piece;

constexpr std::size_t picture_columns_max = 64;
constexpr std::size_t pictures_max = 4;
constexpr std::uint64_t column_bytes_min = 256;
constexpr std::size_t indent = 9;

/// A range of the disk with borders inside it.
struct Place {
  faultfs::DiskNumber disk = 0;
  std::vector<std::uint64_t> borders;  ///< first: its begin, last: its end
  [[nodiscard]] std::uint64_t size() const { return borders.back() - borders.front(); }
};

struct Extent {
  faultfs::DiskNumber disk = 0;
  std::uint64_t begin = 0, end = 0;
};

/// Where the plan's fates fell; where it has none, the last writes before the cut.
std::vector<Extent> extents(const TraceView& view) {
  std::vector<std::uint32_t> entries;
  for (const faultfs::Fate& fate : view.plan().fates) {
    entries.push_back(fate.write);
  }
  for (std::uint32_t entry = view.cut_entry(); entry > 0 && view.plan().fates.empty(); --entry) {
    if (view.log().entry(entry).kind == faultfs::EntryKind::write && entries.size() < 4) {
      entries.push_back(entry);
    }
  }
  const std::uint64_t sector = view.recording().profile.sector_bytes;
  std::vector<Extent> extents;
  for (const std::uint32_t number : entries) {
    const faultfs::LogEntry& entry = view.log().entry(number);
    const std::uint64_t end = entry.offset_bytes + entry.size_bytes;
    extents.push_back(
        {entry.disk, entry.offset_bytes / sector * sector, (end + sector - 1) / sector * sector});
    const faultfs::Fate* fate = view.fate_of(number);
    if (fate != nullptr && fate->kind == faultfs::FateKind::misdirected) {
      extents.push_back({entry.disk,
                         fate->to_offset_bytes,
                         fate->to_offset_bytes + extents.back().end - extents.back().begin});
    }
  }
  return extents;
}

std::vector<Place> places(const TraceView& view) {
  std::vector<Extent> all = extents(view);
  std::sort(all.begin(), all.end(), [](const Extent& a, const Extent& b) {
    return a.disk != b.disk ? a.disk < b.disk : a.begin < b.begin;
  });
  std::vector<Place> places;
  for (const Extent& extent : all) {
    const bool adjoins = !places.empty() && places.back().disk == extent.disk &&
                         extent.begin <= places.back().borders.back();
    if (!adjoins) {
      places.push_back({extent.disk, {extent.begin, extent.end}});
      continue;
    }
    std::vector<std::uint64_t>& borders = places.back().borders;
    borders.push_back(extent.begin);
    borders.push_back(extent.end);
    std::sort(borders.begin(), borders.end());
    borders.erase(std::unique(borders.begin(), borders.end()), borders.end());
  }
  return places;
}

/// '3' for put#3, 'A' for put#10, '#' beyond put#35.
char digit_of(scenarios::PutNumber put) {
  constexpr std::string_view digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
  return put < digits.size() ? digits[put] : '#';
}

/// Draws the pictures of one crash image.
class Painter {
 public:
  Painter(const TraceView& view, std::uint64_t column_bytes)
      : view_(view), images_(view.model()->build(view.plan())), column_bytes_(column_bytes) {}

  void paint(const Place& place, Page& page) {
    const faultfs::Image& image = images_.at(place.disk);
    const std::uint64_t end = std::min(place.borders.back(), image.size_bytes());
    const std::uint64_t begin = place.borders.front();
    if (begin >= end) {
      return;
    }
    bytes_.resize(end - begin);
    image.read(begin, bytes_);
    pieces_ = scenarios::classify(bytes_);
    origins_ = view_.model()->origins(view_.plan(), place.disk);
    std::string labels(indent, ' ');
    std::string picture(indent, ' ');
    for (std::size_t i = 0; i + 1 < place.borders.size(); ++i) {
      label(place.borders[i], picture.size(), labels);
      picture += '|';
      for (std::uint64_t at = place.borders[i]; at < place.borders[i + 1]; at += column_bytes_) {
        picture += column(begin, at, std::min(at + column_bytes_, place.borders[i + 1]));
      }
    }
    label(place.borders.back(), picture.size(), labels);
    const std::string disk = fmt::format("  disk {:<2}", place.disk + 1);
    labels.replace(0,
                   indent,
                   images_.size() > 1 ? disk
                   : first_           ? "  image  "
                                      : std::string(indent, ' '));
    first_ = false;
    page.line({{labels, Style::faint}});
    drawn_ += picture;
    page.line(picture + '|');
  }

  /// Every character drawn so far.
  [[nodiscard]] const std::string& drawn() const { return drawn_; }

 private:
  /// Writes an offset over its bar, where there is room.
  static void label(std::uint64_t offset, std::size_t column, std::string& labels) {
    const bool room = labels.size() <= column && column + 10 <= page_columns;
    if (room) {
      labels = padded(labels, column) + fmt::format("0x{:08x} ", offset);
    }
  }

  [[nodiscard]] char column(std::uint64_t base, std::uint64_t begin, std::uint64_t end) const {
    const std::uint64_t sector = view_.recording().profile.sector_bytes;
    const Origin& origin = origins_.at(begin / sector);
    if (origin.kind == Origin::Kind::garbage) {
      return 'x';
    }
    if (origin.kind == Origin::Kind::torn) {
      return '~';
    }
    std::uint64_t most = 0;
    char best = '-';
    for (const Piece& piece : pieces_) {
      const std::uint64_t from = std::max(piece.begin + base, begin);
      const std::uint64_t to = std::min(piece.end + base, end);
      const bool body = piece.kind == Piece::Kind::body || piece.kind == Piece::Kind::displaced;
      if (from >= to || piece.kind == Piece::Kind::garbage || (!body && most > 0)) {
        continue;
      }
      const bool more = body && to - from > most;
      most = more ? to - from : most;
      best = more ? digit_of(piece.put) : (body || to - from < end - begin ? best : '.');
    }
    return best;
  }

  const TraceView& view_;
  std::vector<faultfs::Image> images_;
  std::uint64_t column_bytes_;
  faultfs::Bytes bytes_;
  std::vector<Piece> pieces_;
  std::vector<Origin> origins_;
  std::string drawn_;
  bool first_ = true;
};

/// "1 column = 1 KiB · digit = PUT that wrote it · …": only the characters that were drawn.
std::string legend(const std::string& drawn, std::uint64_t column_bytes) {
  std::string text = column_bytes >= 1024 ? fmt::format("1 column = {} KiB", column_bytes / 1024)
                                          : fmt::format("1 column = {} bytes", column_bytes);
  text += " · digit = PUT that wrote it";
  const auto explain = [&](std::string_view characters, std::string_view words) {
    if (drawn.find_first_of(characters) != std::string::npos) {
      text += fmt::format(" · {}", words);
    }
  };
  explain("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "A = 10");
  explain("#", "# above 35");
  explain(".", ". never written");
  explain("x", "x garbage");
  explain("~", "~ torn");
  explain("-", "- no body");
  return text;
}

std::uint64_t column_bytes_for(const std::vector<Place>& places) {
  std::uint64_t column = column_bytes_min;
  const auto fits = [&column](const Place& place) {
    return place.size() / column + place.borders.size() <= picture_columns_max + 2;
  };
  while (!std::all_of(places.begin(), places.end(), fits) && column < (1ULL << 40U)) {
    column *= 2;
  }
  return column;
}

}  // namespace

void write_image(const TraceView& view, Page& page) {
  if (view.model() == nullptr) {
    return;
  }
  std::vector<Place> all = places(view);
  if (all.empty()) {
    return;
  }
  const std::size_t more = all.size() > pictures_max ? all.size() - pictures_max : 0;
  all.resize(all.size() - more);
  const std::uint64_t column = column_bytes_for(all);
  Painter painter(view, column);
  page.blank();
  for (const Place& place : all) {
    painter.paint(place, page);
  }
  if (more > 0) {
    page.line(fmt::format("         … and {}", counted(more, "place", "places")), Style::faint);
  }
  for (const std::string& line : wrapped(legend(painter.drawn(), column), page_columns - indent)) {
    page.line(std::string(indent, ' ') + line, Style::faint);
  }
}

}  // namespace reports
