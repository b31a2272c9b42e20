#include <system_error>

#include <fmt/format.h>

#include "engine/cyclone/store.h"
#include "engine/memory/ram_store.h"
#include "engine/rock/store.h"
#include "faultfs/base/check.h"
#include "scenarios/targets/engine_home.h"

namespace scenarios {

namespace {

/// The rig's disk 0 as the engine sees a device, through a handle of the current power-on.
class Disk : public engine::block::Device {
 public:
  /// `ground`: says when the process is over; may be null.
  Disk(faultfs::Device& device, const SharedGround* ground)
      : device_(device),
        ground_(ground),
        generation_(device.generation()),
        size_bytes_(device.disks().at(0).size_bytes) {}

  [[nodiscard]] std::uint64_t size_bytes() const override { return size_bytes_; }
  engine::Status read(std::uint64_t offset_bytes, std::span<std::byte> into) override {
    return over() ? gone() : status(device_.read(generation_, 0, offset_bytes, into), "read");
  }
  [[nodiscard]] std::uint64_t blank_until(std::uint64_t offset_bytes) override {
    std::uint64_t until = offset_bytes;
    return device_.blank_until(generation_, 0, offset_bytes, until) == 0 ? until : offset_bytes;
  }
  engine::Status write(std::uint64_t offset_bytes,
                       std::span<const std::byte> from,
                       engine::block::WriteMode mode) override {
    const bool fua = mode == engine::block::WriteMode::durable;
    return over() ? gone()
                  : status(device_.write(generation_, 0, offset_bytes, from, fua), "write");
  }
  engine::Status flush() override {
    return over() ? gone() : status(device_.flush(generation_, 0), "flush");
  }
  engine::Status discard(std::uint64_t offset_bytes, std::uint64_t size_bytes) override {
    return over() ? gone()
                  : status(device_.discard(generation_, 0, offset_bytes, size_bytes), "discard");
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
  cyclone.division = cyclone_division(config);
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
    disk_.emplace(rig_.device, shared());
    if (config_.store == "cyclone") {
      return open_cyclone(cyclone_config(config_, seed, slot_bytes));
    }
    if (config_.store == "memory") {
      return engine::memory::open_ram_store({});
    }
    engine::rock::Config rock = rock_config(config_);
    rock.seed = seed;
    rock.slot_bytes = slot_bytes;
    return engine::rock::open_store(*disk_, rock);
  }
  bool wait_for_end() override { return true; }
  void kill() override { disk_.reset(); }
  std::optional<Death> death() override { return std::nullopt; }
  std::string log_text() override { return log_; }
  SharedGround* shared() override { return ground_ ? &*ground_ : nullptr; }

 private:
  OpenedStore open_cyclone(const engine::cyclone::Config& config) {
    engine::cyclone::SharedDirectory shared;
    if (ground_) {
      shared.memory = &memory_;
      shared.config.enabled = ground_->on();
      shared.config.name_prefix = ground_->prefix_word();
      log_.clear();
      shared.log = [this](std::string_view line) { log_.append(line).append("\n"); };
    }
    return engine::cyclone::open_store(*disk_, config, shared);
  }

  TargetConfig config_;
  Rig rig_;
  std::optional<Disk> disk_;
  engine::restart::ProcessMemory memory_;
  std::optional<SharedGround> ground_;
  std::string log_;
};

}  // namespace

std::unique_ptr<EngineHome> make_memory_home(const TargetConfig& config, const Rig& rig) {
  return std::make_unique<MemoryHome>(config, rig);
}

}  // namespace scenarios
