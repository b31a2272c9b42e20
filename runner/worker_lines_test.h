#pragma once

// For tests: a worker and its parent talk in lines over the worker's socket.

#include <sys/socket.h>
#include <unistd.h>

#include <string>

#include <gtest/gtest.h>

namespace runner {

/// What comes through a worker's socket until it ends or a line is complete.
inline std::string line_from(int descriptor) {
  std::string line;
  char letter = 0;
  while (read(descriptor, &letter, 1) == 1 && letter != '\n') {
    line.push_back(letter);
  }
  return line;
}

inline void say(int descriptor, const std::string& line) {
  const std::string text = line + "\n";
  EXPECT_EQ(send(descriptor, text.data(), text.size(), MSG_NOSIGNAL),
            static_cast<ssize_t>(text.size()));
}

}  // namespace runner
