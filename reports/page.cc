#include "reports/page.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/format.h>

namespace reports {
namespace {

constexpr std::size_t label_columns = 11;  // after two blanks

bool begins_character(char byte) {
  return (static_cast<unsigned char>(byte) & 0xC0U) != 0x80U;
}

/// Bytes of the first `columns` characters of `text`.
std::size_t bytes_of(std::string_view text, std::size_t columns) {
  std::size_t at = 0;
  for (std::size_t seen = 0; at < text.size(); ++at) {
    if (begins_character(text[at]) && seen++ == columns) {
      break;
    }
  }
  return at;
}

std::string_view escape_of(Style style) {
  switch (style) {
    case Style::plain:
      return "";
    case Style::strong:
      return "\x1b[1m";
    case Style::good:
      return "\x1b[32m";
    case Style::bad:
      return "\x1b[1;31m";
    case Style::doubtful:
      return "\x1b[33m";
    case Style::faint:
      return "\x1b[2m";
  }
  return "";
}

void drop_trailing_blanks(std::vector<Span>& spans) {
  while (!spans.empty()) {
    std::string& text = spans.back().text;
    text.erase(text.find_last_not_of(' ') + 1);
    if (!text.empty()) {
      return;
    }
    spans.pop_back();
  }
}

}  // namespace

std::size_t columns_of(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), begins_character));
}

std::string cut_to(std::string_view text, std::size_t columns) {
  if (columns_of(text) <= columns) {
    return std::string(text);
  }
  return columns == 0 ? "" : std::string(text.substr(0, bytes_of(text, columns - 1))) + "…";
}

std::string padded(std::string text, std::size_t columns) {
  const std::size_t now = columns_of(text);
  text.append(now < columns ? columns - now : 0, ' ');
  return text;
}

std::vector<std::string> wrapped(std::string_view text, std::size_t columns) {
  std::vector<std::string> lines;
  while (columns_of(text) > columns) {
    const std::size_t limit = bytes_of(text, columns);
    const std::size_t blank = text.rfind(' ', limit);
    const bool at_blank = blank != std::string_view::npos && blank > 0;
    lines.emplace_back(text.substr(0, at_blank ? blank : limit));
    text.remove_prefix(at_blank ? blank + 1 : limit);
  }
  if (!text.empty() || lines.empty()) {
    lines.emplace_back(text);
  }
  return lines;
}

std::string grouped(std::uint64_t number) {
  std::string text = std::to_string(number);
  for (std::size_t at = text.size(); at > 3;) {
    at -= 3;
    text.insert(at, 1, ',');
  }
  return text;
}

std::string counted(std::uint64_t number, std::string_view one, std::string_view many) {
  return fmt::format("{} {}", grouped(number), number == 1 ? one : many);
}

std::string duration_text(double seconds) {
  if (seconds < 10) {
    return fmt::format("{:.1f} s", seconds);
  }
  const auto whole = static_cast<std::uint64_t>(std::llround(seconds));
  if (whole < 120) {
    return fmt::format("{} s", whole);
  }
  return whole < 7200 ? fmt::format("{} min {:02} s", whole / 60, whole % 60)
                      : fmt::format("{} h {:02} min", whole / 3600, whole / 60 % 60);
}

void Page::line(std::vector<Span> spans) {
  std::size_t left = page_columns;
  for (Span& span : spans) {
    span.text = cut_to(span.text, left);
    left -= columns_of(span.text);
  }
  drop_trailing_blanks(spans);
  lines_.push_back(std::move(spans));
}

void Page::line(std::string text, Style style) {
  line(std::vector<Span>{{std::move(text), style}});
}

void Page::entry(std::string_view label, std::string_view text, Style style) {
  std::string head = padded(fmt::format("  {}", label), label_columns + 2);
  for (std::string& part : wrapped(text, page_columns - head.size())) {
    line({{head, Style::faint}, {std::move(part), style}});
    head.assign(head.size(), ' ');
  }
}

std::string Page::text(bool color) const {
  std::string text;
  for (const std::vector<Span>& spans : lines_) {
    for (const Span& span : spans) {
      const bool styled = color && span.style != Style::plain;
      text += styled ? std::string(escape_of(span.style)) + span.text + "\x1b[0m" : span.text;
    }
    text += '\n';
  }
  return text;
}

}  // namespace reports
