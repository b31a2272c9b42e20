#include "runner/explorer.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "runner/explorers/explorers.h"

namespace runner {

const std::vector<std::string>& explorer_names() {
  static const std::vector<std::string> names = {
      "kills", "prefix", "bounded", "random", "mixed", "lazy", "exhaustive"};
  return names;
}

faultfs::Result<std::unique_ptr<Explorer>> make_explorer(const faultfs::CrashModel& model,
                                                         const ExplorerOptions& options) {
  if (options.depth > 0) {
    return explorers::make_nested(model, options);
  }
  if (options.name == "kills") {
    return explorers::make_kills(model, options.seed);
  }
  if (options.name == "prefix") {
    return explorers::make_prefix(model);
  }
  if (options.name == "bounded") {
    return explorers::make_bounded(model, options.deviations_max);
  }
  if (options.name == "lazy") {
    return explorers::make_lazy(model, options);
  }
  if (options.name == "exhaustive") {
    return explorers::make_exhaustive(model, options);
  }
  if (options.name == "random" || options.name == "mixed") {
    return explorers::make_random(model, options);
  }
  return faultfs::fail(fmt::format(
      "\"{}\" is no explorer; allowed: {}", options.name, fmt::join(explorer_names(), ", ")));
}

}  // namespace runner
