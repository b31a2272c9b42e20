// A store behind a socket behaves as the store itself; peers that vanish or talk nonsense harm
// nobody.

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <thread>

#include "engine/rock/rig_test.h"
#include "engine/service/client.h"
#include "engine/service/server.h"
#include "engine/service/tables.h"
#include "engine/service/wire.h"

namespace engine::service {
namespace {

using rock::body;

/// A server thread over one end of a socketpair; the other end is `socket`.
class ServiceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    rig_.start();
    std::array<int, 2> ends = {};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
    socket_ = ends[0];
    ServerOptions options;
    options.socket = ends[1];
    options.tick_milliseconds = 0;
    options.reopen = [this](std::uint64_t seed, std::uint32_t slot_bytes) -> Result<Store*> {
      rig_.store.reset();
      rig_.config.seed = seed;
      rig_.config.slot_bytes = slot_bytes;
      auto store = rock::make_store(rig_.device, rig_.config, false);
      if (!store) {
        return tl::unexpected(store.error());
      }
      rig_.store = std::move(*store);
      return rig_.store.get();
    };
    server_ = std::thread([this, options] { served_ = serve(*rig_.store, options); });
  }
  void TearDown() override {
    client_.reset();
    if (socket_ >= 0) {
      ::close(socket_);
    }
    server_.join();
    EXPECT_TRUE(served_);
  }
  RemoteStore& client() {
    if (!client_) {
      peer_ = socket_;
      client_ = connect_client(socket_);
      socket_ = -1;
    }
    return *client_;
  }

  rock::StoreRig rig_;
  int socket_ = -1;
  int peer_ = -1;  // the client's, once it has one
  std::unique_ptr<RemoteStore> client_;
  std::thread server_;
  Status served_;
};

TEST_F(ServiceTest, EveryVerbThroughTheSocket) {
  Store& store = client();
  const auto bytes = body(1, 5000);
  const auto upload = store.begin_put("k", "head", bytes.size());
  ASSERT_TRUE(upload);
  ASSERT_TRUE(store.append(*upload, std::span(bytes).first(3000)));
  ASSERT_TRUE(store.append(*upload, std::span(bytes).subspan(3000)));
  ASSERT_TRUE(store.commit(*upload));
  GetReply reply;
  ASSERT_TRUE(store.get("k", {}, reply));
  EXPECT_TRUE(reply.hit);
  EXPECT_EQ(reply.body, bytes);
  EXPECT_EQ(reply.header, "head");
  ASSERT_TRUE(store.get("k", {100, 50}, reply));
  EXPECT_EQ(reply.body_bytes, bytes.size());
  EXPECT_EQ(reply.body, rock::Bytes(bytes.begin() + 100, bytes.begin() + 150));
  EXPECT_TRUE(store.update_header("k", "new").value_or(false));
  EXPECT_TRUE(store.sync());
  EXPECT_FALSE(store.tick().value_or(true));
  EXPECT_TRUE(store.purge("k").value_or(false));
  EXPECT_FALSE(store.purge("k").value_or(true));
  ASSERT_TRUE(store.get("k", {}, reply));
  EXPECT_FALSE(reply.hit);
  const auto again = store.begin_put("again", "", 0);
  ASSERT_TRUE(again && store.commit(*again));
  EXPECT_TRUE(store.purge_all());
  ASSERT_TRUE(store.get("again", {}, reply));
  EXPECT_FALSE(reply.hit);
  const auto given_up = store.begin_put("u", "", 10);
  ASSERT_TRUE(given_up);
  EXPECT_TRUE(store.abort(*given_up));
  EXPECT_TRUE(store.close());
}

