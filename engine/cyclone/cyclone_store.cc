// The store on one span: its header, and one stripe over the rest. The live directory is on the
// heap, or in shared memory, where the next life may find it (restart/).
//
// An opening, in this order:
//
//   1. shared memory: the control segment's gates; the clean mark is taken back
//   2. the span header is read: which instance, and how many lives were there?
//   3. the stripe's image is asked for. It is that of the life before only where its binding is
//   what
//      the disk says: instance, number of lives, serials and cursor of the newest copy
//   4. the new life is counted in the span header, durably
//   5. an attached image goes through the structural validator; it is the directory then. Every
//      other one is loaded from the disk's copies
//
// A kill between 1 and the end of `close` leaves no clean mark; one after 4, or an opening without
// shared memory, a disk that has been opened once more than any image there says. So no image is
// attached that is not of the very life before. Example: life 7 ends in order, life 8 runs with
// shared memory switched off and is killed before it syncs anything; life 9 finds the image of life
// 7, clean, and a disk that counts 8.
//
// An end, in this order: the stripe is closed (everything durable, the copy on the disk is the
// image in memory), then it is gone, and nobody can write the image any more; then the image is
// sealed, and last comes the clean mark. Where the device refused something in this life, the image
// is marked untrusted before.
#include <fmt/format.h>

#include "engine/cyclone/shared_format.h"
#include "engine/cyclone/span_header.h"
#include "engine/cyclone/store.h"
#include "engine/cyclone/stripe.h"

namespace engine::cyclone {
namespace {

restart::StartRequest start_request(const Config& config,
                                    const SharedDirectory& shared,
                                    const StripeGeometry& geometry) {
  restart::StartRequest request;
  request.config = shared.config;
  request.config.enabled = shared.config.enabled && shared.memory != nullptr;
  for (const std::string& name : config.gates_off) {
    if (const auto gate = restart::find_gate(name)) {
      request.config.gates_off.push_back(*gate);
    }
  }
  if (request.config.enabled) {
    request.spans = {
        {shared.identity, geometry.end / store_block_bytes, geometry.begin, geometry.sector_bytes}};
    request.format_facts = shared_format_facts();
  }
  return request;
}

class CycloneStore final : public Store {
 public:
  CycloneStore(block::Device& device,
               const Config& config,
               const StripeGeometry& geometry,
               const SharedDirectory& shared,
               bool read_only)
      : device_(device),
        config_(config),
        geometry_(geometry),
        identity_(fmt::format("{} {}:{}", shared.identity, geometry.begin, geometry.end)),
        read_only_(read_only),
        restart_(shared.memory != nullptr ? *shared.memory : restart::posix_shared_memory(),
                 start_request(config, shared, geometry),
                 shared.log) {}

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
    return stripe_ ? stripe_->reader().get(key, range, reply) : gone();
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
    return stripe_ ? stripe_->tick() : tl::unexpected(gone().error());
  }
  [[nodiscard]] Status close() override;
  [[nodiscard]] Inspection inspect() const override {
    return stripe_ ? stripe_->inspect() : Inspection();
  }
  [[nodiscard]] Stats stats() const override;

 private:
  [[nodiscard]] static Status gone() { return fail(Trouble::gone, "the store is closed"); }
  /// A change needs the cursor, so recovery is finished first.
  [[nodiscard]] Status may_change() {
    if (!stripe_) {
      return gone();
    }
    return read_only_ ? fail(Trouble::invalid, "the store is open for inspection only")
                      : stripe_->finish_recovery();
  }
  [[nodiscard]] Status begin(const std::optional<SpanHeader>& found, Gates& gates);
  [[nodiscard]] Status take_image(const restart::Binding& disk);
  /// False: its structure is not a directory's.
  [[nodiscard]] bool accept_image(const Instance& instance);
  [[nodiscard]] restart::Binding binding(const ImageHeader& header) const;

