#include "engine/restart/layout.h"

#include <xxhash.h>

#include <algorithm>
#include <bit>

#include <fmt/format.h>

namespace engine::restart {
namespace {

template <typename Field>
std::string field_fact(std::string_view name, Field Row::*field) {
  const Row row;
  const auto* const base = reinterpret_cast<const char*>(&row);
  const auto* const place = reinterpret_cast<const char*>(&(row.*field));
  return fmt::format("row {} at {}, {} bytes", name, place - base, sizeof(Field));
}

}  // namespace

std::string_view Row::name_text() const {
  const auto end = std::find(name.begin(), name.end(), '\0');
  return {name.data(), static_cast<std::size_t>(end - name.begin())};
}

void Row::set_name(std::string_view text) {
  name.fill('\0');
  std::copy_n(text.begin(), std::min(text.size(), name.size() - 1), name.begin());
}

std::uint64_t fnv_1a(std::string_view text, std::uint64_t hash) {
  for (const char c : text) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 0x100000001b3;
  }
  return hash;
}

std::vector<std::string> abi_facts(std::span<const std::string> format_facts) {
  std::vector<std::string> facts = {
      "powercut restart control segment",
      fmt::format("byte order {}", std::endian::native == std::endian::little ? "little" : "big"),
      fmt::format("control {} bytes, frozen {}, {} rows of {}, name {}",
                  sizeof(Control),
                  sizeof(Frozen),
                  row_count,
                  sizeof(Row),
                  name_field_bytes),
      field_fact("name", &Row::name),
      field_fact("image size", &Row::size_bytes),
      field_fact("identity hash", &Row::identity_hash),
      field_fact("untrusted", &Row::untrusted),
      field_fact("binding", &Row::binding),
      field_fact("image digest", &Row::image_digest),
      "identity hash: fnv-1a 64 of the stripe's identity text",
      "binding: nonce low, nonce high, life, sync serial, write serial, cursor in bytes, u64 each",
      "image digest: xxh3 64 of the whole image, seed 0, after the last store into it",
      "table digest: xxh3 64 of the rows below the high-water mark, seed 0",
      "clean mark: 1 after every image was sealed; 0 from the first store of a life",
      "image: one contiguous directory, header, entries, footer, as on the medium"};
  facts.insert(facts.end(), format_facts.begin(), format_facts.end());
  return facts;
}

std::uint64_t abi_hash(std::span<const std::string> format_facts) {
  std::uint64_t hash = fnv_1a("abi\n");
  for (const std::string& fact : abi_facts(format_facts)) {
    hash = fnv_1a("\n", fnv_1a(fact, hash));
  }
  return hash;
}

std::uint64_t storage_signature(std::span<const SpanFacts> spans) {
  std::uint64_t hash = fnv_1a("storage\n");
  for (const SpanFacts& span : spans) {
    hash = fnv_1a(fmt::format("{} blocks {} offset {} sector {}\n",
                              span.path,
                              span.blocks,
                              span.offset_bytes,
                              span.sector_bytes),
                  hash);
  }
  return hash;
}

std::uint64_t table_digest(const Control& control) {
  return XXH3_64bits(control.rows.data(), control.frozen.rows_used * sizeof(Row));
}

}  // namespace engine::restart
