// Who claims what, as data: the table store × preset × device profile → properties.
//
// The hardened engine claims everything on every honest device, with a volatile write cache or
// without. A device that lies about flushes, or writes to the wrong place, can bring anything old
// back and lose anything; there it still claims never to serve a wrong object, to come up, to
// decide once and to keep its books.
//
// Squid's documentation promises no hodgepodge entries and a rebuild that ends. It promises neither
// that a purge or a replacement outlives a cut, nor what is recalled. The engine's squid preset
// claims what Squid does. A target this table does not know claims the same.
//
// Traffic Server's developer guide promises consistency "up to pulling the power cord out of the
// back of the machine" where the drive's write cache is off, and that partial documents become
// misses. It promises neither that a purge outlives a cut nor what is recalled. Of shared memory it
// says that the disk is the source of truth. Its preset claims no lies, and that. So does the
// program where the device is honest (it writes with O_DSYNC only, which such devices honour with
// the cache on too); on one that lies, only that it comes up and goes on.
//
// The store in memory alone claims no lie and nothing of before: a restart finds it empty.
//
// Faults of the device (faultfs/faults) take claims away, whoever makes them; what is left still
// holds. Never taken is what makes a cache a cache: no lie, the books in order, the process alive.
// So the hardened engine serves no wrong byte under bit rot or a misdirected write.
//   short transfers, latency, a kill      take nothing: whoever goes on asking loses nothing
//   a refusal (EIO, ENOSPC, …)            takes recall and the start: a cache may refuse a disk
//   that
//                                         it cannot read; and what fails once need not fail again
//   acknowledged, not so on the medium,   takes recall, order, and that a second start tells the
//   or read otherwise than it is there    same: what was there may be gone, or back, at any time
//   a failed flush, a late write, a       all of these
//   latent sector error
//
// A specimen (a build with gates switched off) claims what the preset it is based on claims: that
// it cannot keep the claim is what the campaign must show.
#include <algorithm>
#include <array>
#include <span>

#include "properties/all.h"

