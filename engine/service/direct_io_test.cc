// Both stores past the page cache, on a block device: a loop device with sectors of 512 and of 4096
// bytes, served by the program and killed. Needs root and losetup.

#include <sys/mount.h>

#include <csignal>
#include <nlohmann/json.hpp>

#include "engine/block/file_device.h"
#include "engine/block/whole_blocks.h"
#include "engine/service/program_rig_test.h"

namespace engine::service {
namespace {

class DirectIoTest : public ProgramTest,
                     public ::testing::WithParamInterface<std::tuple<const char*, std::uint32_t>> {
 protected:
  void TearDown() override {
    if (!loop_.empty()) {
      EXPECT_EQ(run({"--detach", loop_}, losetup).code, 0);
    }
    ProgramTest::TearDown();
  }
  /// A loop device on `file`, gone with the test. Otherwise says why there is none.
  std::string attach(const fs::path& file, std::uint32_t sector_bytes) {
    if (::geteuid() != 0) {
      return "a loop device needs root";
    }
    if (!fs::exists(losetup)) {
      return "losetup is not installed: apt-get install mount";
    }
    const Outcome said =
        run({"--find", "--show", "--sector-size", std::to_string(sector_bytes), file.string()},
            losetup);
    loop_ = said.code == 0 ? said.out.substr(0, said.out.find('\n')) : "";
    return loop_.empty() ? "no loop device can be had: " + said.err : "";
  }

  static constexpr const char* losetup = "/usr/sbin/losetup";
  std::string loop_;  // "/dev/loop3"
};
INSTANTIATE_TEST_SUITE_P(StoresAndSectors,
                         DirectIoTest,
                         ::testing::Combine(::testing::Values("rock", "cyclone"),
                                            ::testing::Values(512U, 4096U)));

TEST_P(DirectIoTest, OnABlockDeviceItSurvivesAKill) {
  const auto& [store, sector_bytes] = GetParam();
  // The last bytes are no whole sector: the device has less than its file.
  fs::resize_file(disk_, (1 << 20) + 100);
  if (const std::string trouble = attach(disk_, sector_bytes); !trouble.empty()) {
    GTEST_SKIP() << trouble;
  }
  disk_ = loop_;
  slot_.clear();
  const std::vector<std::string> words = {"--store", store, "--direct"};
  {
    const auto device =
        block::open_file_device(disk_, block::OpenMode::read_write, block::Transfer::direct);
    ASSERT_TRUE(device) << device.error().message;
    EXPECT_EQ((*device)->size_bytes(), 1U << 20) << "the device's, not what st_size says (0)";
    EXPECT_EQ((*device)->write_block_bytes(), sector_bytes);
    const rock::Bytes half(sector_bytes / 2);
    const auto refused = (*device)->write(sector_bytes, half, block::WriteMode::durable);
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().message.find(
                  fmt::format("{} bytes at offset {} is not one of whole blocks of {}",
                              half.size(),
                              sector_bytes,
                              sector_bytes)),
              std::string::npos)
        << refused.error().message;
    EXPECT_FALSE((*device)->write(sector_bytes / 2, half, block::WriteMode::durable));
    const Outcome second = run({"serve", "--disk", disk_.string(), "--socket", "s", "--direct"});
    EXPECT_EQ(second.code, 3);
    EXPECT_NE(second.err.find("is in use"), std::string::npos) << second.err;
  }
  pid_t child = -1;
  std::array<int, 2> ends = {};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
  child = spawn({"serve",
                 "--disk",
                 disk_.string(),
                 "--store",
                 store,
                 "--direct",
                 "--socket-fd",
                 "3",
                 "--seed",
                 "5",
                 "--manual-ticks"},
                ends[1]);
  ::close(ends[1]);
  {
    const auto served = connect_client(ends[0]);
    for (std::uint64_t n = 0; n < 30; ++n) {
      put(*served, fmt::format("k{}", n % 7), body(n, 1 + 777 * n));
    }
    ASSERT_TRUE(served->update_header("k0", "newer")) << read_file(directory_ / "err");
    ASSERT_TRUE(served->purge("k3"));
    ::kill(child, SIGKILL);
    EXPECT_EQ(exit_code(child), -SIGKILL);
  }
  serve(
      [](Store& again) {
        for (Result<bool> more = true; more && *more;) {
          more = again.tick();
        }
        for (std::uint64_t n = 23; n < 30; ++n) {
          GetReply reply;
          ASSERT_TRUE(again.get(fmt::format("k{}", n % 7), {}, reply));
          EXPECT_EQ(reply.hit, n % 7 != 3) << n;
          EXPECT_TRUE(!reply.hit || reply.body == body(n, 1 + 777 * n)) << n;
          EXPECT_TRUE(!reply.hit || reply.header == (n % 7 == 0 ? "newer" : "head"));
        }
      },
      true,
      words);
  EXPECT_EQ(look("check").code, 0) << "and through the page cache: " << look("check").out;
  // A disk of a volume has a label before all that.
  disk_ += ":volume=3";
  serve(
      [](Store& volume) {
        put(volume, "v", body(1, 5000));
        ASSERT_EQ(volume.inspect().disks.size(), 1U);
        EXPECT_EQ(volume.inspect().disks[0].volume, 3U);
      },
      true,
      words);
  EXPECT_EQ(look("lookup", {"v"}).code, 0);
}

/// What is around a write of a part of a block stays.
TEST_F(ProgramTest, PartsOfBlocksAreFilledUpWithWhatIsThere) {
  auto direct =
      block::open_file_device(disk_, block::OpenMode::read_write, block::Transfer::direct);
  if (!direct) {
    GTEST_SKIP() << direct.error().message;
  }
  rock::Bytes whole = body(3, 1 << 18);
  ASSERT_TRUE((*direct)->write(0, whole, block::WriteMode::durable));
  block::WholeBlocks device(std::move(*direct));
  for (const auto& [at, size] : {std::pair{0U, 10U},
                                 {511U, 2U},
                                 {512U, 512U},
                                 {4000U, 9000U},
                                 {8192U, 4096U},
                                 {(1U << 18U) - 3, 3U},
                                 {20000U, 1U}}) {
    const rock::Bytes piece = body(at, size);
    ASSERT_TRUE(device.write(at, piece, block::WriteMode::durable)) << at;
    std::copy(piece.begin(), piece.end(), whole.begin() + at);
  }
  rock::Bytes back(whole.size());
  ASSERT_TRUE(device.read(0, back));
  EXPECT_TRUE(back == whole);
}

TEST_F(ProgramTest, DirectIoRefusesWhatIsNoWholeBlocks) {
  fs::resize_file(disk_, (1 << 18) + 100);
  const Outcome refused = run({"serve", "--disk", disk_.string(), "--direct", "--socket", "s"});
  if (refused.err.find("direct I/O") == std::string::npos ||
      refused.err.find("cannot open") != std::string::npos) {
    GTEST_SKIP() << refused.err;
  }
  EXPECT_EQ(refused.code, 2);
  EXPECT_NE(refused.err.find("262244 bytes, which are no whole blocks of"), std::string::npos)
      << refused.err;
}

}  // namespace
}  // namespace engine::service
