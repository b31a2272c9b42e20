// Removing and showing what is in shared memory.

#include "engine/restart/shm_test.h"

namespace engine::restart {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class PurgeTest : public ShmTest {
 protected:
  Result<PurgeReport> clear(SharedMemory& memory = posix_shared_memory()) {
    return purge(memory, request.config.name_prefix, gates);
  }
  [[nodiscard]] ShmStatus status() const {
    const auto seen =
        read_status(posix_shared_memory(), request.config.name_prefix, request.format_facts);
    EXPECT_TRUE(seen) << seen.error().message;
    return seen ? *seen : ShmStatus{};
  }
  Gates gates{{}, nullptr};
};

TEST_F(PurgeTest, RemovesWhatATableNames) {
  run_and_stop({"a", "b"}, 1);
  const auto report = clear();
  ASSERT_TRUE(report);
  EXPECT_THAT(report->removed,
              ::testing::ElementsAre(prefix + "s0", prefix + "s1", prefix + "control"));
  EXPECT_TRUE(report->failures.empty());
  EXPECT_FALSE(exists("control"));
  EXPECT_TRUE(clear()->removed.empty());
}

TEST_F(PurgeTest, SweepsWhereThereIsNoTableToTrust) {
  for (const std::uint64_t size_bytes :
       {std::uint64_t{0}, std::uint64_t{20}, std::uint64_t{100}, control_bytes + 4096}) {
    run_and_stop({"a", "b"}, 1);
    resize("control", size_bytes);
    ASSERT_TRUE(clear());
    EXPECT_FALSE(exists("s0") || exists("s1") || exists("control"));
  }
  run_and_stop({"a", "b"}, 1);
  poke([](Control& control) { control.frozen.magic = {}; });
  ASSERT_TRUE(clear());
  EXPECT_FALSE(exists("s0") || exists("s1") || exists("control"));
}

TEST_F(PurgeTest, NamesOfOthersInTheTableAreNotRemoved) {
  run_and_stop({"a"}, 1);
  const std::string strange = fmt::format("/pct{}-strange", ::getpid());
  ASSERT_TRUE(posix_shared_memory().create(strange));
  poke([&](Control& control) { control.rows[0].set_name(strange); });
  ASSERT_TRUE(clear());
  EXPECT_TRUE(posix_shared_memory().unlink(strange));
}

TEST_F(PurgeTest, LiveOwnerIsNotRobbed) {
  Forked owner([this] { static_cast<void>(start().release()->take("a")); });
  ASSERT_TRUE(owner.ready());
  const auto refused = clear();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().trouble, Trouble::busy);
  EXPECT_THAT(refused.error().message, HasSubstr("live owner"));
  EXPECT_EQ(gates.refusals().at("purge_owner"), 1U);
  // Not even where the segment is of a build with another, smaller one.
  resize("control", 100);
  EXPECT_FALSE(clear());
  EXPECT_TRUE(exists("s0"));
  owner.end(SIGKILL);
  EXPECT_TRUE(clear());
  EXPECT_FALSE(exists("s0"));
}

TEST_F(PurgeTest, WithoutLocksTheOwnerIdDecides) {
  FaultyMemory memory;
  memory.faults.lock = LockAnswer::unsupported;
  Forked other([] {});
  for (const std::uint64_t size_bytes : {control_bytes, std::uint64_t{100}}) {
    run_and_stop({"a"}, 1);
    poke([&](Control& control) {
      control.frozen.owner = static_cast<std::uint32_t>(other.process());
    });
    resize("control", size_bytes);
    EXPECT_FALSE(clear(memory));
    EXPECT_TRUE(exists("s0"));
    remove_all();
  }
  run_and_stop({"a"}, 1);
  EXPECT_TRUE(clear(memory));
}

TEST_F(PurgeTest, WhatCannotBeMeasuredIsLeft) {
  run_and_stop({"a"}, 1);
  FaultyMemory memory;
  memory.faults.size = EIO;
  EXPECT_FALSE(clear(memory));
  memory.faults.size = 0;
  memory.faults.map = ENOMEM;
  EXPECT_FALSE(clear(memory));
  memory.faults.map = 0;
  memory.faults.open = [](const std::string&) { return EACCES; };
  EXPECT_THAT(clear(memory).error().message, HasSubstr("Permission denied"));
  EXPECT_TRUE(exists("s0") && exists("control"));
}

