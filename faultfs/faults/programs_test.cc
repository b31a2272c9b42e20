// The model proof in memory: programs of requests, faults, cuts and reads find no divergence
// between the device and the naive model of it; with an error planted in a fault's file they find
// it.
//
// POWERCUT_MEMORY_PROGRAMS says how many programs (1000000 take some five minutes of CPU time).

#include "faultfs/faults/programs.h"

#include <sstream>

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "faultfs/base/random.h"
#include "faultfs/faults/mutants.h"

namespace faultfs::programs {

void PrintTo(const Mutant& mutant, std::ostream* out) {
  *out << mutant.fault;
}

namespace {

std::string run_in_memory(const std::vector<std::uint32_t>& numbers, const Options& options) {
  std::uint32_t first = numbers.empty() ? 0 : numbers[0];
  auto device = Device::create(drawn_profile(mix(first, 1)), disks());
  return run_program(numbers, options, **device);
}

TEST(FaultPrograms, AgreeWithTheNaiveModel) {
  rc::detail::TestParams parameters = rc::detail::configuration().testParams;
  parameters.maxSuccess = programs_to_run("POWERCUT_MEMORY_PROGRAMS", 500);
  auto property = [] {
    auto numbers = *rc::gen::resize(30, rc::gen::arbitrary<std::vector<std::uint32_t>>());
    std::string divergence = run_in_memory(numbers, {});
    RC_LOG() << divergence;
    RC_ASSERT(divergence.empty());
  };
  rc::detail::TestMetadata metadata;
  metadata.id = "FaultPrograms";
  rc::detail::TestResult result = rc::detail::checkTestable(property, metadata, parameters);
  std::ostringstream told;
  rc::detail::printResultMessage(result, told);
  EXPECT_TRUE(result.is<rc::detail::SuccessResult>()) << told.str();
}

/// Programs until one diverges; 0: none of so many did.
int programs_until_found(const Planted& planted) {
  constexpr int most = 20000;
  constexpr std::uint64_t length = 30;
  Options options;
  options.planted = planted;
  options.always = planted.fault;
  for (int program = 1; program <= most; ++program) {
    Random random(static_cast<std::uint64_t>(program));
    std::vector<std::uint32_t> numbers(2 + random.below(length));
    for (std::uint32_t& number : numbers) {
      number = static_cast<std::uint32_t>(random.next());
    }
    if (!run_in_memory(numbers, options).empty()) {
      return program;
    }
  }
  return 0;
}

class PlantedErrors : public testing::TestWithParam<Mutant> {};

TEST_P(PlantedErrors, AreFound) {
  int programs = programs_until_found({GetParam().fault, GetParam().make});
  EXPECT_GT(programs, 0) << "no program noticed the error planted in " << GetParam().fault;
  RecordProperty("programs", programs);
}

TEST_P(PlantedErrors, WithoutThemNothingIsFound) {
  EXPECT_EQ(run_in_memory({7, 8, 9, 10, 11, 12}, {{}, GetParam().fault, {}}), "");
}

INSTANTIATE_TEST_SUITE_P(EachFault,
                         PlantedErrors,
                         testing::ValuesIn(mutants()),
                         [](const auto& mutant) {
                           std::string name;
                           for (char letter : mutant.param.fault) {
                             name += name.empty() || name.back() == '-' ? letter & ~0x20 : letter;
                           }
                           std::erase(name, '-');
                           return name;
                         });

}  // namespace
}  // namespace faultfs::programs
