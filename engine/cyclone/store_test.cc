// The store on a healthy disk, and after kills, damage and wraps.
#include <gtest/gtest.h>

#include "engine/cyclone/test_disk.h"

namespace engine::cyclone {
namespace {

std::string key(std::uint64_t number) {
  return "k" + std::to_string(number);
}

void expect_conserved(const Store& store) {
  const Inspection view = store.inspect();
  std::vector<int> uses(view.units.size());
  for (std::size_t entry = 0; entry < view.entries.size(); ++entry) {
    for (const std::uint32_t unit : view.entries[entry].units) {
      ++uses.at(unit);
      EXPECT_EQ(view.units.at(unit).entry, entry);
    }
  }
  for (std::size_t unit = 0; unit < uses.size(); ++unit) {
    EXPECT_EQ(uses[unit], view.units[unit].kind == UnitUse::Kind::entry ? 1 : 0) << unit;
  }
}

TEST(CycloneStore, KeepsObjectsOfEverySize) {
  CycloneRig rig;
  ASSERT_TRUE(rig.start());
  const std::vector<std::size_t> sizes = {0, 1, 500, 3900, 7900, 8000, 8064, 20000, 100000};
  for (std::size_t n = 0; n < sizes.size(); ++n) {
    ASSERT_TRUE(rig.put(key(n), body(n, sizes[n])));
  }
  for (int life = 0; life < 3; ++life) {
    for (std::size_t n = 0; n < sizes.size(); ++n) {
      EXPECT_TRUE(rig.hits(key(n), body(n, sizes[n]))) << sizes[n];
      EXPECT_EQ(rig.get(key(n)).header, "h");
    }
    EXPECT_FALSE(rig.get("nobody").hit);
    expect_conserved(*rig.store);
    ASSERT_TRUE(rig.start());
  }
  EXPECT_TRUE(rig.disk.all_durable);
}

TEST(CycloneStore, AnswersRangesAcrossFragments) {
  CycloneRig rig;
  ASSERT_TRUE(rig.start());
  const Bytes bytes = body(1, 50000);
  ASSERT_TRUE(rig.put("k", bytes));
  for (const ByteRange range : {ByteRange{0, 10},
                                ByteRange{8000, 9000},
                                ByteRange{49990, 100},
                                ByteRange{50000, 1},
                                ByteRange{70000, 5}}) {
    const GetReply reply = rig.get("k", range);
    ASSERT_TRUE(reply.hit);
    EXPECT_EQ(reply.body_bytes, bytes.size());
    const std::size_t begin = std::min<std::size_t>(range.offset_bytes, bytes.size());
    const std::size_t end = std::min<std::size_t>(begin + range.size_bytes, bytes.size());
    EXPECT_EQ(reply.body,
              Bytes(bytes.begin() + static_cast<std::ptrdiff_t>(begin),
                    bytes.begin() + static_cast<std::ptrdiff_t>(end)));
  }
}

TEST(CycloneStore, ReplacesUpdatesAndPurges) {
  CycloneRig rig;
  ASSERT_TRUE(rig.start());
  ASSERT_TRUE(rig.put("k", body(1, 30000)));
  ASSERT_TRUE(rig.put("k", body(2, 3000)));
  ASSERT_TRUE(rig.put("m", body(3, 40000)));
  EXPECT_TRUE(*rig.store->update_header("m", "new"));
  EXPECT_TRUE(*rig.store->update_header("k", std::string(3000, 'x')));
  EXPECT_FALSE(*rig.store->update_header("nobody", "new"));
  ASSERT_TRUE(rig.put("p", body(4, 100)));
  EXPECT_TRUE(*rig.store->purge("p"));
  EXPECT_FALSE(*rig.store->purge("nobody"));
  for (int life = 0; life < 3; ++life) {
    EXPECT_TRUE(rig.hits("k", body(2, 3000)));
    EXPECT_EQ(rig.get("k").header, std::string(3000, 'x'));
    EXPECT_TRUE(rig.hits("m", body(3, 40000)));
    EXPECT_EQ(rig.get("m").header, "new");
    EXPECT_FALSE(rig.get("p").hit);
    expect_conserved(*rig.store);
    ASSERT_TRUE(rig.start());
  }
}

TEST(CycloneStore, AResidentBodyThatNoLongerFitsBecomesAFragment) {
  CycloneRig rig;
  ASSERT_TRUE(rig.start());
  const Bytes bytes = body(1, 7900);
  ASSERT_TRUE(rig.put("k", bytes));
  ASSERT_TRUE(*rig.store->update_header("k", std::string(2000, 'y')));
  EXPECT_TRUE(rig.hits("k", bytes));
  ASSERT_TRUE(rig.start());
  EXPECT_TRUE(rig.hits("k", bytes));
  EXPECT_EQ(rig.get("k").header.size(), 2000U);
}

TEST(CycloneStore, RefusesWhatCannotBe) {
  CycloneRig rig;
  ASSERT_TRUE(rig.start());
  EXPECT_EQ(rig.store->begin_put("", "h", 1).error().trouble, Trouble::invalid);
  EXPECT_EQ(rig.store->begin_put("k", std::string(9000, 'x'), 1).error().trouble, Trouble::invalid);
  EXPECT_EQ(rig.store->begin_put("k", "h", 1 << 20).error().trouble, Trouble::full);
  const auto upload = rig.store->begin_put("k", "h", 10);
  EXPECT_EQ(rig.store->append(*upload, body(1, 11)).error().trouble, Trouble::invalid);
  EXPECT_EQ(rig.store->commit(*upload).error().trouble, Trouble::invalid);
  ASSERT_TRUE(rig.store->abort(*upload));
  EXPECT_EQ(rig.store->commit(*upload).error().trouble, Trouble::gone);
}

/// The log comes round many times: what is there is right, the newest is there, the directory stays
/// a directory.
TEST(CycloneStore, WrapsAgainAndAgain) {
  CycloneRig rig;
  ASSERT_TRUE(rig.start());
  std::uint64_t wraps = 0;
  std::uint64_t syncs = 0;
  for (std::uint64_t n = 0; n < 400; ++n) {
    ASSERT_TRUE(rig.put(key(n % 40), body(n, 1000 + mix(7, n) % 30000)));
    EXPECT_TRUE(rig.hits(key(n % 40), body(n, 1000 + mix(7, n) % 30000)));
    if (n % 97 == 0) {
      wraps += rig.count("wraps");
      syncs += rig.count("syncs");
      ASSERT_TRUE(rig.start());
      EXPECT_TRUE(rig.hits(key(n % 40), body(n, 1000 + mix(7, n) % 30000))) << n;
    }
  }
  EXPECT_GT(wraps, 5U);
  EXPECT_GT(syncs, 20U);
  for (std::uint64_t n = 0; n < 40; ++n) {
    const std::uint64_t last = 360 + n;
    const GetReply reply = rig.get(key(n));
    EXPECT_TRUE(!reply.hit || reply.body == body(last, 1000 + mix(7, last) % 30000));
  }
  expect_conserved(*rig.store);
}

TEST(CycloneStore, AFullDirectoryForgetsTheOldest) {
  CycloneRig rig;
  rig.config.layout.average_object_bytes = 100000;
  ASSERT_TRUE(rig.start());
  for (std::uint64_t n = 0; n < 60; ++n) {
    ASSERT_TRUE(rig.put(key(n), body(n, 100)));
    EXPECT_TRUE(rig.hits(key(n), body(n, 100)));
    expect_conserved(*rig.store);
  }
  EXPECT_GT(rig.count("evictions"), 10U);
  EXPECT_EQ(rig.count("segments_emptied"), 0U);
}

/// What was evicted stays so after a kill, and what was not is still there: the log is followed
/// with the same rows as the first time.
TEST(CycloneStore, AFullDirectoryForgetsTheSameAfterAKill) {
  for (std::uint64_t round = 0; round < 40; ++round) {
    CycloneRig rig;
    rig.config.layout.average_object_bytes = 40000;
    ASSERT_TRUE(rig.start());
    for (std::uint64_t n = 0; n < 60 + round; ++n) {
      const std::string name = key(mix(round, n) % 25);
      if (mix(round + 1, n) % 8 == 0) {
        ASSERT_TRUE(rig.store->purge(name));
      } else {
        ASSERT_TRUE(rig.put(name, body(n, 100 + mix(n, round) % 12000)));
      }
    }
    std::vector<Bytes> before;
    for (std::uint64_t n = 0; n < 25; ++n) {
      before.push_back(rig.get(key(n)).body);
    }
    EXPECT_GT(rig.count("evictions"), 0U);
    ASSERT_TRUE(rig.start());
    for (std::uint64_t n = 0; n < 25; ++n) {
      EXPECT_EQ(rig.get(key(n)).body, before[n]) << "round " << round << " key " << n;
    }
  }
}

TEST(CycloneStore, ACleanStopIsAsGoodAsAKill) {
  CycloneRig rig;
  ASSERT_TRUE(rig.start());
  for (std::uint64_t n = 0; n < 10; ++n) {
    ASSERT_TRUE(rig.put(key(n), body(n, 5000)));
  }
  ASSERT_TRUE(rig.store->close());
  ASSERT_TRUE(rig.start());
  EXPECT_EQ(rig.count("rolled_forward"), 0U);
  for (std::uint64_t n = 0; n < 10; ++n) {
    EXPECT_TRUE(rig.hits(key(n), body(n, 5000)));
  }
}

TEST(CycloneStore, RecoversInSlicesAndAnswersMissMeanwhile) {
  CycloneRig rig;
  rig.config.recovery_slice_bytes = 8192;
  rig.config.sync_bytes = 1 << 20;
  ASSERT_TRUE(rig.start());
  for (std::uint64_t n = 0; n < 10; ++n) {
    ASSERT_TRUE(rig.put(key(n), body(n, 5000)));
  }
  ASSERT_TRUE(rig.start(false));
  EXPECT_FALSE(rig.get(key(1)).hit);
  EXPECT_TRUE(*rig.store->tick());
  EXPECT_EQ(rig.store->inspect().units.at(0).kind, UnitUse::Kind::unscanned);
  EXPECT_FALSE(rig.store->stats().recovery.finished);
  ASSERT_TRUE(rig.put("late", body(99, 100)));  // finishes it
  EXPECT_TRUE(rig.hits(key(1), body(1, 5000)));
  const RecoveryReport report = rig.store->stats().recovery;
  EXPECT_TRUE(report.finished);
  EXPECT_EQ(report.scanned, report.empty + report.loaded + report.refused + report.superseded);
  EXPECT_EQ(report.scanned, report.units_total);
}

/// Either copy of the directory may be destroyed, by noise or by a sector that cannot be read.
TEST(CycloneStore, OneDamagedCopyLosesNothing) {
  for (const std::uint64_t damaged : {0, 1}) {
    for (const bool unreadable : {false, true}) {
      CycloneRig rig;
      ASSERT_TRUE(rig.start());
      for (std::uint64_t n = 0; n < 12; ++n) {
        ASSERT_TRUE(rig.put(key(n), body(n, 6000)));
        ASSERT_TRUE(rig.store->sync());
      }
      const auto geometry = make_geometry(16384, rig.disk.now.size() - 16384, rig.config.layout);
      const std::uint64_t at =
          geometry->copy_begin(static_cast<unsigned>(damaged)) + geometry->header_bytes + 40;
      if (unreadable) {
        rig.disk.bad.insert(at);
      } else {
        rig.disk.now[at] ^= std::byte{0xff};
      }
      ASSERT_TRUE(rig.start());
      for (std::uint64_t n = 0; n < 12; ++n) {
        EXPECT_TRUE(rig.hits(key(n), body(n, 6000))) << damaged << unreadable << n;
      }
    }
  }
}

TEST(CycloneStore, DamagedDocumentsAreMisses) {
  CycloneRig rig;
  ASSERT_TRUE(rig.start());
  ASSERT_TRUE(rig.put("small", body(1, 1000)));
  ASSERT_TRUE(rig.put("large", body(2, 60000)));
  ASSERT_TRUE(rig.store->close());
  const auto geometry = make_geometry(16384, rig.disk.now.size() - 16384, rig.config.layout);
  rig.disk.now[geometry->data_begin + 700] ^= std::byte{1};
  rig.disk.now[geometry->data_begin + 40000] ^= std::byte{1};
  ASSERT_TRUE(rig.start());
  EXPECT_FALSE(rig.get("small").hit);
  EXPECT_FALSE(rig.get("large").hit);
  EXPECT_GE(rig.refused("document_body"), 2U);
}

/// Another layout or format: everything is cleared, in both directions, and stays so.
TEST(CycloneStore, AnotherLayoutClears) {
  CycloneRig rig;
  ASSERT_TRUE(rig.start());
  ASSERT_TRUE(rig.put("k", body(1, 1000)));
  ASSERT_TRUE(rig.store->close());
  rig.config.layout.average_object_bytes = 4096;
  ASSERT_TRUE(rig.start());
  EXPECT_FALSE(rig.get("k").hit);
  ASSERT_TRUE(rig.store->close());
  rig.config.layout.average_object_bytes = 2048;
  ASSERT_TRUE(rig.start());
  EXPECT_FALSE(rig.get("k").hit);
}

/// A put or header update that the device refuses leaves the version that is there, whichever of
/// its writes failed; the next one goes through.
TEST(CycloneStore, AVersionStaysWhereItsReplacementIsRefused) {
  for (const std::size_t size : {500U, 100000U}) {
    for (std::uint64_t number = 0; number < 4; ++number) {
      CycloneRig rig;
      ASSERT_TRUE(rig.start());
      ASSERT_TRUE(rig.put("k", body(1, 3000)));
      const std::uint64_t refused = rig.disk.writes + number;
      rig.disk.refuse_writes = {refused};
      const bool done = rig.put("k", body(2, size)).has_value();
      EXPECT_EQ(done, rig.disk.writes <= refused) << "only its own writes concern a put";
      EXPECT_TRUE(rig.hits("k", done ? body(2, size) : body(1, 3000))) << size << " " << number;
      rig.disk.refuse_writes = {rig.disk.writes};
      EXPECT_FALSE(rig.store->update_header("k", "newer"));
      EXPECT_TRUE(rig.hits("k", done ? body(2, size) : body(1, 3000))) << size << " " << number;
      EXPECT_EQ(rig.get("k").header, "h");
      rig.disk.refuse_writes.clear();
      ASSERT_TRUE(rig.put("k", body(3, size)));
      ASSERT_TRUE(rig.start());
      EXPECT_TRUE(rig.hits("k", body(3, size)));
    }
  }
}

/// Where the directory cannot be written, puts are refused before the log eats what is needed.
TEST(CycloneStore, ARefusedSyncStopsPutsBeforeALap) {
  CycloneRig rig;
  ASSERT_TRUE(rig.start());
  ASSERT_TRUE(rig.put("first", body(1, 5000)));
  const auto geometry = make_geometry(16384, rig.disk.now.size() - 16384, rig.config.layout);
  rig.disk.refuse_writes_at = {geometry->copy_begin(0), geometry->copy_begin(1)};
  bool refused = false;
  for (std::uint64_t n = 0; n < 100 && !refused; ++n) {
    refused = !rig.put(key(n), body(n, 9000));
  }
  EXPECT_TRUE(refused);
  EXPECT_GT(rig.count("failed_syncs"), 0U);
  EXPECT_TRUE(rig.hits("first", body(1, 5000)));
  rig.disk.refuse_writes_at.clear();
  ASSERT_TRUE(rig.start());
  EXPECT_TRUE(rig.hits("first", body(1, 5000)));
  EXPECT_TRUE(rig.put("again", body(3, 5000)));
}

}  // namespace
}  // namespace engine::cyclone
