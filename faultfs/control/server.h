#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "faultfs/device.h"

namespace faultfs::control {

/// Answers control lines (see commands.cc) on a local stream socket that only its owner can open,
/// from a thread of its own. The destructor closes it and removes the socket file.
class Server {
 public:
  /// A socket file without a listener (left by a killed process) is replaced. Error: names the path
  /// and what is wrong with it. `device` must outlive the server.
  [[nodiscard]] static Result<std::unique_ptr<Server>> create(Device& device,
                                                              const std::filesystem::path& socket);
  /// The same for another language; `answer` is called from the server's thread.
  [[nodiscard]] static Result<std::unique_ptr<Server>> create(
      std::function<std::string(std::string_view line)> answer,
      const std::filesystem::path& socket);
  virtual ~Server() = default;
  [[nodiscard]] virtual const std::filesystem::path& socket() const = 0;

 protected:
  Server() = default;
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  Server(Server&&) = delete;
  Server& operator=(Server&&) = delete;
};

}  // namespace faultfs::control
