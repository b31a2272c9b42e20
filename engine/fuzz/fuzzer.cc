// The entry for libFuzzer (clang's -fsanitize=fuzzer): see one_input.h, and CMakeLists.txt for how
// it is built.
//
//     engine_fuzzer --part=disk NEW engine/fuzz/corpus      (libFuzzer passes over "--" flags)
//
// With a part named all inputs that are made up are of that part; parts differ in speed by a factor
// of a hundred, so one run of all of them would spend its time in the slowest.

#include <cstring>
#include <iostream>
#include <optional>

#include "engine/fuzz/one_input.h"

namespace {

std::optional<unsigned char>& only_part() {
  static std::optional<unsigned char> part;
  return part;
}

}  // namespace

// libFuzzer's names, and the sanitizer's.
// NOLINTBEGIN(readability-identifier-naming)

extern "C" std::size_t LLVMFuzzerMutate(unsigned char* data,
                                        std::size_t size,
                                        std::size_t size_max);

/// Freed memory is kept for a while, to catch its use; 256 MiB of it would be out of every cache.
extern "C" const char* __asan_default_options() {
  return "quarantine_size_mb=8:malloc_context_size=6";
}

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  constexpr std::string_view flag = "--part=";
  for (int n = 1; n < *argc; ++n) {
    const std::string_view word((*argv)[n]);
    if (!word.starts_with(flag)) {
      continue;
    }
    const std::string_view name = word.substr(flag.size());
    for (unsigned char part = 0; part < engine::fuzz::part_count; ++part) {
      if (engine::fuzz::part_names.at(part) == name) {
        only_part() = part;
      }
    }
    if (!only_part()) {
      std::cerr << "part '" << name << "' is not known; allowed:";
      for (const std::string_view each : engine::fuzz::part_names) {
        std::cerr << ' ' << each;
      }
      std::cerr << '\n';
      return std::exit(2), 2;
    }
  }
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  engine::fuzz::run_one(std::as_bytes(std::span(data, size)));
  return 0;
}

extern "C" std::size_t LLVMFuzzerCustomMutator(unsigned char* data,
                                               std::size_t size,
                                               std::size_t size_max,
                                               unsigned /*seed*/) {
  size = LLVMFuzzerMutate(data, size, size_max);
  if (only_part() && size > 0) {
    data[0] = *only_part();
  }
  return size;
}

// NOLINTEND(readability-identifier-naming)
