// The cases of testdata/persistence.txt: the persistence model in a text that a person can read and
// extend. The manual is at the head of that file.

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "faultfs/base/check.h"
#include "faultfs/crash_model.h"

namespace faultfs {
namespace {

constexpr std::byte before{'.'};

/// One case on its way from its lines to its answer.
class Case {
 public:
  /// Takes one line in front of the ----.
  void take(const std::string& line) {
    std::vector<std::string_view> found = words(line);
    if (found.empty()) {
      return;
    }
    if (is_plan_line(line)) {
      has_plan_ = true;
      must(parse_plan_line(line, plan_));
    } else if (found[0] == "legal-states" || found[0] == "images") {
      question_ = line;
    } else {
      request(found);
    }
  }

  std::string answer() {
    std::vector<Image> base{Image(disk_bytes_)};
    base[0].write(0, Bytes(disk_bytes_, before));
    CrashModel model(base, log_, profile_);
    if (has_plan_) {
      Status legal = model.check(plan_);
      return (legal ? picture(model.build(plan_)[0]) : legal.error().message) + "\n";
    }
    std::vector<std::string> pictures = all_pictures(model);
    if (words(question_)[0] == "images") {
      return fmt::format("{}\n", fmt::join(pictures, "\n"));
    }
    return fmt::format("{}\n", fmt::join(sets(pictures), "  "));
  }

 private:
  static void must(const Status& status) { POWERCUT_CHECK(status, "{}", status.error().message); }

  void request(const std::vector<std::string_view>& found) {
    std::string_view verb = found[0];
    if (verb == "disk") {
      disk_bytes_ = parse_size(found.at(1)).value();
    } else if (verb == "profile") {
      profile_ = find_profile(found.at(1)).value();
    } else if (verb == "write") {
      Bytes data(parse_size(found.at(2)).value(), static_cast<std::byte>(found.at(3)[0]));
      bool fua = found.size() > 4 && found[4] == "fua";
      log_.add_write(0, parse_size(found.at(1)).value(), data, fua, log_.size());
    } else if (verb == "discard") {
      log_.add_discard(
          0, parse_size(found.at(1)).value(), parse_size(found.at(2)).value(), log_.size());
    } else if (verb == "flush") {
      log_.add_flush(0, found.size() > 3 ? entry_number(found[3]) : log_.size());
    } else if (verb == "mark") {
      log_.add_mark("mark");
    } else {
      POWERCUT_CHECK(false, "no request of a case: {}", verb);
    }
  }

  static std::uint32_t entry_number(std::string_view word) {
    return static_cast<std::uint32_t>(parse_number(word.substr(1)).value());
  }

  [[nodiscard]] CrashPoint point() const {
    CrashPoint point{CutKind::power_cut, log_.size(), false};
    std::vector<std::string_view> found = words(question_);
    for (std::size_t i = 1; i < found.size(); ++i) {
      point.kind = found[i] == "kill" ? CutKind::kill : point.kind;
      point.inside = point.inside || found[i] == "inside";
      point.entry = found[i][0] == 'w' ? entry_number(found[i]) : point.entry;
    }
    return point;
  }

  /// The pictures of all states at the crash point: every unit of every open write kept or lost.
  std::vector<std::string> all_pictures(CrashModel& model) const {
    std::set<std::string> pictures;
    std::vector<VolatileWrite> writes = model.volatile_writes(point());
    std::uint64_t plans = 1;
    for (const VolatileWrite& write : writes) {
      plans <<= write.unit_begins.size();
    }
    for (std::uint64_t kept = 0; kept < plans; ++kept) {
      CrashPlan plan{point(), {}};
      std::uint64_t bits = kept;
      for (const VolatileWrite& write : writes) {
        plan.fates.push_back(torn(write, bits));
        bits >>= write.unit_begins.size();
      }
      if (model.check(plan)) {  // a kill keeps prefixes only
        pictures.insert(picture(model.build(plan)[0]));
      }
    }
    return {pictures.begin(), pictures.end()};
  }

