#include "engine/cyclone/stripe.h"

#include <algorithm>

#include "engine/cyclone/clear_only.h"

namespace engine::cyclone {

Stripe::Stripe(block::Device& device,
               const Config& config,
               const StripeGeometry& geometry,
               std::span<std::byte> live_image,
               bool read_only)
    : core_(device, config, geometry, live_image),
      log_(core_),
      sync_(core_),
      writer_(core_, log_, sync_),
      reader_(core_, log_),
      evacuation_(core_, log_, reader_, writer_),
      uploads_(core_, writer_, log_, reader_, evacuation_),
      roll_forward_(core_, log_, reader_),
      read_only_(read_only) {}

void Stripe::begin_life() {
  ++core_.header.epoch;
  log_.restart();
  evacuation_.restart();
  sync_.loaded();
  report_ = RecoveryReport{};
  report_.units_total = core_.geometry.rows();
}

Status Stripe::recover(const Instance& instance) {
  Loader loader(core_, instance);
  if (!loader.load()) {
    if (!read_only_) {
      // Of this instance: a copy that could not be read now must not be found by a later start.
      const Status cleared = clear(instance);
      return cleared ? write_copy() : cleared;
    }
    clear_image(core_.image, core_.geometry);
    core_.header = header_of(core_.geometry, instance);
  }
  other_copy_usable_ = loader.other_copy_usable();
  begin_life();
  std::uint64_t in_use = 0;
  core_.directory.for_each([&in_use](std::uint32_t, std::uint32_t, const Row&) { ++in_use; });
  report_.empty = report_.units_total - in_use;
  report_.scanned = report_.units_total;
  report_.loaded = in_use;
  core_.recovering = true;
  return {};
}

void Stripe::attach(const Instance& instance) {
  core_.header = load_header(core_.image);
  keep_inside(core_.header, core_.geometry);
  core_.header.instance = instance;
  begin_life();
  other_copy_usable_ = true;
  core_.recovering = false;
  report_.finished = true;
}

/// Into the copy that is not the newest.
Status Stripe::write_copy() {
  sync_.begin();
  return sync_.finish();
}

/// The instance is a new one and is durable elsewhere (span_header.h): whatever a cut leaves of
/// this, no copy from before can be taken for one of this instance.
Status Stripe::clear(const Instance& instance) {
  clear_image(core_.image, core_.geometry);
  core_.header = header_of(core_.geometry, instance);
  core_.header.link = core_.random.next();  // no log of before continues this one
  begin_life();
  const Status written = write_copy();
  core_.recovering = false;
  report_.finished = true;
  report_.scanned = report_.empty = report_.units_total;
  return written;
}

/// At once. The serial goes on so that the other copy is written.
bool Stripe::recover_by_clearing() {
  const std::uint64_t loaded = core_.header.sync_serial;
  ClearOnly recovery(core_);
  recovery.run();
  report_.refused = recovery.cleared();
  report_.loaded -= std::min(report_.loaded, report_.refused);
  report_.finished = true;
  core_.recovering = false;
  evacuation_.restart();
  if (((core_.header.sync_serial ^ loaded) & 1U) != 0) {
    ++core_.header.sync_serial;
  }
  sync_.loaded();
  sync_.begin();
  return true;
}

/// The log could not be followed: an empty directory goes into both copies, so that neither brings
/// back what may have been purged. Until it is there, nothing is changed.
Status Stripe::forget() {
  constexpr int copies = 2;
  if (copies_to_forget_ == 0) {
    const ImageHeader before = core_.header;
    clear_image(core_.image, core_.geometry);
    core_.header = header_of(core_.geometry, before.instance);
    core_.header.link = core_.random.next();
    core_.header.sync_serial = before.sync_serial;
    begin_life();
    report_.scanned = report_.empty = report_.units_total;
    copies_to_forget_ = read_only_ ? 0 : copies;
  }
  for (; copies_to_forget_ > 0; --copies_to_forget_) {
    const Status written = write_copy();
    if (!written) {
      return written;
    }
  }
  core_.recovering = false;
  report_.finished = true;
  return {};
}

Result<bool> Stripe::recovery_step() {
  if (roll_forward_.lost()) {
    const Status forgotten = forget();
    return forgotten ? Result<bool>(false) : tl::unexpected(forgotten.error());
  }
  ++report_.ticks;
  if (core_.config.recovery == Recovery::clear_only) {
    return recover_by_clearing();
  }
  const bool more = roll_forward_.step();
  const std::uint64_t documents = roll_forward_.documents();
  report_.units_total = report_.scanned = core_.geometry.rows() + documents;
  report_.superseded = roll_forward_.superseded();
  report_.refused = 0;
  report_.loaded = report_.scanned - report_.empty - report_.superseded;
  if (more || roll_forward_.lost()) {
    return true;
  }
  core_.recovering = false;
  report_.finished = true;
  evacuation_.restart();
  core_.directory.for_each([this](std::uint32_t, std::uint32_t, const Row& row) {
    report_.entries += row.head && log_.window().holds(row) ? 1 : 0;
  });
  if (!read_only_ && (documents > 0 || !other_copy_usable_)) {
    sync_.begin();  // into the other copy; goes on with the ticks
  }
  return !read_only_ && sync_.under_way();
}

Result<bool> Stripe::tick() {
  if (core_.recovering) {
    return recovery_step();
  }
  if (read_only_ || !sync_.under_way()) {
    return false;
  }
  const Status done = sync_.step();
  return done ? Result<bool>(sync_.under_way()) : tl::unexpected(done.error());
}

Status Stripe::finish_recovery() {
  while (core_.recovering) {
    const auto more = recovery_step();
    if (!more) {
      return tl::unexpected(more.error());
    }
  }
  return {};
}

Status Stripe::sync() {
  const Status recovered = finish_recovery();
  return recovered ? writer_.sync() : recovered;
}

Status Stripe::close() {
  if (live_ != nullptr) {
    live_->hide();
  }
  uploads_.abort_all();
  Status done = finish_recovery();
  if (done && core_.header.dirty > 0) {
    done = writer_.sync();
  } else if (done) {
    done = sync_.finish();
  }
  core_.header.agg_pos = core_.header.write_pos;
  store_header(core_.header, core_.image);
  seal(core_.image, core_.geometry);
  return done;
}

void Stripe::show(LiveStripe& live, std::string_view image_name, std::uint64_t life) {
  live.hide();
  live_ = &live;
  image_name_ = image_name;
  life_ = life;
  core_.directory.tell(live);
  uploads_.tell(live);
}

/// What is still being recovered is shown once it is done.
void Stripe::publish() {
  if (live_ == nullptr || core_.recovering) {
    return;
  }
  live_->publish({core_.header.write_pos, core_.header.purge_epoch, core_.header.phase});
  if (live_->life() != life_) {
    live_->show(image_name_, core_.image.size(), life_);
  }
}

bool Stripe::follow(const LiveStripe& live) {
  LiveState state;
  core_.directory.follow(live);
  core_.recovering = !live.stable([&] { state = live.state(); });
  const bool inside =
      core_.geometry.data_begin <= state.write_pos && state.write_pos <= core_.geometry.end;
  core_.recovering = core_.recovering || !inside;
  if (!core_.recovering) {
    core_.header.write_pos = core_.header.agg_pos = state.write_pos;
    core_.header.purge_epoch = state.purge_epoch;
    core_.header.phase = state.phase;
  }
  return !core_.recovering;
}

Stats Stripe::stats() const {
  const Counters& counters = core_.counters;
  Stats stats;
  stats.refusals = core_.gates.refusals();
  stats.recovery = report_;
  stats.counters = {{"puts", counters.puts},
                    {"aborts", counters.aborts},
                    {"gets", counters.gets},
                    {"hits", counters.hits},
                    {"misses", counters.misses},
                    {"updates", counters.updates},
                    {"purges", counters.purges},
                    {"data_writes", counters.data_writes},
                    {"failed_writes", counters.failed_writes},
                    {"documents", counters.documents},
                    {"document_reads", counters.document_reads},
                    {"wraps", counters.wraps},
                    {"syncs", counters.syncs},
                    {"failed_syncs", counters.failed_syncs},
                    {"evacuated", counters.evacuated},
                    {"evacuations_refused", counters.evacuations_refused},
                    {"alternates_evicted", counters.alternates_evicted},
                    {"purges_of_all", counters.purges_of_all},
                    {"evictions", core_.directory.evictions()},
                    {"segments_emptied", core_.directory.segments_emptied()},
                    {"rolled_forward", roll_forward_.documents()},
                    {"unreadable_log", roll_forward_.unreadable()},
                    {"unstable_looks", core_.directory.unstable_looks()}};
  return stats;
}

}  // namespace engine::cyclone
