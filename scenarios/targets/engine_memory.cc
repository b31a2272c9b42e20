#include <system_error>

#include <fmt/format.h>

#include "engine/cyclone/store.h"
#include "engine/memory/ram_cache.h"
#include "engine/memory/ram_store.h"
#include "engine/rock/store.h"
#include "engine/service/options.h"
#include "engine/volumes/volume_store.h"
#include "faultfs/base/check.h"
#include "scenarios/targets/engine_home.h"

namespace scenarios {

namespace {

/// One of the rig's disks as the engine sees a device, through a handle of the current power-on.
class Disk : public engine::block::Device {
 public:
  /// `ground`: says when the process is over; may be null.
  Disk(faultfs::Device& device, faultfs::DiskNumber number, const SharedGround* ground)
      : device_(device),
        number_(number),
        ground_(ground),
        generation_(device.generation()),
        size_bytes_(device.disks().at(number).size_bytes) {}

  [[nodiscard]] std::uint64_t size_bytes() const override { return size_bytes_; }
  engine::Status read(std::uint64_t offset_bytes, std::span<std::byte> into) override {
    return over() ? gone() : status(device_.read(generation_, number_, offset_bytes, into), "read");
  }
  [[nodiscard]] std::uint64_t blank_until(std::uint64_t offset_bytes) override {
    std::uint64_t until = offset_bytes;
    return device_.blank_until(generation_, number_, offset_bytes, until) == 0 ? until
                                                                               : offset_bytes;
  }
  engine::Status write(std::uint64_t offset_bytes,
                       std::span<const std::byte> from,
                       engine::block::WriteMode mode) override {
    const bool fua = mode == engine::block::WriteMode::durable;
    return over() ? gone()
                  : status(device_.write(generation_, number_, offset_bytes, from, fua), "write");
  }
  engine::Status flush() override {
    return over() ? gone() : status(device_.flush(generation_, number_), "flush");
  }
  engine::Status discard(std::uint64_t offset_bytes, std::uint64_t size_bytes) override {
    return over()
               ? gone()
               : status(device_.discard(generation_, number_, offset_bytes, size_bytes), "discard");
  }

 private:
  /// The process was killed at a store: what it asks for afterwards is not done.
  [[nodiscard]] bool over() const { return ground_ != nullptr && ground_->dead(); }
  static engine::Status gone() {
    return engine::fail(engine::Trouble::device, "the process was killed");
  }
  static engine::Status status(int error, const char* request) {
    if (error == 0) {
      return {};
    }
    return engine::fail(
        engine::Trouble::device,
        fmt::format(
            "the device refused a {}: {}", request, std::generic_category().message(error)));
  }

  faultfs::Device& device_;
  faultfs::DiskNumber number_;
  const SharedGround* ground_;
  std::uint64_t generation_;
  std::uint64_t size_bytes_;
};

engine::rock::Allocator allocator_called(const std::string& name) {
  if (name == "lifo") {
    return engine::rock::Allocator::lifo;
  }
  return name == "random" ? engine::rock::Allocator::random : engine::rock::Allocator::lowest_first;
}

engine::rock::Gate gate_called(const std::string& name) {
  const auto gate = engine::rock::gate_table.find_switchable(name);
  POWERCUT_CHECK(gate.has_value(), "gate {}", name);
  return *gate;
}

engine::rock::Config rock_config(const TargetConfig& config) {
  using engine::rock::ContradictionPolicy;
  const auto preset = engine::rock::find_preset(config.preset);
  POWERCUT_CHECK(preset.has_value(), "preset {}", config.preset);
  engine::rock::Config rock = *preset;
  rock.rebuild_slice_slots = rebuild_slice_slots;
  for (const std::string& name : config.without_gates) {
    rock.gates_off.push_back(gate_called(name));
  }
  if (!config.allocator.empty()) {
    rock.allocator = allocator_called(config.allocator);
  }
  if (!config.policy.empty()) {
    rock.policy = config.policy == "newest_complete" ? ContradictionPolicy::newest_complete
                                                     : ContradictionPolicy::whole_entry;
  }
  return rock;
}

engine::cyclone::Config cyclone_config(const TargetConfig& config,
                                       std::uint64_t seed,
                                       std::uint32_t slot_bytes) {
  const auto preset = engine::cyclone::find_preset(config.preset);
  POWERCUT_CHECK(preset.has_value(), "preset {}", config.preset);
  engine::cyclone::Config cyclone = *preset;
  cyclone.layout = cyclone_layout(slot_bytes);
  cyclone.division = division_of_disk(config);
  cyclone.pins = cyclone_pins(config);
  cyclone.hit_evacuate_percent = config.hot_percent;
  cyclone.recovery_slice_bytes = slot_bytes;
  cyclone.seed = seed;
  cyclone.gates_off.insert(
      cyclone.gates_off.end(), config.without_gates.begin(), config.without_gates.end());
  return cyclone;
}

using OpenedStore = engine::Result<std::unique_ptr<engine::Store>>;

class MemoryHome : public EngineHome {
 public:
  MemoryHome(TargetConfig config, const Rig& rig) : config_(std::move(config)), rig_(rig) {
    if (config_.shared_memory) {
      ground_.emplace(memory_, &memory_, "powercut");
    }
  }

