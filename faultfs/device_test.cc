#include "faultfs/device.h"

#include <cerrno>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "faultfs/crash_model.h"

namespace faultfs {
namespace {

using ::testing::HasSubstr;

Bytes filled(std::size_t size, int value) {
  return Bytes(size, static_cast<std::byte>(value));
}

std::unique_ptr<Device> make_device(std::string_view profile = "ssd_4k_volatile") {
  auto device =
      Device::create(find_profile(profile).value(), {{"disk0", 64_KiB}, {"disk1", 32_KiB}});
  EXPECT_TRUE(device);
  return std::move(device.value());
}

int first_byte(Device& device, DiskNumber disk, std::uint64_t offset_bytes) {
  Bytes bytes(1);
  EXPECT_EQ(device.read(device.generation(), disk, offset_bytes, bytes), 0);
  return std::to_integer<int>(bytes[0]);
}

TEST(Device, RefusesDisksItCannotHave) {
  DeviceProfile profile = find_profile("ssd_4k_volatile").value();
  auto refusal = [&](std::vector<DiskSpec> disks) {
    auto device = Device::create(profile, std::move(disks));
    return device ? "accepted" : device.error().message;
  };
  EXPECT_THAT(refusal({}), HasSubstr("0 disks"));
  EXPECT_THAT(refusal({{"", 4096}}), HasSubstr("no name of a disk"));
  EXPECT_THAT(refusal({{"..", 4096}}), HasSubstr("\"..\""));
  EXPECT_THAT(refusal({{"a/b", 4096}}), HasSubstr("\"a/b\""));
  EXPECT_THAT(refusal({{std::string(256, 'x'), 4096}}), HasSubstr("1 to 255"));
  EXPECT_THAT(refusal({{"a", 4096}, {"a", 4096}}), HasSubstr("two disks are called \"a\""));
  EXPECT_THAT(refusal({{"a", 0}}), HasSubstr("\"a\": 0 bytes"));
  EXPECT_THAT(refusal({{"a", 512}}), HasSubstr("multiples of the sector, 4096"));
  profile.atomic_write_bytes = 1;
  EXPECT_THAT(refusal({{"a", 4096}}), HasSubstr("atomic write unit"));
}

TEST(Device, LogsRequestsInTheOrderInWhichTheyTookEffect) {
  auto device = make_device();
  EXPECT_EQ(device->write(1, 0, 4096, filled(4096, 7), false), 0);
  device->mark("put#1 begin");
  EXPECT_EQ(device->write(1, 1, 100, filled(50, 8), true), 0);
  EXPECT_EQ(device->flush(1, 0), 0);
  EXPECT_EQ(device->discard(1, 0, 4096, 4096), 0);
  Bytes bytes(4096);
  EXPECT_EQ(device->read(1, 1, 0, bytes), 0);

  WriteLog expected;
  expected.add_write(0, 4096, filled(4096, 7), false, 0);
  expected.add_mark("put#1 begin");
  expected.add_write(1, 100, filled(50, 8), true, 2);
  expected.add_flush(0, 3);
  expected.add_discard(0, 4096, 4096, 4);
  EXPECT_EQ(device->log_size(), 5U);
  EXPECT_TRUE(device->log() == expected);
  EXPECT_EQ(first_byte(*device, 1, 149), 8);
  EXPECT_EQ(first_byte(*device, 0, 4096), 0);

  DeviceCounters counters = device->counters();
  EXPECT_EQ(counters.writes, 1U);
  EXPECT_EQ(counters.fua_writes, 1U);
  EXPECT_EQ(counters.flushes, 1U);
  EXPECT_EQ(counters.discards, 1U);
  EXPECT_EQ(counters.reads, 3U);
  EXPECT_EQ(counters.written_bytes, 4146U);
  EXPECT_EQ(counters.read_bytes, 4098U);
}

TEST(Device, RequestsOutsideTheDiskAreErrorsAndLeaveNoTrace) {
  auto device = make_device();
  device->cut_at_request(2);
  Bytes bytes(4096);
  EXPECT_EQ(device->read(1, 1, 32_KiB - 1, bytes), EINVAL);
  EXPECT_EQ(device->read(1, 1, ~0ULL, bytes), EINVAL);
  EXPECT_EQ(device->write(1, 1, 32_KiB - 1, bytes, false), ENOSPC);
  EXPECT_EQ(device->write(1, 1, ~0ULL - 1, bytes, false), ENOSPC);
  EXPECT_EQ(device->discard(1, 1, 32_KiB, 1), EINVAL);
  EXPECT_EQ(device->discard(1, 1, 1, ~0ULL), EINVAL);
  EXPECT_EQ(device->log_size(), 0U);
  EXPECT_FALSE(device->is_cut());
  EXPECT_EQ(device->write(1, 1, 0, bytes, false), 0) << "the ones above did not count";
}

TEST(Device, AfterACutEveryRequestFailsAndChangesNothing) {
  auto device = make_device();
  EXPECT_EQ(device->write(1, 0, 0, filled(4096, 7), false), 0);
  device->cut_now();
  EXPECT_TRUE(device->is_cut());
  Bytes bytes(4096);
  EXPECT_EQ(device->read(1, 0, 0, bytes), EIO);
  EXPECT_EQ(device->write(1, 0, 0, filled(4096, 8), true), EIO);
  EXPECT_EQ(device->flush(1, 0), EIO);
  EXPECT_EQ(device->discard(1, 0, 0, 4096), EIO);
  device->mark("put#1 end");
  device->disarm();
  EXPECT_TRUE(device->is_cut()) << "only power_on ends a cut";

  EXPECT_EQ(device->log_size(), 1U);
  EXPECT_EQ(device->counters().refused_after_cut, 4U);
  device->snapshot()[0].read(0, bytes);
  EXPECT_EQ(bytes, filled(4096, 7));
}

TEST(Device, TheCutFallsJustBeforeTheArmedRequest) {
  for (std::uint64_t n = 1; n <= 4; ++n) {
    auto device = make_device();
    EXPECT_EQ(device->write(1, 0, 0, filled(512, 1), false), 0);
    device->cut_at_request(n);
    int failed = 0;
    for (std::uint64_t request = 1; request <= 4; ++request) {
      int outcome =
          request % 2 == 0 ? device->flush(1, 0) : device->write(1, 0, 0, filled(512, 2), false);
      failed += outcome == EIO ? 1 : 0;
    }
    EXPECT_EQ(failed, 5 - static_cast<int>(n));
    EXPECT_EQ(device->log_size(), n);
  }
}

TEST(Device, TheCutFallsJustAfterTheArmedMark) {
  auto device = make_device();
  device->cut_at_mark("k7 end");
  device->mark("put#1 k6 end");
  EXPECT_EQ(device->flush(1, 0), 0);
  device->mark("put#2 k7 end");
  EXPECT_EQ(device->flush(1, 0), EIO);
  EXPECT_EQ(device->log().mark_text(device->log_size()), "put#2 k7 end");
}

TEST(Device, ADisarmedCutDoesNotFall) {
  auto device = make_device();
  device->cut_at_request(1);
  device->cut_at_mark("end");
  device->disarm();
  device->mark("end");
  EXPECT_EQ(device->flush(1, 0), 0);
}

TEST(Device, PowerOnBringsTheGivenDisksAndFencesOldHandlesForEver) {
  auto device = make_device();
  EXPECT_EQ(device->write(1, 0, 0, filled(4096, 7), false), 0);
  std::vector<Image> before = device->snapshot();
  EXPECT_EQ(device->write(1, 0, 0, filled(4096, 8), false), 0);
  device->cut_at_request(1);
  device->power_on(std::move(before));

  EXPECT_EQ(device->generation(), 2U);
  EXPECT_EQ(device->log_size(), 0U);
  EXPECT_EQ(first_byte(*device, 0, 0), 7);
  EXPECT_EQ(device->flush(2, 0), 0) << "no cut is armed any more";

  Bytes bytes(1);
  EXPECT_EQ(device->write(1, 0, 0, filled(4096, 9), false), EIO);
  EXPECT_EQ(device->read(1, 0, 0, bytes), EIO);
  EXPECT_EQ(device->flush(1, 0), EIO);
  EXPECT_EQ(device->counters().refused_stale, 3U);
  EXPECT_EQ(first_byte(*device, 0, 0), 7);
  EXPECT_EQ(device->log_size(), 1U);
}

TEST(Device, FenceKeepsLogAndContent) {
  auto device = make_device();
  EXPECT_EQ(device->write(1, 0, 0, filled(4096, 7), false), 0);
  device->fence();
  EXPECT_EQ(device->generation(), 2U);
  EXPECT_EQ(device->log_size(), 1U);
  EXPECT_EQ(device->write(1, 0, 0, filled(4096, 8), false), EIO);
  EXPECT_EQ(first_byte(*device, 0, 0), 7);
  EXPECT_EQ(device->flush(2, 0), 0);
}

TEST(Device, ARequestOfAFencedHandleDoesNotBringTheCut) {
  auto device = make_device();
  device->fence();
  device->cut_at_request(1);
  EXPECT_EQ(device->flush(1, 0), EIO);
  EXPECT_FALSE(device->is_cut());
}

TEST(Device, UnrecordedRequestsTakeEffect) {
  auto device = make_device();
  device->record(false);
  EXPECT_EQ(device->write(1, 0, 0, filled(4096, 7), false), 0);
  device->mark("unseen");
  EXPECT_EQ(device->log_size(), 0U);
  EXPECT_EQ(first_byte(*device, 0, 0), 7);
  device->record(true);
  EXPECT_EQ(device->flush(1, 0), 0);
  EXPECT_EQ(device->log_size(), 1U);
}

// Four writers, a snapshot taker and a controller at once. Whatever the interleaving, the log
// explains the content: replaying it gives what a reader sees, and no flush covers the future.
TEST(Device, ManyThreadsMakeOneLogThatExplainsTheContent) {
  auto device = make_device("ssd_512_volatile");
  const std::vector<Image> base = device->snapshot();
  std::vector<std::thread> threads;
  for (int writer = 0; writer < 4; ++writer) {
    threads.emplace_back([&device, writer] {
      for (int round = 0; round < 200; ++round) {
        std::uint64_t offset_bytes = static_cast<std::uint64_t>(round * 7 + writer) * 100 % 60000;
        EXPECT_EQ(device->write(1, 0, offset_bytes, filled(700, writer + 1), round % 9 == 0), 0);
        EXPECT_EQ(round % 5 == 0 ? device->flush(1, 0) : 0, 0);
        device->mark("round");
      }
    });
  }
  threads.emplace_back([&device] {
    for (int round = 0; round < 100; ++round) {
      (void)device->snapshot();
      (void)device->counters();
      device->cut_at_request(1000000);
      device->disarm();
    }
  });
  for (std::thread& thread : threads) {
    thread.join();
  }

  WriteLog log = device->log();
  EXPECT_EQ(log.size(), 4U * (200 + 40 + 200));
  CrashModel model(base, log, device->profile());
  std::vector<Image> replayed = model.build({{CutKind::kill, log.size(), false}, {}});
  EXPECT_TRUE(replayed[0].same_bytes(device->snapshot()[0]));
  for (std::uint32_t number = 1; number <= log.size(); ++number) {
    EXPECT_LT(log.entry(number).issued_after, number);
  }
}

// A cut from another thread: what got an answer before it is in the log, all else got EIO.
TEST(Device, ACutFromAnotherThreadLosesNoAcknowledgedRequest) {
  auto device = make_device();
  std::atomic<std::uint32_t> acknowledged = 0;
  std::vector<std::thread> writers;
  for (int writer = 0; writer < 3; ++writer) {
    writers.emplace_back([&] {
      while (device->write(1, 0, 0, filled(512, 1), false) == 0) {
        ++acknowledged;
      }
    });
  }
  while (device->log_size() < 100) {
    std::this_thread::yield();
  }
  device->cut_now();
  for (std::thread& writer : writers) {
    writer.join();
  }
  EXPECT_EQ(device->log_size(), acknowledged);
  EXPECT_GE(device->counters().refused_after_cut, 3U);
}

TEST(DeviceFaults, LatencyFiresButCostsNothingWhereTimeFlies) {
  const auto device = Device::create(*find_profile("ssd_4k_volatile"), {{"disk0", 64_KiB}}).value();
  device->let_time_fly();
  ASSERT_TRUE(device->add_fault(*faults::parse_expression("latency ms=3600000 times=always")));
  Bytes page(4096);
  EXPECT_EQ(device->write(1, 0, 0, page, false), 0);  // an hour each, otherwise
  EXPECT_EQ(device->read(1, 0, 0, page), 0);
  EXPECT_EQ(device->faults().at(0).firings, 2U);
}

}  // namespace
}  // namespace faultfs
