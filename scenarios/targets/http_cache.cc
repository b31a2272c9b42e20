// What the verbs become for a caching proxy:
//
// put     The client asks for the key with "Cache-Control: no-cache"; the cache fetches it again
//         from the origin, which sends what `append` hands it. An append returns when the client
//         has received those bytes through the cache. After the last byte one more question (HEAD,
//         only-if-cached) must be answered from the store with this put's header; only then is the
//         put acknowledged. A put that the cache passed on but did not keep is refused. Where the
//         cache takes objects in behind its client's back, such a put stays in flight for ever.
// abort   By the origin, which closes in the middle of the body (odd keys), or by the client, which
//         goes away (even keys). Returns when the cache has closed the other side, or after
//         `notice_seconds`; then the origin closes as well.
// get     "Cache-Control: only-if-cached": the cache answers 504 itself or gives what is stored.
// The
//         origin has no offer for the path, so a hit cannot have been fetched. A body that ends
//         early is a hit of fewer bytes, unless the cache died or the device was cut meanwhile.
// update  The client asks for a key with "max-age=0"; the cache asks the origin whether it is still
//         the same, and the origin says 304 with a new X-Powercut header, which it must store.
// purge   PURGE.
//
// Not modelled: ranges. A get of a key whose upload is open would join the upload and wait for it,
// as HTTP wants; it is answered as a miss.
#include "scenarios/targets/http_cache.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <fstream>
#include <sstream>
#include <system_error>

#include <fmt/format.h>

#include "faultfs/base/check.h"

