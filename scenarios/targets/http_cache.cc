// What the verbs become for a caching proxy:
//
// put     The client asks for the key with "Cache-Control: no-cache"; the cache fetches it again
//         from the origin, which sends what `append` hands it. An append returns when the client
//         has received those bytes through the cache, or, where the cache waits for a buffer full
//         of them, a while later. After the last byte one more question (HEAD, only-if-cached) must
//         be answered from the store with this put's header; only then is the put acknowledged. A
//         put that the cache passed on but did not keep is refused. Where the cache takes objects
//         in behind its client's back, such a put stays in flight for ever.
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
// ranges  "Range: bytes=…" beside only-if-cached. A cache may give the whole object instead. Where
//         it says that the range lies outside, it is asked for the whole.
// crowd   A put for whose key two more clients ask, without "no-cache", once its header is there. A
//         cache may let them wait, join, or fetch for themselves: the origin gives each the same.
// overlap SIGTERM, and the next process is started at once, on another port, as a supervisor would
//         that does not wait; where it does not come up, again, until the old one is gone.
//
// A get of a key whose upload is open would join the upload and wait for it,
// as HTTP wants; it is answered as a miss.
#include "scenarios/targets/http_cache.h"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <utility>

#include <fmt/format.h>

#include "faultfs/base/check.h"

namespace scenarios {

using faultfs::fail;

namespace {

constexpr double ready_seconds = 20, exchange_seconds = 10, stop_seconds = 10;
constexpr double notice_seconds = 0.2, crowd_seconds = 0.02;

/// The last lines of `text`, at most `bytes` of it.
std::string tail(const std::string& text, std::size_t bytes = 2000) {
  if (text.size() <= bytes) {
    return text;
  }
  const std::size_t line = text.find('\n', text.size() - bytes);
  return line == std::string::npos ? text.substr(text.size() - bytes) : text.substr(line + 1);
}

/// "bytes=100-599"
std::string range_text(std::uint64_t offset_bytes, std::uint64_t size_bytes) {
  const std::string last =
      size_bytes == UINT64_MAX ? "" : std::to_string(offset_bytes + size_bytes - 1);
  return fmt::format("bytes={}-{}", offset_bytes, last);
}

/// Of "bytes 100-599/4000" the 4000; 0 where it does not say.
std::uint64_t whole_bytes(const std::string& content_range) {
  return faultfs::parse_number(content_range.substr(content_range.find('/') + 1)).value_or(0);
}

std::string path_of(Key key) {
  return "/" + key_name(key);
}

}  // namespace

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
  traits.range = traits.slow_stop = traits.crowds = true;
  return traits;
}

faultfs::Status HttpCache::begin_life(std::uint32_t slot_bytes, bool beside) {
  death_.reset();
  remove_cores(rig_.work_dir);
  auto options = prepare(slot_bytes, beside);
  if (!options) {
    return fail(options.error().message);
  }
  options->pin_cpu = rig_.pin_cpu;
  options->core_dir = rig_.work_dir;
  program_ = options->program;
  auto child = Child::start(*options);
  if (!child) {
    return fail(child.error().message);
  }
  child_ = std::move(*child);
  return {};
}

faultfs::Result<Reply> HttpCache::start(std::uint64_t /*seed*/, std::uint32_t slot_bytes) {
  end_process();
  if (auto begun = begin_life(slot_bytes, false); !begun) {
    return fail(begun.error().message);
  }
  return wait_ready();
}

faultfs::Result<Reply> HttpCache::overlap(std::uint64_t /*seed*/) {
  forget_uploads();
  if (note_end()) {
    return Reply{Outcome::lost, name_ + " is gone"};
  }
  child_->send(SIGTERM);
  ending_ = std::move(child_);
  auto port = ReservedPort::reserve();
  if (!port) {
    return fail(port.error().message);
  }
  const ReservedPort old = std::exchange(*port_, std::move(*port));
  const auto until = std::chrono::steady_clock::now() + std::chrono::duration<double>(stop_seconds);
  for (;;) {
    const bool alone = ending_->poll().has_value();
    if (auto begun = begin_life(0, !alone); !begun) {
      return fail(begun.error().message);
    }
    const Reply reply = wait_ready();
    const bool again = reply.outcome == Outcome::lost && !alone && death_ && death_->signal == 0 &&
                       std::chrono::steady_clock::now() < until;
    if (!again) {
      return reply;
    }
    child_.reset();
    wait_for([] { return false; }, notice_seconds);
  }
}

void HttpCache::kill_in_stop(std::uint32_t milliseconds) {
  if (!note_end()) {
    child_->send(SIGTERM);
    if (child_->wait(1e-3 * milliseconds)) {
      child_.reset();  // it was asked to end: not a death
      clean_up();
    }
  }
  end_process();
}

