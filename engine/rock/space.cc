#include "engine/rock/space.h"

namespace engine::rock {

Result<std::uint32_t> Space::take() {
  while (true) {
    if (const auto slot = core_.take_free()) {
      return *slot;
    }
    Status done;
    if (core_.rebuilding) {
      done = rebuild_.step();
    } else if (core_.in_quarantine()) {
      done = core_.flush();
    } else {
      const auto evicted = evict();
      if (evicted && !*evicted) {
        return fail(Trouble::full, "no slot is free and no object can be evicted");
      }
      done = evicted ? Status{} : tl::unexpected(evicted.error());
    }
    if (!done) {
      return tl::unexpected(done.error());
    }
  }
}

Result<bool> Space::evict() {
  for (std::size_t looked_at = 0; looked_at < core_.entries.size(); ++looked_at) {
    cursor_ = cursor_ + 1 < core_.entries.size() ? cursor_ + 1 : 0;
    const Entry& entry = core_.entries[cursor_];
    if (entry.state != EntryState::readable || entry.pinned) {
      continue;
    }
    ++core_.counters.evictions;
    const Status done = core_.free_chain(entry, UnitUse::Kind::entry, cursor_);
    core_.drop_entry(cursor_, EntryState::retired);
    if (!done) {
      return tl::unexpected(done.error());
    }
    return true;
  }
  return false;
}

}  // namespace engine::rock
