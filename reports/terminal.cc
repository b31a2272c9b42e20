#include <algorithm>
#include <ostream>

#include <fmt/format.h>

#include "reports/observers.h"
#include "reports/page.h"

namespace reports {
namespace {

using runner::Progress;
using runner::RunInfo;

constexpr double plain_line_seconds = 5;
constexpr double redraw_seconds = 0.1;
constexpr double day_seconds = 24 * 3600;

/// "12 s of 60 s", "12 s, about 48 s to go": what is left by the limit that comes first.
std::string time_text(const RunInfo& info, const Progress& progress) {
  std::string text = duration_text(progress.seconds);
  double left = -1;
  if (info.seconds_max > 0) {
    left = std::max(0.0, info.seconds_max - progress.seconds);
  }
  if (info.states_max > 0 && progress.states > 0) {
    const std::uint64_t states = info.states_max - std::min(info.states_max, progress.states);
    const double by_states =
        static_cast<double>(states) * progress.seconds / static_cast<double>(progress.states);
    left = left < 0 ? by_states : std::min(left, by_states);
  }
  if (left < 0) {
    return text;
  }
  const bool days = left > day_seconds;
  return fmt::format("{}, {} to go", text, days ? "more than a day" : duration_text(left));
}

std::string progress_text(const RunInfo& info, const Progress& progress) {
  const double rate =
      progress.seconds > 0 ? static_cast<double>(progress.states) / progress.seconds : 0;
  std::string text = fmt::format("{}   {}/s   {}   violated {}",
                                 counted(progress.states, "crash state", "crash states"),
                                 grouped(static_cast<std::uint64_t>(rate)),
                                 time_text(info, progress),
                                 grouped(progress.violated));
  if (progress.undecided > 0) {
    text += fmt::format("   undecided {}", grouped(progress.undecided));
  }
  if (progress.shrinking > 0) {
    text += fmt::format("   shrinking {}", counted(progress.shrinking, "case", "cases"));
  }
  return cut_to(text, page_columns - 1);
}

class Terminal : public runner::Observer {
 public:
  Terminal(std::ostream& terminal, const ReportOptions& options)
      : terminal_(terminal), color_(options.color), live_(options.live) {}

  void run_started(const RunInfo& info) override {
    info_ = info;
    Page page;
    page.line(info.title, Style::strong);
    page.line(fmt::format(
        "seed 0x{:x}    commit {}    {}", info.seed, info.commit, counted_jobs(info.jobs)));
    terminal_ << page.text(color_) << std::flush;
  }

  void progressed(const Progress& progress) override {
    const double pause = live_ ? redraw_seconds : plain_line_seconds;
    if (progress.seconds < told_at_ + pause) {
      return;
    }
    told_at_ = progress.seconds;
    const std::string text = progress_text(info_, progress);
    terminal_ << (live_ ? "\r\x1b[K" + text : text + "\n") << std::flush;
    drawn_ = live_;
  }

  void case_kept(const runner::FailureCase& failure) override {
    clear();
    terminal_ << '\n' << failure_trace(failure, color_) << '\n' << std::flush;
  }

  void run_ended(const runner::RunSummary& summary) override {
    clear();
    terminal_ << '\n' << run_summary(summary, color_) << std::flush;
  }

 private:
  static std::string counted_jobs(int jobs) {
    return counted(static_cast<std::uint64_t>(std::max(jobs, 0)), "worker", "workers");
  }

  /// Takes the progress line away, so that what follows begins on a clean line.
  void clear() {
    if (drawn_) {
      terminal_ << "\r\x1b[K";
      drawn_ = false;
    }
  }

  std::ostream& terminal_;
  bool color_;
  bool live_;
  RunInfo info_;
  double told_at_ = 0;
  bool drawn_ = false;
};

}  // namespace

std::unique_ptr<runner::Observer> make_terminal(std::ostream& terminal,
                                                const ReportOptions& options) {
  return std::make_unique<Terminal>(terminal, options);
}

std::vector<std::unique_ptr<runner::Observer>> make_observers(std::ostream& terminal,
                                                              const ReportOptions& options) {
  std::vector<std::unique_ptr<runner::Observer>> observers;
  observers.push_back(make_terminal(terminal, options));
  if (!options.json.empty()) {
    observers.push_back(make_json_lines(terminal, options.json));
  }
  if (!options.junit.empty()) {
    observers.push_back(make_junit(terminal, options.junit));
  }
  return observers;
}

}  // namespace reports
