#include "engine/cyclone/head_draft.h"

#include <algorithm>
#include <utility>

namespace engine::cyclone {

Status HeadDraft::load(Reader& reader, const Key& key, std::string_view object) {
  const auto head = reader.find_head(key, object);
  if (!head) {
    return tl::unexpected(head.error());
  }
  content_.clear();
  meta_.clear();
  if (*head) {
    meta_.assign((*head)->meta.begin(), (*head)->meta.end());
    content_.assign((*head)->content.begin(), (*head)->content.end());
  }
  if (meta_.empty() || !decode_vector(meta_, vector_)) {
    vector_ = Vector{};
    content_.clear();
  }
  vector_.object = object;
  return {};
}

std::uint64_t HeadDraft::document_bytes() const {
  return document_header_bytes + vector_bytes(vector_) + content_.size();
}

void HeadDraft::erase(std::uint32_t at) {
  const auto begin = vector_.alternates.begin();
  std::move(begin + at + 1, begin + vector_.count, begin + at);
  --vector_.count;
}

/// Where nobody has it any more.
void HeadDraft::forget_content() {
  if (resident() == nullptr) {
    content_.clear();
  }
}

std::uint64_t HeadDraft::put(const Alternate& alternate, std::uint64_t bytes_max) {
  if (const Alternate* older = vector_.find(alternate.name); older != nullptr) {
    erase(static_cast<std::uint32_t>(older - vector_.alternates.data()));
  }
  std::uint64_t gone = vector_.count == alternates_max ? 1 : 0;
  vector_.count -= static_cast<std::uint32_t>(gone);
  const auto begin = vector_.alternates.begin();
  std::move_backward(begin, begin + vector_.count, begin + vector_.count + 1);
  vector_.alternates.front() = alternate;
  ++vector_.count;
  while (vector_.count > 1 && document_header_bytes + vector_bytes(vector_) > bytes_max) {
    --vector_.count;
    ++gone;
  }
  forget_content();
  return gone;
}

bool HeadDraft::remove(std::string_view name) {
  const Alternate* found = vector_.find(name);
  if (found == nullptr) {
    return false;
  }
  erase(static_cast<std::uint32_t>(found - vector_.alternates.data()));
  forget_content();
  return true;
}

const Alternate* HeadDraft::resident() const {
  const auto all = vector_.all();
  const auto at =
      std::find_if(all.begin(), all.end(), [](const Alternate& each) { return each.resident; });
  return at == all.end() ? nullptr : &*at;
}

std::vector<std::byte> HeadDraft::displace(const Key& earliest, std::uint32_t fragment_content) {
  for (Alternate& each : vector_.alternates) {
    if (each.resident) {
      each.resident = false;
      each.earliest = earliest;
      each.fragment_content_bytes = fragment_content;
    }
  }
  return std::exchange(content_, {});
}

void HeadDraft::settle(std::vector<std::byte> content) {
  Alternate& front = vector_.alternates.front();
  front.resident = true;
  front.fragment_content_bytes = 0;
  content_ = std::move(content);
}

}  // namespace engine::cyclone
