#pragma once

#include "properties/property.h"

/// One function per property; its file says what it finds and what it does not. The properties live
/// for ever and hold no state.
namespace properties {

/// A hit is made of one put.
[[nodiscard]] const Property& no_hodgepodge();
/// A hit holds no other key's bytes.
[[nodiscard]] const Property& no_foreign_bytes();
/// A hit is of a put that was not given up or refused.
[[nodiscard]] const Property& no_unfinished_object();
/// A hit holds all of its put.
[[nodiscard]] const Property& no_partial_object();
/// A hit holds no place that was never written.
[[nodiscard]] const Property& no_unwritten_bytes();
/// A hit holds nobody's bytes.
[[nodiscard]] const Property& no_garbage();
/// A hit is as long as announced, and as its put.
[[nodiscard]] const Property& no_wrong_length();
/// What was purged does not come back.
[[nodiscard]] const Property& purged_stays_purged();
/// What was replaced does not come back.
[[nodiscard]] const Property& no_rollback();
/// What was durable and not lawfully overwritten is a hit.
[[nodiscard]] const Property& recall_floor();
/// Each unit of storage is used exactly once.
[[nodiscard]] const Property& slots_conserved();
/// A second recovery tells what the first told.
[[nodiscard]] const Property& recovery_stable();
/// What an attached directory tells is what a rebuild from the disk tells.
[[nodiscard]] const Property& attach_equals_rebuild();
/// The recovery ends.
[[nodiscard]] const Property& recovery_ends();
/// The process does not die by itself.
[[nodiscard]] const Property& process_survives();

}  // namespace properties
