// The export is read back by our own reader, and byte for byte where the layout is Linux's.

#include "faultfs/dm_log.h"

#include <unistd.h>

#include <fstream>
#include <iterator>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "faultfs/base/random.h"

namespace faultfs {
namespace {

Bytes filled(std::uint64_t size, int value) {
  return Bytes(size, static_cast<std::byte>(value));
}

class DmLogTest : public testing::Test {
 protected:
  void TearDown() override { std::filesystem::remove(file_); }

  DmLog exported(const WriteLog& log, const Image& base, std::string_view profile) {
    const auto count = export_dm_log(log, 0, base, find_profile(profile).value(), file_);
    EXPECT_TRUE(count) << (count ? "" : count.error().message);
    auto read = read_dm_log(file_);
    EXPECT_TRUE(read) << (read ? "" : read.error().message);
    EXPECT_EQ(count.value_or(0), read ? read->entries.size() : 0);
    return read ? *read : DmLog();
  }
  std::string bytes() const {
    std::ifstream stream(file_, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }

  std::filesystem::path file_ =
      std::filesystem::temp_directory_path() / fmt::format("powercut-dm-log-{}", getpid());
};

TEST_F(DmLogTest, TheLayoutIsThatOfTheKernel) {
  WriteLog log;
  log.add_write(0, 1024, filled(512, 'A'), true, 0);
  log.add_mark("put#1 done");
  exported(log, Image(64_KiB), "ssd_512_volatile");
  const std::string found = bytes();
  const auto number = [](std::uint64_t value, int size) {
    std::string text;
    for (int i = 0; i < size; ++i) {
      text += static_cast<char>((value >> (8 * i)) & 0xffU);
    }
    return text;
  };
  const auto sector = [](std::string text) {
    text.resize(512);
    return text;
  };
  EXPECT_EQ(found,
            sector(number(0x6a736677736872, 8) + number(1, 8) + number(2, 8) + number(512, 4)) +
                sector(number(2, 8) + number(1, 8) + number(2, 8) + number(0, 8)) +
                std::string(512, 'A') +
                sector(number(0, 8) + number(0, 8) + number(8, 8) + number(10, 8) + "put#1 done"));
}

// The example of the kernel's page: W1, W2, W3, C3, C2, Wflush, C1, Cflush gives W3, W2, flush, W1.
TEST_F(DmLogTest, AWriteComesWithTheFlushThatCoversIt) {
  WriteLog log;
  log.add_write(0, 3 * 512, filled(512, 3), false, 0);
  log.add_write(0, 2 * 512, filled(512, 2), false, 0);
  log.add_write(0, 1 * 512, filled(512, 1), false, 0);  // completes after the flush was issued
  log.add_write(0, 9 * 512, filled(512, 9), true, 3);
  log.add_flush(0, 2);
  log.add_discard(0, 4096, 1024, 5);
  log.add_flush(0, 6);
  log.add_write(0, 0, filled(512, 4), false, 7);
  const DmLog read = exported(log, Image(64_KiB), "ssd_512_volatile");
  std::string order;
  for (const DmEntry& entry : read.entries) {
    order += entry.mark      ? "mark "
             : entry.flush   ? "flush "
             : entry.discard ? fmt::format("discard {}+{} ", entry.sector, entry.sectors)
                             : fmt::format("W{}{} ", entry.sector, entry.fua ? "fua" : "");
  }
  EXPECT_EQ(order, "W9fua W3 W2 flush W1 discard 8+2 flush mark W0 ");
}

TEST_F(DmLogTest, ReplayingAllOfItGivesTheDisk) {
  for (const char* profile : {"ssd_512_volatile", "ssd_4k_volatile"}) {
    Random random(7);
    Image disk(256_KiB);
    disk.write(5000, filled(3000, 77));
    const Image base = disk;
    WriteLog log;
    std::uint64_t data_bytes = 0;
    for (int i = 0; i < 500; ++i) {
      const std::uint64_t at = random.below(250_KiB);
      const std::uint64_t size = 1 + random.below(6000);
      if (random.chance(1, 5)) {
        log.add_flush(0, log.size());
      } else if (random.chance(1, 6)) {
        log.add_discard(0, at, size, log.size());
        disk.write_zeros(at, size);
      } else {
        log.add_write(0, at, filled(size, i % 251), false, log.size());
        disk.write(at, filled(size, i % 251));
        data_bytes += size;
      }
    }
    Image replayed = base;
    const DmLog read = exported(log, base, profile);
    for (const DmEntry& entry : read.entries) {
      const std::uint64_t begin = entry.sector * read.sector_bytes;
      if (entry.discard) {
        replayed.write_zeros(begin, entry.sectors * read.sector_bytes);
      } else if (!entry.data.empty()) {
        replayed.write(begin, entry.data);
      }
    }
    EXPECT_TRUE(replayed.same_bytes(disk)) << profile;
    EXPECT_GT(data_bytes, 0U);
  }
}

TEST_F(DmLogTest, WhatIsNoSuchLogIsRefused) {
  std::ofstream(file_) << "something else, long enough to be a super block";
  EXPECT_NE(read_dm_log(file_).error().message.find("no log of dm-log-writes"), std::string::npos);
  WriteLog log;
  log.add_write(0, 0, filled(4096, 1), true, 0);
  exported(log, Image(64_KiB), "ssd_4k_volatile");
  std::filesystem::resize_file(file_, 4096 + 4096 + 100);
  EXPECT_NE(read_dm_log(file_).error().message.find("entry 1 of 1: it is cut short"),
            std::string::npos);
}

}  // namespace
}  // namespace faultfs
