#include "runner/decode_command.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <nlohmann/json.hpp>
#include <ostream>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "faultfs/base/bytes.h"
#include "faultfs/image.h"
#include "scenarios/formats/squid_rock.h"
#include "scenarios/formats/trafficserver_cache.h"

namespace runner {
namespace {

namespace formats = scenarios::formats;
using nlohmann::json;

constexpr int usage = 2;
constexpr std::uint32_t slot_bytes_max = 1U << 20U;

int complain(const std::string& message, std::ostream& error) {
  error << "powercut: " << message << "\n";
  return usage;
}

json as_json(const formats::RockImage& image) {
  json entries = json::array();
  for (const auto& entry : image.entries) {
    entries.push_back({{"url", entry.url},
                       {"key", formats::to_text(entry.key)},
                       {"version", entry.version},
                       {"slots", entry.slots},
                       {"bytes", entry.bytes},
                       {"trouble", entry.trouble}});
  }
  json used = json::array();
  for (const auto& slot : image.used) {
    used.push_back({{"slot", slot.number},
                    {"offset", image.geometry.offset_of(slot.number)},
                    {"sane", slot.sane},
                    {"key", formats::to_text(slot.key)},
                    {"entry_bytes", slot.entry_bytes},
                    {"payload_bytes", slot.payload_bytes},
                    {"version", slot.version},
                    {"first", slot.first},
                    {"next", slot.next}});
  }
  return {{"format", "squid-rock"},
          {"slot_bytes", image.geometry.slot_bytes},
          {"slot_count", image.geometry.slots},
          {"entries", entries},
          {"used", used},
          {"loose", image.loose}};
}

void print(const formats::RockImage& image, std::ostream& out) {
  out << fmt::format("squid-rock: {} slots of {}, {} used, {} entries\n",
                     image.geometry.slots,
                     faultfs::size_text(image.geometry.slot_bytes),
                     image.used.size(),
                     image.entries.size());
  for (const auto& entry : image.entries) {
    out << fmt::format("  {}  version {}  {} bytes in slots {}{}\n",
                       entry.url.empty() ? formats::to_text(entry.key) : entry.url,
                       entry.version,
                       entry.bytes,
                       fmt::join(entry.slots, " "),
                       entry.trouble.empty() ? "" : "  -- " + entry.trouble);
  }
  if (image.loose.empty()) {
    return;
  }
  out << "  used slots that no chain reaches:\n";
  for (const auto& slot : image.used) {
    if (std::ranges::binary_search(image.loose, slot.number)) {
      out << fmt::format("    slot {}  key {}  {} bytes  first {}  next {}{}\n",
                         slot.number,
                         formats::to_text(slot.key),
                         slot.payload_bytes,
                         slot.first,
                         slot.next,
                         slot.sane ? "" : "  -- nonsense");
    }
  }
}

json as_json(const formats::StripeHeader& header) {
  return {{"valid", header.is_one()},
          {"version", fmt::format("{}.{}", header.version_major, header.version_minor)},
          {"write_at", header.write_at},
          {"last_write_at", header.last_write_at},
          {"phase", header.phase},
          {"cycle", header.cycle},
          {"sync_serial", header.sync_serial},
          {"write_serial", header.write_serial},
          {"sector_bytes", header.sector_bytes}};
}

json as_json(const formats::DirectoryCopy& copy) {
  return {{"offset", copy.at},
          {"bytes", copy.size_bytes},
          {"complete", copy.complete()},
          {"rows_used", copy.rows_used},
          {"header", as_json(copy.header)},
          {"footer", as_json(copy.footer)}};
}

json as_json(const formats::FoundDocument& found) {
  const auto& document = found.document;
  return {{"offset", document.at},
          {"bytes", document.length_bytes},
          {"stored_bytes", document.stored_bytes},
          {"object_bytes", document.total_bytes},
          {"object", formats::to_text(document.object)},
          {"key", formats::to_text(document.key)},
          {"head", document.is_head()},
          {"fragment", found.fragment},
          {"metadata_bytes", document.metadata_bytes},
          {"sync_serial", document.sync_serial},
          {"write_serial", document.write_serial},
          {"checksum", document.has_checksum},
          {"listed", found.listed}};
}

json as_json(const formats::CacheImage& image) {
  json stripes = json::array();
  for (const auto& stripe : image.stripes) {
    json documents = json::array();
    for (const auto& found : stripe.documents) {
      documents.push_back(as_json(found));
    }
    stripes.push_back({{"offset", stripe.at},
                       {"bytes", stripe.size_bytes},
                       {"data", stripe.data},
                       {"copies", {{"A", as_json(stripe.a)}, {"B", as_json(stripe.b)}}},
                       {"rows_to_nothing", stripe.rows_to_nothing},
                       {"documents", documents}});
  }
  return {{"format", "trafficserver"},
          {"span", image.is_span},
          {"stripes", stripes},
          {"trouble", image.trouble}};
}

std::string end_text(const formats::StripeHeader& header) {
  return header.is_one() ? fmt::format("sync {}", header.sync_serial) : "nothing";
}

void print(const char* name, const formats::DirectoryCopy& copy, std::ostream& out) {
  out << fmt::format("  directory copy {}  0x{:08x}  {}  header {}, footer {}: {}; {} rows used\n",
                     name,
                     copy.at,
                     faultfs::size_text(copy.size_bytes),
                     end_text(copy.header),
                     end_text(copy.footer),
                     copy.complete() ? "complete" : "torn",
                     copy.rows_used);
  if (copy.header.is_one()) {
    out << fmt::format("    next write 0x{:08x}, last one 0x{:08x}; phase {}, cycle {}, write {}\n",
                       copy.header.write_at,
                       copy.header.last_write_at,
                       copy.header.phase,
                       copy.header.cycle,
                       copy.header.write_serial);
  }
}

void print(const formats::CacheImage& image, std::ostream& out) {
  out << fmt::format("trafficserver: {}, {} stripes\n",
                     image.is_span ? "a span" : "no span",
                     image.stripes.size());
  for (const auto& stripe : image.stripes) {
    out << fmt::format("stripe 0x{:08x}  {}  documents from 0x{:08x}\n",
                       stripe.at,
                       faultfs::size_text(stripe.size_bytes),
                       stripe.data);
    print("A", stripe.a, out);
    print("B", stripe.b, out);
    for (const auto& [document, fragment, listed] : stripe.documents) {
      out << fmt::format("  0x{:08x}  {:>7}  object {}  {:<11}  sync {}, write {}{}{}\n",
                         document.at,
                         document.length_bytes,
                         formats::to_text(document.object),
                         document.is_head() ? "head" : fmt::format("fragment {}", fragment),
                         document.sync_serial,
                         document.write_serial,
                         document.has_checksum ? ", checksum" : "",
                         listed ? "" : "  (not in the directory)");
    }
    if (stripe.rows_to_nothing > 0) {
      out << fmt::format("  rows of the newest directory that name no document: {}\n",
                         stripe.rows_to_nothing);
    }
  }
  for (const auto& trouble : image.trouble) {
    out << "trouble: " << trouble << "\n";
  }
}

template <typename Image>
void tell(const Image& image, bool as_json_text, std::ostream& out) {
  if (as_json_text) {
    out << as_json(image).dump() << "\n";
  } else {
    print(image, out);
  }
}

}  // namespace

CLI::App* add_decode_command(CLI::App& app, DecodeOptions& options) {
  auto* command = app.add_subcommand("decode", "what an image of a cache's disk says of itself");
  command->add_option("--format", options.format, "squid-rock, trafficserver")->required();
  command->add_option("image", options.image, "a file: the whole disk, as the cache sees it")
      ->required();
  command->add_option("--slot", options.slot, "squid-rock: slot size")->capture_default_str();
  command->add_flag("--json", options.json, "one JSON value");
  command->footer(R"(
Examples
  powercut decode --format squid-rock /var/spool/squid/rock --slot 16K
  powercut decode --format trafficserver run/0001/case-0001/crash.img --json
Whatever the image holds is told; nothing in it is trusted.)");
  return command;
}

int decode(const DecodeOptions& options, std::ostream& out, std::ostream& error) {
  const bool rock = options.format == "squid-rock";
  if (!rock && options.format != "trafficserver") {
    return complain(
        fmt::format("--format {} is unknown; allowed: squid-rock, trafficserver", options.format),
        error);
  }
  const auto slot = faultfs::parse_size(options.slot);
  if (!slot || *slot < 1024 || *slot > slot_bytes_max) {
    return complain(
        slot ? fmt::format("--slot {} is not possible; allowed: from 1K to 1M", options.slot)
             : "--slot: " + slot.error().message,
        error);
  }
  const auto image = faultfs::Image::load(options.image);
  if (!image) {
    return complain(image.error().message, error);
  }
  if (rock) {
    tell(formats::decode_rock(*image, static_cast<std::uint32_t>(*slot)), options.json, out);
  } else {
    tell(formats::decode_trafficserver(*image), options.json, out);
  }
  return 0;
}

}  // namespace runner
