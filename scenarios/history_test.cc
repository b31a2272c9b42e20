#include "scenarios/history.h"

#include <gtest/gtest.h>

namespace scenarios {
namespace {

Reading hit(std::uint64_t size_bytes, std::vector<Piece> pieces) {
  Reading reading;
  reading.key = 7;
  reading.kind = GetReply::Kind::hit;
  reading.header = HeaderId{7, 3, 0, size_bytes};
  reading.claimed_bytes = size_bytes;
  reading.served_bytes = size_bytes;
  reading.pieces = std::move(pieces);
  return reading;
}

TEST(ReadingText, NamesThePutsBehindEveryByte) {
  EXPECT_EQ(
      to_text(hit(65536,
                  {{0, 32768, Piece::Kind::body, 7, 3}, {32768, 65536, Piece::Kind::body, 7, 5}})),
      "hit 64K: [0, 32K) from put#3, [32K, 64K) from put#5");
  EXPECT_EQ(to_text(hit(4096,
                        {{0, 1024, Piece::Kind::body, 7, 3},
                         {1024, 2048, Piece::Kind::displaced, 7, 3},
                         {2048, 3072, Piece::Kind::unwritten, 0, 0},
                         {3072, 4000, Piece::Kind::garbage, 0, 0},
                         {4000, 4096, Piece::Kind::body, 2, 4}})),
            "hit 4K: [0, 1K) from put#3, [1K, 2K) from another place of put#3, [2K, 3K) zeros, "
            "[3K, 4000) nobody's bytes, [4000, 4K) from put#4 of k2");
}

TEST(ReadingText, NamesTheHeaderWhereItIsNotThePuts) {
  Reading reading = hit(1024, {{0, 1024, Piece::Kind::body, 7, 3}});
  EXPECT_EQ(to_text(reading), "hit 1K: [0, 1K) from put#3");
  reading.header->update = 6;
  EXPECT_EQ(to_text(reading), "hit 1K: [0, 1K) from put#3, with the header of update#6");
  reading.header = HeaderId{7, 5, 0, 1024};
  EXPECT_EQ(to_text(reading), "hit 1K: [0, 1K) from put#3, with the header of put#5");
  reading.header.reset();
  EXPECT_EQ(to_text(reading), "hit 1K: [0, 1K) from put#3, with nobody's header");
}

TEST(ReadingText, SaysWhatWasServedOfIt) {
  Reading reading = hit(65536, {{100, 4196, Piece::Kind::body, 7, 3}});
  reading.offset_bytes = 100;
  reading.served_bytes = 4096;
  EXPECT_EQ(to_text(reading), "hit 64K, 4K served from 100: [100, 4196) from put#3");
  reading.kind = GetReply::Kind::miss;
  EXPECT_EQ(to_text(reading), "miss");
  reading.kind = GetReply::Kind::failed;
  reading.detail = "no answer";
  EXPECT_EQ(to_text(reading), "failed: no answer");
}

}  // namespace
}  // namespace scenarios
