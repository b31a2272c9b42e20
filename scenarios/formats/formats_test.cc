// Decoders of foreign formats: images made by hand, byte by byte from the formats' documentation,
// and images of noise. That the programs themselves write the same is for squid_test and
// trafficserver_test, which decode what they wrote.
#include <algorithm>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "scenarios/body.h"
#include "scenarios/formats/squid_rock.h"
#include "scenarios/formats/stripe_layout.h"
#include "scenarios/formats/trafficserver_cache.h"
#include "scenarios/formats/write_notes.h"

namespace scenarios::formats {
namespace {

using faultfs::Bytes;
using faultfs::Image;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::uint64_t mebibyte = 1 << 20;

template <typename Number>
void set(Bytes& bytes, std::uint64_t at, Number value) {
  std::memcpy(bytes.data() + at, &value, sizeof value);
}

void set_text(Bytes& bytes, std::uint64_t at, std::string_view text) {
  std::memcpy(bytes.data() + at, text.data(), text.size());
}

struct SlotByHand {
  std::uint8_t key = 1;  ///< every byte of it
  std::uint64_t entry_bytes = 0;
  std::uint32_t payload_bytes = 100;
  std::uint32_t version = 7;
  std::int32_t first = 0, next = -1;
  std::string url = {};
};

Bytes rock_slot(const SlotByHand& slot) {
  Bytes bytes(16384);
  std::fill_n(bytes.begin(), 16, std::byte{slot.key});
  set(bytes, 16, slot.entry_bytes);
  set(bytes, 24, slot.payload_bytes);
  set(bytes, 28, slot.version);
  set(bytes, 32, slot.first);
  set(bytes, 36, slot.next);
  if (!slot.url.empty()) {
    // Metadata: a field of another type (16 bytes), then the URL.
    const auto url_bytes = static_cast<std::uint32_t>(slot.url.size() + 1);
    set<std::uint8_t>(bytes, 40, 3);
    set<std::uint32_t>(bytes, 41, 5 + 21 + 5 + url_bytes);
    set<std::uint8_t>(bytes, 45, 3);
    set<std::uint32_t>(bytes, 46, 16);
    set<std::uint8_t>(bytes, 66, 4);
    set<std::uint32_t>(bytes, 67, url_bytes);
    set_text(bytes, 71, slot.url);
  }
  return bytes;
}

Image rock(const std::vector<std::pair<std::uint32_t, SlotByHand>>& slots) {
  Image image(mebibyte);
  for (const auto& [number, slot] : slots) {
    image.write(16384 + std::uint64_t{number} * 16384, rock_slot(slot));
  }
  return image;
}

const SlotByHand inode_of_two = {
    .payload_bytes = 16344, .first = 1, .next = 0, .url = "http://origin/k3"};
const SlotByHand tail_of_two = {.entry_bytes = 16444, .payload_bytes = 100, .first = 1};

TEST(SquidRock, AnEntryOfTwoSlotsIsOneChain) {
  const RockImage image = decode_rock(rock({{1, inode_of_two}, {0, tail_of_two}}), 16384);
  EXPECT_EQ(image.geometry.slots, 63U);
  ASSERT_EQ(image.entries.size(), 1U);
  EXPECT_EQ(image.entries[0].url, "http://origin/k3");
  EXPECT_THAT(image.entries[0].slots, ElementsAre(1, 0));
  EXPECT_EQ(image.entries[0].bytes, 16444U);
  EXPECT_EQ(image.entries[0].trouble, "");
  EXPECT_THAT(image.loose, IsEmpty());
}

TEST(SquidRock, WhatIsWrongWithAChainIsSaid) {
  const auto trouble = [](const std::vector<std::pair<std::uint32_t, SlotByHand>>& slots) {
    const RockImage image = decode_rock(rock(slots), 16384);
    return image.entries.empty() ? "no entry" : image.entries[0].trouble;
  };
  EXPECT_THAT(trouble({{1, inode_of_two}}),
              HasSubstr("slot 1 points to slot 0, which holds nothing"));
  SlotByHand other = tail_of_two;
  other.key = 9;
  EXPECT_THAT(trouble({{1, inode_of_two}, {0, other}}), HasSubstr("another key's"));
  SlotByHand back = tail_of_two;
  back.next = 1;
  EXPECT_THAT(trouble({{1, inode_of_two}, {0, back}}), HasSubstr("the chain from slot 1 has"));
  SlotByHand longer = tail_of_two;
  longer.entry_bytes = 20000;
  EXPECT_THAT(trouble({{1, inode_of_two}, {0, longer}}), HasSubstr("says 20000 bytes"));
  SlotByHand newer = tail_of_two;
  newer.version = 8;
  EXPECT_THAT(trouble({{1, inode_of_two}, {0, newer}}), HasSubstr("two versions"));
}

TEST(SquidRock, SlotsNobodyReachesAreLoose) {
  SlotByHand nonsense = tail_of_two;
  nonsense.first = 4000;
  const RockImage image = decode_rock(
      rock({{1, inode_of_two}, {0, tail_of_two}, {5, tail_of_two}, {6, nonsense}}), 16384);
  EXPECT_THAT(image.loose, ElementsAre(5, 6));
  EXPECT_FALSE(image.used.back().sane);
}

// --- Traffic Server ---

constexpr std::uint64_t block = 8192;

Bytes stripe_end(std::uint32_t serial, std::uint64_t write_at) {
  Bytes bytes(block);
  set<std::uint32_t>(bytes, 0, 0xF1D0F00D);
  set<std::uint16_t>(bytes, 4, 24);
  set<std::uint16_t>(bytes, 6, 2);
  set(bytes, 16, write_at);
  set(bytes, 52, serial);
  set<std::uint32_t>(bytes, 64, 4096);
  return bytes;
}

Bytes document(std::uint8_t object, std::uint32_t length, std::uint32_t metadata) {
  Bytes bytes(length);
  set<std::uint32_t>(bytes, 0, 0x5F129B13);
  set(bytes, 4, length);
  std::fill_n(bytes.begin() + 16, 16, std::byte{object});
  set(bytes, 48, metadata);
  set<std::uint32_t>(bytes, 68, 0xA0B0C0D0);
  return bytes;
}

Bytes row(std::uint64_t place, bool head) {
  Bytes bytes(10);
  set(bytes, 0, static_cast<std::uint16_t>(place));
  set(bytes, 2, static_cast<std::uint16_t>(place >> 16U & 0xffU));
  set(bytes, 4, static_cast<std::uint16_t>(0x123 | (head ? 0x2000 : 0)));
  return bytes;
}

/// A span of 1 MiB with two documents of one object; copy B is complete, copy A was cut.
Image span() {
  Image image(mebibyte);
  Bytes header(block);
  set<std::uint32_t>(header, 0, 0xABCD1237);
  set<std::uint64_t>(header, 32, 2 * block);
  set<std::uint64_t>(header, 40, mebibyte / block - 2);
  image.write(block, header);
  const std::uint64_t copy = 3 * block;
  const std::uint64_t data = 2 * block + 2 * copy;
  image.write(2 * block, stripe_end(4, data));
  image.write(2 * block + copy - block, stripe_end(2, data));
  image.write(2 * block + copy, stripe_end(3, data + 40960));
  image.write(2 * block + copy + block, row(1, false));
  image.write(2 * block + copy + block + 70, row(1 + 36864 / 512, true));
  image.write(2 * block + copy + block + 80, row(1 + 65536 / 512, true));
  image.write(data + copy - copy, document(5, 33000, 0));
  image.write(data + 36864, document(5, 3000, 2000));
  image.write(2 * block + 2 * copy - block, stripe_end(3, data + 40960));
  return image;
}

TEST(TrafficServerCache, ASpanIsReadFromItsHeaderOn) {
  const CacheImage image = decode_trafficserver(span());
  ASSERT_TRUE(image.is_span);
  ASSERT_EQ(image.stripes.size(), 1U);
  const CacheStripe& stripe = image.stripes[0];
  EXPECT_EQ(stripe.data, 8 * block);
  EXPECT_FALSE(stripe.a.complete());
  EXPECT_TRUE(stripe.b.complete());
  EXPECT_EQ(stripe.newest(), &stripe.b);
  EXPECT_EQ(stripe.b.rows_used, 3U);
  ASSERT_EQ(stripe.documents.size(), 2U);
  EXPECT_FALSE(stripe.documents[0].document.is_head());
  EXPECT_EQ(stripe.documents[0].fragment, 1U);
  EXPECT_EQ(stripe.documents[0].document.stored_bytes, 36864U) << "its size class, and sectors";
  EXPECT_TRUE(stripe.documents[0].listed);
  EXPECT_TRUE(stripe.documents[1].document.is_head());
  EXPECT_TRUE(stripe.documents[1].listed);
  EXPECT_EQ(stripe.rows_to_nothing, 1U);
}

TEST(TrafficServerCache, ALengthThatCannotBeIsNoDocument) {
  for (const std::uint32_t length : {0U, 71U, 5U << 20U, UINT32_MAX}) {
    Bytes bytes = document(1, 72, 0);
    set(bytes, 4, length);
    EXPECT_EQ(decode_document(bytes, 0, 512), std::nullopt) << length;
  }
  Bytes metadata = document(1, 72, 1);
  EXPECT_EQ(decode_document(metadata, 0, 512), std::nullopt) << "more metadata than document";
  EXPECT_EQ(decode_document(faultfs::ByteView(metadata).first(40), 0, 512), std::nullopt);
}

TEST(TrafficServerCache, ASpanHeaderThatPointsOutsideIsSaid) {
  Image image = span();
  Bytes row_of_table(24);
  set<std::uint64_t>(row_of_table, 0, 2 * block);
  set<std::uint64_t>(row_of_table, 8, UINT64_MAX / 2);
  image.write(block + 32, row_of_table);
  const CacheImage decoded = decode_trafficserver(image);
  EXPECT_THAT(decoded.stripes, IsEmpty());
  ASSERT_EQ(decoded.trouble.size(), 1U);
  EXPECT_THAT(decoded.trouble[0], HasSubstr("not on this disk"));
}

// --- noise ---

void expect_bounded(const RockImage& image) {
  std::vector<int> times(image.geometry.slots);
  for (const RockEntry& entry : image.entries) {
    for (const std::uint32_t slot : entry.slots) {
      RC_ASSERT(slot < image.geometry.slots);
      ++times[slot];
    }
  }
  for (const int count : times) {
    RC_ASSERT(count <= 1);
  }
}

void expect_bounded(const CacheImage& image, std::uint64_t disk_bytes) {
  for (const CacheStripe& stripe : image.stripes) {
    RC_ASSERT(stripe.at + stripe.size_bytes <= disk_bytes);
    std::uint64_t end = stripe.data;
    for (const FoundDocument& found : stripe.documents) {
      RC_ASSERT(found.document.at >= end);
      RC_ASSERT(found.document.stored_bytes >= found.document.length_bytes);
      end = found.document.at + found.document.stored_bytes;
    }
  }
}

/// `image` with noise in some places, more often where a structure is.
Image damaged(Image image, const std::vector<std::uint64_t>& structures) {
  const auto damages = *rc::gen::inRange(1, 12);
  for (int i = 0; i < damages; ++i) {
    const bool aimed = *rc::gen::inRange(0, 4) != 0;
    const auto base = aimed ? *rc::gen::elementOf(structures)
                            : *rc::gen::inRange<std::uint64_t>(0, image.size_bytes() - 256);
    const auto at = base + *rc::gen::inRange<std::uint64_t>(0, 120);
    const auto value = *rc::gen::element<std::uint64_t>(
        0, 1, 0xff, 0x7fffffff, UINT32_MAX, UINT64_MAX, UINT64_MAX / 8192, 16384);
    const auto size = *rc::gen::inRange<std::size_t>(1, 9);
    Bytes bytes(8);
    set(bytes, 0, value);
    image.write(at, faultfs::ByteView(bytes).first(size));
  }
  return image;
}

RC_GTEST_PROP(Formats, NoiseInARockStoreIsToldNotFollowed, ()) {
  const Image image =
      damaged(rock({{1, inode_of_two}, {0, tail_of_two}, {5, tail_of_two}, {9, inode_of_two}}),
              {16384, 2 * 16384, 6 * 16384, 10 * 16384});
  const auto slot_bytes = *rc::gen::element<std::uint32_t>(1024, 4096, 16384, 1U << 20U);
  expect_bounded(decode_rock(image, slot_bytes));
}

RC_GTEST_PROP(Formats, NoiseInASpanIsToldNotFollowed, ()) {
  const Image image = damaged(
      span(),
      {block, 2 * block, 4 * block, 5 * block, 6 * block, 7 * block, 8 * block, 8 * block + 36864});
  expect_bounded(decode_trafficserver(image), image.size_bytes());
}

RC_GTEST_PROP(Formats, AnImageOfNoiseIsTold, ()) {
  Image image(*rc::gen::inRange<std::uint64_t>(0, 9) * 4096);
  const auto words =
      *rc::gen::container<std::vector<std::uint32_t>>(64, rc::gen::arbitrary<std::uint32_t>());
  Bytes bytes(std::min<std::uint64_t>(image.size_bytes(), words.size() * 4));
  std::ranges::copy(std::as_bytes(std::span(words)).first(bytes.size()), bytes.begin());
  for (std::uint64_t at = 0; at + bytes.size() <= image.size_bytes() && !bytes.empty();
       at += bytes.size()) {
    image.write(at, bytes);
  }
  expect_bounded(decode_rock(image, 1024));
  expect_bounded(decode_trafficserver(image), image.size_bytes());
}

RC_GTEST_PROP(Formats, AnyWriteHasANote, ()) {
  TargetConfig config;
  config.target = *rc::gen::element<std::string>("squid", "trafficserver");
  config.disk_bytes = 16 * mebibyte;
  faultfs::WriteLog log;
  const Image base = *rc::gen::arbitrary<bool>() ? span() : rock({{1, inode_of_two}});
  const auto writes = *rc::gen::inRange(1, 6);
  for (int i = 0; i < writes; ++i) {
    const auto offset = *rc::gen::inRange<std::uint64_t>(0, 15 * mebibyte / 512) * 512;
    const Bytes data = *rc::gen::element(rock_slot(inode_of_two),
                                         document(3, 90000, 300),
                                         stripe_end(1, 0),
                                         Bytes(4096, std::byte{0x5f}));
    const auto size = *rc::gen::inRange<std::size_t>(1, data.size() + 1);
    log.add_write(0, offset, faultfs::ByteView(data).first(size), false, 0);
  }
  const auto notes = note_writes(config, {base}, log);
  RC_ASSERT(notes.size() == log.size());
  for (const WriteNote& note : notes) {
    RC_ASSERT(note.role != WriteRole::unknown);
  }
}

// --- notes ---

TEST(WriteNotes, NameTheSlotsOfSquid) {
  TargetConfig config;
  config.target = "squid";
  config.disk_bytes = mebibyte;
  faultfs::WriteLog log;
  const auto write = [&log](std::uint32_t slot, const SlotByHand& hand) {
    log.add_write(0, 16384 + std::uint64_t{slot} * 16384, rock_slot(hand), false, log.size());
  };
  write(1, inode_of_two);
  write(0, tail_of_two);
  log.add_mark("put#2 k3 begin");
  write(1, inode_of_two);
  const auto notes = note_writes(config, {rock({{1, inode_of_two}, {0, tail_of_two}})}, log);
  EXPECT_EQ(notes[0].text, "slot 1, inode of k3 version 2, next 0");
  EXPECT_EQ(notes[1].text, "slot 0, last of k3 version 2");
  EXPECT_EQ(notes[2].text, "");
  EXPECT_EQ(notes[3].text, "slot 1, inode of k3 version 3, next 0");
  EXPECT_THAT(weighty_entries(notes), ElementsAre(ElementsAre(1, 4), ElementsAre(2)));
}

TEST(WriteNotes, NameTheDocumentsOfTrafficServer) {
  TargetConfig config;
  config.target = "trafficserver";
  config.disk_bytes = 16 * mebibyte;
  const StripeLayout layout = stripe_layout(config.disk_bytes);
  faultfs::WriteLog log;
  const auto write = [&log](std::uint64_t at, faultfs::ByteView bytes) {
    log.add_write(0, at, bytes, true, log.size());
  };
  Bytes batch = document(5, 131072, 0);
  const Bytes lines = make_body(7, 1, 4096);
  std::copy(lines.begin(), lines.end(), batch.begin() + 72);
  const Bytes head = document(5, 3000, 2000);
  batch.insert(batch.end(), head.begin(), head.end());
  write(layout.data, faultfs::ByteView(batch).first(100000));
  write(layout.data + 100000, faultfs::ByteView(batch).subspan(100000));
  write(layout.copy_a, stripe_end(2, 0));
  write(layout.copy_b + block, Bytes(block));
  write(layout.data - block, stripe_end(2, 0));
  write(layout.data, batch);
  write(block, Bytes(block));
  const auto notes = note_writes(config, {Image(config.disk_bytes)}, log);
  EXPECT_EQ(notes[0].text, "k7 fragment 1");
  EXPECT_EQ(notes[1].text, "rest of k7 fragment 1, k7 head");
  EXPECT_EQ(notes[2].text, "directory copy A, header, sync 2");
  EXPECT_THAT(notes[3].text, HasSubstr("directory copy B, segment 0, rows 0 to "));
  EXPECT_EQ(notes[4].text, "directory copy B, footer, sync 2");
  EXPECT_EQ(notes[5].text, "first after a wrap: k7 fragment 1, k7 head");
  EXPECT_EQ(notes[5].role, WriteRole::after_wrap);
  EXPECT_EQ(notes[6].text, "span header");
  EXPECT_THAT(weighty_entries(notes),
              ElementsAre(ElementsAre(6), ElementsAre(3, 5, 7), ElementsAre(4)));
}

TEST(WriteNotes, SayNothingOfFormatsNobodyKnows) {
  faultfs::WriteLog log;
  log.add_write(0, 0, Bytes(512), false, 0);
  TargetConfig config;
  config.target = "command";
  const auto notes = note_writes(config, {Image(mebibyte)}, log);
  EXPECT_EQ(notes[0].role, WriteRole::unknown);
  EXPECT_THAT(weighty_entries(notes), IsEmpty());
}

}  // namespace
}  // namespace scenarios::formats
