// The store on one span: its header, and one stripe over the rest, with the live directory on the
// heap.
#include <fmt/format.h>

#include "engine/cyclone/span_header.h"
#include "engine/cyclone/store.h"
#include "engine/cyclone/stripe.h"

namespace engine::cyclone {
namespace {

class CycloneStore final : public Store {
 public:
  CycloneStore(block::Device& device,
               const Config& config,
               const StripeGeometry& geometry,
               bool read_only)
      : device_(device),
        config_(config),
        read_only_(read_only),
        image_(geometry.copy_bytes),
        stripe_(std::make_unique<Stripe>(device, config, geometry, image_.bytes(), read_only)) {}

  [[nodiscard]] Status open();

  [[nodiscard]] Result<UploadId> begin_put(std::string_view key,
                                           std::string_view header,
                                           std::uint64_t body_bytes) override {
    const Status may = may_change();
    return may ? stripe_->uploads().begin(key, header, body_bytes) : tl::unexpected(may.error());
  }
  [[nodiscard]] Status append(UploadId upload, std::span<const std::byte> bytes) override {
    const Status may = may_change();
    return may ? stripe_->uploads().append(upload, bytes) : may;
  }
  [[nodiscard]] Status commit(UploadId upload) override {
    const Status may = may_change();
    return may ? stripe_->uploads().commit(upload) : may;
  }
  [[nodiscard]] Status abort(UploadId upload) override {
    const Status may = may_change();
    return may ? stripe_->uploads().abort(upload) : may;
  }
  [[nodiscard]] Status get(std::string_view key, ByteRange range, GetReply& reply) override {
    return closed_ ? fail(Trouble::gone, "the store is closed")
                   : stripe_->reader().get(key, range, reply);
  }
  [[nodiscard]] Result<bool> update_header(std::string_view key, std::string_view header) override {
    const Status may = may_change();
    return may ? stripe_->uploads().update_header(key, header) : tl::unexpected(may.error());
  }
  [[nodiscard]] Result<bool> purge(std::string_view key) override {
    const Status may = may_change();
    return may ? stripe_->uploads().purge(key) : tl::unexpected(may.error());
  }
  [[nodiscard]] Status sync() override {
    const Status may = may_change();
    return may ? stripe_->sync() : may;
  }
  [[nodiscard]] Result<bool> tick() override {
    return closed_ ? fail(Trouble::gone, "the store is closed") : stripe_->tick();
  }
  [[nodiscard]] Status close() override {
    if (closed_ || read_only_) {
      closed_ = true;
      return {};
    }
    closed_ = true;
    return stripe_->close();
  }
  [[nodiscard]] Inspection inspect() const override { return stripe_->inspect(); }
  [[nodiscard]] Stats stats() const override { return stripe_->stats(); }

 private:
  /// A change needs the cursor, so recovery is finished first.
  [[nodiscard]] Status may_change() {
    if (closed_) {
      return fail(Trouble::gone, "the store is closed");
    }
    return read_only_ ? fail(Trouble::invalid, "the store is open for inspection only")
                      : stripe_->finish_recovery();
  }

  block::Device& device_;
  Config config_;
  bool read_only_;
  bool closed_ = false;
  PageBuffer image_;
  std::unique_ptr<Stripe> stripe_;
};

/// Clear, in an order that is safe at every cut: the new instance is durable first.
Status CycloneStore::open() {
  bool blank = false;
  Gates& gates = stripe_->core().gates;
  const auto header = read_span(device_, gates, blank);
  if (!header) {
    return tl::unexpected(header.error());
  }
  const bool ours = *header && (*header)->span_bytes == device_.size_bytes() &&
                    (*header)->layout == config_.layout;
  if (ours) {
    return stripe_->recover((*header)->instance);
  }
  if (*header) {
    gates.refuse(Gate::span_header);
  }
  Random& random = stripe_->core().random;
  SpanHeader fresh;
  fresh.span_bytes = device_.size_bytes();
  fresh.serial = *header ? (*header)->serial + 1 : 1;
  fresh.instance.low = random.next();
  fresh.instance.high = random.next();
  fresh.layout = config_.layout;
  if (read_only_) {
    return stripe_->recover(fresh.instance);
  }
  const Status written = write_span(device_, fresh);
  return written ? stripe_->clear(fresh.instance) : written;
}

Result<std::unique_ptr<Store>> make_store(block::Device& device,
                                          const Config& config,
                                          bool read_only) {
  const std::uint64_t bytes = device.size_bytes();
  if (bytes < span_reserved_bytes + stripe_bytes_min) {
    return fail(Trouble::invalid,
                fmt::format("a disk of {} bytes is too small; allowed: from {}",
                            bytes,
                            span_reserved_bytes + stripe_bytes_min));
  }
  const auto geometry =
      make_geometry(span_reserved_bytes, bytes - span_reserved_bytes, config.layout);
  if (!geometry) {
    return tl::unexpected(geometry.error());
  }
  auto store = std::make_unique<CycloneStore>(device, config, *geometry, read_only);
  const Status opened = store->open();
  if (!opened) {
    return tl::unexpected(opened.error());
  }
  return store;
}

}  // namespace

Result<std::unique_ptr<Store>> open_store(block::Device& device, const Config& config) {
  return make_store(device, config, false);
}

Result<std::unique_ptr<Store>> open_for_inspection(block::Device& device, const Config& config) {
  return make_store(device, config, true);
}

Result<Layout> layout_of(block::Device& device) {
  Gates gates({});
  bool blank = false;
  const auto header = read_span(device, gates, blank);
  if (!header || !*header) {
    return fail(Trouble::invalid, "the disk has no span header of a cyclone store");
  }
  return (*header)->layout;
}

bool is_span(block::Device& device) {
  return layout_of(device).has_value();
}

}  // namespace engine::cyclone
