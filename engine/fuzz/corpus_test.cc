// The fuzzer's corpus as a plain test, and some inputs drawn from a seed: each is read to its end.
// The sanitizers watch where they are on.

#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

#include <gtest/gtest.h>

#include "engine/base/random.h"
#include "engine/fuzz/one_input.h"

namespace engine::fuzz {
namespace {

TEST(Fuzz, TheCorpusIsReadToItsEnd) {
  std::set<unsigned> parts;
  for (const auto& entry : std::filesystem::directory_iterator(POWERCUT_FUZZ_CORPUS)) {
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    run_one(std::as_bytes(std::span(bytes)));
    parts.insert(static_cast<unsigned char>(bytes.front()) % part_count);
  }
  EXPECT_EQ(parts.size(), part_count) << "one for each part at least";
}

TEST(Fuzz, DrawnInputsAreReadToTheirEnd) {
  Random random(0xf022);
  for (int n = 0; n < 400; ++n) {
    std::vector<std::byte> input(2 + 5 * (1 + random.below(12)));
    for (std::byte& byte : input) {
      byte = static_cast<std::byte>(random.next());
    }
    input[0] = static_cast<std::byte>(n % static_cast<int>(part_count));
    run_one(input);
  }
}

}  // namespace
}  // namespace engine::fuzz
