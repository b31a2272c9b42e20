// The entry for libFuzzer (clang's -fsanitize=fuzzer): see one_input.h, and CMakeLists.txt for how
// it is built.

#include "engine/fuzz/one_input.h"

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer's name.
extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  engine::fuzz::run_one(std::as_bytes(std::span(data, size)));
  return 0;
}
