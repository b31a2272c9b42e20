// Every fault once: where it fires, what that does, that it is counted, and that all of it is taken
// back when it is switched off. The device is one of two disks of 64 KiB with sectors of 4 KiB and
// a volatile write cache; `put` writes whole pages of one value.

#include <cerrno>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "faultfs/crash_model.h"
#include "faultfs/device.h"
#include "faultfs/faults/catalogue.h"
#include "faultfs/tear.h"

namespace faultfs::faults {
namespace {

using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class FaultsTest : public testing::Test {
 protected:
  std::uint32_t add(std::string_view text) {
    Result<Expression> expression = parse_expression(text);
    EXPECT_TRUE(expression) << expression.error().message;
    return device_->add_fault(*expression).value();
  }
  void off(std::uint32_t fault = 1) { EXPECT_TRUE(device_->switch_fault(fault, false)); }
  void on(std::uint32_t fault = 1) { EXPECT_TRUE(device_->switch_fault(fault, true)); }
  [[nodiscard]] std::uint64_t firings(std::uint32_t fault = 1) const {
    return device_->faults().at(fault - 1).firings;
  }

  int put(std::uint64_t page, int value, std::uint64_t pages = 1, bool fua = false) {
    return device_->write(device_->generation(),
                          0,
                          page * 4096,
                          Bytes(pages * 4096, static_cast<std::byte>(value)),
                          fua);
  }
  int flush() { return device_->flush(device_->generation(), 0); }
  int get_error(std::uint64_t page) {
    Bytes bytes(4096);
    return device_->read(device_->generation(), 0, page * 4096, bytes);
  }
  /// The value of a page as a client reads it; -1: not one value.
  int get(std::uint64_t page) {
    Bytes bytes(4096);
    EXPECT_EQ(device_->read(device_->generation(), 0, page * 4096, bytes), 0);
    return one_value(bytes);
  }
  [[nodiscard]] int truth(std::uint64_t page) const {
    Bytes bytes(4096);
    device_->truth()[0].read(page * 4096, bytes);
    return one_value(bytes);
  }
  static int one_value(const Bytes& bytes) {
    bool same = std::all_of(bytes.begin(), bytes.end(), [&](std::byte b) { return b == bytes[0]; });
    return same ? std::to_integer<int>(bytes[0]) : -1;
  }
  /// What a page holds after a cut that loses everything it may.
  int after_worst_cut(std::uint64_t page) {
    std::vector<Image> base = {Image(64_KiB), Image(64_KiB)};
    WriteLog log = device_->log();
    CrashModel model(base, log, device_->profile());
    CrashPlan plan;
    plan.point.entry = log.size();
    for (const VolatileWrite& write : model.volatile_writes(plan.point)) {
      plan.fates.push_back({write.entry, FateKind::lost, {}, 0, 0});
    }
    Bytes bytes(4096);
    model.build(plan)[0].read(page * 4096, bytes);
    return one_value(bytes);
  }

  std::unique_ptr<Device> device_ = Device::create(find_profile("ssd_4k_volatile").value(),
                                                   {{"disk0", 64_KiB}, {"disk1", 64_KiB}})
                                        .value();
};

TEST_F(FaultsTest, ErrnosAreGivenAndNothingIsDone) {
  EXPECT_EQ(put(0, 1), 0);
  add("eio read nth=1");
  add("enospc write nth=1");
  add("erofs discard");
  add("enodev flush");
  EXPECT_EQ(get_error(0), EIO);
  EXPECT_EQ(get(0), 1) << "only the first read";
  EXPECT_EQ(put(0, 2), ENOSPC);
  EXPECT_EQ(get(0), 1);
  EXPECT_EQ(device_->discard(1, 0, 0, 4096), EROFS);
  EXPECT_EQ(flush(), ENODEV);
  EXPECT_EQ(device_->log_size(), 1U) << "a refused request is not in the log";
  EXPECT_EQ(truth(0), 1);
  off(4);
  EXPECT_EQ(flush(), 0);
  EXPECT_EQ(firings(1) + firings(2) + firings(3) + firings(4), 4U);
}

TEST_F(FaultsTest, ALyingFlushCoversNothing) {
  add("lying-flush nth=1");
  EXPECT_EQ(put(0, 1), 0);
  EXPECT_EQ(flush(), 0);
  EXPECT_EQ(firings(), 1U);
  EXPECT_EQ(get(0), 1);
  EXPECT_EQ(after_worst_cut(0), 0);
  off();
  EXPECT_EQ(after_worst_cut(0), 1) << "the flush was honest, but for the fault";
  on();
  EXPECT_EQ(flush(), 0);
  EXPECT_EQ(after_worst_cut(0), 1) << "the second flush was";
}

TEST_F(FaultsTest, ALyingFuaIsAnOrdinaryWrite) {
  add("lying-fua");
  EXPECT_EQ(put(0, 1, 1, true), 0);
  EXPECT_EQ(put(1, 2), 0);
  EXPECT_EQ(firings(), 1U) << "the second asked for nothing";
  EXPECT_EQ(after_worst_cut(0), 0);
  off();
  EXPECT_EQ(after_worst_cut(0), 1);
}

TEST_F(FaultsTest, APhantomWriteIsNowhere) {
  EXPECT_EQ(put(0, 1), 0);
  add("phantom-write nth=1");
  EXPECT_EQ(put(0, 2), 0);
  EXPECT_EQ(flush(), 0);
  EXPECT_EQ(get(0), 1);
  EXPECT_EQ(after_worst_cut(0), 1);
  EXPECT_EQ(truth(0), 2);
  off();
  EXPECT_EQ(get(0), 2);
  on();
  EXPECT_EQ(get(0), 1);
  EXPECT_EQ(put(0, 3), 0);
  EXPECT_EQ(get(0), 3);
}

TEST_F(FaultsTest, AMisdirectedWriteHarmsBothPlaces) {
  EXPECT_EQ(put(0, 1), 0);
  EXPECT_EQ(put(8, 8), 0);
  add("misdirected-write nth=1 to=32K");
  EXPECT_EQ(put(0, 2), 0);
  EXPECT_EQ(get(0), 1);
  EXPECT_EQ(get(8), 2);
  EXPECT_EQ(truth(0), 2);
  EXPECT_EQ(truth(8), 8);
  off();
  EXPECT_EQ(get(0), 2);
  EXPECT_EQ(get(8), 8);
}

TEST_F(FaultsTest, NothingCountsAsAHole) {
  std::uint64_t until = 0;
  EXPECT_EQ(device_->blank_until(1, 0, 0, until), 0);
  EXPECT_GT(until, 0U);
  add("misdirected-write nth=1 to=0");
  EXPECT_EQ(put(8, 8), 0);
  EXPECT_EQ(device_->blank_until(1, 0, 0, until), 0);
  EXPECT_EQ(until, 0U) << "a page that only a fault has written";
}

TEST_F(FaultsTest, ATornWriteLandsInPart) {
  EXPECT_EQ(put(0, 1, 6), 0);
  std::uint32_t prefix = add("torn-write nth=1");
  EXPECT_EQ(put(0, 2, 6), 0);
  EXPECT_THAT((std::vector{get(0), get(2), get(3), get(5)}), ElementsAre(2, 2, 1, 1));
  off(prefix);
  EXPECT_EQ(get(5), 2);
  std::uint32_t hole = add("torn-write nth=1 keep=hole unit=page");
  EXPECT_EQ(put(0, 3, 6), 0);
  EXPECT_THAT((std::vector{get(0), get(1), get(2), get(3), get(4), get(5)}),
              ElementsAre(3, 3, 2, 2, 3, 3));
  off(hole);
  add("torn-write nth=1 keep=suffix unit=byte");
  EXPECT_EQ(put(0, 4), 0);
  EXPECT_EQ(get(0), -1) << "half a sector old, half new";
  EXPECT_EQ(truth(0), 4);
  off(3);
  add("torn-write keep=first");
  EXPECT_EQ(put(0, 5), 0);
  EXPECT_EQ(get(0), 5) << "one sector does not come apart";
  EXPECT_EQ(firings(4), 0U);
  EXPECT_EQ(put(0, 6, 2), 0);
  EXPECT_THAT((std::vector{get(0), get(1)}), ElementsAre(6, 3));
  EXPECT_EQ(firings(4), 1U);
}

TEST_F(FaultsTest, ALateWriteLandsAfterItsClientGaveUp) {
  add("late-write nth=1 by=2");
  EXPECT_EQ(put(0, 1), EIO);
  EXPECT_EQ(get(0), 0);
  EXPECT_EQ(put(0, 2), 0);
  EXPECT_EQ(get(0), 2);
  EXPECT_EQ(flush(), 0);
  EXPECT_EQ(get(0), 1) << "on top of what came before it";
  EXPECT_EQ(after_worst_cut(0), 2) << "no flush covers it yet";
}

TEST_F(FaultsTest, ALateWriteThatIsSwitchedOffNeverLands) {
  add("late-write nth=1 by=1");
  EXPECT_EQ(put(0, 1), EIO);
  off();
  EXPECT_EQ(flush(), 0);
  EXPECT_EQ(get(0), 0);
}

TEST_F(FaultsTest, AStaleReadGivesTheVersionBefore) {
  add("stale-read nth=2");
  EXPECT_EQ(get(0), 0) << "the first match had nothing older, and was used up";
  EXPECT_EQ(put(0, 1), 0);
  EXPECT_EQ(put(0, 2), 0);
  EXPECT_EQ(get(0), 1);
  EXPECT_EQ(get(0), 2) << "it is not lost";
  EXPECT_EQ(truth(0), 2);
  EXPECT_EQ(firings(), 1U);
}

TEST_F(FaultsTest, ALatentSectorErrorIsNotHealedByTryingAgain) {
  EXPECT_EQ(put(0, 1, 3), 0);
  add("latent-sector-error nth=1 at=4K+4K");
  EXPECT_EQ(get(0), 1);
  EXPECT_EQ(get_error(1), EIO);
  EXPECT_EQ(get_error(1), EIO);
  Bytes three(3 * 4096);
  EXPECT_EQ(device_->read(1, 0, 0, three), EIO);
  off();
  EXPECT_EQ(get(1), 1) << "the bytes are unharmed";
  on();
  EXPECT_EQ(device_->write(1, 0, 4096, Bytes(100, std::byte{1}), false), 0);
  EXPECT_EQ(get_error(1), EIO) << "a part of a sector does not heal it";
  EXPECT_EQ(put(1, 2), 0);
  EXPECT_EQ(get(1), 2);
  EXPECT_EQ(firings(), 1U);
}

TEST_F(FaultsTest, RotOnWriteStays) {
  add("rot-on-write nth=1");
  EXPECT_EQ(put(0, 0), 0);
  Bytes once(4096);
  Bytes twice(4096);
  EXPECT_EQ(device_->read(1, 0, 0, once), 0);
  EXPECT_EQ(device_->read(1, 0, 0, twice), 0);
  EXPECT_EQ(once, twice);
  EXPECT_EQ(std::count(once.begin(), once.end(), std::byte{0}), 4095);
  EXPECT_EQ(truth(0), 0);
  off();
  EXPECT_EQ(get(0), 0);
}

TEST_F(FaultsTest, RotOnReadGoesWithTheReadAndComesBackToTheSamePlace) {
  add("rot-on-read");
  EXPECT_EQ(get(0), -1);
  Bytes once(4096);
  Bytes twice(8192);
  EXPECT_EQ(device_->read(1, 0, 0, once), 0);
  EXPECT_EQ(device_->read(1, 0, 0, twice), 0);
  twice.resize(4096);
  EXPECT_EQ(once, twice);
  EXPECT_EQ(truth(0), 0);
  off();
  EXPECT_EQ(get(0), 0);
}

TEST_F(FaultsTest, AFailedFlushThatLeavesPagesClean) {
  EXPECT_EQ(put(0, 1), 0);
  add("failed-flush-clean nth=1");
  EXPECT_EQ(put(1, 2), 0);
  EXPECT_EQ(flush(), EIO);
  EXPECT_EQ(flush(), 0);
  EXPECT_EQ(get(1), 2);
  EXPECT_EQ(after_worst_cut(0), 0) << "also what was written before the fault was there";
  EXPECT_EQ(after_worst_cut(1), 0);
  EXPECT_EQ(put(1, 3), 0);
  EXPECT_EQ(flush(), 0);
  EXPECT_EQ(after_worst_cut(1), 3);
  off();
  EXPECT_EQ(after_worst_cut(0), 1);
}

TEST_F(FaultsTest, AFailedFlushThatIsToldLate) {
  add("failed-flush-late nth=1");
  EXPECT_EQ(put(0, 1), 0);
  EXPECT_EQ(flush(), 0);
  EXPECT_EQ(after_worst_cut(0), 0);
  EXPECT_EQ(put(1, 2), 0);
  EXPECT_EQ(flush(), EIO);
  EXPECT_EQ(after_worst_cut(1), 2) << "the flush that failed in its place did its own work";
  EXPECT_EQ(after_worst_cut(0), 0);
  EXPECT_EQ(flush(), 0);
  off();
  EXPECT_EQ(after_worst_cut(0), 1);
}

TEST_F(FaultsTest, AFailedFlushThatRevertsPages) {
  add("failed-flush-reverted nth=2");
  EXPECT_EQ(put(0, 1), 0);
  EXPECT_EQ(flush(), 0);
  EXPECT_EQ(put(0, 2), 0);
  EXPECT_EQ(get(0), 2);
  EXPECT_EQ(flush(), EIO);
  EXPECT_EQ(get(0), 1);
  EXPECT_EQ(truth(0), 2);
  off();
  EXPECT_EQ(get(0), 2);
}

TEST_F(FaultsTest, AFailedFlushThatKeepsPagesDirty) {
  add("failed-flush-dirty nth=1");
  EXPECT_EQ(put(0, 1), 0);
  EXPECT_EQ(flush(), EIO);
  EXPECT_EQ(after_worst_cut(0), 0);
  EXPECT_EQ(flush(), 0);
  EXPECT_EQ(after_worst_cut(0), 1);
}

TEST_F(FaultsTest, ShortTransfersAreToldAndGoneOnWith) {
  add("short-write nth=1 bytes=100");
  Bytes page(4096, std::byte{1});
  Request write{RequestKind::write, 0, 0, 4096, page, false, 1, 0};
  Outcome outcome = device_->submit(write);
  EXPECT_EQ(outcome.error, 0);
  EXPECT_EQ(outcome.size_bytes, 100U);
  EXPECT_EQ(device_->log().entry(1).size_bytes, 100U);
  add("short-write nth=1 bytes=100");
  EXPECT_EQ(put(0, 2), 0);
  EXPECT_EQ(get(0), 2) << "a client that cannot be told goes on with the rest";
  EXPECT_EQ(device_->log_size(), 3U);

  add("short-read nth=1 bytes=100");
  Bytes bytes(4096, std::byte{9});
  outcome = device_->submit({RequestKind::read, 0, 0, 4096, {}, false, 1, 0}, bytes);
  EXPECT_EQ(outcome.size_bytes, 100U);
  EXPECT_EQ(bytes[99], std::byte{2});
  EXPECT_EQ(bytes[100], std::byte{9});
}

TEST_F(FaultsTest, ARunGoesBackWithoutRegardToFlushes) {
  EXPECT_EQ(put(5, 5), 0);
  add("run-rollback nth=4 run=16K");
  EXPECT_EQ(put(0, 1), 0);
  EXPECT_EQ(put(1, 2), 0);
  EXPECT_EQ(put(4, 3), 0);
  EXPECT_EQ(flush(), 0);
  EXPECT_EQ(put(2, 4), 0) << "brings it about";
  EXPECT_THAT((std::vector{get(0), get(1), get(2), get(4), get(5)}), ElementsAre(0, 0, 4, 3, 5));
  EXPECT_THAT(after_worst_cut(0), 0);
  EXPECT_EQ(truth(0), 1);
  off();
  EXPECT_THAT((std::vector{get(0), get(1), get(2)}), ElementsAre(1, 2, 4));
  on();
  EXPECT_EQ(get(0), 0);
}

TEST_F(FaultsTest, ARunGoesBackByItsAge) {
  add("run-rollback nth=3 run=16K age=1");
  EXPECT_EQ(put(0, 1), 0);
  EXPECT_EQ(put(0, 2), 0);
  EXPECT_EQ(put(1, 3), 0);
  EXPECT_EQ(get(0), 1);
}

TEST_F(FaultsTest, AKilledClientAsksNothingMore) {
  add("kill-client write nth=1");
  add("kill-client write nth=2 when=before");
  std::uint64_t handle = device_->generation();
  EXPECT_EQ(put(0, 1), EIO) << "it does not live to hear of it";
  EXPECT_EQ(device_->write(handle, 0, 0, Bytes(4096), false), EIO);
  EXPECT_EQ(get(0), 1) << "what completed stays";
  EXPECT_EQ(put(0, 2), EIO);
  EXPECT_EQ(get(0), 1) << "it died before";
  EXPECT_EQ(put(0, 3), 0);

  int killed = 0;
  device_->on_kill([&](int client) {
    killed = client;
    return true;
  });
  add("kill-client read nth=1");
  Bytes bytes(4096);
  (void)device_->submit({RequestKind::read, 0, 0, 4096, {}, false, device_->generation(), 77},
                        bytes);
  EXPECT_EQ(killed, 77);
}

TEST_F(FaultsTest, WhatIsHeldIsOvertakenAndReleased) {
  std::uint32_t hold = add("hold write nth=1");
  std::thread client([&] { EXPECT_EQ(put(0, 1), 0); });
  while (firings(hold) == 0) {
    std::this_thread::yield();
  }
  EXPECT_EQ(put(0, 2), 0) << "overtakes";
  EXPECT_EQ(flush(), 0);
  EXPECT_TRUE(device_->release_fault(hold));
  client.join();
  EXPECT_EQ(get(0), 1);
  EXPECT_EQ(after_worst_cut(0), 2) << "no flush covered it";
}

TEST_F(FaultsTest, WhatWaitsIsLetGoByACutAndByTheSwitch) {
  std::uint32_t stall = add("stall nth=1");
  std::thread first([&] { EXPECT_EQ(flush(), 0); });
  while (firings(stall) == 0) {
    std::this_thread::yield();
  }
  off(stall);
  first.join();
  on(stall);
  add("hold write nth=1");
  add("latency ms=3600000 read nth=1");
  std::thread second([&] { EXPECT_EQ(put(0, 1), EIO); });
  std::thread third([&] { EXPECT_EQ(get_error(0), EIO); });
  while (firings(2) == 0 || firings(3) == 0) {
    std::this_thread::yield();
  }
  device_->cut_now();
  second.join();
  third.join();
}

TEST_F(FaultsTest, EveryFaultCanBeTakenAwayAgain) {
  for (const FaultKind& kind : catalogue()) {
    bool waits = kind.at_arrival;
    bool kills = kind.name == "kill-client";
    if (waits || kills) {
      continue;
    }
    std::uint32_t fault =
        add(std::string(kind.name) + (kind.name == "misdirected-write" ? " to=32K" : ""));
    EXPECT_THAT(put(0, 1, 4), AnyOf(0, EIO, ENOSPC, EROFS, ENODEV)) << kind.name;
    EXPECT_THAT(put(0, 2, 4, true), AnyOf(0, EIO, ENOSPC, EROFS, ENODEV)) << kind.name;
    EXPECT_THAT(flush(), AnyOf(0, EIO, ENOSPC, EROFS, ENODEV)) << kind.name;
    EXPECT_THAT(get_error(0), AnyOf(0, EIO, ENODEV)) << kind.name;
    EXPECT_GT(firings(fault), 0U) << kind.name;
    device_->clear_faults();
    EXPECT_TRUE(device_->faults().empty());
    EXPECT_EQ(get(0), truth(0)) << kind.name;
    EXPECT_EQ(get(8), 0) << kind.name;
    EXPECT_EQ(put(0, 3, 4), 0) << kind.name;
    EXPECT_EQ(get(0), 3) << kind.name;
    EXPECT_TRUE(device_->log() == device_->asked()) << kind.name;
  }
}

TEST_F(FaultsTest, FaultsThatDoNotFitTheDeviceAreRefused) {
  auto refusal = [&](std::string_view text) {
    auto number = device_->add_fault(parse_expression(text).value());
    return number ? "accepted" : number.error().message;
  };
  EXPECT_THAT(refusal("eio disk=disk7"), HasSubstr("no disk \"disk7\"; allowed: disk0, disk1"));
  EXPECT_THAT(refusal("misdirected-write to=100"), HasSubstr("allowed: multiples of 4096"));
  EXPECT_TRUE(device_->faults().empty());
  EXPECT_FALSE(device_->switch_fault(1, false));
  EXPECT_FALSE(device_->release_fault(1));
  add("eio");
  EXPECT_THAT(device_->release_fault(1).error().message, HasSubstr("holds nothing"));
}

TEST(Tears, ComeApartAtUnits) {
  EXPECT_THAT(torn_pieces(TearShape::prefix, 4096, 0, 16384), ElementsAre(Piece{0, 8192}));
  EXPECT_THAT(torn_pieces(TearShape::suffix, 4096, 100, 8192), ElementsAre(Piece{3996, 4196}));
  EXPECT_THAT(torn_pieces(TearShape::hole, 512, 0, 1536),
              ElementsAre(Piece{0, 512}, Piece{1024, 512}));
  EXPECT_THAT(torn_pieces(TearShape::first, 1, 7, 3), ElementsAre(Piece{0, 1}));
  EXPECT_TRUE(torn_pieces(TearShape::first, 4096, 0, 4096).empty());
  EXPECT_TRUE(torn_pieces(TearShape::hole, 4096, 0, 8192).empty());
  EXPECT_TRUE(torn_pieces(TearShape::prefix, 4096, 0, 0).empty());
}

TEST(Tears, AreLegalFatesOfVolatileWrites) {
  std::vector<Image> base = {Image(64_KiB)};
  WriteLog log;
  log.add_write(0, 0, Bytes(6 * 4096, std::byte{1}), false, 0);
  CrashModel model(base, log, find_profile("ssd_4k_volatile").value());
  CrashPlan plan;
  plan.point.entry = 1;
  VolatileWrite write = model.volatile_writes(plan.point).at(0);
  for (auto [name, sectors] :
       {std::pair("prefix", "0-2"), {"suffix", "3-5"}, {"hole", "0-1,4-5"}, {"first", "0"}}) {
    plan.fates = {*torn_fate(*find_tear_shape(name), write)};
    EXPECT_TRUE(model.check(plan)) << name;
    EXPECT_THAT(to_text(plan.fates[0]), HasSubstr(std::string("torn sectors ") + sectors));
  }
  EXPECT_FALSE(find_tear_shape("middle"));
  EXPECT_FALSE(torn_fate(TearShape::prefix, write, 6));
  EXPECT_THAT(to_text(*torn_fate(TearShape::prefix, write, 3)), HasSubstr("torn sectors 0-2"));
  EXPECT_THAT(to_text(torn_inside(1, 1, 256)), HasSubstr("torn sectors 0 then 256 bytes"));
}

}  // namespace
}  // namespace faultfs::faults
