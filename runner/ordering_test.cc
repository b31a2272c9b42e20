// Which write must be durable before which.

#include "runner/ordering.h"

#include <gtest/gtest.h>

namespace runner {
namespace {

/// A small store on the memory device, and what it is asked.
class OrderingTest : public ::testing::Test {
 protected:
  OrderingTest() {
    config_.target = "engine";
    config_.store = "rock";
    config_.slot_bytes = 4096;
    config_.disk_bytes = std::uint64_t{64} << 10U;
  }

  /// Records `lines`, finds the first kill that breaks `property`, and has it explained.
  std::optional<Ordering> explained(const std::string& property,
                                    const std::vector<std::string>& lines) {
    std::vector<scenarios::Command> commands;
    for (const std::string& line : lines) {
      commands.push_back(*scenarios::parse_command(line));
    }
    Prober prober({}, config_, *faultfs::find_profile("ssd_4k_volatile"), 7, property);
    auto experiment = prober.experiment(commands);
    EXPECT_TRUE(experiment.has_value());
    log_ = (*experiment)->recording().log;
    for (std::uint32_t entry = 1; entry <= log_.size(); ++entry) {
      plan_ = {{faultfs::CutKind::kill, entry, false}, {}};
      if (*prober.breaks(commands, plan_)) {
        return *explain(prober, commands, plan_, 400);
      }
    }
    ADD_FAILURE() << "nothing breaks " << property;
    return std::nullopt;
  }

  scenarios::TargetConfig config_;
  faultfs::CrashPlan plan_;
  faultfs::WriteLog log_;
};

// Without the gate that wants a tail, an inode alone is taken for the object.
TEST_F(OrderingTest, TheTailMustBeDurableBeforeTheInode) {
  config_.without_gates = {"tail_required"};
  const auto order = explained("no_wrong_length", {"put k1 6000"});
  ASSERT_TRUE(order.has_value());
  EXPECT_GT(order->first, plan_.point.entry) << "the tail had not been issued";
  EXPECT_LE(order->later, plan_.point.entry);
  EXPECT_EQ(log_.entry(order->first).kind, faultfs::EntryKind::write);
  EXPECT_EQ(log_.entry(order->later).kind, faultfs::EntryKind::write);
  EXPECT_GT(order->states, 20U);
}

// Two versions of equal size in the same slots: the new inode with the old tail is wrong, and so is
// the old inode with the new tail.
TEST_F(OrderingTest, NoOrderMendsAnOverwriteInPlace) {
  config_.preset = "squid";
  EXPECT_FALSE(explained("no_hodgepodge", {"put k1 6000", "sync", "put k1 6000"}).has_value());
}

}  // namespace
}  // namespace runner
