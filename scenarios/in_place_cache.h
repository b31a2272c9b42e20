#pragma once

#include <array>
#include <cstring>
#include <map>

#include "scenarios/targets/target.h"

namespace scenarios {

/// For tests: the simplest cache there is, and a bad one. Key k has a place of its own on the disk;
/// a put overwrites it piece by piece, its header sector first, and nothing is checked. So a
/// replacement that a cut interrupts is served as a hodgepodge. Sync flushes.
class InPlaceCache : public Target {
 public:
  static constexpr std::uint64_t place_bytes = 65536, sector_bytes = 4096;

  explicit InPlaceCache(faultfs::Device& device) : device_(device) {}

  /// What a test may make it do.
  struct Misbehaviour {
    bool never_ready = false;
    bool dies_at_start = false;
    bool rebuild_never_ends = false;
    std::uint64_t full_beyond_bytes = UINT64_MAX;  ///< larger appends are refused
    int lost_after_puts = -1;                      ///< so many puts, then no answer
  } bad;
  std::vector<std::uint64_t> seeds;       ///< of all starts
  std::vector<std::uint32_t> slot_sizes;  ///< of all starts

  Traits traits() const override {
    Traits traits;
    traits.deterministic = traits.purge = traits.header_update = traits.sync = true;
    traits.range = traits.slow_put = traits.sliced_rebuild = traits.reformats = true;
    traits.inspects = traits.in_process = true;
    return traits;
  }
  faultfs::Result<Reply> start(std::uint64_t seed, std::uint32_t slot_bytes) override {
    seeds.push_back(seed);
    slot_sizes.push_back(slot_bytes);
    generation_ = device_.generation();
    ticks_left_ = 3;
    dead_ = bad.dies_at_start;
    return Reply{bad.never_ready || dead_ ? Outcome::lost : Outcome::done, "not ready"};
  }
  Reply begin_put(Key key, std::string_view header, std::uint64_t body_bytes) override {
    if (bad.lost_after_puts-- == 0) {
      dead_ = true;
      return {Outcome::lost, "gone"};
    }
    at_[key] = 0;
    return write_header(key, header, body_bytes);
  }
  Reply append(Key key, faultfs::ByteView bytes) override {
    if (bytes.size() > bad.full_beyond_bytes) {
      return {Outcome::refused, "full"};
    }
    const std::uint64_t offset = place(key) + sector_bytes + at_[key];
    at_[key] += bytes.size();
    return reply(device_.write(generation_, 0, offset, bytes, false));
  }
  Reply finish_put(Key) override { return {}; }
  Reply abort_put(Key key) override { return purge(key); }
  GetReply get(Key key, std::uint64_t offset_bytes, std::uint64_t size_bytes) override {
    Head head;
    GetReply answer;
    if (read(place(key), head) != 0) {
      answer.kind = GetReply::Kind::failed;
      return answer;
    }
    if (head.header_bytes == 0) {
      return answer;
    }
    answer.kind = GetReply::Kind::hit;
    answer.header.assign(head.text.data(), head.header_bytes);
    answer.claimed_bytes = head.body_bytes;
    const std::uint64_t begin = std::min(offset_bytes, head.body_bytes);
    answer.body.resize(std::min(size_bytes, head.body_bytes - begin));
    static_cast<void>(device_.read(generation_, 0, place(key) + sector_bytes + begin, answer.body));
    return answer;
  }
  Reply purge(Key key) override { return write_header(key, "", 0); }
  Reply update_header(Key key, std::string_view header) override {
    Head head;
    static_cast<void>(read(place(key), head));
    return write_header(key, header, head.body_bytes);
  }
  Reply sync() override { return reply(device_.flush(generation_, 0)); }
  Reply tick(bool& more) override {
    more = bad.rebuild_never_ends || --ticks_left_ > 0;
    return {};
  }
  Reply stop() override { return sync(); }
  void kill() override {}
  std::optional<Structure> structure() override { return Structure{}; }
  std::optional<Death> death() override {
    return dead_ ? std::optional(Death{11, 0, "last words"}) : std::nullopt;
  }
  std::vector<std::pair<std::string, std::uint64_t>> gate_refusals() override {
    return {{"front_door", 1}};
  }
  std::string log_text() override { return {}; }

 private:
  struct Head {
    std::uint64_t header_bytes = 0, body_bytes = 0;
    std::array<char, 1008> text{};
  };

  static std::uint64_t place(Key key) { return key * place_bytes; }
  static Reply reply(int error) {
    return error == 0 ? Reply{} : Reply{Outcome::lost, std::strerror(error)};
  }
  int read(std::uint64_t offset_bytes, Head& head) {
    faultfs::Bytes bytes(sizeof(head));
    const int error = device_.read(generation_, 0, offset_bytes, bytes);
    std::memcpy(&head, bytes.data(), bytes.size());
    return error;
  }
  Reply write_header(Key key, std::string_view header, std::uint64_t body_bytes) {
    Head head{header.size(), body_bytes, {}};
    std::copy(header.begin(), header.end(), head.text.begin());
    faultfs::Bytes sector(sector_bytes);
    std::memcpy(sector.data(), &head, sizeof(head));
    return reply(device_.write(generation_, 0, place(key), sector, false));
  }

  faultfs::Device& device_;
  std::uint64_t generation_ = 0;
  std::map<Key, std::uint64_t> at_;
  int ticks_left_ = 0;
  bool dead_ = false;
};

}  // namespace scenarios
