#pragma once

#include <memory>

#include "scenarios/targets/target.h"

namespace scenarios {

/// Any program that keeps its data in one file, spoken to through one executable with verbs
/// (scenarios/README.md, "Test your own cache"; the words are at the head of command_target.cc).
[[nodiscard]] faultfs::Result<std::unique_ptr<Target>> make_command(const TargetConfig& config,
                                                                    const Rig& rig);

/// Ok where `config.program` can be executed. Error: says what is wrong with it.
[[nodiscard]] faultfs::Status command_available(const TargetConfig& config);

}  // namespace scenarios
