#include "scenarios/targets/config.h"

#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

namespace scenarios {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TargetConfig parsed(const std::string& text) {
  TargetConfig config;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    EXPECT_TRUE(is_config_line(line)) << line;
    const auto status = parse_config_line(line, config);
    EXPECT_TRUE(status) << status.error().message;
  }
  return config;
}

std::string refusal(const TargetConfig& config) {
  const auto status = check(config);
  return status ? "accepted" : status.error().message;
}

std::string line_refusal(const char* line) {
  TargetConfig config;
  const auto status = parse_config_line(line, config);
  return status ? "accepted" : status.error().message;
}

TEST(TargetConfig, SaysOnlyWhatIsUnusual) {
  EXPECT_EQ(to_text(TargetConfig{}), "target engine\n");
  TargetConfig config;
  config.preset = "squid";
  config.without_gates = {"owner_check"};
  config.slot_bytes = 8192;
  config.program = "/opt/my caches/cache-engine";
  EXPECT_EQ(to_text(config),
            "target engine\npreset squid\nwithout-gate owner_check\nslot 8K\n"
            "program /opt/my caches/cache-engine\n");
  EXPECT_EQ(parsed(to_text(config)), config);
}

RC_GTEST_PROP(TargetConfig, ParsesBack, ()) {
  TargetConfig config;
  config.target = *rc::gen::element<std::string>("engine", "squid");
  config.preset = *rc::gen::element<std::string>("hardened", "squid");
  config.without_gates = *rc::gen::container<std::vector<std::string>>(
      rc::gen::element<std::string>("owner_check", "write_id", "db_header"));
  config.allocator = *rc::gen::element<std::string>("", "lifo", "random");
  config.disks = *rc::gen::inRange<std::uint32_t>(1, 9);
  config.ram_cache = *rc::gen::element<std::string>("", "32K", "1M,s3fifo");
  config.policy = *rc::gen::element<std::string>("", "newest_complete");
  config.slot_bytes = *rc::gen::inRange<std::uint32_t>(1, 1U << 20U);
  config.disk_bytes = *rc::gen::inRange<std::uint64_t>(1, 1U << 30U);
  config.program = *rc::gen::element<std::string>("", "/a b/c", "/x");
  RC_ASSERT(parsed(to_text(config)) == config);
}

TEST(TargetConfig, RefusesUnknownWordsWithTheAllowedOnes) {
  TargetConfig config;
  EXPECT_EQ(refusal(config), "accepted");
  config.target = "varnish";
  EXPECT_THAT(refusal(config), AllOf(HasSubstr("'varnish'"), HasSubstr("engine, squid")));
  config = {};
  config.store = "ufs";
  EXPECT_THAT(refusal(config), AllOf(HasSubstr("'ufs'"), HasSubstr("rock")));
  config = {};
  config.preset = "soft";
  EXPECT_THAT(refusal(config), AllOf(HasSubstr("soft"), HasSubstr("hardened")));
  config = {};
  config.without_gates = {"front_door"};
  EXPECT_THAT(refusal(config), AllOf(HasSubstr("front_door"), HasSubstr("owner_check")));
  config.without_gates = {"slot_bounds"};
  EXPECT_NE(refusal(config), "accepted");
  config = {};
  config.allocator = "best";
  EXPECT_THAT(refusal(config), AllOf(HasSubstr("'best'"), HasSubstr("lowest_first, lifo, random")));
  config = {};
  config.policy = "oldest";
  EXPECT_THAT(refusal(config), HasSubstr("whole_entry, newest_complete"));
}

TEST(TargetConfig, KeysMayBeAlternates) {
  TargetConfig config;
  EXPECT_EQ(stored_name(config, 7), "k7");
  config.store = "cyclone";
  config.alternates = 3;
  EXPECT_EQ(refusal(config), "accepted");
  EXPECT_EQ(parsed(to_text(config)), config);
  EXPECT_EQ(stored_name(config, 6), "k2");
  EXPECT_EQ(stored_name(config, 7), "k2|a1");
  EXPECT_EQ(object_name(8, 3), "k2");
  config.alternates = 6;
  EXPECT_THAT(refusal(config), HasSubstr("allowed: 1 to 5"));
  config.alternates = 3;
  config.store = "rock";
  EXPECT_THAT(refusal(config), HasSubstr("store cyclone"));
  EXPECT_THAT(line_refusal("alternates many"), HasSubstr("alternates many"));
}

