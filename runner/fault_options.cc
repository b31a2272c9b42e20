#include "runner/fault_options.h"

#include <fmt/format.h>

namespace runner {

faultfs::Status read_faults(const std::vector<std::string>& texts, CampaignOptions& options) {
  for (const auto& text : texts) {
    auto fault = faultfs::faults::parse_expression(text);
    if (!fault) {
      return faultfs::fail(fmt::format("--fault \"{}\": {}", text, fault.error().message));
    }
    options.faults.push_back(std::move(*fault));
  }
  const auto faults = faults_of(options);
  if (faults.empty()) {
    return {};
  }
  const auto disks = scenarios::disk_specs(options.config);
  for (const auto& profile : profiles_of(options)) {
    if (auto status = scenarios::check_faults(faults, profile, disks); !status) {
      return faultfs::fail(fmt::format("--fault, on {}: {}", profile.name, status.error().message));
    }
  }
  return {};
}

std::string quoted(const std::string& word) {
  return word.find_first_of(" \t*?;&|<>$") == std::string::npos ? word : "'" + word + "'";
}

}  // namespace runner
