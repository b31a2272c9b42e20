#include "engine/rock/check.h"

#include <array>

#include "engine/rock/database.h"
#include "engine/rock/rock_store.h"

namespace engine::rock {
namespace {

std::string_view verdict_name(SlotFinding::Verdict verdict) {
  constexpr std::array<std::string_view, 5> names = {
      "unscanned", "empty", "loaded", "refused", "superseded"};
  return names.at(static_cast<std::size_t>(verdict));
}

void report_slot(Core& core, const SlotFinding& finding, SlotReport& report) {
  std::array<std::byte, first_sector_bytes> sector = {};
  const Status read = core.device.read(core.geometry.offset(report.slot), sector);
  report.verdict = verdict_name(finding.verdict);
  if (finding.verdict == SlotFinding::Verdict::refused) {
    report.gate = gate_table.name(finding.gate);
  }
  if (!read) {
    return;  // the verdict says it: refused
  }
  const DecodedSlot decoded = decode_slot(sector);
  report.has_header = decoded.magic_ok;
  report.header = decoded.header;
  if (decoded.magic_ok && decoded.header.has(flag_inode) &&
      key_digest(key_text(sector)) == decoded.header.key) {
    report.key = key_text(sector);
  }
}

/// The rebuild has not looked at payloads; what a get would refuse is refused here.
void judge_payloads(RockStore& store, const Entry& entry, std::vector<SlotReport>& slots) {
  std::int32_t at = entry.first;
  for (std::uint32_t place = 0; place < entry.slot_count && at != no_slot; ++place) {
    const auto slot = static_cast<std::uint32_t>(at);
    const auto judged = store.reader().read_judged(entry, place, slot);
    if (!judged || *judged) {
      slots.at(slot).verdict = "refused";
      slots.at(slot).gate = gate_table.name(judged ? **judged : Gate::slot_bounds);
    }
    at = store.core().slots[slot].next;
  }
}

}  // namespace

Result<DiskReport> check_disk(block::Device& device, const Config& config) {
  auto store = make_store(device, config, true);
  if (!store) {
    return tl::unexpected(store.error());
  }
  RockStore& opened = **store;
  Core& core = opened.core();
  while (core.rebuilding) {
    static_cast<void>(opened.rebuild().finish());  // an unreadable slot is told once, then left
  }
  DiskReport report{core.geometry, core.instance, core.epoch, {}};
  report.slots.resize(core.geometry.slot_count);
  for (std::uint32_t slot = 0; slot < core.geometry.slot_count; ++slot) {
    report.slots[slot].slot = slot;
    report_slot(core, opened.rebuild().findings()[slot], report.slots[slot]);
  }
  for (const Entry& entry : core.entries) {
    if (entry.state == EntryState::readable) {
      judge_payloads(opened, entry, report.slots);
    }
  }
  return report;
}

Result<std::uint32_t> slot_bytes_of(block::Device& device) {
  const auto copies = read_database(device);
  if (!copies) {
    return tl::unexpected(copies.error());
  }
  if (copies->newest() < 0) {
    return fail(Trouble::invalid,
                "the disk has no valid database header; say the slot size with --slot to look "
                "at it anyway");
  }
  return copies->copy.at(static_cast<std::size_t>(copies->newest())).header.geometry.slot_bytes;
}

}  // namespace engine::rock
