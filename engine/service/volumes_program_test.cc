// Several disks and a RAM cache behind `cache-engine serve`, as a process that is killed: objects
// stay in their volume, a lost disk takes nothing with it but its own, another tag makes misses.

#include <csignal>
#include <nlohmann/json.hpp>

#include "engine/service/program_rig_test.h"
#include "engine/volumes/label.h"

namespace engine::service {
namespace {

using Words = std::vector<std::string>;
using nlohmann::json;

const Words two_rules = {"--hosting", "prefix=v volume=2", "--hosting", "hostname=* volume=1"};

class VolumesProgramTest : public ProgramTest {
 protected:
  void SetUp() override {
    ProgramTest::SetUp();
    for (const fs::path& file : {a_, b_}) {
      std::ofstream(directory_ / file).close();
      fs::resize_file(directory_ / file, 1 << 20);
    }
  }
  [[nodiscard]] std::string path(const fs::path& file) const {
    return (directory_ / file).string();
  }
  /// Disks a and b as volumes 1 and 2, and what follows from that.
  [[nodiscard]] Words two_volumes(const std::string& store = "rock") const {
    Words words = {
        "--store", store, "--disk", path(a_) + ":volume=1", "--disk", path(b_) + ":volume=2"};
    words.insert(words.end(), two_rules.begin(), two_rules.end());
    return words;
  }

  /// A life that listens, for `story` and verbs, and ends with SIGKILL, or as its store is closed.
  template <typename Story>
  void live(const Words& words, const Story& story, bool closed = false) {
    const fs::path socket = directory_ / "socket";
    fs::remove(socket);
    Words all = {"serve", "--socket", socket.string()};
    all.insert(all.end(), words.begin(), words.end());
    const pid_t child = spawn(all);
    const int connection = connected(socket);
    ASSERT_GE(connection, 0) << read_file(directory_ / "err");
    log_ = read_file(directory_ / "err");
    const auto store = connect_client(connection);
    for (Result<bool> more = true; more && *more;) {
      more = store->tick();
    }
    story(*store);
    if (closed) {
      EXPECT_TRUE(store->close());
    } else {
      ::kill(child, SIGKILL);
    }
    EXPECT_EQ(exit_code(child), closed ? 0 : -SIGKILL);
  }
  /// Negative: nobody listens there in all the time that a start may take.
  static int connected(const fs::path& file) {
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    file.native().copy(static_cast<char*>(address.sun_path), file.native().size());
    const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    for (int i = 0; i < 20000; ++i) {
      if (::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
        return socket;
      }
      // pause: the program is starting; the count bounds the loop
      ::usleep(1000);
    }
    ::close(socket);
    return -1;
  }
  Outcome ask(const std::string& verb, Words more = {}) {
    more.insert(more.begin(), {verb, "--socket", path("socket")});
    return run(std::move(more));
  }
  static bool hits(Store& store, const std::string& key, std::uint64_t version) {
    GetReply reply;
    EXPECT_TRUE(store.get(key, {}, reply));
    EXPECT_TRUE(!reply.hit || reply.body == body(version, 5000)) << "other bytes of " << key;
    return reply.hit;
  }
  static void put_both(Store& store) {
    for (int n = 0; n < 6; ++n) {
      put(store, fmt::format("k{}", n), body(1, 5000));
      put(store, fmt::format("v{}", n), body(2, 5000));
    }
  }
  static std::uint64_t counter(Store& store, const std::string& name) {
    const Stats stats = store.stats();
    return stats.counters.contains(name) ? stats.counters.at(name) : 0;
  }

