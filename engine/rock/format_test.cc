#include "engine/rock/format.h"

#include <array>
#include <vector>

#include <gtest/gtest.h>

#include "engine/rock/rig_test.h"

namespace engine::rock {
namespace {

SlotHeader some_header() {
  SlotHeader header;
  header.instance = {1, 2};
  header.key = key_digest("k7");
  header.write = {0x100000002, 77};
  header.payload_checksum = 99;
  header.payload_bytes = 500;
  header.next = 3;
  header.first = 5;
  header.index = 1;
  header.flags = flag_tail;
  header.body_bytes = 1234;
  header.suffix_digest = 4321;
  header.chain = {0x100000001, 78};
  return header;
}

TEST(Format, SlotHeaderReadsBackAsWritten) {
  std::array<std::byte, first_sector_bytes> sector = {};
  EXPECT_TRUE(decode_slot(sector).blank);
  encode_slot(some_header(), sector);
  const DecodedSlot slot = decode_slot(sector);
  EXPECT_FALSE(slot.blank);
  EXPECT_TRUE(slot.checksum_ok);
  EXPECT_EQ(slot.header.key, some_header().key);
  EXPECT_EQ(slot.header.write, some_header().write);
  EXPECT_EQ(slot.header.chain, some_header().chain);
  EXPECT_EQ(slot.header.next, 3);
  EXPECT_EQ(slot.header.body_bytes, 1234U);
  EXPECT_TRUE(slot.header.is_update());
}

// A device that tears inside the first sector leaves new bytes, then old ones: of every tear that
// cuts the header, the checksum tells.
TEST(Format, ChecksumTellsEveryTearOfTheFirstSector) {
  std::array<std::byte, first_sector_bytes> older = {}, newer = {};
  SlotHeader header = some_header();
  encode_slot(header, older);
  header.write.order += 5;
  header.chain.order += 5;
  header.body_bytes += 1;
  encode_slot(header, newer);
  for (std::size_t tear = 1; tear < first_sector_bytes; ++tear) {
    auto torn = older;
    std::copy_n(newer.begin(), tear, torn.begin());
    EXPECT_EQ(decode_slot(torn).checksum_ok, torn == older || torn == newer) << tear;
  }
}

TEST(Format, PayloadGoesAroundTheLinkage) {
  Bytes slot(1024);
  encode_slot(some_header(), slot);
  const Bytes payload = body(1, 1024 - slot_overhead_bytes);
  for (std::size_t at = 0; at < payload.size(); at += 100) {  // in pieces across the boundary
    const auto piece =
        std::span(payload).subspan(at, std::min<std::size_t>(100, payload.size() - at));
    put_payload(slot, static_cast<std::uint32_t>(at), piece);
  }
  EXPECT_TRUE(decode_slot(slot).checksum_ok);
  for (std::uint32_t at = 0; at < payload.size(); at += 77) {
    Bytes read(std::min<std::size_t>(200, payload.size() - at));
    take_payload(slot, at, read);
    EXPECT_TRUE(std::equal(read.begin(), read.end(), payload.begin() + at)) << at;
  }
}

TEST(Format, PayloadChecksumCoversEachByteOfThePayloadAndNothingElse) {
  Bytes slot(1024);
  put_payload(slot, 0, body(1, 600));
  const std::uint64_t whole = payload_checksum(slot, 600);
  for (std::uint32_t at = 0; at < 600; ++at) {
    Bytes damaged = slot;
    std::array<std::byte, 1> one = {};
    take_payload(damaged, at, one);
    one[0] ^= std::byte{1};
    put_payload(damaged, at, one);
    EXPECT_NE(payload_checksum(damaged, 600), whole) << at;
  }
  slot[used_bytes(600)] ^= std::byte{1};
  encode_slot(some_header(), slot);
  EXPECT_EQ(payload_checksum(slot, 600), whole);
}

TEST(Format, MetadataOutsideItsPayloadIsRefused) {
  Bytes payload(300);
  encode_metadata({"k7", "header", 0}, payload);
  Metadata metadata;
  ASSERT_TRUE(decode_metadata(payload, metadata));
  EXPECT_EQ(metadata.key, "k7");
  EXPECT_EQ(metadata.header, "header");
  EXPECT_EQ(metadata.size_bytes, metadata_fixed_bytes + 8U);
  EXPECT_FALSE(decode_metadata(std::span(payload).first(metadata_fixed_bytes + 7), metadata));
  EXPECT_FALSE(decode_metadata(std::span(payload).first(3), metadata));
  payload[6] = std::byte{200};  // a key longer than the metadata
  EXPECT_FALSE(decode_metadata(payload, metadata));
}

TEST(Format, DatabaseHeaderIsRefusedWhenAnyByteChanged) {
  std::array<std::byte, database_copy_bytes> sector = {};
  EXPECT_TRUE(decode_database(sector).blank);
  encode_database({{1024, 16}, {5, 6}, 7, 8}, sector);
  const DecodedDatabase database = decode_database(sector);
  ASSERT_TRUE(database.valid);
  EXPECT_EQ(database.header.geometry, (Geometry{1024, 16}));
  EXPECT_EQ(database.header.epoch, 7U);
  EXPECT_EQ(database.header.serial, 8U);
  for (std::size_t at = 0; at < 64; ++at) {
    auto damaged = sector;
    damaged.at(at) ^= std::byte{0x40};
    EXPECT_FALSE(decode_database(damaged).valid) << at;
  }
}

TEST(FreeSlots, EachOrderGivesEverySlotOnce) {
  for (const auto allocator : {Allocator::lowest_first, Allocator::lifo, Allocator::random}) {
    FreeSlots free(allocator, 200, 9);
    for (std::uint32_t slot = 0; slot < 200; ++slot) {
      free.add(199 - slot);
    }
    std::vector<std::uint32_t> order;
    while (const auto slot = free.take()) {
      order.push_back(*slot);
    }
    std::vector<std::uint32_t> sorted = order;
    std::sort(sorted.begin(), sorted.end());
    ASSERT_EQ(sorted.size(), 200U);
    EXPECT_EQ(sorted.front(), 0U);
    EXPECT_EQ(std::adjacent_find(sorted.begin(), sorted.end()), sorted.end());
    EXPECT_EQ(order == sorted, allocator != Allocator::random);  // lifo: 0 was added last
    EXPECT_EQ(free.size(), 0U);
  }
}

TEST(FreeSlots, LifoGivesTheLastFreedFirst) {
  FreeSlots free(Allocator::lifo, 8, 0);
  free.add(1);
  free.add(5);
  EXPECT_EQ(free.take(), 5U);
  free.add(3);
  EXPECT_EQ(free.take(), 3U);
  EXPECT_EQ(free.take(), 1U);
  EXPECT_FALSE(free.take());
}

}  // namespace
}  // namespace engine::rock