namespace properties {
namespace {

enum class On { honest, dishonest, any };

using Names = std::span<const std::string_view>;

/// All names of several lists.
template <std::size_t... counts>
constexpr auto joined(const std::array<std::string_view, counts>&... lists) {
  std::array<std::string_view, (counts + ...)> all;
  auto end = all.begin();
  ((end = std::copy(lists.begin(), lists.end(), end)), ...);
  return all;
}

template <typename... Words>
constexpr std::array<std::string_view, sizeof...(Words)> words(Words... each) {
  return {each...};
}

constexpr auto true_answers = words("no_hodgepodge",
                                    "no_foreign_bytes",
                                    "no_unfinished_object",
                                    "no_partial_object",
                                    "no_unwritten_bytes",
                                    "no_garbage",
                                    "no_wrong_length");
constexpr auto order = words("purged_stays_purged", "no_rollback");
constexpr auto order_in_the_books =
    words("slots_conserved", "recovery_stable", "attach_equals_rebuild");
constexpr auto it_comes_up = words("recovery_ends", "process_survives");

constexpr auto everything =
    joined(true_answers, order, words("recall_floor"), order_in_the_books, it_comes_up);
constexpr auto no_lies_and_order_in_the_books =
    joined(true_answers, order_in_the_books, it_comes_up);
constexpr auto no_lies = joined(true_answers, it_comes_up);
/// And that shared memory is only a quicker way to what the disk says.
constexpr auto no_lies_and_the_disk_counts =
    joined(true_answers, words("attach_equals_rebuild"), it_comes_up);
/// What is gone with the process cannot come back.
constexpr auto no_lies_and_no_past = joined(true_answers, order, it_comes_up);

struct Claim {
  std::string_view target;  ///< empty: any
  std::string_view store;   ///< empty: any
  std::string_view preset;  ///< empty: any
  On device = On::any;
  Names properties;
};

/// The first row that fits counts.
constexpr std::array<Claim, 9> claims = {{
    {"engine", "rock", "hardened", On::honest, everything},
    {"engine", "rock", "hardened", On::dishonest, no_lies_and_order_in_the_books},
    {"engine", "rock", "squid", On::any, no_lies},
    {"engine", "cyclone", "hardened", On::honest, everything},
    {"engine", "cyclone", "hardened", On::dishonest, no_lies_and_order_in_the_books},
    {"engine", "cyclone", "trafficserver", On::any, no_lies_and_the_disk_counts},
    {"engine", "memory", "hardened", On::any, no_lies_and_no_past},
    {"trafficserver", "", "", On::dishonest, it_comes_up},
    {"", "", "", On::any, no_lies},
}};

/// A group of faults, and the properties that nobody claims on a device with one of them.
struct Taken {
  std::span<const std::string_view> faults;
  Names properties;
};

constexpr auto harmless = words("latency", "short-read", "short-write", "kill-client");
constexpr auto refusing = words("eio", "enodev", "enospc", "erofs");
constexpr auto refusing_and_lying = words("failed-flush-clean",
                                          "failed-flush-late",
                                          "failed-flush-reverted",
                                          "failed-flush-dirty",
                                          "late-write",
                                          "latent-sector-error");

constexpr auto recall_and_start =
    words("recall_floor", "recovery_ends", "recovery_stable", "attach_equals_rebuild");
constexpr auto recall_order_and_stability =
    joined(words("recall_floor"), order, words("recovery_stable", "attach_equals_rebuild"));
constexpr auto all_but_lies = joined(recall_order_and_stability, words("recovery_ends"));

/// A fault that is in no row leaves something else on the medium than was acknowledged, or reads
/// something else from it: it takes `recall_order_and_stability`.
constexpr std::array<Taken, 3> taken = {{
    {harmless, {}},
    {refusing, recall_and_start},
    {refusing_and_lying, all_but_lies},
}};

bool contains(std::span<const std::string_view> names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// What `fault` takes from what is claimed.
Names taken_by(std::string_view fault) {
  for (const Taken& row : taken) {
    if (contains(row.faults, fault)) {
      return row.properties;
    }
  }
  return recall_order_and_stability;
}

bool fits(std::string_view wanted, std::string_view value) {
  return wanted.empty() || wanted == value;
}

}  // namespace

const std::vector<const Property*>& all_properties() {
  static const std::vector<const Property*> all = {&no_hodgepodge(),
                                                   &no_foreign_bytes(),
                                                   &no_unfinished_object(),
                                                   &no_partial_object(),
                                                   &no_unwritten_bytes(),
                                                   &no_garbage(),
                                                   &no_wrong_length(),
                                                   &purged_stays_purged(),
                                                   &no_rollback(),
                                                   &recall_floor(),
                                                   &slots_conserved(),
                                                   &recovery_stable(),
                                                   &attach_equals_rebuild(),
                                                   &recovery_ends(),
                                                   &process_survives()};
  return all;
}

const Property* find_property(std::string_view name) {
  for (const Property* property : all_properties()) {
    if (property->name() == name) {
      return property;
    }
  }
  return nullptr;
}

std::vector<const Property*> claimed(const scenarios::TargetConfig& config,
                                     const faultfs::DeviceProfile& profile,
                                     const scenarios::Faults& faults) {
  const auto still_claimed = [&faults](std::string_view name) {
    return std::none_of(faults.begin(), faults.end(), [name](const auto& fault) {
      return contains(taken_by(fault.fault), name);
    });
  };
  std::vector<const Property*> properties;
  for (const Claim& claim : claims) {
    const bool device = claim.device == On::any || (claim.device == On::honest) == profile.honest();
    if (!device || !fits(claim.target, config.target) || !fits(claim.store, config.store) ||
        !fits(claim.preset, config.preset)) {
      continue;
    }
    for (const std::string_view name : claim.properties) {
      if (still_claimed(name)) {
        properties.push_back(find_property(name));
      }
    }
    return properties;
  }
  return properties;
}

}  // namespace properties
