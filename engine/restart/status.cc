#include <algorithm>
#include <cerrno>
#include <cstring>

#include <fmt/format.h>

#include "engine/restart/config.h"
#include "engine/restart/purge.h"

namespace engine::restart {
namespace {

std::string size_text(std::uint64_t bytes) {
  constexpr std::array<std::string_view, 5> units = {"B", "KiB", "MiB", "GiB", "TiB"};
  std::size_t unit = 0;
  auto value = static_cast<double>(bytes);
  while (value >= 1024 && unit + 1 < units.size()) {
    value /= 1024;
    ++unit;
  }
  return unit == 0 ? fmt::format("{} bytes", bytes)
                   : fmt::format("{} bytes ({:.1f} {})", bytes, value, units.at(unit));
}

std::string magic_text(const Frozen& frozen) {
  std::string text;
  for (const char c : frozen.magic) {
    text += c > ' ' && c <= '~' ? c : '.';
  }
  return text;
}

std::string owner_text(const ShmStatus& status) {
  switch (status.owner) {
    case ShmStatus::Owner::none:
      return "none";
    case ShmStatus::Owner::live:
      return fmt::format("{} (LIVE)", status.frozen.owner);
    case ShmStatus::Owner::stale:
      break;
  }
  return fmt::format("{} (stale)", status.frozen.owner);
}

void read_rows(SharedMemory& memory, const Control& control, ShmStatus& status) {
  const std::size_t used = std::min<std::size_t>(control.frozen.rows_used, row_count);
  for (std::size_t slot = 0; slot < used; ++slot) {
    const Row& row = control.rows.at(slot);
    ShmStatus::RowStatus& shown = status.rows.emplace_back();
    shown.tombstone = row.tombstone();
    if (shown.tombstone) {
      continue;
    }
    shown.name = row.name_text();
    shown.size_bytes = row.size_bytes;
    shown.untrusted = row.untrusted != 0;
    shown.present = memory.open(shown.name, Access::read_only).has_value();
  }
}

/// Fills in what the frozen bytes say, and whether the table may be shown.
void judge(SharedMemory& memory, std::uint64_t own_abi, ShmStatus& status) {
  const Frozen& frozen = status.frozen;
  status.magic_valid = frozen.magic == control_magic;
  status.schema_same = frozen.schema == schema_version;
  status.abi_same = frozen.abi_hash == own_abi;
  status.owner = frozen.owner == 0            ? ShmStatus::Owner::none
                 : memory.alive(frozen.owner) ? ShmStatus::Owner::live
                                              : ShmStatus::Owner::stale;
  if (status.size_bytes != control_bytes) {
    status.wrong =
        fmt::format("the segment is {} bytes, this build's is {}; its table is not shown",
                    status.size_bytes,
                    control_bytes);
  } else if (!status.magic_valid || !status.schema_same || !status.abi_same) {
    status.wrong = "the header is not this build's; its table is not shown";
  }
}

std::string row_text(std::size_t slot, const ShmStatus::RowStatus& row) {
  if (row.tombstone) {
    return fmt::format("  s{:<4} tombstone\n", slot);
  }
  return fmt::format("  s{:<4} {:<30} {}, {}{}\n",
                     slot,
                     row.name,
                     size_text(row.size_bytes),
                     row.present ? "present" : "MISSING",
                     row.untrusted ? ", untrusted: will be rebuilt from disk" : "");
}

}  // namespace

Result<ShmStatus> read_status(SharedMemory& memory,
                              std::string_view prefix_word,
                              std::span<const std::string> format_facts) {
  const auto prefix = frame_prefix(prefix_word);
  if (!prefix) {
    return tl::unexpected(prefix.error());
  }
  ShmStatus status;
  status.control_name = control_name(*prefix);
  const auto object = memory.open(status.control_name, Access::read_only);
  if (!object && object.error() == ENOENT) {
    return status;
  }
  const auto size_bytes = object ? (*object)->size_bytes() : tl::unexpected(object.error());
  if (!size_bytes) {
    return fail(
        Trouble::device,
        fmt::format("{} cannot be looked at: {}", status.control_name, reason(size_bytes.error())));
  }
  status.exists = true;
  status.size_bytes = *size_bytes;
  if (*size_bytes < frozen_bytes) {
    status.wrong = fmt::format("the segment is {} bytes, too small for a header", *size_bytes);
    return status;
  }
  const bool whole = *size_bytes == control_bytes;
  const auto mapping = (*object)->map(whole ? control_bytes : frozen_bytes, Access::read_only);
  if (!mapping) {
    return fail(
        Trouble::device,
        fmt::format("{} cannot be mapped: {}", status.control_name, reason(mapping.error())));
  }
  std::memcpy(&status.frozen, (*mapping)->bytes().data(), sizeof status.frozen);
  judge(memory, abi_hash(format_facts), status);
  if (status.wrong.empty()) {
    read_rows(memory, *reinterpret_cast<const Control*>((*mapping)->bytes().data()), status);
  }
  return status;
}

std::string to_text(const ShmStatus& status) {
  if (!status.exists) {
    return fmt::format("{}: no control segment\n", status.control_name);
  }
  std::string text = fmt::format("control segment    {}\nsize               {}\n",
                                 status.control_name,
                                 size_text(status.size_bytes));
  if (status.size_bytes >= frozen_bytes) {
    const Frozen& frozen = status.frozen;
    text += fmt::format("magic              {} [{}]\n",
                        magic_text(frozen),
                        status.magic_valid ? "valid" : "INVALID");
    text += fmt::format("schema             {} [{}]\n",
                        frozen.schema,
                        status.schema_same ? "this build's" : "ANOTHER BUILD'S");
    text += fmt::format("ABI hash           0x{:016x} [{}]\n",
                        frozen.abi_hash,
                        status.abi_same ? "this build's" : "ANOTHER BUILD'S");
    text += fmt::format("storage signature  0x{:016x}\n", frozen.storage_signature);
    text += fmt::format(
        "clean shutdown     {}\n",
        frozen.clean == 1 ? "1 (clean)" : "0 (DIRTY: running, or did not stop in order)");
    text += fmt::format("owner              {}\n", owner_text(status));
    text += fmt::format("stripe_count       {}\n", frozen.rows_used);
  }
  for (std::size_t slot = 0; slot < status.rows.size(); ++slot) {
    text += row_text(slot, status.rows[slot]);
  }
  return text;
}

}  // namespace engine::restart
