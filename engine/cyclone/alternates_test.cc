// Alternates of one object share a head. Each of them is answered by itself all the same; what the
// head costs, forgets and survives is here, and the purge of everything. Cuts at every write are in
// crash_test.cc.
#include <gtest/gtest.h>

#include "engine/alternate.h"
#include "engine/cyclone/document.h"
#include "engine/cyclone/test_disk.h"
#include "engine/memory/ram_store.h"
#include "engine/restart/process_memory.h"

namespace engine::cyclone {
namespace {

static_assert(object_of("http://x.com/a|gzip|b") == "http://x.com/a");
static_assert(alternate_of("http://x.com/a|gzip|b") == "|gzip|b");
static_assert(object_of("k") == "k" && alternate_of("k").empty());
static_assert(alternate_of("k|") == "|");

Vector three() {
  Vector vector;
  vector.object = "object";
  vector.count = 3;
  vector.alternates.at(0) = {"|a", "header a", 10, key_of("a"), false, 4096, 1};
  vector.alternates.at(1) = {"", "", 20, {}, true, 0, 2};
  vector.alternates.at(2) = {"|", "header c", 0, key_of("c"), false, 1, 3};
  return vector;
}

Bytes encoded(const Vector& vector) {
  Bytes bytes(vector_bytes(vector));
  encode_vector(vector, bytes);
  return bytes;
}

bool decodes(const Bytes& bytes) {
  Vector vector;
  return decode_vector(bytes, vector);
}

TEST(AlternateVector, ComesBackAsItWas) {
  const Vector original = three();
  const Bytes bytes = encoded(original);
  Vector again;
  ASSERT_TRUE(decode_vector(bytes, again));
  EXPECT_EQ(again.object, "object");
  ASSERT_EQ(again.count, 3U);
  for (std::size_t n = 0; n < 3; ++n) {
    const Alternate& was = original.all()[n];
    const Alternate& is = again.all()[n];
    EXPECT_EQ(is.name, was.name);
    EXPECT_EQ(is.header, was.header);
    EXPECT_EQ(is.object_bytes, was.object_bytes);
    EXPECT_EQ(is.earliest, was.earliest);
    EXPECT_EQ(is.resident, was.resident);
    EXPECT_EQ(is.fragment_content_bytes, was.fragment_content_bytes);
    EXPECT_EQ(is.order, was.order);
  }
  EXPECT_EQ(again.find("|"), &again.alternates.at(2));
  EXPECT_EQ(again.find("|b"), nullptr);
}

TEST(AlternateVector, NoOtherLengthIsRead) {
  const Bytes bytes = encoded(three());
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_FALSE(decodes({bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(length)}));
  }
  Bytes longer = bytes;
  longer.push_back(std::byte{0});
  EXPECT_FALSE(decodes(longer));
}

TEST(AlternateVector, WhatCannotBeIsRefused) {
  const auto refused = [](void (*edit)(Vector&)) {
    Vector vector = three();
    edit(vector);
    return !decodes(encoded(vector));
  };
  EXPECT_FALSE(refused([](Vector&) {}));
  EXPECT_TRUE(refused([](Vector& vector) { vector.count = 0; }));
  EXPECT_TRUE(refused([](Vector& vector) { vector.alternates.at(0).name = "|"; }));
  EXPECT_TRUE(refused([](Vector& vector) { vector.alternates.at(0).name = "a"; }));
  EXPECT_TRUE(refused([](Vector& vector) { vector.object = "object|a"; }));
  EXPECT_TRUE(refused([](Vector& vector) { vector.alternates.at(0).resident = true; }));
  EXPECT_TRUE(refused([](Vector& vector) { vector.alternates.at(2).fragment_content_bytes = 0; }));
  EXPECT_TRUE(refused([](Vector& vector) {
    vector.alternates.at(0).resident = true;
    vector.alternates.at(0).fragment_content_bytes = 0;
  })) << "two bodies in one head";
  static const std::string long_name(name_bytes_max - 7, 'n');
  static const std::string longer_name(name_bytes_max - 6, 'n');
  static const std::string of_long = "|" + long_name, of_longer = "|" + longer_name;
  EXPECT_FALSE(refused([](Vector& vector) { vector.alternates.at(0).name = of_long; }));
  EXPECT_TRUE(refused([](Vector& vector) { vector.alternates.at(0).name = of_longer; }));
  for (const auto& [at, value] : {std::pair(2, 6), {2, 255}, {4, 1}, {7, 1}, {8 + 40 + 2, 2}}) {
    Bytes bytes = encoded(three());
    bytes.at(static_cast<std::size_t>(at)) = static_cast<std::byte>(value);
    EXPECT_FALSE(decodes(bytes)) << "byte " << at << " is " << value;
  }
}

/// Alternates with bodies in the head and in fragments; everything that is done to one leaves the
/// others as they are, now and after a kill.
TEST(Alternates, EachIsAnsweredByItself) {
  CycloneRig rig;
  ASSERT_TRUE(rig.start());
  const std::map<std::string, std::size_t> sizes = {
      {"k", 3000}, {"k|a", 40000}, {"k|b", 0}, {"k|c", 2000}, {"k|", 7000}};
  std::map<std::string, Bytes> there;
  const auto agree = [&](const char* when) {
    for (const auto& [key, size] : sizes) {
      const auto known = there.find(key);
      EXPECT_EQ(rig.get(key).hit, known != there.end()) << when << " " << key;
      EXPECT_TRUE(known == there.end() || rig.hits(key, known->second)) << when << " " << key;
    }
  };
  std::uint64_t version = 0;
  for (int round = 0; round < 2; ++round) {
    for (const auto& [key, size] : sizes) {
      there[key] = body(++version, size);
      ASSERT_TRUE(rig.put(key, there[key], "of " + key));
      agree("after put");
    }
  }
  ASSERT_TRUE(rig.store->update_header("k|a", "new").value());
  EXPECT_FALSE(rig.store->update_header("k|x", "new").value());
  EXPECT_EQ(rig.get("k|a").header, "new");
  EXPECT_EQ(rig.get("k|b").header, "of k|b");
  agree("after header update");
  for (const std::string key : {"k|", "k", "k|c", "k|a", "k|b"}) {
    EXPECT_TRUE(rig.store->purge(key).value());
    EXPECT_FALSE(rig.store->purge(key).value());
    there.erase(key);
    agree("after purge");
    ASSERT_TRUE(rig.start());
    agree("after kill");
  }
}

TEST(Alternates, TheOldestGivesWay) {
  CycloneRig rig;
  ASSERT_TRUE(rig.start());
  const auto name = [](std::uint64_t n) { return "k|" + std::to_string(n); };
  for (std::uint64_t n = 0; n < 7; ++n) {
    ASSERT_TRUE(rig.put(name(n), body(n, 500 + n)));
  }
  EXPECT_EQ(rig.count("alternates_evicted"), 2U);
  ASSERT_TRUE(rig.start());
  for (std::uint64_t n = 0; n < 7; ++n) {
    EXPECT_EQ(rig.hits(name(n), body(n, 500 + n)), n >= 2) << n;
  }
  // Headers that do not fit one head together: what was written last stays.
  const std::string long_header(8000, 'h');
  ASSERT_TRUE(rig.put(name(7), body(7, 507), long_header));
  EXPECT_TRUE(rig.hits(name(6), body(6, 506)));
  ASSERT_TRUE(rig.put(name(8), body(8, 508), long_header));
  EXPECT_TRUE(rig.store->update_header(name(8), long_header + std::string(130, 'm')).value());
  EXPECT_TRUE(rig.hits(name(8), body(8, 508)));
  EXPECT_TRUE(rig.hits(name(7), body(7, 507)));
  EXPECT_FALSE(rig.get(name(6)).hit);
  EXPECT_EQ(rig.put(name(9), body(9, 1), std::string(9000, 'h')).error().trouble, Trouble::invalid);
  EXPECT_TRUE(rig.hits(name(7), body(7, 507))) << "what is refused takes nothing away";
}

/// The log comes round to the fragments of one alternate, while another one is written again and
/// again.
TEST(Alternates, ALappedOneIsAMissAndHurtsNoOther) {
  CycloneRig rig;
  ASSERT_TRUE(rig.start());
  ASSERT_TRUE(rig.put("k|old", body(1, 50000)));
  ASSERT_TRUE(rig.put("k|small", body(2, 2000)));
  std::uint64_t version = 3;
  while (rig.count("wraps") < 2) {
    ASSERT_TRUE(rig.put("k|new", body(++version, 30000)));
  }
  for (int life = 0; life < 2; ++life) {
    EXPECT_FALSE(rig.get("k|old").hit);
    EXPECT_TRUE(rig.hits("k|new", body(version, 30000)));
    EXPECT_TRUE(rig.hits("k|small", body(2, 2000))) << "it went along with the head";
    ASSERT_TRUE(rig.start());
  }
  EXPECT_GT(rig.store->purge("k|old").value(), 0) << "the head still told of it";
  EXPECT_TRUE(rig.hits("k|small", body(2, 2000)));
}

/// Every row is counted once; a head's to the alternate that was written last.
TEST(Alternates, InspectionCountsTheHeadOnce) {
  CycloneRig rig;
  ASSERT_TRUE(rig.start());
  ASSERT_TRUE(rig.put("k|a", body(1, 40000)));
  ASSERT_TRUE(rig.put("k", body(2, 3000)));
  ASSERT_TRUE(rig.put("k|b", body(3, 1000)));
  ASSERT_TRUE(rig.put("other", body(4, 1000)));
  const Inspection view = rig.store->inspect();
  std::map<std::string, EntryUse> entries;
  std::vector<int> owners(view.units.size());
  for (const EntryUse& entry : view.entries) {
    entries[entry.key] = entry;
    for (const std::uint32_t unit : entry.units) {
      ++owners.at(unit);
      EXPECT_EQ(view.units.at(unit).kind, UnitUse::Kind::entry);
      EXPECT_EQ(view.entries.at(view.units.at(unit).entry).key, entry.key);
    }
  }
  EXPECT_LE(*std::max_element(owners.begin(), owners.end()), 1);
  ASSERT_EQ(entries.size(), 4U);
  EXPECT_EQ(entries.at("k|b").units.size(), 1U);
  EXPECT_EQ(entries.at("k").units.size(), 1U) << "its body left the head";
  EXPECT_GT(entries.at("k|a").units.size(), 2U);
  EXPECT_FALSE(entries.at("k|b").through);
  EXPECT_EQ(entries.at("k").through, entries.at("k|b").units.front());
  EXPECT_EQ(entries.at("k|a").through, entries.at("k|b").units.front());
  EXPECT_FALSE(entries.at("other").through);
  EXPECT_EQ(entries.at("k|a").body_bytes, 40000U);
}

TEST(PurgeOfAll, LeavesNothingAndSparesUploadsInProgress) {
  CycloneRig rig;
  ASSERT_TRUE(rig.start());
  for (int round = 0; round < 2; ++round) {
    ASSERT_TRUE(rig.put("k|a", body(1, 40000)));
    ASSERT_TRUE(rig.put("k", body(2, 100)));
    ASSERT_TRUE(rig.put("other", body(3, 9000)));
    const auto upload = rig.store->begin_put("open", "h", 30000);
    ASSERT_TRUE(upload && rig.store->append(*upload, body(4, 30000)));
    ASSERT_TRUE(rig.store->purge_all());
    ASSERT_TRUE(rig.store->purge_all()) << "of nothing";
    for (const char* key : {"k|a", "k", "other", "open"}) {
      EXPECT_FALSE(rig.get(key).hit) << key;
    }
    ASSERT_TRUE(rig.store->commit(*upload));
    EXPECT_TRUE(rig.hits("open", body(4, 30000)));
    ASSERT_TRUE(rig.put("k", body(5, 200)));
    ASSERT_TRUE(round == 0 || rig.store->sync());
    ASSERT_TRUE(rig.start());
    for (const char* key : {"k|a", "other"}) {
      EXPECT_FALSE(rig.get(key).hit) << key;
    }
    EXPECT_TRUE(rig.hits("open", body(4, 30000)));
    EXPECT_TRUE(rig.hits("k", body(5, 200)));
    for (const EntryUse& entry : rig.store->inspect().entries) {
      EXPECT_TRUE(entry.key == "k" || entry.key == "open") << entry.key;
    }
  }
}

/// Either copy of the directory, from before and from behind it.
TEST(PurgeOfAll, IsObeyedWhicheverCopyIsLoaded) {
  for (unsigned damaged = 0; damaged < 3; ++damaged) {
    CycloneRig rig;
    ASSERT_TRUE(rig.start());
    ASSERT_TRUE(rig.put("k", body(1, 3000)));
    ASSERT_TRUE(rig.store->sync());
    ASSERT_TRUE(rig.store->sync());
    ASSERT_TRUE(rig.store->purge_all());
    ASSERT_TRUE(rig.put("new", body(2, 3000)));
    ASSERT_TRUE(rig.store->sync());
    const auto geometry = *geometry_of_disk(rig.disk.now.size(), rig.config.layout);
    if (damaged < 2) {
      rig.disk.now[geometry.copy_begin(damaged) + geometry.header_bytes] ^= std::byte{1};
    }
    ASSERT_TRUE(rig.start());
    EXPECT_FALSE(rig.get("k").hit) << damaged;
    EXPECT_TRUE(rig.hits("new", body(2, 3000))) << damaged;
  }
}

/// A device that refuses the document: nothing is acknowledged, and nothing lies.
TEST(PurgeOfAll, FailsWhereTheDeviceRefuses) {
  CycloneRig rig;
  ASSERT_TRUE(rig.start());
  ASSERT_TRUE(rig.put("k", body(1, 3000)));
  rig.disk.cut_at = rig.disk.writes;
  EXPECT_FALSE(rig.store->purge_all());
  rig.disk.power_on();
  ASSERT_TRUE(rig.start());
  EXPECT_TRUE(!rig.get("k").hit || rig.hits("k", body(1, 3000)));
  ASSERT_TRUE(rig.put("k", body(2, 3000)));
  for (const EntryUse& entry : rig.store->inspect().entries) {
    EXPECT_EQ(entry.key, "k") << "numbers begin where the log ended";
  }
}

/// A store that attaches, one that rebuilds, and one in memory answer the same histories.
TEST(Alternates, AttachEqualsRebuildEqualsMemory) {
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    Random random(seed);
    CycloneRig rebuilding;
    CycloneRig attaching;
    restart::ProcessMemory memory;
    SharedDirectory shared;
    shared.memory = &memory;
    shared.config.enabled = true;
    const auto reference = memory::open_ram_store({}).value();
    const auto restart = [&](bool in_order) {
      ASSERT_TRUE(!in_order || attaching.store->close());
      attaching.store.reset();
      attaching.config.seed = mix(seed, random.next());
      attaching.store = open_store(attaching.disk, attaching.config, shared).value();
      for (Result<bool> more = true; more && *more;) {
        more = attaching.store->tick();
      }
      EXPECT_EQ(attaching.count("attached"), in_order ? 1U : 0U);
      ASSERT_TRUE(rebuilding.start());
    };
    attaching.store = open_store(attaching.disk, attaching.config, shared).value();
    ASSERT_TRUE(rebuilding.start());
    std::uint64_t hits = 0;
    for (std::uint64_t step = 1; step <= 160; ++step) {
      const std::string key =
          "k" + std::to_string(random.below(3)) + "|" + std::to_string(random.below(4));
      const std::uint64_t dice = random.below(32);
      Store* const stores[] = {rebuilding.store.get(), attaching.store.get(), reference.get()};
      const std::size_t bytes = random.below(random.below(4) == 0 ? 30000 : 3000);
      for (Store* each : stores) {
        if (dice < 20) {
          const auto upload = each->begin_put(key, "h", bytes);
          ASSERT_TRUE(upload && each->append(*upload, body(step, bytes)) && each->commit(*upload));
        } else if (dice < 24) {
          ASSERT_TRUE(each->update_header(key, std::string(step, 'h')));
        } else if (dice < 28) {
          ASSERT_TRUE(each->purge(key));
        } else if (dice == 28) {
          ASSERT_TRUE(each->purge_all());
        }
      }
      if (dice > 28) {
        ASSERT_NO_FATAL_FAILURE(restart(dice != 29));
      }
      const GetReply first = rebuilding.get(key);
      const GetReply second = attaching.get(key);
      GetReply third;
      ASSERT_TRUE(reference->get(key, {}, third));
      EXPECT_EQ(first.hit, second.hit) << seed << " " << step;
      EXPECT_EQ(first.body, second.body);
      EXPECT_EQ(first.header, second.header);
      EXPECT_TRUE(!first.hit ||
                  (third.hit && first.body == third.body && first.header == third.header))
          << seed << " " << step;
      hits += first.hit ? 1 : 0;
    }
    EXPECT_GT(hits, 60U);
  }
}

}  // namespace
}  // namespace engine::cyclone
