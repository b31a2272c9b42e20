// What two instances know of each other, and how one speaks to the other.

#include <sys/socket.h>
#include <sys/wait.h>

#include <cstring>
#include <thread>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "engine/base/frame.h"
#include "engine/handoff/transfer.h"

namespace engine::handoff {
namespace {

restart::SharedMemory& memory() {
  return restart::posix_shared_memory();
}

class BoardTest : public ::testing::Test {
 protected:
  ~BoardTest() override { static_cast<void>(memory().unlink("/" + prefix_ + "-board")); }

  [[nodiscard]] Result<std::unique_ptr<Board>> join(std::string_view socket = "s",
                                                    DiskIdentity disk = {1, 2}) const {
    return Board::join(memory(), prefix_, disk, socket);
  }
  [[nodiscard]] BoardStatus status() const { return read_board(memory(), prefix_).value(); }
  /// A process that joins, does `act`, and is killed.
  template <typename Act>
  void let_die(const Act& act) const {
    const pid_t child = ::fork();
    if (child == 0) {
      const auto board = join("dead");
      act(**board);
      ::raise(SIGKILL);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status));
  }

  std::string prefix_ = fmt::format("pch{}", ::getpid());
};

TEST_F(BoardTest, IsThereAsLongAsSomebodyIs) {
  EXPECT_FALSE(status().exists);
  {
    const auto own = join("a.sock");
    ASSERT_TRUE(own);
    EXPECT_FALSE((*own)->other());
    (*own)->set_writes(true);
    const auto seen = status().instances[0];
    ASSERT_TRUE(seen);
    EXPECT_EQ(seen->process, static_cast<std::uint32_t>(::getpid()));
    EXPECT_EQ(seen->socket, "a.sock");
    EXPECT_TRUE(seen->writes);
  }
  EXPECT_FALSE(status().exists);
}

TEST_F(BoardTest, TwoAreTogetherAndAThirdIsRefused) {
  auto first = join("a"), second = join("b");
  ASSERT_TRUE(first && second);
  (*second)->set_writes(true);
  EXPECT_EQ((*first)->other()->socket, "b");
  EXPECT_TRUE((*first)->other()->writes);
  EXPECT_FALSE((*second)->other()->writes);
  const auto third = join("c");
  ASSERT_FALSE(third);
  EXPECT_EQ(third.error().trouble, Trouble::busy);
  first->reset();
  EXPECT_FALSE((*second)->other());
  EXPECT_TRUE(join("c"));
  EXPECT_TRUE(status().exists);
}

TEST_F(BoardTest, ThePlaceOfTheDeadIsFree) {
  const auto own = join("a");
  let_die([](Board& board) { board.set_writes(true); });
  EXPECT_FALSE((*own)->other());
  EXPECT_FALSE(status().instances[1]);
  const auto next = join("b");
  ASSERT_TRUE(next);
  EXPECT_FALSE((*own)->other()->writes) << "the dead one's right is not inherited";
}

TEST_F(BoardTest, OneThatOnlyTheDeadLeftIsRemovedByTheNext) {
  let_die([](Board&) {});
  EXPECT_TRUE(status().exists);
  EXPECT_EQ(remove_board(memory(), prefix_).value(), "/" + prefix_ + "-board");
  EXPECT_EQ(remove_board(memory(), prefix_).value(), "");
  let_die([](Board&) {});
  {
    const auto own = join();
    ASSERT_TRUE(own);
    EXPECT_EQ(remove_board(memory(), prefix_).error().trouble, Trouble::busy);
  }
  EXPECT_FALSE(status().exists);
}

TEST_F(BoardTest, OfAnotherBuildIsReplacedUnlessSomebodyLivesThere) {
  const std::string name = "/" + prefix_ + "-board";
  const auto damage = [&](std::size_t at) {
    const auto object = memory().open(name, restart::Access::read_write);
    const auto mapping = (*object)->map(4096, restart::Access::read_write);
    (*mapping)->bytes()[at] ^= std::byte{1};
  };
  constexpr std::size_t schema_at = 8, abi_at = 16;
  for (const std::size_t at : {schema_at, abi_at}) {
    {
      const auto own = join();
      ASSERT_TRUE(own);
      damage(at);
      EXPECT_NE(status().wrong, "");
      const auto refused = join();
      ASSERT_FALSE(refused);
      EXPECT_NE(refused.error().message.find("another build's"), std::string::npos);
      damage(at);
    }
    let_die([](Board&) {});
    damage(at);
    EXPECT_TRUE(join());
  }
  let_die([](Board&) {});
  ASSERT_TRUE((*memory().open(name, restart::Access::read_write))->resize(4096, false));
  EXPECT_NE(status().wrong, "");
  EXPECT_TRUE(join());
}

TEST_F(BoardTest, AnotherDiskAndAWrongPrefixAreRefused) {
  const auto own = join();
  const auto other = join("b", {1, 3});
  ASSERT_FALSE(other);
  EXPECT_NE(other.error().message.find("another disk"), std::string::npos);
  EXPECT_FALSE(Board::join(memory(), "", {}, "s"));
  EXPECT_FALSE(read_board(memory(), ""));
}

/// The two ends of a connection; the other one belongs to this process, too.
std::pair<Link, Link> connected() {
  std::array<int, 2> ends = {};
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
  return {Link(Descriptor(ends[0])), Link(Descriptor(ends[1]))};
}

std::vector<std::byte> frame_of(std::string_view text) {
  std::vector<std::byte> frame;
  FrameWriter writer(frame);
  writer.text(text);
  writer.finish();
  return frame;
}

TEST(LinkTest, CarriesDescriptorsWithTheirFrames) {
  const auto [here, there] = connected();
  std::array<int, 2> pipe = {};
  ASSERT_EQ(::pipe(pipe.data()), 0);
  const Descriptor read(pipe[0]), write(pipe[1]);
  ASSERT_TRUE(here.send(frame_of("plain")));
  ASSERT_TRUE(here.send(frame_of("with"), write.get()));
  ASSERT_TRUE(here.send(frame_of("plain again")));
  for (const char* text : {"plain", "with", "plain again"}) {
    auto message = there.receive();
    ASSERT_TRUE(message && *message);
    EXPECT_EQ(FrameReader((*message)->frame).text(), text);
    EXPECT_EQ(static_cast<bool>((*message)->descriptor), std::string_view(text) == "with");
    if ((*message)->descriptor) {
      EXPECT_EQ(::write((*message)->descriptor.get(), "x", 1), 1);
    }
  }
  char byte = 0;
  EXPECT_EQ(::read(read.get(), &byte, 1), 1);
}

TEST(LinkTest, TellsTheEndFromSilence) {
  auto [here, there] = connected();
  there.set_patience(std::chrono::milliseconds(20));
  const auto silent = there.receive();
  ASSERT_FALSE(silent);
  EXPECT_NE(silent.error().message.find("in time"), std::string::npos);
  here = Link(Descriptor());
  const auto ended = there.receive();
  ASSERT_TRUE(ended);
  EXPECT_FALSE(*ended);
  EXPECT_FALSE(there.send(frame_of("nobody")));
}

TEST(LinkTest, FindsTheProcessThatListens) {
  const auto listener = Listener::open();
  ASSERT_TRUE(listener);
  EXPECT_FALSE(listener->accept());
  const auto link = Link::connect(::getpid());
  ASSERT_TRUE(link) << link.error().message;
  EXPECT_EQ(link->process(), ::getpid());
  EXPECT_TRUE(listener->accept());
  EXPECT_FALSE(Link::connect(1)) << "nobody listens there";
}

/// The protocol between two threads of one process. (Between processes, with kills:
/// service/cooperation_test.cc.)
class TransferTest : public ::testing::Test {
 protected:
  TransferTest() : links_(connected()) {}
  [[nodiscard]] Giver giver() {
    return {std::move(links_.first), std::chrono::seconds(20), note(given_)};
  }
  [[nodiscard]] Taker taker() { return {std::move(links_.second), note(taken_)}; }
  static Watch note(std::vector<Step>& steps) {
    return [&steps](Step step) { steps.push_back(step); };
  }
  static Freight some_freight() {
    Freight freight;
    freight.disk = Descriptor(::dup(0));
    freight.uploads = std::vector<std::byte>(300000, std::byte{7});
    freight.listeners.push_back({Descriptor(::dup(0)), "/run/x"});
    for (const UploadId upload : {5U, 6U}) {
      freight.clients.push_back({Descriptor(::dup(0)), {std::byte{1}, std::byte{2}}, {upload}});
    }
    return freight;
  }

