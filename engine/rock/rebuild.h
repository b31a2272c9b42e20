#pragma once

#include <vector>

#include "engine/rock/chain.h"
#include "engine/rock/core.h"

namespace engine::rock {

/// What the rebuild decided about one slot.
struct SlotFinding {
  enum class Verdict : std::uint8_t { unscanned, empty, loaded, refused, superseded };
  Verdict verdict = Verdict::unscanned;
  Gate gate = Gate::slot_bounds;  ///< refused: by which
};

/// Fills the tables of a store from its slots, some slots at a time. The rules are the prose at the
/// head of rebuild.cc.
class Rebuild {
 public:
  explicit Rebuild(Core& core);

  /// Up to `slices` slices, each of `rebuild_slice_slots` more slots; the last one judges what is
  /// still open.
  [[nodiscard]] Status step(std::uint64_t slices = 1);
  /// All that is left.
  [[nodiscard]] Status finish();
  /// `entry` was stored by traffic while its old slots were being loaded: they are superseded.
  [[nodiscard]] Status supersede(std::uint32_t entry);

  [[nodiscard]] const RecoveryReport& report() const { return report_; }
  [[nodiscard]] const std::vector<SlotFinding>& findings() const { return findings_; }

 private:
  using Verdict = SlotFinding::Verdict;

  void decide(std::uint32_t slot, Verdict verdict, Gate gate = Gate::slot_bounds);
  [[nodiscard]] Status slice();
  [[nodiscard]] Status scan(std::uint32_t slot);
  [[nodiscard]] bool in_window(std::uint32_t slot) const;
  [[nodiscard]] bool known_blank(std::uint32_t slot);
  [[nodiscard]] Status read_first_sector(std::uint32_t slot);
  void found_empty(std::uint32_t slot);
  [[nodiscard]] std::optional<Gate> refuse_alone(const DecodedSlot& slot, std::uint32_t at) const;
  [[nodiscard]] Status refuse(std::uint32_t slot, const SlotHeader& header, Gate gate);
  [[nodiscard]] Status supersede_slot(std::uint32_t slot);
  [[nodiscard]] Status supersede_found(std::uint32_t slot, const Entry& entry);
  [[nodiscard]] Status put_aside(std::uint32_t slot, const SlotHeader& header);
  [[nodiscard]] Status refuse_entry(std::uint32_t entry, Gate gate);

  [[nodiscard]] Status load(std::uint32_t slot, const SlotHeader& header);
  void add_to_list(std::uint32_t number, std::uint32_t slot, const SlotHeader& header);
  [[nodiscard]] bool contradicts(const Entry& entry, const SlotHeader& header) const;
  [[nodiscard]] bool looks_complete(const Entry& entry) const;

  [[nodiscard]] Status judge(std::uint32_t number, bool at_end);
  void collect_heads(const Entry& entry);
  [[nodiscard]] std::optional<std::uint32_t> choose_head(Gate& reason);
  [[nodiscard]] bool payload_holds(const Walk& walk);
  [[nodiscard]] bool contradiction_stands(const Entry& entry, std::uint32_t head) const;
  [[nodiscard]] Status put_aside_rest(const Entry& entry, std::uint32_t head, Gate reason);
  void publish(std::uint32_t number, std::uint32_t head, const Walk& walk);

  [[nodiscard]] Status load_by_sum(std::uint32_t number, std::uint32_t slot);
  [[nodiscard]] Status judge_by_sum(std::uint32_t number);
  [[nodiscard]] bool sum_holds(const Entry& entry, std::uint32_t start);

  [[nodiscard]] Status end_scan();

  Core& core_;
  LoadedSlots loaded_;
  ChainProof proof_;
  std::vector<SlotFinding> findings_;
  RecoveryReport report_;
  std::uint32_t next_slot_ = 0;
  std::uint32_t next_entry_ = 0;
  Walk walk_;
  std::vector<std::uint32_t> heads_;

  // Reading ahead, within one call of `step` only: nobody writes to slots that are not scanned.
  std::vector<std::byte> window_;
  std::uint64_t window_at_ = 0, window_bytes_ = 0;
  std::uint32_t window_end_ = 0;       // the first slot that is not to be read ahead
  bool window_blank_ = true;           // as far as it was looked at
  std::uint64_t blank_until_ = 0;      // as the device told
  bool perhaps_blank_ = true;          // asking the device again may be worth it
  std::span<const std::byte> sector_;  // of the slot being scanned
};

}  // namespace engine::rock
