#include "engine/volumes/volume_store.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "engine/base/random.h"
#include "engine/block/window.h"
#include "engine/volumes/homes.h"

namespace engine::volumes {
namespace {

constexpr unsigned upload_disk_bits = 16;

/// One disk with its store; without one where the disk cannot be used.
struct Part {
  std::string name;
  VolumeTag tag = 0;
  std::unique_ptr<block::Window> window;
  std::unique_ptr<Store> store;
  std::string key_prefix;  ///< volume, nonce: nothing stored under another is ever found
  std::string trouble;
};

void strip(std::string& key, const std::string& prefix) {
  if (key.starts_with(prefix)) {
    key.erase(0, prefix.size());
  }
}

class VolumeStore final : public Store {
 public:
  explicit VolumeStore(const VolumeConfig& config) : config_(config) {}

  [[nodiscard]] Status open(const std::vector<TaggedDisk>& disks, const OpenStore& open_store);

  [[nodiscard]] Result<UploadId> begin_put(std::string_view key,
                                           std::string_view header,
                                           std::uint64_t body_bytes) override {
    const std::size_t home = home_of(key);
    const Part& part = parts_[home];
    if (!part.store) {
      return tl::unexpected(missing(part));
    }
    const auto upload =
        part.store->begin_put(part.key_prefix + std::string(key), header, body_bytes);
    return upload ? Result<UploadId>((*upload << upload_disk_bits) | home) : upload;
  }
  [[nodiscard]] Status append(UploadId upload, std::span<const std::byte> bytes) override {
    Store* const store = store_of(upload);
    return store != nullptr ? store->append(upload >> upload_disk_bits, bytes) : unknown(upload);
  }
  [[nodiscard]] Status commit(UploadId upload) override {
    Store* const store = store_of(upload);
    return store != nullptr ? store->commit(upload >> upload_disk_bits) : unknown(upload);
  }
  [[nodiscard]] Status abort(UploadId upload) override {
    Store* const store = store_of(upload);
    return store != nullptr ? store->abort(upload >> upload_disk_bits) : unknown(upload);
  }
  [[nodiscard]] Status get(std::string_view key, ByteRange range, GetReply& reply) override {
    const Part& part = parts_[home_of(key)];
    if (part.store) {
      return part.store->get(part.key_prefix + std::string(key), range, reply);
    }
    reply = GetReply{};
    return {};
  }
  [[nodiscard]] bool still(std::string_view key, std::span<const std::uint64_t> parts) override {
    const Part& part = parts_[home_of(key)];
    return part.store && part.store->still(part.key_prefix + std::string(key), parts);
  }
  [[nodiscard]] Result<bool> verify(std::string_view key) override {
    const Part& part = parts_[home_of(key)];
    return part.store ? part.store->verify(part.key_prefix + std::string(key))
                      : tl::unexpected(missing(part));
  }
  [[nodiscard]] Result<bool> update_header(std::string_view key, std::string_view header) override {
    const Part& part = parts_[home_of(key)];
    return part.store ? part.store->update_header(part.key_prefix + std::string(key), header)
                      : Result<bool>(false);
  }
  /// Error where the disk is missing: the object may come back with it.
  [[nodiscard]] Result<bool> purge(std::string_view key) override {
    const Part& part = parts_[home_of(key)];
    return part.store ? part.store->purge(part.key_prefix + std::string(key))
                      : tl::unexpected(missing(part));
  }
  /// Error where a disk is missing, with the others purged: its objects may come back with it.
  [[nodiscard]] Status purge_all() override {
    Status outcome = each([](Store& store) { return store.purge_all(); });
    for (const Part& part : parts_) {
      outcome = outcome && !part.store ? tl::unexpected(missing(part)) : outcome;
    }
    return outcome;
  }
  [[nodiscard]] Status sync() override {
    return each([](Store& store) { return store.sync(); });
  }
  [[nodiscard]] Result<bool> tick() override {
    bool more = false;
    const Status done = each([&more](Store& store) {
      const auto ticked = store.tick();
      more = more || (ticked && *ticked);
      return ticked ? Status{} : tl::unexpected(ticked.error());
    });
    return done ? Result<bool>(more) : tl::unexpected(done.error());
  }
  [[nodiscard]] Status close() override {
    return each([](Store& store) { return store.close(); });
  }
  [[nodiscard]] Inspection inspect() const override;
  [[nodiscard]] Stats stats() const override;

