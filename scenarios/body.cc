// A body is lines of 64 printable bytes:
//
//   k0000007 p000003 l00000012 s0000065536 5d1c09e2a0b1c2d3e4f50617\n
//   key      put     line      body bytes  keyed hash of the four
//
// The last line may be cut. Any 64 bytes of a body hold most of a line, any 103 bytes the beginning
// of one as far as the hash, so a range says whose it is, and from which offset.
//
// `classify` first collects the bodies that `bytes` may hold parts of: a 'k' begins a line and
// occurs nowhere else in one. It then goes through the bytes, and at each place takes the body that
// agrees for the longest run. That gives the fewest pieces; the text that two bodies have in common
// where they meet (at most 63 bytes) goes to the earlier piece. Runs of fewer than 4 bytes say
// nothing and count as garbage, except at the end of the bytes.
//
// What is left over and too short to hold a line is searched for in the known bodies, at any place:
// slots of two versions need not be filled alike, so the end of a mixed object may be some bytes
// from the middle of a line. It counts as displaced when only one key's bodies hold it.

#include "scenarios/body.h"

#define XXH_INLINE_ALL  // NOLINT(readability-identifier-naming): xxhash's name
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

#include "faultfs/base/check.h"
#include "scenarios/body_library.h"

namespace scenarios {

namespace {

constexpr std::size_t line_bytes = 64;
constexpr std::size_t text_bytes = 39;  // of a line, before its hash
constexpr std::size_t line_number_at = 18, line_digits = 8;
constexpr std::size_t put_at = 10, put_digits = 6;
constexpr std::size_t key_at = 1, key_digits = 7;
constexpr std::size_t size_at = 28, size_digits = 10;
constexpr std::size_t run_bytes_min = 4;
constexpr std::size_t fragment_bytes_min = 12;  // less is too often constant text, or chance
constexpr std::uint64_t hash_key = 0x706f776572637574;

constexpr std::array<char, 512> make_hex_pairs() {
  constexpr std::string_view digits = "0123456789abcdef";
  std::array<char, 512> pairs{};
  for (std::size_t value = 0; value < 256; ++value) {
    pairs.at(2 * value) = digits.at(value >> 4U);
    pairs.at(2 * value + 1) = digits.at(value & 15U);
  }
  return pairs;
}
constexpr auto hex_pairs = make_hex_pairs();

void write_digits(char* at, std::size_t digits, std::uint64_t value) {
  for (std::size_t i = digits; i-- > 0; value /= 10) {
    at[i] = static_cast<char>('0' + value % 10);
  }
}

std::optional<std::uint64_t> read_digits(const char* at, std::size_t digits) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < digits; ++i) {
    if (at[i] < '0' || at[i] > '9') {
      return std::nullopt;
    }
    value = value * 10 + static_cast<std::uint64_t>(at[i] - '0');
  }
  return value;
}

/// Writes the lines of one body.
class LineWriter {
 public:
  explicit LineWriter(const BodyId& id) : input_{std::uint64_t{id.key} << 32U | id.put, 0, 0} {
    input_.at(2) = id.size_bytes;
    std::memcpy(text_.data(), "k0000000 p000000 l00000000 s0000000000 ", text_bytes);
    write_digits(&text_.at(key_at), key_digits, id.key);
    write_digits(&text_.at(put_at), put_digits, id.put);
    write_digits(&text_.at(size_at), size_digits, id.size_bytes);
  }

  /// `at` has room for a line.
  void write(std::uint64_t line, char* at) {
    std::memcpy(at, text_.data(), text_bytes);
    write_digits(at + line_number_at, line_digits, line);
    input_.at(1) = line;
    const XXH128_hash_t hash = XXH3_128bits_withSeed(input_.data(), sizeof(input_), hash_key);
    std::array<std::uint8_t, 12> bytes{};
    std::memcpy(bytes.data(), &hash.low64, 8);
    std::memcpy(bytes.data() + 8, &hash.high64, 4);
    char* hex = at + text_bytes;
    for (const std::uint8_t byte : bytes) {
      std::memcpy(hex, hex_pairs.data() + 2UL * byte, 2);
      hex += 2;
    }
    *hex = '\n';
  }

