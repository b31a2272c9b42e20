// A store that another process has open, read beside it. Nothing is copied and nobody is asked: the
// rows are those in shared memory, the documents those on the disk.
//
// Why what it answers is true. The other process acknowledges nothing before it has published what
// it did, so a look that begins later sees it: a put is found, a purge is not. What a row leads to
// may be overwritten before it is read: then its checksums, its key or its number say so, and it is
// a miss, as in any cyclone. Documents that are not written yet lie behind the cursor that was
// published, so no row of theirs counts.
//
// A directory belongs to one life of the store, and the disk says which life it is in: every
// opening counts it up before it changes anything. So each look reads the span header. It tells a
// directory whose owner was killed (it goes on being read) from one whose disk somebody else has
// opened since, who may have purged what the directory knows. When the life changes what was mapped
// is let go, and what is shown now is mapped; if that changed again meanwhile, nothing is.
#include <algorithm>

#include "engine/alternate.h"
#include "engine/cyclone/span_header.h"
#include "engine/cyclone/store.h"
#include "engine/cyclone/stripe.h"

namespace engine::cyclone {
namespace {

/// One stripe, as far as this process sees it.
struct Part {
  StripeGeometry geometry;
  const LiveStripe* live = nullptr;
  std::uint64_t life = 0;  // of what is mapped; 0: nothing is
  std::unique_ptr<restart::Mapping> image;
  std::unique_ptr<Stripe> stripe;
};

class Follower final : public Store {
 public:
  Follower(block::Device& device,
           const Config& config,
           const std::vector<StripePlace>& places,
           restart::SharedMemory& memory,
           std::span<const LiveStripe> live)
      : device_(device),
        config_(config),
        placement_(places, config.division),
        memory_(memory),
        parts_(places.size()) {
    config_.hit_evacuate_percent = 0;  // for the writer to do
    for (std::size_t n = 0; n < places.size(); ++n) {
      parts_[n].geometry = places[n].geometry;
      parts_[n].live = &live[n];
    }
  }

  [[nodiscard]] Status get(std::string_view key, ByteRange range, GetReply& reply) override {
    reply = GetReply();
    Part& part = parts_[placement_.stripe_of(key)];
    if (!look(part)) {
      ++misses_;
      return {};
    }
    return part.stripe->reader().get(key, range, reply);
  }
  [[nodiscard]] bool being_put(std::string_view key) override {
    const Part& part = parts_[placement_.stripe_of(key)];
    return part.live->life() != 0 && part.live->is_open(key_of(object_of(key)));
  }

  [[nodiscard]] Result<UploadId> begin_put(std::string_view /*key*/,
                                           std::string_view /*header*/,
                                           std::uint64_t /*body_bytes*/) override {
    return refused();
  }
  [[nodiscard]] Status append(UploadId /*upload*/, std::span<const std::byte> /*bytes*/) override {
    return refused();
  }
  [[nodiscard]] Status commit(UploadId /*upload*/) override { return refused(); }
  [[nodiscard]] Status abort(UploadId /*upload*/) override { return refused(); }
  [[nodiscard]] Result<bool> update_header(std::string_view /*key*/,
                                           std::string_view /*header*/) override {
    return refused();
  }
  [[nodiscard]] Result<bool> purge(std::string_view /*key*/) override { return refused(); }
  [[nodiscard]] Status purge_all() override { return refused(); }
  [[nodiscard]] Status sync() override { return refused(); }
  [[nodiscard]] Result<bool> tick() override { return false; }
  [[nodiscard]] Status close() override { return {}; }

