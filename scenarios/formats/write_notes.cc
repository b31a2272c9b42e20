// How a log is told in the words of its target's format.
//
// Squid writes a slot at a time. A slot knows its key as a hash only, but the inode holds the URL,
// and inodes are written first; so hashes are learnt from them, and from the store the log began
// on. Versions of a key are counted as their inodes appear: Squid's own version is a time in
// seconds, the same for two puts in one second.
//
// Traffic Server writes documents in batches, one behind the other, and a batch may arrive in
// pieces; what a piece begins with may be the rest of a document of the piece before. Whose a
// document is, its bytes say: lines of a body, or the field X-Powercut in its metadata.
#include "scenarios/formats/write_notes.h"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string_view>

#include <fmt/format.h>

#include "scenarios/body.h"
#include "scenarios/formats/squid_rock.h"
#include "scenarios/formats/stripe_layout.h"
#include "scenarios/formats/trafficserver_cache.h"

namespace scenarios::formats {

namespace {

constexpr std::size_t parts_max = 4;

/// Reads writes in the order of the log.
class Reader {
 public:
  virtual ~Reader() = default;
  virtual WriteNote note(std::uint64_t offset_bytes, faultfs::ByteView data) = 0;

 protected:
  Reader() = default;
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;
};

std::string joined(const std::vector<std::string>& parts) {
  std::string text;
  for (std::size_t i = 0; i < std::min(parts.size(), parts_max); ++i) {
    text += (i == 0 ? "" : ", ") + parts[i];
  }
  return parts.size() > parts_max ? fmt::format("{}, {} more", text, parts.size() - parts_max)
                                  : text;
}

/// "k3" of "http://origin/k3"; the whole URL where it is no key of ours.
std::string name_of_url(const std::string& url) {
  const std::string last = url.substr(url.rfind('/') + 1);
  return parse_key(last) ? last : url;
}

class RockReader : public Reader {
 public:
  RockReader(const TargetConfig& config, const faultfs::Image& base)
      : geometry_(rock_geometry(config.disk_bytes, config.slot_bytes)) {
    for (const RockEntry& entry : decode_rock(base, config.slot_bytes).entries) {
      learn(entry.key, entry.url);
    }
  }

  WriteNote note(std::uint64_t offset_bytes, faultfs::ByteView data) override {
    if (offset_bytes < geometry_.offset_of(0)) {
      return {WriteRole::header, "header of the store"};
    }
    WriteNote note{WriteRole::data, {}};
    std::vector<std::string> parts;
    const std::uint64_t behind = offset_bytes - geometry_.offset_of(0);
    std::uint64_t number = (behind + geometry_.slot_bytes - 1) / geometry_.slot_bytes;
    for (; number < geometry_.slots; ++number) {
      const std::uint64_t begin = geometry_.offset_of(static_cast<std::uint32_t>(number));
      if (begin >= offset_bytes + data.size()) {
        break;
      }
      const RockSlot slot = decode_rock_slot(part(data, begin - offset_bytes, geometry_.slot_bytes),
                                             static_cast<std::uint32_t>(number),
                                             geometry_);
      parts.push_back(slot_text(slot));
      if (parts.size() == 1) {
        note.role = role_of(slot);
      }
    }
    note.text = joined(parts);
    return note;
  }

 private:
  struct Known {
    std::string name;
    std::uint32_t versions = 0;
  };

  void learn(const KeyHash& key, const std::string& url) {
    Known& known = keys_[key];
    known.name = url.empty() ? known.name : name_of_url(url);
    ++known.versions;
  }

  static WriteRole role_of(const RockSlot& slot) {
    if (slot.sane && slot.is_inode()) {
      return WriteRole::inode;
    }
    return slot.sane && slot.next == -1 ? WriteRole::last_slot : WriteRole::data;
  }

