#pragma once

#include <map>
#include <string>
#include <vector>

#include "faultfs/plan.h"
#include "faultfs/tree/tree.h"

namespace faultfs::tree::naive {

/// The prose at the head of tree_model.cc once more, for tests: pairwise, by brute force, with
/// nothing remembered. Bytes come from the naive model of disks.
struct Model {
  explicit Model(const Recording& recording);

  [[nodiscard]] bool legal(const CrashPlan& plan) const;
  /// Every path with what is there: "file <content>", "directory", "symlink <target>".
  [[nodiscard]] std::map<std::string, std::string> build(const CrashPlan& plan) const;

 private:
  [[nodiscard]] bool needs(std::uint32_t later, std::uint32_t earlier) const;
  [[nodiscard]] bool covers(std::uint32_t sync, std::uint32_t change) const;
  [[nodiscard]] bool durable(std::uint32_t change, std::uint32_t completed) const;
  [[nodiscard]] bool legal_change(const CrashPlan& plan, std::uint32_t number) const;
  [[nodiscard]] std::uint64_t length_before(std::uint32_t number) const;
  [[nodiscard]] std::vector<ObjectNumber> above(ObjectNumber directory, std::uint32_t before) const;
  [[nodiscard]] ObjectNumber file_of(std::uint32_t number) const;

  const Recording& recording_;
  std::vector<Change> changes_;      ///< by entry number; kind `sync` of object 0: no change
  std::vector<ObjectNumber> files_;  ///< by disk
};

/// A tree in the same form.
[[nodiscard]] std::map<std::string, std::string> shown(const TreeState& tree);

}  // namespace faultfs::tree::naive
