#include "engine/cyclone/document.h"

#include <xxhash.h>

#include <algorithm>

#include "engine/cyclone/fields.h"
#include "engine/cyclone/image.h"

namespace engine::cyclone {
namespace {

constexpr std::size_t at_checksum = 120;
constexpr std::uint32_t vector_fixed_bytes = 40;
constexpr std::size_t at_name_bytes = 0, at_resident = 2, at_order = 4, at_header_bytes = 8,
                      at_fragment = 12, at_earliest = 16;

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
  return header.length >= document_header_bytes && header.length <= geometry.fragment_bytes &&
         header.meta_bytes <= header.length - document_header_bytes;
}

std::uint64_t rounded_length(std::uint64_t length, const StripeGeometry& geometry) {
  return round_up(length, geometry.sector_bytes);
}

std::uint64_t content_checksum(std::span<const std::byte> content) {
  return checksum_of(content);
}

std::uint32_t vector_bytes(const Vector& vector) {
  return static_cast<std::uint32_t>(vector_fixed_bytes + vector.name.size() + vector.header.size());
}

void encode_vector(const Vector& vector, std::span<std::byte> into) {
  const auto fixed = into.first(vector_fixed_bytes);
  std::fill(fixed.begin(), fixed.end(), std::byte{0});
  store(fixed, at_name_bytes, static_cast<std::uint16_t>(vector.name.size()));
  store(fixed, at_resident, static_cast<std::uint16_t>(vector.resident ? 1 : 0));
  store(fixed, at_order, vector.order);
  store(fixed, at_header_bytes, static_cast<std::uint32_t>(vector.header.size()));
  store(fixed, at_fragment, vector.fragment_content_bytes);
  store_key(fixed, at_earliest, vector.earliest);
  const auto name = std::as_bytes(std::span(vector.name));
  const auto header = std::as_bytes(std::span(vector.header));
  std::copy(name.begin(), name.end(), into.begin() + vector_fixed_bytes);
  std::copy(header.begin(),
            header.end(),
            into.begin() + static_cast<std::ptrdiff_t>(vector_fixed_bytes + name.size()));
}

bool decode_vector(std::span<const std::byte> from, Vector& vector) {
  if (from.size() < vector_fixed_bytes) {
    return false;
  }
  const std::size_t name_bytes = load<std::uint16_t>(from, at_name_bytes);
  const std::size_t header_bytes = load<std::uint32_t>(from, at_header_bytes);
  if (name_bytes > name_bytes_max ||
      name_bytes + header_bytes != from.size() - vector_fixed_bytes) {
    return false;
  }
  const char* text = reinterpret_cast<const char*>(from.data()) + vector_fixed_bytes;
  vector.name = std::string_view(text, name_bytes);
  vector.header = std::string_view(text + name_bytes, header_bytes);
  vector.resident = load<std::uint16_t>(from, at_resident) != 0;
  vector.order = load<std::uint32_t>(from, at_order);
  vector.fragment_content_bytes = load<std::uint32_t>(from, at_fragment);
  vector.earliest = load_key(from, at_earliest);
  return true;
}

}  // namespace engine::cyclone
