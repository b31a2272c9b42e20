// The control language, without and with its socket. No FUSE needed.

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <fstream>
#include <thread>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "faultfs/control/client.h"
#include "faultfs/control/commands.h"
#include "faultfs/control/local_socket.h"
#include "faultfs/control/server.h"
#include "faultfs/disk_recording.h"
#include "faultfs/dm_log.h"

namespace faultfs::control {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

constexpr std::uint64_t disk_bytes = 64_KiB;

Bytes page(std::uint8_t value) {
  return Bytes(4096, std::byte{value});
}

class ControlTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name =
        (std::filesystem::temp_directory_path() / fmt::format("powercut-{}-XXXXXX", getpid()))
            .string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    directory_ = name;
    device_ = std::move(*Device::create(*find_profile("ssd_4k_volatile"),
                                        {{"disk0", disk_bytes}, {"disk1", disk_bytes}}));
    commands_ = std::make_unique<Commands>(*device_);
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::string answer(std::string_view line) { return commands_->answer(line); }

  int write(std::uint64_t offset, std::uint8_t value, bool fua = false) {
    return device_->write(device_->generation(), 0, offset, page(value), fua);
  }

  /// The first byte of a page of disk 0.
  [[nodiscard]] int at(std::uint64_t offset) const {
    Bytes bytes = page(0);
    device_->snapshot()[0].read(offset, bytes);
    return std::to_integer<int>(bytes[0]);
  }

  std::filesystem::path directory_;
  std::unique_ptr<Device> device_;
  std::unique_ptr<Commands> commands_;
};

TEST_F(ControlTest, CutsNowAtARequestAndAtAMark) {
  EXPECT_EQ(answer("cut at-request 2"), "ok");
  EXPECT_EQ(write(0, 1), 0);
  EXPECT_EQ(write(0, 2), EIO);
  EXPECT_EQ(answer("power-on"), "ok generation 2");

  EXPECT_EQ(answer("cut at-mark put#3"), "ok");
  EXPECT_EQ(answer("mark put#2 begins"), "ok");
  EXPECT_EQ(write(0, 3), 0);
  EXPECT_EQ(answer("  mark  the put#3 begins "), "ok");
  EXPECT_EQ(write(0, 4), EIO);
  EXPECT_EQ(device_->log().mark_text(3), "the put#3 begins");
  EXPECT_EQ(answer("power-on"), "ok generation 3");

  EXPECT_EQ(answer("cut at-request 1"), "ok");
  EXPECT_EQ(answer("disarm"), "ok");
  EXPECT_EQ(write(0, 5), 0);
  EXPECT_EQ(answer("cut now"), "ok");
  EXPECT_EQ(write(0, 6), EIO);
}

TEST_F(ControlTest, TellsStatusAndCounters) {
  EXPECT_EQ(answer("status"),
            "ok on generation 1, log 0 entries, ssd_4k_volatile, disk0 64K, disk1 64K");
  EXPECT_EQ(write(0, 1), 0);
  EXPECT_EQ(answer("cut now"), "ok");
  EXPECT_EQ(answer("status"),
            "ok cut generation 1, log 1 entries, ssd_4k_volatile, disk0 64K, disk1 64K");
  EXPECT_THAT(answer("counters"), HasSubstr(" writes 1 written_bytes 4096 "));
}

