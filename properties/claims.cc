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
// misses. It promises neither that a purge outlives a cut nor what is recalled. Its preset claims
// no lies. So does the program where the device is honest (it writes with O_DSYNC only, which such
// devices honour with the cache on too); on one that lies, only that it comes up and goes on.
//
// A specimen (a build with gates switched off) claims what the preset it is based on claims: that
// it cannot keep the claim is what the campaign must show.
#include <array>
#include <span>

#include "properties/all.h"

namespace properties {
namespace {

enum class On { honest, dishonest, any };

using Names = std::span<const std::string_view>;

constexpr std::array<std::string_view, 14> everything = {"no_hodgepodge",
                                                         "no_foreign_bytes",
                                                         "no_unfinished_object",
                                                         "no_partial_object",
                                                         "no_unwritten_bytes",
                                                         "no_garbage",
                                                         "no_wrong_length",
                                                         "purged_stays_purged",
                                                         "no_rollback",
                                                         "recall_floor",
                                                         "slots_conserved",
                                                         "recovery_stable",
                                                         "recovery_ends",
                                                         "process_survives"};

constexpr std::array<std::string_view, 11> no_lies_and_order_in_the_books = {"no_hodgepodge",
                                                                             "no_foreign_bytes",
                                                                             "no_unfinished_object",
                                                                             "no_partial_object",
                                                                             "no_unwritten_bytes",
                                                                             "no_garbage",
                                                                             "no_wrong_length",
                                                                             "slots_conserved",
                                                                             "recovery_stable",
                                                                             "recovery_ends",
                                                                             "process_survives"};

constexpr std::array<std::string_view, 9> no_lies = {"no_hodgepodge",
                                                     "no_foreign_bytes",
                                                     "no_unfinished_object",
                                                     "no_partial_object",
                                                     "no_unwritten_bytes",
                                                     "no_garbage",
                                                     "no_wrong_length",
                                                     "recovery_ends",
                                                     "process_survives"};

constexpr std::array<std::string_view, 2> it_comes_up = {"recovery_ends", "process_survives"};

struct Claim {
  std::string_view target;  ///< empty: any
  std::string_view store;   ///< empty: any
  std::string_view preset;  ///< empty: any
  On device = On::any;
  Names properties;
};

/// The first row that fits counts.
constexpr std::array<Claim, 8> claims = {{
    {"engine", "rock", "hardened", On::honest, everything},
    {"engine", "rock", "hardened", On::dishonest, no_lies_and_order_in_the_books},
    {"engine", "rock", "squid", On::any, no_lies},
    {"engine", "cyclone", "hardened", On::honest, everything},
    {"engine", "cyclone", "hardened", On::dishonest, no_lies_and_order_in_the_books},
    {"engine", "cyclone", "trafficserver", On::any, no_lies},
    {"trafficserver", "", "", On::dishonest, it_comes_up},
    {"", "", "", On::any, no_lies},
}};

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
                                     const faultfs::DeviceProfile& profile) {
  std::vector<const Property*> properties;
  for (const Claim& claim : claims) {
    const bool device = claim.device == On::any || (claim.device == On::honest) == profile.honest();
    if (!device || !fits(claim.target, config.target) || !fits(claim.store, config.store) ||
        !fits(claim.preset, config.preset)) {
      continue;
    }
    for (const std::string_view name : claim.properties) {
      properties.push_back(find_property(name));
    }
    return properties;
  }
  return properties;
}

}  // namespace properties