  std::string slot_text(const RockSlot& slot) {
    if (!slot.sane) {
      return fmt::format("slot {}, {}", slot.number, slot.empty ? "made empty" : "nonsense");
    }
    if (slot.is_inode()) {
      learn(slot.key, slot.url);
    }
    const auto known = keys_.find(slot.key);
    const bool named = known != keys_.end() && !known->second.name.empty();
    const std::string whose =
        named ? fmt::format("{} version {}", known->second.name, known->second.versions)
              : fmt::format("key {}", to_text(slot.key));
    const std::string_view what = slot.is_inode() ? "inode" : slot.next == -1 ? "last" : "middle";
    const std::string next = slot.next == -1 ? "" : fmt::format(", next {}", slot.next);
    return fmt::format("slot {}, {} of {}{}", slot.number, what, whose, next);
  }

  RockGeometry geometry_;
  std::map<KeyHash, Known> keys_;
};

class StripeReader : public Reader {
 public:
  StripeReader(const TargetConfig& config, const faultfs::Image& base)
      : layout_(stripe_layout(config.disk_bytes)) {
    const CacheImage image = decode_trafficserver(base);
    if (!image.stripes.empty()) {
      const DirectoryCopy* newest = image.stripes[0].newest();
      wrote_ = newest != nullptr && newest->header.write_at > layout_.data;
      sector_bytes_ = newest != nullptr ? newest->header.sector_bytes : sector_bytes_;
    }
  }

  WriteNote note(std::uint64_t offset_bytes, faultfs::ByteView data) override {
    if (offset_bytes < layout_.copy_a) {
      return {WriteRole::header, "span header"};
    }
    return offset_bytes < layout_.data ? directory(offset_bytes, data)
                                       : documents(offset_bytes, data);
  }

 private:
  WriteNote directory(std::uint64_t offset_bytes, faultfs::ByteView data) {
    const bool is_a = offset_bytes < layout_.copy_b;
    const std::uint64_t begin = is_a ? layout_.copy_a : layout_.copy_b;
    const std::uint64_t at = offset_bytes - begin;
    const std::uint64_t footer = layout_.copy_bytes - block_bytes;
    const std::string copy = fmt::format("directory copy {}", is_a ? 'A' : 'B');
    const StripeHeader header = decode_stripe_header(data);
    sector_bytes_ = header.is_one() ? header.sector_bytes : sector_bytes_;
    const std::string serial =
        header.is_one() ? fmt::format(", sync {}", header.sync_serial) : std::string();
    if (at == 0 && data.size() > block_bytes) {
      return {WriteRole::header, copy + serial + ", header and rows"};
    }
    if (at == 0 || at >= footer) {
      return {WriteRole::header,
              fmt::format("{}, {}{}", copy, at == 0 ? "header" : "footer", serial)};
    }
    // Disks of a harness have one segment; a larger directory is told by its rows.
    return {WriteRole::directory,
            fmt::format("{}, segment 0, rows {} to {}",
                        copy,
                        (at - block_bytes) / row_bytes,
                        (std::min(at + data.size(), footer) - block_bytes) / row_bytes)};
  }

  WriteNote documents(std::uint64_t offset_bytes, faultfs::ByteView data) {
    const bool wraps = offset_bytes == layout_.data && wrote_;
    wrote_ = true;
    std::vector<std::string> parts;
    std::uint64_t at = 0;
    if (offset_bytes == piece_end_ && open_end_ > offset_bytes) {
      parts.push_back("rest of " + open_);
      at = open_end_ - offset_bytes;
    }
    while (at < data.size()) {
      const auto document =
          decode_document(part(data, at, data.size()), offset_bytes + at, sector_bytes_);
      if (!document) {
        at += place_bytes;
        continue;
      }
      open_ = document_text(*document, part(data, at, document->length_bytes));
      open_end_ = document->at + document->stored_bytes;
      parts.push_back(open_);
      at += document->stored_bytes;
    }
    piece_end_ = offset_bytes + data.size();
    return {wraps ? WriteRole::after_wrap : WriteRole::data,
            (wraps ? "first after a wrap: " : "") + joined(parts)};
  }