  /// Of a copy of each directory, so that all of it is of one moment. A stripe that cannot be read
  /// now, or changes all the time, has units of which nothing is known.
  [[nodiscard]] Inspection inspect() const override {
    Inspection all;
    for (Part& part : parts_) {
      std::vector<std::byte> image(part.geometry.copy_bytes);
      Stripe copy(device_, config_, part.geometry, image, true);
      const bool there = look(part) && part.live->stable([&] {
        const auto bytes = part.image->bytes();
        std::copy(bytes.begin(), bytes.end(), image.begin());
        static_cast<void>(copy.follow(*part.live));
      });
      copy.core().recovering = copy.core().recovering || !there;
      all.add(copy.inspect());
    }
    return all;
  }
  [[nodiscard]] Stats stats() const override {
    Stats sum;
    sum.recovery.finished = true;
    for (const Part& part : parts_) {
      if (part.stripe) {
        const Stats more = part.stripe->stats();
        for (const char* counter : {"gets", "hits", "misses", "unstable_looks"}) {
          sum.counters[counter] += more.counters.at(counter);
        }
        for (const auto& [gate, count] : more.refusals) {
          sum.refusals[gate] += count;
        }
      }
    }
    sum.counters["gets"] += misses_;
    sum.counters["misses"] += misses_;
    sum.counters["directories_mapped"] = mapped_;
    sum.counters["reads_only"] = 1;
    return sum;
  }

 private:
  [[nodiscard]] static tl::unexpected<Error> refused() {
    return fail(Trouble::busy, "another engine has the right to write; this one reads");
  }

  /// True where the directory of the owner's life can be read now.
  [[nodiscard]] bool look(Part& part) const {
    const std::uint64_t life = part.live->life();
    if (life == 0 || life != life_on_disk()) {
      return false;
    }
    if (life != part.life) {
      let_go(part);
      map(part, life);
    }
    return part.stripe && part.stripe->follow(*part.live);
  }

  /// 0: the disk does not say.
  [[nodiscard]] std::uint64_t life_on_disk() const {
    bool blank = false;
    const auto header = read_span(device_, span_gates_, blank);
    return header && *header ? life_mark(**header) : 0;
  }

  static void let_go(Part& part) {
    part.stripe.reset();
    part.image.reset();
    part.life = 0;
  }

  void map(Part& part, std::uint64_t life) const {
    if (life == 0 || part.live->image_bytes() != part.geometry.copy_bytes) {
      return;
    }
    const auto object = memory_.open(part.live->image_name(), restart::Access::read_only);
    const auto size_bytes = object ? (*object)->size_bytes() : tl::unexpected(object.error());
    if (!size_bytes || *size_bytes != part.geometry.copy_bytes) {
      return;
    }
    auto image = (*object)->map(*size_bytes, restart::Access::read_only);
    if (!image || part.live->life() != life) {
      return;
    }
    part.image = std::move(*image);
    part.stripe =
        std::make_unique<Stripe>(device_, config_, part.geometry, part.image->bytes(), true);
    part.life = life;
    ++mapped_;
  }

  block::Device& device_;
  Config config_;
  Placement placement_;
  restart::SharedMemory& memory_;
  // What is mapped changes nothing of what the store answers.
  mutable std::vector<Part> parts_;
  mutable Gates span_gates_ = Gates({});
  mutable std::uint64_t mapped_ = 0;
  std::uint64_t misses_ = 0;  // without a look
};

}  // namespace

Result<std::unique_ptr<Store>> follow_store(block::Device& device,
                                            const Config& config,
                                            restart::SharedMemory& memory,
                                            std::span<const LiveStripe> live) {
  Config own = config;
  const Status adopted = adopt_span(device, own);
  if (!adopted) {
    return tl::unexpected(adopted.error());
  }
  const auto places = divide(device.size_bytes(), own.layout, own.division);
  if (!places || places->size() > live.size()) {
    return places ? Result<std::unique_ptr<Store>>(
                        fail(Trouble::invalid, "the disk has more stripes than are shown"))
                  : tl::unexpected(places.error());
  }
  return std::make_unique<Follower>(device, own, *places, memory, live);
}

}  // namespace engine::cyclone
