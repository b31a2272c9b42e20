#include "engine/rock/reader.h"

#include <algorithm>

namespace engine::rock {
namespace {

void clear(GetReply& reply) {
  reply.hit = false;
  reply.header.clear();
  reply.body.clear();
  reply.body_bytes = 0;
}

}  // namespace

Status Reader::get(std::string_view key, ByteRange range, GetReply& reply) {
  ++core_.counters.gets;
  reply.hit = false;
  reply.header.clear();
  const auto number = core_.find_readable(key_digest(key));
  if (!number) {
    clear(reply);
    ++core_.counters.misses;
    return {};
  }
  Entry& entry = core_.entries[*number];
  const std::uint64_t begin = std::min(range.offset_bytes, entry.body_bytes);
  const Part part{begin, begin + std::min(range.size_bytes, entry.body_bytes - begin)};
  const auto served = serve(entry, part, reply);
  core_.forget_ahead();
  if (served && !*served) {
    entry.verified = true;
    ++core_.counters.hits;
    reply.hit = true;
    reply.parts.assign({entry.write.order, entry.write.nonce});
    return {};
  }
  clear(reply);
  ++core_.counters.misses;
  return served ? reject(*number, **served) : tl::unexpected(served.error());
}

Result<std::optional<Gate>> Reader::serve(const Entry& entry, Part part, GetReply& reply) {
  reply.body_bytes = entry.body_bytes;
  reply.body.resize(part.end - part.begin);
  std::uint64_t at = 0;  // body bytes before this slot
  std::int32_t next = entry.first;
  for (std::uint32_t place = 0; place < entry.slot_count; ++place) {
    if (next == no_slot) {
      return std::optional(Gate::slot_bounds);
    }
    const auto slot = static_cast<std::uint32_t>(next);
    const std::uint32_t payload_bytes = core_.slots[slot].payload_bytes;
    const std::uint32_t meta_bytes = place == 0 ? std::min(entry.meta_bytes, payload_bytes) : 0;
    const std::uint64_t here = payload_bytes - meta_bytes;
    const bool wanted = at < part.end && at + here > part.begin;
    if (place == 0 || wanted || !entry.verified) {
      if (!core_.is_ahead(slot)) {
        const bool all_wanted = !entry.verified || part.end == entry.body_bytes;
        core_.read_ahead(slot, all_wanted ? entry.slot_count - place : 1);
      }
      const auto judged = read_judged(entry, place, slot);
      if (!judged || *judged) {
        return judged;
      }
    }
    if (place == 0 && !take_header(entry, payload_bytes, reply)) {
      return std::optional(Gate::inode_required);  // the rule that metadata_at_hit stands in for
    }
    const std::uint64_t begin = std::max(at, part.begin);
    const std::uint64_t end = std::min(at + here, part.end);
    if (begin < end) {
      const auto from = static_cast<std::uint32_t>(begin - at + meta_bytes);
      take_payload(
          core_.scratch, from, std::span(reply.body).subspan(begin - part.begin, end - begin));
    }
    at += here;
    next = core_.slots[slot].next;
  }
  // Slots that were reused may be shorter: what was in the buffer before is nobody's answer.
  reply.body.resize(std::clamp(at, part.begin, part.end) - part.begin);
  return std::optional<Gate>();
}

/// The header text stands behind the key in the metadata. Where `metadata_at_hit` is set, metadata
/// that does not name the key is refused; else such bytes (a gate is off) are served as no header.
bool Reader::take_header(const Entry& entry, std::uint32_t payload_bytes, GetReply& reply) {
  const bool must_name_key = core_.config.metadata_at_hit;
  metadata_.resize(std::min(payload_bytes, entry.meta_bytes));
  take_payload(core_.scratch, 0, metadata_);
  Metadata metadata;
  if (!decode_metadata(metadata_, metadata)) {
    return !must_name_key;
  }
  reply.header = metadata.header;
  return !must_name_key || key_digest(metadata.key) == entry.key;
}

Result<std::optional<Gate>> Reader::read_judged(const Entry& entry,
                                                std::uint32_t place,
                                                std::uint32_t slot) {
  const auto read = core_.read_slot(slot, core_.slots[slot].payload_bytes);
  if (!read) {
    return tl::unexpected(read.error());
  }
  return refuse_slot(entry, *read, core_.header_at(entry, place, slot));
}

std::optional<Gate> Reader::refuse_slot(const Entry& entry,
                                        const DecodedSlot& slot,
                                        const SlotHeader& expected) const {
  const Gates& gates = core_.gates;
  const SlotHeader& header = slot.header;
  if (gates.on(Gate::slot_header_checksum) && !slot.checksum_ok) {
    return Gate::slot_header_checksum;
  }
  if (gates.on(Gate::slot_instance) && header.instance != core_.instance) {
    return Gate::slot_instance;
  }
  if (gates.on(Gate::owner_check)) {
    if (header.state != SlotState::used || header.key != entry.key ||
        header.index != expected.index || header.payload_bytes != expected.payload_bytes) {
      return Gate::owner_check;
    }
    if (gates.on(Gate::write_id) &&
        (header.write != expected.write || header.chain != expected.chain)) {
      return Gate::write_id;
    }
  }
  const bool whole =
      !gates.on(Gate::slot_payload_checksum) ||
      payload_checksum(core_.scratch, expected.payload_bytes) == header.payload_checksum;
  return whole ? std::nullopt : std::optional(Gate::slot_payload_checksum);
}

Status Reader::reject(std::uint32_t number, Gate gate) {
  core_.gates.refuse(gate);
  const Status done = core_.free_chain(core_.entries[number], UnitUse::Kind::entry, number);
  core_.drop_entry(number, EntryState::refused);
  return done;
}

}  // namespace engine::rock
