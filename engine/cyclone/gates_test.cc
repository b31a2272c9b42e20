// Gates whose absence a campaign hardly ever catches, each on and off over one crafted disk: what
// it refuses, and what is lost or told wrongly without it.
#include <gtest/gtest.h>

#include "engine/cyclone/document.h"
#include "engine/cyclone/fields.h"
#include "engine/cyclone/image.h"
#include "engine/cyclone/row.h"
#include "engine/cyclone/span_header.h"
#include "engine/cyclone/test_disk.h"

namespace engine::cyclone {
namespace {

class GatesTest : public ::testing::Test {
 protected:
  [[nodiscard]] StripeGeometry geometry() const {
    return *geometry_of_disk(rig.disk.size_bytes(), rig.config.layout);
  }
  void start_without(const char* gate) {
    rig.config.gates_off = {};
    if (gate != nullptr) {
      rig.config.gates_off.emplace_back(gate);
    }
    ASSERT_TRUE(rig.start());
  }
  /// Where the newest document whose header `wanted` lies.
  template <typename Wanted>
  [[nodiscard]] std::uint64_t find_document(const Wanted& wanted) const {
    std::uint64_t found = 0;
    std::uint64_t serial = 0;
    for (std::uint64_t at = geometry().data_begin; at + document_header_bytes < geometry().end;
         at += geometry().sector_bytes) {
      const auto document = decode_document(std::span(rig.disk.now).subspan(at));
      if (document.checksum_ok && wanted(document.header) && document.header.serial >= serial) {
        found = at;
        serial = document.header.serial;
      }
    }
    return found;
  }
  CycloneRig rig;
};

/// The newest of the two span headers has rotted: its instance is another one.
TEST_F(GatesTest, SpanHeaderDecidesWhichInstanceThereIs) {
  for (const bool on : {true, false}) {
    rig = CycloneRig();
    start_without(nullptr);
    ASSERT_TRUE(rig.put("a", body(1, 3000)));
    ASSERT_TRUE(rig.store->close());
    const std::uint64_t newest = load<std::uint64_t>(rig.disk.now, 16) >
                                         load<std::uint64_t>(rig.disk.now, store_block_bytes + 16)
                                     ? 0
                                     : store_block_bytes;
    // The block before it says the same, but for the number of lives.
    ASSERT_TRUE(rig.start());
    rig.disk.now[store_block_bytes - newest + 24] ^= std::byte{1};
    start_without(on ? nullptr : "span_header");
    EXPECT_EQ(rig.hits("a", body(1, 3000)), on);
  }
}

/// One byte of a row has rotted in the newest copy: the row of an object points elsewhere.
TEST_F(GatesTest, CopyChecksumDecidesWhichCopyIsRead) {
  for (const bool on : {true, false}) {
    rig = CycloneRig();
    start_without(nullptr);
    ASSERT_TRUE(rig.put("a", body(1, 3000)));
    ASSERT_TRUE(rig.store->sync());
    ASSERT_TRUE(rig.put("b", body(2, 3000)));
    ASSERT_TRUE(rig.store->close());
    unsigned newest = 0;
    std::uint64_t serial = 0;
    for (unsigned copy = 0; copy < 2; ++copy) {
      const ImageHeader header =
          load_header(std::span(rig.disk.now).subspan(geometry().copy_begin(copy)));
      newest = header.sync_serial > serial ? copy : newest;
      serial = std::max(serial, header.sync_serial);
    }
    const auto image =
        std::span(rig.disk.now).subspan(geometry().copy_begin(newest), geometry().copy_bytes);
    bool rotted = false;
    for (std::uint32_t segment = 0; segment < geometry().segments; ++segment) {
      SegmentRows rows(segment_bytes(image, geometry(), segment));
      for (std::uint32_t at = 0; at < geometry().segment_rows(); ++at) {
        Row row = rows.get(at);
        if (!row.empty()) {
          row.tag ^= 1U;
          rows.set(at, row);
          rotted = true;
        }
      }
    }
    ASSERT_TRUE(rotted);
    start_without(on ? nullptr : "copy_checksum");
    EXPECT_EQ(rig.hits("a", body(1, 3000)), on);
    EXPECT_EQ(rig.hits("b", body(2, 3000)), on);
  }
}

/// The header of the last head in the log has rotted: it says that everything is purged.
TEST_F(GatesTest, DocumentHeaderDecidesWhatTheLogSays) {
  for (const bool on : {true, false}) {
    rig = CycloneRig();
    start_without(nullptr);
    ASSERT_TRUE(rig.put("a", body(1, 3000)));
    ASSERT_TRUE(rig.store->sync());
    ASSERT_TRUE(rig.put("b", body(2, 3000)));
    const std::uint64_t head =
        find_document([](const DocumentHeader& header) { return header.first_key == key_of("b"); });
    ASSERT_NE(head, 0U);
    rig.disk.now[head + 52] = static_cast<std::byte>(DocumentKind::purge_all);
    start_without(on ? nullptr : "document_header");
    EXPECT_FALSE(rig.get("b").hit);
    EXPECT_EQ(rig.hits("a", body(1, 3000)), on) << "durable, and purged by nobody";
  }
}

/// The device loses a write that it said was durable, and what was purged with everything lies
/// there again, in the place of a newer version.
TEST_F(GatesTest, PurgeEpochDecidesWhetherAnOldHeadCounts) {
  for (const bool on : {true, false}) {
    rig = CycloneRig();
    start_without(nullptr);
    ASSERT_TRUE(rig.put("a", body(1, 3000)));
    const Bytes before = rig.disk.now;
    const std::uint64_t place =
        find_document([](const DocumentHeader& header) { return header.first_key == key_of("a"); });
    ASSERT_TRUE(rig.store->purge_all());
    while (rig.count("wraps") == 0) {
      ASSERT_TRUE(rig.put("a", body(2, 3000)));
    }
    ASSERT_EQ(rig.get("a").body, body(2, 3000));
    ASSERT_TRUE(rig.store->close());
    std::copy_n(before.begin() + static_cast<std::ptrdiff_t>(place),
                4096,
                rig.disk.now.begin() + static_cast<std::ptrdiff_t>(place));
    start_without(on ? nullptr : "purge_epoch");
    EXPECT_EQ(rig.get("a").hit, !on);
    EXPECT_TRUE(on || rig.hits("a", body(1, 3000))) << "it was purged";
  }
}

/// No copy can be written any more, and the log comes round: what the newest copy says of a place
/// is true again by accident, but for the purge that followed.
TEST_F(GatesTest, LapGuardKeepsWhatRollForwardHasToRead) {
  for (const bool on : {true, false}) {
    rig = CycloneRig();
    start_without(on ? nullptr : "lap_guard");
    // "a" is the first document of this lap and of the next one; all take one sector.
    ASSERT_TRUE(rig.put("a", body(1, 3000)));
    ASSERT_TRUE(rig.store->sync());
    for (unsigned copy = 0; copy < 2; ++copy) {
      rig.disk.refuse_writes_at.insert(geometry().copy_begin(copy));
    }
    const std::uint64_t documents = geometry().data_bytes() / geometry().sector_bytes;
    bool refused = false;
    for (std::uint64_t n = 1; n < documents && !refused; ++n) {
      refused = !rig.put("f", body(100 + n, 3000));
    }
    EXPECT_EQ(refused, on) << "puts stop before the log is eaten";
    if (on) {
      continue;
    }
    ASSERT_EQ(rig.count("wraps"), 0U);
    ASSERT_TRUE(rig.put("a", body(2, 3000)));
    ASSERT_EQ(rig.count("wraps"), 1U);
    ASSERT_TRUE(rig.store->purge("a"));
    EXPECT_FALSE(rig.get("a").hit);
    start_without("lap_guard");
    EXPECT_TRUE(rig.get("a").hit) << "what was purged is back";
  }
}

}  // namespace
}  // namespace engine::cyclone
