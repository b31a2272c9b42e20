#include "runner/known_cases.h"

#include <algorithm>
#include <cstdlib>
#include <set>
#include <system_error>

#include <fmt/format.h>

#include "faultfs/base/bytes.h"
#include "runner/processes.h"

namespace runner {
namespace {

namespace fs = std::filesystem;
constexpr std::size_t cases_max = 16;
constexpr std::string_view pending = "pending-";
constexpr std::size_t index_digits = 6;

std::vector<fs::path> sorted_entries(const fs::path& directory) {
  std::vector<fs::path> paths;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(directory, ignored)) {
    paths.push_back(entry.path());
  }
  std::ranges::sort(paths);
  return paths;
}

/// Another program behind target command is another cache; another build of Squid is Squid.
bool same_target(const scenarios::TargetConfig& a, const scenarios::TargetConfig& b) {
  return a.target == b.target && a.store == b.store && a.preset == b.preset &&
         a.without_gates == b.without_gates && a.disks == b.disks && a.ram_cache == b.ram_cache &&
         (a.target != "command" || a.program == b.program);
}

/// A case of a faulty device says nothing about a run without that fault.
bool has_faults_of(const CampaignOptions& options, const CaseFile& file) {
  const auto faults = faults_of(options);
  return std::ranges::all_of(file.faults, [&](const auto& fault) {
    return std::ranges::any_of(faults, [&](const auto& it) { return it.fault == fault.fault; });
  });
}

}  // namespace

std::vector<KnownCase> failing_cases(const CampaignOptions& options) {
  std::vector<KnownCase> cases;
  std::set<std::string> texts;
  auto runs = sorted_entries(options.out.parent_path());
  std::ranges::reverse(runs);
  for (const auto& run : runs) {
    for (const auto& directory : sorted_entries(run)) {
      auto file = load_case(directory / "plan.txt");
      if (!file || !file->expect_violated || !same_target(file->config, options.config) ||
          !has_faults_of(options, *file)) {
        continue;
      }
      if (!texts.insert(to_text(*file)).second) {
        continue;  // a run that tried it again kept it again
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

std::string pending_name(std::uint64_t index) {
  const char* owner = std::getenv(owner_variable);  // NOLINT(concurrency-mt-unsafe): one thread
  return fmt::format("{}{:0{}}-{}", pending, index, index_digits, owner != nullptr ? owner : "");
}

void remove_abandoned(const std::filesystem::path& out) {
  std::error_code ignored;
  for (const auto& run : sorted_entries(out)) {
    bool removed = false;
    for (const auto& entry : sorted_entries(run)) {
      const std::string name = entry.filename().string();
      const std::size_t owner = name.find('-', pending.size());
      if (name.starts_with(pending) && owner != std::string::npos &&
          !lives(name.substr(owner + 1))) {
        fs::remove_all(entry, ignored);
        removed = true;
      }
    }
    if (removed) {
      fs::remove(run, ignored);  // only where nothing was kept
    }
  }
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