  std::string document_text(const CacheDocument& document, faultfs::ByteView bytes) {
    std::uint32_t& count = fragments_[document.object];
    count = document.is_head() ? 0 : count + 1;
    std::string& name = names_[document.object];
    if (auto told = name_in(document, bytes)) {
      name = *told;
    }
    const std::string whose = name.empty() ? "object " + to_text(document.object) : name;
    return document.is_head() ? whose + " head" : fmt::format("{} fragment {}", whose, count);
  }

  /// The key that the bytes of a document name.
  static std::optional<std::string> name_in(const CacheDocument& document,
                                            faultfs::ByteView bytes) {
    const faultfs::ByteView metadata =
        part(bytes, document.body_at() - document.metadata_bytes, document.metadata_bytes);
    const void* begin = metadata.data();
    const std::string_view text(static_cast<const char*>(begin), metadata.size());
    constexpr std::string_view field_name = "X-Powercut: ";
    if (const std::size_t found = text.find(field_name); found != std::string_view::npos) {
      const std::size_t value = found + field_name.size();
      if (const auto id = parse_header(text.substr(value, text.find('\r', value) - value))) {
        return key_name(id->key);
      }
    }
    for (const Piece& piece : classify(part(bytes, document.body_at(), line_bytes))) {
      if (piece.kind == Piece::Kind::body || piece.kind == Piece::Kind::displaced) {
        return key_name(piece.key);
      }
    }
    return std::nullopt;
  }

  static constexpr std::uint64_t block_bytes = 8192, row_bytes = 10, place_bytes = 512;
  static constexpr std::uint64_t line_bytes = 256;  // enough to hold a whole line of a body

  StripeLayout layout_;
  std::uint32_t sector_bytes_ = 4096;
  bool wrote_ = false;  ///< there is data in the stripe
  std::uint64_t piece_end_ = 0, open_end_ = 0;
  std::string open_;  ///< the last document seen, and where it ends
  std::map<KeyHash, std::uint32_t> fragments_;
  std::map<KeyHash, std::string> names_;
};

std::unique_ptr<Reader> make_reader(const TargetConfig& config, const faultfs::Image& base) {
  if (config.target == "squid") {
    return std::make_unique<RockReader>(config, base);
  }
  if (config.target == "trafficserver") {
    return std::make_unique<StripeReader>(config, base);
  }
  return nullptr;
}

}  // namespace

std::vector<WriteNote> note_writes(const TargetConfig& config,
                                   const std::vector<faultfs::Image>& base,
                                   const faultfs::WriteLog& log) {
  std::vector<WriteNote> notes(log.size());
  const auto reader = base.empty() ? nullptr : make_reader(config, base.front());
  for (std::uint32_t number = 1; reader != nullptr && number <= log.size(); ++number) {
    const faultfs::LogEntry& entry = log.entry(number);
    if (entry.kind == faultfs::EntryKind::write && entry.disk == 0) {
      notes[number - 1] = reader->note(entry.offset_bytes, log.data(number));
    }
  }
  return notes;
}

std::vector<std::vector<std::uint32_t>> weighty_entries(const std::vector<WriteNote>& notes) {
  std::map<WriteRole, std::vector<std::uint32_t>> by_role;
  for (std::size_t index = 0; index < notes.size(); ++index) {
    const WriteRole role = notes[index].role;
    if (role != WriteRole::unknown && role != WriteRole::data) {
      by_role[role].push_back(static_cast<std::uint32_t>(index + 1));
    }
  }
  std::vector<std::vector<std::uint32_t>> groups;
  for (auto& [role, entries] : by_role) {
    groups.push_back(std::move(entries));
  }
  return groups;
}

}  // namespace scenarios::formats