  static Fate torn(const VolatileWrite& write, std::uint64_t units_kept) {
    Fate fate;
    fate.write = write.entry;
    fate.kind = FateKind::torn;
    std::size_t unit = 0;
    for (std::uint32_t sector = 0; sector < write.sector_count; ++sector) {
      bool next = unit + 1 < write.unit_begins.size() && write.unit_begins[unit + 1] == sector;
      unit += next ? 1 : 0;
      if (((units_kept >> unit) & 1) != 0) {
        fate.sectors.push_back(sector);
      }
    }
    return fate;
  }

  [[nodiscard]] std::string picture(const Image& disk) const {
    std::string drawn;
    Bytes sector(profile_.sector_bytes);
    for (std::uint64_t at = 0; at < disk_bytes_; at += sector.size()) {
      disk.read(at, sector);
      drawn += sector_picture(sector);
    }
    return drawn;
  }

  static std::string sector_picture(const Bytes& sector) {
    std::string runs;
    for (std::byte value : sector) {
      char shown = value == std::byte{0} ? '0' : static_cast<char>(value);
      if (runs.empty() || runs.back() != shown) {
        runs += shown;
      }
    }
    if (runs.size() > 16) {
      return "#";
    }
    return runs.size() == 1 ? runs : "(" + runs + ")";
  }

  /// "{a b~}" for each picture: the letters in it; ~ where another picture holds more of one.
  static std::vector<std::string> sets(const std::vector<std::string>& pictures) {
    std::map<char, std::ptrdiff_t> most;
    auto count = [](const std::string& drawn, char letter) {
      return std::count(drawn.begin(), drawn.end(), letter);
    };
    for (const std::string& drawn : pictures) {
      for (char letter = 'a'; letter <= 'z'; ++letter) {
        most[letter] = std::max(most[letter], count(drawn, letter));
      }
    }
    std::set<std::pair<std::size_t, std::string>> found;  // the small ones first
    for (const std::string& drawn : pictures) {
      std::vector<std::string> letters;
      for (auto [letter, whole] : most) {
        if (count(drawn, letter) > 0) {
          letters.push_back(fmt::format("{}{}", letter, count(drawn, letter) < whole ? "~" : ""));
        }
      }
      found.emplace(letters.size(), fmt::format("{{{}}}", fmt::join(letters, " ")));
    }
    std::vector<std::string> sorted;
    for (const auto& [size, text] : found) {
      sorted.push_back(text);
    }
    return sorted;
  }

  std::uint64_t disk_bytes_ = 32_KiB;
  DeviceProfile profile_ = find_profile("ssd_4k_volatile").value();
  WriteLog log_;
  CrashPlan plan_;
  bool has_plan_ = false;
  std::string question_;
};

/// The file with every answer computed anew; `cases` counts them.
std::string answered(std::istream& text, int& cases) {
  std::string out;
  std::string line;
  Case current;
  bool in_answer = false;
  while (std::getline(text, line)) {
    if (line == "----") {
      in_answer = true;
      out += "----\n" + current.answer();
      current = Case();
      ++cases;
    } else if (line.empty()) {
      in_answer = false;
      out += "\n";
    } else if (!in_answer) {
      out += line + "\n";
      current.take(line);
    }
  }
  return out;
}

TEST(PersistenceCases, AnswerAsWritten) {
  std::filesystem::path file = std::filesystem::path(POWERCUT_TESTDATA) / "persistence.txt";
  std::ifstream stream(file);
  ASSERT_TRUE(stream) << file;
  std::stringstream text;
  text << stream.rdbuf();
  int cases = 0;
  std::string now = answered(text, cases);
  EXPECT_GT(cases, 50);
  if (std::getenv("POWERCUT_REWRITE") != nullptr) {  // NOLINT(concurrency-mt-unsafe)
    std::ofstream(file) << now;
    GTEST_SKIP() << "rewrote " << file << "; read the difference before you keep it";
  }
  std::istringstream expected_lines(text.str());
  std::istringstream lines(now);
  std::string expected;
  std::string line;
  for (int number = 1; std::getline(expected_lines, expected); ++number) {
    ASSERT_TRUE(std::getline(lines, line)) << file << ":" << number;
    ASSERT_EQ(line, expected) << file << ":" << number;
  }
  EXPECT_FALSE(std::getline(lines, line)) << line;
}

}  // namespace
}  // namespace faultfs
