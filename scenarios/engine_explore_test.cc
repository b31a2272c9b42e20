#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "scenarios/generate.h"
#include "scenarios/recording.h"

namespace scenarios {
namespace {

using ::testing::HasSubstr;

/// The engine in this process, over a device of its own.
struct Bench {
  explicit Bench(TargetConfig with, const char* profile = "ssd_4k_volatile")
      : config(std::move(with)),
        device(std::move(*faultfs::Device::create(*faultfs::find_profile(profile),
                                                  {{disk_name(config), config.disk_bytes}}))),
        rig{*device, {}, {}, -1} {
    auto made = make_target(config, rig);
    EXPECT_TRUE(made) << made.error().message;
    target = std::move(*made);
  }

  Recording recorded(std::uint64_t seed, const std::vector<Command>& commands) {
    auto recording = record(*target, rig, config, seed, commands);
    EXPECT_TRUE(recording) << recording.error().message;
    return std::move(*recording);
  }

  Examination examined(const Recording& recording,
                       faultfs::CrashModel& model,
                       const faultfs::CrashPlan& plan,
                       const ExamineOptions& options = {}) {
    const auto legal = model.check(plan);
    EXPECT_TRUE(legal) << legal.error().message;
    auto seen = examine(*target, rig, recording, plan.point, model.build(plan), options);
    EXPECT_TRUE(seen) << seen.error().message;
    return std::move(*seen);
  }