 private:
  std::array<char, text_bytes> text_{};
  std::array<std::uint64_t, 3> input_;
};

/// A body that the bytes may hold a part of: byte i of them is byte i + `shift` of the body.
struct Candidate {
  BodyId id;
  std::int64_t shift = 0;
  bool displaced = false;
};

/// Reads a line's text (not its hash) at `at`, where there is room for it.
std::optional<std::pair<BodyId, std::uint64_t>> read_line_text(const char* at) {
  const auto key = read_digits(at + key_at, key_digits);
  const auto put = read_digits(at + put_at, put_digits);
  const auto line = read_digits(at + line_number_at, line_digits);
  const auto size = read_digits(at + size_at, size_digits);
  if (!key || !put || !line || !size || *line * line_bytes >= *size) {
    return std::nullopt;
  }
  return std::pair{BodyId{static_cast<Key>(*key), static_cast<PutNumber>(*put), *size}, *line};
}

void add_candidate(std::vector<Candidate>& candidates, const Candidate& candidate) {
  const auto same = [&](const Candidate& other) {
    return other.id == candidate.id && other.shift == candidate.shift;
  };
  if (std::none_of(candidates.begin(), candidates.end(), same)) {
    candidates.push_back(candidate);
  }
}

std::vector<Candidate> find_candidates(std::string_view text,
                                       std::uint64_t offset_bytes,
                                       std::span<const BodyId> known) {
  std::vector<Candidate> candidates;
  const auto own_shift = static_cast<std::int64_t>(offset_bytes);
  for (std::size_t at = text.find('k'); at != std::string_view::npos; at = text.find('k', at + 1)) {
    const auto line = at + text_bytes <= text.size() ? read_line_text(&text[at]) : std::nullopt;
    if (line) {
      const auto shift =
          static_cast<std::int64_t>(line->second * line_bytes) - static_cast<std::int64_t>(at);
      add_candidate(candidates, {line->first, shift, shift != own_shift});
    }
  }
  for (const BodyId& id : known) {
    add_candidate(candidates, {id, own_shift, false});
  }
  // On a tie the body at its own place is the simpler explanation.
  std::stable_partition(candidates.begin(), candidates.end(), [](const Candidate& candidate) {
    return !candidate.displaced;
  });
  return candidates;
}

/// How many bytes of `text` from `at` on agree with the candidate.
std::size_t run_of(const Candidate& candidate, std::string_view text, std::size_t at) {
  const std::int64_t begin = static_cast<std::int64_t>(at) + candidate.shift;
  if (begin < 0 || static_cast<std::uint64_t>(begin) >= candidate.id.size_bytes) {
    return 0;
  }
  const auto body_at = static_cast<std::uint64_t>(begin);
  const std::size_t limit =
      std::min<std::uint64_t>(text.size() - at, candidate.id.size_bytes - body_at);
  LineWriter writer(candidate.id);
  std::array<char, line_bytes> line{};
  std::size_t run = 0;
  while (run < limit) {
    const std::size_t inside = (body_at + run) % line_bytes;
    const std::size_t count = std::min(line_bytes - inside, limit - run);
    writer.write((body_at + run) / line_bytes, line.data());
    const char* expected = line.data() + inside;
    const char* differs = std::mismatch(expected, expected + count, &text[at + run]).first;
    run += static_cast<std::size_t>(differs - expected);
    if (differs != expected + count) {
      break;
    }
  }
  return run;
}

