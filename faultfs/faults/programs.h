#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "faultfs/device.h"
#include "faultfs/faults/fault.h"
#include "faultfs/faults/naive_device.h"

namespace faultfs::programs {

/// An implementation of a fault that stands in for the one in the catalogue.
struct Planted {
  std::string_view fault;
  faults::MakeFault make = nullptr;
};

/// How a program reaches the device: directly, or through a mount.
class Client {
 public:
  virtual ~Client() = default;
  /// Carries out `request`, into `bytes` when it reads; returns what the client is told.
  virtual Outcome ask(const Request& request, Bytes& bytes) = 0;
  /// Handles are of an old power-on: get new ones.
  virtual void open_again() = 0;
};

struct Options {
  Planted planted = {};
  std::string_view always = {};                ///< a fault that every program has; empty: none
  std::vector<std::string_view> without = {};  ///< faults that no program has
};

/// The device and its disks that programs run on.
[[nodiscard]] std::vector<DiskSpec> disks();
[[nodiscard]] DeviceProfile drawn_profile(std::uint64_t seed);

/// A fault expression drawn from `seed`, of the fault called `fault` (empty: any).
[[nodiscard]] std::string drawn_expression(std::uint64_t seed, std::string_view fault);

/// Runs the program that `numbers` stand for (each is a command; the first draws the faults)
/// against `device` and the naive model. `client`: how to reach the device; null: directly. Returns
/// the first divergence in words, or nothing.
[[nodiscard]] std::string run_program(const std::vector<std::uint32_t>& numbers,
                                      const Options& options,
                                      Device& device,
                                      Client* client = nullptr);

/// How many programs a test runs: `variable` of the environment, or `normal`.
[[nodiscard]] int programs_to_run(const char* variable, int normal);

}  // namespace faultfs::programs