  block::Device& device_;
  Config config_;
  StripeGeometry geometry_;
  std::string identity_;
  bool read_only_;
  restart::FastRestart restart_;
  std::optional<restart::StripeImage> image_;
  std::unique_ptr<Stripe> stripe_;  // in the image; gone once it is closed
  std::uint64_t life_ = 0;
  bool attached_ = false;
  Stats last_stats_;
};

restart::Binding CycloneStore::binding(const ImageHeader& header) const {
  return {header.instance.low,
          header.instance.high,
          life_,
          header.sync_serial,
          header.write_serial,
          header.write_pos};
}

Status CycloneStore::take_image(const restart::Binding& disk) {
  auto image = restart_.take(identity_, geometry_.copy_bytes, disk);
  if (!image) {
    return tl::unexpected(image.error());
  }
  image_.emplace(std::move(*image));
  stripe_ = std::make_unique<Stripe>(device_, config_, geometry_, image_->bytes(), read_only_);
  return {};
}

bool CycloneStore::accept_image(const Instance& instance) {
  Gates& gates = stripe_->core().gates;
  const auto fault = validate_image(image_->bytes(), geometry_, gates.image_checks());
  if (fault) {
    gates.refuse(fault->check);
    image_->refuse_structure(fmt::format("{}: {}", image_check_name(fault->check), fault->text));
    return false;
  }
  stripe_->attach(instance);
  attached_ = true;
  return true;
}

/// A clear goes in an order that is safe at every cut: the new instance is durable first.
Status CycloneStore::begin(const std::optional<SpanHeader>& found, Gates& gates) {
  const bool ours =
      found && found->span_bytes == device_.size_bytes() && found->layout == config_.layout;
  SpanHeader header;
  if (ours) {
    header = *found;
  } else {
    Random random(mix(config_.seed, 1));
    header.span_bytes = device_.size_bytes();
    header.serial = found ? found->serial : 0;
    header.instance.low = random.next();
    header.instance.high = random.next();
    header.layout = config_.layout;
    if (found) {
      gates.refuse(Gate::span_header);
    }
  }
  life_ = header.life;
  restart::Binding disk;
  if (ours && restart_.mode() == restart::Mode::attaching) {
    const auto newest =
        newest_header(device_, geometry_, header.instance, Gates(config_.gates_off));
    disk = newest ? binding(*newest) : disk;
  }
  Status done = take_image(disk);
  if (done) {
    stripe_->core().gates.add(gates);
  }
  if (done && read_only_) {
    return stripe_->recover(header.instance);
  }
  ++header.serial;
  header.life = ++life_;
  done = done ? write_span(device_, header) : done;
  if (!done) {
    return done;
  }
  if (!ours) {
    return stripe_->clear(header.instance);
  }
  return image_->attached() && accept_image(header.instance) ? done
                                                             : stripe_->recover(header.instance);
}

Status CycloneStore::open() {
  bool blank = false;
  Gates gates(config_.gates_off);
  const auto header = read_span(device_, gates, blank);
  if (!header) {
    return tl::unexpected(header.error());
  }
  const Status begun = begin(*header, gates);
  restart_.finish_start();
  return begun;
}

Status CycloneStore::close() {
  if (!stripe_) {
    return {};
  }
  if (read_only_) {
    last_stats_ = stripe_->stats();
    stripe_.reset();
    return {};
  }
  const Status done = stripe_->close();
  const Core& core = stripe_->core();
  if (!done || core.counters.failed_writes > 0 || core.counters.failed_syncs > 0) {
    image_->distrust("the device refused something in this life");
  }
  const restart::Binding disk = binding(core.header);
  last_stats_ = stripe_->stats();
  stripe_.reset();
  std::vector<restart::SealedImage> sealed;
  sealed.push_back(std::move(*image_).seal(disk));
  image_.reset();
  static_cast<void>(restart_.mark_clean(std::move(sealed)));
  return done;
}

Stats CycloneStore::stats() const {
  Stats stats = stripe_ ? stripe_->stats() : last_stats_;
  stats.refusals.merge(restart_.refusals());
  stats.counters.merge(restart_.counters());
  stats.counters["attached"] = attached_ ? 1 : 0;
  return stats;
}

Result<std::unique_ptr<Store>> make_store(block::Device& device,
                                          const Config& config,
                                          const SharedDirectory& shared,
                                          bool read_only) {
  const auto geometry = geometry_of_disk(device.size_bytes(), config.layout);
  if (!geometry) {
    return tl::unexpected(geometry.error());
  }
  auto store = std::make_unique<CycloneStore>(device, config, *geometry, shared, read_only);
  const Status opened = store->open();
  if (!opened) {
    return tl::unexpected(opened.error());
  }
  return store;
}

}  // namespace

Result<StripeGeometry> geometry_of_disk(std::uint64_t bytes, const Layout& layout) {
  if (bytes < span_reserved_bytes + stripe_bytes_min) {
    return fail(Trouble::invalid,
                fmt::format("a disk of {} bytes is too small; allowed: from {}",
                            bytes,
                            span_reserved_bytes + stripe_bytes_min));
  }
  return make_geometry(span_reserved_bytes, bytes - span_reserved_bytes, layout);
}

Result<std::unique_ptr<Store>> open_store(block::Device& device,
                                          const Config& config,
                                          const SharedDirectory& shared) {
  return make_store(device, config, shared, false);
}

Result<std::unique_ptr<Store>> open_for_inspection(block::Device& device, const Config& config) {
  return make_store(device, config, {}, true);
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
