#include "scenarios/targets/engine_target.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "engine/service/client.h"
#include "engine/store.h"
#include "scenarios/targets/engine_home.h"
#include "scenarios/targets/engine_structure.h"
#include "scenarios/targets/log_geometry.h"

namespace scenarios {

namespace {

Reply reply_of(const engine::Error& error) {
  switch (error.trouble) {
    case engine::Trouble::device:
    case engine::Trouble::lost:
      return {Outcome::lost, error.message};
    default:
      return {Outcome::refused, error.message};
  }
}

template <typename T>
Reply reply_of(const engine::Result<T>& result) {
  return result ? Reply{} : reply_of(result.error());
}

class EngineTarget : public Target {
 public:
  EngineTarget(TargetConfig config, bool in_process, std::unique_ptr<EngineHome> home)
      : config_(std::move(config)), in_process_(in_process), home_(std::move(home)) {}
  ~EngineTarget() override { end_life(); }
  EngineTarget(const EngineTarget&) = delete;
  EngineTarget(EngineTarget&&) = delete;
  EngineTarget& operator=(const EngineTarget&) = delete;
  EngineTarget& operator=(EngineTarget&&) = delete;

  [[nodiscard]] Traits traits() const override {
    Traits traits;
    traits.deterministic = true;
    traits.header_update = traits.purge = traits.sync = traits.range = traits.slow_put = true;
    traits.purge_all = true;
    traits.sliced_rebuild = traits.inspects = traits.reformats = config_.store != "memory";
    traits.in_process = in_process_;
    // Two processes of cache-engine hand over to each other in engine/service/cooperation_test.cc.
    traits.hands_over = in_process_ && config_.store == "cyclone" && config_.disks == 1 &&
                        config_.ram_cache.empty();
    traits.shares_memory = home_->shared() != nullptr;
    traits.circle_bytes = log_geometry(config_).value_or(LogGeometry{}).data_bytes;
    traits.pinned = pinned_keys(config_);
    // Other histories are shorter, and have more crash states in the same time.
    traits.laps_of_four = config_.pinned > 0 || config_.hot_percent > 0 ? 3 : 1;
    return traits;
  }

  faultfs::Result<Reply> start(std::uint64_t seed, std::uint32_t slot_bytes) override;
  Reply begin_put(Key key, std::string_view header, std::uint64_t body_bytes) override;
  Reply append(Key key, faultfs::ByteView bytes) override;
  Reply finish_put(Key key) override;
  Reply abort_put(Key key) override;
  GetReply get(Key key, std::uint64_t offset_bytes, std::uint64_t size_bytes) override;
  void get_into(Key key,
                std::uint64_t offset_bytes,
                std::uint64_t size_bytes,
                GetReply& reply) override;
  void get_each(const std::vector<Key>& keys,
                GetReply& reply,
                const std::function<bool(Key key)>& take) override;
  Reply put(Key key, std::string_view header, faultfs::ByteView body) override {
    return remote_ != nullptr ? reply_of(remote_->put(name(key), header, body))
                              : Target::put(key, header, body);
  }
  Reply purge(Key key) override {
    return store_ ? reply_of(store_->purge(name(key))) : not_running();
  }
  Reply purge_all() override { return store_ ? reply_of(store_->purge_all()) : not_running(); }
  Reply update_header(Key key, std::string_view header) override;
  Reply sync() override { return store_ ? reply_of(store_->sync()) : not_running(); }
  Reply tick(bool& more) override { return rebuild(1, more); }
  Reply rebuild(std::uint64_t ticks_max, bool& more) override;
  Reply stop() override;
  Reply hand_over() override;
  void kill() override { end_life(); }
  void order_shared(std::string_view word) override;
  std::shared_ptr<const SharedState> save_shared() override {
    return home_->shared() != nullptr ? home_->shared()->save() : nullptr;
  }
  void restore_shared(const std::shared_ptr<const SharedState>& state) override {
    if (home_->shared() != nullptr) {
      home_->shared()->restore(state);
    }
  }
  std::uint64_t kills_at_stores() override {
    return home_->shared() != nullptr ? home_->shared()->kills() : 0;
  }
  std::string killed_at_store() override {
    return home_->shared() != nullptr ? home_->shared()->killed_at() : "";
  }
  bool attached() override {
    return store_ && home_->shared() != nullptr && store_->stats().counters["attached"] > 0;
  }
  void renew() override {
    end_life();
    home_->renew();
  }
  std::optional<Structure> structure() override;
  std::optional<Death> death() override { return home_->death(); }
  std::vector<std::pair<std::string, std::uint64_t>> gate_refusals() override;
  std::string log_text() override { return home_->log_text(); }

 private:
  [[nodiscard]] std::string name(Key key) const { return stored_name(config_, key); }
  struct OpenUpload {
    Key key = 0;
    engine::UploadId id = 0;
  };