 private:
  [[nodiscard]] std::size_t home_of(std::string_view key) const { return homes_->home_of(key); }
  [[nodiscard]] Store* store_of(UploadId upload) const {
    const std::size_t home = upload & ((1U << upload_disk_bits) - 1);
    return home < parts_.size() ? parts_[home].store.get() : nullptr;
  }
  static Error missing(const Part& part) {
    return {Trouble::device, fmt::format("disk {} is missing: {}", part.name, part.trouble)};
  }
  static Status unknown(UploadId upload) {
    return fail(Trouble::gone, fmt::format("no upload {} is in progress", upload));
  }
  /// Every store, whatever the others say; the first trouble.
  template <typename Action>
  Status each(const Action& action) {
    Status outcome;
    for (const Part& part : parts_) {
      const Status done = part.store ? action(*part.store) : Status{};
      outcome = outcome ? done : outcome;
    }
    return outcome;
  }
  [[nodiscard]] std::vector<std::string> facts_of(VolumeTag tag,
                                                  const std::vector<TaggedDisk>& disks) const;
  void tell(const std::string& line) const {
    if (config_.log) {
      config_.log(line);
    }
  }
  [[nodiscard]] Status open_part(const TaggedDisk& disk,
                                 const std::vector<std::string>& facts,
                                 const OpenStore& open_store,
                                 std::uint64_t seed);
  /// A configuration that cannot be is an error; a disk that refuses is one less.
  [[nodiscard]] Status without(Part& part, const Error& error) const {
    if (error.trouble == Trouble::invalid) {
      return fail(Trouble::invalid, fmt::format("disk {}: {}", part.name, error.message));
    }
    part.trouble = error.message;
    tell(fmt::format("disk {} of volume {} is not used: {}", part.name, part.tag, part.trouble));
    return {};
  }

