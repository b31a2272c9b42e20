#pragma once

#include <memory>

#include "engine/rock/core.h"
#include "engine/rock/reader.h"
#include "engine/rock/rebuild.h"
#include "engine/rock/space.h"
#include "engine/rock/update.h"
#include "engine/rock/upload.h"

namespace engine::rock {

/// The slot store: its parts, and which of the rules of `engine::Store` need more than one part.
class RockStore final : public Store {
 public:
  RockStore(block::Device& device, const Config& config, Geometry geometry, bool read_only);
  /// Adopts the disk and begins a life on it (database.h).
  [[nodiscard]] Status open();

  [[nodiscard]] Result<UploadId> begin_put(std::string_view key,
                                           std::string_view header,
                                           std::uint64_t body_bytes) override;
  [[nodiscard]] Status append(UploadId upload, std::span<const std::byte> bytes) override;
  [[nodiscard]] Status commit(UploadId upload) override;
  [[nodiscard]] Status abort(UploadId upload) override;
  [[nodiscard]] Status get(std::string_view key, ByteRange range, GetReply& reply) override;
  [[nodiscard]] bool still(std::string_view key, std::span<const std::uint64_t> parts) override;
  [[nodiscard]] Result<bool> update_header(std::string_view key, std::string_view header) override;
  [[nodiscard]] Result<bool> purge(std::string_view key) override;
  [[nodiscard]] Status purge_all() override;
  [[nodiscard]] Status sync() override;
  [[nodiscard]] Result<bool> tick() override { return ticks(1); }
  [[nodiscard]] Result<bool> ticks(std::uint64_t slices) override;
  [[nodiscard]] Status close() override;
  [[nodiscard]] Inspection inspect() const override;
  [[nodiscard]] Stats stats() const override;
  [[nodiscard]] std::vector<GateRefusals> refusals() const override {
    return core_.gates.refused();
  }

  /// For the inspection of a disk that is not in use.
  [[nodiscard]] Core& core() { return core_; }
  [[nodiscard]] Rebuild& rebuild() { return rebuild_; }
  [[nodiscard]] Reader& reader() { return reader_; }

 private:
  [[nodiscard]] Status may_change() const;

  Core core_;
  Rebuild rebuild_;
  Space space_;
  Reader reader_;
  Uploads uploads_;
  Updater updater_;
  bool closed_ = false;
};

/// As `open_store` or `open_for_inspection`, with its parts in reach.
[[nodiscard]] Result<std::unique_ptr<RockStore>> make_store(block::Device& device,
                                                            const Config& config,
                                                            bool read_only);

}  // namespace engine::rock