  static void tell(const engine::Status& status, const engine::GetReply& answer, GetReply& reply);
  static Reply not_running() { return {Outcome::lost, "the engine is not running"}; }
  [[nodiscard]] std::optional<engine::UploadId> upload(Key key) const;
  void forget(Key key) {
    std::erase_if(uploads_, [key](const OpenUpload& each) { return each.key == key; });
  }
  /// What one life lends to the next.
  struct Lent {
    std::vector<std::byte> packed;
    std::vector<OpenUpload> uploads;
  };
  void end_life() {
    uploads_.clear();
    lent_.reset();
    drop_store();
    home_->kill();
    life_ended();
  }
  void drop_store() {
    remote_ = nullptr;
    store_.reset();
  }
  void life_ended() {
    if (home_->shared() != nullptr) {
      home_->shared()->life_ended();
    }
  }

  TargetConfig config_;
  bool in_process_;
  std::unique_ptr<EngineHome> home_;
  std::unique_ptr<engine::Store> store_;
  engine::service::RemoteStore* remote_ = nullptr;  ///< the same, where it is in another process
  std::vector<OpenUpload> uploads_;
  std::optional<Lent> lent_;
  std::uint32_t slot_bytes_ = 0;  ///< of the life that runs
  engine::GetReply engine_reply_;
};

faultfs::Result<Reply> EngineTarget::start(std::uint64_t seed, std::uint32_t slot_bytes) {
  const std::optional<Lent> lent = std::exchange(lent_, std::nullopt);
  end_life();
  slot_bytes_ = slot_bytes == 0 ? config_.slot_bytes : slot_bytes;
  auto store = home_->open(seed, slot_bytes_);
  if (home_->shared() != nullptr) {
    home_->shared()->start_ended();
  }
  if (!store) {
    return tl::unexpected(store.error());
  }
  if (!*store) {
    return Reply{Outcome::lost, store->error().message};
  }
  store_ = std::move(**store);
  remote_ = dynamic_cast<engine::service::RemoteStore*>(store_.get());
  if (lent) {
    uploads_ = lent->uploads;
    return reply_of(store_->resume(lent->packed));
  }
  return Reply{};
}

std::optional<engine::UploadId> EngineTarget::upload(Key key) const {
  const auto found = std::find_if(
      uploads_.begin(), uploads_.end(), [key](const OpenUpload& each) { return each.key == key; });
  return found == uploads_.end() ? std::nullopt : std::optional(found->id);
}

Reply EngineTarget::begin_put(Key key, std::string_view header, std::uint64_t body_bytes) {
  if (!store_) {
    return not_running();
  }
  const auto id = store_->begin_put(name(key), header, body_bytes);
  if (!id) {
    return reply_of(id.error());
  }
  uploads_.push_back({key, *id});
  return {};
}

Reply EngineTarget::append(Key key, faultfs::ByteView bytes) {
  const auto id = upload(key);
  if (!store_ || !id) {
    return store_ ? Reply{Outcome::refused, "no upload is open"} : not_running();
  }
  return reply_of(store_->append(*id, bytes));
}

Reply EngineTarget::finish_put(Key key) {
  const auto id = upload(key);
  if (!store_ || !id) {
    return store_ ? Reply{Outcome::refused, "no upload is open"} : not_running();
  }
  forget(key);
  return reply_of(store_->commit(*id));
}

Reply EngineTarget::abort_put(Key key) {
  const auto id = upload(key);
  if (!store_ || !id) {
    return store_ ? Reply{Outcome::refused, "no upload is open"} : not_running();
  }
  forget(key);
  return reply_of(store_->abort(*id));
}

GetReply EngineTarget::get(Key key, std::uint64_t offset_bytes, std::uint64_t size_bytes) {
  GetReply reply;
  get_into(key, offset_bytes, size_bytes, reply);
  return reply;
}

void EngineTarget::get_into(Key key,
                            std::uint64_t offset_bytes,
                            std::uint64_t size_bytes,
                            GetReply& reply) {
  reply.kind = GetReply::Kind::failed;
  if (!store_) {
    reply.detail = not_running().detail;
    return;
  }
  // The buffers go back and forth between the two replies and keep their room.
  std::swap(engine_reply_.header, reply.header);
  std::swap(engine_reply_.body, reply.body);
  const auto status = store_->get(name(key), {offset_bytes, size_bytes}, engine_reply_);
  std::swap(engine_reply_.header, reply.header);
  std::swap(engine_reply_.body, reply.body);
  tell(status, engine_reply_, reply);
}

/// The buffers have been exchanged.
void EngineTarget::tell(const engine::Status& status,
                        const engine::GetReply& answer,
                        GetReply& reply) {
  reply.kind = !status      ? GetReply::Kind::failed
               : answer.hit ? GetReply::Kind::hit
                            : GetReply::Kind::miss;
  reply.claimed_bytes = answer.body_bytes;
  if (!status) {
    reply.detail = status.error().message;
  }
}

void EngineTarget::get_each(const std::vector<Key>& keys,
                            GetReply& reply,
                            const std::function<bool(Key key)>& take) {
  if (remote_ == nullptr) {
    Target::get_each(keys, reply, take);
    return;
  }
  std::vector<std::string> names(keys.size());
  std::ranges::transform(keys, names.begin(), [this](Key key) { return name(key); });
  std::size_t at = 0;
  remote_->get_each(names, [&](const engine::Status& status, engine::GetReply& answer) {
    reply.clear();
    std::swap(answer.header, reply.header);
    std::swap(answer.body, reply.body);
    tell(status, answer, reply);
    const bool more = take(keys[at++]);
    std::swap(answer.header, reply.header);
    std::swap(answer.body, reply.body);
    return more;
  });
}

Reply EngineTarget::update_header(Key key, std::string_view header) {
  if (!store_) {
    return not_running();
  }
  const auto updated = store_->update_header(name(key), header);
  if (updated && !*updated) {
    return {Outcome::refused, "no such object"};
  }
  return reply_of(updated);
}

Reply EngineTarget::rebuild(std::uint64_t ticks_max, bool& more) {
  more = false;
  if (!store_) {
    return not_running();
  }
  const auto result = store_->ticks(ticks_max);
  more = result && *result;
  return reply_of(result);
}

Reply EngineTarget::stop() {
  if (!store_) {
    return not_running();
  }
  Reply reply = reply_of(store_->close());
  uploads_.clear();
  drop_store();
  if (reply.outcome == Outcome::done && !home_->wait_for_end()) {
    return {Outcome::lost, "cache-engine was told to stop and did not end"};
  }
  life_ended();
  return reply;
}

Reply EngineTarget::hand_over() {
  if (!store_) {
    return not_running();
  }
  const auto packed = store_->pack_uploads();
  if (!packed) {
    return reply_of(packed.error());
  }
  std::vector<OpenUpload> uploads = uploads_;
  Reply reply = stop();
  if (reply.outcome == Outcome::done) {
    lent_ = Lent{*packed, std::move(uploads)};
  }
  return reply;
}

void EngineTarget::order_shared(std::string_view word) {
  const auto places = engine::cyclone::divide(
      config_.disk_bytes, cyclone_layout(slot_bytes_), cyclone_division(config_));
  if (home_->shared() != nullptr && places) {
    home_->shared()->order(word, *places);
  }
}

std::optional<Structure> EngineTarget::structure() {
  return store_ ? std::optional(structure_of(store_->inspect())) : std::nullopt;
}

std::vector<std::pair<std::string, std::uint64_t>> EngineTarget::gate_refusals() {
  if (!store_) {
    return {};
  }
  std::vector<std::pair<std::string, std::uint64_t>> counts;
  for (engine::GateRefusals& refused : store_->refusals()) {
    counts.emplace_back(std::move(refused.gate), refused.count);
  }
  const std::uint64_t purges =
      home_->shared() != nullptr ? home_->shared()->take_purges_refused() : 0;
  if (purges > 0) {
    counts.emplace_back("purge_owner", purges);
  }
  return counts;
}

}  // namespace

faultfs::Result<std::filesystem::path> find_engine_program(const TargetConfig& config) {
  if (!config.program.empty()) {
    if (access(config.program.c_str(), X_OK) != 0) {
      return faultfs::fail(fmt::format("program {} cannot be run", config.program));
    }
    return std::filesystem::absolute(config.program);
  }
  std::error_code error;
  const auto here = std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
  for (const char* place : {"cache-engine", "../engine/cache-engine"}) {
    const std::filesystem::path program = (here / place).lexically_normal();
    if (access(program.c_str(), X_OK) == 0) {
      return program;
    }
  }
  return faultfs::fail(
      fmt::format("cache-engine is not beside {} and not in {}; name it with --program",
                  here.string(),
                  (here / "../engine").lexically_normal().string()));
}

faultfs::Result<std::unique_ptr<Target>> make_engine(const TargetConfig& config, const Rig& rig) {
  if (rig.disk_dir.empty()) {
    return std::make_unique<EngineTarget>(config, true, make_memory_home(config, rig));
  }
  if (config.store == "memory") {
    return faultfs::fail("store memory has no disk to mount; it is run with --device memory");
  }
  auto program = find_engine_program(config);
  if (!program) {
    return tl::unexpected(program.error());
  }
  return std::make_unique<EngineTarget>(
      config, false, make_process_home(config, rig, std::move(*program)));
}

}  // namespace scenarios
