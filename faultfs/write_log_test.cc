#include "faultfs/write_log.h"

#include <filesystem>
#include <fstream>
#include <iterator>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace faultfs {
namespace {

using ::testing::HasSubstr;

std::filesystem::path temporary(const std::string& name) {
  return std::filesystem::path(::testing::TempDir()) / name;
}

std::string read_text(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

void write_text(const std::filesystem::path& file, const std::string& text) {
  std::ofstream(file, std::ios::binary | std::ios::trunc) << text;
}

ByteView view(const std::string& text) {
  return std::as_bytes(std::span(text));
}

WriteLog any_log() {
  WriteLog log;
  auto kinds = *rc::gen::container<std::vector<int>>(rc::gen::inRange(0, 4));
  for (int kind : kinds) {
    auto disk = *rc::gen::inRange<DiskNumber>(0, 3);
    auto issued_after = *rc::gen::inRange<std::uint32_t>(0, log.size() + 1);
    auto offset = *rc::gen::inRange<std::uint64_t>(0, 1ULL << 40);
    auto text = *rc::gen::arbitrary<std::string>();
    switch (static_cast<EntryKind>(kind)) {
      case EntryKind::write:
        log.add_write(disk, offset, view(text), *rc::gen::arbitrary<bool>(), issued_after);
        break;
      case EntryKind::flush:
        log.add_flush(disk, issued_after);
        break;
      case EntryKind::discard:
        log.add_discard(disk, offset, text.size(), issued_after);
        break;
      case EntryKind::mark:
        log.add_mark(text);
        break;
    }
  }
  return log;
}

WriteLog small_log() {
  WriteLog log;
  log.add_mark("put#1 k7 begin");
  log.add_write(1, 512, view("hello"), true, 1);
  log.add_flush(1, 2);
  log.add_discard(0, 4096, 8192, 3);
  return log;
}

TEST(WriteLog, RemembersWhatItWasAsked) {
  WriteLog log = small_log();
  ASSERT_EQ(log.size(), 4U);
  EXPECT_EQ(log.mark_text(1), "put#1 k7 begin");
  EXPECT_TRUE(log.data(1).empty());
  EXPECT_EQ(log.entry(2).kind, EntryKind::write);
  EXPECT_EQ(log.entry(2).disk, 1);
  EXPECT_TRUE(log.entry(2).fua);
  EXPECT_EQ(log.entry(2).offset_bytes, 512U);
  EXPECT_EQ(log.entry(2).size_bytes, 5U);
  EXPECT_EQ(log.data(2).size(), 5U);
  EXPECT_EQ(log.data(2)[0], std::byte{'h'});
  EXPECT_EQ(log.mark_text(2), "");
  EXPECT_EQ(log.entry(3).issued_after, 2U);
  EXPECT_EQ(log.entry(4).size_bytes, 8192U);
  log.clear();
  EXPECT_EQ(log.size(), 0U);
  EXPECT_EQ(log.add_mark("again"), 1U);
}

TEST(WriteLog, EntriesAreNamedAlike) {
  EXPECT_EQ(entry_name(0), "w0000");
  EXPECT_EQ(entry_name(118), "w0118");
  EXPECT_EQ(entry_name(123456), "w123456");
}

TEST(WriteLogDeathTest, AnEntryThatIsNotThereIsABugOfTheHarness) {
  WriteLog log = small_log();
  EXPECT_EXIT((void)log.entry(0), ::testing::ExitedWithCode(70), "entry 0 of a log of 4");
  EXPECT_EXIT((void)log.entry(5), ::testing::ExitedWithCode(70), "entry 5 of a log of 4");
}

RC_GTEST_PROP(WriteLog, LoadUndoesSave, ()) {
  std::filesystem::path file = temporary("write_log_test_round.log");
  WriteLog log = any_log();
  RC_ASSERT(log.save(file).has_value());
  Result<WriteLog> loaded = WriteLog::load(file);
  RC_ASSERT(loaded.has_value());
  RC_ASSERT(*loaded == log);
  std::filesystem::remove(file);
}

RC_GTEST_PROP(WriteLog, EqualityIsOfContent, ()) {
  WriteLog left = any_log();
  WriteLog right = left;
  RC_ASSERT(left == right);
  right.add_mark("");
  RC_ASSERT(!(left == right));
}

// Every single bit of a file is flipped, and the file is cut at every length: each is refused, for
// the checksum covers all behind it and the fields before it have one right value each.
TEST(WriteLog, EveryFlippedBitAndEveryCutIsRefused) {
  std::filesystem::path file = temporary("write_log_test_flip.log");
  ASSERT_TRUE(small_log().save(file));
  const std::string good = read_text(file);
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    std::string bad = good;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
    write_text(file, bad);
    Result<WriteLog> loaded = WriteLog::load(file);
    ASSERT_FALSE(loaded) << "bit " << bit;
    ASSERT_THAT(loaded.error().message, HasSubstr(file.string()));
  }
  for (std::size_t size = 0; size < good.size(); ++size) {
    write_text(file, good.substr(0, size));
    ASSERT_FALSE(WriteLog::load(file)) << "cut at " << size;
  }
  write_text(file, good);
  EXPECT_TRUE(WriteLog::load(file));
  std::filesystem::remove(file);
}

RC_GTEST_PROP(WriteLog, FilesOfNoiseAreRefused, (const std::string& noise)) {
  std::filesystem::path file = temporary("write_log_test_noise.log");
  write_text(file, (*rc::gen::arbitrary<bool>() ? "pwcutlog" : "") + noise);
  RC_ASSERT(!WriteLog::load(file));
  std::filesystem::remove(file);
}

TEST(WriteLog, SaysWhatIsWrongWithAFile) {
  std::filesystem::path file = temporary("write_log_test_wrong.log");
  EXPECT_THAT(WriteLog::load(temporary("missing.log")).error().message,
              HasSubstr("No such file or directory"));
  EXPECT_THAT(WriteLog::load(::testing::TempDir()).error().message, HasSubstr("Is a directory"));
  write_text(file, "PNG and so on, for more than the header has");
  EXPECT_THAT(WriteLog::load(file).error().message, HasSubstr("not a write log of powercut"));
  write_text(file, "pwcutlog");
  EXPECT_THAT(WriteLog::load(file).error().message, HasSubstr("cut short"));

  ASSERT_TRUE(small_log().save(file));
  std::string text = read_text(file);
  write_text(file, text.substr(0, text.size() - 1));
  EXPECT_THAT(WriteLog::load(file).error().message, HasSubstr("cut short or damaged"));
  text[8] = 2;
  write_text(file, text);
  EXPECT_THAT(WriteLog::load(file).error().message, HasSubstr("version 2"));
  std::filesystem::remove(file);

  EXPECT_THAT(small_log().save("/nonexistent/w.log").error().message,
              HasSubstr("/nonexistent/w.log: No such file or directory"));
}

}  // namespace
}  // namespace faultfs
