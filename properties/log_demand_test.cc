#include "properties/log_demand.h"

#include <gtest/gtest.h>

namespace properties {
namespace {

using scenarios::Operation;
using scenarios::OperationKind;

scenarios::TargetConfig cyclone() {
  scenarios::TargetConfig config;
  config.store = "cyclone";
  return config;
}

Operation put(std::uint32_t number, std::uint64_t body_bytes) {
  Operation operation;
  operation.number = number;
  operation.kind = OperationKind::put;
  operation.body_bytes = body_bytes;
  operation.acknowledged = true;
  return operation;
}

LogDemand fresh() {
  return {cyclone(), scenarios::log_geometry(cyclone()).value()};
}

TEST(LogDemand, IsForLogsOnly) {
  EXPECT_FALSE(scenarios::log_geometry(scenarios::TargetConfig{}));
  EXPECT_TRUE(scenarios::log_geometry(cyclone()));
}

TEST(LogDemand, APutIsHeldUntilTheLogCameRound) {
  LogDemand demand = fresh();
  const std::uint64_t data_bytes = scenarios::log_geometry(cyclone())->data_bytes;
  std::uint64_t body_bytes = 0;
  std::uint32_t number = 1;
  for (; body_bytes < data_bytes; body_bytes += 60000, ++number) {
    demand.begin(put(number, 60000));
    demand.end(put(number, 60000));
    EXPECT_TRUE(demand.holds(number));
    EXPECT_TRUE(demand.holds(1) || body_bytes > data_bytes / 2) << body_bytes;
  }
  EXPECT_FALSE(demand.holds(1));
  EXPECT_TRUE(demand.holds(number - 3));
  EXPECT_FALSE(demand.holds(number + 1)) << "never begun";
}

/// An upload that was open when a put began may have written everything after it.
TEST(LogDemand, AnOpenUploadCountsAsWrittenLater) {
  LogDemand demand = fresh();
  const std::uint64_t half = scenarios::log_geometry(cyclone())->data_bytes / 2;
  demand.begin(put(1, half));
  demand.begin(put(2, half / 2));
  demand.end(put(2, half / 2));
  EXPECT_TRUE(demand.holds(2));
  demand.begin(put(3, half / 2));
  EXPECT_FALSE(demand.holds(2));
}

/// Each stripe, and each disk, comes round by itself: what goes to another one presses nothing out
/// of this.
void only_the_log_of_the_key_counts(const scenarios::TargetConfig& config, std::size_t count) {
  const auto logs = scenarios::log_geometry(config).value();
  ASSERT_EQ(logs.logs, count);
  const auto key_of = [&logs](bool same) {
    scenarios::Key key = 1;
    while ((logs.log_of(key) == logs.log_of(0)) != same) {
      ++key;
    }
    return key;
  };
  for (const bool same : {false, true}) {
    LogDemand demand{config, logs};
    std::uint32_t number = 1;
    for (std::uint64_t bytes = 0; bytes < 2 * logs.data_bytes; bytes += 20000, ++number) {
      Operation operation = put(number, 20000);
      operation.key = number == 1 ? 0 : key_of(same);
      demand.begin(operation);
      demand.end(operation);
    }
    EXPECT_EQ(demand.holds(1), !same);
  }
}

/// What is pinned stays where it fits; what is not pinned has less room beside it.
TEST(LogDemand, PinnedKeysStayWhileTheLogComesRound) {
  const auto laps_held = [](std::uint32_t pinned, std::uint32_t hot, std::uint64_t size) {
    scenarios::TargetConfig config = cyclone();
    config.pinned = pinned;
    config.hot_percent = hot;
    const auto log = scenarios::log_geometry(config).value();
    LogDemand demand{config, log};
    demand.begin(put(1, size));
    demand.end(put(1, size));
    std::uint32_t number = 2;
    std::uint64_t written = 0;
    for (; written < 3 * log.data_bytes && demand.holds(1); written += 20000, ++number) {
      Operation other = put(number, 20000);
      other.key = 7;
      demand.begin(other);
      demand.end(other);
    }
    return static_cast<double>(written) / static_cast<double>(log.data_bytes);
  };
  const double plain = laps_held(0, 0, 30000);
  EXPECT_LT(plain, 1);
  EXPECT_GT(plain, 0.5);
  EXPECT_GE(laps_held(1, 0, 30000), 3);
  EXPECT_GE(laps_held(1, 20, 30000), 3);
  EXPECT_LT(laps_held(1, 0, 300000), 1) << "more than pins may use";
  EXPECT_LT(laps_held(0, 20, 30000), plain);
}

TEST(LogDemand, OfSeveralLogsThatOfTheKeyCounts) {
  scenarios::TargetConfig stripes = cyclone();
  stripes.stripes = stripes.volumes = 2;
  only_the_log_of_the_key_counts(stripes, 4);
  scenarios::TargetConfig disks = cyclone();
  disks.disks = 2;
  only_the_log_of_the_key_counts(disks, 2);
  // Which of a disk's stripes has a key is not known: one of them may have them all.
  disks.stripes = 2;
  only_the_log_of_the_key_counts(disks, 2);
}

/// Whatever writes a head writes what the other alternates have in it, so a sibling's puts press
/// out sooner than a stranger's; never later than without alternates.
TEST(LogDemand, SiblingsCostWhatTheirHeadHolds) {
  std::vector<std::uint32_t> held;
  for (const std::uint32_t alternates : {1U, 3U}) {
    for (const scenarios::Key key : {1U, 3U}) {
      scenarios::TargetConfig config = cyclone();
      config.alternates = alternates;
      config.slot_bytes = 4096;  // rows enough that bytes decide
      LogDemand demand{config, scenarios::log_geometry(config).value()};
      Operation first = put(1, 10000);
      demand.expect(first);
      demand.begin(first);
      demand.end(first);
      std::uint32_t number = 1;
      while (demand.holds(1)) {
        Operation more = put(++number, 100);
        more.key = key;
        demand.expect(more);
        demand.begin(more);
        demand.end(more);
      }
      held.push_back(number);
    }
  }
  EXPECT_EQ(held[0], held[1]);
  EXPECT_LT(held[2], held[3]) << "a sibling carries the body of 10000 along";
  EXPECT_LT(held[3], held[0]);
}

/// Texts that do not fit one head together: any of them may have given way.
TEST(LogDemand, LongHeadersMayPressSiblingsOut) {
  scenarios::TargetConfig config = cyclone();
  config.alternates = 2;
  const auto geometry = scenarios::log_geometry(config).value();
  for (const bool together : {false, true}) {
    LogDemand demand{config, geometry};
    Operation first = put(1, 100);
    Operation second = put(2, 100);
    Operation third = put(3, 100);
    second.key = 1;
    third.key = 2;
    first.header_bytes = second.header_bytes =
        static_cast<std::uint32_t>(geometry.fragment_bytes / 2 - (together ? 100 : 1000));
    for (const Operation& each : {first, second, third}) {
      demand.expect(each);
    }
    for (const Operation& each : {first, second, third}) {
      demand.begin(each);
      demand.end(each);
    }
    EXPECT_EQ(demand.holds(1), !together);
    EXPECT_EQ(demand.holds(2), !together);
    EXPECT_TRUE(demand.holds(3)) << "another object";
  }
}

TEST(LogDemand, ManySmallDocumentsFillTheDirectoryFirst) {
  LogDemand demand = fresh();
  const std::uint64_t rows = scenarios::log_geometry(cyclone())->rows;
  demand.begin(put(1, 10));
  demand.end(put(1, 10));
  for (std::uint32_t number = 2; number <= rows + 1; ++number) {
    EXPECT_TRUE(demand.holds(1)) << number;
    demand.begin(put(number, 10));
    demand.end(put(number, 10));
  }
  EXPECT_FALSE(demand.holds(1));
}

}  // namespace
}  // namespace properties
