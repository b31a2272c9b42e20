#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "properties/judge.h"

namespace properties {

/// A recording and an examination made by hand, for tests: the history is said operation by
/// operation, and each takes the log entries it would have taken.
class EvidenceByHand {
 public:
  static constexpr std::uint32_t unit_bytes = 16384;

  explicit EvidenceByHand(std::string_view profile = "ssd_4k_volatile",
                          std::uint64_t capacity_units = 60);

  // Operations; each returns its number. Puts and purges are two entries: a mark, a write.
  std::uint32_t put(scenarios::Key key, std::uint64_t size_bytes = 1000);
  std::uint32_t begin(scenarios::Key key, std::uint64_t size_bytes = 1000);
  void finish(std::uint32_t put);
  void abort(std::uint32_t put);
  std::uint32_t refused_put(scenarios::Key key, std::uint64_t size_bytes = 1000);
  std::uint32_t update(scenarios::Key key, scenarios::PutNumber of_put);
  std::uint32_t purge(scenarios::Key key);
  std::uint32_t purge_all();
  std::uint32_t sync();
  std::uint32_t clear(std::uint32_t unit = unit_bytes);
  /// A kill: uploads never end.
  void kill();
  /// A power cut inside the history; what a sync had covered was durable.
  void power_cut();

  [[nodiscard]] std::uint32_t now() const { return recording_->log.size(); }
  [[nodiscard]] scenarios::Recording& recording() { return *recording_; }

  /// What a get may answer for `key` after a power cut (or kill) after `entry`, or now.
  [[nodiscard]] KeyAnswers answers(scenarios::Key key,
                                   std::optional<std::uint32_t> entry = std::nullopt,
                                   faultfs::CutKind kind = faultfs::CutKind::power_cut);

  /// Readings: the whole body of `put`, or less.
  [[nodiscard]] scenarios::Reading miss(scenarios::Key key) const;
  [[nodiscard]] scenarios::Reading hit(scenarios::PutNumber put) const;

  /// Judges readings as those of every phase, after a power cut now.
  [[nodiscard]] Judgement judge(const std::vector<scenarios::Reading>& readings);
  [[nodiscard]] Judgement judge(const scenarios::Examination& seen);
  /// An examination with a sound structure and these readings in the first two phases.
  [[nodiscard]] scenarios::Examination examination(
      const std::vector<scenarios::Reading>& readings) const;

 private:
  std::uint32_t add(scenarios::Operation operation);
  scenarios::Operation& operation(std::uint32_t number);
  void write();
  [[nodiscard]] std::unique_ptr<faultfs::CrashModel> model() const;

  std::unique_ptr<scenarios::Recording> recording_;
};

/// The names of the properties violated, ascending, each once.
[[nodiscard]] std::vector<std::string> violated(const Judgement& judgement);
/// The first violation of `property`; empty texts where there is none.
[[nodiscard]] Violation violation(const Judgement& judgement, std::string_view property);

}  // namespace properties
