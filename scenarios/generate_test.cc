#include "scenarios/generate.h"

#include <algorithm>
#include <set>

#include <gtest/gtest.h>

namespace scenarios {
namespace {

Traits every_trait() {
  Traits traits;
  traits.header_update = traits.purge = traits.sync = traits.range = traits.slow_put = true;
  traits.sliced_rebuild = traits.inspects = traits.reformats = true;
  return traits;
}

GenerateOptions everything() {
  GenerateOptions options;
  options.traits = every_trait();
  return options;
}

constexpr std::uint64_t seeds = 400;

std::set<CommandKind> kinds_of(const std::vector<Command>& commands) {
  std::set<CommandKind> kinds;
  for (const Command& command : commands) {
    kinds.insert(command.kind);
  }
  return kinds;
}

/// Slots of 16 KiB that all puts of a history need together.
std::uint64_t slots_of(const std::vector<Command>& commands) {
  std::uint64_t slots = 0;
  for (const Command& command : commands) {
    const bool puts = command.kind == CommandKind::put || command.kind == CommandKind::begin;
    slots += puts ? (command.size + 80) / (16384 - 128) + 1 : 0;
  }
  return slots;
}

TEST(Generate, TheSeedDecidesAlone) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    EXPECT_EQ(generate(seed, everything()), generate(seed, everything()));
  }
  EXPECT_NE(generate(1, everything()), generate(2, everything()));
}

/// Only where asked for: else a seed tells the history it told before there were any.
TEST(Generate, PurgesOfEverythingComeWhereTheyAreAskedFor) {
  GenerateOptions able = everything();
  able.traits.purge_all = true;
  GenerateOptions asked = able;
  asked.purges_of_all = true;
  GenerateOptions unable = everything();
  unable.purges_of_all = true;
  std::uint64_t with = 0;
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    const auto commands = generate(seed, everything());
    EXPECT_EQ(generate(seed, able), commands);
    EXPECT_EQ(generate(seed, unable), commands);
    with += kinds_of(generate(seed, asked)).count(CommandKind::purge_all);
  }
  EXPECT_GT(with, seeds / 8);
  EXPECT_LT(with, seeds * 3 / 4) << "most of a history is about something else";
}

/// A slow put begun before one goes on behind it: what else would it be for?
TEST(Generate, HandoffsComeWhereTheyAreAskedForAndSlowPutsGoOn) {
  GenerateOptions able = everything();
  able.traits.hands_over = true;
  GenerateOptions asked = able;
  asked.handoffs = true;
  std::uint64_t with = 0, across = 0;
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    EXPECT_EQ(generate(seed, able), generate(seed, everything()));
    std::set<Key> open, handed_over;
    for (const Command& command : generate(seed, asked)) {
      if (command.kind == CommandKind::begin) {
        open.insert(command.key);
        handed_over.erase(command.key);
      } else if (command.kind == CommandKind::handoff) {
        ++with;
        handed_over = open;
      } else if (restarts(command.kind)) {
        open.clear();
        handed_over.clear();
      } else if (command.kind == CommandKind::finish) {
        across += handed_over.count(command.key);
        open.erase(command.key);
        handed_over.erase(command.key);
      }
    }
  }
  EXPECT_GT(with, seeds / 8);
  EXPECT_GT(across, seeds / 100);
}

TEST(Generate, SwarmsLeaveKindsOutAndMissNone) {
  std::set<CommandKind> met;
  std::size_t without_purge = 0, longest = 0;
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    const auto commands = generate(seed, everything());
    const auto kinds = kinds_of(commands);
    met.insert(kinds.begin(), kinds.end());
    without_purge += kinds.count(CommandKind::purge) == 0 ? 1 : 0;
    longest = std::max(longest, commands.size());
    EXPECT_LE(commands.size(), 24U);
  }
  EXPECT_EQ(met.size(), 15U) << "every kind there is";
  EXPECT_GT(without_purge, seeds / 4);
  EXPECT_LT(without_purge, seeds * 3 / 4);
  EXPECT_EQ(longest, 24U);
}

