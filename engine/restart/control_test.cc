// The gates of the control segment: each is seen to refuse, and what it leaves behind is what its
// place in the order says: somebody else's objects are left alone, untrusted ones are dropped and
// the start equals one that never had shared memory.

#include <sys/resource.h>
#include <sys/stat.h>

#include "engine/restart/shm_test.h"

namespace engine::restart {
namespace {

using ::testing::HasSubstr;

class ControlTest : public ShmTest {
 protected:
  /// The next start drops everything because of `gate`: a fresh image, and the old ones are gone.
  void expect_dropped(Gate gate, const std::string& says) {
    const auto life = start();
    EXPECT_EQ(life->restart->mode(), Mode::fresh);
    EXPECT_EQ(life->refused(gate), 1U) << life->log;
    EXPECT_EQ(life->refused_in_all(), 1U) << life->log;
    EXPECT_THAT(life->log, HasSubstr(says));
    EXPECT_THAT(life->log, HasSubstr("creating fresh control segment"));
    EXPECT_FALSE(exists("s0"));
    EXPECT_FALSE(exists("s1"));
    const StripeImage& image = life->take("a");
    EXPECT_TRUE(image.shared());
    EXPECT_FALSE(image.attached());
    EXPECT_TRUE(holds(image, 0));
  }
  /// The next start goes without shared memory because of `gate`, and changes nothing.
  void expect_left_alone(Gate gate, SharedMemory& memory = posix_shared_memory()) {
    const auto life = start(memory);
    EXPECT_EQ(life->restart->mode(), Mode::disabled);
    EXPECT_EQ(life->refused(gate), 1U) << life->log;
    EXPECT_EQ(life->refused_in_all(), 1U) << life->log;
    StripeImage& image = life->take("a");
    EXPECT_FALSE(image.shared());
    fill(image, 9);
    life->restart->finish_start();
    EXPECT_FALSE(life->stop());
    EXPECT_TRUE(exists("s0"));
  }
  void expect_attaches(int value) {
    const auto life = start();
    EXPECT_EQ(life->restart->mode(), Mode::attaching) << life->log;
    const StripeImage& image = life->take("a");
    EXPECT_TRUE(image.attached()) << life->log;
    EXPECT_TRUE(holds(image, value));
  }
};

TEST_F(ControlTest, OrderlyStopIsAttachedAgainAndAgain) {
  run_and_stop({"a"}, 1);
  for (int n = 0; n < 3; ++n) {
    const auto life = start();
    EXPECT_THAT(life->log, HasSubstr("attaching up to 1 stripes (fast restart)"));
    const StripeImage& image = life->take("a");
    ASSERT_TRUE(image.attached()) << life->log;
    EXPECT_TRUE(holds(image, 1 + n));
    fill(image, 2 + n);
    EXPECT_TRUE(life->stop());
    EXPECT_THAT(life->log, HasSubstr("marking clean shutdown"));
    EXPECT_EQ(life->refused_in_all(), 0U);
  }
}

TEST_F(ControlTest, DisabledTouchesNothing) {
  run_and_stop({"a"}, 1);
  request.config.enabled = false;
  const auto life = start();
  EXPECT_EQ(life->restart->mode(), Mode::disabled);
  EXPECT_FALSE(life->take("a").shared());
  request.config.enabled = true;
  expect_attaches(1);
}

TEST_F(ControlTest, PrefixThatMakesTooLongNames) {
  request.config.name_prefix = "a-prefix-that-is-much-too-long";
  const auto life = start();
  EXPECT_EQ(life->restart->mode(), Mode::disabled);
  EXPECT_EQ(life->refused(Gate::prefix_name), 1U);
}

TEST_F(ControlTest, PrefixIsFramed) {
  EXPECT_EQ(*frame_prefix("ats"), "/ats-");
  EXPECT_EQ(*frame_prefix("//a/ts--"), "/ats-");
  EXPECT_FALSE(frame_prefix(""));
  EXPECT_FALSE(frame_prefix("/-"));
  EXPECT_FALSE(frame_prefix("a b"));
  const std::string longest(21, 'x');
  EXPECT_LT(control_name(*frame_prefix(longest)).size(), name_bytes_max);
  EXPECT_FALSE(frame_prefix(longest + "x"));
}

TEST_F(ControlTest, ControlThatCannotBeOpenedIsLeftAlone) {
  run_and_stop({"a"}, 1);
  FaultyMemory memory;
  for (const int error_number : {EACCES, EMFILE, ENFILE, ENOMEM}) {
    memory.faults.open = [=](const std::string&) { return error_number; };
    expect_left_alone(Gate::control_open, memory);
  }
  memory.faults.open = nullptr;
  memory.faults.size = EIO;
  expect_left_alone(Gate::control_open, memory);
  memory.faults.size = 0;
  memory.faults.map = ENOMEM;
  expect_left_alone(Gate::control_open, memory);
  expect_attaches(1);
}

TEST_F(ControlTest, ProcessWithoutFreeDescriptorsGoesWithout) {
  run_and_stop({"a"}, 1);
  const Forked child([this] {
    const rlimit none = {3, 3};
    ::setrlimit(RLIMIT_NOFILE, &none);
    const auto life = start();
    if (life->restart->mode() != Mode::disabled || life->refused(Gate::control_open) != 1) {
      ::_exit(1);
    }
  });
  EXPECT_TRUE(child.ready());
  expect_attaches(1);
}

TEST_F(ControlTest, ForeignUserGoesWithout) {
  run_and_stop({"a"}, 1);
  const Forked child([this] {
    const std::string file = "/dev/shm" + control_name(prefix);
    const bool strange = ::geteuid() == 0 ? ::setuid(65534) == 0 : ::chmod(file.c_str(), 0) == 0;
    const auto life = start();
    const bool refused = life->refused(Gate::control_open) == 1;
    if (!strange || !refused || life->log.find("Permission denied") == std::string::npos) {
      ::_exit(1);
    }
    ::chmod(file.c_str(), 0600);
  });
  EXPECT_TRUE(child.ready());
  expect_attaches(1);
}

TEST_F(ControlTest, NoRoomForAControlSegment) {
  FaultyMemory memory;
  memory.faults.resize = ENOSPC;
  const auto life = start(memory);
  EXPECT_EQ(life->restart->mode(), Mode::disabled);
  EXPECT_EQ(life->refused(Gate::control_open), 1U);
  EXPECT_FALSE(exists("control"));
}

TEST_F(ControlTest, LiveOwnerIsLeftAlone) {
  run_and_stop({"a"}, 1);
  Forked owner([this] {
    auto* const life = start().release();
    fill(life->take("a"), 5);
  });
  ASSERT_TRUE(owner.ready());
  expect_left_alone(Gate::control_lock);
  // A killed owner holds no lock, and has taken the clean mark back.
  owner.end(SIGKILL);
  expect_dropped(Gate::control_clean, "previous run did not shutdown cleanly");
}

TEST_F(ControlTest, LiveOwnerThatStopsInOrderLaterIsAttached) {
  Forked owner([this] {
    const auto life = start();
    fill(life->take("a"), 5);
    if (!life->stop()) {
      ::_exit(1);
    }
    static_cast<void>(new std::unique_ptr<FastRestart>(std::move(life->restart)));
  });
  ASSERT_TRUE(owner.ready());
  // Clean, but not gone: the lock is held to the end of the process.
  expect_left_alone(Gate::control_lock);
  owner.end(0);
  expect_attaches(5);
}

TEST_F(ControlTest, ForkedChildKeepsTheLock) {
  std::optional<Forked> grandchild;
  auto life = start();
  life->take("a");
  grandchild.emplace([] {});
  life->kill();
  EXPECT_EQ(start()->refused(Gate::control_lock), 1U);
  grandchild->end(SIGKILL);
  EXPECT_EQ(start()->refused(Gate::control_clean), 1U);
}

TEST_F(ControlTest, WithoutLocksTheOwnerIdDecides) {
  FaultyMemory memory;
  memory.faults.lock = LockAnswer::unsupported;
  run_and_stop({"a"}, 1);
  // Kept at the clean stop: it is what guards against a start that overlaps a dying process.
  Forked other([] {});
  poke([&](Control& control) {
    control.frozen.owner = static_cast<std::uint32_t>(other.process());
  });
  expect_left_alone(Gate::control_owner, memory);
  other.end(SIGKILL);
  const auto life = start(memory);
  EXPECT_EQ(life->restart->mode(), Mode::attaching) << life->log;
  EXPECT_TRUE(life->take("a").attached());
}

TEST_F(ControlTest, OwnProcessIdIsNoOtherOwner) {
  FaultyMemory memory;
  memory.faults.lock = LockAnswer::unsupported;
  run_and_stop({"a"}, 1);
  EXPECT_EQ(start(memory)->restart->mode(), Mode::attaching);
}

TEST_F(ControlTest, AnotherStartCreatesFirst) {
  FaultyMemory memory;
  std::unique_ptr<Life> winner;
  memory.faults.create = [&](const std::string&) {
    winner = start();
    fill(winner->take("a"), 7);
    return 0;
  };
  const auto loser = start(memory);
  EXPECT_EQ(loser->restart->mode(), Mode::disabled);
  EXPECT_EQ(loser->refused(Gate::control_race), 1U) << loser->log;
  EXPECT_TRUE(winner->stop());
  winner.reset();
  expect_attaches(7);
}

TEST_F(ControlTest, AnotherStartReplacesWhatWasOpened) {
  start()->take("a");
  FaultyMemory memory;
  std::unique_ptr<Life> winner;
  // Between our opening and our locking the other drops the segment: our lock means nothing.
  memory.faults.before_lock = [&] {
    winner = start();
    fill(winner->take("a"), 7);
  };
  const auto loser = start(memory);
  EXPECT_EQ(loser->restart->mode(), Mode::disabled);
  EXPECT_EQ(loser->refused(Gate::control_race), 1U) << loser->log;
  EXPECT_TRUE(winner->stop());
  winner.reset();
  expect_attaches(7);
}

TEST_F(ControlTest, ControlOfAnySizeButTheRightOneIsForeign) {
  for (const std::uint64_t size_bytes : {std::uint64_t{0},
                                         std::uint64_t{47},
                                         std::uint64_t{48},
                                         control_bytes - 1,
                                         control_bytes + 1,
                                         control_bytes + 8192}) {
    run_and_stop({"a", "b"}, 1);
    resize("control", size_bytes);
    expect_dropped(Gate::control_size, "not this build's");
  }
}

TEST_F(ControlTest, BadMagic) {
  run_and_stop({"a", "b"}, 1);
  poke([](Control& control) { control.frozen.magic[0] = 'X'; });
  expect_dropped(Gate::control_magic, "not this build's");
}

TEST_F(ControlTest, OtherSchema) {
  run_and_stop({"a", "b"}, 1);
  poke([](Control& control) { ++control.frozen.schema; });
  expect_dropped(Gate::control_schema, "schema mismatch");
}

TEST_F(ControlTest, OtherMeaningOfEqualSizes) {
  run_and_stop({"a", "b"}, 1);
  request.format_facts = {"test directory: one byte per entry, counted from the end"};
  expect_dropped(Gate::control_abi, "ABI mismatch");
}

TEST_F(ControlTest, NoCleanMark) {
  run_and_stop({"a", "b"}, 1);
  start()->kill();
  expect_dropped(Gate::control_clean, "previous run did not shutdown cleanly");
}

TEST_F(ControlTest, TableChangedAfterTheMark) {
  const std::vector<std::function<void(Control&)>> changes = {
      [](Control& control) { control.frozen.rows_used = 0xffffffff; },
      [](Control& control) { control.frozen.rows_used = 1; },
      [](Control& control) { control.rows[1].size_bytes += 4096; },
      [](Control& control) { control.rows[0].untrusted ^= 1; },
      [](Control& control) { control.rows[0].name.fill('x'); },
      [](Control& control) { std::swap(control.rows[0], control.rows[1]); }};
  for (const auto& change : changes) {
    run_and_stop({"a", "b"}, 1);
    poke(change);
    expect_dropped(Gate::control_table, "changed after its clean mark");
  }
}

TEST_F(ControlTest, GateSwitchedOffLetsItThrough) {
  run_and_stop({"a"}, 1);
  poke([](Control& control) { control.frozen.clean = 0; });
  request.config.gates_off = {Gate::control_clean};
  expect_attaches(1);
}

TEST_F(ControlTest, ChangedStorageIsToldAndAttachesWhatIsStillThere) {
  run_and_stop({"a", "b"}, 1);
  request.spans.push_back({"disk-b", 1000, 8192, 512});
  const auto life = start();
  EXPECT_THAT(life->log, HasSubstr("partial: the storage has changed"));
  EXPECT_TRUE(life->take("a").attached());
  EXPECT_FALSE(life->take("c").attached());
  life->restart->finish_start();
  EXPECT_THAT(life->log, HasSubstr("reclaiming orphaned"));
  EXPECT_EQ(life->restart->counters().at("shm_orphans"), 1U);
}

TEST_F(ControlTest, SecondRestartAfterAnAttachAndAKillRebuilds) {
  run_and_stop({"a", "b"}, 1);
  const auto life = start();
  ASSERT_TRUE(life->take("a").attached());
  life->kill();
  expect_dropped(Gate::control_clean, "previous run did not shutdown cleanly");
}

TEST(RestartLayout, IsWhatTheHeadOfTheFileSays) {
  EXPECT_EQ(offsetof(Control, table_digest), 48U);
  EXPECT_EQ(offsetof(Control, rows), 56U);
  EXPECT_EQ(offsetof(Frozen, clean), 32U);
  EXPECT_EQ(offsetof(Frozen, owner), 36U);
  EXPECT_EQ(offsetof(Frozen, rows_used), 40U);
  EXPECT_EQ(control_bytes, 56U + 256 * 112);
  EXPECT_LT(control_bytes, 32U * 1024);
}

TEST(RestartLayout, HashesTellDifferencesApart) {
  const std::vector<std::string> facts = {"a", "b"}, joined = {"ab"}, swapped = {"b", "a"};
  EXPECT_EQ(abi_hash(facts), abi_hash(facts));
  EXPECT_NE(abi_hash(facts), abi_hash(joined));
  EXPECT_NE(abi_hash(facts), abi_hash(swapped));
  EXPECT_NE(abi_hash({}), 0U);
  const SpanFacts span = {"p", 1, 2, 3};
  const std::vector<SpanFacts> spans = {span};
  for (const SpanFacts& other :
       {SpanFacts{"q", 1, 2, 3}, {"p", 9, 2, 3}, {"p", 1, 9, 3}, {"p", 1, 2, 9}}) {
    EXPECT_NE(storage_signature(spans), storage_signature(std::vector<SpanFacts>{other}));
  }
}

TEST(RestartConfig, UpstreamsWords) {
  Config config;
  EXPECT_TRUE(read_setting("enabled", "1", config));
  EXPECT_TRUE(read_setting("name_prefix", "ats", config));
  EXPECT_TRUE(read_setting("use_hugepages", "1", config));
  EXPECT_TRUE(read_setting("purge_stale_on_start", "1", config));
  EXPECT_TRUE(config.enabled && config.use_hugepages && config.purge_stale_on_start);
  EXPECT_EQ(config.name_prefix, "ats");
  EXPECT_THAT(read_setting("enabled", "yes", config).error().message, HasSubstr("allowed: 0, 1"));
  EXPECT_THAT(read_setting("fast", "1", config).error().message, HasSubstr("name_prefix"));
  EXPECT_THAT(read_setting("name_prefix", "-", config).error().message, HasSubstr("at least one"));
  EXPECT_TRUE(read_setting("name_prefix", "a-prefix-that-is-much-too-long", config))
      << "the gate's";
  EXPECT_FALSE(gate_table.find_switchable("image_map"));
  EXPECT_EQ(*gate_table.find_switchable("binding_nonce"), Gate::binding_nonce);
}

}  // namespace
}  // namespace engine::restart
