#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>

#include "engine/restart/gates.h"
#include "engine/restart/layout.h"

namespace engine::restart {

/// A stripe's right to one row.
struct TableClaim {
  std::size_t slot = 0;
  std::string name;                ///< of the image
  bool attach = false;             ///< the image of the life before may be attached
  bool was_used = false;           ///< an older image may be there under the name
  std::uint64_t image_digest = 0;  ///< that the attached bytes must have
};

/// The rows of the control segment during one life: who has which, and what the next start may
/// rely on. A row that was given out promises nothing until it is sealed. For any number of
/// threads.
class Table {
 public:
  Table(Control& control, std::string prefix, Gates& gates);

  /// The row of the stripe, checked against it and its disk; a fresh row where there is none or it
  /// was refused. None: the stripe gets no shared memory in this run.
  [[nodiscard]] std::optional<TableClaim> claim(std::string_view identity,
                                                std::uint64_t size_bytes,
                                                const Binding& disk);
  /// Gives a row back that no image could be made for.
  void release(std::size_t slot);
  void distrust(std::size_t slot);
  void seal(std::size_t slot, const Binding& disk, std::uint64_t image_digest);

  /// Takes the rows out that nobody claimed, and returns the names of their images.
  [[nodiscard]] std::vector<std::string> take_orphans();
  [[nodiscard]] std::size_t claimed_count() const;
  [[nodiscard]] std::size_t orphan_count() const;
  /// True where every row that was claimed has been sealed.
  [[nodiscard]] bool all_sealed() const;
  /// The last stores of a life.
  void mark_clean();

 private:
  enum class Use : std::uint8_t { unclaimed, claimed, sealed };

  [[nodiscard]] std::optional<std::size_t> find(std::uint64_t identity_hash) const;
  [[nodiscard]] std::optional<std::size_t> reserve();
  /// The first gate that refuses to attach `row`.
  [[nodiscard]] std::optional<Gate> refusal(const Row& row,
                                            std::uint64_t size_bytes,
                                            const Binding& disk) const;
  void say_refused(Gate gate, std::string_view identity, const Row& row);
  void trim();

  Control& control_;
  std::string prefix_;
  Gates& gates_;
  mutable std::mutex mutex_;
  std::array<Use, row_count> uses_ = {};
};

}  // namespace engine::restart
