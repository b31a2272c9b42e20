// cache-engine as its users meet it: exit codes, one sentence for bad input, verbs that change no
// byte, and the same disk image as the store in process.

#include <unistd.h>

#include <array>
#include <nlohmann/json.hpp>

#include "engine/block/file_device.h"
#include "engine/cyclone/shared_format.h"
#include "engine/restart/fast_restart.h"
#include "engine/service/program_rig_test.h"

namespace engine::service {
namespace {

TEST_F(ProgramTest, BadInputIsOneClearSentence) {
  struct Case {
    std::vector<std::string> words;
    int code;
    std::string says;
  };
  const std::string disk = disk_.string();
  const std::vector<Case> cases = {
      {{}, 2, "subcommand is required"},
      {{"frob"}, 2, "'frob' is not a verb; allowed: serve, list"},
      {{"serve"}, 2, "--disk is required"},
      {{"serve", "--disk", disk}, 2, "--socket PATH or --socket-fd N"},
      {{"serve", "--disk", "/nowhere", "--socket", "s"}, 3, "/nowhere"},
      {{"serve", "--disk", disk, "--socket", "s", "--preset", "soft"}, 2, "hardened, squid"},
      {{"serve", "--disk", disk, "--socket", "s", "--store", "ufs"}, 2, "allowed: rock"},
      {{"serve", "--disk", disk, "--socket", "s", "--without-gate", "x"}, 2, "write_id"},
      {{"serve", "--disk", disk, "--socket", "s", "--without-gate", "slot_bounds"}, 2, "allowed"},
      {{"serve", "--disk", disk, "--socket", "s", "--slot", "big"}, 2, "'big'"},
      {{"serve", "--disk", disk, "--socket", "s", "--slot", "3000"}, 2, "power of two"},
      {{"serve", "--disk", disk, "--socket", "s", "--allocator", "best"}, 2, "lowest_first, lifo"},
      {{"serve", "--disk", disk, "--socket", "s", "--policy", "any"}, 2, "newest_complete"},
      {{"serve", "--disk", disk, "--socket", "s", "--seed", "-1"}, 2, "'-1'"},
      {{"serve", "--disk", disk, "--socket-fd", "77"}, 3, "descriptor 77"},
      {{"list"}, 2, "--disk FILE"},
      {{"list", "--disk", disk}, 2, "no valid database header"},
      {{"list", "--socket", "/nowhere"}, 3, "no engine answers at /nowhere"},
      {{"lookup", "--disk", disk}, 2, "KEY is required"}};
  for (const Case& each : cases) {
    const Outcome result = run(each.words);
    EXPECT_EQ(result.code, each.code) << result.err;
    EXPECT_NE(result.err.find(each.says), std::string::npos) << result.err;
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
    EXPECT_TRUE(result.err.starts_with("cache-engine: ")) << result.err;
  }
  EXPECT_EQ(run({"--help"}).code, 0);
  EXPECT_EQ(read_file(disk_), std::string(1 << 18, '\0')) << "bad input touched the disk";
}

TEST_F(ProgramTest, ServeTakesTheSlotSizeOfTheDisk) {
  serve([](Store& store) { put(store, "k", body(1, 3000)); });
  slot_ = "";
  serve([](Store& store) {
    while (store.tick().value_or(false)) {
    }
    EXPECT_EQ(store.inspect().entries.size(), 1U);
  });
  EXPECT_EQ(look("lookup", {"k"}).code, 0);
}

TEST_F(ProgramTest, VerbsThatLookChangeNoByte) {
  serve([](Store& store) {
    put(store, "a", body(1, 100));
    put(store, "b", body(2, 3000));
    ASSERT_TRUE(store.update_header("b", "newer"));
  });
  const std::string before = read_file(disk_);
  EXPECT_EQ(look("list").code, 0);
  EXPECT_EQ(look("lookup", {"b"}).out, "b: hit, 3000 bytes\nnewer\n");
  EXPECT_EQ(look("lookup", {"c"}).code, 1);
  EXPECT_EQ(look("show", {"b"}).code, 0);
  EXPECT_EQ(look("show", {"c"}).code, 1);
  EXPECT_EQ(look("check").code, 0);
  EXPECT_EQ(look("stats").code, 0);
  EXPECT_EQ(read_file(disk_), before);
  EXPECT_EQ(look("purge", {"a"}).code, 0);
  EXPECT_NE(read_file(disk_), before);
  EXPECT_EQ(look("lookup", {"a"}).code, 1);
}

TEST_F(ProgramTest, ListGoesOnFromItsToken) {
  serve([](Store& store) {
    for (const char* key : {"c", "a", "e", "b", "d"}) {
      put(store, key, body(1, 10));
    }
  });
  std::string token, keys;
  do {
    const auto page = nlohmann::json::parse(
        look("list", {"--json", "--limit", "2", "--after", token.empty() ? "0" : token}).out);
    for (const auto& object : page["objects"]) {
      keys += object["key"].get<std::string>();
    }
    token = page["resume"];
  } while (!token.empty());
  EXPECT_EQ(keys, "abcde");
}

TEST_F(ProgramTest, CheckNamesTheSlotAndTheGate) {
  serve([](Store& store) { put(store, "k", body(2, 3000)); });
  {
    std::fstream file(disk_, std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(static_cast<std::streamoff>(rock::reserved_bytes + 2 * 1024 + 700));
    file.put('?');
  }
  const Outcome result = look("check", {"--json"});
  EXPECT_EQ(result.code, 1);
  const auto report = nlohmann::json::parse(result.out);
  EXPECT_EQ(report["slots"][2]["verdict"], "refused");
  EXPECT_EQ(report["slots"][2]["gate"], "slot_payload_checksum");
  EXPECT_EQ(report["slots"][1]["key"], "k");
  EXPECT_EQ(report["counts"]["refused"], 1);
}

TEST_F(ProgramTest, SameBytesAsInProcess) {
  const auto story = [](Store& store) {
    for (int n = 0; n < 20; ++n) {
      put(store, fmt::format("k{}", n % 6), body(static_cast<std::uint64_t>(n), 4000));
    }
    ASSERT_TRUE(store.update_header("k1", "x"));
    ASSERT_TRUE(store.purge("k2"));
  };
  serve(story);
  rock::TestDevice device(1 << 18);
  rock::Config config;
  config.slot_bytes = 1024;
  config.seed = 5;
  auto store = rock::open_store(device, config);
  ASSERT_TRUE(store);
  story(**store);
  ASSERT_TRUE((*store)->close());
  const std::string file = read_file(disk_);
  EXPECT_TRUE(std::equal(
      file.begin(), file.end(), device.now.begin(), device.now.end(), [](char a, std::byte b) {
        return std::byte(a) == b;
      }));
}

TEST_F(ProgramTest, SharedMemoryIsShownAndCleared) {
  const std::string prefix = fmt::format("pcp{}", ::getpid());
  EXPECT_NE(run({"shm", "status", "--prefix", prefix}).out.find("no control segment"),
            std::string::npos);
  restart::StartRequest request;
  request.config.enabled = true;
  request.config.name_prefix = prefix;
  request.format_facts = cyclone::shared_format_facts();
  {
    restart::FastRestart life(restart::posix_shared_memory(), request, nullptr);
    auto image = life.take("stripe", 4096, {});
    ASSERT_TRUE(image && image->shared());
    const Outcome live = run({"shm", "clear", "--prefix", prefix});
    EXPECT_EQ(live.code, 3);
    EXPECT_NE(live.err.find("live owner"), std::string::npos) << live.err;
    const Outcome dirty = run({"shm", "status", "--prefix", prefix, "--json"});
    EXPECT_FALSE(nlohmann::json::parse(dirty.out)["clean"].get<bool>());
    std::vector<restart::SealedImage> sealed;
    sealed.push_back(std::move(*image).seal({}));
    ASSERT_TRUE(life.mark_clean(std::move(sealed)));
  }
  const Outcome clean = run({"shm", "status", "--prefix", prefix});
  EXPECT_EQ(clean.code, 0) << clean.err;
  EXPECT_NE(clean.out.find("1 (clean)"), std::string::npos) << clean.out;
  EXPECT_NE(clean.out.find("4096 bytes (4.0 KiB), present"), std::string::npos) << clean.out;
  const Outcome cleared = run({"shm", "clear", "--prefix", prefix});
  EXPECT_EQ(cleared.code, 0);
  EXPECT_EQ(
      cleared.out,
      fmt::format("unlinked /{0}-s0\nunlinked /{0}-control\nRemoved 2 segment(s).\n", prefix));
  EXPECT_EQ(run({"shm", "clear", "--prefix", "/-"}).code, 2);
}

TEST_F(ProgramTest, OneWriterAtATime) {
  serve([this](Store& store) {
    ASSERT_FALSE(store.inspect().units.empty());
    const auto second = block::open_file_device(disk_, block::OpenMode::read_write);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().trouble, Trouble::busy);
  });
}

TEST_F(ProgramTest, SigtermStopsCleanly) {
  const fs::path socket = directory_ / "socket";
  const pid_t child =
      spawn({"serve", "--disk", disk_.string(), "--slot", "1K", "--socket", socket.string()});
  for (int i = 0; i < 20000 && !fs::exists(socket); ++i) {
    // pause: the program is starting; the count bounds the loop
    ::usleep(1000);
  }
  EXPECT_EQ(run({"list", "--socket", socket.string()}).code, 0);
  EXPECT_EQ(run({"check", "--socket", socket.string()}).code, 0);
  EXPECT_EQ(run({"stats", "--socket", socket.string(), "--json"}).code, 0);
  ::kill(child, SIGTERM);
  EXPECT_EQ(exit_code(child), 0);
  EXPECT_FALSE(fs::exists(socket));
}

TEST_F(ProgramTest, FileDeviceTellsItsTroubles) {
  auto device = block::open_file_device(disk_, block::OpenMode::read_write);
  ASSERT_TRUE(device);
  std::array<std::byte, 8> bytes = {};
  EXPECT_TRUE((*device)->write(0, bytes, block::WriteMode::durable));
  EXPECT_TRUE((*device)->discard(0, 4096));
  EXPECT_TRUE((*device)->flush());
  EXPECT_FALSE((*device)->read((1 << 18) - 4, bytes));
  EXPECT_FALSE((*device)->write((1 << 18) - 4, bytes, block::WriteMode::cached));
  EXPECT_EQ(fs::file_size(disk_), std::uintmax_t{1 << 18});
  EXPECT_FALSE(block::open_file_device(directory_, block::OpenMode::read_only));
  const auto view = block::open_file_device(disk_, block::OpenMode::read_only);
  ASSERT_TRUE(view);
  EXPECT_FALSE((*view)->write(0, bytes, block::WriteMode::cached));
  EXPECT_FALSE((*view)->flush());
}

}  // namespace
}  // namespace engine::service
