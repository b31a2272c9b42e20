#include "engine/volumes/label.h"

#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cstring>

#include <fmt/format.h>

#include "engine/base/random.h"

namespace engine::volumes {
namespace {

constexpr std::size_t sector_bytes = 512;
constexpr std::size_t block_bytes = 4096;  // what is written: a whole one on every device
constexpr std::size_t at_checksum = 56;
constexpr std::array<char, 8> label_magic = {'P', 'C', 'U', 'T', 'V', 'O', 'L', '\0'};
using Sector = std::array<std::byte, sector_bytes>;

template <typename T>
void store(std::span<std::byte> sector, std::size_t at, T value) {
  std::memcpy(&sector[at], &value, sizeof value);
}
template <typename T>
T load(std::span<const std::byte> sector, std::size_t at) {
  T value = {};
  std::memcpy(&value, &sector[at], sizeof value);
  return value;
}

struct Copies {
  std::array<std::optional<Label>, 2> copy;
  bool blank = true;
  bool traces = false;  ///< one begins like a label
  std::uint64_t content_hash = 0;

  [[nodiscard]] const std::optional<Label>& newest() const {
    const bool second = copy[1] && (!copy[0] || copy[1]->serial > copy[0]->serial);
    return copy.at(second ? 1 : 0);
  }
};

Result<Copies> read_copies(block::Device& disk) {
  Copies copies;
  for (std::size_t number = 0; number < copies.copy.size(); ++number) {
    Sector sector = {};
    const Status read = disk.read(number * label_copy_bytes, sector);
    if (!read) {
      return tl::unexpected(read.error());
    }
    copies.copy.at(number) = decode_label(sector);
    copies.blank = copies.blank && std::all_of(sector.begin(), sector.end(), [](std::byte byte) {
                     return byte == std::byte{0};
                   });
    copies.traces =
        copies.traces || std::memcmp(sector.data(), label_magic.data(), label_magic.size()) == 0;
    copies.content_hash = XXH3_64bits_withSeed(sector.data(), sector.size(), copies.content_hash);
  }
  return copies;
}

/// Durably over the older copy: the one whose turn the serial says it is.
Status write_label(block::Device& disk, const Label& label) {
  std::array<std::byte, block_bytes> block = {};
  encode_label(label, block);
  const Status written =
      disk.write((label.serial & 1U) * label_copy_bytes, block, block::WriteMode::cached);
  return written ? disk.flush() : written;
}

Status clear_head(block::Device& disk) {
  const std::vector<std::byte> zeros(
      std::min(store_head_bytes, disk.size_bytes() - std::min(disk.size_bytes(), label_bytes)));
  const Status written = disk.write(label_bytes, zeros, block::WriteMode::cached);
  return written ? disk.flush() : written;
}

std::optional<LabelGate> refusal(const Copies& copies, VolumeTag tag, std::uint64_t facts_hash) {
  const auto& newest = copies.newest();
  if (!newest) {
    return copies.blank ? LabelGate::missing : LabelGate::damaged;
  }
  if (newest->version != label_version) {
    return LabelGate::other_version;
  }
  if (newest->tag != tag) {
    return LabelGate::other_tag;
  }
  if (newest->facts_hash != facts_hash) {
    return LabelGate::other_facts;
  }
  return newest->state == Label::State::ready ? std::nullopt : std::optional(LabelGate::cut_short);
}

std::uint64_t hash_of(const std::vector<std::string>& facts) {
  std::uint64_t hash = 0;
  for (const std::string& fact : facts) {
    hash = XXH3_64bits_withSeed(fact.data(), fact.size(), hash + 1);
  }
  return hash;
}

}  // namespace

std::string_view label_gate_reason(LabelGate gate) {
  constexpr std::array<std::string_view, 6> reasons = {
      "it was blank",
      "something else is where its label should be",
      "its label is of another version",
      "it was a disk of another volume",
      "its size, the disks of its volume, the store, the key mode, the hosting rules or the build "
      "are others than before",
      "a clear was cut short"};
  return reasons.at(static_cast<std::size_t>(gate));
}

void encode_label(const Label& label, std::span<std::byte> sector) {
  std::memcpy(sector.data(), label_magic.data(), label_magic.size());
  store(sector, 8, label.version);
  store(sector, 12, static_cast<std::uint32_t>(label.state));
  store(sector, 16, label.serial);
  store(sector, 24, label.nonce_low);
  store(sector, 32, label.nonce_high);
  store(sector, 40, label.facts_hash);
  store(sector, 48, std::uint32_t{label.tag});
  store(sector, at_checksum, XXH3_64bits(sector.data(), at_checksum));
}

std::optional<Label> decode_label(std::span<const std::byte> sector) {
  const bool whole =
      std::memcmp(sector.data(), label_magic.data(), label_magic.size()) == 0 &&
      load<std::uint64_t>(sector, at_checksum) == XXH3_64bits(sector.data(), at_checksum);
  if (!whole) {
    return std::nullopt;
  }
  Label label;
  label.version = load<std::uint32_t>(sector, 8);
  label.state = static_cast<Label::State>(load<std::uint32_t>(sector, 12));
  label.serial = load<std::uint64_t>(sector, 16);
  label.nonce_low = load<std::uint64_t>(sector, 24);
  label.nonce_high = load<std::uint64_t>(sector, 32);
  label.facts_hash = load<std::uint64_t>(sector, 40);
  label.tag = static_cast<VolumeTag>(load<std::uint32_t>(sector, 48));
  return label;
}

std::string key_prefix(const Label& label) {
  return fmt::format("v{}.{:016x}{:016x} ", label.tag, label.nonce_high, label.nonce_low);
}

Result<std::optional<Label>> find_label(block::Device& disk) {
  if (disk.size_bytes() < label_bytes + store_head_bytes) {
    return std::optional<Label>();
  }
  const auto copies = read_copies(disk);
  if (!copies) {
    return tl::unexpected(copies.error());
  }
  const auto& newest = copies->newest();
  if (!newest && !copies->traces) {
    return std::optional<Label>();
  }
  std::string why = newest ? "" : "is damaged";
  if (newest && newest->version != label_version) {
    why = fmt::format("is of version {}; this build knows {}", newest->version, label_version);
  } else if (newest && newest->state != Label::State::ready) {
    why = "says that a clear was cut short";
  }
  return why.empty() ? Result<std::optional<Label>>(newest)
                     : fail(Trouble::invalid,
                            fmt::format("the disk's label {}: the next start clears it", why));
}

Result<LabelOpening> open_label(block::Device& disk,
                                VolumeTag tag,
                                const std::vector<std::string>& facts,
                                std::uint64_t seed) {
  if (disk.size_bytes() < label_bytes + store_head_bytes) {
    return fail(Trouble::invalid, "the disk is too small for a label and a store");
  }
  const auto copies = read_copies(disk);
  if (!copies) {
    return tl::unexpected(copies.error());
  }
  const std::uint64_t facts_hash = hash_of(facts);
  LabelOpening opening;
  opening.gate = refusal(*copies, tag, facts_hash);
  if (!opening.gate) {
    opening.label = *copies->newest();
    return opening;
  }
  Label label;
  // Serials are of this version only as long as the label is; a foreign one may not outrun ours.
  label.serial = copies->newest() ? copies->newest()->serial + 1 : 0;
  label.nonce_low = mix(seed, copies->content_hash);
  label.nonce_high = mix(label.nonce_low, seed);
  label.facts_hash = facts_hash;
  label.tag = tag;
  Status done = write_label(disk, label);
  done = done ? clear_head(disk) : done;
  label.state = Label::State::ready;
  ++label.serial;
  done = done ? write_label(disk, label) : done;
  opening.label = label;
  return done ? Result<LabelOpening>(opening) : tl::unexpected(done.error());
}

}  // namespace engine::volumes
