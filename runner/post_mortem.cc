// The core is the kernel's, written where the process began; gdb reads it. Without debugging
// symbols the names are those the dynamic linker knows, which is what Debian's packages have.
#include "runner/post_mortem.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <regex>

#include "scenarios/process/child.h"

namespace runner {
namespace {

namespace fs = std::filesystem;

constexpr const char* debugger = "/usr/bin/gdb";
constexpr double patience_seconds = 60;
constexpr int frames_max = 12;

/// "#1  0x00005555 in MIMEHdrImpl::unmarshal(unsigned long) ()" becomes
/// "MIMEHdrImpl::unmarshal(unsigned long)".
std::string frame_text(std::string line) {
  line = std::regex_replace(line, std::regex("^#\\d+ +(0x[0-9a-f]+ in )?"), "");
  line = std::regex_replace(line, std::regex("( \\(.*\\))?( (from|at) \\S+)?$"), "");
  return line;
}

/// What was executed: the interpreter, where the program is a script.
std::string executed(const fs::path& program) {
  std::string line;
  std::getline(std::ifstream(program), line);
  if (!line.starts_with("#!")) {
    return program.string();
  }
  line.erase(0, line.find_first_not_of(' ', 2));
  return line.substr(0, line.find(' '));
}

}  // namespace

PostMortem post_mortem(const scenarios::Death& death) {
  if (death.signal == 0) {
    return {{}, "the process exited: there is no core of that"};
  }
  if (death.core.empty()) {
    const std::string why = scenarios::why_no_core();
    return {{}, why.empty() ? "the process left no core" : why};
  }
  if (::access(debugger, X_OK) != 0) {
    return {{}, "gdb is not installed: apt-get install gdb"};
  }
  const fs::path output = death.core.parent_path() / "stack-of-the-core";
  std::error_code ignored;
  fs::remove(output, ignored);
  scenarios::ChildOptions options;
  options.program = debugger;
  options.arguments = {"-nx",
                       "-batch",
                       "-ex",
                       "set debuginfod enabled off",
                       "-ex",
                       "bt " + std::to_string(frames_max),
                       executed(death.program),
                       death.core.string()};
  options.output = output;
  const auto child = scenarios::Child::start(options);
  if (!child || !(*child)->wait(patience_seconds)) {
    return {{}, child ? "gdb did not end" : child.error().message};
  }
  PostMortem found;
  std::ifstream lines(output);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with('#')) {
      found.stack.push_back(frame_text(line));
    }
  }
  fs::remove(output, ignored);
  found.undecided = found.stack.empty() ? "gdb finds no stack in the core" : "";
  return found;
}

}  // namespace runner
