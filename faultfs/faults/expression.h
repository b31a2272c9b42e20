#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "faultfs/base/result.h"
#include "faultfs/request.h"

namespace faultfs::faults {

/// Which bytes of a disk.
struct Range {
  std::uint64_t offset_bytes = 0;
  std::uint64_t size_bytes = 0;
  [[nodiscard]] bool operator==(const Range&) const = default;
};

/// A fault in words: what, at whose requests, when, how often. The language is explained at the
/// head of expression.cc. Prints and parses itself.
struct Expression {
  std::string fault;               ///< a name of the catalogue
  std::vector<RequestKind> kinds;  ///< ascending; which requests it may act on
  std::string disk;                ///< of a tree: the file; empty: any
  std::optional<Range> at;         ///< requests that touch one of these bytes
  std::string mark;                ///< not before a mark that contains this; empty: at once
  std::uint64_t nth = 1;           ///< the first match at which it fires
  std::uint64_t every = 1;         ///< then at each so many-th match
  std::uint64_t times = 0;         ///< at most so often; 0: without limit
  std::uint64_t chance = 1;        ///< so many times …
  std::uint64_t out_of = 1;        ///< … of so many
  std::uint64_t seed = 1;          ///< of `chance`, and of what the fault draws
  /// The fault's own words, in the catalogue's order: name and value as printed.
  std::vector<std::pair<std::string, std::string>> own;
  [[nodiscard]] bool operator==(const Expression&) const = default;

  /// A value of the fault's own words; it must be there (the parser saw to that).
  [[nodiscard]] std::uint64_t number(std::string_view name) const;
  [[nodiscard]] const std::string& word(std::string_view name) const;
};

struct FaultKind;

/// "misdirected-write write disk=disk0 nth=2 to=32K": without what goes without saying. The
/// expression must be one of `catalogue`; without it, that of devices.
[[nodiscard]] std::string to_text(const Expression& expression);
[[nodiscard]] std::string to_text(const Expression& expression,
                                  const std::vector<FaultKind>& catalogue);

/// Reads what `to_text` prints, and any order of the words behind the first. Error: quotes the
/// word, says what was wrong and what is allowed.
[[nodiscard]] Result<Expression> parse_expression(std::string_view text);
[[nodiscard]] Result<Expression> parse_expression(std::string_view text,
                                                  const std::vector<FaultKind>& catalogue);

/// "read", "write", "flush" …
[[nodiscard]] std::string_view kind_name(RequestKind kind);

}  // namespace faultfs::faults