  faultfs::Result<OpenedStore> open(std::uint64_t seed, std::uint32_t slot_bytes) override {
    disks_.clear();
    for (std::size_t number = 0; number < rig_.device.disks().size(); ++number) {
      disks_.push_back(
          std::make_unique<Disk>(rig_.device, static_cast<faultfs::DiskNumber>(number), shared()));
    }
    auto store = disks_.size() > 1 ? open_volumes(seed, slot_bytes)
                                   : open_on(*disks_.front(), seed, slot_bytes);
    if (store && !config_.ram_cache.empty()) {
      const auto ram = engine::service::parse_ram_cache(config_.ram_cache);
      POWERCUT_CHECK(ram.has_value(), "ram-cache {}", config_.ram_cache);
      return engine::memory::make_ram_cache(std::move(*store), *ram);
    }
    return store;
  }
  bool wait_for_end() override { return true; }
  void kill() override { disks_.clear(); }
  std::optional<Death> death() override { return std::nullopt; }
  std::string log_text() override { return log_; }
  SharedGround* shared() override { return ground_ ? &*ground_ : nullptr; }

 private:
  OpenedStore open_on(engine::block::Device& device,
                      std::uint64_t seed,
                      std::uint32_t slot_bytes,
                      const std::string& key_prefix = {}) {
    if (config_.store == "cyclone") {
      engine::cyclone::Config cyclone = cyclone_config(config_, seed, slot_bytes);
      for (std::string& pin : cyclone.pins) {
        pin.insert(0, key_prefix);
      }
      return open_cyclone(device, cyclone);
    }
    if (config_.store == "memory") {
      return engine::memory::open_ram_store({});
    }
    engine::rock::Config rock = rock_config(config_);
    rock.seed = seed;
    rock.slot_bytes = slot_bytes;
    return engine::rock::open_store(device, rock);
  }

  /// As `cache-engine serve` does it, so that both write the same bytes.
  OpenedStore open_volumes(std::uint64_t seed, std::uint32_t slot_bytes) {
    std::vector<engine::volumes::TaggedDisk> tagged;
    for (const faultfs::DiskSpec& spec : rig_.device.disks()) {
      engine::volumes::TaggedDisk disk;
      disk.name = spec.name;
      disk.device = disks_[tagged.size()].get();
      disk.tag = static_cast<engine::volumes::VolumeTag>(
          volume_of_disk(config_, static_cast<std::uint32_t>(tagged.size())));
      disk.share_bytes = spec.size_bytes;
      tagged.push_back(std::move(disk));
    }
    engine::volumes::VolumeConfig volumes;
    volumes.hosting = cyclone_division(config_).hosting;
    volumes.store_facts = engine::service::store_facts(config_.store);
    volumes.seed = seed;
    return engine::volumes::open_volumes(tagged, volumes, [&](const auto& part) {
      return open_on(part.device, part.seed, slot_bytes, part.key_prefix);
    });
  }

  OpenedStore open_cyclone(engine::block::Device& device, const engine::cyclone::Config& config) {
    engine::cyclone::SharedDirectory shared;
    if (ground_) {
      shared.memory = &memory_;
      shared.config.enabled = ground_->on();
      shared.config.name_prefix = ground_->prefix_word();
      log_.clear();
      shared.log = [this](std::string_view line) { log_.append(line).append("\n"); };
    }
    return engine::cyclone::open_store(device, config, shared);
  }

  TargetConfig config_;
  Rig rig_;
  std::vector<std::unique_ptr<Disk>> disks_;
  engine::restart::ProcessMemory memory_;
  std::optional<SharedGround> ground_;
  std::string log_;
};

}  // namespace

std::unique_ptr<EngineHome> make_memory_home(const TargetConfig& config, const Rig& rig) {
  return std::make_unique<MemoryHome>(config, rig);
}

}  // namespace scenarios