TEST_F(PurgeTest, FailuresAreTold) {
  run_and_stop({"a", "b"}, 1);
  FaultyMemory memory;
  memory.faults.unlink = [](const std::string& name) { return name.ends_with("s0") ? EPERM : 0; };
  const auto report = clear(memory);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->removed.size(), 2U);
  ASSERT_EQ(report->failures.size(), 1U);
  EXPECT_THAT(report->failures[0], HasSubstr("s0 was not unlinked"));
}

TEST_F(PurgeTest, BadPrefixIsOneSentence) {
  EXPECT_THAT(purge(posix_shared_memory(), "/--", gates).error().message, HasSubstr("allowed"));
  EXPECT_FALSE(read_status(posix_shared_memory(), "", {}));
}

TEST_F(PurgeTest, DisabledStartPurgesWhereAsked) {
  run_and_stop({"a"}, 1);
  request.config.enabled = false;
  EXPECT_EQ(start()->restart->mode(), Mode::disabled);
  EXPECT_TRUE(exists("s0"));
  request.config.purge_stale_on_start = true;
  EXPECT_THAT(start()->log, HasSubstr("purged 2 stale objects"));
  EXPECT_FALSE(exists("s0") || exists("control"));
  EXPECT_THAT(start()->log, HasSubstr("purged 0 stale objects"));
}

TEST_F(PurgeTest, DisabledStartDoesNotPurgeUnderALiveOwner) {
  Forked owner([this] { static_cast<void>(start().release()->take("a")); });
  ASSERT_TRUE(owner.ready());
  request.config.enabled = false;
  request.config.purge_stale_on_start = true;
  EXPECT_THAT(start()->log, HasSubstr("nothing purged"));
  EXPECT_TRUE(exists("s0"));
}

TEST_F(PurgeTest, StatusAfterACleanStop) {
  run_and_stop({"a", "b"}, 1);
  const std::string text = to_text(status());
  for (const char* part : {"control\n",
                           "(28.1 KiB)",
                           "PCUTSHM. [valid]",
                           "1 [this build's]",
                           "1 (clean)",
                           "(LIVE)",
                           "stripe_count       2",
                           "s0 ",
                           "12288 bytes (12.0 KiB), present"}) {
    EXPECT_THAT(text, HasSubstr(part));
  }
}

TEST_F(PurgeTest, StatusOfWhatIsWrong) {
  EXPECT_THAT(to_text(status()), HasSubstr("no control segment"));
  {
    const auto life = start();
    life->take("a").distrust("bad disk");
    life->take("b");
    EXPECT_THAT(to_text(status()), HasSubstr("0 (DIRTY"));
    EXPECT_TRUE(life->stop());
  }
  ASSERT_TRUE(posix_shared_memory().unlink(prefix + "s1"));
  Forked gone([] {});
  poke(
      [&](Control& control) { control.frozen.owner = static_cast<std::uint32_t>(gone.process()); });
  gone.end(SIGKILL);
  const std::string text = to_text(status());
  EXPECT_THAT(text, HasSubstr("present, untrusted"));
  EXPECT_THAT(text, HasSubstr("MISSING"));
  EXPECT_THAT(text, HasSubstr("(stale)"));
  request.format_facts = {"other"};
  EXPECT_THAT(status().wrong, HasSubstr("not this build's"));
  EXPECT_THAT(to_text(status()), Not(HasSubstr("MISSING")));
  resize("control", 100);
  EXPECT_THAT(status().wrong, HasSubstr("100 bytes"));
  resize("control", 10);
  EXPECT_THAT(status().wrong, HasSubstr("too small"));
}

TEST_F(PurgeTest, StatusShowsTombstones) {
  run_and_stop({"a", "b"}, 1);
  {
    const auto life = start();
    life->take("b");
    life->restart->finish_start();
    EXPECT_TRUE(life->stop());
  }
  EXPECT_THAT(to_text(status()), HasSubstr("tombstone"));
}

}  // namespace
}  // namespace engine::restart
