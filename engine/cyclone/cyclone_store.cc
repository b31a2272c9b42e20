// The store on one span: its header, and stripes over the rest. Each stripe's live directory is on
// the heap, or in shared memory, where the next life may find it (restart/).
//
// An opening, in this order:
//
//   1. shared memory: the control segment's gates; the clean mark is taken back
//   2. the span header is read: which instance, and how many lives were there?
//   3. each stripe's image is asked for. It is that of the life before only where its binding is
//      what the disk says: instance, number of lives, serials and cursor of the newest copy
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
// Stripes are independent of each other: one whose image is refused is loaded from the disk while
// the others attach theirs. Steps 3 and 5 take several of them at a time where the device takes
// several requests; recovery by `tick` goes through them in order, one slice at a time, and those
// that are done serve.
//
// An end, in this order: every stripe is closed (everything durable, the copy on the disk is the
// image in memory), then it is gone, and nobody can write the image any more; then the images are
// sealed, and last comes the clean mark. Where the device refused something to a stripe in this
// life, its image is marked untrusted before.
#include <algorithm>

#include <fmt/format.h>

#include "engine/base/parallel.h"
#include "engine/cyclone/shared_format.h"
#include "engine/cyclone/span_header.h"
#include "engine/cyclone/store.h"
#include "engine/cyclone/stripe.h"

namespace engine::cyclone {
namespace {

constexpr unsigned upload_stripe_bits = 8;
static_assert(stripe_count_max <= 1U << upload_stripe_bits);
constexpr std::uint64_t stripe_seeds = 1000;  // parts of a seed from here on are the stripes'

/// One stripe, and the memory its directory is in.
struct Part {
  StripeGeometry geometry;
  std::string identity;
  std::optional<restart::StripeImage> image;
  std::unique_ptr<Stripe> stripe;  // in the image; gone once it is closed
  bool attached = false;
  Stats last_stats;  // of a stripe that is gone
};

class CycloneStore final : public Store {
 public:
  CycloneStore(block::Device& device,
               const Config& config,
               const std::vector<StripePlace>& places,
               const SharedDirectory& shared,
               bool read_only)
      : device_(device),
        config_(config),
        threads_(device.takes_many() ? config.threads : 1),
        placement_(places, config.division),
        parts_(places.size()),
        read_only_(read_only),
        live_(shared.live),
        restart_(shared.memory != nullptr ? *shared.memory : restart::posix_shared_memory(),
                 start_request(config, shared, device.size_bytes()),
                 shared.log) {
    for (std::size_t n = 0; n < places.size(); ++n) {
      const StripeGeometry& geometry = places[n].geometry;
      parts_[n].geometry = geometry;
      parts_[n].identity = fmt::format("{} {}:{}", shared.identity, geometry.begin, geometry.end);
    }
  }

  [[nodiscard]] Status open();

  [[nodiscard]] Result<UploadId> begin_put(std::string_view key,
                                           std::string_view header,
                                           std::uint64_t body_bytes) override {
    const std::size_t at = placement_.stripe_of(key);
    const Status may = may_change(parts_[at]);
    if (!may) {
      return tl::unexpected(may.error());
    }
    const auto upload = parts_[at].stripe->uploads().begin(key, header, body_bytes);
    publish(parts_[at]);
    return upload ? Result<UploadId>((*upload << upload_stripe_bits) | at) : upload;
  }
  [[nodiscard]] Status append(UploadId upload, std::span<const std::byte> bytes) override {
    return change(upload,
                  [bytes](Uploads& of, UploadId number) { return of.append(number, bytes); });
  }
  [[nodiscard]] Status commit(UploadId upload) override {
    return change(upload, [](Uploads& of, UploadId number) { return of.commit(number); });
  }
  [[nodiscard]] Status abort(UploadId upload) override {
    return change(upload, [](Uploads& of, UploadId number) { return of.abort(number); });
  }
  [[nodiscard]] Status get(std::string_view key, ByteRange range, GetReply& reply) override {
    const Part& part = part_of(key);
    return part.stripe ? part.stripe->reader().get(key, range, reply) : gone();
  }
  [[nodiscard]] bool still(std::string_view key, std::span<const std::uint64_t> parts) override {
    const Part& part = part_of(key);
    return part.stripe && part.stripe->reader().still(key, parts);
  }
  [[nodiscard]] Result<bool> update_header(std::string_view key, std::string_view header) override {
    return change(part_of(key), [=](Uploads& of) { return of.update_header(key, header); });
  }
  [[nodiscard]] Result<bool> purge(std::string_view key) override {
    return change(part_of(key), [=](Uploads& of) { return of.purge(key); });
  }
  /// Stripe by stripe: a cut leaves some of them purged.
  [[nodiscard]] Status purge_all() override {
    return each(
        [this](Part& part) { return change(part, [](Uploads& of) { return of.purge_all(); }); });
  }
  [[nodiscard]] Status sync() override {
    return each([this](Part& part) {
      const Status may = may_change(part);
      const Status done = may ? part.stripe->sync() : may;
      publish(part);
      return done;
    });
  }
  [[nodiscard]] Result<bool> tick() override;
  [[nodiscard]] Status close() override;
  [[nodiscard]] Result<std::vector<std::byte>> pack_uploads() override;
  [[nodiscard]] Status resume(std::span<const std::byte> uploads) override;
  [[nodiscard]] bool being_put(std::string_view key) override {
    const Part& part = part_of(key);
    return part.stripe && part.stripe->uploads().is_open(key);
  }
  [[nodiscard]] Inspection inspect() const override;
  [[nodiscard]] Stats stats() const override;

