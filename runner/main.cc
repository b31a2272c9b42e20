#include "reports/reports.h"
#include "runner/command_line.h"

int main(int argc, char** argv) {
  runner::ReportingSeam reporting;
  reporting.render = reports::failure_trace;
  reporting.summarize = reports::run_summary;
  reporting.observers = [](std::ostream& terminal, const runner::ReportChoice& choice) {
    reports::ReportOptions options;
    options.color = choice.color;
    options.live = choice.live;
    options.json = choice.json;
    options.junit = choice.junit;
    return reports::make_observers(terminal, options);
  };
  return runner::run_command_line(argc, argv, reporting);
}
