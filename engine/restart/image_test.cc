// The gates of one stripe: its row, its binding to the disk, its image. Whatever is refused ends in
// an image of zeros or on the heap, and no later start finds what was refused.

#include <sched.h>
#include <sys/mount.h>

#include <thread>

#include "engine/restart/shm_test.h"

namespace engine::restart {
namespace {

using ::testing::HasSubstr;

class ImageTest : public ShmTest {
 protected:
  /// The image is refused by `gate`, is zeros in the same slot, and after a kill-free stop is good
  /// for the disk as it is then.
  void expect_recreated(Gate gate,
                        const Binding& disk = disk_state(),
                        std::uint64_t size_bytes = image_bytes,
                        SharedMemory& memory = posix_shared_memory()) {
    {
      const auto life = start(memory);
      ASSERT_EQ(life->restart->mode(), Mode::attaching) << life->log;
      StripeImage& image = life->take("a", disk, size_bytes);
      EXPECT_EQ(life->refused(gate), 1U) << life->log;
      EXPECT_EQ(life->refused_in_all(), 1U) << life->log;
      EXPECT_THAT(life->log, HasSubstr("recreating"));
      EXPECT_THAT(life->log, HasSubstr("created stripe"));
      EXPECT_TRUE(image.shared());
      EXPECT_FALSE(image.attached());
      EXPECT_TRUE(holds(image, 0));
      EXPECT_EQ(image.bytes().size(), size_bytes);
      fill(image, 8);
      life->restart->finish_start();
      EXPECT_TRUE(life->stop(disk));
    }
    const auto next = start();
    const StripeImage& image = next->take("a", disk, size_bytes);
    EXPECT_TRUE(image.attached()) << next->log;
    EXPECT_TRUE(holds(image, 8));
  }
};

TEST_F(ImageTest, UntrustedRow) {
  {
    const auto life = start();
    StripeImage& image = life->take("a");
    image.distrust("a flush failed");
    EXPECT_THAT(life->log, HasSubstr("untrusted"));
    EXPECT_TRUE(life->stop());
  }
  expect_recreated(Gate::row_untrusted);
}

TEST_F(ImageTest, DirectoryOfAnotherSize) {
  run_and_stop({"a"}, 1);
  expect_recreated(Gate::row_size, disk_state(), 2 * image_bytes);
}

TEST_F(ImageTest, AnotherDisk) {
  run_and_stop({"a"}, 1);
  Binding other = disk_state();
  other.nonce_high ^= 1;
  expect_recreated(Gate::binding_nonce, other);
}

TEST_F(ImageTest, DiskThatWasOpenedWithoutTheImage) {
  run_and_stop({"a"}, 1);
  Binding later = disk_state();
  ++later.life;
  expect_recreated(Gate::binding_serials, later);
}

TEST_F(ImageTest, DiskThatWasPutBackToAnOlderState) {
  run_and_stop({"a"}, 1, disk_state(2));
  expect_recreated(Gate::binding_serials, disk_state(1));
}

TEST_F(ImageTest, DiskThatWasWrittenOn) {
  for (std::uint64_t Binding::*field : {&Binding::sync_serial, &Binding::write_serial}) {
    run_and_stop({"a"}, 1);
    Binding later = disk_state();
    ++(later.*field);
    expect_recreated(Gate::binding_serials, later);
    remove_all();
  }
  run_and_stop({"a"}, 1);
  Binding moved = disk_state();
  moved.cursor_bytes += 512;
  expect_recreated(Gate::binding_cursor, moved);
}

TEST_F(ImageTest, TwoEqualDisksSwapped) {
  Binding second = disk_state();
  second.nonce_low ^= 0xff;
  {
    const auto life = start();
    fill(life->take("a"), 1);
    fill(life->take("b", second), 2);
    std::vector<SealedImage> sealed;
    sealed.push_back(std::move(life->images[0]).seal(disk_state()));
    sealed.push_back(std::move(life->images[1]).seal(second));
    EXPECT_TRUE(life->restart->mark_clean(std::move(sealed)));
  }
  const auto life = start();
  EXPECT_FALSE(life->take("a", second).attached());
  EXPECT_FALSE(life->take("b", disk_state()).attached());
  EXPECT_EQ(life->refused(Gate::binding_nonce), 2U);
}

TEST_F(ImageTest, RunWithoutSharedMemoryBetween) {
  run_and_stop({"a"}, 1, disk_state(1));
  request.config.enabled = false;
  EXPECT_FALSE(start()->take("a", disk_state(1)).shared());
  request.config.enabled = true;
  // That run counted its life on the disk before it wrote anything.
  expect_recreated(Gate::binding_serials, disk_state(2));
}

TEST_F(ImageTest, ObjectThatIsGone) {
  run_and_stop({"a"}, 1);
  ASSERT_TRUE(posix_shared_memory().unlink(prefix + "s0"));
  expect_recreated(Gate::image_present);
}

TEST_F(ImageTest, ObjectOfAnotherSize) {
  for (const std::uint64_t size_bytes :
       {std::uint64_t{0}, image_bytes - 1, image_bytes + 1, 2 * image_bytes}) {
    run_and_stop({"a"}, 1);
    resize("s0", size_bytes);
    expect_recreated(Gate::image_size);
    remove_all();
  }
}

TEST_F(ImageTest, ImageThatCannotBeMappedIsRecreatedOnceItCan) {
  run_and_stop({"a"}, 1);
  FaultyMemory memory;
  memory.faults.open = [&](const std::string& name) {
    // The image's first mapping fails, the one of its successor does not.
    memory.faults.above_bytes = name.ends_with("control") ? control_bytes : 0;
    memory.faults.map = name.ends_with("control") ? 0 : ENOMEM;
    return 0;
  };
  memory.faults.create = [&](const std::string&) {
    memory.faults.map = 0;
    return 0;
  };
  expect_recreated(Gate::image_map, disk_state(), image_bytes, memory);
}

TEST_F(ImageTest, OnlyStripeOnTheHeapForOneRunLeavesNothingStale) {
  run_and_stop({"a"}, 1);
  FaultyMemory memory;
  memory.faults.open = [](const std::string& name) { return name.ends_with("s0") ? ENOMEM : 0; };
  memory.faults.create = [](const std::string&) { return ENOMEM; };
  {
    const auto life = start(memory);
    StripeImage& image = life->take("a");
    EXPECT_FALSE(image.shared());
    EXPECT_EQ(life->refused(Gate::image_present), 1U);
    EXPECT_EQ(life->refused(Gate::image_create), 1U);
    EXPECT_THAT(life->log, HasSubstr("heap directory for this run"));
    fill(image, 3);
    life->restart->finish_start();
    EXPECT_TRUE(life->stop(disk_state()));
  }
  const auto next = start();
  EXPECT_EQ(next->restart->mode(), Mode::attaching);
  EXPECT_FALSE(next->take("a", disk_state()).attached()) << next->log;
}

TEST_F(ImageTest, ByteChangedAfterTheSeal) {
  run_and_stop({"a"}, 1);
  {
    const auto object = posix_shared_memory().open(prefix + "s0", Access::read_write);
    const auto mapping = (*object)->map(image_bytes, Access::read_write);
    (*mapping)->bytes()[image_bytes / 2] ^= std::byte{1};
  }
  expect_recreated(Gate::image_digest);
}

TEST_F(ImageTest, StructureRefusedByTheOwnerFallsBack) {
  run_and_stop({"a"}, 1);
  const auto life = start();
  StripeImage& image = life->take("a");
  ASSERT_TRUE(image.attached());
  image.refuse_structure("free list head out of range");
  EXPECT_EQ(life->refused(Gate::image_structure), 1U);
  EXPECT_THAT(
      life->log,
      HasSubstr("shm directory invalid for 'a': free list head out of range; falling back"));
  EXPECT_FALSE(image.attached());
  EXPECT_TRUE(image.shared() && holds(image, 0));
}

TEST_F(ImageTest, SameIdentityTwice) {
  for (int n = 0; n < 2; ++n) {
    const auto life = start();
    EXPECT_EQ(life->take("a").attached(), n == 1);
    EXPECT_FALSE(life->take("a").shared());
    EXPECT_EQ(life->refused(Gate::row_claimed), 1U);
    EXPECT_TRUE(life->stop());
  }
}

TEST_F(ImageTest, TableFull) {
  const auto life = start();
  for (std::size_t n = 0; n < row_count; ++n) {
    ASSERT_TRUE(life->take(fmt::format("{}", n), disk_state(), 4096).shared());
  }
  EXPECT_FALSE(life->take("one more").shared());
  EXPECT_EQ(life->refused(Gate::table_full), 1U);
  EXPECT_TRUE(life->stop());
  life->kill();
  const auto next = start();
  for (std::size_t n = 0; n < row_count; ++n) {
    ASSERT_TRUE(next->take(fmt::format("{}", n), disk_state(), 4096).attached());
  }
  EXPECT_FALSE(next->take("one more").shared());
}

TEST_F(ImageTest, LeftoverUnderTheNameOfAnImageIsReplaced) {
  const auto life = start();
  ASSERT_TRUE(posix_shared_memory().create(prefix + "s0"));
  EXPECT_TRUE(life->take("a").shared());
}

TEST_F(ImageTest, ImageThatCannotBeMadeGoesToTheHeap) {
  for (const int error_number : {EMFILE, ENOSPC, EACCES}) {
    const auto life = start();
    life->kill();
    FaultyMemory memory;
    const auto faulty = start(memory);
    memory.faults.create = [=](const std::string&) { return error_number; };
    EXPECT_FALSE(faulty->take("a").shared());
    EXPECT_EQ(faulty->refused(Gate::image_create), 1U);
    memory.faults.create = nullptr;
    EXPECT_TRUE(faulty->take("a").shared());
  }
}

TEST_F(ImageTest, UnclaimedImagesAreReclaimedUnlessNobodyClaimedAny) {
  run_and_stop({"a", "b", "c"}, 1);
  {
    const auto aborted = start();
    aborted->restart->finish_start();
    EXPECT_EQ(aborted->refused(Gate::zero_claim), 1U);
    EXPECT_TRUE(exists("s0") && exists("s1") && exists("s2"));
    EXPECT_TRUE(aborted->stop());
  }
  const auto life = start();
  EXPECT_TRUE(life->take("b").attached());
  life->restart->finish_start();
  EXPECT_EQ(life->restart->counters().at("shm_orphans"), 2U);
  EXPECT_FALSE(exists("s0"));
  EXPECT_TRUE(exists("s1"));
  EXPECT_FALSE(exists("s2"));
  EXPECT_TRUE(life->stop());
  life->kill();
  const auto next = start();
  EXPECT_THAT(next->log, HasSubstr("attaching up to 2 stripes"));
  EXPECT_TRUE(next->take("b").attached());
  EXPECT_FALSE(next->take("a").attached());
}

TEST_F(ImageTest, HugePagesAreAskedForAndNotNeeded) {
  request.config.use_hugepages = true;
  run_and_stop({"a"}, 1);
  const auto life = start();
  EXPECT_TRUE(life->take("a").attached());
  EXPECT_LE(life->restart->counters().at("shm_huge_pages"), 1U);
}

TEST_F(ImageTest, StripesTakeTheirImagesInParallel) {
  std::vector<std::string> identities;
  for (int n = 0; n < 32; ++n) {
    identities.push_back(fmt::format("stripe {}", n));
  }
  run_and_stop(identities, 1);
  FastRestart restart(posix_shared_memory(), request, nullptr);
  std::vector<std::thread> threads;
  std::atomic<int> attached = 0;
  for (std::size_t first = 0; first < 4; ++first) {
    threads.emplace_back([&, first] {
      for (std::size_t n = first; n < identities.size(); n += 4) {
        const auto image = restart.take(identities[n], image_bytes, disk_state());
        attached += image && image->attached() && holds(*image, 1) ? 1 : 0;
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(attached, 32);
}

/// Runs `story` in a process whose /dev/shm is a file system of its own, of `size`.
class SmallSharedMemory {
 public:
  static constexpr int not_possible = 77;
  template <typename Story>
  static int run(const char* size, const Story& story) {
    Forked child([&] {
      const bool own = ::unshare(CLONE_NEWNS | (::geteuid() == 0 ? 0 : CLONE_NEWUSER)) == 0 &&
                       ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                       ::mount("none", "/dev/shm", "tmpfs", 0, size) == 0;
      ::_exit(own ? story() : not_possible);
    });
    return child.end(0);
  }
};

TEST_F(ImageTest, FullSharedMemoryFallsBackToTheHeap) {
  const int status = SmallSharedMemory::run("size=128k", [this] {
    const auto life = start();
    StripeImage& fits = life->take("a", disk_state(), 16 << 10);
    StripeImage& does_not = life->take("b", disk_state(), 1 << 20);
    fill(does_not, 1);
    return life->restart->mode() == Mode::fresh && life->images[0].shared() && !does_not.shared() &&
                   life->refused(Gate::image_create) == 1 && (static_cast<void>(fits), life->stop())
               ? 0
               : 1;
  });
  ASSERT_TRUE(WIFEXITED(status)) << "a signal: the pages were not reserved";
  if (WEXITSTATUS(status) == SmallSharedMemory::not_possible) {
    GTEST_SKIP() << "no mount namespace here";
  }
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST_F(ImageTest, WithoutReservationAFullSharedMemoryIsASignal) {
  const int status = SmallSharedMemory::run("size=128k", [this] {
    ::signal(SIGBUS, SIG_DFL);
    request.config.reserve_pages = false;
    fill(start()->take("b", disk_state(), 1 << 20), 1);
    return 0;
  });
  if (WIFEXITED(status) && WEXITSTATUS(status) == SmallSharedMemory::not_possible) {
    GTEST_SKIP() << "no mount namespace here";
  }
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGBUS);
}

}  // namespace
}  // namespace engine::restart
