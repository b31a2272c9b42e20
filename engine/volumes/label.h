#pragma once

/// The version rule. Every disk of a volume begins with a label, which says who may read the rest:
///
///     0   magic "PCUTVOL\0"
///     8   format version u32, state u32 (1 ready, 2 clearing)
///     16  serial u64: the copy with the higher one counts
///     24  nonce u64 x 2: drawn at each clear, and part of every key on this disk
///     40  facts u64: hash of everything that must be as it was (format, geometry, build, tag, key
///         mode, hosting rules, the disks of the volume)
///     48  volume tag u32, 0 u32
///     56  checksum u64 of the 56 bytes before
///
/// twice, at 0 and at 8192, written in turn. Where the label is not exactly that of this build and
/// configuration, older or newer alike, the disk is *cleared*: never are old bytes read by new
/// rules. The order is safe at every cut:
///
///     1  a label with a new nonce, state clearing, durable: from here on no old key is ever asked
///     2  zeros over the head of the store behind the label, durable: it begins anew
///     3  the label again, state ready, durable
///
/// A start that finds "clearing" goes on at 2. Example: a cut in the middle of 1 leaves the other
/// copy, which is still refused, so the next start clears again.

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/gates.h"
#include "engine/block/device.h"
#include "engine/volumes/hosting.h"

namespace engine::volumes {

inline constexpr std::uint32_t label_version = 1;
inline constexpr std::uint64_t label_copy_bytes = 8192;
inline constexpr std::uint64_t label_bytes = 2 * label_copy_bytes;
/// Of the store behind the label: enough for the header of every store there is.
inline constexpr std::uint64_t store_head_bytes = 16384;

struct Label {
  enum class State : std::uint32_t { ready = 1, clearing = 2 };
  std::uint32_t version = label_version;
  State state = State::clearing;
  std::uint64_t serial = 0;
  std::uint64_t nonce_low = 0, nonce_high = 0;
  std::uint64_t facts_hash = 0;
  VolumeTag tag = 0;
};

/// Why a disk was cleared.
enum class LabelGate : std::uint8_t {
  missing,        ///< blank: no gate, a first start
  damaged,        ///< something is there and is no whole label
  other_version,  ///< of an older or a newer format
  other_tag,      ///< of another volume
  other_facts,    ///< geometry, build, key mode, hosting or disks differ
  cut_short,      ///< a clear was cut short
};
inline constexpr GateTable label_gate_table(std::to_array<GateRow<LabelGate>>({
    {LabelGate::missing, "label_missing", guard},
    {LabelGate::damaged, "label_damaged", guard},
    {LabelGate::other_version, "label_other_version", guard},
    {LabelGate::other_tag, "label_other_tag", guard},
    {LabelGate::other_facts, "label_other_facts", guard},
    {LabelGate::cut_short, "label_cut_short", guard},
}));
/// In words.
[[nodiscard]] std::string_view label_gate_reason(LabelGate gate);

/// What an opening found and did.
struct LabelOpening {
  Label label;                    ///< as on the disk now
  std::optional<LabelGate> gate;  ///< set: the disk was cleared because of it
};

/// Reads the label of `disk` and clears the disk where it is not that of `tag` and `facts`. `seed`:
/// never the same twice. Error: the device refuses.
[[nodiscard]] Result<LabelOpening> open_label(block::Device& disk,
                                              VolumeTag tag,
                                              const std::vector<std::string>& facts,
                                              std::uint64_t seed);

/// What is read of a label without a configuration, for the inspection; nothing is written. None:
/// there is no trace of one. Error: it is damaged, of another version, or its clear was cut short;
/// the next start clears such a disk.
[[nodiscard]] Result<std::optional<Label>> find_label(block::Device& disk);

/// How every key on the disk begins: volume and nonce. What was stored under another label is never
/// found.
[[nodiscard]] std::string key_prefix(const Label& label);

/// `sector` has 512 bytes.
void encode_label(const Label& label, std::span<std::byte> sector);
/// None where it is no whole label of any version.
[[nodiscard]] std::optional<Label> decode_label(std::span<const std::byte> sector);

}  // namespace engine::volumes
