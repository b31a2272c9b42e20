// `cache-engine handoff`: asks an engine that writes to let the other instance write.
#include <cstdio>

#include <fmt/format.h>

#include "engine/service/client.h"
#include "engine/service/options.h"
#include "engine/service/source.h"

namespace engine::service {

int handoff_command(const std::filesystem::path& socket,
                    bool retire,
                    std::chrono::milliseconds patience) {
  const auto connected = connect_socket(socket);
  if (!connected) {
    return complain(connected.error());
  }
  const auto done = ask_to_hand_over(connected->get(), retire, patience);
  if (!done) {
    return complain(done.error());
  }
  fmt::print("{}\n", *done);
  return exit_ok;
}

}  // namespace engine::service
