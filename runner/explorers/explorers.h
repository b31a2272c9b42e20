#pragma once

#include <memory>

#include "runner/explorer.h"
#include "runner/explorers/draw.h"

namespace runner::explorers {

/// A kill after each request, in an order drawn from `seed`: nothing lost, nothing torn.
[[nodiscard]] std::unique_ptr<Explorer> make_kills(const faultfs::CrashModel& model,
                                                   std::uint64_t seed);

/// In-order loss at every crash point, and every kill.
[[nodiscard]] std::unique_ptr<Explorer> make_prefix(const faultfs::CrashModel& model);

/// Every power cut in which at most `deviations` volatile writes differ from all-kept, or from
/// all-lost; ordered by that number.
[[nodiscard]] std::unique_ptr<Explorer> make_bounded(const faultfs::CrashModel& model,
                                                     std::uint32_t deviations);

/// Every crash state, each class that the cache cannot tell apart once; see lazy.cc.
[[nodiscard]] std::unique_ptr<Explorer> make_lazy(const faultfs::CrashModel& model,
                                                  const ExplorerOptions& options);

/// Every crash state, each once.
[[nodiscard]] std::unique_ptr<Explorer> make_exhaustive(const faultfs::CrashModel& model,
                                                        const ExplorerOptions& options);

/// The explorer that `options` names, and the same again in the log of every recovery, down to
/// `options.depth`; see nested.cc. Error: as `make_explorer`.
[[nodiscard]] faultfs::Result<std::unique_ptr<Explorer>> make_nested(
    const faultfs::CrashModel& model, const ExplorerOptions& options);

/// Random crash points and fates. `mixed` (the name in `options`) spends a third on kills and
/// in-order loss and a third on few deviations; otherwise every volatile write is drawn alone. Ends
/// after `states_max` plans (0: never).
[[nodiscard]] std::unique_ptr<Explorer> make_random(const faultfs::CrashModel& model,
                                                    const ExplorerOptions& options);

}  // namespace runner::explorers
