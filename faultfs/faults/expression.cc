// The language of faults. One line: the fault's name, then words in any order.
//
//   lying-flush                              every flush is acknowledged and ignored
//   eio read disk=disk0 at=1M+64K nth=3      the third read of disk0 that touches those 64 KiB
//   fails rot-on-write chance=1/100 seed=7 times=3 of a hundred writes one, drawn from 7, at most
//   three phantom-write mark=put#5                 the first write after a mark that contains
//   "put#5", and
//                                            all that follow
//   hold write mark=put#5 nth=1              only the first
//
//   read write flush discard   which kinds of request; not given: all that the fault can act on. Of
//   a
//                              tree (faultfs/tree/tree_faults.cc) also create, rename, unlink,
//                              truncate and sync-directory; flush is fsync of a file
//   disk=NAME                  requests to this disk; of a tree file=NAME, a path or its last part
//   at=OFFSET+SIZE             requests that touch one of these bytes (no flush does)
//   mark=TEXT                  matches are counted only after a mark that contains TEXT
//   nth=N                      fires at the N-th match, and, unless `every` or `times` is given, at
//                              no other
//   every=N                    … and then at each N-th one
//   times=N                    at most so often; times=always: without limit
//   chance=A/B                 at those, A times of B; the draw hangs on the seed and the number of
//                              the match, on nothing else
//   seed=N                     of `chance`, and of what the fault itself draws
//   NAME=VALUE                 the fault's own: `powercut ctl fault help` lists them
//
// A word holds no blank: a mark with one is named by a part of it, a disk with one cannot be named.

#include "faultfs/faults/expression.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "faultfs/base/bytes.h"
#include "faultfs/base/check.h"
#include "faultfs/faults/catalogue.h"