TEST_F(ControlTest, AddsListsAndSwitchesFaults) {
  EXPECT_EQ(answer("fault list"), "ok no faults");
  EXPECT_EQ(answer("fault add phantom-write write nth=1"), "ok f1 phantom-write write nth=1");
  EXPECT_EQ(answer("fault add eio flush"), "ok f2 eio flush");
  EXPECT_EQ(write(0, 1), 0);
  EXPECT_EQ(at(0), 0);
  EXPECT_EQ(device_->flush(device_->generation(), 0), EIO);
  EXPECT_EQ(answer("fault list"),
            "ok f1 on phantom-write write nth=1: met 1, fired 1; f2 on eio flush: met 1, fired 1");
  EXPECT_EQ(answer("fault off f1"), "ok");
  EXPECT_EQ(at(0), 1) << "as if it had never been";
  EXPECT_EQ(answer("fault on 1"), "ok");
  EXPECT_EQ(at(0), 0);
  EXPECT_EQ(answer("fault off all"), "ok");
  EXPECT_EQ(device_->flush(device_->generation(), 0), 0);
  EXPECT_THAT(answer("fault list"), HasSubstr("f2 off eio flush"));
  EXPECT_EQ(answer("fault clear"), "ok");
  EXPECT_EQ(answer("fault list"), "ok no faults");
  EXPECT_EQ(at(0), 1);
}

TEST_F(ControlTest, SaysWhatIsWrongWithAFault) {
  EXPECT_THAT(answer("fault"), HasSubstr("allowed: fault add EXPRESSION"));
  EXPECT_THAT(answer("fault add nonsense"), HasSubstr("error there is no fault \"nonsense\""));
  EXPECT_THAT(answer("fault add eio disk=other"), HasSubstr("allowed: disk0, disk1"));
  EXPECT_THAT(answer("fault off 1"), HasSubstr("there is no fault \"1\""));
  EXPECT_EQ(answer("fault add eio"), "ok f1 eio");
  EXPECT_THAT(answer("fault off 2"), HasSubstr("there is no fault \"2\""));
  EXPECT_THAT(answer("fault release 1"), HasSubstr("holds nothing"));
  EXPECT_THAT(answer("fault help"), HasSubstr("misdirected-write to=… (write): lands at `to`"));
}

TEST_F(ControlTest, PowersOnTornIntoAShape) {
  EXPECT_EQ(device_->write(device_->generation(), 0, 0, Bytes(16384, std::byte{7}), false), 0);
  EXPECT_EQ(answer("power-on torn suffix"), "ok generation 2, 1 of 1 volatile writes not whole");
  EXPECT_EQ(at(0), 0);
  EXPECT_EQ(at(8192), 7);
  EXPECT_THAT(answer("power-on torn middle"), HasSubstr("allowed: power-on"));
}

TEST_F(ControlTest, PowersOnWithWhatSurvived) {
  EXPECT_EQ(write(0, 1, true), 0);
  EXPECT_EQ(write(0, 2), 0);
  EXPECT_EQ(write(4096, 3), 0);
  EXPECT_EQ(answer("power-on lost"), "ok generation 2, 2 of 2 volatile writes not whole");
  EXPECT_EQ(at(0), 1);
  EXPECT_EQ(at(4096), 0);

  EXPECT_EQ(write(0, 9), 0);
  EXPECT_EQ(answer("power-on"), "ok generation 3");
  EXPECT_EQ(at(0), 9) << "kept, and durable from here on";
  EXPECT_EQ(answer("power-on lost"), "ok generation 4, 0 of 0 volatile writes not whole");
  EXPECT_EQ(at(0), 9);
}

TEST_F(ControlTest, PowersOnWithAPlanAndRefusesAnIllegalOne) {
  EXPECT_EQ(write(0, 1, true), 0);
  EXPECT_EQ(write(4096, 2), 0);
  EXPECT_EQ(write(8192, 3), 0);
  const auto file = directory_ / "the plan.txt";
  std::ofstream(file) << "cut after w0003\nw0001 lost\n";
  EXPECT_THAT(
      answer("power-on plan " + file.string()),
      testing::AllOf(StartsWith("error w0001"), HasSubstr("cannot be lost on ssd_4k_volatile")));
  std::ofstream(file) << "cut after w0003\nw0002 lost\n";
  EXPECT_EQ(answer("power-on plan " + file.string()),
            "ok generation 2, 1 of 2 volatile writes not whole");
  EXPECT_EQ(at(0), 1);
  EXPECT_EQ(at(4096), 0);
  EXPECT_EQ(at(8192), 3);
}

