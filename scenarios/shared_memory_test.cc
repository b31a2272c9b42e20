// Every accident that can happen to shared memory between two lives, one after another, with every
// gate on and with the one it is named by off.
//
// On: that gate refuses, and the answers are those of a cache that has no shared memory at all.
// Off: either something comes out that a property would blame, or another gate stands behind it.
// Which of the two is written down here, and the table in engine/README.md is what this test
// prints.

#include <iostream>
#include <map>
#include <set>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "engine/cyclone/config.h"
#include "faultfs/base/random.h"
#include "scenarios/targets/engine_target.h"

namespace scenarios {
namespace {

constexpr Key keys = 10;

TargetConfig cyclone(bool shared) {
  TargetConfig config;
  config.store = "cyclone";
  config.disk_bytes = 256 << 10;
  config.slot_bytes = 4096;
  config.shared_memory = shared;
  return config;
}

/// What a client and a harness see of a history with a clean stop in it, and the accident there.
struct Seen {
  std::string answers;  ///< of every get, in order
  std::string broken;   ///< what the store's own structure says is wrong
  bool attached = false;
  std::map<std::string, std::uint64_t> refused;  ///< by the start after the accident
};

class Play {
 public:
  explicit Play(const TargetConfig& config)
      : device_(faultfs::Device::create(*faultfs::find_profile("ssd_4k_volatile"),
                                        {{disk_name(config), config.disk_bytes}})
                    .value()),
        rig_{*device_, {}, {}, -1},
        target_(make_engine(config, rig_).value()) {}

  Seen run(const std::string& accident) {
    start();
    for (Key key = 0; key < keys; ++key) {
      put(key, key);
    }
    put(3, 50);
    static_cast<void>(target_->purge(1));
    target_->order_shared(accident);
    if (accident == "purge_owner") {
      note_refusals();  // it happens at once
    }
    static_cast<void>(target_->stop());
    start();
    seen_.attached = target_->attached();
    note_refusals();
    ask();
    for (Key key = 0; key < keys; key += 2) {
      put(key + 5, 100 + key);
    }
    ask();
    start();  // after a kill
    ask();
    return seen_;
  }

 private:
  void start() {
    target_->kill();
    const auto started = target_->start(faultfs::mix(7, ++lives_), 0);
    ASSERT_TRUE(started && started->outcome == Outcome::done);
    bool more = true;
    static_cast<void>(target_->rebuild(100000, more));
  }
  void put(Key key, std::uint64_t version) {
    faultfs::Bytes body(500 + version * 700 % 5000);
    for (std::size_t at = 0; at < body.size(); ++at) {
      body[at] = static_cast<std::byte>(faultfs::mix(version, at));
    }
    static_cast<void>(target_->begin_put(key, "h", body.size()));
    static_cast<void>(target_->append(key, body));
    static_cast<void>(target_->finish_put(key));
  }
  void ask() {
    for (Key key = 0; key < 2 * keys; ++key) {
      const GetReply reply = target_->get(key, 0, UINT64_MAX);
      std::uint64_t digest = reply.body.size();
      for (const std::byte byte : reply.body) {
        digest = faultfs::mix(digest, std::to_integer<std::uint64_t>(byte));
      }
      seen_.answers += reply.kind == GetReply::Kind::hit ? fmt::format("{:x} ", digest) : "- ";
    }
    if (const auto structure = target_->structure()) {
      seen_.broken += structure->conservation_error;
    }
  }
  void note_refusals() {
    for (const auto& [gate, count] : target_->gate_refusals()) {
      seen_.refused[gate] += count;
    }
  }