  VolumeConfig config_;
  std::vector<Part> parts_;
  std::optional<Homes> homes_;
  std::map<std::string, std::uint64_t> refusals_;
};

/// What must be as it was for the disks of a volume to be read. A disk that is missing now still
/// counts: it is part of the configuration.
std::vector<std::string> VolumeStore::facts_of(VolumeTag tag,
                                               const std::vector<TaggedDisk>& disks) const {
  std::vector<std::string> facts = {fmt::format("label {}", label_version),
                                    config_.store_facts,
                                    fmt::format("keys {}", key_mode_name(config_.key_mode)),
                                    config_.hosting.to_text()};
  for (const std::size_t number : homes_->disks_of(tag)) {
    facts.push_back(fmt::format("disk {} {}", disks[number].name, disks[number].share_bytes));
  }
  return facts;
}

Status VolumeStore::open_part(const TaggedDisk& disk,
                              const std::vector<std::string>& facts,
                              const OpenStore& open_store,
                              std::uint64_t seed) {
  Part& part = parts_.emplace_back();
  part.name = disk.name;
  part.tag = disk.tag;
  part.trouble = disk.trouble;
  if (disk.device == nullptr) {
    tell(fmt::format("disk {} of volume {} is missing: {}", disk.name, disk.tag, disk.trouble));
    return {};
  }
  part.trouble.clear();
  std::vector<std::string> own_facts = facts;
  own_facts.push_back(
      fmt::format("this disk {} of {} bytes", disk.name, disk.device->size_bytes()));
  const auto label = open_label(*disk.device, disk.tag, own_facts, seed);
  if (!label) {
    return without(part, label.error());
  }
  if (label->gate && *label->gate != LabelGate::missing) {
    ++refusals_[std::string(label_gate_table.name(*label->gate))];
    tell(fmt::format("disk {} of volume {} was cleared: {} ({})",
                     disk.name,
                     disk.tag,
                     label_gate_table.name(*label->gate),
                     label_gate_reason(*label->gate)));
  }
  part.key_prefix = key_prefix(label->label);
  part.window = std::make_unique<block::Window>(
      *disk.device, label_bytes, disk.device->size_bytes() - label_bytes);
  auto store = open_store({part.name, part.key_prefix, *part.window, mix(seed, 7)});
  if (!store) {
    return without(part, store.error());
  }
  part.store = std::move(*store);
  return {};
}

Status VolumeStore::open(const std::vector<TaggedDisk>& disks, const OpenStore& open_store) {
  std::vector<DiskFacts> facts;
  facts.reserve(disks.size());
  for (const TaggedDisk& disk : disks) {
    // As configured: a missing disk must not move the others' objects.
    facts.push_back({disk.name, disk.tag, disk.share_bytes});
  }
  for (const VolumeTag tag : config_.hosting.volumes()) {
    const auto carries = [tag](const TaggedDisk& disk) { return disk.tag == tag; };
    if (std::none_of(disks.begin(), disks.end(), carries)) {
      return fail(Trouble::invalid,
                  fmt::format("a hosting rule names volume {}, and no disk carries that tag", tag));
    }
  }
  homes_.emplace(facts, config_.hosting);
  for (std::size_t number = 0; number < disks.size(); ++number) {
    TaggedDisk disk = disks[number];
    for (const std::size_t other : homes_->disks_of(disk.tag)) {
      if (disk.device != nullptr && disks[other].share_bytes == 0) {
        disk.device = nullptr;
        disk.trouble = fmt::format(
            "it stays closed, because {} of its volume is missing too and nobody says how large "
            "that is",
            disks[other].name);
      }
    }
    const Status opened =
        open_part(disk, facts_of(disk.tag, disks), open_store, mix(config_.seed, number));
    if (!opened) {
      return opened;
    }
  }
  const bool any = std::any_of(
      parts_.begin(), parts_.end(), [](const Part& part) { return part.store != nullptr; });
  return any ? Status{}
             : fail(Trouble::device,
                    parts_.empty() ? std::string("a store of volumes needs at least one disk")
                                   : missing(parts_.front()).message);
}

/// The disks' units one after another; keys without what the disks put before them.
Inspection VolumeStore::inspect() const {
  Inspection all;
  for (const Part& part : parts_) {
    const auto first_unit = static_cast<std::uint32_t>(all.units.size());
    all.disks.push_back({part.name, part.tag, first_unit, 0, part.trouble});
    if (!part.store) {
      continue;
    }
    Inspection view = part.store->inspect();
    all.disks.back().unit_count = static_cast<std::uint32_t>(view.units.size());
    for (EntryUse& entry : view.entries) {
      strip(entry.key, part.key_prefix);
    }
    all.add(std::move(view));
  }
  return all;
}

Stats VolumeStore::stats() const {
  Stats all;
  all.refusals = refusals_;
  all.recovery.finished = true;
  for (const Part& part : parts_) {
    if (!part.store) {
      ++all.counters["missing_disks"];
      continue;
    }
    all.add(part.store->stats());
  }
  return all;
}

}  // namespace

Result<std::unique_ptr<Store>> open_volumes(const std::vector<TaggedDisk>& disks,
                                            const VolumeConfig& config,
                                            const OpenStore& open_store) {
  auto store = std::make_unique<VolumeStore>(config);
  const Status opened = store->open(disks, open_store);
  return opened ? Result<std::unique_ptr<Store>>(std::move(store)) : tl::unexpected(opened.error());
}

}  // namespace engine::volumes