TEST_F(ServiceTest, SeveralGetsInOneMessageAreAnsweredInOrder) {
  std::vector<std::string> keys;
  for (std::uint32_t number = 0; number < 150; ++number) {  // more than are asked for at once
    keys.push_back(number % 3 == 0 ? "k" + std::to_string(number % 2) : "none");
  }
  ASSERT_TRUE(client().put("k0", "head", body(1, 3000)));
  ASSERT_TRUE(client().put("k1", "", body(2, 2000)));
  std::size_t taken = 0;
  client().get_each(keys, [&](const Status& status, GetReply& reply) {
    const std::string& key = keys[taken++];
    EXPECT_TRUE(status);
    EXPECT_EQ(reply.hit, key != "none");
    EXPECT_EQ(reply.header, key == "k0" ? "head" : "");
    EXPECT_EQ(reply.body.size(), key == "k0" ? 3000U : key == "k1" ? 2000U : 0U);
    return true;
  });
  EXPECT_EQ(taken, keys.size());
  taken = 0;
  client().get_each(keys, [&](const Status&, GetReply&) { return ++taken < 5; });
  EXPECT_EQ(taken, 5U);
  EXPECT_EQ(client().stats().counters["puts"], 2U) << "the next answer is the next question's";
}

TEST_F(ServiceTest, APutInOneMessageIsOneInThree) {
  ASSERT_TRUE(client().put("k", "head", body(1, 5000)));
  GetReply reply;
  ASSERT_TRUE(client().get("k", {}, reply));
  EXPECT_EQ(reply.body, body(1, 5000));
  const Status refused = client().put("", "head", body(1, 10));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().trouble, Trouble::invalid);
  EXPECT_TRUE(client().put("k", "other", {}));
  ASSERT_TRUE(client().get("k", {}, reply));
  EXPECT_EQ(reply.header, "other");
  EXPECT_EQ(reply.body_bytes, 0U);
}

TEST_F(ServiceTest, ReopeningDropsTheStoreAsAKillDoes) {
  const auto bytes = body(1, 500);
  const auto whole = client().begin_put("whole", "", bytes.size());
  ASSERT_TRUE(whole && client().append(*whole, bytes) && client().commit(*whole));
  const auto open = client().begin_put("open", "", bytes.size());
  ASSERT_TRUE(open && client().append(*open, bytes));
  const int other_life = ::fcntl(peer_, F_DUPFD_CLOEXEC, 0);
  ASSERT_TRUE(reopen_served(other_life, 77, 1024));
  EXPECT_FALSE(client().commit(*open)) << "its upload is gone";
  EXPECT_FALSE(client().stats().recovery.finished) << "it begins again";
  EXPECT_FALSE(client().ticks(1000).value_or(true));
  GetReply reply;
  ASSERT_TRUE(client().get("whole", {}, reply));
  EXPECT_EQ(reply.body, bytes);
  const auto refused = reopen_served(other_life, 78, 1000);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().trouble, Trouble::invalid);
  EXPECT_FALSE(client().sync()) << "no store is open";
  EXPECT_TRUE(reopen_served(other_life, 79, 1024));
  ::close(other_life);
  EXPECT_TRUE(client().close());
}

TEST_F(ServiceTest, TablesAreTheStoresOwn) {
  ASSERT_TRUE(rig_.put("a", body(1, 3000)));
  const Inspection own = rig_.store->inspect();
  const Inspection told = client().inspect();
  ASSERT_EQ(told.units.size(), own.units.size());
  for (std::size_t unit = 0; unit < own.units.size(); ++unit) {
    EXPECT_EQ(told.units[unit].kind, own.units[unit].kind);
    EXPECT_EQ(told.units[unit].entry, own.units[unit].entry);
  }
  ASSERT_EQ(told.entries.size(), 1U);
  EXPECT_EQ(told.entries[0].key, "a");
  EXPECT_EQ(told.entries[0].units, own.entries[0].units);
  EXPECT_EQ(told.entries[0].write_id, own.entries[0].write_id);
  const Stats stats = client().stats();
  EXPECT_EQ(stats.counters, rig_.store->stats().counters);
  EXPECT_EQ(stats.refusals, rig_.store->stats().refusals);
  EXPECT_EQ(stats.recovery.units_total, 16U);
  EXPECT_TRUE(stats.recovery.finished);
}

TEST_F(ServiceTest, TroubleKeepsItsKindAndSentence) {
  const auto refused = client().begin_put("", "", 1);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().trouble, Trouble::invalid);
  EXPECT_EQ(refused.error().message, "a key of 0 bytes; allowed: 1 to 256");
  const Status gone = client().commit(77);
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().trouble, Trouble::gone);
}

