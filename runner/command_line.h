#pragma once

#include <functional>
#include <iosfwd>
#include <memory>
#include <string>
#include <vector>

#include "runner/observer.h"

namespace runner {

/// How a run is to be told, as far as the command line says it.
struct ReportChoice {
  bool color = false;
  bool live = false;        ///< standard output is a terminal
  std::string json, junit;  ///< files; empty: none
};

/// What `reports/` gives; `main` hands it in, because the runner sees no report.
struct ReportingSeam {
  std::function<std::string(const FailureCase&, bool color)> render;
  std::function<std::string(const RunSummary&, bool color)> summarize;
  std::function<std::vector<std::unique_ptr<Observer>>(std::ostream& terminal, const ReportChoice&)>
      observers;
};

/// The program `powercut`: reads the arguments, does it, returns the exit code (0 all claimed
/// properties held, 1 violated, 2 usage, 3 nothing violated but something undecided, 70 harness
/// bug).
[[nodiscard]] int run_command_line(int argc,
                                   const char* const* argv,
                                   const ReportingSeam& reporting);

}  // namespace runner
