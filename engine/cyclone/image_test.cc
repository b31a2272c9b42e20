// The directory image: identity, digests, and every reason to refuse one.
#include "engine/cyclone/image.h"

#include <sys/mman.h>

#include <functional>
#include <map>

#include <gtest/gtest.h>

#include "engine/cyclone/config.h"
#include "engine/cyclone/directory.h"
#include "engine/cyclone/fields.h"
#include "engine/cyclone/row.h"
#include "engine/cyclone/validate.h"

namespace engine::cyclone {
namespace {

using Image = std::vector<std::byte>;

StripeGeometry small() {
  const auto geometry = make_geometry(16384, 1 << 20, Layout{});
  EXPECT_TRUE(geometry) << (geometry ? "" : geometry.error().message);
  return *geometry;
}

/// An empty directory, quiet at the start of the data area.
Image fresh(const StripeGeometry& geometry) {
  Image image(geometry.copy_bytes);
  clear_image(image, geometry);
  store_header(header_of(geometry, {1, 2}), image);
  seal(image, geometry);
  return image;
}

TEST(Geometry, FollowsTheReferenceForALargeStripe) {
  const auto geometry = make_geometry(16384, 128ULL << 20U, Layout{});
  ASSERT_TRUE(geometry);
  EXPECT_EQ(geometry->segments, 1U);
  EXPECT_NEAR(static_cast<double>(geometry->rows()), 16728, 16);
  EXPECT_EQ(geometry->aggregation_bytes, 4U << 20U);
  EXPECT_EQ(geometry->fragment_bytes, 1U << 20U);
  EXPECT_EQ(geometry->data_begin, geometry->begin + 2 * geometry->copy_bytes);
}

TEST(Geometry, RefusesWhatDoesNotFit) {
  EXPECT_FALSE(make_geometry(16384, 64 * 1024, Layout{}));
  EXPECT_FALSE(make_geometry(100, 1 << 20, Layout{}));
  EXPECT_FALSE(make_geometry(16384, 1 << 20, Layout{8000, 1000}));
  EXPECT_FALSE(make_geometry(16384, 1 << 20, Layout{100, 4096}));
  EXPECT_FALSE(make_geometry(16384, 1 << 20, Layout{8000, 4096, 512 * 1024}));
}

/// Pages that are there once they are touched, so that a directory of 20 GiB costs what is looked
/// at.
class SparseImage {
 public:
  explicit SparseImage(std::size_t bytes)
      : bytes_(static_cast<std::byte*>(::mmap(nullptr,
                                              bytes,
                                              PROT_READ | PROT_WRITE,
                                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                                              -1,
                                              0)),
               bytes) {}
  ~SparseImage() { ::munmap(bytes_.data(), bytes_.size()); }
  SparseImage(const SparseImage&) = delete;
  SparseImage& operator=(const SparseImage&) = delete;
  [[nodiscard]] bool there() const { return bytes_.data() != MAP_FAILED; }
  [[nodiscard]] std::span<std::byte> bytes() const { return bytes_; }

