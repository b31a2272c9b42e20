// A run as JUnit XML, as CI servers read it: a suite for each device profile, in it a test case for
// each property judged there. A case of a property that was violated there has the failure trace as
// its text; one that was undecided anywhere is skipped, with the count. What went undecided for
// other reasons (a target that is not installed) is a suite of its own, all skipped.
#include <fstream>
#include <ostream>
#include <pugixml.hpp>
#include <sstream>

#include <fmt/format.h>

#include "reports/observers.h"

namespace reports {
namespace {

using runner::PropertyCount;
using runner::RunSummary;

/// XML 1.0 cannot hold control characters, escaped or not; they become U+FFFD.
std::string xml_text(std::string_view text) {
  std::string clean;
  for (const char byte : text) {
    const auto value = static_cast<unsigned char>(byte);
    const bool allowed = value >= 0x20 || byte == '\n' || byte == '\t';
    clean += allowed && value != 0x7f ? std::string(1, byte) : std::string("\xEF\xBF\xBD");
  }
  return clean;
}

void set(pugi::xml_node& node, const char* name, const std::string& value) {
  node.append_attribute(name).set_value(value.c_str());
}

struct Totals {
  std::uint64_t tests = 0, failures = 0, skipped = 0;
};

void set_totals(pugi::xml_node& node, const Totals& totals) {
  set(node, "tests", std::to_string(totals.tests));
  set(node, "failures", std::to_string(totals.failures));
  set(node, "errors", "0");
  set(node, "skipped", std::to_string(totals.skipped));
}

class Writer {
 public:
  Writer(const RunSummary& summary, const std::vector<JunitFailure>& failures)
      : summary_(summary), failures_(failures) {}

  std::string text() {
    pugi::xml_node root = document_.append_child("testsuites");
    set(root, "name", "powercut: " + xml_text(summary_.info.title));
    pugi::xml_node suites = root;
    for (const auto& [profile, properties] : summary_.properties_by_profile) {
      write_suite(suites, profile, properties);
    }
    if (summary_.properties_by_profile.empty() && !summary_.properties.empty()) {
      write_suite(suites, "all profiles", summary_.properties);
    }
    write_undecided(suites);
    set_totals(root, total_);
    set(root, "time", fmt::format("{:.3f}", summary_.seconds));
    std::ostringstream out;
    document_.save(out, "  ");
    return out.str();
  }

 private:
  void write_suite(pugi::xml_node& root,
                   const std::string& profile,
                   const std::map<std::string, PropertyCount>& properties) {
    pugi::xml_node suite = root.append_child("testsuite");
    set(suite, "name", xml_text(profile));
    Totals totals;
    for (const auto& [name, count] : properties) {
      pugi::xml_node test = suite.append_child("testcase");
      set(test, "classname", "powercut." + xml_text(profile));
      set(test, "name", xml_text(name));
      ++totals.tests;
      if (count.violated > 0) {
        ++totals.failures;
        write_failure(test, profile, name, count);
      } else if (count.undecided > 0) {
        ++totals.skipped;
        pugi::xml_node skipped = test.append_child("skipped");
        set(skipped, "message", fmt::format("undecided in {} crash states", count.undecided));
      }
    }
    set_totals(suite, totals);
    add(totals);
  }

  void write_failure(pugi::xml_node& test,
                     const std::string& profile,
                     const std::string& property,
                     const PropertyCount& count) const {
    pugi::xml_node node = test.append_child("failure");
    std::string message = fmt::format("violated in {} crash states", count.violated);
    const JunitFailure* failure = find(profile, property);
    std::string trace = "the kept case is under another device profile or property";
    if (failure != nullptr) {
      message = failure->message + " (" + message + ")";
      trace = failure->trace;
    }
    set(node, "message", xml_text(message));
    set(node, "type", xml_text(property));
    node.append_child(pugi::node_pcdata).set_value(xml_text(trace).c_str());
  }

  [[nodiscard]] const JunitFailure* find(const std::string& profile,
                                         const std::string& property) const {
    for (const JunitFailure& failure : failures_) {
      const bool everywhere = summary_.properties_by_profile.empty();
      if (failure.property == property && (everywhere || failure.profile == profile)) {
        return &failure;
      }
    }
    return nullptr;
  }

  /// Reasons that no property gave: those are in the suites above.
  void write_undecided(pugi::xml_node& root) {
    std::map<std::string, std::uint64_t> reasons = summary_.undecided_why;
    std::erase_if(reasons, [this](const auto& reason) {
      return summary_.properties.contains(reason.first.substr(0, reason.first.find(':')));
    });
    if (reasons.empty()) {
      return;
    }
    pugi::xml_node suite = root.append_child("testsuite");
    set(suite, "name", "undecided");
    Totals totals;
    for (const auto& [why, count] : reasons) {
      pugi::xml_node test = suite.append_child("testcase");
      set(test, "classname", "powercut.undecided");
      set(test, "name", xml_text(why));
      pugi::xml_node skipped = test.append_child("skipped");
      set(skipped, "message", fmt::format("{} times", count));
      ++totals.tests;
      ++totals.skipped;
    }
    set_totals(suite, totals);
    add(totals);
  }

  void add(const Totals& totals) {
    total_.tests += totals.tests;
    total_.failures += totals.failures;
    total_.skipped += totals.skipped;
  }

  const RunSummary& summary_;
  const std::vector<JunitFailure>& failures_;
  pugi::xml_document document_;
  Totals total_;
};

class Junit : public runner::Observer {
 public:
  Junit(std::ostream& terminal, std::filesystem::path file)
      : terminal_(terminal), file_(std::move(file)) {}

  void case_kept(const runner::FailureCase& failure) override {
    failures_.push_back({failure.file.profile,
                         failure.violation.property,
                         failure.violation.observed + "; allowed: " + failure.violation.allowed,
                         failure_trace(failure, false)});
  }

  void run_ended(const RunSummary& summary) override {
    std::ofstream out(file_, std::ios::trunc);
    out << junit_of(summary, failures_) << std::flush;
    if (!out) {
      terminal_ << fmt::format("the JUnit report {} cannot be written\n", file_.string());
    }
  }

 private:
  std::ostream& terminal_;
  std::filesystem::path file_;
  std::vector<JunitFailure> failures_;
};

}  // namespace

std::string junit_of(const RunSummary& summary, const std::vector<JunitFailure>& failures) {
  return Writer(summary, failures).text();
}

std::unique_ptr<runner::Observer> make_junit(std::ostream& terminal,
                                             const std::filesystem::path& file) {
  return std::make_unique<Junit>(terminal, file);
}

}  // namespace reports
