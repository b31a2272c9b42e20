#include "engine/restart/table.h"

#include <algorithm>

#include <fmt/format.h>

#include "engine/restart/control.h"
#include "engine/restart/purge.h"

namespace engine::restart {

Table::Table(Control& control, std::string prefix, Gates& gates)
    : control_(control), prefix_(std::move(prefix)), gates_(gates) {}

std::optional<std::size_t> Table::find(std::uint64_t identity_hash) const {
  for (std::size_t slot = 0; slot < control_.frozen.rows_used; ++slot) {
    const Row& row = control_.rows.at(slot);
    if (!row.tombstone() && row.identity_hash == identity_hash) {
      return slot;
    }
  }
  return std::nullopt;
}

std::optional<std::size_t> Table::reserve() {
  for (std::size_t slot = 0; slot < control_.frozen.rows_used; ++slot) {
    if (control_.rows.at(slot).tombstone()) {
      return slot;
    }
  }
  if (control_.frozen.rows_used == row_count) {
    return std::nullopt;
  }
  return control_.frozen.rows_used++;
}

std::optional<Gate> Table::refusal(const Row& row,
                                   std::uint64_t size_bytes,
                                   const Binding& disk) const {
  const Binding& was = row.binding;
  const bool same_nonce = was.nonce_low == disk.nonce_low && was.nonce_high == disk.nonce_high;
  const bool same_serials = was.life == disk.life && was.sync_serial == disk.sync_serial &&
                            was.write_serial == disk.write_serial;
  const std::array<std::pair<Gate, bool>, 5> checks = {
      {{Gate::row_untrusted, row.untrusted != 0},
       {Gate::row_size, row.size_bytes != size_bytes},
       {Gate::binding_nonce, !same_nonce},
       {Gate::binding_serials, !same_serials},
       {Gate::binding_cursor, was.cursor_bytes != disk.cursor_bytes}}};
  for (const auto& [gate, bad] : checks) {
    if (bad && gates_.on(gate)) {
      return gate;
    }
  }
  return std::nullopt;
}

void Table::say_refused(Gate gate, std::string_view identity, const Row& row) {
  std::string_view why;
  switch (gate) {
    case Gate::row_untrusted:
      why = "marked untrusted at shutdown";
      break;
    case Gate::row_size:
      why = "is of another size than its directory";
      break;
    case Gate::binding_nonce:
      why = "belongs to another disk, or its disk was cleared";
      break;
    case Gate::binding_serials:
      why = "is older or newer than its disk, which was opened or synced without it";
      break;
    default:
      why = "does not know where its disk writes next";
      break;
  }
  gates_.refuse(gate,
                fmt::format("stripe {} for '{}' {}; recreating", row.name_text(), identity, why));
}

std::optional<TableClaim> Table::claim(std::string_view identity,
                                       std::uint64_t size_bytes,
                                       const Binding& disk) {
  const std::lock_guard lock(mutex_);
  const std::uint64_t hash = fnv_1a(identity);
  std::optional<std::size_t> slot = find(hash);
  TableClaim claim;
  if (slot && uses_.at(*slot) != Use::unclaimed) {
    gates_.refuse(Gate::row_claimed,
                  fmt::format("stripe '{}' has the row of another one; heap directory for this run",
                              identity));
    return std::nullopt;
  }
  if (slot) {
    const Row& row = control_.rows.at(*slot);
    const auto gate = refusal(row, size_bytes, disk);
    if (gate) {
      say_refused(*gate, identity, row);
    }
    claim.attach = !gate;
    claim.was_used = true;
    claim.image_digest = row.image_digest;
  } else {
    slot = reserve();
  }
  if (!slot) {
    gates_.refuse(Gate::table_full,
                  fmt::format("no row is free for '{}'; heap directory for this run", identity));
    return std::nullopt;
  }
  claim.slot = *slot;
  claim.name = image_name(prefix_, *slot);
  // From here on the row promises nothing: its binding comes back when it is sealed.
  Row row;
  row.set_name(claim.name);
  row.size_bytes = size_bytes;
  row.identity_hash = hash;
  control_.rows.at(*slot) = row;
  uses_.at(*slot) = Use::claimed;
  return claim;
}

void Table::release(std::size_t slot) {
  const std::lock_guard lock(mutex_);
  control_.rows.at(slot) = Row{};
  uses_.at(slot) = Use::unclaimed;
}

void Table::distrust(std::size_t slot) {
  const std::lock_guard lock(mutex_);
  control_.rows.at(slot).untrusted = 1;
}

void Table::seal(std::size_t slot, const Binding& disk, std::uint64_t image_digest) {
  const std::lock_guard lock(mutex_);
  control_.rows.at(slot).binding = disk;
  control_.rows.at(slot).image_digest = image_digest;
  uses_.at(slot) = Use::sealed;
}

std::size_t Table::claimed_count() const {
  const std::lock_guard lock(mutex_);
  return static_cast<std::size_t>(
      std::count_if(uses_.begin(), uses_.end(), [](Use use) { return use != Use::unclaimed; }));
}

std::size_t Table::orphan_count() const {
  const std::lock_guard lock(mutex_);
  std::size_t orphans = 0;
  for (std::size_t slot = 0; slot < control_.frozen.rows_used; ++slot) {
    orphans += !control_.rows.at(slot).tombstone() && uses_.at(slot) == Use::unclaimed ? 1 : 0;
  }
  return orphans;
}

void Table::trim() {
  std::uint32_t used = control_.frozen.rows_used;
  while (used > 0 && control_.rows.at(used - 1).tombstone()) {
    --used;
  }
  control_.frozen.rows_used = used;
}

std::vector<std::string> Table::take_orphans() {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> names;
  for (std::size_t slot = 0; slot < control_.frozen.rows_used; ++slot) {
    Row& row = control_.rows.at(slot);
    if (!row.tombstone() && uses_.at(slot) == Use::unclaimed) {
      names.emplace_back(row.name_text());
      row = Row{};
    }
  }
  trim();
  return names;
}

bool Table::all_sealed() const {
  const std::lock_guard lock(mutex_);
  return std::none_of(uses_.begin(), uses_.end(), [](Use use) { return use == Use::claimed; });
}

void Table::mark_clean() {
  const std::lock_guard lock(mutex_);
  control_.table_digest = table_digest(control_);
  store_clean(control_, true);
}

}  // namespace engine::restart
