// A directory of more than 2 GiB, with a real file and real shared memory (label slow: it takes
// 7 GiB of memory, 5 GiB of disk and about two minutes).

#include <unistd.h>

#include <filesystem>
#include <fstream>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "engine/block/file_device.h"
#include "engine/cyclone/image.h"
#include "engine/cyclone/key.h"
#include "engine/cyclone/test_disk.h"
#include "engine/restart/purge.h"

namespace engine::cyclone {
namespace {

constexpr std::uint64_t disk_bytes = 128ULL << 30U;
constexpr std::uint64_t two_gibibytes = 1ULL << 31U;
constexpr std::size_t objects = 2000;

/// A sparse file, and names in shared memory; both go with it.
class LargeRig {
 public:
  LargeRig() : file_(std::filesystem::temp_directory_path() / fmt::format("large-{}", getpid())) {
    std::ofstream(file_).close();
    std::filesystem::resize_file(file_, disk_bytes);
    device = block::open_file_device(file_, block::OpenMode::read_write).value();
    config.layout.average_object_bytes = 512;
    shared.memory = &restart::posix_shared_memory();
    shared.config.name_prefix = fmt::format("large{}", getpid());
  }
  ~LargeRig() {
    restart::Gates gates({}, nullptr);
    static_cast<void>(restart::purge(*shared.memory, shared.config.name_prefix, gates));
    std::filesystem::remove(file_);
  }
  LargeRig(const LargeRig&) = delete;
  LargeRig& operator=(const LargeRig&) = delete;

  void start(bool with_shared_memory) {
    store.reset();
    ++config.seed;
    shared.config.enabled = with_shared_memory;
    store = open_store(*device, config, shared).value();
    for (Result<bool> more = true; more && *more;) {
      more = store->tick();
    }
  }
  void put(std::size_t number) const {
    const Bytes bytes = body(number, 1 + number % 3000);
    const auto upload = store->begin_put(name(number), "h", bytes.size()).value();
    ASSERT_TRUE(store->append(upload, bytes));
    ASSERT_TRUE(store->commit(upload));
  }
  /// Objects that are hits, each compared with what was put.
  [[nodiscard]] std::size_t hits() const {
    std::size_t found = 0;
    GetReply reply;
    for (std::size_t number = 0; number < objects; ++number) {
      EXPECT_TRUE(store->get(name(number), {}, reply));
      if (reply.hit) {
        EXPECT_EQ(reply.body, body(number, 1 + number % 3000)) << number;
        ++found;
      }
    }
    return found;
  }
  static std::string name(std::size_t number) { return fmt::format("k{}", number); }

  std::unique_ptr<block::Device> device;
  Config config;
  SharedDirectory shared;
  std::unique_ptr<Store> store;

 private:
  std::filesystem::path file_;
};

/// Row 21: stopped, attached, killed and rebuilt, every answer is the same, also of the rows that
/// lie behind 2 GiB.
TEST(Large, DirectoryOfMoreThanTwoGiBIsAttachedAndRebuilt) {
  LargeRig rig;
  const auto geometry = geometry_of_disk(disk_bytes, rig.config.layout).value();
  ASSERT_GT(geometry.copy_bytes, two_gibibytes);
  const auto image_offset = [&geometry](std::size_t number) {
    const std::uint64_t segment = key_of(LargeRig::name(number)).words[0] % geometry.segments;
    return geometry.header_bytes + segment * geometry.segment_rows() * row_bytes;
  };
  rig.start(true);
  std::size_t behind = 0;
  for (std::size_t number = 0; number < objects; ++number) {
    rig.put(number);
    behind += image_offset(number) > two_gibibytes ? 1 : 0;
  }
  EXPECT_GT(behind, 50U) << "objects whose rows lie behind 2 GiB";
  ASSERT_TRUE(rig.store->close());
  rig.start(true);
  EXPECT_EQ(rig.store->stats().counters.at("attached"), 1U);
  EXPECT_EQ(rig.hits(), objects);
  ASSERT_TRUE(rig.store->purge(LargeRig::name(7)));
  rig.start(false);  // a kill, and a life that reads the disk: copies, and the purge from the log
  EXPECT_EQ(rig.store->stats().counters.at("attached"), 0U);
  EXPECT_EQ(rig.hits(), objects - 1);
}

/// What one system call does not take is read and written in several.
TEST(Large, OneRequestOfMoreThanTwoGiB) {
  const LargeRig rig;
  Bytes bytes(two_gibibytes + (64U << 20U));
  for (std::size_t at = 0; at < bytes.size(); at += 4096) {
    bytes[at] = static_cast<std::byte>(mix(1, at));
  }
  bytes.back() = std::byte{0x7e};
  ASSERT_TRUE(rig.device->write(4096, bytes, block::WriteMode::cached));
  Bytes read(bytes.size());
  ASSERT_TRUE(rig.device->read(4096, read));
  EXPECT_TRUE(read == bytes);
}

}  // namespace
}  // namespace engine::cyclone
