#include "engine/restart/fast_restart.h"

#include <sys/mman.h>

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "engine/restart/life.h"
#include "engine/restart/purge.h"

namespace engine::restart {

SealedImage::~SealedImage() = default;
StripeImage::StripeImage(StripeImage&&) noexcept = default;
StripeImage& StripeImage::operator=(StripeImage&&) noexcept = default;
StripeImage::~StripeImage() = default;

void UnmapPages::operator()(std::byte* bytes) const {
  ::munmap(bytes, size_bytes);
}

void StripeImage::refuse_structure(std::string_view why) {
  life_->gates.refuse(
      Gate::image_structure,
      fmt::format("shm directory invalid for '{}': {}; falling back", identity_, why));
  std::fill(bytes_.begin(), bytes_.end(), std::byte{0});
  attached_ = false;
}

void StripeImage::distrust(std::string_view why) {
  if (!shared()) {
    return;
  }
  life_->table->distrust(slot_);
  ++life_->counters.distrusted;
  life_->gates.note(fmt::format("stripe '{}' is untrusted from now on: {}", identity_, why));
}

SealedImage StripeImage::seal(const Binding& disk) && {
  SealedImage sealed;
  sealed.life_ = std::move(life_);
  sealed.slot_ = slot_;
  sealed.disk_ = disk;
  sealed.mapping_ = std::move(mapping_);
  heap_.reset();
  bytes_ = {};
  if (sealed.mapping_ && !sealed.mapping_->make_read_only()) {
    sealed.life_->gates.note(
        fmt::format("the image of '{}' cannot be made read-only; it is untrusted", identity_));
    sealed.life_->table->distrust(sealed.slot_);
  }
  return sealed;
}

void StripeImage::share(const TableClaim& claim, std::uint64_t size_bytes) {
  slot_ = claim.slot;
  mapping_ = claim.attach ? life_->attach(claim, identity_, size_bytes) : nullptr;
  attached_ = mapping_ != nullptr;
  if (!mapping_) {
    mapping_ = life_->create(claim, identity_, size_bytes);
  }
  if (!mapping_) {
    life_->table->release(claim.slot);
    return;
  }
  bytes_ = mapping_->bytes();
  name_ = claim.name;
  if (life_->config.use_hugepages && mapping_->advise_huge_pages()) {
    ++life_->counters.huge_pages;
  }
}

FastRestart::FastRestart(SharedMemory& memory, const StartRequest& request, Log log)
    : life_(std::make_shared<RestartLife>(memory, request, std::move(log))) {}
FastRestart::~FastRestart() = default;
FastRestart::FastRestart(FastRestart&&) noexcept = default;
FastRestart& FastRestart::operator=(FastRestart&&) noexcept = default;

Mode FastRestart::mode() const {
  return life_->opening.mode;
}

Result<StripeImage> FastRestart::take(std::string_view identity,
                                      std::uint64_t size_bytes,
                                      const Binding& disk) {
  StripeImage image;
  image.identity_ = identity;
  image.life_ = life_;
  const auto claim = life_->table && !life_->closed
                         ? life_->table->claim(identity, size_bytes, disk)
                         : std::nullopt;
  if (claim) {
    image.share(*claim, size_bytes);
  }
  if (image.shared()) {
    return image;
  }
  // Begins at a page, as direct I/O wants it; pages that are never touched are never there.
  const std::size_t mapped_bytes = std::max<std::size_t>(size_bytes, 1);
  void* const bytes =
      ::mmap(nullptr, mapped_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (bytes == MAP_FAILED) {
    return fail(Trouble::full,
                fmt::format("no memory for {} bytes of directory of '{}'", size_bytes, identity));
  }
  image.heap_ = {static_cast<std::byte*>(bytes), UnmapPages{mapped_bytes}};
  image.bytes_ = std::span(image.heap_.get(), size_bytes);
  ++life_->counters.heap;
  return image;
}

void FastRestart::finish_start() {
  if (mode() != Mode::attaching) {
    return;
  }
  Table& table = *life_->table;
  const std::size_t orphans = table.orphan_count();
  if (orphans > 0 && table.claimed_count() == 0 && life_->gates.on(Gate::zero_claim)) {
    life_->gates.refuse(
        Gate::zero_claim,
        fmt::format("no stripe claimed an image; {} are left where they are", orphans));
    return;
  }
  PurgeReport report;
  for (const std::string& name : table.take_orphans()) {
    life_->gates.note(fmt::format("reclaiming orphaned image {}", name));
    ++life_->counters.orphans;
    if (name.starts_with(life_->opening.prefix)) {
      remove_object(life_->memory, name, report);
    }
  }
  for (const std::string& failure : report.failures) {
    life_->gates.note(failure);
  }
  life_->opening.mapping->settle();
}

bool FastRestart::mark_clean(std::vector<SealedImage>&& images) {
  const std::vector<SealedImage> sealed = std::move(images);
  life_->closed = true;
  if (!life_->table) {
    return false;
  }
  Table& table = *life_->table;
  for (const SealedImage& image : sealed) {
    if (image.mapping_ && image.life_ == life_) {
      const bool digested = life_->gates.on(Gate::image_digest);
      table.seal(image.slot_, image.disk_, digested ? image_digest(image.mapping_->bytes()) : 0);
    }
  }
  if (!table.all_sealed() && life_->gates.on(Gate::writers_stopped)) {
    life_->gates.refuse(Gate::writers_stopped,
                        "an image may still be written; no clean mark, the next start rebuilds");
    return false;
  }
  life_->gates.note("marking clean shutdown");
  table.mark_clean();
  life_->opening.mapping->settle();
  ++life_->counters.clean_marks;
  return true;
}

std::map<std::string, std::uint64_t> FastRestart::refusals() const {
  return life_->gates.refusals();
}

std::map<std::string, std::uint64_t> FastRestart::counters() const {
  const RestartLife::Counters& counters = life_->counters;
  return {{"shm_attached", counters.attached},
          {"shm_created", counters.created},
          {"shm_heap", counters.heap},
          {"shm_orphans", counters.orphans},
          {"shm_distrusted", counters.distrusted},
          {"shm_huge_pages", counters.huge_pages},
          {"shm_clean_marks", counters.clean_marks}};
}

}  // namespace engine::restart
