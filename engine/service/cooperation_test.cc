// Two engines on one disk as their users meet them: real processes, real clients, real kills. The
// scenarios H01 to H24 of the handoff between two processes, by number where one is meant.

#include "engine/service/cooperation_rig_test.h"

namespace engine::service {
namespace {

TEST_F(CooperationTest, TheFirstWritesTheSecondReads) {
  const Engine& first = start();
  const Engine& second = start();
  const auto writer = client(first), reader = client(second);
  ASSERT_TRUE(writer->put("k", "h", body(1, 3000)));
  EXPECT_TRUE(get(*reader, "k").body == body(1, 3000));
  const Status refused = reader->put("k", "h", body(2, 10));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().trouble, Trouble::busy);
  const auto instances = board().at("instances");
  ASSERT_EQ(instances.size(), 2U);
  EXPECT_EQ(instances[0].at("process"), first.process);
  EXPECT_EQ(instances[0].at("socket"), first.socket.string());
  EXPECT_TRUE(instances[0].at("writes"));
  EXPECT_FALSE(instances[1].at("writes"));
}

TEST_F(CooperationTest, AReaderKnowsWhatIsBeingPut) {
  const auto writer = client(start());
  const Engine& second = start();
  const auto upload = writer->begin_put("k", "h", 100);
  ASSERT_TRUE(upload);
  EXPECT_EQ(run({"lookup", "--socket", second.socket.string(), "k"}).out, "k: miss, being put\n");
  ASSERT_TRUE(writer->abort(*upload));
  EXPECT_EQ(run({"lookup", "--socket", second.socket.string(), "k"}).out, "k: miss\n");
}

// H01, H14, H22: fifty, one after another, there and back, under load.
TEST_F(CooperationTest, FiftyHandoffsUnderLoadLoseNothing) {
  const std::array<const Engine*, 2> engines = {&start(), &start()};
  std::vector<std::unique_ptr<RemoteStore>> clients;
  for (int n = 0; n < 3; ++n) {
    clients.push_back(client(*engines[0]));
  }
  Loads loads(std::move(clients));
  for (std::size_t n = 0; n < 50; ++n) {
    for (const auto& load : loads.each()) {
      const std::uint64_t before = load->steps();
      EXPECT_TRUE(soon([&] { return load->steps() > before + 3; })) << n;
    }
    const Outcome done = hand_over(*engines.at(n % 2));
    ASSERT_EQ(done.code, 0) << done.err;
  }
  loads.stop();
  ASSERT_FALSE(HasFatalFailure());
  for (const auto& load : loads.each()) {
    ASSERT_NO_FATAL_FAILURE(load->check_all());
    EXPECT_GT(load->steps(), 150U);
    EXPECT_GT(load->hits(), 10U);
  }
  EXPECT_EQ(board().at("handoffs"), 50);
  EXPECT_EQ(board().at("takeovers"), 0);
}

TEST_F(CooperationTest, AnUploadGoesOnElsewhere) {
  const Engine& first = start();
  const Engine& second = start();
  const auto store = client(first);
  const auto bytes = body(1, 60000);
  const auto upload = store->begin_put("k", "h", bytes.size());
  ASSERT_TRUE(upload && store->append(*upload, std::span(bytes).first(41000)));
  ASSERT_EQ(hand_over(first).code, 0);
  ASSERT_TRUE(store->append(*upload, std::span(bytes).subspan(41000)));
  ASSERT_TRUE(store->commit(*upload));
  EXPECT_TRUE(get(*client(first), "k").body == bytes) << "it reads now";
  EXPECT_TRUE(get(*client(second), "k").body == bytes);
  EXPECT_FALSE(writes(first));
  EXPECT_TRUE(writes(second));
}

TEST_F(CooperationTest, WhoRetiresLeavesItsClientsAndItsSocket) {
  Engine& first = start();
  const Engine& second = start();
  const auto store = client(first);
  ASSERT_TRUE(store->put("k", "h", body(1, 3000)));
  ASSERT_EQ(hand_over(first, {"--retire"}).code, 0);
  EXPECT_EQ(end_of(first), 0);
  EXPECT_TRUE(get(*store, "k").body == body(1, 3000));
  EXPECT_TRUE(writes(first)) << "its socket is served by the other one";
  EXPECT_TRUE(writes(second));
  Engine& third = start();  // the place is free again
  EXPECT_TRUE(get(*client(third), "k").hit);
  EXPECT_EQ(hand_over(second).code, 0);
  EXPECT_TRUE(writes(third));
}

TEST_F(CooperationTest, AKilledWriterIsReplaced) {
  Engine& first = start();
  const Engine& second = start();
  ASSERT_TRUE(client(first)->put("k", "h", body(1, 3000)));
  const auto reader = client(second);
  EXPECT_TRUE(get(*reader, "k").hit);
  ::kill(first.process, SIGKILL);
  EXPECT_EQ(end_of(first), -SIGKILL);
  EXPECT_TRUE(soon([&] { return writes(second); }));
  EXPECT_TRUE(soon([&] { return get(*reader, "k").hit; })) << "it was recovered";
  EXPECT_EQ(board().at("takeovers"), 1);
}

TEST_F(CooperationTest, AWriterThatStopsInOrderIsReplacedByAttaching) {
  Engine& first = start();
  const Engine& second = start();
  ASSERT_TRUE(client(first)->put("k", "h", body(1, 3000)));
  ASSERT_TRUE(client(first)->close());
  EXPECT_EQ(end_of(first), 0);
  EXPECT_TRUE(soon([&] { return writes(second); }));
  EXPECT_TRUE(get(*client(second), "k").body == body(1, 3000));
  EXPECT_EQ(client(second)->stats().counters.at("attached"), 1U);
}

/// One of the two ends or is stopped at one step.
struct Accident {
  const char* option;  ///< --end-at, --stop-at
  const char* step;
  bool of_writer;
  const char* says;  ///< in what the operator is told; empty: nobody is there to tell
  bool first_writes;
  friend void PrintTo(const Accident& accident, std::ostream* out) {
    *out << (accident.of_writer ? "writer " : "reader ") << accident.option << " " << accident.step;
  }
};

class HandoffAccidents : public CooperationTest, public ::testing::WithParamInterface<Accident> {};

// H02 to H07, H11: whoever it is and wherever, exactly one writes afterwards, no client is told
// anything wrong, and an upload in progress is finished by whoever has it then.
TEST_P(HandoffAccidents, LeaveOneThatWritesAndLoseNothing) {
  const Accident& accident = GetParam();
  const std::vector<std::string> words = {accident.option, accident.step};
  Engine& first = start(accident.of_writer ? words : std::vector<std::string>{});
  Engine& second = start(accident.of_writer ? std::vector<std::string>{} : words);
  const auto store = client(first);
  for (std::uint64_t n = 0; n < 20; ++n) {
    ASSERT_TRUE(store->put(fmt::format("k{}", n), "h", body(n, 500 + n * 300)));
  }
  ASSERT_TRUE(store->purge("k3"));
  const auto bytes = body(99, 30000);
  const auto upload = store->begin_put("u", "h", bytes.size());
  ASSERT_TRUE(upload && store->append(*upload, std::span(bytes).first(20000)));

  // Only who is stopped has to be waited for.
  const bool stops = std::string_view(accident.option) == "--stop-at";
  const Outcome told = hand_over(first, {"--timeout", stops ? "2" : "60"});
  EXPECT_NE(told.code, 0);
  EXPECT_NE(told.err.find(accident.says), std::string::npos) << told.err;

  const bool uploads_live = store->append(*upload, std::span(bytes).subspan(20000)).has_value();
  EXPECT_EQ(uploads_live && store->commit(*upload).has_value(), uploads_live);
  EXPECT_EQ(uploads_live, accident.first_writes || std::string_view(accident.step) == "release")
      << "a client goes on, unless the process that has it died";
  const Engine& left = accident.first_writes ? first : second;
  EXPECT_TRUE(soon([&] { return writes(left); })) << told.err;
  const auto after = client(left);
  for (std::uint64_t n = 0; n < 20; ++n) {
    const GetReply reply = get(*after, fmt::format("k{}", n));
    EXPECT_TRUE(n == 3 ? !reply.hit : reply.body == body(n, 500 + n * 300)) << n;
  }
  const GetReply reply = get(*after, "u");
  EXPECT_EQ(reply.hit, uploads_live);
  EXPECT_TRUE(!reply.hit || reply.body == bytes);
  std::size_t writers = 0;
  const auto instances = board().at("instances");
  for (const auto& instance : instances) {
    writers += instance.at("writes").get<bool>() ? 1U : 0U;
  }
  EXPECT_EQ(writers, 1U);
}

INSTANTIATE_TEST_SUITE_P(
    At,
    HandoffAccidents,
    ::testing::Values(Accident{"--end-at", "ready", false, "aborted: ", true},
                      Accident{"--end-at", "open", false, "revived: ", true},
                      Accident{"--end-at", "alive", false, "revived: ", true},
                      Accident{"--stop-at", "ready", false, "aborted: ", true},
                      Accident{"--stop-at", "open", false, "revived: ", true},
                      Accident{"--stop-at", "alive", false, "revived: ", true},
                      Accident{"--end-at", "hello", true, "does not answer", false},
                      Accident{"--end-at", "freeze", true, "does not answer", false},
                      Accident{"--end-at", "cutover", true, "does not answer", false},
                      Accident{"--end-at", "release", true, "does not answer", false}),
    [](const auto& each) {
      std::string name = fmt::format("{}{}{}",
                                     each.param.of_writer ? "Writer" : "Reader",
                                     each.param.option[2] == 'e' ? "EndsAt" : "StopsAt",
                                     each.param.step);
      return name;
    });

/// A process that was stopped by a signal.
bool is_stopped(pid_t process) {
  return read_file(fmt::format("/proc/{}/stat", process)).find(") T ") != std::string::npos;
}

// H08
TEST_F(CooperationTest, BothMayDieAndAColdStartRecovers) {
  for (const char* step : {"ready", "open", "alive", "serve"}) {
    Engine& first = start();
    Engine& second = start({"--stop-at", step});
    const auto store = client(first);
    ASSERT_TRUE(store->put("k", "h", body(1, 3000)));
    const pid_t operates = spawn({"handoff", "--socket", first.socket.string(), "--timeout", "30"});
    EXPECT_TRUE(soon([&] { return is_stopped(second.process); })) << step;
    for (Engine* each : {&first, &second}) {
      ::kill(each->process, SIGKILL);
      EXPECT_EQ(end_of(*each), -SIGKILL);
    }
    EXPECT_EQ(exit_code(operates), std::string_view(step) == "serve" ? 0 : 3) << step;
    Engine& third = start();
    EXPECT_TRUE(soon([&] { return get(*client(third), "k").hit; })) << step;
    EXPECT_TRUE(get(*client(third), "k").body == body(1, 3000)) << step;
    ASSERT_TRUE(client(third)->close());
    EXPECT_EQ(end_of(third), 0);
  }
}

// The reader serves nobody before the writer has let go, however long that takes.
TEST_F(CooperationTest, AWriterThatSleepsGoesOnWhenItWakesUp) {
  for (const char* step : {"hello", "freeze", "cutover", "release"}) {
    Engine& first = start({"--stop-at", step});
    Engine& second = start();
    const auto store = client(first);
    ASSERT_TRUE(store->put("k", "h", body(1, 3000)));
    const pid_t operates = spawn({"handoff", "--socket", first.socket.string()});
    ASSERT_TRUE(soon([&] { return is_stopped(first.process); })) << step;
    std::atomic<bool> answered = false;
    std::thread asks([&] {
      EXPECT_TRUE(get(*store, "k").body == body(1, 3000)) << step;
      answered = true;
    });
    // pause: what must not happen has this time to happen
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    EXPECT_FALSE(answered) << "one that sleeps serves nobody, and the other one does not yet";
    ::kill(first.process, SIGCONT);
    asks.join();
    EXPECT_EQ(exit_code(operates), 0) << step;
    EXPECT_TRUE(writes(second) && !writes(first)) << step;
    for (Engine* each : {&first, &second}) {
      ::kill(each->process, SIGKILL);
      EXPECT_EQ(end_of(*each), -SIGKILL);
    }
  }
}

// H06: it wakes up when the other one has gone back.
TEST_F(CooperationTest, WhoHangsIsKilledBeforeTheOtherGoesBack) {
  const Engine& first = start();
  Engine& second = start({"--stop-at", "alive"});
  const Outcome told = hand_over(first, {"--timeout", "2"});
  EXPECT_EQ(told.code, 3);
  EXPECT_NE(told.err.find("revived: "), std::string::npos) << told.err;
  ::kill(second.process, SIGCONT);  // too late
  EXPECT_EQ(end_of(second), -SIGKILL);
  EXPECT_TRUE(writes(first));
}

// H18, H19, H23 and what else a start or a handoff refuses.
TEST_F(CooperationTest, WhatDoesNotFitIsRefusedWithAReason) {
  const Engine& first = start();
  EXPECT_NE(hand_over(first).err.find("there is no second instance"), std::string::npos);
  const Engine& second = start();
  EXPECT_NE(hand_over(second).err.find("this instance reads"), std::string::npos);
  const auto words = [&](const std::string& name) { return words_of(directory_ / name); };
  Outcome third = run(words("3"));
  EXPECT_EQ(third.code, 3);
  EXPECT_NE(third.err.find("allowed: two instances"), std::string::npos) << third.err;
  auto alone = words("4");
  std::erase(alone, "--cooperate");
  Outcome other = run(alone);
  EXPECT_EQ(other.code, 3);
  EXPECT_NE(other.err.find("one writer at a time"), std::string::npos) << other.err;
  EXPECT_NE(run({"shm", "clear", "--prefix", prefix_}).err.find("lives on"), std::string::npos);
  for (const std::vector<std::string>& more : {std::vector<std::string>{"--ram-cache", "1M"},
                                               {"--store", "rock"},
                                               {"--shm", "enabled=0"}}) {
    auto wrong = words("5");
    wrong.insert(wrong.end(), more.begin(), more.end());
    const Outcome outcome = run(wrong);
    EXPECT_EQ(outcome.code, 2) << outcome.err;
  }
  EXPECT_NE(run({"handoff", "--socket", "/nowhere"}).err.find("no engine answers"),
            std::string::npos);
  EXPECT_NE(run({"handoff"}).code, 0);
}

TEST_F(CooperationTest, AnotherDiskNeedsAnotherPrefix) {
  const Engine& first = start();
  const fs::path other = directory_ / "other";
  fs::copy_file(disk_, other);
  auto words = words_of(directory_ / "2.sock");
  std::replace(words.begin(), words.end(), disk_.string(), other.string());
  const Outcome outcome = run(words);
  EXPECT_EQ(outcome.code, 3);
  EXPECT_NE(outcome.err.find("has another disk"), std::string::npos) << outcome.err;
  EXPECT_TRUE(writes(first));
}

TEST_F(CooperationTest, AnEngineAloneHasNobodyToHandOverTo) {
  std::array<int, 2> ends = {};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
  const pid_t child = spawn({"serve", "--disk", disk_.string(), "--socket-fd", "3"}, ends[1]);
  ::close(ends[1]);
  const auto refused = ask_to_hand_over(ends[0], false, std::chrono::seconds(1));
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("no second instance"), std::string::npos);
  ASSERT_TRUE(connect_client(ends[0])->close());
  EXPECT_EQ(exit_code(child), 0);
}

}  // namespace
}  // namespace engine::service
