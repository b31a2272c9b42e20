#include "runner/recording_file.h"

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <system_error>

#include <fmt/format.h>

#include "faultfs/base/check.h"
#include "faultfs/profile.h"
#include "scenarios/command.h"

namespace runner {
namespace {

using faultfs::fail;
using nlohmann::json;

json to_json(const scenarios::Operation& operation) {
  static constexpr const char* kinds[] = {"put", "purge", "update", "sync", "clear"};
  return {{"number", operation.number},
          {"kind", kinds[static_cast<int>(operation.kind)]},
          {"key", operation.key},
          {"body_bytes", operation.body_bytes},
          {"header_bytes", operation.header_bytes},
          {"of_put", operation.of_put},
          {"segment", operation.segment},
          {"began", operation.began},
          {"ended", operation.ended},
          {"acknowledged", operation.acknowledged},
          {"aborted", operation.aborted},
          {"durable_at_cut", operation.durable_at_cut}};
}

scenarios::OperationKind parse_kind(const std::string& word) {
  if (word == "put") {
    return scenarios::OperationKind::put;
  }
  if (word == "purge") {
    return scenarios::OperationKind::purge;
  }
  if (word == "purge_all") {
    return scenarios::OperationKind::purge_all;
  }
  if (word == "update") {
    return scenarios::OperationKind::update;
  }
  return word == "clear" ? scenarios::OperationKind::clear : scenarios::OperationKind::sync;
}

scenarios::Operation operation_of(const json& line) {
  scenarios::Operation operation;
  operation.number = line.at("number");
  operation.kind = parse_kind(line.at("kind"));
  operation.key = line.at("key");
  operation.body_bytes = line.at("body_bytes");
  operation.header_bytes = line.at("header_bytes");
  operation.of_put = line.at("of_put");
  operation.segment = line.at("segment");
  operation.began = line.at("began");
  operation.ended = line.at("ended");
  operation.acknowledged = line.at("acknowledged");
  operation.aborted = line.at("aborted");
  operation.durable_at_cut = line.at("durable_at_cut");
  return operation;
}

faultfs::Result<std::string> read_text(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  if (!stream || !std::filesystem::is_regular_file(file)) {
    return fail(fmt::format("{} cannot be read; allowed: the file a run kept", file.string()));
  }
  return std::string((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>());
}

/// The pages of `image` that are not zero, as writes.
faultfs::WriteLog writes_of(const faultfs::Image& image) {
  faultfs::WriteLog log;
  faultfs::Bytes page(faultfs::Image::page_bytes);
  for (std::uint64_t at = 0; at < image.size_bytes(); at += page.size()) {
    page.resize(std::min(faultfs::Image::page_bytes, image.size_bytes() - at));
    image.read(at, page);
    if (std::ranges::any_of(page, [](std::byte byte) { return byte != std::byte{}; })) {
      log.add_write(0, at, page, false, log.size());
    }
  }
  return log;
}

/// The bodies of the puts of `history`, one behind the other: what a log holds besides them is
/// little, and they can be made again.
faultfs::Bytes bodies_of(const scenarios::History& history) {
  constexpr std::uint64_t bytes_max = 64 << 20;
  constexpr scenarios::PutNumber puts_max = 999'999;
  faultfs::Bytes bodies;
  for (const scenarios::Operation& operation : history.operations) {
    if (operation.kind == scenarios::OperationKind::put && operation.key <= scenarios::key_max &&
        operation.number <= puts_max && operation.body_bytes <= bytes_max - bodies.size()) {
      const faultfs::Bytes body =
          scenarios::make_body(operation.key, operation.number, operation.body_bytes);
      bodies.insert(bodies.end(), body.begin(), body.end());
    }
  }
  return bodies;
}

/// The disk of `disk_bytes` that the writes of a packed base make of a blank one.
faultfs::Result<faultfs::Image> unpacked(const std::filesystem::path& file,
                                         std::uint64_t disk_bytes,
                                         faultfs::ByteView known) {
  const auto log = faultfs::WriteLog::load(file, known);
  if (!log) {
    return fail(log.error().message);
  }
  faultfs::Image image(disk_bytes);
  for (std::uint32_t number = 1; number <= log->size(); ++number) {
    const faultfs::LogEntry& entry = log->entry(number);
    if (entry.kind != faultfs::EntryKind::write || entry.offset_bytes > disk_bytes ||
        entry.size_bytes > disk_bytes - entry.offset_bytes) {
      return fail(
          fmt::format("{} is no base image of a disk of {} bytes: its {} is no write inside it",
                      file.string(),
                      disk_bytes,
                      faultfs::entry_name(number)));
    }
    image.write(entry.offset_bytes, log->data(number));
  }
  return image;
}

faultfs::Result<faultfs::Image> load_base(const CaseFile& file,
                                          const std::filesystem::path& directory,
                                          faultfs::ByteView known) {
  if (!file.base_file) {
    return faultfs::Image(file.config.disk_bytes);
  }
  const auto path = directory / *file.base_file;
  if (path.extension() == ".log") {
    return unpacked(path, file.config.disk_bytes, known);
  }
  auto image = faultfs::Image::load(path);
  if (image && image->size_bytes() != file.config.disk_bytes) {
    return fail(fmt::format("{} holds {} bytes, but the plan's disk has {}",
                            path.string(),
                            image->size_bytes(),
                            file.config.disk_bytes));
  }
  return image;
}

}  // namespace

std::string history_text(const scenarios::History& history) {
  json cuts = json::array();
  for (const auto& segment : history.past) {
    cuts.push_back(faultfs::to_text(segment.cut));
  }
  std::string text = json{{"segments", history.segments},
                          {"cuts", cuts},
                          {"capacity_bytes", history.capacity_bytes},
                          {"unit_bytes", history.unit_bytes},
                          {"unit_overhead", history.unit_overhead}}
                         .dump() +
                     "\n";
  for (const auto& operation : history.operations) {
    text += to_json(operation).dump() + "\n";
  }
  return text;
}

// NOLINTNEXTLINE(readability-function-size): a field for each line, in the order of the file.
faultfs::Result<scenarios::History> parse_history(std::string_view text) {
  scenarios::History history;
  std::size_t number = 0;
  try {
    while (!text.empty()) {
      const std::size_t end = text.find('\n');
      const json line = json::parse(text.substr(0, end));
      text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
      if (++number > 1) {
        history.operations.push_back(operation_of(line));
        continue;
      }
      history.segments = line.at("segments");
      history.capacity_bytes = line.at("capacity_bytes");
      history.unit_bytes = line.at("unit_bytes");
      history.unit_overhead = line.at("unit_overhead");
      for (const auto& cut : line.at("cuts")) {
        auto plan = faultfs::parse_plan(cut.get<std::string>());
        if (!plan) {
          return fail(fmt::format("line 1: {}", plan.error().message));
        }
        history.past.push_back({*plan});
      }
    }
  } catch (const json::exception& error) {
    return fail(fmt::format("line {} is no operation: {}", number + 1, error.what()));
  }
  if (number == 0) {
    return fail("it is empty; the first line must be the store's geometry");
  }
  return history;
}

faultfs::Status write_text(const std::filesystem::path& file, std::string_view text) {
  std::ofstream stream(file, std::ios::binary | std::ios::trunc);
  stream << text;
  stream.close();
  if (!stream) {
    return fail(fmt::format(
        "{} cannot be written: {}", file.string(), std::generic_category().message(errno)));
  }
  return {};
}

faultfs::Status save_recording(const scenarios::Recording& recording,
                               const std::filesystem::path& directory) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (auto status = recording.log.save(directory / log_file_name); !status) {
    return status;
  }
  for (std::size_t number = 0; number < recording.base.size(); ++number) {
    const std::string name = image_name("before", number);
    if (auto status = recording.base[number].save(directory / name); !status) {
      return status;
    }
  }
  return write_text(directory / history_file_name, history_text(recording.history));
}

faultfs::Status pack_recording(const scenarios::Recording& recording,
                               const std::filesystem::path& directory,
                               CaseFile& file) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  file.log_file = log_file_name;
  file.history_file = history_file_name;
  // Only targets whose commands write another log each time are packed; none has several disks.
  POWERCUT_CHECK(recording.base.size() == 1, "{} disks", recording.base.size());
  const faultfs::Bytes known = bodies_of(recording.history);
  if (auto status = recording.log.save(directory / log_file_name, known); !status) {
    return status;
  }
  const faultfs::WriteLog base = writes_of(recording.base.at(0));
  file.base_file.reset();
  if (base.size() > 0) {
    file.base_file = packed_base_name;
    if (auto status = base.save(directory / packed_base_name, known); !status) {
      return status;
    }
  }
  return write_text(directory / history_file_name, history_text(recording.history));
}

faultfs::Result<scenarios::Recording> load_recording(const CaseFile& file,
                                                     const std::filesystem::path& directory) {
  if (!file.log_file || !file.history_file) {
    return fail("the plan names no kept recording (log and history lines)");
  }
  scenarios::Recording recording;
  recording.config = file.config;
  recording.seed = file.seed;
  recording.commands = file.commands;
  recording.faults = file.faults;
  auto profile = faultfs::find_profile(file.profile);
  if (!profile) {
    return fail(profile.error().message);
  }
  auto text = read_text(directory / *file.history_file);
  if (!text) {
    return fail(text.error().message);
  }
  auto history = parse_history(*text);
  if (!history) {
    return fail(
        fmt::format("{}: {}", (directory / *file.history_file).string(), history.error().message));
  }
  const faultfs::Bytes known = bodies_of(*history);
  auto log = faultfs::WriteLog::load(directory / *file.log_file, known);
  if (!log) {
    return fail(log.error().message);
  }
  auto base = load_base(file, directory, known);
  if (!base) {
    return fail(base.error().message);
  }
  recording.profile = *profile;
  recording.log = std::move(*log);
  recording.base = {std::move(*base)};
  recording.history = std::move(*history);
  return recording;
}

}  // namespace runner
