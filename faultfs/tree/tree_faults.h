#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "faultfs/device.h"
#include "faultfs/faults/fault.h"
#include "faultfs/faults/trigger.h"
#include "faultfs/tear.h"
#include "faultfs/tree/objects.h"

namespace faultfs::tree {

/// A request to a tree, as far as a fault looks at it.
struct TreeRequest {
  RequestKind kind = RequestKind::write;
  std::vector<ObjectNumber> objects = {};                         ///< what it is about
  std::vector<std::pair<ObjectNumber, std::string>> places = {};  ///< directory and name
  std::uint64_t offset_bytes = 0;
  std::uint64_t size_bytes = 0;
};

/// How what was done with one entry of the log differs from what was asked. Kept beside the log, so
/// that it can be taken back.
struct TreeChange {
  std::uint32_t entry = 0;
  std::uint32_t fault = 0;
  bool torn = false;             ///< else: acknowledged and not done
  std::vector<Piece> kept = {};  ///< torn: of a write; counted from its start
};

/// What a tree does with a request instead of what it was asked; as made, all that was asked.
struct TreeDeed {
  int error = 0;  ///< refused with this errno: nothing is done
  faults::Killed killed = faults::Killed::no;
  faults::Killed cut = faults::Killed::no;  ///< where the power goes
  std::vector<TreeChange> changes = {};     ///< of the entry of the request
};

/// The faults of a directory tree. Prose: head of tree_faults.cc. Not thread-safe: the tree locks.
class TreeFaults {
 public:
  /// `sector_bytes`: where writes come apart.
  explicit TreeFaults(std::uint32_t sector_bytes) : sector_bytes_(sector_bytes) {}

  /// The faults that a tree can have, in the form of the catalogue of devices.
  [[nodiscard]] static const std::vector<faults::FaultKind>& catalogue();
  /// Reads an expression of that language. Error: names the word, and what is allowed.
  [[nodiscard]] static Result<faults::Expression> parse(std::string_view text);

  /// Puts a fault behind the others; returns its number, from 1.
  std::uint32_t add(const faults::Expression& expression);
  /// False: there is no fault of that number.
  [[nodiscard]] bool switch_on(std::uint32_t number, bool on);
  [[nodiscard]] bool is_on(std::uint32_t number) const;
  [[nodiscard]] std::vector<FaultState> list() const;
  void mark(std::string_view text);

  /// What the tree is to do with `request`, which it is about to carry out in `state`.
  [[nodiscard]] TreeDeed decide(const TreeRequest& request, const TreeState& state);

 private:
  struct Installed {
    faults::Expression expression;
    faults::Trigger trigger;
    bool on = true;
  };
  [[nodiscard]] bool fire(std::uint32_t number,
                          const faults::Expression& expression,
                          const TreeRequest& request,
                          TreeDeed& deed) const;

  std::uint32_t sector_bytes_;
  std::vector<Installed> faults_;
};

}  // namespace faultfs::tree
