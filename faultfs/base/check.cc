#include "faultfs/base/check.h"

#include <cstdio>
#include <cstdlib>

namespace faultfs {

void harness_bug(const char* file, int line, const std::string& message) {
  std::fputs(
      fmt::format("powercut: bug in the harness at {}:{}: {}\n", file, line, message).c_str(),
      stderr);
  std::fflush(stderr);
  std::_Exit(70);
}

}  // namespace faultfs
