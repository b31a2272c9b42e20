// recording.txt, one fact a line:
//
//     recording 1
//     profile   ssd_4k_volatile
//     disk      disk0 67108864

#include "faultfs/disk_recording.h"

#include <cerrno>
#include <cstring>
#include <fstream>

#include <fmt/format.h>

#include "faultfs/base/bytes.h"

namespace faultfs {

namespace {

std::filesystem::path base_file(const std::filesystem::path& directory, const DiskSpec& disk) {
  return directory / ("before-" + disk.name + ".img");
}

Status read_line(std::string_view line, DiskRecording& recording) {
  const std::vector<std::string_view> found = words(line);
  if (found.size() == 2 && found[0] == "profile") {
    Result<DeviceProfile> profile = find_profile(found[1]);
    if (!profile) {
      return tl::unexpected<Error>(profile.error());
    }
    recording.profile = *profile;
    return {};
  }
  Result<std::uint64_t> size = found.size() >= 3 ? parse_number(found.back()) : 0;
  if (found.size() < 3 || found[0] != "disk" || !size) {
    return fail(fmt::format("\"{}\" is not known; allowed: profile NAME, disk NAME BYTES", line));
  }
  // A name may hold blanks: all between the first word and the last.
  const auto begin = static_cast<std::size_t>(found[1].data() - line.data());
  const auto end = static_cast<std::size_t>(found[found.size() - 2].data() - line.data()) +
                   found[found.size() - 2].size();
  recording.disks.push_back({std::string(line.substr(begin, end - begin)), *size});
  return {};
}

Status read_facts(const std::filesystem::path& file, DiskRecording& recording) {
  std::ifstream stream(file);
  std::string line;
  if (!std::getline(stream, line) || line != "recording 1") {
    return fail(
        fmt::format("{} is no recording: its first line must be \"recording 1\"", file.string()));
  }
  while (std::getline(stream, line)) {
    if (Status read = read_line(line, recording); !read) {
      return fail(fmt::format("{}: {}", file.string(), read.error().message));
    }
  }
  // Creating a device checks what fits together.
  auto device = Device::create(recording.profile, recording.disks);
  return device ? Status() : fail(fmt::format("{}: {}", file.string(), device.error().message));
}

}  // namespace

Status save_recording(const DiskRecording& recording, const std::filesystem::path& directory) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  const std::filesystem::path file = directory / "recording.txt";
  std::ofstream facts(file, std::ios::trunc);
  facts << "recording 1\nprofile   " << recording.profile.name << "\n";
  for (std::size_t number = 0; number < recording.disks.size(); ++number) {
    const DiskSpec& disk = recording.disks[number];
    facts << fmt::format("disk      {} {}\n", disk.name, disk.size_bytes);
    const Image& base = recording.base[number];
    std::filesystem::remove(base_file(directory, disk), error);
    if (base.same_bytes(Image(base.size_bytes()))) {
      continue;
    }
    if (Status saved = base.save(base_file(directory, disk)); !saved) {
      return saved;
    }
  }
  facts.close();
  if (!facts) {
    return fail(fmt::format("cannot write {}: {}",
                            file.string(),
                            std::strerror(errno)));  // NOLINT(concurrency-mt-unsafe)
  }
  return recording.log.save(directory / "writes.log");
}

Result<DiskRecording> load_recording(const std::filesystem::path& directory) {
  DiskRecording recording;
  if (Status read = read_facts(directory / "recording.txt", recording); !read) {
    return tl::unexpected<Error>(read.error());
  }
  Result<WriteLog> log = WriteLog::load(directory / "writes.log");
  if (!log) {
    return tl::unexpected<Error>(log.error());
  }
  recording.log = std::move(*log);
  for (std::uint32_t number = 1; number <= recording.log.size(); ++number) {
    const LogEntry& entry = recording.log.entry(number);
    const bool disk_known = entry.kind == EntryKind::mark || entry.disk < recording.disks.size();
    const std::uint64_t size = disk_known && entry.kind != EntryKind::mark
                                   ? recording.disks[entry.disk].size_bytes
                                   : UINT64_MAX;
    if (!disk_known || entry.offset_bytes > size ||
        (entry.kind != EntryKind::mark && entry.size_bytes > size - entry.offset_bytes)) {
      return fail(fmt::format("{}: {} lies outside of the disks of recording.txt",
                              (directory / "writes.log").string(),
                              entry_name(number)));
    }
  }
  for (const DiskSpec& disk : recording.disks) {
    const std::filesystem::path file = base_file(directory, disk);
    std::error_code ignored;
    if (!std::filesystem::exists(file, ignored)) {
      recording.base.emplace_back(disk.size_bytes);
      continue;
    }
    Result<Image> image = Image::load(file);
    if (!image || image->size_bytes() != disk.size_bytes) {
      return fail(image ? fmt::format("{} has {} bytes, and disk {} has {}",
                                      file.string(),
                                      image->size_bytes(),
                                      disk.name,
                                      disk.size_bytes)
                        : image.error().message);
    }
    recording.base.push_back(std::move(*image));
  }
  return recording;
}

}  // namespace faultfs
