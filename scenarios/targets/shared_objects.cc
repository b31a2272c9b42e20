#include "scenarios/targets/shared_objects.h"

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <system_error>
#include <vector>

#include "faultfs/base/random.h"

namespace scenarios {
namespace {

namespace fs = std::filesystem;

constexpr const char* objects_directory = "/dev/shm";

std::vector<fs::path> objects_of(const std::string& prefix) {
  std::vector<fs::path> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(objects_directory, error)) {
    if (entry.path().filename().string().starts_with(prefix)) {
      found.push_back(entry.path());
    }
  }
  return found;
}

std::uint64_t hash_of(std::string_view word) {
  std::uint64_t hash = 1;
  for (const char letter : word) {
    hash = faultfs::mix(hash, static_cast<unsigned char>(letter));
  }
  return hash;
}

}  // namespace

void SharedObjects::order(std::string_view word) {
  if (word == "on" || word == "off") {
    on_ = word == "on";
  } else {
    ordered_ = word;
  }
}

void SharedObjects::life_ended() {
  const auto now = save();
  if (ordered_ == "lost") {
    remove_all();
  } else if (!ordered_.empty() && hash_of(ordered_) % 2 == 0) {
    restore(before_);
  } else if (!ordered_.empty()) {
    poke(ordered_);
  }
  ordered_.clear();
  before_ = now;
}

std::shared_ptr<const SharedState> SharedObjects::save() const {
  auto state = std::make_shared<SharedState>();
  for (const auto& object : objects_of(prefix_)) {
    std::ifstream file(object, std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    const auto bytes = std::as_bytes(std::span(text));
    state->objects[object.filename().string()] = {bytes.begin(), bytes.end()};
  }
  return state->objects.empty() ? nullptr : state;
}

void SharedObjects::restore(const std::shared_ptr<const SharedState>& state) {
  remove_all();
  if (!state) {
    return;
  }
  for (const auto& [name, bytes] : state->objects) {
    std::ofstream file(fs::path(objects_directory) / name, std::ios::binary);
    const void* raw = bytes.data();
    file.write(static_cast<const char*>(raw), static_cast<std::streamsize>(bytes.size()));
  }
}

void SharedObjects::remove_all() {
  std::error_code error;
  for (const auto& object : objects_of(prefix_)) {
    fs::remove(object, error);
  }
}

void SharedObjects::poke(std::string_view word) {
  const auto objects = objects_of(prefix_);
  if (objects.empty()) {
    return;
  }
  const std::uint64_t hash = hash_of(word);
  const fs::path& object = objects[hash / 2 % objects.size()];
  std::error_code error;
  const auto size_bytes = fs::file_size(object, error);
  if (error || size_bytes == 0) {
    return;
  }
  // The beginning is where the numbers are.
  constexpr std::uint64_t head_bytes = 512;
  const auto at = static_cast<std::streamoff>(hash / 64 % std::min(head_bytes, size_bytes));
  std::fstream file(object, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(at);
  const int byte = file.get();
  file.seekp(at);
  file.put(static_cast<char>(byte ^ 1));
}

}  // namespace scenarios
