// A kill after every single store into a directory in shared memory. The validator must refuse what
// is not sound, whichever store was the last; and it is seen that its checks of membership are what
// does it, by the stores at which nothing else would.

#include <algorithm>
#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "engine/base/random.h"
#include "engine/cyclone/directory.h"
#include "engine/cyclone/image.h"
#include "engine/cyclone/store_log_test.h"
#include "engine/cyclone/validate.h"

namespace engine::cyclone {
namespace {

#ifndef POWERCUT_STORE_LOG

TEST(StoreKills, NeedX86AndNoSanitizer) {
  GTEST_SKIP() << "stores are logged by single steps, on x86-64 and without sanitizers";
}

#else

constexpr ImageCheck membership[] = {ImageCheck::free_list_row_in_use,
                                     ImageCheck::chain_row_twice,
                                     ImageCheck::row_unreachable,
                                     ImageCheck::chain_row_empty};

/// Counts, for every row of a segment that is no root, the chains and the free list that it is in;
/// the first row that is not in exactly one place, in words. Knows nothing of the validator.
std::string misplaced(std::span<const std::byte> image, const StripeGeometry& geometry) {
  for (std::uint32_t segment = 0; segment < geometry.segments; ++segment) {
    const SegmentRows<const std::byte> rows(segment_bytes(image, geometry, segment));
    const std::uint32_t count = geometry.segment_rows();
    std::vector<std::uint32_t> places(count);
    const auto walk = [&](std::uint32_t from) {
      std::uint32_t steps = 0;
      for (std::uint32_t row = from; row != 0 && row < count && steps <= count; ++steps) {
        ++places[row];
        row = rows.next(row);
      }
    };
    walk(free_head(image, segment));
    for (std::uint32_t root = 0; root < count; root += bucket_rows) {
      if (!rows.empty(root)) {
        walk(rows.next(root));
      }
    }
    for (std::uint32_t row = 0; row < count; ++row) {
      const bool root = row % bucket_rows == 0;
      if (!root && places[row] != 1) {
        return fmt::format("row {} of segment {} is in {} places", row, segment, places[row]);
      }
    }
  }
  return "";
}

bool refused(std::span<const std::byte> image,
             const StripeGeometry& geometry,
             const ImageChecks& checks) {
  for (std::uint32_t segment = 0; segment < geometry.segments; ++segment) {
    if (validate_segment(image, geometry, segment, checks)) {
      return true;
    }
  }
  return false;
}

/// "row 12 of segment 0, word 3", or the part of the image that the store is in.
std::string name_of(std::size_t offset,
                    std::span<std::byte> image,
                    const StripeGeometry& geometry) {
  for (std::uint32_t segment = 0; segment < geometry.segments; ++segment) {
    const auto bytes = segment_bytes(image, geometry, segment);
    const auto begin = static_cast<std::size_t>(bytes.data() - image.data());
    if (offset >= begin && offset < begin + bytes.size()) {
      return fmt::format("row {} of segment {}, word {}",
                         (offset - begin) / row_bytes,
                         segment,
                         (offset - begin) % row_bytes / 2);
    }
  }
  return offset < image_header_bytes(geometry.segments) ? "the header, a free list's head"
                                                        : "behind the rows";
}

TEST(StoreKills, WhatTheValidatorTakesIsSoundAfterEveryStore) {
  // Few buckets and many keys: chains are long, and rows come and go between chain and free list.
  const StripeGeometry geometry = *make_geometry(16384, 1 << 20, Layout{16000, 4096});
  StoreLog log(geometry.copy_bytes);
  clear_image(log.bytes(), geometry);
  Directory directory(log.bytes(), geometry, Eviction::oldest);
  const Window window{false, geometry.data_bytes()};
  const auto key = [](std::uint64_t number) { return make_key(mix(1, number), mix(2, number)); };
  const auto put = [&](std::uint64_t number) {
    Row row;
    row.offset_blocks = number * 8;
    row.set_size(4096);
    row.head = true;
    directory.insert(key(number), row, window);
  };
  for (std::uint64_t number = 1; number <= 40; ++number) {
    put(number);
  }
  ASSERT_EQ(misplaced(log.bytes(), geometry), "");
  log.record([&] {
    for (std::uint64_t step = 0; step < 60; ++step) {
      const std::uint64_t number = 1 + mix(5, step) % 50;
      if (!directory.erase(key(number), number * 8)) {
        put(number);
      }
    }
  });
  ASSERT_EQ(misplaced(log.bytes(), geometry), "");
  ASSERT_GT(log.stores().size(), 200U);

  ImageChecks without;
  for (const ImageCheck check : membership) {
    without.switch_off(check);
  }
  std::size_t unsound = 0;
  std::vector<std::string> caught_by_membership;
  for (std::size_t count = 0; count <= log.stores().size(); ++count) {
    const std::vector<std::byte> image = log.after(count);
    const std::string wrong = misplaced(image, geometry);
    if (wrong.empty()) {
      continue;
    }
    ++unsound;
    EXPECT_TRUE(refused(image, geometry, ImageChecks()))
        << "after store " << count << ": " << wrong;
    if (!refused(image, geometry, without)) {
      caught_by_membership.push_back(fmt::format(
          "killed after store {} ({}): {}",
          count,
          count == 0 ? "none" : name_of(log.stores()[count - 1].offset, log.bytes(), geometry),
          wrong));
    }
  }
  EXPECT_GT(unsound, 20U);
  ASSERT_FALSE(caught_by_membership.empty()) << "nothing shows that membership is asked for";
  EXPECT_NE(caught_by_membership.front().find("row "), std::string::npos);
  fmt::print(
      "{} stores, {} kills leave an unsound directory; without the checks of membership {} "
      "of them are taken, the first:\n  {}\n",
      log.stores().size(),
      unsound,
      caught_by_membership.size(),
      caught_by_membership.front());
}

TEST(StoreKills, TheLogTellsEveryStoreInOrder) {
  StoreLog log(8192);
  log.record([&] {
    volatile std::byte* bytes = log.bytes().data();
    bytes[10] = std::byte{1};
    bytes[5000] = std::byte{2};
    bytes[10] = std::byte{3};
    bytes[10] = std::byte{3};  // changes nothing
  });
  ASSERT_EQ(log.stores().size(), 3U);
  EXPECT_EQ(log.stores()[1].offset, 5000U);
  EXPECT_EQ(log.after(0)[10], std::byte{0});
  EXPECT_EQ(log.after(1)[10], std::byte{1});
  EXPECT_EQ(log.after(1)[5000], std::byte{0});
  EXPECT_EQ(log.after(3)[10], std::byte{3});
}

#endif

}  // namespace
}  // namespace engine::cyclone
