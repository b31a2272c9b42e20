// The structure of a stripe, from its rows as they are: each row is free, in one chain, or reached
// by nothing. An object's rows are its head's and its fragments'. Alternates share a head: its row
// is counted to the first of them, and the others say that they are found through it. Rows of
// documents that are overwritten, or belong to no object (an upload, a replaced version), are held.
#include <unordered_map>

#include <fmt/format.h>

#include "engine/cyclone/stripe.h"

namespace engine::cyclone {
namespace {

constexpr std::uint64_t nobody = UINT64_MAX;

class Inspector {
 public:
  Inspector(Core& core, Log& log, Reader& reader)
      : core_(core), reader_(reader), window_(log.window()) {}

  Inspection run() {
    view_.units.resize(core_.geometry.rows());
    if (core_.recovering) {
      for (UnitUse& unit : view_.units) {
        unit.kind = UnitUse::Kind::unscanned;
      }
      return std::move(view_);
    }
    for (UnitUse& unit : view_.units) {
      unit = {UnitUse::Kind::entry, nobody};
    }
    reached_.resize(view_.units.size());
    chains();
    for (std::uint32_t segment = 0; segment < core_.geometry.segments; ++segment) {
      free_rows(segment);
    }
    for (const auto& [unit, row] : heads_) {
      object(unit, row);
    }
    return std::move(view_);
  }

 private:
  [[nodiscard]] std::uint32_t unit_of(std::uint32_t segment, std::uint32_t row) const {
    return segment * core_.geometry.segment_rows() + row;
  }

  void reach(std::uint32_t unit, UnitUse::Kind kind) {
    if (reached_[unit]) {
      view_.entries.push_back({fmt::format("row {} is linked twice", unit), 0, 0, {unit, unit}});
      return;
    }
    reached_[unit] = true;
    view_.units[unit] = {kind, 0};
  }

  void chains() {
    core_.directory.for_each([this](std::uint32_t segment, std::uint32_t at, const Row& row) {
      const std::uint32_t unit = unit_of(segment, at);
      reach(unit, UnitUse::Kind::quarantine);
      if (!window_.holds(row)) {
        return;
      }
      by_offset_.emplace(row.offset_blocks, unit);
      if (row.head) {
        heads_.emplace_back(unit, row);
      }
    });
  }

  void free_rows(std::uint32_t segment) {
    const std::uint32_t count = core_.geometry.segment_rows();
    const SegmentRows rows(segment_bytes(core_.image, core_.geometry, segment));
    for (std::uint32_t root = 0; root < count; root += bucket_rows) {
      if (rows.empty(root)) {
        reach(unit_of(segment, root), UnitUse::Kind::free);
      }
    }
    std::uint32_t at = free_head(core_.image, segment);
    for (std::uint32_t steps = 0; at != 0 && at < count && steps < count; ++steps) {
      reach(unit_of(segment, at), UnitUse::Kind::free);
      at = rows.next(at);
    }
  }

  void object(std::uint32_t unit, const Row& row) {
    const auto header = reader_.read_header(row);
    if (!header || !*header || (*header)->kind != DocumentKind::head) {
      return;
    }
    const auto head = reader_.find_head((*header)->first_key, {});
    if (!head || !*head || (*head)->data_offset != row.data_offset()) {
      return;
    }
    const DocumentHeader own = (*head)->header;
    const std::vector<std::byte> meta((*head)->meta.begin(), (*head)->meta.end());
    Vector vector;
    if (!decode_vector(meta, vector)) {
      return;
    }
    if (own.serial < core_.header.purge_epoch) {  // where no gate refuses it
      view_.entries.push_back(
          {fmt::format("row {} leads to a head that was purged with everything", unit),
           own.serial,
           0,
           {unit, unit}});
    }
    for (const Alternate& each : vector.all()) {
      alternate(own, std::string(vector.object), each, unit);
    }
  }

  /// The head's row is counted to the first alternate; the others are found through it.
  void alternate(const DocumentHeader& head,
                 const std::string& object,
                 const Alternate& alternate,
                 std::uint32_t unit) {
    const std::uint64_t index = view_.entries.size();
    EntryUse entry{object + std::string(alternate.name), head.serial, alternate.object_bytes, {}};
    if (view_.units[unit].kind == UnitUse::Kind::quarantine) {
      book(entry, unit, index);
    } else {
      entry.through = unit;
    }
    if (!alternate.resident) {
      Key key = alternate.earliest;
      for (std::uint64_t at = 0; at < entry.body_bytes && at < core_.geometry.data_bytes();
           at += alternate.fragment_content_bytes, key = next_fragment(key)) {
        const auto found = reader_.find_fragment(head.first_key, key, at);
        if (found && *found) {
          book(entry, by_offset_[(*found)->data_offset / block_bytes + 1], index);
        }
      }
    }
    view_.entries.push_back(std::move(entry));
  }

  void book(EntryUse& entry, std::uint32_t unit, std::uint64_t index) {
    entry.units.push_back(unit);
    if (view_.units[unit].kind == UnitUse::Kind::quarantine) {
      view_.units[unit] = {UnitUse::Kind::entry, index};
    }
  }

  Core& core_;
  Reader& reader_;
  Window window_;
  Inspection view_;
  std::vector<bool> reached_;
  std::vector<std::pair<std::uint32_t, Row>> heads_;
  std::unordered_map<std::uint64_t, std::uint32_t> by_offset_;
};

}  // namespace

Inspection Stripe::inspect() {
  return Inspector(core_, log_, reader_).run();
}

}  // namespace engine::cyclone
