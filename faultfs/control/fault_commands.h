#pragma once

#include <string>
#include <string_view>

#include "faultfs/device.h"
#include "faultfs/tree/tree.h"

namespace faultfs::control {

/// Answers what follows the word "fault" in a control line: the language is in fault_commands.cc.
[[nodiscard]] Result<std::string> fault_command(Device& device, std::string_view rest);
[[nodiscard]] Result<std::string> fault_command(tree::Tree& tree, std::string_view rest);

}  // namespace faultfs::control
