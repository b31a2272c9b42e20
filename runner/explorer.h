#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "faultfs/crash_model.h"
#include "faultfs/read_watch.h"

namespace runner {

/// What an explorer left out of one log, in words for the end-of-run lines; empty: nothing.
struct Unexplored {
  std::string what;          ///< "power cuts with more than 2 deviations"
  std::uint64_t states = 0;  ///< how many, where it can be counted; 0: not counted
};

/// Chooses crash states of one log, one after another, as crash plans. Every plan it gives is legal
/// for the model. The same model and seed give the same plans.
class Explorer {
 public:
  virtual ~Explorer() = default;
  /// The next plan; none when it is finished.
  [[nodiscard]] virtual std::optional<faultfs::CrashPlan> next() = 0;
  /// The sectors whose content the last plan left open: those of which `observed` wants to know.
  [[nodiscard]] virtual std::vector<faultfs::SectorPlace> undecided() const { return {}; }
  /// The cache has run on the last plan; `reads` are the sectors of `undecided` that it read, first
  /// read first. Returns how many crash states that run stands for.
  virtual double observed(const std::vector<faultfs::SectorPlace>& /*reads*/) { return 1; }
  /// What it will not give, even when `next` has come to its end.
  [[nodiscard]] virtual std::vector<Unexplored> unexplored() const = 0;

 protected:
  Explorer() = default;
  Explorer(const Explorer&) = delete;
  Explorer& operator=(const Explorer&) = delete;
};

struct ExplorerOptions {
  std::string name = "mixed";  ///< one of `explorer_names`
  std::uint64_t seed = 0;
  std::uint32_t deviations_max = 2;  ///< bounded: k
  std::uint32_t states_max = 0;      ///< random, mixed: how many plans; 0: no end
  /// random, mixed: entries to cut at more often than at others, in groups that are equals.
  std::vector<std::vector<std::uint32_t>> weighty = {};
};

[[nodiscard]] const std::vector<std::string>& explorer_names();
/// `model` must outlive the explorer. Error: names the word and the allowed ones.
[[nodiscard]] faultfs::Result<std::unique_ptr<Explorer>> make_explorer(
    const faultfs::CrashModel& model, const ExplorerOptions& options);

}  // namespace runner
