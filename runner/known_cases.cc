#include "runner/known_cases.h"

#include <algorithm>
#include <system_error>

#include <fmt/format.h>

#include "faultfs/base/bytes.h"

namespace runner {
namespace {

namespace fs = std::filesystem;
constexpr std::size_t cases_max = 16;

std::vector<fs::path> sorted_entries(const fs::path& directory) {
  std::vector<fs::path> paths;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(directory, ignored)) {
    paths.push_back(entry.path());
  }
  std::ranges::sort(paths);
  return paths;
}

bool same_target(const scenarios::TargetConfig& a, const scenarios::TargetConfig& b) {
  return a.target == b.target && a.store == b.store && a.preset == b.preset &&
         a.without_gates == b.without_gates;
}

}  // namespace

std::vector<KnownCase> failing_cases(const CampaignOptions& options) {
  std::vector<KnownCase> cases;
  auto runs = sorted_entries(options.out.parent_path());
  std::ranges::reverse(runs);
  for (const auto& run : runs) {
    for (const auto& directory : sorted_entries(run)) {
      auto file = load_case(directory / "plan.txt");
      if (!file || !file->expect_violated || !same_target(file->config, options.config)) {
        continue;
      }
      const std::string recording = file->log_file ? directory.string() : std::string();
      cases.push_back({std::move(*file), directory, recording});
      if (cases.size() == cases_max) {
        return cases;
      }
    }
  }
  return cases;
}

std::filesystem::path numbered_run(const std::filesystem::path& out) {
  std::uint64_t last = 0;
  for (const auto& path : sorted_entries(out)) {
    if (auto number = faultfs::parse_number(path.filename().string());
        number && *number < 1000000) {
      last = std::max(last, *number);
    }
  }
  return out / fmt::format("{:04}", last + 1);
}

}  // namespace runner