TEST_F(ControlTest, DrawsTheSameStateFromTheSameSeed) {
  const auto drawn = [&](int seed) {
    EXPECT_THAT(answer("reset"), StartsWith("ok"));
    for (std::uint64_t number = 0; number < 16; ++number) {
      EXPECT_EQ(write(number * 4096, static_cast<std::uint8_t>(number + 1)), 0);
    }
    EXPECT_THAT(answer(fmt::format("power-on random {}", seed)), StartsWith("ok"));
    return device_->snapshot()[0].hash();
  };
  const std::uint64_t first = drawn(7);
  EXPECT_EQ(drawn(7), first);
  EXPECT_NE(drawn(8), first);
}

TEST_F(ControlTest, SnapshotsAndSwapsDisks) {
  EXPECT_EQ(write(0, 5), 0);
  const auto directory = directory_ / "before the cut";
  EXPECT_EQ(answer("snapshot " + directory.string()), "ok 2 disks");
  EXPECT_EQ(answer("reset"), "ok generation 2");
  EXPECT_EQ(at(0), 0);
  EXPECT_EQ(answer("swap disk0 " + (directory / "disk0.img").string()), "ok generation 3");
  EXPECT_EQ(at(0), 5);
  EXPECT_EQ(device_->write(2, 0, 0, page(1), false), EIO) << "handles from before are fenced";
}

TEST_F(ControlTest, SavesTheLog) {
  EXPECT_EQ(write(0, 5), 0);
  const auto file = directory_ / "writes.log";
  EXPECT_EQ(answer("log save " + file.string()), "ok 1 entries");
  const Result<WriteLog> loaded = WriteLog::load(file);
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_TRUE(*loaded == device_->log());
}

TEST_F(ControlTest, RefusesWhatItDoesNotKnow) {
  std::filesystem::create_directories(directory_);
  std::ofstream(directory_ / "short.img") << "too short";
  const auto small = (directory_ / "short.img").string();
  const std::vector<std::pair<std::string, std::string>> refused = {
      {"", "'' is no command; allowed: cut, disarm, mark"},
      {"explode", "'explode' is no command"},
      {"cut", "allowed: cut now, cut at-request N, cut at-mark TEXT"},
      {"cut now please", "allowed: cut now"},
      {"cut at-request", "'' is no request number"},
      {"cut at-request 0", "'0' is no request number"},
      {"cut at-request -3", "'-3' is no request number"},
      {"cut at-mark", "allowed: cut now"},
      {"disarm it", "'it' is one word too many"},
      {"mark", "a mark without a text"},
      {"power-on maybe", "'power-on maybe' is not known"},
      {"power-on random", "allowed"},
      {"power-on random x", "x"},
      {"power-on plan relative.txt", "'relative.txt' is no absolute path"},
      {"power-on plan /absent/plan.txt", "/absent/plan.txt: cannot be read"},
      {"swap", "is no absolute path"},
      {"swap disk9 " + small, "there is no disk 'disk9'"},
      {"swap disk0 " + small, "short.img"},
      {"swap disk0 /absent/image", "/absent/image"},
      {"snapshot here", "'here' is no absolute path"},
      {"snapshot /proc/absent", "/proc/absent"},
      {"log", "allowed: log save FILE"},
      {"log load /tmp/x", "allowed: log save FILE"},
      {"log save /absent/x", "/absent/x"},
      {"reset now", "one word too many"},
      {"status \x01\xff", "one word too many"},
  };
  for (const auto& [line, reason] : refused) {
    EXPECT_THAT(answer(line), testing::AllOf(StartsWith("error "), HasSubstr(reason))) << line;
  }
}

