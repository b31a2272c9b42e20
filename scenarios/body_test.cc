#include "scenarios/body.h"

#include <algorithm>
#include <array>
#include <span>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include "scenarios/body_library.h"

namespace scenarios {
namespace {

using ::testing::ElementsAre;

faultfs::Bytes concatenated(std::initializer_list<faultfs::ByteView> parts) {
  faultfs::Bytes all;
  for (const faultfs::ByteView part : parts) {
    all.insert(all.end(), part.begin(), part.end());
  }
  return all;
}

faultfs::ByteView range(const faultfs::Bytes& bytes, std::size_t begin, std::size_t end) {
  return faultfs::ByteView(bytes).subspan(begin, end - begin);
}

Piece body_piece(std::uint64_t begin, std::uint64_t end, Key key, PutNumber put) {
  return {begin, end, Piece::Kind::body, key, put};
}

TEST(Body, LinesSayWhoseTheyAre) {
  const faultfs::Bytes body = make_body(7, 3, 1000);
  const std::string text(reinterpret_cast<const char*>(body.data()), body.size());
  EXPECT_EQ(text.substr(64, 39), "k0000007 p000003 l00000001 s0000001000 ");
  EXPECT_EQ(text[127], '\n');
  EXPECT_TRUE(std::all_of(
      text.begin(), text.end(), [](char c) { return c == '\n' || (c >= ' ' && c <= '~'); }));
  EXPECT_NE(make_body(7, 4, 1000), body);
}

TEST(Body, PartsOfABodyAreItsBytes) {
  const faultfs::Bytes body = make_body(1, 2, 777);
  for (const std::size_t begin : {0U, 1U, 63U, 64U, 65U, 700U, 777U}) {
    faultfs::Bytes part(777 - begin);
    write_body({1, 2, 777}, begin, part);
    EXPECT_TRUE(
        std::equal(part.begin(), part.end(), body.begin() + static_cast<std::ptrdiff_t>(begin)));
  }
}

TEST(Body, LibraryKeepsEveryBodyApart) {
  BodyLibrary library;
  const faultfs::ByteView first = library.body({1, 2, 5000});
  for (PutNumber put = 3; put < 40; ++put) {
    const faultfs::Bytes expected = make_body(1, put, 100);
    EXPECT_TRUE(std::ranges::equal(library.body({1, put, 100}), expected));
  }
  EXPECT_EQ(library.body({1, 2, 5000}).data(), first.data());
}

TEST(Classify, WholeBodyIsOnePiece) {
  EXPECT_THAT(classify(make_body(7, 3, 65536)), ElementsAre(body_piece(0, 65536, 7, 3)));
  EXPECT_THAT(classify({}), ElementsAre());
}

TEST(Classify, HodgepodgeOfSlotsIsTwoPieces) {
  const faultfs::Bytes old_body = make_body(7, 3, 65536);
  const faultfs::Bytes new_body = make_body(7, 5, 65536);
  // 16256 is a line boundary: what the two lines have in common ("k0000007 p00000") comes first.
  const auto aligned = concatenated({range(old_body, 0, 16256), range(new_body, 16256, 65536)});
  EXPECT_THAT(classify(aligned),
              ElementsAre(body_piece(0, 16256 + 15, 7, 3), body_piece(16256 + 15, 65536, 7, 5)));
  // 16190 = 252 * 64 + 62 is inside a hash.
  const auto odd = concatenated({range(old_body, 0, 16190), range(new_body, 16190, 65536)});
  ASSERT_EQ(classify(odd).size(), 2U);
  EXPECT_GE(classify(odd)[0].end, 16190U);
  EXPECT_LT(classify(odd)[0].end, 16190U + 64);
}

TEST(Classify, TellsZerosNoiseAndDisplacement) {
  const faultfs::Bytes body = make_body(2, 9, 8192);
  const faultfs::Bytes zeros(4096);
  const faultfs::Bytes noise(512, std::byte{0xe5});
  const auto served = concatenated(
      {range(body, 0, 1024), zeros, noise, range(body, 1024, 2048), range(body, 6656, 8192)});
  EXPECT_THAT(classify(served),
              ElementsAre(body_piece(0, 1024, 2, 9),
                          Piece{1024, 5120, Piece::Kind::unwritten, 0, 0},
                          Piece{5120, 5632, Piece::Kind::garbage, 0, 0},
                          // "k0000002 p000009 l000000" is in both lines that meet here.
                          Piece{5632, 6656 + 23, Piece::Kind::displaced, 2, 9},
                          body_piece(6656 + 23, 8192, 2, 9)));
}

TEST(Classify, RangesCountFromTheirOffset) {
  const faultfs::Bytes body = make_body(4, 1, 4000);
  EXPECT_THAT(classify(range(body, 1001, 3003), 1001), ElementsAre(body_piece(1001, 3003, 4, 1)));
  EXPECT_THAT(classify(range(body, 1001, 3003), 0),
              ElementsAre(Piece{0, 2002, Piece::Kind::displaced, 4, 1}));
}

// Two versions whose slots are filled two bytes apart: what the old one adds at the end is neither
// at its own place nor long enough to hold a line.
TEST(Classify, AnEndTooShortToHoldALineIsLookedForInTheKnownBodies) {
  const BodyId old_id{7, 1, 40000};
  const BodyId new_id{7, 2, 20000};
  const faultfs::Bytes old_body = make_body(7, 1, 40000);
  const faultfs::Bytes new_body = make_body(7, 2, 20000);
  faultfs::Bytes served = new_body;
  std::copy(old_body.begin() + 19944, old_body.begin() + 19971, served.end() - 27);
  const auto pieces = classify(served, 0, std::array{new_id, old_id});
  ASSERT_EQ(pieces.size(), 2U);
  EXPECT_EQ(pieces[0], (Piece{0, 19973, Piece::Kind::body, 7, 2}));
  EXPECT_EQ(pieces[1], (Piece{19973, 20000, Piece::Kind::displaced, 7, 1}));
  EXPECT_EQ(classify(served, 0, std::array{new_id}).back().kind, Piece::Kind::garbage);
  // Text that the bodies of two keys hold does not say whose it is.
  constexpr std::string_view size_of_both = " s0000040000 ";
  const auto text = std::as_bytes(std::span(size_of_both));
  served = new_body;
  std::copy(text.begin(), text.end(), served.end() - 13);
  const BodyId other_id{8, 3, 40000};
  const auto last = classify(served, 0, std::array{new_id, old_id, other_id}).back();
  EXPECT_EQ(last.kind, Piece::Kind::garbage);
}

TEST(Classify, ShortRangesNeedToKnowTheBody) {
  const faultfs::Bytes body = make_body(4, 1, 10);
  EXPECT_THAT(classify(body), ElementsAre(Piece{0, 10, Piece::Kind::garbage, 0, 0}));
  const std::vector<BodyId> known = {{4, 1, 10}};
  EXPECT_THAT(classify(body, 0, known), ElementsAre(body_piece(0, 10, 4, 1)));
}

/// A range of something, and what it must be called.
struct Part {
  Piece::Kind kind = Piece::Kind::body;
  PutNumber put = 1;
  std::size_t size = 128;
};

void showValue(const Part& part, std::ostream& os) {  // NOLINT: RapidCheck's name
  os << static_cast<int>(part.kind) << " put#" << part.put << " +" << part.size;
}

constexpr std::uint64_t model_size = 40000;

/// Byte `at` of the model's body or filling.
faultfs::Bytes part_bytes(const Part& part, std::size_t at) {
  faultfs::Bytes bytes(part.size);
  switch (part.kind) {
    case Piece::Kind::body:
      write_body({6, part.put, model_size}, at, bytes);
      break;
    case Piece::Kind::displaced:  // one line and a bit too far
      write_body({6, part.put, model_size}, at + 100, bytes);
      break;
    case Piece::Kind::garbage:
      std::fill(bytes.begin(), bytes.end(), std::byte{0xc3});
      break;
    case Piece::Kind::unwritten:
      break;
  }
  return bytes;
}

/// The pieces the parts make by the documented rule: neighbours of one origin are one piece, and
/// bytes that continue the earlier piece belong to it.
std::vector<Piece> expected_pieces(const std::vector<Part>& parts, const faultfs::Bytes& served) {
  std::vector<Piece> pieces;
  std::size_t begin = 0, end = 0;
  for (const Part& part : parts) {
    end += part.size;
    if (begin < end) {
      Part whole = part;
      whole.size = model_size / 2 - begin;
      const faultfs::Bytes model = part_bytes(whole, begin);
      std::size_t run = 0;
      while (begin + run < served.size() && model[run] == served[begin + run]) {
        ++run;
      }
      const bool named = part.kind == Piece::Kind::body || part.kind == Piece::Kind::displaced;
      const Piece piece{begin, begin + run, part.kind, named ? Key{6} : 0, named ? part.put : 0};
      begin = piece.end;
      if (!pieces.empty() && pieces.back().kind == piece.kind && pieces.back().put == piece.put) {
        pieces.back().end = piece.end;
      } else {
        pieces.push_back(piece);
      }
    }
  }
  return pieces;
}

rc::Gen<Part> any_part() {
  return rc::gen::build<Part>(
      rc::gen::set(&Part::kind,
                   rc::gen::weightedElement<Piece::Kind>({{6, Piece::Kind::body},
                                                          {1, Piece::Kind::displaced},
                                                          {1, Piece::Kind::unwritten},
                                                          {1, Piece::Kind::garbage}})),
      rc::gen::set(&Part::put, rc::gen::inRange<PutNumber>(1, 4)),
      rc::gen::set(&Part::size, rc::gen::inRange<std::size_t>(128, 1500)));
}

RC_GTEST_PROP(Classify, AnyConcatenationIsToldApart, ()) {
  auto parts = *rc::gen::container<std::vector<Part>>(any_part());
  parts.resize(std::min<std::size_t>(parts.size(), 12));
  faultfs::Bytes served;
  for (const Part& part : parts) {
    const faultfs::Bytes bytes = part_bytes(part, served.size());
    served.insert(served.end(), bytes.begin(), bytes.end());
  }
  RC_ASSERT(classify(served) == expected_pieces(parts, served));
}

RC_GTEST_PROP(Classify, PiecesCoverAnyBytesWithoutGaps, (const std::vector<std::uint8_t>& input)) {
  const auto given = std::as_bytes(std::span(input));
  const faultfs::Bytes bytes(given.begin(), given.end());
  std::uint64_t at = 17;
  for (const Piece& piece : classify(bytes, 17)) {
    RC_ASSERT(piece.begin == at);
    RC_ASSERT(piece.end > piece.begin);
    at = piece.end;
  }
  RC_ASSERT(at == 17 + bytes.size());
}

TEST(Header, SaysWhoseItIs) {
  const HeaderId id{7, 3, 0, 65536};
  EXPECT_EQ(make_header(id).substr(0, 19), "k7 p3 u0 b65536 n0 ");
  EXPECT_EQ(parse_header(make_header(id)), id);
  EXPECT_EQ(make_header(id, 300).size(), 300U);
  EXPECT_EQ(parse_header(make_header(id, 300)), id);
}

TEST(Header, AnyChangeIsNoticed) {
  const std::string header = make_header({7, 3, 12, 65536}, 120);
  for (std::size_t at = 0; at < header.size(); ++at) {
    std::string changed = header;
    changed[at] = changed[at] == '1' ? '2' : '1';
    EXPECT_FALSE(parse_header(changed)) << changed;
    EXPECT_FALSE(parse_header(header.substr(0, at)));
  }
  EXPECT_FALSE(parse_header(header + "0"));
  EXPECT_FALSE(parse_header("k7 p3 u0 b65536 n4294967295 h0123456789abcdef"));
}

RC_GTEST_PROP(Header, ParsesBack, ()) {
  const HeaderId id{*rc::gen::arbitrary<Key>(),
                    *rc::gen::arbitrary<PutNumber>(),
                    *rc::gen::arbitrary<std::uint32_t>(),
                    *rc::gen::arbitrary<std::uint64_t>()};
  RC_ASSERT(parse_header(make_header(id, *rc::gen::inRange<std::uint32_t>(0, 600))) == id);
}

TEST(KeyName, ParsesBack) {
  EXPECT_EQ(key_name(7), "k7");
  EXPECT_EQ(parse_key("k0"), Key{0});
  EXPECT_EQ(parse_key("k4294967295"), Key{4294967295});
  for (const char* bad : {"", "k", "7", "k07", "k4294967296", "k7x", "kk7"}) {
    EXPECT_FALSE(parse_key(bad)) << bad;
  }
}

}  // namespace
}  // namespace scenarios