TEST_F(ServiceTest, NonsenseIsRefusedAndTheNextRequestServed) {
  for (const int verb : {0, 1, 2, 5, 6, 7, 200}) {
    Bytes frame;
    FrameWriter writer(frame);
    writer.u8(static_cast<std::uint8_t>(verb));
    writer.u8(9);  // and nothing of what the verb needs
    writer.finish();
    ASSERT_TRUE(send_all(socket_, frame));
    std::uint32_t length = 0;
    ASSERT_TRUE(receive_all(socket_, std::as_writable_bytes(std::span(&length, 1))));
    Bytes answer(length);
    ASSERT_TRUE(receive_all(socket_, answer));
    FrameReader reader(answer);
    EXPECT_EQ(reader.u8(), 1 + static_cast<int>(Trouble::invalid)) << verb;
  }
  EXPECT_EQ(client().inspect().units.size(), 16U);
}

TEST_F(ServiceTest, OverlongFrameEndsTheConnection) {
  const std::uint32_t length = frame_bytes_max + 1;
  ASSERT_TRUE(send_all(socket_, std::as_bytes(std::span(&length, 1))));
  std::byte one{};
  EXPECT_FALSE(receive_all(socket_, std::span(&one, 1)));
}

TEST_F(ServiceTest, VanishedClientLeavesTheDiskAsItWas) {
  const auto upload = client().begin_put("k", "", 5000);
  ASSERT_TRUE(upload);
  ASSERT_TRUE(client().append(*upload, body(1, 4000)));
  const std::uint64_t writes = rig_.device.writes;
  client_.reset();
  server_.join();
  EXPECT_EQ(rig_.device.writes, writes);
  server_ = std::thread([] {});
}

TEST(Client, DeadPeerIsLostForGood) {
  std::array<int, 2> ends = {};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
  ::close(ends[1]);
  const auto client = connect_client(ends[0]);
  const Status synced = client->sync();
  ASSERT_FALSE(synced);
  EXPECT_EQ(synced.error().trouble, Trouble::lost);
  EXPECT_TRUE(client->inspect().units.empty());
  EXPECT_TRUE(client->stats().counters.empty());
}

TEST(Server, ListensForManyAndTicksByTheClock) {
  rock::StoreRig rig;
  rig.config.rebuild_slice_slots = 1;
  rig.start(false);
  const std::string path = fmt::format("{}engine-{}.sock", ::testing::TempDir(), ::getpid());
  ServerOptions options;
  options.socket_file = path;
  options.tick_milliseconds = 1;
  Status served;
  std::thread server([&] { served = serve(*rig.store, options); });
  const auto connect = [&path] {
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    path.copy(static_cast<char*>(address.sun_path), path.size());
    const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    while (::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
      std::this_thread::yield();
    }
    return connect_client(socket);
  };
  {
    const auto first = connect();
    auto second = connect();
    ASSERT_TRUE(second->begin_put("left", "", 100));
    EXPECT_EQ(first->begin_put("left", "", 100).error().trouble, Trouble::busy);
    second.reset();  // its upload is aborted
    while (!first->begin_put("left", "", 100)) {
      std::this_thread::yield();
    }
    while (!first->stats().recovery.finished) {
      std::this_thread::yield();
    }
    EXPECT_TRUE(first->close());
  }
  server.join();
  EXPECT_TRUE(served);
  EXPECT_NE(::access(path.c_str(), F_OK), 0);
}

TEST(Wire, FieldsThatAreNotThereAreEmptyAndSaidSo) {
  Bytes frame;
  FrameWriter writer(frame);
  writer.u32(5);
  writer.raw(std::as_bytes(std::span("abc", 3)));
  writer.finish();
  FrameReader reader{std::span<const std::byte>(frame).subspan(frame_head_bytes)};
  EXPECT_EQ(reader.text(), "");
  EXPECT_FALSE(reader.whole());
  EXPECT_EQ(reader.u64(), 0U);
}

}  // namespace
}  // namespace engine::service