TEST_F(ControlTest, KnowsWhenTheBeginningOfTheLogIsUnknown) {
  device_->power_on(device_->snapshot());  // by somebody else
  EXPECT_THAT(answer("power-on lost"), HasSubstr("not known; allowed: power-on"));
  EXPECT_THAT(answer("power-on"), StartsWith("ok"));
  EXPECT_THAT(answer("power-on lost"), StartsWith("ok"));
}

class SocketTest : public ControlTest {
 protected:
  void SetUp() override {
    ControlTest::SetUp();
    path_ = directory_ / "control";
    auto made = Server::create(*device_, path_);
    ASSERT_TRUE(made) << made.error().message;
    server_ = std::move(*made);
  }
  std::filesystem::path path_;
  std::unique_ptr<Server> server_;
};

TEST_F(SocketTest, AnswersAfterTheCommandTookEffect) {
  EXPECT_EQ(request(path_, "cut now").value(), "");
  EXPECT_TRUE(device_->is_cut());
  EXPECT_EQ(request(path_, "power-on").value(), "generation 2");
  const Result<std::string> bad = request(path_, "explode");
  ASSERT_FALSE(bad);
  EXPECT_THAT(bad.error().message, StartsWith("'explode' is no command"));
}

TEST_F(SocketTest, BelongsToItsOwnerAlone) {
  struct stat state {};
  ASSERT_EQ(stat(path_.c_str(), &state), 0);
  EXPECT_EQ(state.st_mode & 07777, 0600U);
}

