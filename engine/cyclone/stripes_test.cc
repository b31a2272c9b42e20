// A span of several stripes: which objects live where, that stripes are recovered, attached and
// damaged independently of each other, and that threads change no answer.
#include <sys/mman.h>
#include <unistd.h>

#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/block/file_device.h"
#include "engine/cyclone/span_header.h"
#include "engine/cyclone/test_disk.h"
#include "engine/memory/ram_store.h"
#include "engine/restart/process_memory.h"
#include "engine/restart/purge.h"

namespace engine::cyclone {
namespace {

using testing::HasSubstr;

constexpr std::uint64_t disk_bytes = 1ULL << 20U;

Division two_by_two() {
  Division division;
  division.volumes = *parse_volumes("1:60,2:40");
  division.stripes = 2;
  division.hosting = *volumes::Hosting::parse("hostname=* volume=1\nprefix=v volume=2\n");
  return division;
}

/// Lives of a store of four stripes, on a disk in memory or in a file.
class StripesRig {
 public:
  explicit StripesRig(std::uint32_t threads = 1) : disk(disk_bytes) {
    config.layout.average_object_bytes = 2048;
    config.division = two_by_two();
    config.threads = threads;
    shared.memory = &memory;
    shared.config.enabled = true;
  }
  /// Opens (a kill of the one before).
  void start(bool kept = true, bool to_end = true) {
    store.reset();
    config.seed = mix(0x57, ++lives);
    auto opened = open_store(file ? *file : disk, config, kept ? shared : SharedDirectory{});
    ASSERT_TRUE(opened) << opened.error().message;
    store = std::move(*opened);
    for (Result<bool> more = to_end; more && *more;) {
      more = store->tick();
    }
  }
  void stop() {
    ASSERT_TRUE(store->close());
    store.reset();
  }
  static void put_into(Store& into,
                       const std::string& key,
                       std::uint64_t version,
                       std::size_t bytes = 3000) {
    const auto upload = into.begin_put(key, "h", bytes);
    ASSERT_TRUE(upload && into.append(*upload, body(version, bytes)) && into.commit(*upload));
  }
  void put(const std::string& key, std::uint64_t version, std::size_t bytes = 3000) const {
    put_into(*store, key, version, bytes);
  }
  [[nodiscard]] GetReply get(const std::string& key) const {
    GetReply reply;
    EXPECT_TRUE(store->get(key, {}, reply));
    return reply;
  }
  [[nodiscard]] bool hits(const std::string& key, std::uint64_t version) const {
    const GetReply reply = get(key);
    return reply.hit && reply.body == body(version, reply.body.size());
  }
  [[nodiscard]] std::uint64_t count(const char* counter) const {
    return store->stats().counters.at(counter);
  }
  [[nodiscard]] std::vector<StripePlace> places() const {
    return *divide(disk_bytes, config.layout, config.division);
  }
  [[nodiscard]] std::size_t stripe_of(const std::string& key) const {
    return Placement(places(), config.division).stripe_of(key);
  }
  /// A key that lives in the stripe, drawn from those that begin with `letter`.
  [[nodiscard]] std::string key_in(std::size_t stripe) const {
    for (int n = 0;; ++n) {
      const std::string key = (stripe < 2 ? "k" : "v") + std::to_string(n);
      if (stripe_of(key) == stripe) {
        return key;
      }
    }
  }