TEST(Generate, OverwritesAreFrequent) {
  std::size_t histories = 0;
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    std::multiset<Key> keys;
    for (const Command& command : generate(seed, everything())) {
      if (command.kind == CommandKind::put || command.kind == CommandKind::begin) {
        keys.insert(command.key);
      }
    }
    const std::set<Key> different(keys.begin(), keys.end());
    histories += keys.size() > different.size() ? 1 : 0;
  }
  EXPECT_GT(histories, seeds * 2 / 3);
}

TEST(Generate, SomeSwarmsFillTheStoreAndSomeUseOneSize) {
  std::size_t overflowing = 0, of_one_size = 0;
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    const auto commands = generate(seed, everything());
    overflowing += slots_of(commands) > 63 ? 1 : 0;
    std::multiset<std::uint64_t> sizes;
    for (const Command& command : commands) {
      if (command.kind == CommandKind::put) {
        sizes.insert(command.size);
      }
    }
    of_one_size += sizes.size() > 2 && sizes.count(*sizes.begin()) == sizes.size() ? 1 : 0;
  }
  EXPECT_GT(overflowing, seeds / 20);
  EXPECT_GT(of_one_size, seeds / 10);
}

TEST(Generate, UsuallyEndsInTheMiddleOfActivity) {
  std::size_t with_unsynced_work = 0;
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    const auto commands = generate(seed, everything());
    if (!commands.empty()) {
      const CommandKind last = commands.back().kind;
      with_unsynced_work += last == CommandKind::put || last == CommandKind::begin ||
                                    last == CommandKind::more || last == CommandKind::finish ||
                                    last == CommandKind::update || last == CommandKind::abort
                                ? 1
                                : 0;
    }
  }
  EXPECT_GT(with_unsynced_work, seeds / 2);
}

TEST(Generate, KeepsToTheTraits) {
  GenerateOptions options;
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    for (const CommandKind kind : kinds_of(generate(seed, options))) {
      EXPECT_TRUE(kind == CommandKind::put || kind == CommandKind::get ||
                  kind == CommandKind::kill || kind == CommandKind::stop ||
                  kind == CommandKind::power_cut)
          << seed;
    }
  }
}

TEST(Generate, ControlHistoriesNeverTouchAKeyTwice) {
  GenerateOptions options = everything();
  options.overwrites = false;
  options.commands_max = 60;
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    std::set<Key> keys;
    const auto commands = generate(seed, options);
    for (const Command& command : commands) {
      if (command.kind == CommandKind::put || command.kind == CommandKind::begin) {
        EXPECT_TRUE(keys.insert(command.key).second);
      }
      EXPECT_NE(command.kind, CommandKind::purge);
      EXPECT_NE(command.kind, CommandKind::update);
      EXPECT_NE(command.kind, CommandKind::abort);
      EXPECT_NE(command.kind, CommandKind::reformat);
    }
    EXPECT_LE(slots_of(commands), 63U) << "no evictions either";
  }
}

TEST(Generate, SurvivesItsOwnText) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    for (const Command& command : generate(seed, everything())) {
      const auto parsed = parse_command(to_text(command));
      ASSERT_TRUE(parsed) << parsed.error().message;
      EXPECT_EQ(*parsed, command);
    }
  }
}

TEST(Generate, SmallDisksAndSlotsWork) {
  for (const std::uint32_t slot_bytes : {1024U, 4096U, 1U << 20U}) {
    GenerateOptions options = everything();
    options.slot_bytes = slot_bytes;
    options.disk_bytes = 16384 + 4 * std::uint64_t{slot_bytes};
    for (std::uint64_t seed = 0; seed < 30; ++seed) {
      EXPECT_FALSE(generate(seed, options).empty() && seed == 0);
    }
  }
}

TEST(Named, EveryScenarioHasAStoryAndCommands) {
  EXPECT_GE(named_scenarios().size(), 26U);
  std::set<std::string> names;
  for (const NamedScenario& scenario : named_scenarios()) {
    EXPECT_TRUE(names.insert(scenario.name).second);
    EXPECT_GT(scenario.story.size(), 30U) << scenario.name;
    EXPECT_GE(scenario.commands.size(), 1U) << scenario.name;
  }
  EXPECT_EQ(names.count("overwrite_during_wrap"), 1U);
}

}  // namespace
}  // namespace scenarios