  std::pair<Link, Link> links_;
  std::vector<Step> given_, taken_;
};

TEST_F(TransferTest, EverythingArrivesInOrder) {
  const Terms terms{1, {2, 3}, 4};
  std::thread other([&] {
    Taker s = taker();
    ASSERT_TRUE(s.agree(terms));
    const auto freight = s.receive();
    ASSERT_TRUE(freight);
    EXPECT_TRUE(freight->disk);
    EXPECT_EQ(freight->uploads, std::vector<std::byte>(300000, std::byte{7}));
    ASSERT_EQ(freight->listeners.size(), 1U);
    EXPECT_EQ(freight->listeners[0].file, "/run/x");
    ASSERT_EQ(freight->clients.size(), 2U);
    EXPECT_TRUE(freight->clients[1].socket);
    EXPECT_EQ(freight->clients[1].uploads, std::set<UploadId>{6});
    EXPECT_EQ(freight->clients[1].unread.size(), 2U);
    s.serve();
  });
  Giver p = giver();
  EXPECT_TRUE(p.agree(terms));
  p.freeze();
  EXPECT_TRUE(p.cut_over(some_freight()));
  EXPECT_TRUE(p.release());
  other.join();
  EXPECT_EQ(given_, (std::vector{Step::hello, Step::freeze, Step::cutover, Step::release}));
  EXPECT_EQ(taken_, (std::vector{Step::ready, Step::open, Step::alive, Step::serve}));
}

TEST_F(TransferTest, OtherTermsAreRefusedWithTheReason) {
  std::thread other([&] {
    Taker s = taker();
    EXPECT_FALSE(s.agree({9, {2, 3}, 4}));
  });
  Giver p = giver();
  const Status agreed = p.agree({1, {2, 3}, 4});
  other.join();
  ASSERT_FALSE(agreed);
  EXPECT_NE(agreed.error().message.find("another build"), std::string::npos);
}

TEST_F(TransferTest, AStoreThatDoesNotOpenIsRefusedAndNobodyIsKilled) {
  const Terms terms{1, {2, 3}, 4};
  std::thread other([&] {
    Taker s = taker();
    ASSERT_TRUE(s.agree(terms));
    ASSERT_TRUE(s.receive());
    s.refuse({Trouble::device, "it does not open"});
  });
  Giver p = giver();
  EXPECT_TRUE(p.agree(terms));
  const Status given = p.cut_over(some_freight());
  other.join();  // it would be this process that is killed
  ASSERT_FALSE(given);
  EXPECT_NE(given.error().message.find("it does not open"), std::string::npos);
  EXPECT_TRUE(p.fenced());
}

TEST_F(TransferTest, NothingIsTakenWhereTheGiverEnds) {
  const Terms terms{1, {2, 3}, 4};
  std::thread other([&] {
    Giver p = giver();
    EXPECT_TRUE(p.agree(terms));
  });
  Taker s = taker();
  EXPECT_TRUE(s.agree(terms));
  EXPECT_FALSE(s.receive());
  other.join();
}

TEST(Steps, HaveNames) {
  EXPECT_EQ(find_step("cutover").value(), Step::cutover);
  EXPECT_EQ(step_name(Step::alive), "alive");
  const auto unknown = find_step("later");
  ASSERT_FALSE(unknown);
  EXPECT_NE(unknown.error().message.find("hello, ready, freeze"), std::string::npos);
}

}  // namespace
}  // namespace engine::handoff
