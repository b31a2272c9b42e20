// A change as the text of a mark, so that a log of a tree is a log like any other and can be read
// by everything that reads logs:
//
//     tree: create 7 in 1 log.txt mode 644       tree: unlink 7 in 1 other
//     tree: mkdir 8 in 1 sub mode 755            tree: rmdir 8 in 1 sub
//     tree: symlink 9 in 1 here to there         tree: rename 7 in 1 a to 8 b over 5
//     tree: link 7 in 8 other                    tree: length 7 4096
//     tree: sync 1                               tree: data 7 disk 0
//
// Numbers are objects, 1 is the root. In names, blanks, control characters and % are written %20;
// an empty target of a symbolic link cannot be.

#include "faultfs/tree/change.h"

#include <array>
#include <charconv>
#include <vector>

#include <fmt/format.h>

namespace faultfs::tree {
namespace {

constexpr std::array<std::string_view, 10> kind_names = {
    "create", "mkdir", "symlink", "link", "unlink", "rmdir", "rename", "length", "sync", "data"};

std::string escaped(std::string_view name) {
  std::string text;
  for (const char letter : name) {
    const auto byte = static_cast<unsigned char>(letter);
    const bool plain = byte > ' ' && byte != 0x7f && letter != '%';
    text += plain ? std::string(1, letter) : fmt::format("%{:02x}", byte);
  }
  return text;
}

/// Takes words off a line, and remembers whether all were as they should be.
class Reader {
 public:
  explicit Reader(std::string_view line) : rest_(line) {}

  std::string_view word() {
    const std::size_t end = std::min(rest_.find(' '), rest_.size());
    const std::string_view found = rest_.substr(0, end);
    rest_.remove_prefix(std::min(end + 1, rest_.size()));
    good_ = good_ && !found.empty();
    return found;
  }
  void expect(std::string_view wanted) { good_ = word() == wanted && good_; }
  template <typename Number>
  Number number(int base = 10) {
    const std::string_view text = word();
    Number value = 0;
    const auto [stop, trouble] =
        std::from_chars(text.data(), text.data() + text.size(), value, base);
    good_ = good_ && trouble == std::errc() && stop == text.data() + text.size();
    return value;
  }
  std::string name() {
    const std::string_view text = word();
    std::string found;
    for (std::size_t at = 0; at < text.size(); ++at) {
      unsigned value = 0;
      if (text[at] != '%') {
        found += text[at];
        continue;
      }
      const char* begin = text.data() + at + 1;
      const bool whole = at + 2 < text.size();
      good_ = good_ && whole && std::from_chars(begin, begin + 2, value, 16).ptr == begin + 2;
      found += static_cast<char>(value);
      at += 2;
    }
    return found;
  }
  [[nodiscard]] bool more() const { return !rest_.empty(); }
  [[nodiscard]] bool good() const { return good_; }

 private:
  std::string_view rest_;
  bool good_ = true;
};

void read_place(Reader& reader, Change& change) {
  reader.expect("in");
  change.directory = reader.number<ObjectNumber>();
  change.name = reader.name();
}

void read_rest(Reader& reader, Change& change) {
  change.object = reader.number<ObjectNumber>();
  if (change.renames()) {
    read_place(reader, change);
  }
  switch (change.kind) {
    case ChangeKind::create:
    case ChangeKind::mkdir:
      reader.expect("mode");
      change.mode = reader.number<std::uint32_t>(8);
      break;
    case ChangeKind::symlink:
      reader.expect("to");
      change.target = reader.name();
      break;
    case ChangeKind::rename:
      reader.expect("to");
      change.to_directory = reader.number<ObjectNumber>();
      change.to_name = reader.name();
      if (reader.more()) {
        reader.expect("over");
        change.replaced = reader.number<ObjectNumber>();
      }
      break;
    case ChangeKind::length:
      change.length_bytes = reader.number<std::uint64_t>();
      break;
    case ChangeKind::data:
      reader.expect("disk");
      change.disk = reader.number<DiskNumber>();
      break;
    default:
      break;
  }
}

}  // namespace

std::string to_text(const Change& change) {
  std::string text = fmt::format(
      "{}{} {}", change_prefix, kind_names[static_cast<std::size_t>(change.kind)], change.object);
  if (change.renames()) {
    text += fmt::format(" in {} {}", change.directory, escaped(change.name));
  }
  switch (change.kind) {
    case ChangeKind::create:
    case ChangeKind::mkdir:
      return text + fmt::format(" mode {:o}", change.mode);
    case ChangeKind::symlink:
      return text + fmt::format(" to {}", escaped(change.target));
    case ChangeKind::rename:
      text += fmt::format(" to {} {}", change.to_directory, escaped(change.to_name));
      return change.replaced == 0 ? text : text + fmt::format(" over {}", change.replaced);
    case ChangeKind::length:
      return text + fmt::format(" {}", change.length_bytes);
    case ChangeKind::data:
      return text + fmt::format(" disk {}", change.disk);
    default:
      return text;
  }
}

Result<Change> parse_change(std::string_view text) {
  Change change;
  bool known = text.starts_with(change_prefix);
  Reader reader(known ? text.substr(change_prefix.size()) : text);
  const std::string_view kind = reader.word();
  const auto* const place = std::find(kind_names.begin(), kind_names.end(), kind);
  known = known && place != kind_names.end();
  if (known) {
    change.kind = static_cast<ChangeKind>(place - kind_names.begin());
    read_rest(reader, change);
  }
  if (!known || !reader.good() || reader.more()) {
    return fail(
        fmt::format("\"{}\" is no change of a tree; an example of one: {}rename 7 in 1 a to 1 b",
                    text,
                    change_prefix));
  }
  return change;
}

}  // namespace faultfs::tree
