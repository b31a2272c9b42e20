// `command`: a program nobody here has to know, behind one executable with verbs.
//
//   PROGRAM verbs                             prints which of purge, sync, stop it understands
//   PROGRAM start DISK SCRATCH                formats a blank disk, recovers any other
//   PROGRAM put   DISK SCRATCH KEY  < value   0: acknowledged; anything else: refused
//   PROGRAM get   DISK SCRATCH KEY  > value   0: a hit; 1: a miss; anything else: it cannot say
//   PROGRAM purge DISK SCRATCH KEY            0: gone, or never there
//   PROGRAM sync  DISK SCRATCH                0: all that was acknowledged is durable
//   PROGRAM stop  DISK SCRATCH                0: ended cleanly
//
// DISK is the file on the fault device; its size never changes, and a blank one holds zeros.
// It is called in a directory of its own. SCRATCH is a directory that is emptied before every
// `start`: for what lives in memory (sockets, process numbers), never for data. KEY is a word of
// letters and digits. A value is any bytes, to be given back exactly.
//
// `start` that exits with 0 is ready, and there is no server: every verb opens the disk itself.
// `start` that prints the line "ready" and stays is a server: a kill takes it and its process
// group, `stop` (SIGTERM where the program has no such verb) must make it end. A start that exits
// with anything else did not come up.
//
// The death of any of these processes by a signal is the death of the cache. A verb that takes
// longer than `verb_seconds` is killed and counts as no answer.
//
// The value put is the object's header, a line end, and its body, so what the program mixes up in
// either is seen. Nothing in a file tells what was announced: the length announced is the length
// given. Not modelled: uploads in pieces (a put is one verb), ranges, header updates.
#include "scenarios/targets/command_target.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <fstream>
#include <map>
#include <span>
#include <sstream>
#include <system_error>

#include <fmt/format.h>

#include "faultfs/base/check.h"
#include "scenarios/process/child.h"

namespace scenarios {
namespace {

using faultfs::fail;
namespace fs = std::filesystem;

constexpr double verb_seconds = 20, stop_seconds = 10;
constexpr std::string_view ready_line = "ready\n";

std::string text_of(const fs::path& file) {
  std::ostringstream text;
  text << std::ifstream(file, std::ios::binary).rdbuf();
  return text.str();
}

std::string last_line(std::string text) {
  text.erase(text.find_last_not_of(" \n") + 1);
  const std::size_t begin = text.rfind('\n');
  return begin == std::string::npos ? text : text.substr(begin + 1);
}

/// How one verb ended.
struct Ending {
  std::optional<Exit> exit;  ///< none: it did not end in time
  std::string output;
};

class CommandTarget : public Target {
 public:
  CommandTarget(const Rig& rig, fs::path program, fs::path disk)
      : rig_(rig), program_(std::move(program)), disk_(std::move(disk)) {}
  ~CommandTarget() override { end_server(); }
  CommandTarget(const CommandTarget&) = delete;
  CommandTarget& operator=(const CommandTarget&) = delete;

  /// Asks the program what it can do.
  faultfs::Status open();

  [[nodiscard]] Traits traits() const override {
    Traits traits;
    traits.purge = can("purge");
    traits.sync = can("sync");
    return traits;
  }
  [[nodiscard]] faultfs::Result<Reply> start(std::uint64_t seed, std::uint32_t slot_bytes) override;
  Reply begin_put(Key key, std::string_view header, std::uint64_t body_bytes) override;
  Reply append(Key key, faultfs::ByteView bytes) override;
  Reply finish_put(Key key) override;
  Reply abort_put(Key key) override {
    uploads_.erase(key);
    return {};
  }
  GetReply get(Key key, std::uint64_t offset_bytes, std::uint64_t size_bytes) override;
  Reply purge(Key key) override { return simple("purge", key_name(key)); }
  Reply update_header(Key /*key*/, std::string_view /*header*/) override {
    return {Outcome::refused, "a command target has no header updates"};
  }
  Reply sync() override { return simple("sync", {}); }
  Reply tick(bool& more) override {
    more = false;
    return {};
  }
  Reply stop() override;
  void kill() override { end_server(); }
  [[nodiscard]] bool move_to(const fs::path& directory) override {
    end_server();
    disk_ = (directory.empty() ? rig_.disk_dir : directory) / disk_.filename();
    return true;
  }

  [[nodiscard]] std::optional<Structure> structure() override { return std::nullopt; }
  [[nodiscard]] std::optional<Death> death() override {
    note_end();
    return death_;
  }
  [[nodiscard]] std::vector<std::pair<std::string, std::uint64_t>> gate_refusals() override {
    return {};
  }
  [[nodiscard]] std::string log_text() override { return text_of(errors_file()); }

