#include "faultfs/image.h"

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace faultfs {
namespace {

using ::testing::HasSubstr;

constexpr std::uint64_t disk_bytes = 80 * Image::page_bytes + 512;  // two leaves, a part of a page

Bytes filled(std::size_t size, int value) {
  return Bytes(size, static_cast<std::byte>(value));
}

Bytes content(const Image& image) {
  Bytes bytes(image.size_bytes());
  image.read(0, bytes);
  return bytes;
}

TEST(ImageTest, KnowsWhereNothingWasEverWritten) {
  Image image(disk_bytes);
  EXPECT_EQ(image.blank_until(0), disk_bytes);
  EXPECT_EQ(image.blank_until(disk_bytes), disk_bytes);
  image.write(70 * Image::page_bytes + 5, filled(1, 1));
  EXPECT_EQ(image.blank_until(0), 70 * Image::page_bytes);
  EXPECT_EQ(image.blank_until(3), 70 * Image::page_bytes);
  EXPECT_EQ(image.blank_until(70 * Image::page_bytes + 1), 70 * Image::page_bytes + 1);
  EXPECT_EQ(image.blank_until(71 * Image::page_bytes), disk_bytes);
  image.write_zeros(70 * Image::page_bytes, Image::page_bytes);
  EXPECT_EQ(image.blank_until(0), disk_bytes);
}

/// One change of an image, applied to it and to plain bytes alike.
struct Change {
  std::uint64_t offset;
  std::uint64_t size;
  int value;  // 0: write_zeros
};

rc::Gen<std::vector<Change>> changes() {
  auto change =
      rc::gen::map(rc::gen::tuple(rc::gen::inRange<std::uint64_t>(0, disk_bytes),
                                  rc::gen::oneOf(rc::gen::inRange<std::uint64_t>(0, 600),
                                                 rc::gen::inRange<std::uint64_t>(0, 3 * 4096),
                                                 rc::gen::just<std::uint64_t>(4096)),
                                  rc::gen::inRange(0, 4),
                                  rc::gen::arbitrary<bool>()),
                   [](const std::tuple<std::uint64_t, std::uint64_t, int, bool>& drawn) {
                     auto [offset, size, value, aligned] = drawn;
                     offset -= aligned ? offset % Image::page_bytes : 0;
                     return Change{offset, std::min(size, disk_bytes - offset), value};
                   });
  return rc::gen::container<std::vector<Change>>(change);
}

void apply(const std::vector<Change>& list, Image& image, Bytes& bytes) {
  for (const Change& change : list) {
    if (change.value == 0) {
      image.write_zeros(change.offset, change.size);
    } else {
      image.write(change.offset, filled(change.size, change.value));
    }
    std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(change.offset),
                change.size,
                static_cast<std::byte>(change.value));
  }
}

RC_GTEST_PROP(Image, IsPlainBytesThatCopyCheaply, ()) {
  auto before = *changes();
  auto after = *changes();
  Image image(disk_bytes);
  Bytes bytes(disk_bytes);
  apply(before, image, bytes);
  const Image copy = image;
  const Bytes copied = bytes;
  apply(after, image, bytes);

  RC_ASSERT(content(image) == bytes);
  RC_ASSERT(content(copy) == copied);
  RC_ASSERT(image.same_bytes(copy) == (bytes == copied));
  RC_ASSERT((image.hash() == copy.hash()) == (bytes == copied));

  image.rewind_to(copy);
  RC_ASSERT(content(image) == copied);
  apply(after, image, bytes = copied);
  RC_ASSERT(content(image) == bytes);
  RC_ASSERT(content(copy) == copied);
}

// Copies of copies, written and rewound to each other in any order: a rewind is always exact,
// whether or not it could take the short way.
RC_GTEST_PROP(Image, AnyImageRewindsToAnyOther, ()) {
  std::vector<Image> images(4, Image(disk_bytes));
  std::vector<Bytes> plain(4, Bytes(disk_bytes));
  auto steps = *rc::gen::container<std::vector<std::tuple<int, int, int>>>(
      rc::gen::tuple(rc::gen::inRange(0, 4), rc::gen::inRange(0, 4), rc::gen::inRange(0, 4)));
  for (auto [verb, one, two] : steps) {
    auto at = static_cast<std::size_t>(one);
    auto from = static_cast<std::size_t>(two);
    if (verb == 0) {
      images[at] = Image(images[from]);
    } else if (verb == 1) {
      images[at].rewind_to(images[from]);
    } else {
      apply(*changes(), images[at], plain[at]);
      continue;
    }
    plain[at] = Bytes(plain[from]);
  }
  for (std::size_t i = 0; i < images.size(); ++i) {
    RC_ASSERT(content(images[i]) == plain[i]);
  }
}

TEST(Image, ARewindStaysExactAfterManyMoreWritesThanThereArePages) {
  Image base(16 * 4096);
  Image image = base;
  for (int round = 0; round < 5000; ++round) {
    image.write(4096, filled(4096, 1 + round % 200));
    Image snapshot = image;  // makes the next write replace the page again
  }
  image.rewind_to(base);
  EXPECT_TRUE(image.same_bytes(base));
}

RC_GTEST_PROP(Image, CopyRangeIsReadAndWrite, ()) {
  Image from(disk_bytes);
  Image into(disk_bytes);
  Bytes from_bytes(disk_bytes);
  Bytes into_bytes(disk_bytes);
  apply(*changes(), from, from_bytes);
  apply(*changes(), into, into_bytes);
  for (const Change& range : *changes()) {
    into.copy_range(from, range.offset, range.size);
    auto first = from_bytes.begin() + static_cast<std::ptrdiff_t>(range.offset);
    std::copy_n(first, range.size, into_bytes.begin() + static_cast<std::ptrdiff_t>(range.offset));
  }
  RC_ASSERT(content(into) == into_bytes);
  RC_ASSERT(content(from) == from_bytes);
}

TEST(Image, ZerosWrittenEqualZerosNeverWritten) {
  Image blank(disk_bytes);
  Image written(disk_bytes);
  written.write(4096, filled(4096, 7));
  EXPECT_NE(written.hash(), blank.hash());
  written.write(4096, filled(4096, 0));
  EXPECT_EQ(written.hash(), blank.hash());
  EXPECT_TRUE(written.same_bytes(blank));
  EXPECT_FALSE(blank.same_bytes(Image(disk_bytes + 512)));
}

TEST(Image, TheSamePageElsewhereHashesDifferently) {
  Image left(disk_bytes);
  Image right(disk_bytes);
  left.write(0, filled(4096, 1));
  right.write(4096, filled(4096, 1));
  EXPECT_NE(left.hash(), right.hash());
}

TEST(Image, SavesSparseAndLoadsTheSameBytes) {
  std::filesystem::path file = std::filesystem::path(::testing::TempDir()) / "image_test.img";
  Image image(disk_bytes);
  image.write(5000, filled(9000, 3));
  image.write(disk_bytes - 1, filled(1, 9));
  ASSERT_TRUE(image.save(file));
  EXPECT_EQ(std::filesystem::file_size(file), disk_bytes);
  Result<Image> loaded = Image::load(file);
  ASSERT_TRUE(loaded);
  EXPECT_TRUE(loaded->same_bytes(image));
  EXPECT_EQ(loaded->hash(), image.hash());

  Image blank(disk_bytes);
  ASSERT_TRUE(blank.save(file));
  EXPECT_TRUE(Image::load(file).value().same_bytes(blank));
  std::filesystem::remove(file);
}

TEST(Image, TroubleWithFilesIsASentence) {
  Result<Image> missing = Image::load("/nonexistent/disk.img");
  ASSERT_FALSE(missing);
  EXPECT_THAT(missing.error().message, HasSubstr("/nonexistent/disk.img: No such file"));
  EXPECT_FALSE(Image::load(::testing::TempDir())) << "a directory";
  Status unwritable = Image(4096).save("/nonexistent/disk.img");
  ASSERT_FALSE(unwritable);
  EXPECT_THAT(unwritable.error().message, HasSubstr("/nonexistent/disk.img: No such file"));
}

TEST(Image, CopiesLiveOnDifferentThreads) {
  Image shared(disk_bytes);
  shared.write(0, filled(disk_bytes, 5));
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int value = 10; value < 14; ++value) {
    threads.emplace_back([mine = shared, value, &wrong]() mutable {
      Image original = mine;
      for (int round = 0; round < 50; ++round) {
        mine.write(4096, filled(20000, value));
        Bytes bytes(20000);
        mine.read(4096, bytes);
        wrong += bytes == filled(20000, value) ? 0 : 1;
        mine.rewind_to(original);
      }
      wrong += content(mine) == filled(disk_bytes, 5) ? 0 : 1;
    });
  }
  shared = Image(disk_bytes);
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(wrong, 0);
}

TEST(ImageDeathTest, ARangeOutsideTheDiskIsABugOfTheHarness) {
  Image image(4096);
  Bytes bytes(4096);
  EXPECT_EXIT(image.write(1, bytes), ::testing::ExitedWithCode(70), "bytes 1 . 4096 of a disk");
  EXPECT_EXIT(image.read(~0ULL, bytes), ::testing::ExitedWithCode(70), "of a disk of 4096");
}

}  // namespace
}  // namespace faultfs
