#include "engine/rock/free_slots.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace engine::rock {
namespace {

constexpr std::size_t word_bits = 64;

}  // namespace

FreeSlots::FreeSlots(Allocator allocator, std::uint32_t slot_count, std::uint64_t seed)
    : allocator_(allocator), random_(seed) {
  if (allocator == Allocator::lowest_first) {
    bits_.resize((slot_count + word_bits - 1) / word_bits);
  }
}

void FreeSlots::add(std::uint32_t slot) {
  ++size_;
  if (allocator_ != Allocator::lowest_first) {
    list_.push_back(slot);
    return;
  }
  const std::size_t word = slot / word_bits;
  bits_[word] |= std::uint64_t{1} << (slot % word_bits);
  lowest_word_ = std::min(lowest_word_, word);
}

std::optional<std::uint32_t> FreeSlots::take() {
  if (size_ == 0) {
    return std::nullopt;
  }
  --size_;
  if (allocator_ == Allocator::lowest_first) {
    return take_lowest();
  }
  if (allocator_ == Allocator::random) {
    std::swap(list_[random_.below(list_.size())], list_.back());
  }
  const std::uint32_t slot = list_.back();
  list_.pop_back();
  return slot;
}

std::uint32_t FreeSlots::take_lowest() {
  while (bits_[lowest_word_] == 0) {
    ++lowest_word_;
  }
  std::uint64_t& word = bits_[lowest_word_];
  const auto bit = static_cast<std::uint32_t>(std::countr_zero(word));
  word &= word - 1;
  return static_cast<std::uint32_t>(lowest_word_ * word_bits) + bit;
}

}  // namespace engine::rock