 private:
  [[nodiscard]] static Status gone() { return fail(Trouble::gone, "the store is closed"); }
  [[nodiscard]] Part& part_of(std::string_view key) { return parts_[placement_.stripe_of(key)]; }
  /// A change needs the cursor, so the stripe's recovery is finished first.
  [[nodiscard]] Status may_change(const Part& part) const {
    if (!part.stripe) {
      return gone();
    }
    return read_only_ ? fail(Trouble::invalid, "the store is open for inspection only")
                      : part.stripe->finish_recovery();
  }
  /// Other processes see a change before it is acknowledged.
  static void publish(const Part& part) {
    if (part.stripe) {
      part.stripe->publish();
    }
  }
  template <typename Make>
  [[nodiscard]] std::invoke_result_t<Make, Uploads&> change(Part& part, const Make& make) {
    const Status may = may_change(part);
    if (!may) {
      return tl::unexpected(may.error());
    }
    auto made = make(part.stripe->uploads());
    publish(part);
    return made;
  }
  template <typename Make>
  [[nodiscard]] Status change(UploadId upload, const Make& make) {
    const std::size_t at = upload & ((1U << upload_stripe_bits) - 1);
    if (at >= parts_.size()) {
      return fail(Trouble::gone, fmt::format("there is no upload {}", upload));
    }
    return change(parts_[at], [&](Uploads& of) { return make(of, upload >> upload_stripe_bits); });
  }
  /// Does `work` with every stripe, also behind one where it fails; the first failure counts.
  template <typename Work>
  [[nodiscard]] Status each(const Work& work) {
    std::vector<Status> done(parts_.size());
    for_each_of(parts_.size(), threads_, [&](std::size_t n) { done[n] = work(parts_[n]); });
    const auto failed =
        std::find_if(done.begin(), done.end(), [](const Status& one) { return !one.has_value(); });
    return failed == done.end() ? Status{} : *failed;
  }
  [[nodiscard]] Result<bool> tick_all();
  [[nodiscard]] SpanHeader fresh_header(const std::optional<SpanHeader>& found, Gates& gates) const;
  [[nodiscard]] Status begin(const std::optional<SpanHeader>& found, bool blank, Gates& gates);
  [[nodiscard]] Status take_image(Part& part, const Instance& instance, bool ours);
  /// False: its structure is not a directory's.
  [[nodiscard]] static bool accept_image(Part& part, const Instance& instance);
  [[nodiscard]] restart::Binding binding(const ImageHeader& header) const;