  std::unique_ptr<faultfs::Device> device_;
  Rig rig_;
  std::unique_ptr<Target> target_;
  std::uint64_t lives_ = 0;
  Seen seen_;
};

Seen play(const std::string& accident, const std::string& gate_off = {}) {
  TargetConfig config = cyclone(true);
  if (!gate_off.empty()) {
    config.without_gates = {gate_off};
  }
  return Play(config).run(accident);
}

std::vector<std::string> accidents() {
  std::vector<std::string> words;
  for (const std::string_view word : shared_words()) {
    if (word != "on" && word != "off" && word != "lost") {
      words.emplace_back(word);
    }
  }
  return words;
}

/// These two stand behind `chain_row_twice` and show only where that is off.
const std::map<std::string, std::string> stands_before = {{"chain_too_long", "chain_row_twice"},
                                                          {"chain_loop", "chain_row_twice"}};

TEST(SharedMemory, EveryAccidentIsRefusedByItsGateAndChangesNoAnswer) {
  const Seen plain = Play(cyclone(false)).run("off");
  EXPECT_EQ(plain.broken, "");
  const Seen undisturbed = play("on");
  EXPECT_TRUE(undisturbed.attached);
  EXPECT_TRUE(undisturbed.refused.empty());
  EXPECT_EQ(undisturbed.answers, plain.answers);
  for (const std::string& accident : accidents()) {
    const Seen seen = play(accident);
    const auto before = stands_before.find(accident);
    const std::string gate = before == stands_before.end() ? accident : before->second;
    EXPECT_GT(seen.refused.contains(gate) ? seen.refused.at(gate) : 0, 0U) << accident;
    EXPECT_EQ(seen.attached, accident == "purge_owner") << accident;
    EXPECT_EQ(seen.answers, plain.answers) << accident;
    EXPECT_EQ(seen.broken, "") << accident;
  }
}

TEST(SharedMemory, LostIsRebuilt) {
  const Seen seen = play("lost");
  EXPECT_FALSE(seen.attached);
  EXPECT_EQ(seen.answers, Play(cyclone(false)).run("off").answers);
}

/// What comes of `accident` where its gate is off.
std::string verdict(const Seen& seen, const Seen& plain) {
  std::string behind;
  for (const auto& [gate, count] : seen.refused) {
    const bool other =
        gate != "durable_purge" && gate != "purge_owner" && gate != "image_structure";
    behind += other ? (behind.empty() ? "`" : ", `") + gate + "`" : "";
  }
  if (seen.answers != plain.answers) {
    return "caught: other answers than the disk's";
  }
  if (!seen.broken.empty()) {
    return "caught: " + seen.broken.substr(0, 40);
  }
  return behind.empty() ? "nothing" : "refused behind it by " + behind;
}

/// Why nothing has to come of it.
const std::map<std::string, std::string> explained = {
    {"control_lock",
     "nobody else writes here; a second owner is played in `restart/control_test.cc`"},
    {"control_owner", "the same, where there are no locks"},
    {"purge_owner", "what was purged under its owner is made anew at the next start: a rebuild"},
    {"sector_zero", "the store takes its sector from the span header; the reference from here"},
    {"sector_too_large", "the same"},
    {"last_write_before_data", "only the reference's recovery looks at this field"},
    {"last_write_behind_end", "the same"},
    {"agg_pos_open", "a store that ended in order has nothing under way; the reference may"},
};

TEST(SharedMemory, WhatEachGateSwitchedOffAloneLetsThrough) {
  const Seen plain = Play(cyclone(false)).run("off");
  std::string table = "| gate off | what comes of its accident |\n|---|---|\n";
  for (const std::string& accident : accidents()) {
    if (!engine::cyclone::check_gate(accident)) {
      continue;  // keeps the program memory-safe
    }
    std::string told = verdict(play(accident, accident), plain);
    if (const auto why = explained.find(accident); why != explained.end()) {
      EXPECT_TRUE(told.starts_with("nothing")) << accident << " is caught after all: " << told;
      told = "nothing: " + why->second;
    } else {
      EXPECT_FALSE(told.starts_with("nothing")) << accident;
    }
    table += fmt::format("| `{}` | {} |\n", accident, told);
  }
  std::cout << table;
}

}  // namespace
}  // namespace scenarios