namespace scenarios {

using faultfs::fail;

namespace {

constexpr double ready_seconds = 20, exchange_seconds = 10, stop_seconds = 10;
constexpr double notice_seconds = 0.2;

/// The last lines of `text`, at most `bytes` of it.
std::string tail(const std::string& text, std::size_t bytes = 2000) {
  if (text.size() <= bytes) {
    return text;
  }
  const std::size_t line = text.find('\n', text.size() - bytes);
  return line == std::string::npos ? text.substr(text.size() - bytes) : text.substr(line + 1);
}

std::string path_of(Key key) {
  return "/" + key_name(key);
}

}  // namespace

std::string text_of(const std::filesystem::path& file) {
  std::ostringstream text;
  text << std::ifstream(file).rdbuf();
  return text.str();
}

faultfs::Status HttpCache::open() {
  auto port = ReservedPort::reserve();
  if (!port) {
    return fail(port.error().message);
  }
  auto origin = Origin::listen(loop_);
  if (!origin) {
    return fail(origin.error().message);
  }
  port_ = std::move(*port);
  origin_ = std::move(*origin);
  return {};
}

Traits HttpCache::traits() const {
  Traits traits;
  traits.header_update = traits.purge = traits.slow_put = true;
  traits.whole_at_last_byte = true;
  return traits;
}

faultfs::Result<Reply> HttpCache::start(std::uint64_t /*seed*/, std::uint32_t slot_bytes) {
  end_process();
  death_.reset();
  auto options = prepare(slot_bytes);
  if (!options) {
    return fail(options.error().message);
  }
  options->pin_cpu = rig_.pin_cpu;
  auto child = Child::start(*options);
  if (!child) {
    return fail(child.error().message);
  }
  child_ = std::move(*child);
  return wait_ready();
}

/// Ready: the recovery is over, and the port answers.
Reply HttpCache::wait_ready() {
  const auto until =
      std::chrono::steady_clock::now() + std::chrono::duration<double>(ready_seconds);
  bool recovered = false;
  while (std::chrono::steady_clock::now() < until) {
    if (child_->wait(0.0005)) {
      note_end();
      return {Outcome::lost,
              fmt::format("{} ended while it started: {}", name_, tail(log_text(), 300))};
    }
    recovered = recovered || says_ready();
    if (recovered && ask("HEAD", "/", "only-if-cached").status != 0) {
      return {};
    }
  }
  return {
      Outcome::lost,
      fmt::format("{} was not ready after {} s: {}", name_, ready_seconds, tail(log_text(), 300))};
}

/// True when the process is gone; if it ended by itself, how is kept as its death.
bool HttpCache::note_end() {
  if (!child_) {
    return true;
  }
  const auto exit = child_->poll();
  if (exit && !death_) {
    death_ = Death{exit->signal, exit->code, tail(log_text())};
  }
  return exit.has_value();
}

void HttpCache::end_process() {
  note_end();
  if (child_) {
    child_->kill();
    child_.reset();
    clean_up();
  }
  // Only now: a cache that is alive takes the end of an upload's connection for the end of it.
  for (const auto& [key, upload] : uploads_) {
    origin_->withdraw(path_of(key));
  }
  uploads_.clear();
}

HttpAnswer HttpCache::ask(std::string_view method,
                          std::string_view path,
                          std::string_view cache_control) {
  const auto call = HttpCall::begin(loop_,
                                    {.port = port(),
                                     .method = std::string(method),
                                     .path = std::string(path),
                                     .fields = {{"Cache-Control", std::string(cache_control)}}});
  loop_.run_until([&] { return call->ended(); }, exchange_seconds);
  return call->answer();
}

/// What an exchange that did not go as it should means: nobody is there any more, or the cache said
/// no.
Reply HttpCache::trouble(const HttpAnswer& answer) {
  // A dying process closes its connections a little before it can be reaped.
  if (!child_ || (answer.status == 0 && child_->wait(0.05)) || note_end()) {
    note_end();
    return {Outcome::lost, name_ + " is gone"};
  }
  if (rig_.device.is_cut()) {
    return {Outcome::lost, "the device was cut"};
  }
  if (answer.trouble.empty() && !answer.complete) {
    return {Outcome::lost, fmt::format("{} did not answer within {} s", name_, exchange_seconds)};
  }
  if (!answer.complete) {
    return {Outcome::refused, fmt::format("{} broke off: {}", name_, answer.trouble)};
  }
  return {Outcome::refused,
          fmt::format("{} answered {} {}", name_, answer.status, answer.field("X-Squid-Error"))};
}

/// Done when the store gives `key` back with `header`. Where it may do so later, it is asked again
/// for a while, and a put that it never gave back stays open.
Reply HttpCache::kept(Key key, std::string_view header) {
  constexpr double pause_seconds = 0.02;
  for (double waited = 0;; waited += pause_seconds) {
    const HttpAnswer answer = ask("HEAD", path_of(key), "only-if-cached");
    if (answer.status == 0 || rig_.device.is_cut()) {
      return trouble(answer);
    }
    if (answer.status == 200 && answer.field("X-Powercut") == header) {
      return {};
    }
    if (waited >= seconds_to_keep()) {
      return {Outcome::refused,
              name_ + " passed the object on but did not keep it",
              seconds_to_keep() > 0};
    }
    wait_for([] { return false; }, pause_seconds);
  }
}

Reply HttpCache::begin_put(Key key, std::string_view header, std::uint64_t body_bytes) {
  if (uploads_.count(key) != 0) {
    abort_put(key);
  }
  const std::string path = path_of(key);
  origin_->offer(path, header, body_bytes);
  Upload upload;
  upload.header = header;
  upload.body_bytes = body_bytes;
  upload.call = HttpCall::begin(
      loop_, {.port = port(), .path = path, .fields = {{"Cache-Control", "no-cache"}}});
  loop_.run_until([&] { return upload.call->header_arrived() || upload.call->ended(); },
                  exchange_seconds);
  const HttpAnswer answer = upload.call->answer();
  if (!origin_->asked(path) || answer.status != 200) {
    origin_->withdraw(path);
    return trouble(answer);
  }
  uploads_[key] = std::move(upload);
  return {};
}

Reply HttpCache::append(Key key, faultfs::ByteView bytes) {
  const auto found = uploads_.find(key);
  if (found == uploads_.end()) {
    return {Outcome::refused, "there is no such upload"};
  }
  Upload& upload = found->second;
  POWERCUT_CHECK(upload.sent_bytes + bytes.size() <= upload.body_bytes,
                 "{} + {} bytes sent of {}",
                 upload.sent_bytes,
                 bytes.size(),
                 upload.body_bytes);
  upload.sent_bytes += bytes.size();
  origin_->feed(path_of(key), bytes);
  loop_.run_until(
      [&] { return upload.call->ended() || upload.call->body_bytes() >= upload.sent_bytes; },
      exchange_seconds);
  if (upload.call->body_bytes() >= upload.sent_bytes && !rig_.device.is_cut()) {
    return {};
  }
  Reply reply = trouble(upload.call->answer());
  origin_->withdraw(path_of(key));
  uploads_.erase(found);
  return reply;
}

Reply HttpCache::finish_put(Key key) {
  const auto found = uploads_.find(key);
  if (found == uploads_.end()) {
    return {Outcome::refused, "there is no such upload"};
  }
  const Upload upload = std::move(found->second);
  uploads_.erase(found);
  POWERCUT_CHECK(upload.sent_bytes == upload.body_bytes,
                 "a put of {} bytes was finished after {}",
                 upload.body_bytes,
                 upload.sent_bytes);
  loop_.run_until([&] { return upload.call->ended(); }, exchange_seconds);
  origin_->withdraw(path_of(key));
  const HttpAnswer answer = upload.call->answer();
  return answer.complete ? kept(key, upload.header) : trouble(answer);
}

Reply HttpCache::abort_put(Key key) {
  const auto found = uploads_.find(key);
  if (found == uploads_.end()) {
    return {};  // the cache broke it off before
  }
  const Upload upload = std::move(found->second);
  uploads_.erase(found);
  const std::string path = path_of(key);
  if (key % 2 == 1) {
    origin_->cut(path);
    loop_.run_until([&] { return upload.call->ended(); }, exchange_seconds);
  } else {
    upload.call->hang_up();
    // A cache that looks at its client only when it has something for it never notices.
    loop_.run_until([&] { return origin_->ended(path); }, notice_seconds);
  }
  origin_->withdraw(path);
  const HttpAnswer answer = ask("HEAD", "/", "only-if-cached");
  return answer.status != 0 && !rig_.device.is_cut() ? Reply{} : trouble(answer);
}

GetReply HttpCache::get(Key key, std::uint64_t offset_bytes, std::uint64_t size_bytes) {
  GetReply reply;
  if (uploads_.count(key) != 0) {
    return reply;
  }
  HttpAnswer answer = ask("GET", path_of(key), "only-if-cached");
  const bool own_page = is_made_up(answer);
  const bool broken = !answer.complete && (rig_.device.is_cut() || note_end());
  const bool hung = !answer.complete && answer.trouble.empty() && !broken;
  if (hung) {
    reply.kind = GetReply::Kind::failed;
    reply.hung = true;
    reply.detail = fmt::format("{} did not end its answer within {} s", name_, exchange_seconds);
    return reply;
  }
  if (answer.status == 0 || broken || (own_page && answer.status != 504)) {
    reply.kind = GetReply::Kind::failed;
    reply.detail = trouble(answer).detail;
    return reply;
  }
  if (own_page) {
    return reply;
  }
  reply.kind = GetReply::Kind::hit;
  reply.header = answer.field("X-Powercut");
  reply.claimed_bytes = answer.content_length.value_or(answer.body.size());
  // In chunks, the end that is missing is missed by everybody.
  reply.broken_off =
      !answer.complete && (tells_when_it_breaks_off() || !answer.content_length.has_value());
  reply.body = std::move(answer.body);
  const std::uint64_t begin = std::min<std::uint64_t>(offset_bytes, reply.body.size());
  reply.body.erase(reply.body.begin(), reply.body.begin() + static_cast<std::ptrdiff_t>(begin));
  reply.body.resize(std::min<std::uint64_t>(size_bytes, reply.body.size()));
  return reply;
}

Reply HttpCache::purge(Key key) {
  const HttpAnswer answer = ask("PURGE", path_of(key), "no-cache");
  return answer.status == 200 || answer.status == 404 ? Reply{} : trouble(answer);
}

Reply HttpCache::update_header(Key key, std::string_view header) {
  if (uploads_.count(key) != 0) {
    return {Outcome::refused, "the object is being uploaded"};
  }
  const std::string path = path_of(key);
  origin_->offer_unchanged(path, header);
  const HttpAnswer answer = ask("GET", path, "max-age=0");
  origin_->withdraw(path);
  if (answer.status != 200) {
    return trouble(answer);
  }
  return kept(key, header);
}

bool HttpCache::wait_for(const std::function<bool()>& done, double seconds) {
  return loop_.run_until(done, seconds);
}

std::optional<Death> HttpCache::death() {
  note_end();
  return death_;
}

Reply HttpCache::sync() {
  return {Outcome::refused, name_ + " cannot be asked to make anything durable"};
}

Reply HttpCache::tick(bool& more) {
  more = false;
  return {};
}

Reply HttpCache::stop() {
  if (note_end()) {
    return {Outcome::lost, name_ + " is gone"};
  }
  child_->send(SIGTERM);
  const auto exit = child_->wait(stop_seconds);
  const bool clean = exit && exit->signal == 0 && exit->code == 0;
  if (exit) {
    child_.reset();  // it was asked to end: not a death
    clean_up();
  }
  end_process();
  return clean ? Reply{} : Reply{Outcome::lost, name_ + " did not stop cleanly"};
}

faultfs::Result<std::filesystem::path> find_program(
    const TargetConfig& config,
    const std::vector<std::filesystem::path>& places,
    std::string_view package) {
  if (!config.program.empty()) {
    std::error_code error;
    const auto program = std::filesystem::absolute(config.program, error);
    if (::access(program.c_str(), X_OK) != 0) {
      return fail(fmt::format("the program {} of target {} cannot be executed: {}",
                              config.program,
                              config.target,
                              std::generic_category().message(errno)));
    }
    return program;
  }
  for (const auto& place : places) {
    if (::access(place.c_str(), X_OK) == 0) {
      return place;
    }
  }
  return fail(
      fmt::format("{} is not installed: apt-get install {} (or name a binary with --program)",
                  package,
                  package));
}

}  // namespace scenarios