  block::Device& device_;
  Config config_;
  std::size_t threads_;
  Placement placement_;
  std::vector<Part> parts_;
  bool read_only_;
  std::span<LiveStripe> live_;
  restart::FastRestart restart_;
  std::uint64_t life_ = 0;
  std::uint64_t life_mark_ = 0;  // span_header.h
};

restart::Binding CycloneStore::binding(const ImageHeader& header) const {
  return {header.instance.low,
          header.instance.high,
          life_,
          header.sync_serial,
          header.write_serial,
          header.write_pos};
}

Status CycloneStore::take_image(Part& part, const Instance& instance, bool ours) {
  restart::Binding disk;
  if (ours && restart_.mode() == restart::Mode::attaching) {
    const auto newest = newest_header(device_, part.geometry, instance, Gates(config_.gates_off));
    disk = newest ? binding(*newest) : disk;
  }
  auto image = restart_.take(part.identity, part.geometry.copy_bytes, disk);
  if (!image) {
    return tl::unexpected(image.error());
  }
  part.image.emplace(std::move(*image));
  Config config = config_;
  const auto number = static_cast<std::size_t>(&part - parts_.data());
  config.seed = number == 0 ? config.seed : mix(config.seed, stripe_seeds + number);
  part.stripe =
      std::make_unique<Stripe>(device_, config, part.geometry, part.image->bytes(), read_only_);
  return {};
}

bool CycloneStore::accept_image(Part& part, const Instance& instance) {
  Gates& gates = part.stripe->core().gates;
  const auto fault = validate_image(part.image->bytes(), part.geometry, gates.image_checks());
  if (fault) {
    gates.refuse(fault->check);
    part.image->refuse_structure(
        fmt::format("{}: {}", image_check_name(fault->check), fault->text));
    return false;
  }
  part.stripe->attach(instance);
  part.attached = true;
  return true;
}

SpanHeader CycloneStore::fresh_header(const std::optional<SpanHeader>& found, Gates& gates) const {
  Random random(mix(config_.seed, 1));
  SpanHeader header;
  header.span_bytes = device_.size_bytes();
  header.serial = found ? found->serial : 0;
  header.instance.low = random.next();
  header.instance.high = random.next();
  header.layout = config_.layout;
  header.division = config_.division;
  if (found) {
    gates.refuse(Gate::span_header);
  }
  return header;
}

/// A clear goes in an order that is safe at every cut: the new instance is durable first.
Status CycloneStore::begin(const std::optional<SpanHeader>& found, bool blank, Gates& gates) {
  const bool ours = found && found->span_bytes == device_.size_bytes() &&
                    found->layout == config_.layout && found->division == config_.division;
  SpanHeader header = ours ? *found : fresh_header(found, gates);
  life_ = header.life;
  Status done = each([&](Part& part) { return take_image(part, header.instance, ours); });
  if (!done) {
    return done;
  }
  parts_.front().stripe->core().gates.add(gates);
  if (read_only_) {
    return each([&](Part& part) { return part.stripe->recover(header.instance); });
  }
  ++header.serial;
  header.life = ++life_;
  life_mark_ = life_mark(header);
  done = write_span(device_, header);
  if (done && !found && !blank) {
    // Neither block told how often it was written: the other one may have a higher number.
    ++header.serial;
    done = write_span(device_, header);
  }
  if (!done) {
    return done;
  }
  return each([&](Part& part) {
    if (!ours) {
      return part.stripe->clear(header.instance);
    }
    return part.image->attached() && accept_image(part, header.instance)
               ? Status{}
               : part.stripe->recover(header.instance);
  });
}

/// What an earlier life showed is over, also where that had more stripes.
Status CycloneStore::open() {
  for (LiveStripe& live : live_) {
    live.hide();
  }
  bool blank = false;
  Gates gates(config_.gates_off);
  const auto header = read_span(device_, gates, blank);
  if (!header) {
    return tl::unexpected(header.error());
  }
  const Status begun = begin(*header, blank, gates);
  restart_.finish_start();
  for (std::size_t n = 0; begun && !live_.empty() && n < parts_.size(); ++n) {
    if (parts_[n].image->shared()) {
      parts_[n].stripe->show(live_[n], parts_[n].image->name(), life_mark_);
      publish(parts_[n]);
    }
  }
  return begun;
}

Result<bool> CycloneStore::tick_all() {
  std::vector<Stripe*> busy;
  for (const Part& part : parts_) {
    if (part.stripe->has_work()) {
      busy.push_back(part.stripe.get());
    }
  }
  std::vector<Result<bool>> ticked(busy.size(), false);
  for_each_of(busy.size(), threads_, [&](std::size_t n) {
    ticked[n] = busy[n]->tick();
    busy[n]->publish();
  });
  bool more = false;
  for (const Result<bool>& one : ticked) {
    if (!one) {
      return one;
    }
    more = more || *one;
  }
  return more;
}

/// One slice of the first stripe that has something to do; of every one where the device takes
/// several requests. Recovery comes before directory syncs.
Result<bool> CycloneStore::tick() {
  if (!parts_.front().stripe) {
    return tl::unexpected(gone().error());
  }
  if (threads_ > 1) {
    return tick_all();
  }
  const auto next = [this](bool recovering) {
    return std::find_if(parts_.begin(), parts_.end(), [recovering](const Part& part) {
      return recovering ? part.stripe->core().recovering : part.stripe->has_work();
    });
  };
  auto part = next(true);
  part = part == parts_.end() ? next(false) : part;
  if (part == parts_.end()) {
    return false;
  }
  const auto ticked = part->stripe->tick();
  publish(*part);
  return ticked ? Result<bool>(*ticked || next(true) != parts_.end() || next(false) != parts_.end())
                : ticked;
}

/// What is buffered is written first: an upload that goes on elsewhere has all of its log there.
Result<std::vector<std::byte>> CycloneStore::pack_uploads() {
  const Status synced = sync();
  if (!synced) {
    return tl::unexpected(synced.error());
  }
  std::vector<std::byte> uploads;
  FrameWriter writer(uploads);
  for (const Part& part : parts_) {
    part.stripe->uploads().pack(writer);
  }
  return uploads;
}

Status CycloneStore::resume(std::span<const std::byte> uploads) {
  FrameReader reader(uploads.subspan(std::min<std::size_t>(uploads.size(), frame_head_bytes)));
  for (Part& part : parts_) {
    const Status may = may_change(part);
    if (!may) {
      return may;
    }
    if (!part.stripe->uploads().unpack(reader)) {
      return fail(Trouble::invalid, "the uploads that were handed over are not whole");
    }
    publish(part);
  }
  return {};
}

Status CycloneStore::close() {
  if (!parts_.front().stripe) {
    return {};
  }
  if (!read_only_ &&
      std::ranges::find(config_.gates_off, "writers_stopped") != config_.gates_off.end()) {
    // As the reference does: the mark is up while the stripes still write.
    static_cast<void>(restart_.mark_clean({}));
  }
  std::vector<std::optional<restart::SealedImage>> images(parts_.size());
  const Status done = each([&](Part& part) {
    const Status closed = read_only_ ? Status{} : part.stripe->close();
    const Core& core = part.stripe->core();
    const bool refused =
        !closed || core.counters.failed_writes > 0 || core.counters.failed_syncs > 0;
    const restart::Binding disk = binding(core.header);
    part.last_stats = part.stripe->stats();
    part.stripe.reset();
    if (!read_only_) {
      if (refused) {
        part.image->distrust("the device refused something in this life");
      }
      images[static_cast<std::size_t>(&part - parts_.data())] = std::move(*part.image).seal(disk);
      part.image.reset();
    }
    return closed;
  });
  std::vector<restart::SealedImage> sealed;
  for (auto& image : images) {
    if (image) {
      sealed.push_back(std::move(*image));
    }
  }
  if (!read_only_) {
    static_cast<void>(restart_.mark_clean(std::move(sealed)));
  }
  return done;
}

/// The stripes' rows one after another.
Inspection CycloneStore::inspect() const {
  Inspection all;
  for (const Part& part : parts_) {
    if (part.stripe) {
      all.add(part.stripe->inspect());
    }
  }
  return all;
}

Stats CycloneStore::stats() const {
  Stats sum;
  sum.recovery.finished = true;
  for (const Part& part : parts_) {
    sum.add(part.stripe ? part.stripe->stats() : part.last_stats);
    sum.counters["attached"] += part.attached ? 1 : 0;
  }
  sum.refusals.merge(restart_.refusals());
  sum.counters.merge(restart_.counters());
  sum.counters["stripes"] = parts_.size();
  return sum;
}

Result<std::unique_ptr<Store>> make_store(block::Device& device,
                                          const Config& config,
                                          const SharedDirectory& shared,
                                          bool read_only) {
  const auto places = divide(device.size_bytes(), config.layout, config.division);
  if (!places) {
    return tl::unexpected(places.error());
  }
  auto store = std::make_unique<CycloneStore>(device, config, *places, shared, read_only);
  const Status opened = store->open();
  if (!opened) {
    return tl::unexpected(opened.error());
  }
  return store;
}

}  // namespace

Result<std::unique_ptr<Store>> open_store(block::Device& device,
                                          const Config& config,
                                          const SharedDirectory& shared) {
  return make_store(device, config, shared, false);
}

Result<std::unique_ptr<Store>> open_for_inspection(block::Device& device, const Config& config) {
  return make_store(device, config, {}, true);
}

}  // namespace engine::cyclone
