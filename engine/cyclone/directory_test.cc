// The directory against a model, and with links that lead nowhere.
#include "engine/cyclone/directory.h"

#include <set>

#include <gtest/gtest.h>

#include "engine/base/random.h"
#include "engine/cyclone/image.h"
#include "engine/cyclone/validate.h"

namespace engine::cyclone {
namespace {

struct Rig {
  explicit Rig(std::uint32_t average = 8000, Eviction eviction = Eviction::oldest)
      : geometry(*make_geometry(16384, 1 << 20, Layout{average, 4096})),
        image(geometry.copy_bytes),
        directory(image, geometry, eviction) {
    clear_image(image, geometry);
  }
  void expect_sound() const {
    for (std::uint32_t segment = 0; segment < geometry.segments; ++segment) {
      const auto fault = validate_segment(image, geometry, segment);
      EXPECT_FALSE(fault) << fault->text;
    }
  }
  void insert(const Key& key, std::uint64_t offset_blocks) {
    Row row;
    row.offset_blocks = offset_blocks;
    row.set_size(4096);
    row.head = true;
    directory.insert(key, row, {false, geometry.data_bytes()});
  }
  [[nodiscard]] bool has(const Key& key, std::uint64_t offset_blocks) const {
    std::vector<Row> rows;
    directory.candidates(key, {false, geometry.data_bytes()}, rows);
    return std::any_of(rows.begin(), rows.end(), [offset_blocks](const Row& row) {
      return row.offset_blocks == offset_blocks;
    });
  }

  StripeGeometry geometry;
  std::vector<std::byte> image;
  Directory directory;
};

Key any_key(std::uint64_t number) {
  return make_key(mix(1, number), mix(2, number));
}

/// The first bucket's root is row 0, which as a link means the end. Rows behind it once outlived
/// every wrap, and passed for new ones at the next but one.
TEST(Directory, EveryRowOfTheFirstBucketIsErased) {
  Rig rig;
  for (std::uint32_t n = 1; n <= 6; ++n) {
    rig.insert(Key{{0, 0, n, 0}}, n * 8);
  }
  EXPECT_EQ(rig.directory.erase_if([](const Row&) { return true; }), 6U);
  EXPECT_FALSE(rig.has(Key{{0, 0, 6, 0}}, 6 * 8));
  rig.expect_sound();
}

TEST(Directory, HoldsWhatWasInsertedAndNotErased) {
  Rig rig;
  std::set<std::uint64_t> model;
  for (std::uint64_t step = 0; step < 5000; ++step) {
    const std::uint64_t number = 1 + mix(9, step) % 80;
    if (model.contains(number)) {
      EXPECT_TRUE(rig.directory.erase(any_key(number), number * 8));
      model.erase(number);
    } else {
      rig.insert(any_key(number), number * 8);
      model.insert(number);
    }
    if (step % 100 == 0) {
      rig.expect_sound();
    }
  }
  for (std::uint64_t number = 1; number <= 80; ++number) {
    EXPECT_EQ(rig.has(any_key(number), number * 8), model.contains(number)) << number;
  }
  EXPECT_EQ(rig.directory.evictions(), 0U);
  EXPECT_EQ(rig.directory.segments_emptied(), 0U);
}

/// All rows under one key: the longest chain there can be, and it stays a chain.
TEST(Directory, OneChainTakesEveryRow) {
  Rig rig;
  const std::uint32_t longest = 3 * rig.geometry.buckets + 1;
  for (std::uint64_t number = 1; number <= longest; ++number) {
    rig.insert(any_key(7), number * 8);
  }
  rig.expect_sound();
  EXPECT_EQ(rig.directory.evictions(), 0U);
  EXPECT_TRUE(rig.has(any_key(7), 8));
  rig.insert(any_key(7), (longest + 1) * 8);
  EXPECT_EQ(rig.directory.evictions(), Directory::eviction_batch(rig.geometry));
  EXPECT_FALSE(rig.has(any_key(7), 8));
  EXPECT_TRUE(rig.has(any_key(7), (longest + 1) * 8));
  rig.expect_sound();
}

TEST(Directory, TheReferenceDropsEveryTenthHead) {
  Rig rig(8000, Eviction::every_tenth);
  for (std::uint64_t number = 1; number <= 3 * rig.geometry.rows(); ++number) {
    rig.insert(any_key(number), number % 200 * 8 + 8);
    if (number % 16 == 0) {
      rig.expect_sound();
    }
  }
  EXPECT_GT(rig.directory.evictions(), 0U);
}

TEST(Directory, RowsOutsideTheWindowDoNotCount) {
  Rig rig;
  Row row;
  row.offset_blocks = 80;
  row.set_size(4096);
  rig.directory.insert(any_key(1), row, {false, 1 << 20});
  const std::uint64_t at = row.data_offset();
  std::vector<Row> found;
  rig.directory.candidates(any_key(1), {false, at}, found);
  EXPECT_TRUE(found.empty()) << "of this phase, not before the write head";
  rig.directory.candidates(any_key(1), {false, at + 1}, found);
  EXPECT_EQ(found.size(), 1U);
  rig.directory.candidates(any_key(1), {true, at}, found);
  EXPECT_EQ(found.size(), 1U) << "of the phase before, and not overwritten";
  rig.directory.candidates(any_key(1), {true, at + 1}, found);
  EXPECT_TRUE(found.empty()) << "overwritten";
}

/// Any bytes: every operation ends, and stays inside the image (the sanitizers watch).
TEST(Directory, NoiseIsSurvived) {
  for (std::uint64_t round = 0; round < 60; ++round) {
    Rig rig;
    for (std::size_t at = rig.geometry.header_bytes; at < rig.geometry.footer_at(); ++at) {
      rig.image[at] = static_cast<std::byte>(mix(round, at) & (round % 2 == 0 ? 0xffU : 0x3fU));
    }
    set_free_head(rig.image, 0, static_cast<std::uint16_t>(mix(round, 1)));
    for (std::uint64_t number = 1; number < 200; ++number) {
      rig.insert(any_key(number), number * 8);
      static_cast<void>(rig.directory.erase(any_key(number / 2), number * 4));
    }
    rig.directory.for_each([](std::uint32_t, std::uint32_t, const Row&) {});
    static_cast<void>(rig.directory.erase_if([](const Row& each) { return each.phase; }));
  }
}

}  // namespace
}  // namespace engine::cyclone