TEST(TargetConfig, RefusesSizesThatDoNotFit) {
  TargetConfig config;
  for (const std::uint32_t slot : {0U, 512U, 3000U, 2U << 20U}) {
    config.slot_bytes = slot;
    EXPECT_THAT(refusal(config), HasSubstr("power of two from 1K to 1M")) << slot;
  }
  config = {};
  config.disk_bytes = 81920 - 4096;
  EXPECT_THAT(refusal(config), HasSubstr("from 80K"));
  config.disk_bytes = 81920;
  EXPECT_EQ(refusal(config), "accepted");
  config.disk_bytes = 81921;
  EXPECT_THAT(refusal(config), HasSubstr("multiple of 4K"));
}

TEST(TargetConfig, SeveralDisksAndARamCacheAreForStoresOnADisk) {
  TargetConfig config;
  config.disks = 2;
  config.volumes = 2;
  config.ram_cache = "32K,s3fifo";
  EXPECT_EQ(refusal(config), "accepted");
  EXPECT_EQ(disk_specs(config)[1].name, "disk-2");
  EXPECT_EQ(geometry(config).units, 2 * 62U);
  config.ram_cache = "much";
  EXPECT_THAT(refusal(config), HasSubstr("'much'"));
  config.ram_cache = "";
  config.disks = 9;
  EXPECT_THAT(refusal(config), HasSubstr("allowed: 1 to 8"));
  config.disks = 2;
  config.volumes = 3;
  EXPECT_THAT(refusal(config), HasSubstr("volumes 3 need a disk each"));
  config.volumes = 1;
  config.disk_bytes = 81920;
  EXPECT_THAT(refusal(config), HasSubstr("from 96K"));
  config = {};
  config.store = "memory";
  config.ram_cache = "32K";
  EXPECT_THAT(refusal(config), HasSubstr("store on a disk"));
  config = {};
  config.store = "cyclone";
  config.disks = 2;
  config.shared_memory = true;
  EXPECT_THAT(refusal(config), HasSubstr("for one disk"));
}

TEST(TargetConfig, SquidTakesNoEngineWords) {
  TargetConfig config;
  config.target = "squid";
  EXPECT_EQ(refusal(config), "accepted");
  config.disk_bytes = 1536 * 1024;
  EXPECT_THAT(refusal(config), HasSubstr("multiple of 1M"));
  config.disk_bytes = 1 << 20;
  config.without_gates = {"owner_check"};
  EXPECT_THAT(refusal(config), HasSubstr("for target engine"));
}

TEST(TargetConfig, OtherProgramsHaveFewPresets) {
  for (const auto& [target, preset, fits] : {std::tuple{"squid", "disker", true},
                                             std::tuple{"squid", "loop", false},
                                             std::tuple{"trafficserver", "loop", true},
                                             std::tuple{"trafficserver", "checksum", true},
                                             std::tuple{"nginx", "journal", true},
                                             std::tuple{"nginx", "loop", false}}) {
    TargetConfig config;
    config.target = target;
    config.disk_bytes = default_disk_bytes(target);
    EXPECT_EQ(refusal(config), "accepted") << target;
    config.preset = preset;
    EXPECT_EQ(refusal(config) == "accepted", fits) << target << " " << preset;
  }
  TargetConfig config;
  config.target = "nginx";
  config.disk_bytes = 1 << 20;
  EXPECT_THAT(refusal(config), HasSubstr("allowed: from 16M"));
}

TEST(TargetConfig, LinesAreQuotedWhenRefused) {
  EXPECT_THAT(line_refusal("colour red"), AllOf(HasSubstr("'colour red'"), HasSubstr("preset")));
  EXPECT_THAT(line_refusal("preset"), HasSubstr("one word"));
  EXPECT_THAT(line_refusal("slot many"), AllOf(HasSubstr("'slot many'"), HasSubstr("many")));
  EXPECT_THAT(line_refusal("slot 2M"), HasSubstr("at most 1M"));
  EXPECT_FALSE(is_config_line("cut after w0001"));
  EXPECT_FALSE(is_config_line("# target"));
}

TEST(Geometry, CountsSlotsBehindTheHeader) {
  const TargetConfig config;
  EXPECT_EQ(geometry(config).units, 63U);
  EXPECT_EQ(geometry(config, 4096).units, 252U);
  EXPECT_EQ(geometry(config).unit_overhead, 128U);
}

}  // namespace
}  // namespace scenarios
