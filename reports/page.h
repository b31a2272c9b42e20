#pragma once

#include <cstddef>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace reports {

/// No line of a report is wider.
constexpr std::size_t page_columns = 96;

enum class Style { plain, strong, good, bad, doubtful, faint };

/// A run of text in one style.
struct Span {
  std::string text;
  Style style = Style::plain;
};

/// Lines of text, written once and shown with colour or without: the bytes differ only by escape
/// sequences. Lines wider than the page are cut with "…"; trailing blanks are dropped.
class Page {
 public:
  void line(std::vector<Span> spans);
  void line(std::string text, Style style = Style::plain);
  void blank() { lines_.emplace_back(); }
  /// "  label      text", wrapped under the text.
  void entry(std::string_view label, std::string_view text, Style style = Style::plain);

  /// Every line ends with a newline.
  [[nodiscard]] std::string text(bool color) const;

 private:
  std::vector<std::vector<Span>> lines_;
};

/// Columns `text` takes on a terminal: its UTF-8 characters (none of ours is wide).
[[nodiscard]] std::size_t columns_of(std::string_view text);

/// The first `columns` columns of `text`; the last one is "…" where something was cut.
[[nodiscard]] std::string cut_to(std::string_view text, std::size_t columns);

/// `text` with blanks up to `columns`.
[[nodiscard]] std::string padded(std::string text, std::size_t columns);

/// `text` in lines of at most `columns`, broken at blanks; a word that is wider is broken anywhere.
[[nodiscard]] std::vector<std::string> wrapped(std::string_view text, std::size_t columns);

/// "12,480".
[[nodiscard]] std::string grouped(std::uint64_t number);

/// "1 state", "2 states".
[[nodiscard]] std::string counted(std::uint64_t number,
                                  std::string_view one,
                                  std::string_view many);

/// "41 s", "3 min 20 s", "1 h 02 min"; below ten seconds "4.2 s".
[[nodiscard]] std::string duration_text(double seconds);

}  // namespace reports
