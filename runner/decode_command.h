#pragma once

#include <filesystem>
#include <iosfwd>
#include <string>

// NOLINTNEXTLINE(readability-identifier-naming): not ours.
namespace CLI {
class App;
}

namespace runner {

struct DecodeOptions {
  std::string format;  ///< squid-rock, trafficserver
  std::filesystem::path image;
  std::string slot = "16K";  ///< squid-rock: slot size, which an image does not hold
  bool json = false;         ///< one JSON value instead of lines for people
};

/// Adds the command and its words to `app`; `options`, which must outlive it, is what is read.
CLI::App* add_decode_command(CLI::App& app, DecodeOptions& options);

/// `powercut decode`: prints what an image of a cache's disk says of itself. Returns the exit code:
/// 0, or 2 where the words or the image are wrong; whatever an image holds is told, never a fault.
[[nodiscard]] int decode(const DecodeOptions& options, std::ostream& out, std::ostream& error);

}  // namespace runner