  TestDisk disk;
  std::unique_ptr<block::Device> file;
  restart::ProcessMemory memory;
  SharedDirectory shared;
  Config config;
  std::unique_ptr<Store> store;
  std::uint64_t lives = 0;
};

TEST(Stripes, CoverTheSpanAndDoNotOverlap) {
  StripesRig rig;
  const auto places = rig.places();
  ASSERT_EQ(places.size(), 4U);
  EXPECT_EQ(places.front().geometry.begin, span_reserved_bytes);
  EXPECT_EQ(places.back().geometry.end, disk_bytes);
  for (std::size_t n = 1; n < places.size(); ++n) {
    EXPECT_EQ(places[n].geometry.begin, places[n - 1].geometry.end);
  }
  EXPECT_EQ(places[1].volume, 1U);
  EXPECT_EQ(places[2].volume, 2U);
}

TEST(Stripes, WhatCannotBeIsSaid) {
  EXPECT_THAT(parse_volumes("1:60,x").error().message, HasSubstr("'1:60,x'"));
  EXPECT_THAT(parse_volumes("").error().message, HasSubstr("write 1:60,2:40"));
  Division division = two_by_two();
  EXPECT_THAT(divide(256ULL << 10U, {}, division).error().message, HasSubstr("stripe of"));
  division.stripes = 100;
  EXPECT_THAT(divide(1ULL << 40U, {}, division).error().message, HasSubstr("1 to 128 stripes"));
  division = two_by_two();
  division.volumes.pop_back();
  EXPECT_THAT(divide(disk_bytes, {}, division).error().message, HasSubstr("names volume 2"));
  division.volumes.push_back(division.volumes.front());
  EXPECT_THAT(divide(disk_bytes, {}, division).error().message, HasSubstr("is there twice"));
}

TEST(Stripes, TheSpanHeaderKeepsTheDivision) {
  SpanHeader header;
  header.span_bytes = disk_bytes;
  header.life = 3;
  header.division = two_by_two();
  Bytes block(store_block_bytes);
  encode_span(header, block);
  const auto again = decode_span(block);
  ASSERT_TRUE(again);
  EXPECT_EQ(*again, header);
  for (const std::size_t at : {56, 60, 62, 128, 1160, 8190}) {
    Bytes wrong = block;
    wrong[at] ^= std::byte{1};
    EXPECT_FALSE(decode_span(wrong)) << at;
  }
}

/// An object is found in the stripe that its key chooses and nowhere else: with every other stripe
/// wiped it is still there, with its own wiped it is not.
TEST(Stripes, AnObjectLivesInOneStripeOfItsVolume) {
  StripesRig rig;
  rig.start();
  for (std::size_t stripe = 0; stripe < 4; ++stripe) {
    rig.put(rig.key_in(stripe), stripe);
  }
  ASSERT_TRUE(rig.store->sync());
  const Bytes all = rig.disk.now;
  for (std::size_t wiped = 0; wiped < 4; ++wiped) {
    const StripeGeometry geometry = rig.places()[wiped].geometry;
    rig.disk.now = all;
    std::fill(rig.disk.now.begin() + static_cast<std::ptrdiff_t>(geometry.begin),
              rig.disk.now.begin() + static_cast<std::ptrdiff_t>(geometry.end),
              std::byte{0});
    rig.start(false);
    for (std::size_t stripe = 0; stripe < 4; ++stripe) {
      EXPECT_EQ(rig.hits(rig.key_in(stripe), stripe), stripe != wiped) << stripe << wiped;
    }
  }
}

/// Another division or other hosting rules clear: going back to the old ones brings nothing back.
TEST(Stripes, AnotherDivisionClears) {
  StripesRig rig;
  const Division first = rig.config.division;
  Division other_rules = first;
  other_rules.hosting = *volumes::Hosting::parse("hostname=* volume=2\n");
  Division other_weights = first;
  other_weights.volumes = *parse_volumes("1:50,2:50");
  Division one;
  for (const Division& other : {other_rules, other_weights, one}) {
    rig.config.division = first;
    rig.start();
    rig.put("v1", 1);
    rig.stop();
    rig.config.division = other;
    rig.start();
    EXPECT_FALSE(rig.get("v1").hit);
    rig.stop();
    rig.config.division = first;
    rig.start();
    EXPECT_FALSE(rig.get("v1").hit);
    EXPECT_EQ(rig.count("attached"), 0U);
  }
}

/// What the disk says is how it is opened by whoever does not say otherwise.
TEST(Stripes, TheDiskTellsItsDivision) {
  StripesRig rig;
  rig.start();
  rig.put("v7", 1);
  rig.stop();
  Config found;
  ASSERT_TRUE(adopt_span(rig.disk, found));
  EXPECT_EQ(found.division, rig.config.division);
  const Bytes before = rig.disk.now;
  const auto view = open_for_inspection(rig.disk, found);
  ASSERT_TRUE(view);
  for (Result<bool> more = true; more && *more;) {
    more = (*view)->tick();
  }
  GetReply reply;
  ASSERT_TRUE((*view)->get("v7", {}, reply));
  EXPECT_TRUE(reply.hit);
  EXPECT_EQ(rig.disk.now, before) << "looking changes nothing";
}

/// One image is wrong, or gone: its stripe is rebuilt, the others attach, and every answer is the
/// same.
TEST(Stripes, ThoseThatCanAttach) {
  for (std::size_t wrong = 0; wrong < 4; ++wrong) {
    for (const bool gone : {false, true}) {
      StripesRig rig;
      rig.start();
      for (std::size_t stripe = 0; stripe < 4; ++stripe) {
        rig.put(rig.key_in(stripe), stripe);
      }
      rig.stop();
      const std::string name =
          restart::image_name(*restart::frame_prefix(rig.shared.config.name_prefix), wrong);
      if (gone) {
        ASSERT_TRUE(rig.memory.unlink(name));
      } else {
        const auto object = rig.memory.open(name, restart::Access::read_write);
        const auto mapping = (*object)->map(8192, restart::Access::read_write);
        ASSERT_TRUE(mapping);
        (*mapping)->bytes()[4100] ^= std::byte{1};
      }
      rig.start();
      EXPECT_EQ(rig.count("attached"), 3U);
      EXPECT_EQ(rig.store->stats().refusals.at(gone ? "image_present" : "image_digest"), 1U);
      for (std::size_t stripe = 0; stripe < 4; ++stripe) {
        EXPECT_TRUE(rig.hits(rig.key_in(stripe), stripe));
      }
      rig.stop();
      rig.start();
      EXPECT_EQ(rig.count("attached"), 4U) << "the next one attaches all";
    }
  }
}

/// A device that refuses a data write of one stripe in this life: the others' images stay trusted.
TEST(Stripes, ARefusalDistrustsOneStripe) {
  StripesRig rig;
  rig.start();
  const std::string good = rig.key_in(1);
  rig.put(good, 1);
  rig.put(rig.key_in(2), 2);
  std::string bad = "v";
  while (bad == rig.key_in(2) || rig.stripe_of(bad) != 2) {
    bad += "x";
  }
  rig.disk.refuse_writes_at.insert(rig.places()[2].geometry.data_begin + 4096);
  const auto upload = rig.store->begin_put(bad, "h", 10);
  ASSERT_TRUE(upload && rig.store->append(*upload, body(9, 10)));
  EXPECT_FALSE(rig.store->commit(*upload));
  rig.disk.refuse_writes_at.clear();
  rig.stop();
  rig.start();
  EXPECT_EQ(rig.count("attached"), 3U);
  EXPECT_EQ(rig.store->stats().refusals.at("row_untrusted"), 1U);
  EXPECT_TRUE(rig.hits(good, 1));
  EXPECT_TRUE(rig.hits(rig.key_in(2), 2));
  EXPECT_FALSE(rig.get(bad).hit);
}

/// Stripes that are ready serve while another one is still followed; its keys are misses until
/// then, and a change to one of them finishes that stripe only.
TEST(Stripes, ServeWhileAnotherRecovers) {
  StripesRig rig;
  rig.config.recovery_slice_bytes = 4096;
  rig.start();
  for (std::size_t stripe = 0; stripe < 4; ++stripe) {
    for (std::uint64_t version = 0; version < 8; ++version) {
      rig.put(rig.key_in(stripe), stripe);
    }
  }
  rig.start(false, false);
  const auto ready = [&rig] {
    std::string who;
    for (std::size_t stripe = 0; stripe < 4; ++stripe) {
      who += rig.hits(rig.key_in(stripe), stripe) ? 'y' : 'n';
    }
    return who;
  };
  EXPECT_EQ(ready(), "nnnn");
  for (int ticks = 0; ready() == "nnnn" && ticks < 1000; ++ticks) {
    ASSERT_TRUE(rig.store->tick());
  }
  EXPECT_EQ(ready(), "ynnn");
  EXPECT_FALSE(rig.store->stats().recovery.finished);
  ASSERT_TRUE(rig.store->purge("v-nobody-knows"));
  const std::size_t changed = rig.stripe_of("v-nobody-knows");
  EXPECT_EQ(ready(), changed == 2 ? "ynyn" : "ynny");
  for (Result<bool> more = true; more && *more;) {
    more = rig.store->tick();
  }
  EXPECT_EQ(ready(), "yyyy");
  const RecoveryReport report = rig.store->stats().recovery;
  EXPECT_TRUE(report.finished);
  EXPECT_EQ(report.scanned, report.empty + report.loaded + report.refused + report.superseded);
}

/// The same history on one stripe after another and on several at a time (a file takes several
/// requests), with kills, stops and attaches between, beside a store in memory.
TEST(Stripes, ThreadsAndMemoryAgree) {
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    Random random(seed);
    StripesRig one;
    StripesRig many(4);
    const int memory_file = ::memfd_create("stripes", MFD_CLOEXEC);
    ASSERT_EQ(::ftruncate(memory_file, disk_bytes), 0);
    many.file = block::open_file_device("/proc/self/fd/" + std::to_string(memory_file),
                                        block::OpenMode::read_write)
                    .value();
    ::close(memory_file);
    ASSERT_TRUE(many.file->takes_many());
    const auto reference = memory::open_ram_store({}).value();
    one.start();
    many.start();
    for (std::uint64_t step = 0; step < 150; ++step) {
      const std::string key = (random.below(2) == 0 ? "k" : "v") + std::to_string(random.below(9));
      const std::uint64_t dice = random.below(20);
      if (dice < 14) {
        const std::size_t bytes = 100 + random.below(random.below(4) == 0 ? 40000 : 4000);
        for (Store* each : {one.store.get(), many.store.get(), reference.get()}) {
          StripesRig::put_into(*each, key, step, bytes);
        }
      } else if (dice < 16) {
        for (Store* each : {one.store.get(), many.store.get(), reference.get()}) {
          ASSERT_TRUE(each->purge(key));
        }
      } else if (dice < 18) {
        const bool ends_in_order = dice == 16;
        for (StripesRig* each : {&one, &many}) {
          if (ends_in_order) {
            each->stop();
          }
          each->start();
          EXPECT_EQ(each->count("attached"), ends_in_order ? 4U : 0U);
        }
      }
      const GetReply first = one.get(key);
      const GetReply second = many.get(key);
      GetReply third;
      ASSERT_TRUE(reference->get(key, {}, third));
      EXPECT_EQ(first.hit, second.hit) << seed << " " << step;
      EXPECT_EQ(first.body, second.body);
      EXPECT_TRUE(!first.hit || (third.hit && first.body == third.body)) << seed << " " << step;
    }
  }
}

/// Scenario 5: a stripe's log ends exactly at the stripe's end, of the span's last stripe and of
/// another one, and then comes a stop, a kill, or a sync and a kill.
TEST(Stripes, TheCursorAtTheVeryEnd) {
  for (const std::size_t stripe : {1U, 3U}) {
    for (const std::string end : {"stop", "kill", "sync"}) {
      StripesRig rig;
      rig.start();
      std::vector<std::string> keys;
      for (int n = 0; keys.size() < 8; ++n) {
        const std::string key = (stripe < 2 ? "k" : "v") + std::to_string(n);
        if (rig.stripe_of(key) == stripe) {
          keys.push_back(key);
        }
      }
      const StripeGeometry geometry = rig.places()[stripe].geometry;
      const std::uint64_t documents = geometry.data_bytes() / geometry.sector_bytes;
      for (std::uint64_t n = 0; n < documents; ++n) {
        rig.put(keys[n % keys.size()], n, 1000);  // one sector each
      }
      EXPECT_EQ(rig.count("wraps"), 0U);
      ASSERT_TRUE(end == "kill" || rig.store->sync());
      if (end == "stop") {
        rig.stop();
      }
      const auto newest = [&] {
        ImageHeader header;
        for (unsigned copy = 0; copy < 2; ++copy) {
          const auto at = static_cast<std::ptrdiff_t>(geometry.copy_begin(copy));
          const auto found = load_header(
              std::span(rig.disk.now).subspan(static_cast<std::size_t>(at), geometry.header_bytes));
          header = found.sync_serial > header.sync_serial ? found : header;
        }
        return header;
      };
      EXPECT_TRUE(end == "kill" || newest().write_pos == geometry.end) << end;
      rig.start();
      EXPECT_EQ(rig.count("attached"), end == "stop" ? 4U : 0U);
      for (std::uint64_t n = documents - keys.size(); n < documents; ++n) {
        EXPECT_TRUE(rig.hits(keys[n % keys.size()], n)) << stripe << end << n;
      }
      rig.put(keys[0], documents, 1000);
      EXPECT_EQ(rig.count("wraps"), 1U);
      rig.start();
      EXPECT_TRUE(rig.hits(keys[0], documents)) << stripe << end;
      EXPECT_TRUE(rig.hits(keys[1], documents - keys.size() + 1)) << stripe << end;
    }
  }
}

/// The power goes at every write of a history on four stripes; what was acknowledged and not
/// overwritten is there, and what was purged is not.
TEST(Stripes, EveryWriteCut) {
  for (std::uint64_t cut = 0;; ++cut) {
    StripesRig rig;
    rig.start();
    rig.disk.writes = 0;
    rig.disk.cut_at = cut;
    rig.disk.keep = cut;
    std::map<std::string, std::uint64_t> there;
    bool cut_happened = false;
    for (std::uint64_t step = 0; step < 24 && !cut_happened; ++step) {
      const std::string key = rig.key_in(step % 4);
      const auto purged = step % 6 == 5 ? rig.store->purge(key) : Result<bool>(true);
      there.erase(key);
      if (step % 6 != 5) {
        const auto upload = rig.store->begin_put(key, "h", 3000);
        const bool done =
            upload && rig.store->append(*upload, body(step, 3000)) && rig.store->commit(*upload);
        cut_happened = !done;
        if (done) {
          there[key] = step;
        }
      } else {
        cut_happened = !purged;
      }
    }
    rig.disk.power_on();
    rig.start();
    for (const auto& [key, version] : there) {
      EXPECT_TRUE(rig.hits(key, version)) << cut << key;
    }
    if (!cut_happened) {
      EXPECT_GT(cut, 20U);
      return;
    }
  }
}

}  // namespace
}  // namespace engine::cyclone
