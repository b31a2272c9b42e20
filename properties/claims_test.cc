#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "properties/all.h"

namespace properties {
namespace {

using ::testing::Contains;
using ::testing::Not;

std::vector<std::string> names(const scenarios::TargetConfig& config, std::string_view profile) {
  std::vector<std::string> names;
  for (const Property* property : claimed(config, faultfs::find_profile(profile).value())) {
    names.emplace_back(property->name());
  }
  return names;
}

TEST(Claims, EveryPropertyHasANameAndASentenceAndIsFound) {
  for (const Property* property : all_properties()) {
    EXPECT_EQ(find_property(property->name()), property);
    EXPECT_TRUE(property->claim().ends_with('.')) << property->name();
  }
  EXPECT_EQ(find_property("no_such_thing"), nullptr);
  EXPECT_EQ(all_properties().size(), 15U);
}

TEST(Claims, TheHardenedEngineClaimsEverythingOnEveryHonestDevice) {
  for (const faultfs::DeviceProfile& profile : faultfs::all_profiles()) {
    const std::size_t claims = claimed({}, profile).size();
    EXPECT_EQ(claims, profile.honest() ? all_properties().size() : 12U) << profile.name;
  }
}

TEST(Claims, OnALyingDeviceOrderAndRecallAreNotClaimed) {
  const auto claims = names({}, "ssd_4k_lying_flush");
  EXPECT_THAT(claims, Not(Contains("purged_stays_purged")));
  EXPECT_THAT(claims, Not(Contains("no_rollback")));
  EXPECT_THAT(claims, Not(Contains("recall_floor")));
  EXPECT_THAT(claims, Contains("no_hodgepodge"));
  EXPECT_THAT(claims, Contains("recovery_stable"));
  EXPECT_THAT(claims, Contains("slots_conserved"));
}

TEST(Claims, ThePresetAndTheProgramSquidClaimTheSame) {
  scenarios::TargetConfig preset;
  preset.preset = "squid";
  scenarios::TargetConfig program;
  program.target = "squid";
  const auto claims = names(preset, "disk_4k_write_through");
  EXPECT_EQ(claims, names(program, "disk_4k_write_through"));
  EXPECT_THAT(claims, Contains("no_hodgepodge"));
  EXPECT_THAT(claims, Contains("process_survives"));
  EXPECT_THAT(claims, Not(Contains("purged_stays_purged")));
  EXPECT_THAT(claims, Not(Contains("recall_floor")));
}

TEST(Claims, CycloneHardenedClaimsWhatRockDoesAndItsPresetOnlyNoLies) {
  scenarios::TargetConfig cyclone;
  cyclone.store = "cyclone";
  for (const char* profile : {"disk_512_write_through", "ssd_4k_volatile", "ssd_4k_lying_flush"}) {
    EXPECT_EQ(names(cyclone, profile), names({}, profile));
  }
  cyclone.preset = "trafficserver";
  const auto claims = names(cyclone, "disk_512_write_through");
  EXPECT_THAT(claims, Contains("no_foreign_bytes"));
  EXPECT_THAT(claims, Not(Contains("purged_stays_purged")));
  EXPECT_THAT(claims, Not(Contains("recall_floor")));
}

TEST(Claims, TrafficServerClaimsNoLieOnHonestDevicesOnly) {
  scenarios::TargetConfig config;
  config.target = "trafficserver";
  EXPECT_THAT(names(config, "disk_512_write_through"), Contains("no_hodgepodge"));
  EXPECT_THAT(names(config, "ssd_4k_volatile"), Contains("no_foreign_bytes"));
  EXPECT_THAT(names(config, "ssd_4k_lying_flush"),
              ::testing::ElementsAre("recovery_ends", "process_survives"));
}

scenarios::Faults fault(std::string_view text) {
  return {faultfs::faults::parse_expression(text).value()};
}

std::vector<std::string> names_with(const scenarios::Faults& faults,
                                    std::string_view profile = "ssd_4k_volatile",
                                    const scenarios::TargetConfig& config = {}) {
  std::vector<std::string> names;
  for (const Property* property : claimed(config, faultfs::find_profile(profile).value(), faults)) {
    names.emplace_back(property->name());
  }
  return names;
}

TEST(Claims, WhatAFaultTakesHangsOnWhatItDoes) {
  EXPECT_EQ(names_with(fault("latency ms=5")).size(), all_properties().size());
  EXPECT_EQ(names_with(fault("short-read")).size(), all_properties().size());
  const auto refused = names_with(fault("eio"));
  EXPECT_THAT(refused, Contains("purged_stays_purged"));
  EXPECT_THAT(refused, Contains("no_rollback"));
  EXPECT_THAT(refused, Not(Contains("recall_floor")));
  EXPECT_THAT(refused, Not(Contains("recovery_ends")));
  const auto rotten = names_with(fault("rot-on-read"));
  EXPECT_THAT(rotten, Contains("recovery_ends"));
  EXPECT_THAT(rotten, Not(Contains("no_rollback")));
  EXPECT_THAT(rotten, Not(Contains("recovery_stable")));
  EXPECT_THAT(names_with(fault("latent-sector-error")), Not(Contains("recovery_ends")));
  auto both = fault("eio");
  both.push_back(fault("rot-on-read").front());
  EXPECT_THAT(names_with(both), Not(Contains("recovery_ends")));
  EXPECT_THAT(names_with(both), Not(Contains("no_rollback")));
}

TEST(Claims, APresetGoesOnClaimingWhatItsOriginalCannotKeep) {
  scenarios::TargetConfig preset;
  preset.preset = "squid";
  EXPECT_THAT(names_with(fault("rot-on-write"), "ssd_4k_volatile", preset), Contains("no_garbage"));
}

TEST(Claims, ASpecimenClaimsWhatItsPresetClaims) {
  scenarios::TargetConfig specimen;
  specimen.without_gates = {"slot_payload_checksum"};
  EXPECT_EQ(names(specimen, "ssd_4k_volatile"), names({}, "ssd_4k_volatile"));
}

}  // namespace
}  // namespace properties
