#include <fmt/format.h>

#include "engine/volumes/volume_store.h"

namespace engine::volumes {
namespace {

class BehindLabel final : public Store {
 public:
  BehindLabel(std::unique_ptr<Store> store, const Label& label, std::string disk_name)
      : store_(std::move(store)),
        tag_(label.tag),
        prefix_(key_prefix(label)),
        disk_name_(std::move(disk_name)) {}

  [[nodiscard]] Result<UploadId> begin_put(std::string_view key,
                                           std::string_view header,
                                           std::uint64_t body_bytes) override {
    return store_->begin_put(full(key), header, body_bytes);
  }
  [[nodiscard]] Status append(UploadId upload, std::span<const std::byte> bytes) override {
    return store_->append(upload, bytes);
  }
  [[nodiscard]] Status commit(UploadId upload) override { return store_->commit(upload); }
  [[nodiscard]] Status abort(UploadId upload) override { return store_->abort(upload); }
  [[nodiscard]] Status get(std::string_view key, ByteRange range, GetReply& reply) override {
    return store_->get(full(key), range, reply);
  }
  [[nodiscard]] Result<bool> verify(std::string_view key) override {
    return store_->verify(full(key));
  }
  [[nodiscard]] Result<bool> update_header(std::string_view key, std::string_view header) override {
    return store_->update_header(full(key), header);
  }
  [[nodiscard]] Result<bool> purge(std::string_view key) override {
    return store_->purge(full(key));
  }
  [[nodiscard]] Status purge_all() override { return store_->purge_all(); }
  [[nodiscard]] Status sync() override { return store_->sync(); }
  [[nodiscard]] Result<bool> tick() override { return store_->tick(); }
  [[nodiscard]] Status close() override { return store_->close(); }
  [[nodiscard]] Stats stats() const override { return store_->stats(); }
  [[nodiscard]] Inspection inspect() const override {
    Inspection view = store_->inspect();
    for (EntryUse& entry : view.entries) {
      if (entry.key.starts_with(prefix_)) {
        entry.key.erase(0, prefix_.size());
      }
    }
    view.disks = {{disk_name_, tag_, 0, static_cast<std::uint32_t>(view.units.size()), {}}};
    return view;
  }

 private:
  [[nodiscard]] std::string full(std::string_view key) const { return prefix_ + std::string(key); }

  std::unique_ptr<Store> store_;
  VolumeTag tag_;
  std::string prefix_;
  std::string disk_name_;
};

}  // namespace

std::unique_ptr<Store> behind_label(std::unique_ptr<Store> store,
                                    const Label& label,
                                    std::string disk_name) {
  return std::make_unique<BehindLabel>(std::move(store), label, std::move(disk_name));
}

}  // namespace engine::volumes
