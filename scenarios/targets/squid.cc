// Squid as a target: a reverse proxy with one rock store, between a client and an origin that are
// both in this process (http.h, origin.h).
//
// put     The client asks for the key with "Cache-Control: no-cache"; Squid fetches it again from
//         the origin, which sends what `append` hands it. An append returns when the client has
//         received those bytes through Squid. In -N mode Squid writes to its store with blocking
//         calls in the same event in which it takes bytes from the origin, before it passes them
//         on, so by then every slot that was filled has been written. After the last byte one more
//         question (HEAD, only-if-cached) must be answered from the store with this put's header;
//         only then is the put acknowledged. A put that Squid passed on but did not keep is
//         refused.
// abort   By the origin, which closes in the middle of the body (odd keys), or by the client, which
//         goes away (even keys). Returns when Squid has closed the other side.
// get     "Cache-Control: only-if-cached": Squid answers 504 itself or gives what is stored. The
//         origin has no offer for the path, so a hit cannot have been fetched. An answer that Squid
//         made itself is known by its X-Squid-Error field; everything else was in the store. A body
//         that ends early is a hit of fewer bytes, unless Squid died or the device was cut
//         meanwhile.
// update  The client asks for a key with "max-age=0"; Squid asks the origin whether it is still the
//         same, and the origin says 304 with a new X-Powercut header, which Squid must store.
// purge   PURGE. Squid forgets in memory only; nothing is written.
//
// Not modelled: SMP mode (disk processes), several stores, ranges. A get of a key whose upload is
// open would join the upload and wait for it, as HTTP wants; it is answered as a miss.
#include "scenarios/targets/squid.h"

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <fstream>
#include <map>
#include <sstream>
#include <system_error>

#include <fmt/format.h>

#include "faultfs/base/check.h"
#include "scenarios/process/child.h"
#include "scenarios/targets/http.h"
#include "scenarios/targets/origin.h"
#include "scenarios/targets/squid_setup.h"

namespace scenarios {
namespace {

using faultfs::fail;

constexpr double ready_seconds = 20, exchange_seconds = 10, stop_seconds = 10;
constexpr std::string_view ready_line = "Completed Validation Procedure";

std::string text_of(const std::filesystem::path& file) {
  std::ostringstream text;
  text << std::ifstream(file).rdbuf();
  return text.str();
}

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

/// A put in progress.
struct Upload {
  std::unique_ptr<HttpCall> call;
  std::string header;
  std::uint64_t body_bytes = 0;
  std::uint64_t sent_bytes = 0;
};

class Squid : public Target {
 public:
  Squid(const Rig& rig, SquidSetup setup, std::filesystem::path program)
      : rig_(rig), setup_(std::move(setup)), program_(std::move(program)) {}
  ~Squid() override { end_process(); }
  Squid(const Squid&) = delete;
  Squid& operator=(const Squid&) = delete;

  /// Opens the origin and reserves Squid's port.
  faultfs::Status open();

  [[nodiscard]] Traits traits() const override {
    Traits traits;
    traits.header_update = traits.purge = traits.slow_put = true;
    traits.whole_at_last_byte = true;
    return traits;
  }
  [[nodiscard]] faultfs::Result<Reply> start(std::uint64_t seed, std::uint32_t slot_bytes) override;
  Reply begin_put(Key key, std::string_view header, std::uint64_t body_bytes) override;
  Reply append(Key key, faultfs::ByteView bytes) override;
  Reply finish_put(Key key) override;
  Reply abort_put(Key key) override;
  GetReply get(Key key, std::uint64_t offset_bytes, std::uint64_t size_bytes) override;
  Reply purge(Key key) override;
  Reply update_header(Key key, std::string_view header) override;
  Reply sync() override { return {Outcome::refused, "squid never makes anything durable"}; }
  Reply tick(bool& more) override {
    more = false;
    return {};
  }
  Reply stop() override;
  void kill() override { end_process(); }

  [[nodiscard]] std::optional<Structure> structure() override { return std::nullopt; }
  [[nodiscard]] std::optional<Death> death() override {
    note_end();
    return death_;
  }
  [[nodiscard]] std::vector<std::pair<std::string, std::uint64_t>> gate_refusals() override {
    return {};
  }
  [[nodiscard]] std::string log_text() override {
    return text_of(log_file()) + text_of(output_file());
  }

 private:
  [[nodiscard]] std::filesystem::path log_file() const { return setup_.work_dir / "cache.log"; }
  [[nodiscard]] std::filesystem::path output_file() const { return setup_.work_dir / "output"; }
  faultfs::Status write_files();
  Reply wait_ready();
  bool note_end();
  void end_process();
  HttpAnswer ask(std::string_view method, std::string_view path, std::string_view cache_control);
  Reply trouble(const HttpAnswer& answer);
  Reply kept(Key key, std::string_view header);