/// The piece that begins at `at`: the longest explanation.
Piece next_piece(const std::vector<Candidate>& candidates,
                 std::string_view text,
                 std::size_t at,
                 bool after_garbage) {
  const std::size_t zeros_end = std::min(text.find_first_not_of('\0', at), text.size());
  if (zeros_end > at) {
    return {at, zeros_end, Piece::Kind::unwritten, 0, 0};
  }
  const Candidate* best = nullptr;
  std::size_t best_run = 0;
  for (const Candidate& candidate : candidates) {
    const std::size_t run = run_of(candidate, text, at);
    if (run > best_run) {
      best = &candidate;
      best_run = run;
    }
  }
  const bool at_end = at + best_run == text.size() && !after_garbage;
  if (best == nullptr || (best_run < run_bytes_min && !at_end)) {
    return {at, at + 1, Piece::Kind::garbage, 0, 0};
  }
  const auto kind = best->displaced ? Piece::Kind::displaced : Piece::Kind::body;
  return {at, at + best_run, kind, best->id.key, best->id.put};
}

/// Names the put whose bytes `piece`, nobody's so far, is a fragment of.
void name_fragment(std::string_view text, std::span<const BodyId> known, Piece& piece) {
  const std::string_view fragment = text.substr(piece.begin, piece.end - piece.begin);
  if (fragment.size() < fragment_bytes_min || fragment.size() >= line_bytes + text_bytes) {
    return;
  }
  const BodyId* found = nullptr;
  for (const BodyId& id : known) {
    const faultfs::Bytes body = make_body(id.key, id.put, id.size_bytes);
    const std::string_view all(reinterpret_cast<const char*>(body.data()), body.size());
    if (all.find(fragment) == std::string_view::npos) {
      continue;
    }
    if (found != nullptr && found->key != id.key) {
      return;
    }
    found = found == nullptr ? &id : found;
  }
  if (found != nullptr) {
    piece.kind = Piece::Kind::displaced;
    piece.key = found->key;
    piece.put = found->put;
  }
}

bool same_origin(const Piece& a, const Piece& b) {
  return a.kind == b.kind && a.key == b.key && a.put == b.put;
}

std::uint64_t text_hash(std::string_view text, std::uint64_t seed) {
  return XXH3_64bits_withSeed(text.data(), text.size(), seed);
}

/// Reads `prefix` and a decimal number off the front of `text`.
std::optional<std::uint64_t> take_number(std::string_view& text, char prefix) {
  std::uint64_t value = 0;
  if (text.empty() || text.front() != prefix) {
    return std::nullopt;
  }
  const auto [end, error] = std::from_chars(text.data() + 1, text.data() + text.size(), value);
  if (error != std::errc() || end == text.data() + text.size() || *end != ' ') {
    return std::nullopt;
  }
  text.remove_prefix(static_cast<std::size_t>(end - text.data()) + 1);
  return value;
}

}  // namespace

std::string key_name(Key key) {
  return fmt::format("k{}", key);
}

std::optional<Key> parse_key(std::string_view name) {
  Key key = 0;
  if (name.size() < 2 || name[0] != 'k' || (name[1] == '0' && name.size() > 2)) {
    return std::nullopt;
  }
  const auto [end, error] = std::from_chars(name.data() + 1, name.data() + name.size(), key);
  if (error != std::errc() || end != name.data() + name.size()) {
    return std::nullopt;
  }
  return key;
}

void write_body(const BodyId& id, std::uint64_t offset_bytes, faultfs::MutableByteView into) {
  POWERCUT_CHECK(id.key < 10'000'000 && id.put < 1'000'000 && id.size_bytes < 6'400'000'000,
                 "k{} put#{} of {} bytes does not fit a line",
                 id.key,
                 id.put,
                 id.size_bytes);
  POWERCUT_CHECK(offset_bytes <= id.size_bytes && into.size() <= id.size_bytes - offset_bytes,
                 "[{}, +{}) of {}",
                 offset_bytes,
                 into.size(),
                 id.size_bytes);
  LineWriter writer(id);
  std::array<char, line_bytes> line{};
  std::size_t done = 0;
  while (done < into.size()) {
    const std::uint64_t at = offset_bytes + done;
    const std::size_t inside = at % line_bytes;
    const std::size_t count = std::min(line_bytes - inside, into.size() - done);
    if (count == line_bytes) {
      writer.write(at / line_bytes, reinterpret_cast<char*>(&into[done]));
    } else {
      writer.write(at / line_bytes, line.data());
      std::memcpy(&into[done], line.data() + inside, count);
    }
    done += count;
  }
}

