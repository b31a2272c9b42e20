#include "engine/base/gates.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace engine {

tl::unexpected<Error> no_such_gate(std::string_view word,
                                   const std::vector<std::string_view>& switchable) {
  return fail(Trouble::invalid,
              fmt::format("'{}' is not a gate that can be switched off; allowed: {}",
                          word,
                          fmt::join(switchable, ", ")));
}

}  // namespace engine