  fs::path a_ = "a.img", b_ = "b.img";
  std::string log_;  // what the program said when it started
};

class BothStores : public VolumesProgramTest, public ::testing::WithParamInterface<const char*> {};
INSTANTIATE_TEST_SUITE_P(Stores, BothStores, ::testing::Values("rock", "cyclone"));

TEST_P(BothStores, ObjectsAreInTheirVolumeAndALostDiskTakesNothingElse) {
  const Words words = two_volumes(GetParam());
  live(words, [&](Store& store) {
    put_both(store);
    const auto listed = json::parse(ask("list", {"--json"}).out).at("objects");
    ASSERT_EQ(listed.size(), 12U);
    for (const auto& object : listed) {
      const bool second = object.at("key").get<std::string>().front() == 'v';
      EXPECT_EQ(object.at("volume"), second ? 2 : 1);
      EXPECT_EQ(object.at("disk"), path(second ? b_ : a_));
    }
    EXPECT_NE(ask("show", {"v3"}).out.find(path(b_) + " of volume 2"), std::string::npos);
    EXPECT_NE(ask("walk").out.find("v3 on " + path(b_)), std::string::npos);
    EXPECT_EQ(ask("check").code, 0);
    EXPECT_EQ(ask("lookup", {"k1"}).code, 0);
    EXPECT_EQ(ask("purge", {"k1"}).code, 0);
    EXPECT_EQ(ask("lookup", {"k1"}).code, 1);
    Words second = words;
    second.insert(second.begin(), {"serve", "--socket", path("second")});
    const Outcome refused = run(second);
    EXPECT_EQ(refused.code, 3) << "a disk in use is none that is missing";
    EXPECT_NE(refused.err.find("in use by another engine"), std::string::npos) << refused.err;
  });
  live(words, [&](Store& store) {
    EXPECT_FALSE(hits(store, "k1", 1));
    EXPECT_TRUE(hits(store, "k2", 1));
    EXPECT_TRUE(hits(store, "v1", 2));
  });
  fs::rename(directory_ / b_, directory_ / "elsewhere");
  live(words, [&](Store& store) {
    EXPECT_NE(log_.find("disk " + path(b_) + " of volume 2 is missing: No such file"),
              std::string::npos)
        << log_;
    const auto disks = json::parse(ask("disks", {"--json"}).out).at("disks");
    EXPECT_TRUE(disks[0].at("trouble").is_null());
    EXPECT_EQ(disks[1].at("trouble"), "No such file or directory");
    EXPECT_TRUE(hits(store, "k2", 1));
    EXPECT_FALSE(hits(store, "v1", 2));
    EXPECT_EQ(store.begin_put("v1", "", 10).error().trouble, Trouble::device);
    const Outcome purge = ask("purge", {"v2"});
    EXPECT_EQ(purge.code, 3);
    EXPECT_NE(purge.err.find("is missing"), std::string::npos) << purge.err;
    put(store, "k2", body(4, 5000));
  });
  fs::rename(directory_ / "elsewhere", directory_ / b_);
  live(words, [&](Store& store) {
    EXPECT_TRUE(hits(store, "k2", 4));
    EXPECT_TRUE(hits(store, "v1", 2));
    EXPECT_EQ(ask("check").code, 0);
  });
}

TEST_P(BothStores, AnotherTagMakesMissesAndBackAgainToo) {
  const Words words = two_volumes(GetParam());
  live(words, [&](Store& store) { put_both(store); });
  Words swapped = words;
  swapped[3] = path(a_) + ":volume=2";
  swapped[5] = path(b_) + ":volume=1";
  for (const Words& each : {swapped, words}) {
    live(each, [&](Store& store) {
      EXPECT_NE(log_.find("was cleared: label_other_tag"), std::string::npos) << log_;
      EXPECT_EQ(store.stats().refusals.at("label_other_tag"), 2U);
      for (int n = 0; n < 6; ++n) {
        EXPECT_FALSE(hits(store, fmt::format("k{}", n), 1));
        EXPECT_FALSE(hits(store, fmt::format("v{}", n), 2));
      }
      put(store, "k0", body(7, 5000));
    });
  }
}

/// What the offline verbs say of one disk, whose store is behind a label.
TEST_P(BothStores, OneDiskOfAVolumeIsLookedAtBehindItsLabel) {
  live(two_volumes(GetParam()), put_both);
  const std::string before = read_file(directory_ / b_);
  const auto offline = [&](const std::string& verb, Words more = {}) {
    more.insert(more.begin(), {verb, "--disk", path(b_)});
    return run(std::move(more));
  };
  const auto listed = json::parse(offline("list", {"--json"}).out).at("objects");
  ASSERT_EQ(listed.size(), 6U);
  EXPECT_EQ(listed[0].at("key"), "v0");
  EXPECT_EQ(listed[0].at("volume"), 2);
  EXPECT_NE(offline("list").out.find(fmt::format(
                "a disk of volume 2 (label version 1), a {} behind its label", GetParam())),
            std::string::npos);
  EXPECT_EQ(offline("lookup", {"v1"}).code, 0);
  EXPECT_EQ(offline("lookup", {"k1"}).code, 1);
  EXPECT_EQ(offline("show", {"v1"}).code, 0);
  const Outcome check = offline("check");
  EXPECT_EQ(check.code, 0) << check.out;
  EXPECT_NE(offline("stats").out.find("recovery"), std::string::npos);
  EXPECT_EQ(read_file(directory_ / b_), before) << "looking changes nothing";
  EXPECT_EQ(offline("purge", {"v1"}).code, 0);
  EXPECT_EQ(offline("lookup", {"v1"}).code, 1);
  live(two_volumes(GetParam()), [&](Store& store) {
    EXPECT_FALSE(hits(store, "v1", 2)) << "it was purged";
    EXPECT_TRUE(hits(store, "v2", 2));
  });
}

/// Without size= nobody can tell which objects a missing disk has, so nothing of its volume is used
/// and nothing is cleared; with it the other one goes on.
TEST_F(VolumesProgramTest, AVolumeOfTwoDisksGoesOnWithOneWhereSizesAreSaid) {
  for (const std::string size : {"", ",size=512K"}) {
    const std::string third = path("c.img");
    std::ofstream(third).close();
    fs::resize_file(third, 1 << 20);
    const Words words = {"--disk",
                         path(a_) + ":volume=1" + size,
                         "--disk",
                         path(b_) + ":volume=1" + size,
                         "--disk",
                         third + ":volume=2",
                         "--hosting",
                         "prefix=x volume=2",
                         "--hosting",
                         "hostname=* volume=1"};
    live(words, [](Store& store) {
      put_both(store);
      put(store, "x", body(3, 5000));
    });
    const auto found = [&] {
      int count = 0;
      live(words, [&](Store& store) {
        EXPECT_TRUE(hits(store, "x", 3));
        for (int n = 0; n < 6; ++n) {
          count += hits(store, fmt::format("k{}", n), 1) ? 1 : 0;
          count += hits(store, fmt::format("v{}", n), 2) ? 1 : 0;
        }
      });
      return count;
    };
    fs::rename(directory_ / b_, directory_ / "elsewhere");
    const int with_one = found();
    if (size.empty()) {
      EXPECT_EQ(with_one, 0);
      EXPECT_NE(log_.find("it stays closed, because " + path(b_)), std::string::npos) << log_;
    } else {
      EXPECT_GT(with_one, 0);
      EXPECT_LT(with_one, 12);
    }
    fs::rename(directory_ / "elsewhere", directory_ / b_);
    EXPECT_EQ(found(), 12) << "nothing was cleared" << size;
  }
}

TEST_F(VolumesProgramTest, AnotherVersionOfTheLabelClears) {
  live(two_volumes(), put_both);
  std::string image = read_file(directory_ / b_);
  for (const std::size_t at : {std::size_t{0}, std::size_t{volumes::label_copy_bytes}}) {
    std::vector<std::byte> sector(512);
    std::memcpy(sector.data(), &image[at], sector.size());
    auto label = volumes::decode_label(sector);
    ASSERT_TRUE(label);
    label->version = 2;
    volumes::encode_label(*label, sector);
    std::memcpy(&image[at], sector.data(), sector.size());
  }
  std::ofstream(directory_ / b_, std::ios::binary) << image;
  const Outcome offline = run({"list", "--disk", path(b_)});
  EXPECT_EQ(offline.code, 2);
  EXPECT_NE(offline.err.find("label is of version 2; this build knows 1"), std::string::npos);
  live(two_volumes(), [&](Store& store) {
    EXPECT_NE(log_.find("of volume 2 was cleared: label_other_version"), std::string::npos) << log_;
    EXPECT_TRUE(hits(store, "k1", 1));
    EXPECT_FALSE(hits(store, "v1", 2));
  });
}

TEST_F(VolumesProgramTest, WrongDisksAreOneClearSentence) {
  const std::string a = path(a_), b = path(b_);
  fs::create_symlink(a, path("again"));
  std::ofstream(path("small")).close();
  fs::resize_file(path("small"), 16384);
  struct Case {
    Words words;
    int code;
    std::string says;
  };
  const std::vector<Case> cases = {
      {{"--disk", a + ":volume=0"}, 2, "'volume=0' in --disk " + a},
      {{"--disk", a + ":volume=256"}, 2, "volume=1 to 255"},
      {{"--disk", a + ":tag=1"}, 2, "'tag=1'"},
      {{"--disk", a + ":volume=1,size=3000"}, 2, "a multiple of 8K"},
      {{"--disk", a + ":volume=1,size=2M"}, 2, "1048576 bytes, and size=2097152 was said"},
      {{"--disk", ":volume=1"}, 2, "names no file"},
      {{"--disk", a, "--disk", a}, 2, "are the same disk"},
      {{"--disk", a, "--disk", path("again")}, 2, "are the same disk"},
      {{"--disk", a + ":id=x", "--disk", b + ":id=x"}, 2, "two disks are called x"},
      {{"--disk", a + ":volume=1", "--disk", b + ":volume=2"}, 2, "no hosting rule names"},
      {{"--disk", a + ":volume=1", "--hosting", "hostname=* volume=3"}, 2, "carries volume 1"},
      {{"--disk",
        a + ":volume=1",
        "--hosting",
        "prefix=v volume=2",
        "--hosting",
        "hostname=* volume=1"},
       2,
       "names volume 2, and no disk carries that tag"},
      {{"--disk", a + ":volume=1", "--volumes", "1:50,2:50", "--store", "cyclone"},
       2,
       "--volumes divides one disk"},
      {{"--disk", a, "--hosting", "hostname=* volume=1"}, 2, "disks of volumes"},
      {{"--disk", a, "--key-mode", "mapped"}, 2, "--key-mode is for disks of volumes"},
      {{"--disk", a + ":volume=1", "--key-mode", "both"}, 2, "allowed: original, mapped"},
      {{"--disk", path("small") + ":volume=1"}, 2, "too small for a label and a store"},
      {{"--disk", "/nowhere:volume=1"}, 3, "disk /nowhere is missing: No such file"},
      {{"--disk", a, "--ram-cache", "big"}, 2, "'big' is not a size"},
      {{"--disk", a, "--ram-cache", "1M,clock"}, 2, "allowed: lru, s3fifo"},
      {{"--store", "memory", "--ram-cache", "1M"}, 2, "--store memory has no disk"}};
  const std::string before = read_file(a);
  for (const Case& each : cases) {
    Words words = {"serve", "--socket", path("s")};
    words.insert(words.end(), each.words.begin(), each.words.end());
    const Outcome result = run(words);
    EXPECT_EQ(result.code, each.code) << result.err;
    EXPECT_NE(result.err.find(each.says), std::string::npos) << result.err;
  }
  EXPECT_EQ(read_file(a), before) << "bad words touched the disk";
  live({"--disk", a + ":volume=1"}, put_both);
  const Outcome plain = run({"serve", "--socket", path("s"), "--disk", a});
  EXPECT_EQ(plain.code, 2);
  EXPECT_NE(plain.err.find("carries the label of volume 1"), std::string::npos) << plain.err;
  live({"--disk", a + ":volume=1"}, [](Store& store) { EXPECT_TRUE(hits(store, "k1", 1)); });
}

/// Keys made of another URL are never found under the old one's.
TEST_F(VolumesProgramTest, AnotherKeyModeClears) {
  Words words = {"--disk", path(a_) + ":volume=1", "--key-mode", "original"};
  live(words, put_both);
  words.back() = "mapped";
  live(words, [&](Store& store) {
    EXPECT_NE(log_.find("was cleared: label_other_facts"), std::string::npos) << log_;
    EXPECT_FALSE(hits(store, "k1", 1));
  });
}

TEST_F(VolumesProgramTest, EachDiskKeepsItsDirectoryInSharedMemory) {
  Words words = two_volumes("cyclone");
  const std::string prefix = fmt::format("pcv{}", ::getpid());
  words.insert(words.end(), {"--shm", "enabled=1", "--shm", "name_prefix=" + prefix});
  live(words, put_both, true);
  live(
      words,
      [](Store& store) {
        EXPECT_EQ(counter(store, "attached"), 2U);
        EXPECT_TRUE(hits(store, "v1", 2));
        EXPECT_TRUE(hits(store, "k1", 1));
      },
      true);
  for (const char* disk : {".1", ".2"}) {
    const Outcome status = run({"shm", "status", "--prefix", prefix + disk});
    EXPECT_NE(status.out.find("1 (clean)"), std::string::npos) << status.out;
    EXPECT_EQ(run({"shm", "clear", "--prefix", prefix + disk}).code, 0);
  }
}

/// Pins name keys as clients do, whatever the label puts before them.
TEST_F(VolumesProgramTest, PinnedKeysStayWhileTheLogComesRound) {
  const Words words = {"--store", "cyclone", "--disk", path(a_) + ":volume=1", "--pin", "pin*"};
  live(words, [](Store& store) {
    put(store, "pin1", body(1, 5000));
    put(store, "other", body(1, 5000));
    for (int n = 0; n < 400; ++n) {
      put(store, fmt::format("k{}", n % 50), body(2, 5000));
    }
    EXPECT_TRUE(hits(store, "pin1", 1));
    EXPECT_FALSE(hits(store, "other", 1));
  });
}

class RamCacheProgramTest : public VolumesProgramTest,
                            public ::testing::WithParamInterface<const char*> {};
INSTANTIATE_TEST_SUITE_P(Policies, RamCacheProgramTest, ::testing::Values("64K", "64K,s3fifo"));

/// What the store gave up is not served from memory, and what the disk lost is told all the same.
TEST_P(RamCacheProgramTest, ServesWhatTheStoreHas) {
  Words words = two_volumes();
  words.insert(words.end(), {"--ram-cache", GetParam()});
  live(words, [&](Store& store) {
    put_both(store);
    EXPECT_TRUE(hits(store, "v1", 2));
    EXPECT_TRUE(hits(store, "v1", 2));
    const auto counters = json::parse(ask("stats", {"--json"}).out).at("counters");
    EXPECT_EQ(counters.at("ram_hits"), 1);
    EXPECT_EQ(counters.at("ram_objects"), 1);
    EXPECT_EQ(counters.at("ram_bytes_max"), 65536);
    EXPECT_TRUE(*store.purge("v1"));
    EXPECT_FALSE(hits(store, "v1", 2));
    EXPECT_TRUE(hits(store, "v2", 2));
    put(store, "v2", body(9, 5000));
    EXPECT_TRUE(hits(store, "v2", 9));
    EXPECT_TRUE(hits(store, "v3", 2));
    // Its bytes rot on the disk below.
    std::string image = read_file(directory_ / b_);
    const rock::Bytes whole = body(2, 5000);
    const std::string piece(reinterpret_cast<const char*>(whole.data()) + 4096, 64);
    for (std::size_t at = 0; (at = image.find(piece, at)) != std::string::npos; ++at) {
      std::fstream file(directory_ / b_, std::ios::binary | std::ios::in | std::ios::out);
      file.seekp(static_cast<std::streamoff>(at));
      file.put('?');
    }
    EXPECT_TRUE(hits(store, "v3", 2)) << "a whole copy is in memory";
    const Outcome check = ask("check");
    EXPECT_EQ(check.code, 1) << check.out;
    EXPECT_NE(check.out.find("v3 cannot be read whole"), std::string::npos) << check.out;
  });
  live(words, [&](Store& store) {
    EXPECT_FALSE(hits(store, "v1", 2));
    EXPECT_TRUE(hits(store, "v2", 9));
    EXPECT_FALSE(hits(store, "v3", 2)) << "memory is gone, and the disk's copy is refused";
    EXPECT_EQ(counter(store, "ram_hits"), 0U);
  });
  fs::remove(directory_ / b_);
  live(words, [&](Store& store) {
    EXPECT_TRUE(hits(store, "k1", 1));
    EXPECT_FALSE(hits(store, "v2", 9)) << "lost with its disk";
  });
}

}  // namespace
}  // namespace engine::service
