#include "faultfs/control/client.h"

#include <sys/socket.h>
#include <unistd.h>

#include <array>

#include "faultfs/control/local_socket.h"

namespace faultfs::control {
namespace {

constexpr std::string_view fine = "ok";
constexpr std::string_view refused = "error ";

/// The word whose successor names a file, if any: "snapshot", "save", "record", "plan", or the disk
/// that is swapped or exported.
bool file_follows(const std::vector<std::string>& words, std::size_t at) {
  const bool after_verb = at == 0 && words[0] == "snapshot";
  const bool after_second =
      at == 1 && ((words[0] == "log" && (words[1] == "save" || words[1] == "record")) ||
                  (words[0] == "power-on" && words[1] == "plan") || words[0] == "swap");
  const bool after_third = at == 2 && words[0] == "log" && words[1] == "export";
  return after_verb || after_second || after_third;
}

}  // namespace

Result<std::string> request(const std::filesystem::path& socket, std::string_view line) {
  if (line.find('\n') != std::string_view::npos) {
    return fail("a control line with a line break in it; allowed: one line");
  }
  const Result<Descriptor> connection = connect_to(socket);
  if (!connection) {
    return fail(connection.error().message);
  }
  const std::string text = std::string(line) + "\n";
  std::string answer;
  if (send(connection->number(), text.data(), text.size(), MSG_NOSIGNAL) ==
      static_cast<ssize_t>(text.size())) {
    std::array<char, 4096> part{};
    ssize_t got = 0;
    while (!answer.ends_with('\n') &&
           (got = recv(connection->number(), part.data(), part.size(), 0)) > 0) {
      answer.append(part.data(), static_cast<std::size_t>(got));
    }
  }
  if (!answer.ends_with('\n')) {
    return fail(socket.string() + ": the device ended before it answered '" + std::string(line) +
                "'");
  }
  answer.pop_back();
  if (answer.starts_with(refused)) {
    return fail(answer.substr(refused.size()));
  }
  return answer.size() > fine.size() ? answer.substr(fine.size() + 1) : std::string{};
}

std::string line_of(const std::vector<std::string>& words) {
  std::string line;
  for (std::size_t at = 0; at < words.size(); ++at) {
    const bool is_file = at > 0 && file_follows(words, at - 1);
    line +=
        (at > 0 ? " " : "") + (is_file ? std::filesystem::absolute(words[at]).string() : words[at]);
  }
  return line;
}

}  // namespace faultfs::control
