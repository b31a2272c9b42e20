#include "faultfs/base/bytes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "faultfs/base/random.h"

namespace faultfs {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(Bytes, SizesReadAsPeopleWriteThem) {
  EXPECT_EQ(size_text(0), "0");
  EXPECT_EQ(size_text(1000), "1000");
  EXPECT_EQ(size_text(65536), "64K");
  EXPECT_EQ(size_text(1048576), "1M");
  EXPECT_EQ(size_text(3 * 1024_MiB), "3G");
  EXPECT_EQ(size_text(1048577), "1048577");
}

RC_GTEST_PROP(Bytes, SizeTextIsParsedBackExactly, (std::uint64_t size)) {
  RC_ASSERT(parse_size(size_text(size)).value() == size);
  RC_ASSERT(parse_number(size_text(size | 1)).value() == (size | 1));
}

TEST(Bytes, RefusesWhatIsNoSize) {
  for (const char* text : {"", "K", "64k", "-1", "1.5K", "0x10", "64KB", " 1"}) {
    Result<std::uint64_t> size = parse_size(text);
    ASSERT_FALSE(size) << text;
    EXPECT_THAT(size.error().message, HasSubstr(text));
    EXPECT_THAT(size.error().message, HasSubstr("allowed"));
  }
  EXPECT_THAT(parse_size("99999999999G").error().message, HasSubstr("too large"));
  EXPECT_FALSE(parse_size("18446744073709551616"));
}

TEST(Bytes, NumbersAreDecimalOrHexadecimal) {
  EXPECT_EQ(parse_number("4096").value(), 4096U);
  EXPECT_EQ(parse_number("0x8000").value(), 0x8000U);
  for (const char* text : {"", "0x", "8000h", "-4", "0x1_0"}) {
    EXPECT_FALSE(parse_number(text)) << text;
  }
}

TEST(Bytes, WordsEndAtAComment) {
  EXPECT_THAT(words("  w0112\tlost # all of it"), ElementsAre("w0112", "lost"));
  EXPECT_THAT(words("put k#1 64K\r\n"), ElementsAre("put", "k#1", "64K"));
  EXPECT_THAT(words("# nothing"), IsEmpty());
  EXPECT_THAT(words(""), IsEmpty());
}

TEST(Random, IsTheSameEverywhere) {
  // The numbers of a published reference run of SplitMix64 (seed 1234567).
  Random random(1234567);
  EXPECT_EQ(random.next(), 6457827717110365317U);
  EXPECT_EQ(random.next(), 3203168211198807973U);
  EXPECT_EQ(random.next(), 9817491932198370423U);
}

}  // namespace
}  // namespace faultfs
