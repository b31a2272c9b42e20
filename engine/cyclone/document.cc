#include "engine/cyclone/document.h"

#include <xxhash.h>

#include <algorithm>

#include "engine/alternate.h"
#include "engine/cyclone/fields.h"
#include "engine/cyclone/image.h"

namespace engine::cyclone {
namespace {

constexpr std::size_t at_checksum = 120;
constexpr std::uint32_t vector_fixed_bytes = 8, alternate_fixed_bytes = 40;
constexpr std::size_t at_object_name_bytes = 0, at_count = 2, at_zero = 4;
constexpr std::size_t at_name_bytes = 0, at_resident = 2, at_order = 4, at_header_bytes = 8,
                      at_fragment = 12, at_earliest = 16, at_object_bytes = 32;

std::uint64_t checksum_of(std::span<const std::byte> bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}

void store_key(std::span<std::byte> into, std::size_t at, const Key& key) {
  store(into, at, key.low());
  store(into, at + 8, key.high());
}

Key load_key(std::span<const std::byte> from, std::size_t at) {
  return make_key(load<std::uint64_t>(from, at), load<std::uint64_t>(from, at + 8));
}

void append(std::string_view text, std::span<std::byte>& into) {
  const auto bytes = std::as_bytes(std::span(text));
  std::copy(bytes.begin(), bytes.end(), into.begin());
  into = into.subspan(bytes.size());
}

/// The first `size` characters of what is left; false where that is not so much.
bool take(std::size_t size, std::string_view& text, std::string_view& rest) {
  const bool there = size <= rest.size();
  text = rest.substr(0, size);
  rest.remove_prefix(text.size());
  return there;
}

void encode_alternate(const Alternate& alternate, std::span<std::byte> fixed) {
  store(fixed, at_name_bytes, static_cast<std::uint16_t>(alternate.name.size()));
  store(fixed, at_resident, static_cast<std::uint16_t>(alternate.resident ? 1 : 0));
  store(fixed, at_order, alternate.order);
  store(fixed, at_header_bytes, static_cast<std::uint32_t>(alternate.header.size()));
  store(fixed, at_fragment, alternate.fragment_content_bytes);
  store_key(fixed, at_earliest, alternate.earliest);
  store(fixed, at_object_bytes, alternate.object_bytes);
}

/// `texts`: what is left of the vector's texts. False where it is not an alternate of `object`.
bool decode_alternate(std::span<const std::byte> fixed,
                      std::string_view object,
                      std::string_view& texts,
                      Alternate& alternate) {
  const auto resident = load<std::uint16_t>(fixed, at_resident);
  alternate.resident = resident != 0;
  alternate.order = load<std::uint32_t>(fixed, at_order);
  alternate.fragment_content_bytes = load<std::uint32_t>(fixed, at_fragment);
  alternate.earliest = load_key(fixed, at_earliest);
  alternate.object_bytes = load<std::uint64_t>(fixed, at_object_bytes);
  return resident <= 1 && alternate.resident == (alternate.fragment_content_bytes == 0) &&
         take(load<std::uint16_t>(fixed, at_name_bytes), alternate.name, texts) &&
         take(load<std::uint32_t>(fixed, at_header_bytes), alternate.header, texts) &&
         (alternate.name.empty() || alternate.name.front() == alternate_separator) &&
         object.size() + alternate.name.size() <= name_bytes_max;
}

}  // namespace

Key key_of(std::string_view name) {
  const XXH128_hash_t hash = XXH3_128bits(name.data(), name.size());
  return make_key(hash.low64, hash.high64);
}

std::uint64_t encode_document(const DocumentHeader& header, std::span<std::byte> into) {
  const auto bytes = into.first(document_header_bytes);
  std::fill(bytes.begin(), bytes.end(), std::byte{0});
  store(bytes, 0, document_magic);
  store(bytes, 4, header.length);
  store(bytes, 8, header.object_bytes);
  store_key(bytes, 16, header.first_key);
  store_key(bytes, 32, header.key);
  store(bytes, 48, header.meta_bytes);
  store(bytes, 52, static_cast<std::uint8_t>(header.kind));
  store(bytes, 53, static_cast<std::uint8_t>(version_major));
  store(bytes, 54, static_cast<std::uint8_t>(version_minor));
  store(bytes, 55, static_cast<std::uint8_t>(header.pinned ? 1 : 0));
  store(bytes, 56, header.serial);
  store(bytes, 64, header.link);
  store(bytes, 72, header.nonce);
  store(bytes, 80, header.sync_serial);
  store(bytes, 88, header.body_offset);
  store(bytes, 96, header.moved_from);
  store(bytes, 104, header.content_checksum);
  const std::uint64_t checksum = checksum_of(bytes.first(at_checksum));
  store(bytes, at_checksum, checksum);
  return checksum;
}

DecodedDocument decode_document(std::span<const std::byte> from) {
  const auto bytes = from.first(document_header_bytes);
  DecodedDocument document;
  document.magic_ok = load<std::uint32_t>(bytes, 0) == document_magic &&
                      load<std::uint8_t>(bytes, 53) == version_major;
  document.checksum = load<std::uint64_t>(bytes, at_checksum);
  document.checksum_ok =
      document.magic_ok && document.checksum == checksum_of(bytes.first(at_checksum));
  DocumentHeader& header = document.header;
  header.length = load<std::uint32_t>(bytes, 4);
  header.object_bytes = load<std::uint64_t>(bytes, 8);
  header.first_key = load_key(bytes, 16);
  header.key = load_key(bytes, 32);
  header.meta_bytes = load<std::uint32_t>(bytes, 48);
  header.kind = static_cast<DocumentKind>(load<std::uint8_t>(bytes, 52));
  header.serial = load<std::uint64_t>(bytes, 56);
  header.link = load<std::uint64_t>(bytes, 64);
  header.nonce = load<std::uint64_t>(bytes, 72);
  header.sync_serial = load<std::uint64_t>(bytes, 80);
  header.body_offset = load<std::uint64_t>(bytes, 88);
  header.pinned = load<std::uint8_t>(bytes, 55) != 0;
  header.moved_from = load<std::uint64_t>(bytes, 96);
  header.content_checksum = load<std::uint64_t>(bytes, 104);
  return document;
}

bool lengths_possible(const DocumentHeader& header, const StripeGeometry& geometry) {
  return header.kind >= DocumentKind::head && header.kind <= DocumentKind::purge_all &&
         header.length >= document_header_bytes && header.length <= geometry.fragment_bytes &&
         header.meta_bytes <= header.length - document_header_bytes;
}

std::uint64_t rounded_length(std::uint64_t length, const StripeGeometry& geometry) {
  return round_up(length, geometry.sector_bytes);
}

std::uint64_t content_checksum(std::span<const std::byte> content) {
  return checksum_of(content);
}

const Alternate* Vector::find(std::string_view name) const {
  const auto known = all();
  const auto at = std::find_if(
      known.begin(), known.end(), [name](const Alternate& each) { return each.name == name; });
  return at == known.end() ? nullptr : &*at;
}

std::uint32_t vector_bytes(const Vector& vector) {
  std::size_t bytes = vector_fixed_bytes + vector.object.size();
  for (const Alternate& each : vector.all()) {
    bytes += alternate_fixed_bytes + each.name.size() + each.header.size();
  }
  return static_cast<std::uint32_t>(bytes);
}

void encode_vector(const Vector& vector, std::span<std::byte> into) {
  const auto fixed = into.first(vector_fixed_bytes + vector.count * alternate_fixed_bytes);
  std::fill(fixed.begin(), fixed.end(), std::byte{0});
  store(fixed, at_object_name_bytes, static_cast<std::uint16_t>(vector.object.size()));
  store(fixed, at_count, static_cast<std::uint16_t>(vector.count));
  auto texts = into.subspan(fixed.size());
  append(vector.object, texts);
  for (std::size_t n = 0; n < vector.count; ++n) {
    const Alternate& each = vector.alternates.at(n);
    encode_alternate(each, fixed.subspan(vector_fixed_bytes + n * alternate_fixed_bytes));
    append(each.name, texts);
    append(each.header, texts);
  }
}

bool decode_vector(std::span<const std::byte> from, Vector& vector) {
  vector.count = 0;
  if (from.size() < vector_fixed_bytes || load<std::uint32_t>(from, at_zero) != 0) {
    return false;
  }
  const std::size_t count = load<std::uint16_t>(from, at_count);
  const std::size_t fixed_bytes = vector_fixed_bytes + count * alternate_fixed_bytes;
  if (count == 0 || count > alternates_max || from.size() < fixed_bytes) {
    return false;
  }
  const auto behind = from.subspan(fixed_bytes);
  std::string_view texts(reinterpret_cast<const char*>(behind.data()), behind.size());
  if (!take(load<std::uint16_t>(from, at_object_name_bytes), vector.object, texts)) {
    return false;
  }
  bool resident = false;
  for (; vector.count < count; ++vector.count) {
    Alternate& next = vector.alternates.at(vector.count);
    const auto fixed = from.subspan(vector_fixed_bytes + vector.count * alternate_fixed_bytes);
    if (!decode_alternate(fixed, vector.object, texts, next) || vector.find(next.name) != nullptr ||
        (resident && next.resident)) {
      return false;
    }
    resident = resident || next.resident;
  }
  return texts.empty() && alternate_of(vector.object).empty();
}

}  // namespace engine::cyclone
