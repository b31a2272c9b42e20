#include "scenarios/targets/origin.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "scenarios/body.h"
#include "scenarios/targets/http.h"

namespace scenarios {
namespace {

using faultfs::Bytes;
using faultfs::ByteView;
using testing::HasSubstr;

/// A client that asks the origin directly, with no cache between them.
class OriginTest : public testing::Test {
 protected:
  void SetUp() override {
    auto origin = Origin::listen(loop_);
    ASSERT_TRUE(origin.has_value()) << origin.error().message;
    origin_ = std::move(*origin);
  }

  std::unique_ptr<HttpCall> call(const std::string& path, const std::string& condition = "") {
    HttpQuestion question;
    question.port = origin_->port();
    question.path = path;
    if (!condition.empty()) {
      question.fields = {{"If-None-Match", condition}};
    }
    return HttpCall::begin(loop_, question);
  }
  bool ends(const HttpCall& call) {
    return loop_.run_until([&] { return call.ended(); }, 5);
  }

  HttpLoop loop_;
  std::unique_ptr<Origin> origin_;
  const Bytes body_ = make_body(1, 1, 1000);
};

TEST_F(OriginTest, SendsWhatItIsFedAsItIsFed) {
  origin_->offer("/k1", "which put", 1000);
  const auto client = call("/k1");
  EXPECT_TRUE(loop_.run_until([&] { return client->header_arrived(); }, 5));
  EXPECT_EQ(client->body_bytes(), 0U);
  origin_->feed("/k1", ByteView(body_).first(300));
  EXPECT_TRUE(loop_.run_until([&] { return client->body_bytes() == 300; }, 5));
  EXPECT_FALSE(client->ended());
  origin_->feed("/k1", ByteView(body_).subspan(300));
  EXPECT_TRUE(ends(*client));
  const HttpAnswer answer = client->answer();
  EXPECT_TRUE(answer.complete);
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.field("x-powercut"), "which put");
  EXPECT_EQ(answer.content_length, 1000U);
  EXPECT_EQ(answer.body, body_);
  EXPECT_THAT(answer.field("Date"), HasSubstr(" GMT"));
}

TEST_F(OriginTest, OneLengthOfFourComesInChunks) {
  const Bytes body = make_body(1, 1, 1003);
  for (const bool whole : {true, false}) {
    origin_->offer("/k1", "which put", body.size());
    const auto client = call("/k1");
    origin_->feed("/k1", ByteView(body).first(300));
    EXPECT_TRUE(loop_.run_until([&] { return client->body_bytes() == 300; }, 5));
    if (whole) {
      origin_->feed("/k1", ByteView(body).subspan(300));
    } else {
      origin_->cut("/k1");
    }
    EXPECT_TRUE(ends(*client));
    const HttpAnswer answer = client->answer();
    EXPECT_EQ(answer.complete, whole);
    EXPECT_EQ(answer.field("Transfer-Encoding"), "chunked");
    EXPECT_FALSE(answer.content_length.has_value());
    EXPECT_EQ(answer.body.size(), whole ? body.size() : 300U);
  }
}

TEST_F(OriginTest, BytesFedBeforeTheQuestionWait) {
  origin_->offer("/k1", "which put", 1000);
  origin_->feed("/k1", body_);
  EXPECT_FALSE(origin_->asked("/k1"));
  const auto client = call("/k1");
  EXPECT_TRUE(ends(*client));
  EXPECT_TRUE(origin_->asked("/k1"));
  EXPECT_EQ(client->answer().body, body_);
}

TEST_F(OriginTest, ALargeBodyIsNotHeldUp) {
  const Bytes large = make_body(1, 1, 20'000'000);
  origin_->offer("/k1", "which put", large.size());
  const auto client = call("/k1");
  origin_->feed("/k1", large);
  EXPECT_TRUE(ends(*client));
  EXPECT_EQ(client->answer().body, large);
}

TEST_F(OriginTest, OnlyWhatIsOfferedIsServedAndOnce) {
  const auto nothing = call("/k1");
  EXPECT_TRUE(ends(*nothing));
  EXPECT_EQ(nothing->answer().status, 0);
  EXPECT_FALSE(nothing->answer().complete);
  EXPECT_EQ(origin_->refused(), 1U);

  origin_->offer("/k1", "which put", 0);
  const auto first = call("/k1");
  EXPECT_TRUE(ends(*first));
  EXPECT_EQ(first->answer().status, 200);
  const auto second = call("/k1");
  EXPECT_TRUE(ends(*second));
  EXPECT_EQ(second->answer().status, 0);
  EXPECT_EQ(origin_->refused(), 2U);
}

TEST_F(OriginTest, WhatIsSharedIsServedToAllFromItsBeginning) {
  origin_->offer("/k1", "which put", 1000);
  const auto first = call("/k1");
  origin_->feed("/k1", ByteView(body_).first(300));
  EXPECT_TRUE(loop_.run_until([&] { return first->body_bytes() == 300; }, 5));
  origin_->share("/k1");
  const auto second = call("/k1");
  EXPECT_TRUE(loop_.run_until([&] { return second->body_bytes() == 300; }, 5));
  EXPECT_FALSE(origin_->ended("/k1"));
  origin_->feed("/k1", ByteView(body_).subspan(300));
  for (const auto* client : {&first, &second}) {
    EXPECT_TRUE(ends(**client));
    EXPECT_EQ((*client)->answer().body, body_);
  }
  EXPECT_TRUE(loop_.run_until([&] { return origin_->ended("/k1"); }, 5));
  EXPECT_EQ(origin_->refused(), 0U);
}

TEST_F(OriginTest, ABodyThatIsCutIsNotComplete) {
  origin_->offer("/k1", "which put", 1000);
  const auto client = call("/k1");
  origin_->feed("/k1", ByteView(body_).first(300));
  EXPECT_TRUE(loop_.run_until([&] { return client->body_bytes() == 300; }, 5));
  origin_->cut("/k1");
  EXPECT_TRUE(ends(*client));
  const HttpAnswer answer = client->answer();
  EXPECT_FALSE(answer.complete);
  EXPECT_EQ(answer.trouble, "partial message");
  EXPECT_EQ(answer.content_length, 1000U);
  EXPECT_EQ(answer.body, Bytes(body_.begin(), body_.begin() + 300));
}

TEST_F(OriginTest, AClientThatHangsUpIsNoticed) {
  origin_->offer("/k1", "which put", 1000);
  const auto client = call("/k1");
  EXPECT_TRUE(loop_.run_until([&] { return client->header_arrived(); }, 5));
  EXPECT_FALSE(origin_->ended("/k1"));
  client->hang_up();
  EXPECT_TRUE(client->ended());
  EXPECT_TRUE(loop_.run_until([&] { return origin_->ended("/k1"); }, 5));
}

TEST_F(OriginTest, UnchangedIsSaidToWhoAsksForIt) {
  origin_->offer_unchanged("/k1", "new header");
  const auto client = call("/k1", "\"powercut\"");
  EXPECT_TRUE(ends(*client));
  EXPECT_EQ(client->answer().status, 304);
  EXPECT_EQ(client->answer().field("X-Powercut"), "new header");

  origin_->offer_unchanged("/k2", "new header");
  const auto unconditional = call("/k2");
  EXPECT_TRUE(ends(*unconditional));
  EXPECT_EQ(unconditional->answer().status, 0) << "there is no body to give";
}

TEST_F(OriginTest, GoesWhileAnExchangeIsUnderWay) {
  origin_->offer("/k1", "which put", 1000);
  const auto client = call("/k1");
  EXPECT_TRUE(loop_.run_until([&] { return client->header_arrived(); }, 5));
  const auto late = call("/k2");
  origin_.reset();
  EXPECT_TRUE(ends(*client));
  EXPECT_TRUE(ends(*late));
}

TEST(Http, WaitingIsBounded) {
  HttpLoop loop;
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_FALSE(loop.run_until([] { return false; }, 0.05)) << "nothing to do ends it";

  const int silent = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  void* const raw = &address;
  ASSERT_EQ(::bind(silent, static_cast<sockaddr*>(raw), length), 0);
  ASSERT_EQ(::listen(silent, 1), 0);
  ASSERT_EQ(::getsockname(silent, static_cast<sockaddr*>(raw), &length), 0);
  HttpQuestion question;
  question.port = ntohs(address.sin_port);
  const auto client = HttpCall::begin(loop, question);
  EXPECT_FALSE(loop.run_until([&] { return client->ended(); }, 0.05));
  EXPECT_EQ(client->answer().status, 0);
  ::close(silent);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(5));
}

TEST(Http, AReservedPortIsOursAndCanBeListenedOn) {
  const auto port = ReservedPort::reserve();
  ASSERT_TRUE(port.has_value()) << port.error().message;
  const auto other = ReservedPort::reserve();
  ASSERT_TRUE(other.has_value());
  EXPECT_NE(port->number(), other->number());

  HttpLoop loop;
  HttpQuestion question;
  question.port = port->number();
  const auto refused = HttpCall::begin(loop, question);
  EXPECT_TRUE(loop.run_until([&] { return refused->ended(); }, 5));
  EXPECT_EQ(refused->answer().trouble, "Connection refused");

  const int server = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int yes = 1;
  ASSERT_EQ(::setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes), 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port->number());
  void* const raw = &address;
  EXPECT_EQ(::bind(server, static_cast<sockaddr*>(raw), sizeof address), 0);
  EXPECT_EQ(::listen(server, 1), 0);
  ::close(server);
}

}  // namespace
}  // namespace scenarios