TEST_F(SocketTest, AnswersLinesSentTogetherInOrder) {
  const Result<Descriptor> client = connect_to(path_);
  ASSERT_TRUE(client);
  const std::string text = "mark a\nexplode\nstatus\nst";
  ASSERT_EQ(send(client->number(), text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
  ASSERT_EQ(send(client->number(), "atus\n", 5, 0), 5);
  std::string answers;
  std::array<char, 512> part{};
  while (std::count(answers.begin(), answers.end(), '\n') < 4) {
    const ssize_t got = recv(client->number(), part.data(), part.size(), 0);
    ASSERT_GT(got, 0);
    answers.append(part.data(), static_cast<std::size_t>(got));
  }
  EXPECT_THAT(answers, StartsWith("ok\nerror 'explode'"));
  EXPECT_THAT(answers, HasSubstr("\nok on generation 1, log 1 entries"));
}

TEST_F(SocketTest, CutsOffWhoeverSendsALineWithoutEnd) {
  const Result<Descriptor> client = connect_to(path_);
  ASSERT_TRUE(client);
  const std::string garbage(1_MiB, '\xfe');
  (void)send(client->number(), garbage.data(), garbage.size(), MSG_NOSIGNAL);
  std::string answer;
  std::array<char, 512> part{};
  ssize_t got = 0;
  while ((got = recv(client->number(), part.data(), part.size(), 0)) > 0) {
    answer.append(part.data(), static_cast<std::size_t>(got));
  }
  EXPECT_THAT(answer, testing::AnyOf("", StartsWith("error a line of more than")));
  EXPECT_TRUE(request(path_, "status")) << "others are served";
}

TEST_F(SocketTest, ServesMany) {
  constexpr int clients = 8;
  constexpr int lines = 20;
  std::vector<std::thread> threads;
  for (int client = 0; client < clients; ++client) {
    threads.emplace_back([this] {
      for (int line = 0; line < lines; ++line) {
        EXPECT_TRUE(request(path_, "mark x"));
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(device_->log_size(), static_cast<std::uint32_t>(clients * lines));
}

TEST_F(SocketTest, TheSocketIsFreeAgainAfterItsServer) {
  const auto second = Server::create(*device_, path_);
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().message, HasSubstr("another powercut listens"));
  server_.reset();
  EXPECT_FALSE(std::filesystem::exists(path_));
  const Result<std::string> nobody = request(path_, "status");
  ASSERT_FALSE(nobody);
  EXPECT_THAT(nobody.error().message, HasSubstr("nobody answers on this socket"));
  {
    auto stale = listen_on(path_);
    ASSERT_TRUE(stale);
  }  // closed, but the file stays
  EXPECT_TRUE(std::filesystem::exists(path_));
  EXPECT_TRUE(Server::create(*device_, path_)) << "a dead server's file is replaced";
}

TEST_F(SocketTest, RefusesPathsThatCannotBe) {
  std::ofstream(directory_ / "file") << "precious";
  const auto file = Server::create(*device_, directory_ / "file");
  ASSERT_FALSE(file);
  EXPECT_THAT(file.error().message, HasSubstr("exists and is no socket"));
  const auto lengthy = Server::create(*device_, directory_ / std::string(200, 'x'));
  ASSERT_FALSE(lengthy);
  EXPECT_THAT(lengthy.error().message, HasSubstr("allowed: a path of 1 to 107 characters"));
}

TEST(LineTest, FileNamesBecomeAbsolute) {
  const std::string here = std::filesystem::current_path().string();
  EXPECT_EQ(line_of({"cut", "at-request", "3"}), "cut at-request 3");
  EXPECT_EQ(line_of({"mark", "put", "a"}), "mark put a");
  EXPECT_EQ(line_of({"snapshot", "out"}), "snapshot " + here + "/out");
  EXPECT_EQ(line_of({"swap", "disk0", "a.img"}), "swap disk0 " + here + "/a.img");
  EXPECT_EQ(line_of({"log", "save", "/a/b"}), "log save /a/b");
  EXPECT_EQ(line_of({"power-on", "plan", "p"}), "power-on plan " + here + "/p");
  EXPECT_EQ(line_of({"power-on", "random", "7"}), "power-on random 7");
}

TEST_F(ControlTest, ALogIsRecordedWithItsDisksAndExported) {
  ASSERT_EQ(write(0, 1), 0);
  answer("power-on");  // what is there now is the base
  ASSERT_EQ(write(4096, 2), 0);
  answer("mark here");
  const std::string directory = (directory_ / "recording").string();
  EXPECT_EQ(answer("log record " + directory), "ok 2 entries");
  const auto recording = load_recording(directory);
  ASSERT_TRUE(recording) << recording.error().message;
  EXPECT_TRUE(recording->log == device_->log());
  Bytes bytes = page(0);
  recording->base[0].read(0, bytes);
  EXPECT_EQ(bytes, page(1));
  const std::string file = (directory_ / "disk0.dm").string();
  EXPECT_EQ(answer("log export disk0 " + file), "ok 3 entries") << "and the mark of what is open";
  const auto exported = read_dm_log(file);
  ASSERT_TRUE(exported) << exported.error().message;
  EXPECT_EQ(exported->entries.at(0).text, "here");
  EXPECT_EQ(exported->entries.at(2).data, page(2));
  EXPECT_THAT(answer("log export floppy " + file), HasSubstr("there is no disk 'floppy'"));
  EXPECT_THAT(answer("log record here"), HasSubstr("no absolute path"));
  EXPECT_THAT(answer("log clown"), HasSubstr("allowed: log save FILE, log record DIR"));
}

TEST_F(ControlTest, ALogThatSpillsGivesTheSameCrashStates) {
  device_->keep_log_in_memory(1);
  for (std::uint64_t number = 0; number < 3000; ++number) {
    ASSERT_EQ(write(number % 16 * 4096, static_cast<std::uint8_t>(number)), 0);
  }
  EXPECT_GT(device_->log_arena().spilled_bytes, 6_MiB);
  EXPECT_LT(device_->log_arena().memory_bytes, 4_MiB);
  EXPECT_THAT(answer("status"), HasSubstr("of data in memory"));
  EXPECT_THAT(answer("power-on lost"), HasSubstr("volatile writes not whole"));
  EXPECT_EQ(at(0), 0) << "nothing of it was flushed";
}

}  // namespace
}  // namespace faultfs::control