namespace faultfs::faults {

namespace {

constexpr std::array all_kinds = {RequestKind::read,
                                  RequestKind::write,
                                  RequestKind::flush,
                                  RequestKind::discard,
                                  RequestKind::create,
                                  RequestKind::rename,
                                  RequestKind::unlink,
                                  RequestKind::truncate,
                                  RequestKind::sync_directory};

/// What was said, beside what it makes of the expression.
struct Said {
  Expression expression;
  std::vector<std::string> names;  ///< of the words NAME=VALUE so far
};

std::string kind_names(const std::vector<RequestKind>& kinds) {
  std::string names;
  for (RequestKind kind : kinds) {
    names += (names.empty() ? "" : ", ") + std::string(kind_name(kind));
  }
  return names;
}

std::string allowed_names(const FaultKind& fault) {
  std::string names = std::string(fault.place) + ", at, mark, nth, every, times, chance, seed";
  for (const OwnWord& own : fault.own) {
    names += ", " + std::string(own.name);
  }
  return names;
}

/// "64K", "1000" or "0x8000".
Result<std::uint64_t> read_size(std::string_view text) {
  return text.starts_with("0x") ? parse_number(text) : parse_size(text);
}

Status read_positive(std::string_view word, std::string_view text, std::uint64_t& value) {
  Result<std::uint64_t> number = parse_number(text);
  if (!number || *number == 0) {
    return fail(fmt::format("fault word \"{}\" needs a number from 1 on", word));
  }
  value = *number;
  return {};
}

Status read_times(std::string_view word, std::string_view text, std::uint64_t& times) {
  if (text == "always") {
    times = 0;
    return {};
  }
  if (!read_positive(word, text, times)) {
    return fail(fmt::format("fault word \"{}\" needs a number from 1 on, or always", word));
  }
  return {};
}

Status read_chance(std::string_view word, std::string_view text, Expression& expression) {
  std::size_t slash = text.find('/');
  Status fine = fail("");
  if (slash != std::string_view::npos) {
    fine = read_positive(word, text.substr(0, slash), expression.chance);
    fine = fine ? read_positive(word, text.substr(slash + 1), expression.out_of) : fine;
  }
  if (!fine || expression.chance > expression.out_of) {
    return fail(
        fmt::format("fault word \"{}\" is no chance; allowed: A/B, as in chance=1/100", word));
  }
  if (expression.chance == expression.out_of) {
    expression.chance = expression.out_of = 1;
  }
  return {};
}

Status read_range(std::string_view word, std::string_view text, Expression& expression) {
  std::size_t plus = text.find('+');
  Result<std::uint64_t> offset = read_size(text.substr(0, plus));
  Result<std::uint64_t> size =
      plus == std::string_view::npos ? fail("") : read_size(text.substr(plus + 1));
  if (!offset || !size || *size == 0 || *size > ~*offset) {
    return fail(fmt::format(
        "fault word \"{}\" names no bytes; allowed: OFFSET+SIZE, as in at=1M+64K", word));
  }
  expression.at = Range{*offset, *size};
  return {};
}

Status read_own(std::string_view word, std::string_view text, const OwnWord& own, std::string& to) {
  if (own.type == OwnWord::Type::choice) {
    if (std::find(own.choices.begin(), own.choices.end(), text) == own.choices.end()) {
      std::string choices;
      for (std::string_view choice : own.choices) {
        choices += (choices.empty() ? "" : ", ") + std::string(choice);
      }
      return fail(fmt::format("fault word \"{}\" is not known; allowed: {}", word, choices));
    }
    to = text;
    return {};
  }
  Result<std::uint64_t> value = read_size(text);
  if (!value || (own.type == OwnWord::Type::number && *value == 0)) {
    return fail(fmt::format(
        "fault word \"{}\" needs a {}",
        word,
        own.type == OwnWord::Type::size ? "size, such as 4096 or 64K" : "number from 1 on"));
  }
  to = own.type == OwnWord::Type::size ? size_text(*value) : std::to_string(*value);
  return {};
}

Status read_value(std::string_view word,
                  std::string_view name,
                  std::string_view text,
                  Expression& expression) {
  if (name == "disk" || name == "file" || name == "mark") {
    (name == "mark" ? expression.mark : expression.disk) = text;
    return text.empty() ? fail(fmt::format("fault word \"{}\" names nothing", word)) : Status();
  }
  if (name == "nth" || name == "every") {
    return read_positive(word, text, name == "nth" ? expression.nth : expression.every);
  }
  if (name == "times") {
    return read_times(word, text, expression.times);
  }
  if (name == "chance") {
    return read_chance(word, text, expression);
  }
  if (name == "at") {
    return read_range(word, text, expression);
  }
  Result<std::uint64_t> seed = parse_number(text);
  if (!seed) {
    return fail(fmt::format("fault word \"{}\" needs a number", word));
  }
  expression.seed = *seed;
  return {};
}

Status read_named(std::string_view word, const FaultKind& fault, Said& said) {
  const std::array<std::string_view, 8> common = {
      fault.place, "at", "mark", "nth", "every", "times", "chance", "seed"};
  const std::string name(word.substr(0, word.find('=')));
  const std::string_view text = word.substr(name.size() + 1);
  if (std::find(said.names.begin(), said.names.end(), name) != said.names.end()) {
    return fail(fmt::format("fault word \"{}\": {} is given twice", word, name));
  }
  said.names.push_back(name);
  if (std::find(common.begin(), common.end(), name) != common.end()) {
    return read_value(word, name, text, said.expression);
  }
  for (std::size_t i = 0; i < fault.own.size(); ++i) {
    if (fault.own[i].name == name) {
      return read_own(word, text, fault.own[i], said.expression.own[i].second);
    }
  }
  return fail(fmt::format(
      "fault word \"{}\" is not known to {}; allowed: {}", word, fault.name, allowed_names(fault)));
}

Status read_kind(std::string_view word, const FaultKind& fault, Said& said) {
  for (RequestKind kind : all_kinds) {
    bool possible = std::find(fault.kinds.begin(), fault.kinds.end(), kind) != fault.kinds.end();
    if (kind_name(kind) == word && possible) {
      said.expression.kinds.push_back(kind);
      return {};
    }
  }
  return fail(
      fmt::format("fault word \"{}\" is not known to {}; allowed: {}, or NAME=VALUE with {}",
                  word,
                  fault.name,
                  kind_names(fault.kinds),
                  allowed_names(fault)));
}

/// What goes without saying, and what contradicts itself.
Status complete(const FaultKind& fault, Said& said) {
  Expression& expression = said.expression;
  auto given = [&](std::string_view name) {
    return std::find(said.names.begin(), said.names.end(), name) != said.names.end();
  };
  if (expression.kinds.empty()) {
    expression.kinds = fault.kinds;
  }
  std::sort(expression.kinds.begin(), expression.kinds.end());
  expression.kinds.erase(std::unique(expression.kinds.begin(), expression.kinds.end()),
                         expression.kinds.end());
  if (given("nth") && !given("every") && !given("times")) {
    expression.times = 1;
  }
  for (const auto& [name, value] : expression.own) {
    if (value.empty()) {
      return fail(fmt::format("fault {} needs {}=…", fault.name, name));
    }
  }
  if (expression.at && expression.kinds == std::vector{RequestKind::flush}) {
    return fail(fmt::format("fault {}: a flush touches no bytes, so at= selects none", fault.name));
  }
  return {};
}

std::string count_text(const Expression& expression) {
  std::string text;
  bool says_nth = expression.nth > 1 || (expression.times == 1 && expression.every == 1);
  if (says_nth) {
    text += fmt::format(" nth={}", expression.nth);
  }
  if (expression.every > 1) {
    text += fmt::format(" every={}", expression.every);
  }
  std::uint64_t implied = says_nth && expression.every == 1 ? 1 : 0;
  if (expression.times != implied) {
    text += expression.times == 0 ? " times=always" : fmt::format(" times={}", expression.times);
  }
  return text;
}

}  // namespace

std::string_view kind_name(RequestKind kind) {
  switch (kind) {
    case RequestKind::read:
      return "read";
    case RequestKind::write:
      return "write";
    case RequestKind::flush:
      return "flush";
    case RequestKind::discard:
      return "discard";
    case RequestKind::create:
      return "create";
    case RequestKind::rename:
      return "rename";
    case RequestKind::unlink:
      return "unlink";
    case RequestKind::truncate:
      return "truncate";
    case RequestKind::sync_directory:
      return "sync-directory";
  }
  return "";
}

std::uint64_t Expression::number(std::string_view name) const {
  Result<std::uint64_t> value = parse_size(word(name));
  POWERCUT_CHECK(value, "{}={}", name, word(name));
  return *value;
}

const std::string& Expression::word(std::string_view name) const {
  auto found =
      std::find_if(own.begin(), own.end(), [&](const auto& it) { return it.first == name; });
  POWERCUT_CHECK(found != own.end(), "{} has no {}", fault, name);
  return found->second;
}

std::string to_text(const Expression& expression) {
  return to_text(expression, catalogue());
}

std::string to_text(const Expression& expression, const std::vector<FaultKind>& catalogue) {
  const FaultKind* fault = find_fault(expression.fault, catalogue);
  POWERCUT_CHECK(fault != nullptr, "{}", expression.fault);
  std::string text = expression.fault;
  for (RequestKind kind : expression.kinds) {
    text += expression.kinds == fault->kinds ? "" : " " + std::string(kind_name(kind));
  }
  text += expression.disk.empty() ? "" : fmt::format(" {}={}", fault->place, expression.disk);
  if (expression.at) {
    text += fmt::format(
        " at={}+{}", size_text(expression.at->offset_bytes), size_text(expression.at->size_bytes));
  }
  text += expression.mark.empty() ? "" : " mark=" + expression.mark;
  text += count_text(expression);
  if (expression.chance != expression.out_of) {
    text += fmt::format(" chance={}/{}", expression.chance, expression.out_of);
  }
  text += expression.seed == 1 ? "" : fmt::format(" seed={}", expression.seed);
  for (std::size_t i = 0; i < expression.own.size(); ++i) {
    const auto& [name, value] = expression.own[i];
    text += value == fault->own[i].normal ? "" : fmt::format(" {}={}", name, value);
  }
  return text;
}

Result<Expression> parse_expression(std::string_view text) {
  return parse_expression(text, catalogue());
}

Result<Expression> parse_expression(std::string_view text,
                                    const std::vector<FaultKind>& catalogue) {
  std::vector<std::string_view> found = words(text);
  const FaultKind* fault = found.empty() ? nullptr : find_fault(found[0], catalogue);
  if (fault == nullptr) {
    return fail(fmt::format("there is no fault \"{}\"; allowed: {}",
                            found.empty() ? std::string_view() : found[0],
                            fault_names(catalogue)));
  }
  Said said;
  said.expression.fault = fault->name;
  for (const OwnWord& own : fault->own) {
    said.expression.own.emplace_back(own.name, own.normal);
  }
  for (std::size_t i = 1; i < found.size(); ++i) {
    bool named = found[i].find('=') != std::string_view::npos;
    Status fine = named ? read_named(found[i], *fault, said) : read_kind(found[i], *fault, said);
    if (!fine) {
      return tl::unexpected<Error>(fine.error());
    }
  }
  Status fine = complete(*fault, said);
  if (!fine) {
    return tl::unexpected<Error>(fine.error());
  }
  return said.expression;
}

}  // namespace faultfs::faults