  Rig rig_;
  SquidSetup setup_;
  std::filesystem::path program_;
  std::string name_;
  HttpLoop loop_;
  std::unique_ptr<Origin> origin_;
  std::optional<ReservedPort> port_;
  std::unique_ptr<Child> child_;
  std::optional<Death> death_;
  std::map<Key, Upload> uploads_;
};

faultfs::Status Squid::open() {
  static std::atomic<unsigned> count = 0;
  name_ = fmt::format("powercut{}n{}", ::getpid(), ++count);
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
  setup_.port = port_->number();
  setup_.origin_port = origin_->port();
  return {};
}

faultfs::Status Squid::write_files() {
  std::error_code ignored;
  std::filesystem::remove(log_file(), ignored);
  std::filesystem::remove(output_file(), ignored);
  std::ofstream(setup_.work_dir / "mime.conf").close();
  std::ofstream conf(setup_.work_dir / "squid.conf");
  conf << squid_conf(setup_);
  conf.close();
  if (!conf) {
    return fail(fmt::format("{} cannot be written", (setup_.work_dir / "squid.conf").string()));
  }
  return {};
}

faultfs::Result<Reply> Squid::start(std::uint64_t /*seed*/, std::uint32_t slot_bytes) {
  end_process();
  death_.reset();
  setup_.slot_bytes = slot_bytes != 0 ? slot_bytes : setup_.slot_bytes;
  if (auto ready = prepare_directories(setup_).and_then([&] { return write_files(); }); !ready) {
    return fail(ready.error().message);
  }
  remove_shared_memory(name_);
  ChildOptions options = squid_command(program_, setup_, name_);
  options.output = output_file();
  options.pin_cpu = rig_.pin_cpu;
  auto child = Child::start(options);
  if (!child) {
    return fail(child.error().message);
  }
  child_ = std::move(*child);
  return wait_ready();
}

/// Ready: the rebuild has been validated, and the port answers.
Reply Squid::wait_ready() {
  const auto until =
      std::chrono::steady_clock::now() + std::chrono::duration<double>(ready_seconds);
  bool rebuilt = false;
  while (std::chrono::steady_clock::now() < until) {
    if (child_->wait(0.0005)) {
      note_end();
      return {Outcome::lost,
              fmt::format("squid ended while it started: {}", tail(log_text(), 300))};
    }
    rebuilt = rebuilt || text_of(log_file()).find(ready_line) != std::string::npos;
    if (rebuilt && ask("HEAD", "/", "only-if-cached").status != 0) {
      return {};
    }
  }
  return {Outcome::lost,
          fmt::format("squid was not ready after {} s: {}", ready_seconds, tail(log_text(), 300))};
}

/// True when the process is gone; if it ended by itself, how is kept as its death.
bool Squid::note_end() {
  if (!child_) {
    return true;
  }
  const auto exit = child_->poll();
  if (exit && !death_) {
    death_ = Death{exit->signal, exit->code, tail(log_text())};
  }
  return exit.has_value();
}

void Squid::end_process() {
  note_end();
  if (child_) {
    child_->kill();
    child_.reset();
    remove_shared_memory(name_);
  }
  // Only now: a Squid that is alive takes the end of an upload's connection for the end of it.
  for (const auto& [key, upload] : uploads_) {
    origin_->withdraw(path_of(key));
  }
  uploads_.clear();
}

HttpAnswer Squid::ask(std::string_view method,
                      std::string_view path,
                      std::string_view cache_control) {
  const auto call = HttpCall::begin(loop_,
                                    {.port = setup_.port,
                                     .method = std::string(method),
                                     .path = std::string(path),
                                     .fields = {{"Cache-Control", std::string(cache_control)}}});
  loop_.run_until([&] { return call->ended(); }, exchange_seconds);
  return call->answer();
}

/// What an exchange that did not go as it should means: nobody is there any more, or squid said no.
Reply Squid::trouble(const HttpAnswer& answer) {
  // A dying process closes its connections a little before it can be reaped.
  if (!child_ || (answer.status == 0 && child_->wait(0.05)) || note_end()) {
    note_end();
    return {Outcome::lost, "squid is gone"};
  }
  if (rig_.device.is_cut()) {
    return {Outcome::lost, "the device was cut"};
  }
  if (answer.trouble.empty() && !answer.complete) {
    return {Outcome::lost, fmt::format("squid did not answer within {} s", exchange_seconds)};
  }
  if (!answer.complete) {
    return {Outcome::refused, fmt::format("squid broke off: {}", answer.trouble)};
  }
  return {Outcome::refused,
          fmt::format("squid answered {} {}", answer.status, answer.field("X-Squid-Error"))};
}

/// Done when the store gives `key` back with `header`.
Reply Squid::kept(Key key, std::string_view header) {
  const HttpAnswer answer = ask("HEAD", path_of(key), "only-if-cached");
  if (answer.status == 0 || rig_.device.is_cut()) {
    return trouble(answer);
  }
  if (answer.status != 200 || answer.field("X-Powercut") != header) {
    return {Outcome::refused, "squid passed the object on but did not keep it"};
  }
  return {};
}

Reply Squid::begin_put(Key key, std::string_view header, std::uint64_t body_bytes) {
  if (uploads_.count(key) != 0) {
    abort_put(key);
  }
  const std::string path = path_of(key);
  origin_->offer(path, header, body_bytes);
  Upload upload;
  upload.header = header;
  upload.body_bytes = body_bytes;
  upload.call = HttpCall::begin(
      loop_, {.port = setup_.port, .path = path, .fields = {{"Cache-Control", "no-cache"}}});
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

Reply Squid::append(Key key, faultfs::ByteView bytes) {
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

Reply Squid::finish_put(Key key) {
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

Reply Squid::abort_put(Key key) {
  const auto found = uploads_.find(key);
  if (found == uploads_.end()) {
    return {};  // squid broke it off before
  }
  const Upload upload = std::move(found->second);
  uploads_.erase(found);
  const std::string path = path_of(key);
  if (key % 2 == 1) {
    origin_->cut(path);
    loop_.run_until([&] { return upload.call->ended(); }, exchange_seconds);
  } else {
    upload.call->hang_up();
    loop_.run_until([&] { return origin_->ended(path); }, exchange_seconds);
  }
  origin_->withdraw(path);
  const HttpAnswer answer = ask("HEAD", "/", "only-if-cached");
  return answer.status != 0 && !rig_.device.is_cut() ? Reply{} : trouble(answer);
}

GetReply Squid::get(Key key, std::uint64_t offset_bytes, std::uint64_t size_bytes) {
  GetReply reply;
  if (uploads_.count(key) != 0) {
    return reply;
  }
  HttpAnswer answer = ask("GET", path_of(key), "only-if-cached");
  const bool own_page = !answer.field("X-Squid-Error").empty();
  const bool broken = !answer.complete && (rig_.device.is_cut() || note_end());
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
  reply.body = std::move(answer.body);
  const std::uint64_t begin = std::min<std::uint64_t>(offset_bytes, reply.body.size());
  reply.body.erase(reply.body.begin(), reply.body.begin() + static_cast<std::ptrdiff_t>(begin));
  reply.body.resize(std::min<std::uint64_t>(size_bytes, reply.body.size()));
  return reply;
}

Reply Squid::purge(Key key) {
  const HttpAnswer answer = ask("PURGE", path_of(key), "no-cache");
  return answer.status == 200 || answer.status == 404 ? Reply{} : trouble(answer);
}

Reply Squid::update_header(Key key, std::string_view header) {
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

Reply Squid::stop() {
  if (note_end()) {
    return {Outcome::lost, "squid is gone"};
  }
  child_->send(SIGTERM);
  const auto exit = child_->wait(stop_seconds);
  const bool clean = exit && exit->signal == 0 && exit->code == 0;
  if (exit) {
    child_.reset();  // it was asked to end: not a death
  }
  remove_shared_memory(name_);
  end_process();
  return clean ? Reply{} : Reply{Outcome::lost, "squid did not stop cleanly"};
}

}  // namespace

faultfs::Status squid_available(const TargetConfig& config) {
  if (const auto program = find_squid(config); !program) {
    return fail(program.error().message);
  }
  return {};
}

faultfs::Result<std::unique_ptr<Target>> make_squid(const TargetConfig& config, const Rig& rig) {
  const auto program = find_squid(config);
  if (!program) {
    return fail(program.error().message);
  }
  if (rig.disk_dir.empty()) {
    return fail("squid needs its disk as a file: a FUSE mount, not the memory device");
  }
  SquidSetup setup;
  setup.disk_dir = rig.disk_dir;
  setup.work_dir = rig.work_dir;
  setup.disk_bytes = config.disk_bytes;
  setup.slot_bytes = config.slot_bytes;
  auto squid = std::make_unique<Squid>(rig, std::move(setup), *program);
  if (auto opened = squid->open(); !opened) {
    return fail(opened.error().message);
  }
  return squid;
}

}  // namespace scenarios