 private:
  [[nodiscard]] fs::path scratch() const { return rig_.work_dir / "scratch"; }
  [[nodiscard]] fs::path input_file() const { return rig_.work_dir / "value"; }
  [[nodiscard]] fs::path output_file() const { return rig_.work_dir / "answer"; }
  [[nodiscard]] fs::path errors_file() const { return rig_.work_dir / "errors"; }
  [[nodiscard]] bool can(std::string_view verb) const {
    return std::find(verbs_.begin(), verbs_.end(), verb) != verbs_.end();
  }
  [[nodiscard]] ChildOptions child_options(std::string_view verb, const std::string& key) const;
  faultfs::Status empty_scratch();
  Ending run(std::string_view verb, const std::string& key, bool with_input);
  Reply simple(std::string_view verb, const std::string& key);
  Reply judge(std::string_view verb, const Ending& ending);
  Reply wait_ready();
  bool note_end();
  void end_server();

  Rig rig_;
  fs::path program_, disk_;
  std::vector<std::string> verbs_;
  std::unique_ptr<Child> server_;
  std::optional<Death> death_;
  std::map<Key, faultfs::Bytes> uploads_;
};

faultfs::Status CommandTarget::open() {
  const Ending ending = run("verbs", {}, false);
  if (!ending.exit || ending.exit->signal != 0 || ending.exit->code != 0) {
    return fail(fmt::format("{} does not answer `verbs` with exit code 0: {}",
                            program_.string(),
                            last_line(log_text())));
  }
  for (const std::string_view word : faultfs::words(ending.output)) {
    verbs_.emplace_back(word);
  }
  for (const std::string& verb : verbs_) {
    if (verb != "purge" && verb != "sync" && verb != "stop") {
      return fail(
          fmt::format("{} answers `verbs` with '{}'; allowed: purge, sync, stop, or nothing",
                      program_.string(),
                      verb));
    }
  }
  return {};
}

ChildOptions CommandTarget::child_options(std::string_view verb, const std::string& key) const {
  ChildOptions options;
  options.program = program_;
  options.arguments = {std::string(verb), disk_.string(), scratch().string()};
  if (!key.empty()) {
    options.arguments.push_back(key);
  }
  options.output = output_file();
  options.errors = errors_file();
  options.pin_cpu = rig_.pin_cpu;
  options.core_dir = rig_.work_dir;
  return options;
}

faultfs::Status CommandTarget::empty_scratch() {
  std::error_code error;
  fs::remove_all(scratch(), error);
  fs::remove(errors_file(), error);
  fs::create_directory(scratch(), error);
  return error ? fail(fmt::format("{} cannot be made: {}", scratch().string(), error.message()))
               : faultfs::Status{};
}

/// Runs one verb to its end, or to its time limit.
Ending CommandTarget::run(std::string_view verb, const std::string& key, bool with_input) {
  ChildOptions options = child_options(verb, key);
  if (with_input) {
    options.input = input_file();
  }
  std::error_code ignored;
  fs::remove(output_file(), ignored);
  const auto child = Child::start(options);
  if (!child) {
    return {Exit{0, 127}, {}};
  }
  Ending ending;
  ending.exit = (*child)->wait(verb_seconds);
  if (!ending.exit) {
    (*child)->kill();
  } else if (ending.exit->signal != 0 && !death_) {
    death_ = Death{ending.exit->signal, 0, log_text(), program_, core_in(rig_.work_dir)};
  }
  ending.output = text_of(output_file());
  return ending;
}

/// What the end of a verb means where 0 is yes.
Reply CommandTarget::judge(std::string_view verb, const Ending& ending) {
  if (!ending.exit) {
    return {Outcome::lost, fmt::format("{} did not end within {} s", verb, verb_seconds)};
  }
  if (ending.exit->signal != 0 || note_end()) {
    return {Outcome::lost, fmt::format("the program died in {}", verb)};
  }
  if (rig_.device.is_cut()) {
    return {Outcome::lost, "the device was cut"};
  }
  if (ending.exit->code != 0) {
    return {Outcome::refused,
            fmt::format("{} ended with {}: {}", verb, ending.exit->code, last_line(log_text()))};
  }
  return {};
}

Reply CommandTarget::simple(std::string_view verb, const std::string& key) {
  return judge(verb, run(verb, key, false));
}

faultfs::Result<Reply> CommandTarget::start(std::uint64_t /*seed*/, std::uint32_t /*slot_bytes*/) {
  end_server();
  death_.reset();
  remove_cores(rig_.work_dir);
  if (auto made = empty_scratch(); !made) {
    return fail(made.error().message);
  }
  std::error_code ignored;
  fs::remove(output_file(), ignored);
  auto child = Child::start(child_options("start", {}));
  if (!child) {
    return fail(child.error().message);
  }
  server_ = std::move(*child);
  return wait_ready();
}

Reply CommandTarget::wait_ready() {
  const auto until = std::chrono::steady_clock::now() + std::chrono::duration<double>(verb_seconds);
  while (std::chrono::steady_clock::now() < until) {
    if (const auto exit = server_->wait(0.001)) {
      server_.reset();
      if (exit->signal != 0) {
        death_ = Death{exit->signal, 0, log_text(), program_, core_in(rig_.work_dir)};
      }
      return judge("start", {exit, {}});
    }
    const std::string output = text_of(output_file());
    if (output == ready_line || output.find("\n" + std::string(ready_line)) != std::string::npos) {
      return {};
    }
  }
  return {Outcome::lost,
          fmt::format("start neither ended nor said ready within {} s", verb_seconds)};
}

/// True when there was a server and it is gone; how is kept as its death.
bool CommandTarget::note_end() {
  if (!server_) {
    return false;
  }
  const auto exit = server_->poll();
  if (exit && !death_) {
    death_ = Death{exit->signal, exit->code, log_text(), program_, core_in(rig_.work_dir)};
  }
  return exit.has_value();
}

void CommandTarget::end_server() {
  if (server_ && !note_end()) {
    server_->kill();
  }
  server_.reset();
  uploads_.clear();
}

Reply CommandTarget::begin_put(Key key, std::string_view header, std::uint64_t body_bytes) {
  faultfs::Bytes& value = uploads_[key];
  value.clear();
  value.reserve(header.size() + 1 + body_bytes);
  const auto bytes = std::as_bytes(std::span(header));
  value.assign(bytes.begin(), bytes.end());
  value.push_back(std::byte{'\n'});
  return {};
}

Reply CommandTarget::append(Key key, faultfs::ByteView bytes) {
  const auto found = uploads_.find(key);
  if (found == uploads_.end()) {
    return {Outcome::refused, "there is no such upload"};
  }
  found->second.insert(found->second.end(), bytes.begin(), bytes.end());
  return {};
}

Reply CommandTarget::finish_put(Key key) {
  const auto found = uploads_.find(key);
  if (found == uploads_.end()) {
    return {Outcome::refused, "there is no such upload"};
  }
  std::ofstream file(input_file(), std::ios::binary | std::ios::trunc);
  const void* const raw = found->second.data();
  file.write(static_cast<const char*>(raw), static_cast<std::streamsize>(found->second.size()));
  file.close();
  uploads_.erase(found);
  POWERCUT_CHECK(file.good(), "{} cannot be written", input_file().string());
  return judge("put", run("put", key_name(key), true));
}

GetReply CommandTarget::get(Key key, std::uint64_t offset_bytes, std::uint64_t size_bytes) {
  const Ending ending = run("get", key_name(key), false);
  GetReply reply;
  const Reply meaning = judge("get", ending);
  if (meaning.outcome == Outcome::lost ||
      (meaning.outcome == Outcome::refused && ending.exit->code != 1)) {
    reply.kind = GetReply::Kind::failed;
    reply.detail = meaning.detail;
    return reply;
  }
  if (meaning.outcome == Outcome::refused) {
    return reply;
  }
  reply.kind = GetReply::Kind::hit;
  const std::string_view value = ending.output;
  const std::size_t line_end = value.find('\n');
  reply.header = value.substr(0, line_end);
  const std::string_view body =
      line_end == std::string_view::npos ? std::string_view{} : value.substr(line_end + 1);
  reply.claimed_bytes = body.size();
  const std::string_view part =
      body.substr(std::min<std::uint64_t>(offset_bytes, body.size()), size_bytes);
  const auto bytes = std::as_bytes(std::span(part));
  reply.body.assign(bytes.begin(), bytes.end());
  return reply;
}

Reply CommandTarget::stop() {
  if (note_end()) {
    return {Outcome::lost, "the program is gone"};
  }
  const std::unique_ptr<Child> server = std::move(server_);  // asked to end: not a death
  const Reply reply = can("stop") ? simple("stop", {}) : Reply{};
  if (server && !can("stop")) {
    server->send(SIGTERM);
  }
  if (reply.outcome == Outcome::done && server && !server->wait(stop_seconds)) {
    return {Outcome::lost, fmt::format("the server did not end within {} s", stop_seconds)};
  }
  uploads_.clear();
  return reply;
}

faultfs::Result<fs::path> program_of(const TargetConfig& config) {
  std::error_code error;
  fs::path program = fs::absolute(config.program, error);
  if (error || ::access(program.c_str(), X_OK) != 0 || fs::is_directory(program, error)) {
    return fail(fmt::format("the program {} of target command cannot be executed: {}",
                            config.program,
                            std::generic_category().message(errno != 0 ? errno : EACCES)));
  }
  return program;
}

}  // namespace

faultfs::Status command_available(const TargetConfig& config) {
  const auto program = program_of(config);
  return program ? faultfs::Status{} : fail(program.error().message);
}

faultfs::Result<std::unique_ptr<Target>> make_command(const TargetConfig& config, const Rig& rig) {
  auto program = program_of(config);
  if (!program) {
    return fail(program.error().message);
  }
  auto target =
      std::make_unique<CommandTarget>(rig, std::move(*program), rig.disk_dir / disk_name(config));
  if (auto opened = target->open(); !opened) {
    return fail(opened.error().message);
  }
  return target;
}

}  // namespace scenarios