bool HttpCache::move_to(const std::filesystem::path& directory) {
  end_process();
  leave_storage();
  moved_to_ = directory;
  return true;
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
    death_ = Death{exit->signal, exit->code, tail(log_text()), program_, core_in(rig_.work_dir)};
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
  ending_.reset();
  // Only now: a cache that is alive takes the end of an upload's connection for the end of it.
  forget_uploads();
}

void HttpCache::forget_uploads() {
  for (const auto& [key, upload] : uploads_) {
    origin_->withdraw(path_of(key));
  }
  uploads_.clear();
}

HttpAnswer HttpCache::ask(std::string_view method,
                          std::string_view path,
                          std::string_view cache_control,
                          const std::string& range) {
  HttpQuestion question = {.port = port(),
                           .method = std::string(method),
                           .path = std::string(path),
                           .fields = {{"Cache-Control", std::string(cache_control)}}};
  if (!range.empty()) {
    question.fields.emplace_back("Range", range);
  }
  const auto call = HttpCall::begin(loop_, question);
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
  // A cache may keep even the header until there is a body.
  const auto begun = [&] { return !passes_on_at_once() && origin_->asked(path); };
  loop_.run_until([&] { return upload.call->header_arrived() || upload.call->ended() || begun(); },
                  exchange_seconds);
  const HttpAnswer answer = upload.call->answer();
  const bool refused = answer.status != 200 && (answer.status != 0 || !begun());
  if (!origin_->asked(path) || refused) {
    origin_->withdraw(path);
    return trouble(answer);
  }
  uploads_[key] = std::move(upload);
  return {};
}

Reply HttpCache::begin_crowd(Key key, std::string_view header, std::uint64_t body_bytes) {
  constexpr int others = 2;
  const Reply reply = begin_put(key, header, body_bytes);
  const auto upload = uploads_.find(key);
  if (reply.outcome != Outcome::done || upload == uploads_.end()) {
    return reply;
  }
  origin_->share(path_of(key));
  for (int client = 0; client < others; ++client) {
    upload->second.others.push_back(HttpCall::begin(loop_, {.port = port(), .path = path_of(key)}));
  }
  // They have come by then, or wait for the object.
  wait_for([] { return false; }, crowd_seconds);
  return reply;
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
      passes_on_at_once() ? exchange_seconds : notice_seconds);
  const bool held_back = !passes_on_at_once() && !upload.call->ended() && !note_end();
  if ((upload.call->body_bytes() >= upload.sent_bytes || held_back) && !rig_.device.is_cut()) {
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
  const auto served = [&] {
    return std::ranges::all_of(upload.others, [](const auto& other) { return other->ended(); });
  };
  loop_.run_until([&] { return served() || note_end(); }, exchange_seconds);
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
  const bool whole = offset_bytes == 0 && size_bytes == UINT64_MAX;
  const std::string range = whole ? std::string() : range_text(offset_bytes, size_bytes);
  HttpAnswer answer = ask("GET", path_of(key), "only-if-cached", range);
  if (answer.status == 416) {
    answer = ask("GET", path_of(key), "only-if-cached");
  }
  const bool own_page = is_made_up(answer);
  const bool broken = !answer.complete && (rig_.device.is_cut() || note_end());
  const bool hung = !answer.complete && answer.trouble.empty() && !broken;
  if (hung) {
    reply.kind = GetReply::Kind::failed;
    reply.hung = true;
    reply.detail = fmt::format("{} did not end its answer within {} s", name_, exchange_seconds);
    return reply;
  }
  if (answer.status == 0 || broken || (own_page && !is_miss(answer))) {
    reply.kind = GetReply::Kind::failed;
    reply.detail = trouble(answer).detail;
    return reply;
  }
  if (own_page) {
    return reply;
  }
  reply.kind = GetReply::Kind::hit;
  reply.header = answer.field("X-Powercut");
  const bool part = answer.status == 206;
  reply.claimed_bytes = part ? whole_bytes(answer.field("Content-Range"))
                             : answer.content_length.value_or(answer.body.size());
  // In chunks, the end that is missing is missed by everybody.
  reply.broken_off =
      !answer.complete && (tells_when_it_breaks_off() || !answer.content_length.has_value());
  reply.body = std::move(answer.body);
  const std::uint64_t begin = part ? 0 : std::min<std::uint64_t>(offset_bytes, reply.body.size());
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
  if (ending_) {
    ending_->wait(stop_seconds);
  }
  const bool clean = exit && exit->signal == 0 && exit->code == 0;
  if (exit) {
    child_.reset();  // it was asked to end: not a death
    clean_up();
  }
  end_process();
  return clean ? Reply{} : Reply{Outcome::lost, name_ + " did not stop cleanly"};
}

}  // namespace scenarios