 private:
  std::span<std::byte> bytes_;
};

/// Scenario 22: more than 2^31 rows. Whole, such a directory takes more than 20 GiB of memory; here
/// are the segments at both ends and on both sides of row 2^31, each validated and used with rows
/// that point at the end of the stripe.
TEST(Geometry, SixteenTebibytesAreCountedAndReached) {
  constexpr std::uint64_t size_bytes = 16ULL << 40U;
  const auto made = make_geometry(16384, size_bytes, Layout{});
  ASSERT_TRUE(made);
  const StripeGeometry& geometry = *made;
  EXPECT_GT(geometry.rows(), 1ULL << 31U);
  EXPECT_NEAR(static_cast<double>(geometry.rows()), static_cast<double>(size_bytes) / 8000, 2e7);
  EXPECT_GE(geometry.rows_bytes, geometry.rows() * row_bytes);
  EXPECT_EQ(geometry.data_begin, geometry.begin + 2 * geometry.copy_bytes);
  EXPECT_EQ(geometry.end, 16384 + size_bytes);
  EXPECT_EQ(geometry.copy_begin(1) + geometry.copy_bytes, geometry.data_begin);
  const SparseImage sparse(geometry.copy_bytes);
  ASSERT_TRUE(sparse.there());
  const std::span<std::byte> image = sparse.bytes();
  Directory directory(image, geometry, Eviction::oldest);
  const std::uint64_t last_block = (geometry.data_bytes() - geometry.sector_bytes) / block_bytes;
  const Window window{true, 0};  // every row of the other phase is inside
  const auto middle = static_cast<std::uint32_t>((1ULL << 31U) / geometry.segment_rows());
  const std::byte* before = image.data();
  for (const std::uint32_t segment : {0U, middle, middle + 1, geometry.segments - 1}) {
    clear_segment(image, geometry, segment);
    const auto rows = segment_bytes(image, geometry, segment);
    EXPECT_EQ(
        rows.data() - image.data(),
        static_cast<std::ptrdiff_t>(geometry.header_bytes +
                                    std::uint64_t{segment} * geometry.segment_rows() * row_bytes));
    EXPECT_GE(rows.data(), before);
    before = rows.data() + rows.size();
    EXPECT_LE(before, image.data() + geometry.footer_at());
    for (std::uint32_t n = 0; n < 10; ++n) {  // a chain of ten in one bucket
      Row row;
      row.offset_blocks = last_block - 8ULL * n;
      row.head = true;
      directory.insert(make_key(segment | 7ULL << 32U, 0xabc), row, window);
    }
    const auto fault = validate_segment(image, geometry, segment);
    EXPECT_FALSE(fault) << fault->text;
    std::vector<Row> found;
    directory.candidates(make_key(segment | 7ULL << 32U, 0xabc), window, found);
    ASSERT_EQ(found.size(), 10U);
    EXPECT_EQ(found.front().data_offset(), (last_block - 1) * block_bytes);
    EXPECT_TRUE(directory.erase(make_key(segment | 7ULL << 32U, 0xabc), last_block));
    set_free_head(image, segment, 1);  // which is no free row
    EXPECT_TRUE(validate_segment(image, geometry, segment)) << "a wrong one is refused there too";
  }
}

TEST(Row, KeepsEveryField) {
  std::vector<std::byte> bytes(2 * row_bytes);
  SegmentRows rows{std::span<std::byte>(bytes)};
  Row row;
  row.offset_blocks = offset_blocks_max;
  row.tag = 0xabc;
  row.phase = row.pinned = true;
  row.next = 0xfffe;
  row.set_size(300000);
  rows.set(1, row);
  const Row back = rows.get(1);
  EXPECT_EQ(back.offset_blocks, row.offset_blocks);
  EXPECT_EQ(back.tag, row.tag);
  EXPECT_TRUE(back.phase && back.pinned && !back.head);
  EXPECT_EQ(back.next, row.next);
  EXPECT_GE(back.size_bytes(), 300000U);
  EXPECT_LE(back.size_bytes(), 300000U + 32768);
  EXPECT_TRUE(rows.empty(0));
}

TEST(Row, SizesAreNeverTooSmall) {
  for (std::uint64_t bytes = 1; bytes <= 16U << 20U; bytes = bytes * 9 / 8 + 1) {
    Row row;
    row.set_size(bytes);
    EXPECT_GE(row.size_bytes(), bytes);
  }
}

TEST(Image, HeaderSurvivesTheRoundTrip) {
  const StripeGeometry geometry = small();
  Image image = fresh(geometry);
  ImageHeader header = load_header(image);
  header.cycle = 7;
  header.sync_serial = 1ULL << 40U;
  header.link = 99;
  header.phase = 1;
  store_header(header, image);
  EXPECT_EQ(load_header(image), header);
  EXPECT_TRUE(same_geometry(header, geometry));
  EXPECT_FALSE(sealed(image, geometry));
  seal(image, geometry);
  EXPECT_TRUE(sealed(image, geometry));
}

TEST(Image, AnyChangedByteBreaksTheSeal) {
  const StripeGeometry geometry = small();
  Image image = fresh(geometry);
  const std::uint64_t rows_end =
      geometry.header_bytes + geometry.rows() * row_bytes;  // padding behind is nobody's
  for (std::size_t at = 0; at < rows_end; at += at < geometry.header_bytes ? 1 : 7) {
    image[at] ^= std::byte{0x10};
    EXPECT_FALSE(sealed(image, geometry)) << at;
    image[at] ^= std::byte{0x10};
  }
  for (std::size_t at = geometry.footer_at(); at < geometry.footer_at() + 32; ++at) {
    const bool padding = at - geometry.footer_at() >= 4 && at - geometry.footer_at() < 8;
    image[at] ^= std::byte{1};
    EXPECT_FALSE(sealed(image, geometry)) << at << padding;
    image[at] ^= std::byte{1};
  }
  EXPECT_TRUE(sealed(image, geometry));
}

/// One way to make an image wrong, and the check that must say so first.
struct Poke {
  ImageCheck check;
  std::function<void(Image&, const StripeGeometry&)> change;
};

template <typename Change>
std::function<void(Image&, const StripeGeometry&)> header_poke(Change change) {
  return [change](Image& image, const StripeGeometry& geometry) {
    ImageHeader header = load_header(image);
    change(header, geometry);
    store_header(header, image);
  };
}

template <typename Change>
std::function<void(Image&, const StripeGeometry&)> rows_poke(Change change) {
  return [change](Image& image, const StripeGeometry& geometry) {
    SegmentRows rows(segment_bytes(std::span<std::byte>(image), geometry, 0));
    change(rows, image);
  };
}

using Rows = SegmentRows<std::byte>;

Row in_use(std::uint16_t next = 0) {
  Row row;
  row.offset_blocks = 9;
  row.next = next;
  return row;
}

std::vector<Poke> pokes() {
  using Check = ImageCheck;
  using G = StripeGeometry;
  using H = ImageHeader;
  return {
      {Check::header_magic, header_poke([](H& h, const G&) { h.magic = 0; })},
      {Check::footer_magic,
       [](Image& image, const G& g) {
         store<std::uint32_t>(std::span<std::byte>(image), g.footer_at(), 0);
       }},
      {Check::version_too_old, header_poke([](H& h, const G&) { h.major = 23; })},
      {Check::version_too_new, header_poke([](H& h, const G&) { h.major = 25; })},
      {Check::sector_zero, header_poke([](H& h, const G&) { h.sector_bytes = 0; })},
      {Check::sector_too_large, header_poke([](H& h, const G&) { h.sector_bytes = 8193; })},
      {Check::phase_range, header_poke([](H& h, const G&) { h.phase = 2; })},
      {Check::write_pos_before_data,
       header_poke([](H& h, const G& g) { h.write_pos = h.agg_pos = g.data_begin - 1; })},
      {Check::write_pos_behind_end,
       header_poke([](H& h, const G& g) { h.write_pos = h.agg_pos = g.end + 1; })},
      {Check::last_write_before_data,
       header_poke([](H& h, const G& g) { h.last_write_pos = g.data_begin - 1; })},
      {Check::last_write_behind_end,
       header_poke([](H& h, const G& g) { h.last_write_pos = g.end + 1; })},
      {Check::agg_pos_before_data,
       header_poke([](H& h, const G& g) { h.agg_pos = g.data_begin - 1; })},
      {Check::agg_pos_behind_end, header_poke([](H& h, const G& g) { h.agg_pos = g.end + 1; })},
      {Check::agg_pos_open, header_poke([](H& h, const G&) { h.agg_pos += 4096; })},
      {Check::free_head_range, [](Image& image, const G&) { set_free_head(image, 0, 0xffff); }},
      {Check::next_range, rows_poke([](Rows& r, Image&) { r.set_next(5, 0xfff0); })},
      {Check::previous_range, rows_poke([](Rows& r, Image&) { r.set_previous(5, 0xfff0); })},
      {Check::offset_behind_end, rows_poke([](Rows& r, Image&) {
         Row row = in_use();
         row.offset_blocks = offset_blocks_max;
         r.set(8, row);
       })},
      {Check::free_list_loop, rows_poke([](Rows& r, Image&) { r.set_next(6, 1); })},
      {Check::free_list_row_in_use,
       rows_poke([](Rows& r, Image&) { r.set(5, in_use(r.next(5))); })},
      {Check::free_list_back_link, rows_poke([](Rows& r, Image&) { r.set_previous(5, 9); })},
      {Check::free_list_holds_root, rows_poke([](Rows& r, Image&) {
         const std::uint16_t after = r.next(3);
         r.set_next(3, 4);
         Row root;
         root.previous = 3;
         root.next = after;
         r.set(4, root);
         r.set_previous(after, 4);
       })},
      {Check::chain_row_twice, rows_poke([](Rows& r, Image&) { r.set(8, in_use(5)); })},
      {Check::chain_row_empty, rows_poke([](Rows& r, Image& image) {
         set_free_head(image, 0, 2);  // row 1 is taken off the free list and never filled
         r.set_previous(2, 0);
         r.set(0, in_use(1));
       })},
      {Check::row_unreachable, rows_poke([](Rows& r, Image& image) {
         set_free_head(image, 0, 2);
         r.set_previous(2, 0);
         r.set(1, in_use());
       })},
      {Check::empty_root_with_chain, rows_poke([](Rows& r, Image& image) {
         set_free_head(image, 0, 2);
         r.set_previous(2, 0);
         r.set(1, in_use());
         r.set_next(0, 1);
       })},
  };
}

TEST(Validate, EveryBranchRefusesItsOwnCase) {
  const StripeGeometry geometry = small();
  const Image good = fresh(geometry);
  EXPECT_FALSE(validate_image(good, geometry));
  for (const Poke& poke : pokes()) {
    Image image = good;
    poke.change(image, geometry);
    const auto fault = validate_image(image, geometry);
    ASSERT_TRUE(fault) << image_check_name(poke.check);
    EXPECT_EQ(image_check_name(fault->check), image_check_name(poke.check)) << fault->text;
  }
}

TEST(Validate, ASwitchedOffCheckDoesNotRefuse) {
  const StripeGeometry geometry = small();
  for (const Poke& poke : pokes()) {
    Image image = fresh(geometry);
    poke.change(image, geometry);
    ImageChecks checks;
    checks.switch_off(poke.check);
    const auto fault = validate_image(image, geometry, checks);
    EXPECT_TRUE(!fault || fault->check != poke.check) << image_check_name(poke.check);
  }
}

/// A chain that runs in a circle is stopped by `chain_row_twice`; the two bounds behind it show
/// only where that is off.
TEST(Validate, WalksEndWithoutTheFirstGuard) {
  const StripeGeometry geometry = small();
  Image image = fresh(geometry);
  set_free_head(image, 0, 3);
  SegmentRows rows(segment_bytes(std::span<std::byte>(image), geometry, 0));
  rows.set_previous(3, 0);
  rows.set(0, in_use(1));
  rows.set(1, in_use(2));
  rows.set(2, in_use(1));
  EXPECT_EQ(validate_image(image, geometry)->check, ImageCheck::chain_row_twice);
  ImageChecks checks;
  checks.switch_off(ImageCheck::chain_row_twice);
  EXPECT_EQ(validate_image(image, geometry, checks)->check, ImageCheck::chain_too_long);
  checks.switch_off(ImageCheck::chain_too_long);
  EXPECT_EQ(validate_image(image, geometry, checks)->check, ImageCheck::chain_loop);
  checks.switch_off(ImageCheck::chain_loop);
  EXPECT_FALSE(validate_image(image, geometry, checks));
}

/// The longest legal chain: one root and every row that is no root.
TEST(Validate, TheLongestLegalChainIsHealthy) {
  const StripeGeometry geometry = small();
  Image image = fresh(geometry);
  SegmentRows rows(segment_bytes(std::span<std::byte>(image), geometry, 0));
  std::uint32_t before = 0;
  rows.set(0, in_use());
  std::uint32_t length = 1;
  for (std::uint32_t row = 1; row < geometry.segment_rows(); ++row) {
    if (row % bucket_rows != 0) {
      rows.set(row, in_use());
      rows.set_next(before, static_cast<std::uint16_t>(row));
      before = row;
      ++length;
    }
  }
  set_free_head(image, 0, 0);
  EXPECT_GT(length, 100U - 10);
  EXPECT_EQ(length, 3 * geometry.buckets + 1);
  const auto fault = validate_image(image, geometry);
  EXPECT_FALSE(fault) << fault->text;
}

/// Whatever bytes an image has, looking at it ends and stays inside (the sanitizers watch).
TEST(Validate, NoiseIsRefusedAndReadWithinBounds) {
  const StripeGeometry geometry = small();
  ImageChecks none;
  for (const auto& row : image_check_table.rows()) {
    none.switch_off(row.gate);
  }
  std::uint64_t state = 1;
  for (int round = 0; round < 50; ++round) {
    Image image = fresh(geometry);
    for (std::size_t at = geometry.header_bytes; at < geometry.footer_at(); ++at) {
      state = state * 6364136223846793005ULL + 1442695040888963407ULL;
      image[at] = static_cast<std::byte>(state >> 56U);
    }
    EXPECT_TRUE(validate_image(image, geometry));
    EXPECT_FALSE(validate_image(image, geometry, none));
  }
}

TEST(Validate, NamesAreUniqueAndFound) {
  std::map<std::string_view, int> seen;
  for (const std::string_view name : all_gate_names()) {
    EXPECT_EQ(++seen[name], 1) << name;
  }
  for (const auto& row : image_check_table.rows()) {
    EXPECT_EQ(image_check_table.find(row.name), row.gate);
  }
  EXPECT_FALSE(image_check_table.find("no_such_check"));
  const Gates gates({"row_bounds", "lap_guard", "phase_range", "no_such_check"});
  EXPECT_TRUE(gates.on(Gate::row_bounds)) << "a guard stays on";
  EXPECT_FALSE(gates.on(Gate::lap_guard));
  EXPECT_FALSE(gates.image_checks().on(ImageCheck::phase_range));
}

}  // namespace
}  // namespace engine::cyclone
