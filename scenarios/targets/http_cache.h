#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "scenarios/process/child.h"
#include "scenarios/targets/http.h"
#include "scenarios/targets/origin.h"
#include "scenarios/targets/target.h"

namespace scenarios {

/// A caching HTTP proxy as a target: one process between a client and an origin that are both in
/// this one. What the verbs become is at the head of http_cache.cc. Derived classes say how the
/// process is started and stopped, and how to tell an answer it made up from one it had stored;
/// their destructors must call `end_process`.
class HttpCache : public Target {
 public:
  HttpCache(const HttpCache&) = delete;
  HttpCache& operator=(const HttpCache&) = delete;

  /// Opens the origin and reserves the cache's port.
  faultfs::Status open();

  [[nodiscard]] Traits traits() const override;
  [[nodiscard]] faultfs::Result<Reply> start(std::uint64_t seed, std::uint32_t slot_bytes) override;
  Reply begin_put(Key key, std::string_view header, std::uint64_t body_bytes) override;
  Reply begin_crowd(Key key, std::string_view header, std::uint64_t body_bytes) override;
  Reply append(Key key, faultfs::ByteView bytes) override;
  Reply finish_put(Key key) override;
  Reply abort_put(Key key) override;
  GetReply get(Key key, std::uint64_t offset_bytes, std::uint64_t size_bytes) override;
  Reply purge(Key key) override;
  Reply update_header(Key key, std::string_view header) override;
  Reply sync() override;
  Reply tick(bool& more) override;
  Reply stop() override;
  void kill() override { end_process(); }
  void kill_in_stop(std::uint32_t milliseconds) override;
  [[nodiscard]] faultfs::Result<Reply> overlap(std::uint64_t seed) override;
  [[nodiscard]] bool move_to(const std::filesystem::path& directory) override;

  [[nodiscard]] std::optional<Structure> structure() override { return std::nullopt; }
  [[nodiscard]] std::optional<Death> death() override;
  [[nodiscard]] std::vector<std::pair<std::string, std::uint64_t>> gate_refusals() override {
    return {};
  }

 protected:
  /// `name` is what sentences call the cache.
  HttpCache(const Rig& rig, std::string name) : rig_(rig), name_(std::move(name)) {}

  /// Writes the files of one life and tells what to start. `beside`: another life is still ending,
  /// and what it uses must stay. Error: trouble of the world.
  [[nodiscard]] virtual faultfs::Result<ChildOptions> prepare(std::uint32_t slot_bytes,
                                                              bool beside) = 0;
  /// True when its log says that the cache is ready; the port is asked besides.
  [[nodiscard]] virtual bool says_ready() = 0;
  /// An answer that the cache made up itself; every other one was in the store.
  [[nodiscard]] virtual bool is_made_up(const HttpAnswer& answer) const = 0;
  /// Of those: it has not got the object.
  [[nodiscard]] virtual bool is_miss(const HttpAnswer& answer) const {
    return answer.status == 504;
  }
  /// A get that ended before the length it announced: does its client know that it was broken off?
  [[nodiscard]] virtual bool tells_when_it_breaks_off() const { return false; }
  /// Does it pass bytes on before it has a buffer full of them?
  [[nodiscard]] virtual bool passes_on_at_once() const { return true; }
  /// How long after its last byte an object may still be on its way into the store; 0: it is there,
  /// or never will be.
  [[nodiscard]] virtual double seconds_to_keep() const { return 0; }
  /// Removes what a dead process left outside its directories.
  virtual void clean_up() {}
  /// The storage is about to be another: lets go of it.
  virtual void leave_storage() {}

  [[nodiscard]] const Rig& rig() const { return rig_; }
  /// Where the disks are now.
  [[nodiscard]] const std::filesystem::path& disk_dir() const {
    return moved_to_.empty() ? rig_.disk_dir : moved_to_;
  }
  [[nodiscard]] std::uint16_t port() const { return port_->number(); }
  [[nodiscard]] std::uint16_t origin_port() const { return origin_->port(); }
  /// Lets the exchanges go on until `done` or for `seconds`. Returns `done()`.
  bool wait_for(const std::function<bool()>& done, double seconds);
  /// True when the process is gone; if it ended by itself, how is kept as its death.
  bool note_end();
  void end_process();

 private:
  /// A put in progress.
  struct Upload {
    std::unique_ptr<HttpCall> call;
    std::string header;
    std::uint64_t body_bytes = 0;
    std::uint64_t sent_bytes = 0;
    std::vector<std::unique_ptr<HttpCall>> others;  ///< of further clients
  };

  faultfs::Status begin_life(std::uint32_t slot_bytes, bool beside);
  Reply wait_ready();
  void forget_uploads();
  HttpAnswer ask(std::string_view method,
                 std::string_view path,
                 std::string_view cache_control,
                 const std::string& range = {});
  Reply trouble(const HttpAnswer& answer);
  Reply kept(Key key, std::string_view header);

  Rig rig_;
  std::string name_;
  HttpLoop loop_;
  std::unique_ptr<Origin> origin_;
  std::optional<ReservedPort> port_;
  std::unique_ptr<Child> child_, ending_;  ///< ending: asked to stop, and another has begun
  std::filesystem::path program_;
  std::filesystem::path moved_to_;
  std::optional<Death> death_;
  std::map<Key, Upload> uploads_;
};

/// All of a file; empty where there is none.
[[nodiscard]] std::string text_of(const std::filesystem::path& file);

/// `config.program`, or the first of `places` that can be executed. Error: says what to install
/// (`package`).
[[nodiscard]] faultfs::Result<std::filesystem::path> find_program(
    const TargetConfig& config,
    const std::vector<std::filesystem::path>& places,
    std::string_view package);

}  // namespace scenarios
