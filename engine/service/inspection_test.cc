// Looking at a cache, by verbs and from C, and how a store is served: on a disk cut into stripes,
// in memory alone, past the page cache.

#include <nlohmann/json.hpp>

#include "engine/block/file_device.h"
#include "engine/service/cache_engine.h"
#include "engine/service/program_rig_test.h"

namespace engine::service {
namespace {

const std::vector<std::string> two_volumes = {"--store",
                                              "cyclone",
                                              "--stripes",
                                              "2",
                                              "--volumes",
                                              "1:60,2:40",
                                              "--hosting",
                                              "prefix=v volume=2",
                                              "--hosting",
                                              "hostname=* volume=1"};

/// A cyclone of two volumes, looked at by words and by the C interface: nothing but a purge changes
/// a byte, and what is wrong is said.
TEST_F(ProgramTest, VerbsOnACycloneOfSeveralStripes) {
  fs::resize_file(disk_, 1 << 20);
  slot_.clear();
  serve(
      [](Store& store) {
        put(store, "k1", body(1, 3000));
        put(store, "v1", body(2, 60000));
        put(store, "v2", body(3, 100));
      },
      true,
      two_volumes);
  const std::string before = read_file(disk_);
  const auto listed = nlohmann::json::parse(look("list", {"--limit", "2", "--json"}).out);
  ASSERT_EQ(listed.at("objects").size(), 2U);
  EXPECT_EQ(listed.at("resume"), "v1");
  EXPECT_EQ(nlohmann::json::parse(look("list", {"--after", "v1", "--json"}).out)
                .at("objects")[0]
                .at("key"),
            "v2");
  const auto walked = nlohmann::json::parse(look("walk", {"--limit", "5", "--json"}).out);
  EXPECT_EQ(walked.at("units").size(), 5U);
  EXPECT_EQ(walked.at("resume"), 5);
  const std::string rest = look("walk", {"--from", "5"}).out + look("walk", {"--limit", "5"}).out;
  for (const char* word : {" free ", "object     k1", "object     v1", "object     v2"}) {
    EXPECT_NE(rest.find(word), std::string::npos) << word;
  }
  EXPECT_EQ(look("lookup", {"v1"}).code, 0);
  EXPECT_EQ(look("lookup", {"v3"}).code, 1);
  EXPECT_EQ(look("show", {"v1"}).code, 0);
  EXPECT_EQ(look("check").code, 0);
  EXPECT_EQ(nlohmann::json::parse(look("stats", {"--json"}).out).at("counters").at("stripes"), 4);
  EXPECT_EQ(read_file(disk_), before) << "looking changes nothing";
  EXPECT_EQ(look("purge", {"v1"}).code, 0);
  EXPECT_NE(read_file(disk_), before);
  EXPECT_EQ(look("lookup", {"v1"}).code, 1);
  EXPECT_EQ(look("lookup", {"k1"}).code, 0);
}

/// Alternates are objects to whoever looks; all of them and everything else can be purged at once.
TEST_F(ProgramTest, AlternatesAndThePurgeOfEverything) {
  fs::resize_file(disk_, 1 << 20);
  slot_.clear();
  serve(
      [](Store& store) {
        put(store, "k1", body(1, 3000));
        put(store, "k1|a", body(2, 60000));
        put(store, "k1|b", body(3, 100));
        put(store, "v1", body(4, 100));
        const Inspection view = store.inspect();  // through the socket
        EXPECT_EQ(
            std::ranges::count_if(view.entries,
                                  [](const EntryUse& entry) { return entry.through.has_value(); }),
            2);
      },
      true,
      two_volumes);
  const auto listed = nlohmann::json::parse(look("list", {"--json"}).out).at("objects");
  ASSERT_EQ(listed.size(), 4U);
  EXPECT_EQ(listed[1].at("key"), "k1|a");
  EXPECT_EQ(listed[1].at("through"), listed[2].at("slots")[0]) << "the head of k1|b";
  EXPECT_FALSE(listed[2].contains("through"));
  EXPECT_NE(look("list").out.find("and another alternate's head"), std::string::npos);
  EXPECT_NE(look("show", {"k1|a"}).out.find(", shared) "), std::string::npos);
  EXPECT_NE(look("walk").out.find("object     k1|b"), std::string::npos);
  EXPECT_EQ(look("check").code, 0);
  EXPECT_EQ(look("purge", {"k1|b"}).code, 0);
  EXPECT_EQ(look("lookup", {"k1|b"}).code, 1);
  EXPECT_EQ(look("lookup", {"k1|a"}).code, 0);
  EXPECT_EQ(look("purge").code, 2);
  EXPECT_EQ(look("purge", {"--all", "k1"}).code, 2);
  EXPECT_EQ(look("purge", {"--all"}).out, "every object is purged\n");
  EXPECT_TRUE(nlohmann::json::parse(look("list", {"--json"}).out).at("objects").empty());
  EXPECT_EQ(look("check").code, 0);
}

int count_object(const cache_engine_object* object, void* context) {
  *static_cast<std::string*>(context) += std::string(object->key) + " ";
  return 0;
}
int keep_fault(const char* what, void* context) {
  *static_cast<std::string*>(context) += what;
  return 0;
}

TEST_F(ProgramTest, TheCInterface) {
  cache_engine* engine = nullptr;
  EXPECT_EQ(cache_engine_open_image((directory_ / "nothing").c_str(), &engine),
            CACHE_ENGINE_TROUBLE);
  EXPECT_EQ(engine, nullptr);
  EXPECT_NE(std::string(cache_engine_message()).find("nothing"), std::string::npos);
  fs::resize_file(disk_, 1 << 20);
  slot_.clear();
  serve(
      [](Store& store) {
        put(store, "k1", body(1, 40000));
        put(store, "v1", body(2, 3000));
      },
      true,
      two_volumes);
  const std::string before = read_file(disk_);
  ASSERT_EQ(cache_engine_open_image(disk_.c_str(), &engine), CACHE_ENGINE_OK)
      << cache_engine_message();
  std::string seen;
  const char* resume = nullptr;
  EXPECT_EQ(cache_engine_list(engine, nullptr, 1, count_object, &seen, &resume), CACHE_ENGINE_OK);
  ASSERT_NE(resume, nullptr);
  EXPECT_EQ(cache_engine_list(engine, std::string(resume).c_str(), 0, count_object, &seen, &resume),
            CACHE_ENGINE_OK);
  EXPECT_EQ(seen, "k1 v1 ");
  EXPECT_EQ(resume, nullptr);
  cache_engine_hit hit = {};
  EXPECT_EQ(cache_engine_lookup(engine, "k1", &hit), CACHE_ENGINE_OK);
  EXPECT_EQ(hit.body_bytes, 40000U);
  EXPECT_STREQ(hit.header, "head");
  EXPECT_EQ(cache_engine_lookup(engine, "k2", &hit), CACHE_ENGINE_NOT_SO);
  EXPECT_EQ(cache_engine_show(engine, "k2", count_object, &seen), CACHE_ENGINE_NOT_SO);
  cache_engine_checked checked = {};
  EXPECT_EQ(cache_engine_check(engine, keep_fault, &seen, &checked), CACHE_ENGINE_OK);
  EXPECT_EQ(checked.object_count, 2U);
  EXPECT_EQ(read_file(disk_), before);
  int was_there = 0;
  EXPECT_EQ(cache_engine_purge(engine, "v1", &was_there), CACHE_ENGINE_OK)
      << cache_engine_message();
  EXPECT_EQ(was_there, 1);
  EXPECT_EQ(cache_engine_lookup(engine, "v1", &hit), CACHE_ENGINE_NOT_SO);
  EXPECT_EQ(cache_engine_lookup(engine, "k1", &hit), CACHE_ENGINE_OK);
  cache_engine_close(engine);
  // The middle of the body rots: its head is there, and it cannot be read whole.
  std::string rotten = read_file(disk_);
  const rock::Bytes whole = body(1, 40000);
  const auto at = rotten.find(std::string(reinterpret_cast<const char*>(whole.data()) + 20000, 64));
  ASSERT_NE(at, std::string::npos);
  rotten[at] = static_cast<char>(rotten[at] ^ 1);
  std::ofstream(disk_, std::ios::binary) << rotten;
  ASSERT_EQ(cache_engine_open_image(disk_.c_str(), &engine), CACHE_ENGINE_OK);
  seen.clear();
  EXPECT_EQ(cache_engine_check(engine, keep_fault, &seen, nullptr), CACHE_ENGINE_NOT_SO);
  EXPECT_EQ(seen, "k1 cannot be read whole");
  EXPECT_EQ(cache_engine_purge_all(engine), CACHE_ENGINE_OK) << cache_engine_message();
  EXPECT_EQ(cache_engine_check(engine, keep_fault, &seen, &checked), CACHE_ENGINE_OK);
  EXPECT_EQ(checked.object_count, 0U);
  cache_engine_close(engine);
}

/// The same from a program in C: a rock, in which one slot rots, a cyclone, and a disk of a volume;
/// and what lies in shared memory.
TEST_F(ProgramTest, TheCInterfaceFromC) {
  const std::string prefix = fmt::format("pcc{}", ::getpid());
  const auto look_from_c = [&] { return run({disk_.string(), "k1", prefix}, C_INTERFACE_TEST); };
  const auto story = [](Store& store) {
    put(store, "k1", body(1, 3000));
    put(store, "k2", body(2, 500));
  };
  const std::string found =
      "object k1 3000 bytes {0} units disk {1}\nobject k2 500 bytes 1 units disk {1}\n"
      "hit of 3000 bytes, header head\ncheck 0: 2 objects\n";
  const std::string no_shm = "shm exists 0 clean 0 owner none rows 0\nshm_clear 0: 0 removed\n";
  serve(story);
  Outcome seen = look_from_c();
  EXPECT_EQ(seen.code, 0);
  EXPECT_EQ(seen.out,
            "store rock volume 0\n" + fmt::format(fmt::runtime(found), 4, "none volume 0") +
                "slots 0: 240 judged, 0 refused\nslots of k1 0: 4\n" + no_shm);
  {
    std::fstream file(disk_, std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(static_cast<std::streamoff>(rock::reserved_bytes + 2 * 1024 + 700));
    file.put('?');
  }
  seen = look_from_c();
  EXPECT_NE(seen.out.find("lookup gave 1: k1: miss"), std::string::npos) << seen.out;
  EXPECT_EQ(seen.code, 1);
  fs::resize_file(disk_, 0);
  fs::resize_file(disk_, 1 << 20);
  slot_.clear();
  serve(
      story, true, {"--store", "cyclone", "--shm", "enabled=1", "--shm", "name_prefix=" + prefix});
  seen = look_from_c();
  EXPECT_EQ(seen.code, 0);
  EXPECT_EQ(seen.out,
            "store cyclone volume 0\n" + fmt::format(fmt::runtime(found), 1, "none volume 0") +
                "no slots: slots are judged one by one on an image of a rock that is not in use\n"
                "shm exists 1 clean 1 owner stale rows 1\nshm_clear 0: 2 removed\n");
  const std::string plain = disk_.string();
  disk_ += ":volume=7";
  serve(story, true, {"--slot", "1K"});
  disk_ = plain;
  seen = look_from_c();
  EXPECT_EQ(seen.code, 0);
  EXPECT_EQ(seen.out,
            "store rock volume 7\ndisk of volume 7, used\n" +
                fmt::format(fmt::runtime(found), 4, "named volume 7") +
                "slots 0: 992 judged, 0 refused\nslots of k1 0: 4\n" + no_shm);
}

/// Store memory is served like any other and makes no file, not even an empty one.
TEST_F(ProgramTest, TheStoreInMemoryMakesNoFile) {
  fs::remove(disk_);
  slot_.clear();
  serve(
      [](Store& store) {
        put(store, "a", body(1, 5000));
        GetReply reply;
        ASSERT_TRUE(store.get("a", {}, reply));
        EXPECT_TRUE(reply.hit && reply.body == body(1, 5000));
      },
      true,
      {"--store", "memory"});
  EXPECT_FALSE(fs::exists(disk_));
  EXPECT_EQ(run({"serve", "--store", "memory", "--shm", "enabled=1", "--socket", "x"}).code, 2);
  EXPECT_EQ(run({"serve", "--store", "rock", "--socket", "x"}).code, 2);
}

/// What direct I/O writes is what is read past it and through the cache, whole blocks only.
TEST_F(ProgramTest, DirectIoTellsTheSame) {
  const auto direct =
      block::open_file_device(disk_, block::OpenMode::read_write, block::Transfer::direct);
  if (!direct) {
    GTEST_SKIP() << direct.error().message;
  }
  rock::Bytes odd = body(7, 8193);
  const auto unaligned = std::span(odd).subspan(1);
  EXPECT_TRUE((*direct)->write(4096, unaligned, block::WriteMode::durable));
  rock::Bytes back(5000);
  EXPECT_TRUE((*direct)->read(4099, back));
  EXPECT_TRUE(std::equal(back.begin(), back.end(), unaligned.begin() + 3));
  const auto refused = (*direct)->write(4096, std::span(odd).first(100), block::WriteMode::durable);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("whole blocks"), std::string::npos);
  EXPECT_EQ(read_file(disk_).substr(4096, 8192),
            std::string(reinterpret_cast<const char*>(unaligned.data()), unaligned.size()));
}

TEST_F(ProgramTest, ServesWithDirectIo) {
  const auto can =
      block::open_file_device(disk_, block::OpenMode::read_only, block::Transfer::direct);
  if (!can) {
    GTEST_SKIP() << can.error().message;
  }
  fs::resize_file(disk_, 1 << 20);
  slot_.clear();
  std::vector<std::string> words = two_volumes;
  words.emplace_back("--direct");
  serve(
      [](Store& store) {
        for (std::uint64_t n = 0; n < 60; ++n) {
          put(store, (n % 2 == 0 ? "k" : "v") + std::to_string(n % 6), body(n, 1000 + 900 * n));
        }
      },
      false,
      words);
  serve(
      [](Store& store) {
        for (Result<bool> more = true; more && *more;) {
          more = store.tick();
        }
        GetReply reply;
        ASSERT_TRUE(store.get("v5", {}, reply));
        EXPECT_TRUE(reply.hit && reply.body == body(59, 1000 + 900 * 59));
      },
      true,
      words);
  EXPECT_EQ(look("check").code, 0) << "and through the page cache";
}

}  // namespace
}  // namespace engine::service
