#include "faultfs/log_arena.h"

#include <gtest/gtest.h>

#include "faultfs/base/random.h"
#include "faultfs/write_log.h"

namespace faultfs {
namespace {

/// Half noise, half nothing: it compresses to half.
Bytes piece(std::uint64_t number, std::uint64_t size) {
  Bytes bytes(size);
  Random random(number);
  for (std::uint64_t at = 0; at < size / 2; ++at) {
    bytes[at] = static_cast<std::byte>(random.below(256));
  }
  return bytes;
}

struct Added {
  std::uint64_t number, at, size;
};

/// `count` pieces of every size from nothing to more than a part.
std::vector<Added> fill(LogArena& arena, std::uint64_t first, std::uint64_t count) {
  std::vector<Added> all;
  Random random(first);
  for (std::uint64_t number = first; number < first + count; ++number) {
    const std::uint64_t size = number % 97 == 0 ? 2_MiB + random.below(9000) : random.below(20000);
    all.push_back({number, arena.add(piece(number, size)), size});
  }
  return all;
}

void expect_holds(const LogArena& arena, const std::vector<Added>& all) {
  for (const Added& it : all) {
    const ByteView bytes = arena.view(it.at, it.size);
    const Bytes expected = piece(it.number, it.size);
    ASSERT_TRUE(std::equal(bytes.begin(), bytes.end(), expected.begin(), expected.end()))
        << it.number;
  }
}

TEST(LogArena, GivesBackWhatItWasGivenSpilledOrNot) {
  for (const std::uint64_t limit : {std::uint64_t{0}, std::uint64_t{1}, 6_MiB}) {
    LogArena arena;
    arena.keep_in_memory(limit);
    auto all = fill(arena, 1, 1500);
    expect_holds(arena, all);
    const ArenaState state = arena.state();
    EXPECT_EQ(state.memory_bytes + state.spilled_bytes, arena.size_bytes());
    EXPECT_EQ(state.trouble, "");
    EXPECT_EQ(state.spilled_bytes > 0, limit > 0);
    if (limit > 0) {
      EXPECT_LE(state.memory_bytes, std::max<std::uint64_t>(limit, 2_MiB) + 3_MiB);
      EXPECT_LT(state.file_bytes, state.spilled_bytes * 2 / 3);
      EXPECT_GT(state.file_bytes, state.spilled_bytes / 3);
    }
    std::reverse(all.begin(), all.end());
    expect_holds(arena, all);
  }
}

TEST(LogArena, CopiesAreApartAndGoOnByThemselves) {
  LogArena arena;
  arena.keep_in_memory(2_MiB);
  const auto before = fill(arena, 1, 400);
  LogArena copy = arena;
  EXPECT_TRUE(copy == arena);
  const auto mine = fill(arena, 1000, 400);
  EXPECT_FALSE(copy == arena);
  const auto theirs = fill(copy, 5000, 400);
  expect_holds(arena, before);
  expect_holds(arena, mine);
  expect_holds(copy, before);
  expect_holds(copy, theirs);
  arena.clear();
  EXPECT_EQ(arena.size_bytes(), 0U);
  const auto again = fill(arena, 9000, 50);
  expect_holds(arena, again);
  expect_holds(copy, before);
}

TEST(LogArena, EqualContentIsEqualWhereverItsPartsEnd) {
  LogArena whole, spilled;
  spilled.keep_in_memory(1);
  fill(whole, 1, 300);
  fill(spilled, 1, 300);
  EXPECT_TRUE(whole == spilled);
  LogArena copy = whole;
  whole.add(piece(7, 100));
  copy.add(piece(7, 100));
  EXPECT_TRUE(whole == copy);
  copy.add(piece(8, 100));
  whole.add(piece(9, 100));
  EXPECT_FALSE(whole == copy);
}

TEST(LogArena, WhereNothingCanBeSpilledAllStaysInMemoryAndTheReasonIsTold) {
  setenv("TMPDIR", "/proc", 1);
  LogArena arena;
  arena.keep_in_memory(1);
  const auto all = fill(arena, 1, 1500);
  unsetenv("TMPDIR");
  EXPECT_NE(arena.state().trouble.find("/proc"), std::string::npos) << arena.state().trouble;
  EXPECT_EQ(arena.state().spilled_bytes, 0U);
  expect_holds(arena, all);
}

TEST(LogArena, ASpilledLogIsTheSameLog) {
  WriteLog whole, spilled;
  spilled.keep_in_memory(1);
  for (WriteLog* log : {&whole, &spilled}) {
    for (std::uint32_t number = 0; number < 2000; ++number) {
      log->add_write(0, number * 4096ULL, piece(number, 4096), number % 3 == 0, number);
    }
  }
  EXPECT_GT(spilled.arena().spilled_bytes, 4_MiB);
  EXPECT_TRUE(whole == spilled);
  const auto file = std::filesystem::temp_directory_path() / "powercut-spilled-log-test";
  ASSERT_TRUE(spilled.save(file));
  const auto loaded = WriteLog::load(file);
  std::filesystem::remove(file);
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_TRUE(*loaded == whole);
}

}  // namespace
}  // namespace faultfs
