// The stripe store under the campaign: hardened it holds on every profile, as the reference works
// it does not, and neither does a specimen.

#include <stdlib.h>

#include <gtest/gtest.h>

#include "runner/campaign.h"

namespace runner {
namespace {

namespace fs = std::filesystem;

class Cases : public Observer {
 public:
  void case_kept(const FailureCase& failure) override { kept.push_back(failure); }
  std::vector<FailureCase> kept;
};

/// Small stripes: the log comes round several times in a history.
std::vector<FailureCase> search(const std::string& preset,
                                const std::vector<std::string>& without_gates,
                                std::uint64_t states_max,
                                const std::string& profile = {}) {
  std::string name = (fs::temp_directory_path() / "powercut-test-XXXXXX").string();
  const fs::path out = mkdtemp(name.data());
  CampaignOptions options;
  options.config.store = "cyclone";
  options.config.preset = preset;
  options.config.without_gates = without_gates;
  options.config.disk_bytes = 256 << 10;
  options.seed = 0xc1c1;
  options.profile = profile;
  options.states_max = states_max;
  options.stop_at_first = true;
  options.shrink = false;
  options.jobs = 2;
  options.out = out;
  Cases cases;
  const auto summary = run_campaign(options, {&cases});
  fs::remove_all(out);
  EXPECT_TRUE(summary) << (summary ? "" : summary.error().message);
  return cases.kept;
}

TEST(Cyclone, HardenedHoldsOnEveryProfile) {
  const auto cases = search("hardened", {}, 8000);
  EXPECT_TRUE(cases.empty()) << cases.front().violation.property << ": "
                             << cases.front().violation.observed;
}

TEST(Cyclone, AsTheReferenceWorksItLies) {
  EXPECT_FALSE(search("trafficserver", {}, 8000, "ssd_512_lying_flush").empty());
}

TEST(Cyclone, SpecimensAreCaught) {
  for (const char* gate : {"log_link", "document_body", "durable_purge"}) {
    EXPECT_FALSE(search("hardened", {gate}, 30000).empty())
        << "nothing catches the absence of " << gate;
  }
}

}  // namespace
}  // namespace runner