  TargetConfig config;
  std::unique_ptr<faultfs::Device> device;
  Rig rig;
  std::unique_ptr<Target> target;
};

std::vector<Command> commands(const std::vector<std::string>& lines) {
  std::vector<Command> parsed;
  for (const std::string& line : lines) {
    parsed.push_back(*parse_command(line));
  }
  return parsed;
}

TargetConfig preset(const char* name) {
  TargetConfig config;
  config.preset = name;
  return config;
}

/// True for a miss, and for one whole object of its key under a header of that object.
bool is_honest(const Reading& reading) {
  if (reading.kind != GetReply::Kind::hit) {
    return reading.kind == GetReply::Kind::miss;
  }
  const bool whole = reading.offset_bytes != 0 || reading.served_bytes == reading.claimed_bytes ||
                     reading.pieces.empty();
  const bool one_piece = reading.pieces.size() == 1 &&
                         reading.pieces[0].kind == Piece::Kind::body &&
                         reading.pieces[0].key == reading.key;
  const bool nothing_served = reading.served_bytes == 0 && reading.pieces.empty();
  return whole && (one_piece || nothing_served) && reading.header &&
         reading.header->key == reading.key &&
         (nothing_served || reading.header->put == reading.pieces[0].put);
}

void expect_honest(const std::vector<Reading>& readings, const std::string& when) {
  for (const Reading& reading : readings) {
    EXPECT_TRUE(is_honest(reading))
        << when << ": " << key_name(reading.key) << ": " << to_text(reading);
  }
}

void expect_sound(const Examination& seen, const std::string& when) {
  EXPECT_EQ(seen.started, Outcome::done) << when << ": " << seen.start_detail;
  EXPECT_TRUE(seen.recovery_ended) << when;
  expect_honest(seen.after_recovery, when + ", after recovery");
  EXPECT_EQ(seen.after_recovery, seen.after_reopen) << when;
  expect_honest(seen.after_traffic, when + ", after traffic");
  expect_honest(seen.after_last_restart, when + ", after the last restart");
  ASSERT_TRUE(seen.structure && seen.structure_after_traffic) << when;
  EXPECT_EQ(seen.structure->conservation_error, "") << when;
  EXPECT_EQ(seen.structure_after_traffic->conservation_error, "") << when;
}

TEST(EngineInMemory, SameSeedGivesTheSameLogByteForByte) {
  for (const char* name : {"hardened", "squid"}) {
    Bench first(preset(name)), second(preset(name));
    GenerateOptions options;
    options.traits = first.target->traits();
    for (std::uint64_t seed = 0; seed < 40; ++seed) {
      const auto history = generate(seed, options);
      const Recording a = first.recorded(seed, history);
      const Recording b = second.recorded(seed, history);
      EXPECT_TRUE(a.log == b.log) << name << ", seed " << seed;
      EXPECT_EQ(a.readings, b.readings) << name << ", seed " << seed;
    }
  }
}

TEST(EngineInMemory, NamedScenariosRunWithoutTrouble) {
  for (const NamedScenario& scenario : named_scenarios()) {
    Bench bench(preset("hardened"));
    const Recording recording = bench.recorded(1, scenario.commands);
    EXPECT_EQ(recording.trouble, "") << scenario.name;
    EXPECT_FALSE(recording.death) << scenario.name;
    expect_honest(recording.readings, scenario.name);
    for (const Operation& operation : recording.history.operations) {
      const bool open = operation.ended == UINT32_MAX;
      EXPECT_TRUE(operation.acknowledged || operation.aborted || open)
          << scenario.name << ": operation " << operation.number << " was refused";
    }
  }
}

TEST(EngineInMemory, GeneratedHistoriesRunWithoutTrouble) {
  Bench bench(preset("hardened"));
  GenerateOptions options;
  options.traits = bench.target->traits();
  for (std::uint64_t seed = 100; seed < 300; ++seed) {
    const Recording recording = bench.recorded(seed, generate(seed, options));
    EXPECT_EQ(recording.trouble, "") << "seed " << seed;
    expect_honest(recording.readings, "seed " + std::to_string(seed));
  }
}

/// With and without a directory in shared memory, which the next instance attaches.
TEST(EngineInMemory, SlowPutsOutliveAHandoffAndNoOtherEnd) {
  for (const bool shared_memory : {false, true}) {
    TargetConfig config;
    config.store = "cyclone";
    config.shared_memory = shared_memory;
    Bench bench(config);
    const Recording recording = bench.recorded(7,
                                               commands({"begin k1 90000 50000",
                                                         "begin k2 3000 100",
                                                         "handoff",
                                                         "more k1 20000",
                                                         "handoff",
                                                         "finish k1",
                                                         "get k1",
                                                         "stop",
                                                         "finish k2",
                                                         "get k2"}));
    EXPECT_EQ(recording.trouble, "");
    const auto& operations = recording.history.operations;
    ASSERT_EQ(operations.size(), 2U);
    EXPECT_TRUE(operations[0].acknowledged);
    EXPECT_FALSE(operations[1].acknowledged) << "a stop aborts it";
    ASSERT_EQ(recording.readings.size(), 2U);
    EXPECT_TRUE(recording.readings[0].kind == GetReply::Kind::hit);
    EXPECT_FALSE(recording.readings[1].kind == GetReply::Kind::hit);
    EXPECT_EQ(bench.target->log_text().find("attached stripe") != std::string::npos, shared_memory);
  }
  Bench rock(preset("hardened"));
  const Recording recording =
      rock.recorded(7, commands({"begin k1 90000 50000", "handoff", "finish k1"}));
  EXPECT_EQ(recording.trouble, "") << "a rock is stopped and started";
  EXPECT_FALSE(recording.history.operations[0].acknowledged);
}

TEST(EngineInMemory, EndsOfNamedScenariosAreExaminedAndHonest) {
  std::set<std::string> refusing;
  for (const NamedScenario& scenario : named_scenarios()) {
    Bench bench(preset("hardened"));
    const Recording recording = bench.recorded(1, scenario.commands);
    faultfs::CrashModel model(recording.base, recording.log, recording.profile);
    for (std::uint32_t entry = 0; entry <= recording.log.size(); ++entry) {
      const faultfs::CrashPoint point{faultfs::CutKind::power_cut, entry, false};
      for (const auto& write : model.volatile_writes(point)) {
        const faultfs::CrashPlan plan{point, {{write.entry, faultfs::FateKind::lost, {}, 0, 0}}};
        const Examination seen = bench.examined(recording, model, plan);
        expect_sound(seen, scenario.name + ", " + to_text(plan));
        for (const auto& [gate, refusals] : seen.gate_refusals) {
          refusing.insert(refusals > 0 ? gate : "");
        }
        ASSERT_FALSE(HasFailure());
      }
    }
  }
  EXPECT_GT(refusing.size(), 2U) << "some gates had something to refuse";
}

TEST(EngineInMemory, PresetSquidServesAHodgepodge) {
  Bench bench(preset("squid"));
  const Recording recording = bench.recorded(1, commands({"put k1 30000", "sync", "put k1 30000"}));
  ASSERT_EQ(recording.trouble, "");
  faultfs::CrashModel model(recording.base, recording.log, recording.profile);
  const faultfs::CrashPoint end{faultfs::CutKind::power_cut, recording.log.size(), false};
  std::set<std::string> seen;
  for (const auto& write : model.volatile_writes(end)) {
    const faultfs::CrashPlan plan{end, {{write.entry, faultfs::FateKind::lost, {}, 0, 0}}};
    const Examination examination = bench.examined(recording, model, plan);
    const Reading& reading = examination.after_recovery.at(0);
    seen.insert(to_text(reading));
    if (reading.pieces.size() == 2) {
      EXPECT_NE(reading.pieces[0].put, reading.pieces[1].put);
    }
  }
  EXPECT_THAT(
      seen,
      ::testing::Contains(::testing::MatchesRegex("hit 30000: .* from put#., .* from put#..*")));
}

TEST(EngineInMemory, HardenedIsHonestInTheSameStates) {
  Bench bench(preset("hardened"));
  const Recording recording = bench.recorded(1, commands({"put k1 30000", "sync", "put k1 30000"}));
  faultfs::CrashModel model(recording.base, recording.log, recording.profile);
  for (std::uint32_t entry = 0; entry <= recording.log.size(); ++entry) {
    const faultfs::CrashPoint point{faultfs::CutKind::power_cut, entry, false};
    const auto writes = model.volatile_writes(point);
    ASSERT_LT(writes.size(), 12U);
    for (std::uint32_t lost = 0; lost < (1U << writes.size()); ++lost) {
      faultfs::CrashPlan plan{point, {}};
      for (std::size_t i = 0; i < writes.size(); ++i) {
        if ((lost >> i & 1U) != 0) {
          plan.fates.push_back({writes[i].entry, faultfs::FateKind::lost, {}, 0, 0});
        }
      }
      expect_sound(bench.examined(recording, model, plan), to_text(plan));
      ASSERT_FALSE(HasFailure());
    }
  }
}

TEST(EngineInMemory, MixedConfigurationsAreMapped) {
  TargetConfig config;
  config.allocator = "lifo";
  config.policy = "newest_complete";
  config.without_gates = {"owner_check"};
  config.slot_bytes = 4096;
  Bench bench(config);
  const Recording recording = bench.recorded(1, commands({"put k1 30000", "kill", "get k1"}));
  EXPECT_EQ(to_text(recording.readings.at(0)), "hit 30000: [0, 30000) from put#1");
  ASSERT_TRUE(bench.target->start(9, 0));
  bool more = true;
  while (more) {
    bench.target->tick(more);
  }
  ASSERT_TRUE(bench.target->structure());
  EXPECT_EQ(bench.target->structure()->unit_count, 252U);
}

TEST(Registry, SaysWhatCannotRun) {
  TargetConfig config;
  EXPECT_TRUE(available(config, true));
  config.target = "squid";
  EXPECT_THAT(available(config, true).error().message, HasSubstr("--device fuse"));
  config.target = "varnish";
  EXPECT_THAT(available(config, true).error().message, HasSubstr("engine, squid"));
  config = {};
  config.program = "/nowhere/cache-engine";
  EXPECT_THAT(available(config, false).error().message, HasSubstr("/nowhere/cache-engine"));
}

}  // namespace
}  // namespace scenarios