faultfs::Bytes make_body(Key key, PutNumber put, std::uint64_t size_bytes) {
  faultfs::Bytes bytes(size_bytes);
  write_body({key, put, size_bytes}, 0, bytes);
  return bytes;
}

std::vector<Piece> classify(faultfs::ByteView bytes,
                            std::uint64_t offset_bytes,
                            std::span<const BodyId> known) {
  std::vector<Piece> pieces;
  if (bytes.empty()) {
    return pieces;
  }
  std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const std::vector<Candidate> candidates = find_candidates(text, offset_bytes, known);
  std::size_t at = 0;
  while (at < text.size()) {
    const bool after_garbage = !pieces.empty() && pieces.back().kind == Piece::Kind::garbage;
    const Piece piece = next_piece(candidates, text, at, after_garbage);
    at = piece.end;
    if (!pieces.empty() && same_origin(pieces.back(), piece)) {
      pieces.back().end = piece.end;
    } else {
      pieces.push_back(piece);
    }
  }
  for (Piece& piece : pieces) {
    if (piece.kind == Piece::Kind::garbage) {
      name_fragment(text, known, piece);
    }
    piece.begin += offset_bytes;
    piece.end += offset_bytes;
  }
  return pieces;
}

std::string make_header(const HeaderId& id, std::uint32_t size_bytes) {
  std::string text =
      fmt::format("k{} p{} u{} b{} n{} ", id.key, id.put, id.update, id.body_bytes, size_bytes);
  const std::uint64_t hash = text_hash(text, hash_key);
  text += fmt::format("h{:016x}", hash);
  for (std::uint64_t block = 1; text.size() < size_bytes; ++block) {
    text += fmt::format("{:016x}", text_hash(text, hash + block));
  }
  if (size_bytes != 0 && text.size() > size_bytes && size_bytes > text.find('h') + 17) {
    text.resize(size_bytes);
  }
  return text;
}

std::optional<HeaderId> parse_header(std::string_view text) {
  std::string_view rest = text;
  const auto key = take_number(rest, 'k');
  const auto put = take_number(rest, 'p');
  const auto update = take_number(rest, 'u');
  const auto body_bytes = take_number(rest, 'b');
  const auto size_bytes = take_number(rest, 'n');
  if (!key || !put || !update || !body_bytes || !size_bytes || *size_bytes > text.size() ||
      *key > UINT32_MAX || *put > UINT32_MAX || *update > UINT32_MAX) {
    return std::nullopt;
  }
  const HeaderId id{static_cast<Key>(*key),
                    static_cast<PutNumber>(*put),
                    static_cast<std::uint32_t>(*update),
                    *body_bytes};
  return make_header(id, static_cast<std::uint32_t>(*size_bytes)) == text ? std::optional(id)
                                                                          : std::nullopt;
}

std::optional<HeaderId> BodyLibrary::header(std::string_view text) {
  for (const Header& header : headers_) {
    if (header.text == text) {
      return header.id;
    }
  }
  std::optional<HeaderId> id = parse_header(text);
  if (id) {  // what nobody wrote may be anything, and never come back
    headers_.push_back({std::string(text), id});
  }
  return id;
}

faultfs::ByteView BodyLibrary::body(const BodyId& id) {
  for (const Shelf& shelf : shelves_) {
    if (shelf.id == id) {
      return shelf.bytes;
    }
  }
  shelves_.push_back({id, make_body(id.key, id.put, id.size_bytes)});
  return shelves_.back().bytes;
}

}  // namespace scenarios
