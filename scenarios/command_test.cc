#include "scenarios/command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include "scenarios/targets/shared_memory.h"

namespace scenarios {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(Command, ReadsAsDocumented) {
  for (const char* line : {"put k3 40000",
                           "put k3 64K",
                           "crowd k3 40000",
                           "kill_in_stop 300",
                           "overlap",
                           "handoff",
                           "begin k3 40000 20000",
                           "more k3 10000",
                           "finish k3",
                           "abort k3",
                           "get k3",
                           "get k3 100 5000",
                           "purge k3",
                           "update k3 300",
                           "update k3 0",
                           "sync",
                           "stop",
                           "kill",
                           "kill_sliced",
                           "power_cut all_lost",
                           "power_cut all_kept",
                           "power_cut random 0x12",
                           "tick 3",
                           "reformat 8K"}) {
    const auto command = parse_command(line);
    ASSERT_TRUE(command) << command.error().message;
    EXPECT_EQ(to_text(*command), line);
  }
  const auto begin = parse_command("  begin   k3 40000 20000 # half of it");
  ASSERT_TRUE(begin);
  EXPECT_EQ(begin->kind, CommandKind::begin);
  EXPECT_EQ(begin->key, 3U);
  EXPECT_EQ(begin->size, 40000U);
  EXPECT_EQ(begin->offset, 20000U);
}

TEST(Command, RefusesWithTheLineAndWhatIsAllowed) {
  const auto message = [](const char* line) {
    const auto command = parse_command(line);
    return command ? std::string("accepted") : command.error().message;
  };
  EXPECT_THAT(message("punt k3 1"),
              AllOf(HasSubstr("punt k3 1"), HasSubstr("allowed: put, crowd, begin")));
  EXPECT_THAT(message(""), HasSubstr("holds no command"));
  EXPECT_THAT(message("put k3"), AllOf(HasSubstr("'put k3'"), HasSubstr("put KEY SIZE")));
  EXPECT_THAT(message("put k3 1 2"), HasSubstr("put KEY SIZE"));
  EXPECT_THAT(message("put 3 1"), HasSubstr("'3' is not a key"));
  EXPECT_THAT(message("put k10000000 1"), HasSubstr("k9999999"));
  EXPECT_THAT(message("put k3 x"), HasSubstr("x"));
  EXPECT_THAT(message("put k3 1G"), HasSubstr("at most 256M"));
  EXPECT_THAT(message("update k3 65K"), HasSubstr("at most 64K"));
  EXPECT_THAT(message("begin k3 10 11"), HasSubstr("more is sent at once"));
  EXPECT_THAT(message("get k3 5 0"), HasSubstr("at least one byte"));
  EXPECT_THAT(message("get k3 5"), HasSubstr("get KEY OFFSET SIZE"));
  EXPECT_THAT(message("sync now"), HasSubstr("write it as sync"));
  EXPECT_THAT(message("power_cut"), HasSubstr("power_cut random SEED"));
  EXPECT_THAT(message("power_cut random"), HasSubstr("power_cut random SEED"));
  EXPECT_THAT(message("power_cut random x"), HasSubstr("x"));
  EXPECT_THAT(message("tick"), HasSubstr("tick COUNT"));
}

/// Any command, in the one form in which it is data (numbers it does not use are 0).
Command any_command() {
  Command command;
  command.kind =
      static_cast<CommandKind>(*rc::gen::inRange(0, static_cast<int>(CommandKind::reformat) + 1));
  const auto key = *rc::gen::inRange<Key>(0, key_max + 1);
  const auto size = *rc::gen::inRange<std::uint64_t>(1, header_bytes_max + 1);
  switch (command.kind) {
    case CommandKind::begin:
      command.offset = *rc::gen::inRange<std::uint64_t>(0, size + 1);
      [[fallthrough]];
    case CommandKind::put:
    case CommandKind::more:
    case CommandKind::update:
      command.size = size;
      [[fallthrough]];
    case CommandKind::finish:
    case CommandKind::abort:
    case CommandKind::purge:
      command.key = key;
      break;
    case CommandKind::get:
      command.key = key;
      if (*rc::gen::arbitrary<bool>()) {
        command.size = size;
        command.offset = *rc::gen::inRange<std::uint64_t>(0, size);
      }
      break;
    case CommandKind::power_cut:
      command.cut = *rc::gen::element(
          Command::CutStyle::all_lost, Command::CutStyle::all_kept, Command::CutStyle::random);
      command.seed =
          command.cut == Command::CutStyle::random ? *rc::gen::arbitrary<std::uint64_t>() : 0;
      break;
    case CommandKind::shm:
      command.word = *rc::gen::elementOf(shared_words());
      break;
    case CommandKind::tick:
    case CommandKind::reformat:
      command.size = size;
      break;
    default:
      break;
  }
  return command;
}

RC_GTEST_PROP(Command, ParsesBack, ()) {
  const Command command = any_command();
  const auto parsed = parse_command(to_text(command));
  RC_ASSERT(parsed.has_value());
  RC_ASSERT(*parsed == command);
}

RC_GTEST_PROP(Command, NoTextIsTooMuch, (const std::string& text)) {
  const auto parsed = parse_command(text);
  RC_ASSERT(parsed.has_value() || !parsed.error().message.empty());
}

}  // namespace
}  // namespace scenarios
