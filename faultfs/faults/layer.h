#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "faultfs/device.h"
#include "faultfs/faults/fault.h"
#include "faultfs/faults/replay.h"
#include "faultfs/faults/trigger.h"

namespace faultfs::faults {

/// The faults of a device, between its requests and its pristine disks and log, which know nothing
/// of them. Prose: head of layer.cc. Not thread-safe: the device locks.
class FaultLayer {
 public:
  /// From here on `asked` and `disks` are what an honest device did. `profile` and `specs` must
  /// outlive it.
  FaultLayer(const DeviceProfile& profile,
             const std::vector<DiskSpec>& specs,
             const WriteLog& asked,
             std::vector<Image> disks);

  /// Returns the fault's number, from 1. Error: names what in the expression does not fit here.
  Result<std::uint32_t> add(const Expression& expression, MakeFault make);
  /// False: there is no fault of that number.
  bool switch_on(std::uint32_t number, bool on, const WriteLog& asked);
  bool release(std::uint32_t number);
  [[nodiscard]] std::vector<FaultState> list() const;

  void mark(std::string_view text);
  /// What arrives: whether it must wait, and for whom (0: for nobody).
  [[nodiscard]] Arrival arrive(const Request& request);
  /// What the device is to do with `request`.
  [[nodiscard]] Deed decide(const Request& request, std::uint32_t issued_after);
  /// `request` is about to be carried out.
  void before_change(const Request& request);
  /// The last entry of `asked` was carried out, with these changes.
  void carried_out(const WriteLog& asked, std::vector<Change> changes);
  /// Reads what a client is to get.
  void read(const Request& request, const Deed& deed, MutableByteView into);
  void power_on(std::vector<Image> disks);

  [[nodiscard]] const std::vector<Image>& seen() const { return now_.disks(); }
  [[nodiscard]] const WriteLog& done() const { return now_.done(); }

 private:
  struct Installed {
    std::uint32_t number;
    Expression expression;
    bool at_arrival;
    bool on;
    Trigger trigger;
    std::unique_ptr<Fault> fault;
  };
  [[nodiscard]] Installed* find(std::uint32_t number);
  [[nodiscard]] bool is_on(std::uint32_t number) const;
  [[nodiscard]] Medium medium(std::uint32_t issued_after) const;
  void ask(Installed& it, const Request& request, const Medium& below, Deed& deed);
  void rebuild(const WriteLog& asked);
  [[nodiscard]] std::vector<const Change*> changes_of(std::uint32_t entry) const;

  const DeviceProfile& profile_;
  const std::vector<DiskSpec>& specs_;
  std::vector<Installed> faults_;  ///< in the order in which a request meets them
  std::vector<Image> base_;      ///< the disks when the first fault was put there, or the power on
  std::uint32_t known_since_;    ///< the entry after which that was
  std::vector<Change> changes_;  ///< ascending by entry, in order of making
  Replay now_;
};

}  // namespace faultfs::faults
