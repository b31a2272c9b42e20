// The bytes and lengths of files, marks, cuts and power-ons of a tree; names are in tree.cc.

#include <cerrno>
#include <limits>

#include <fmt/format.h>

#include "faultfs/tree/tree.h"
#include "faultfs/tree/tree_faults.h"

namespace faultfs::tree {
namespace {

timespec now() {
  timespec time{};
  clock_gettime(CLOCK_REALTIME, &time);
  return time;
}

}  // namespace

const std::vector<TreePromise>& tree_promises() {
  static const std::vector<TreePromise> all = {
      {"ordered",
       true,
       false,
       "the last changes of names are lost; fsync of the directory keeps them"},
      {"journal", true, true, "as ordered, and fsync of a file keeps its names (ext4, xfs)"},
      {"loose", false, false, "any changes of names are lost, each object's in order"},
  };
  return all;
}

Result<TreeProfile> find_tree_profile(std::string_view device, std::string_view promise) {
  Result<DeviceProfile> data = find_profile(device);
  if (!data) {
    return fail(data.error().message);
  }
  if (data->misdirects) {
    return fail(fmt::format(
        "{} puts writes at another place of their disk, and a file is no disk; allowed for a tree: "
        "the other profiles",
        device));
  }
  std::string allowed;
  for (const TreePromise& known : tree_promises()) {
    if (known.name == promise) {
      return TreeProfile{*data, known.changes_in_order, known.file_sync_covers_names};
    }
    allowed += (allowed.empty() ? "" : ", ") + std::string(known.name);
  }
  return fail(fmt::format("\"{}\" is no promise about names; allowed: {}", promise, allowed));
}

/// The disk that stands for the bytes of `file` in the log.
DiskNumber Tree::disk_of(ObjectNumber file, int& error) {
  const auto place = disks_.find(file);
  if (place != disks_.end()) {
    return place->second;
  }
  if (disks_.size() > std::numeric_limits<DiskNumber>::max()) {
    error = ENOSPC;  // one log has no more disks: `power-on` begins another
    return 0;
  }
  const auto disk = static_cast<DiskNumber>(disks_.size());
  disks_.emplace(file, disk);
  enter_mark(to_text({.kind = ChangeKind::data, .object = file, .disk = disk}), {});
  return disk;
}

int Tree::write(std::uint64_t generation,
                ObjectNumber file,
                std::uint64_t offset_bytes,
                ByteView from) {
  const std::lock_guard lock(mutex_);
  Object* there = nullptr;
  int refused = find_file(generation, file, there);
  const std::uint64_t end = offset_bytes + from.size();
  if (refused == 0 && (end > file_bytes_max || end < offset_bytes)) {
    refused = EFBIG;
  }
  if (refused != 0 || from.empty()) {
    return refused;
  }
  TreeDeed deed;
  refused = take_up(generation, {RequestKind::write, {file}, {}, offset_bytes, from.size()}, deed);
  const DiskNumber disk = refused == 0 ? disk_of(file, refused) : DiskNumber{0};
  if (refused != 0) {
    return refused;
  }
  make_room(*there, end);
  enter_write(disk, offset_bytes, from, *there, deed);
  if (end > there->length_bytes) {
    add({.kind = ChangeKind::length, .object = file, .length_bytes = end});
  }
  there->changed = now();
  ++counters_.writes;
  counters_.written_bytes += from.size();
  return finish(deed);
}

int Tree::truncate(std::uint64_t generation, ObjectNumber file, std::uint64_t length_bytes) {
  const std::lock_guard lock(mutex_);
  Object* there = nullptr;
  int refused = find_file(generation, file, there);
  if (refused == 0 && length_bytes > file_bytes_max) {
    refused = EFBIG;
  }
  if (refused != 0 || there->length_bytes == length_bytes) {
    return refused;  // nothing to do is no request
  }
  TreeDeed deed;
  refused = take_up(generation, {RequestKind::truncate, {file}}, deed);
  const std::uint64_t before = there->length_bytes;
  const bool shrinks = length_bytes < before;
  const DiskNumber disk = refused == 0 && shrinks ? disk_of(file, refused) : DiskNumber{0};
  if (refused != 0) {
    return refused;
  }
  add({.kind = ChangeKind::length, .object = file, .length_bytes = length_bytes});
  if (shrinks) {
    enter_discard(disk, length_bytes, before - length_bytes, *there);
  }
  there->changed = now();
  return finish(deed);
}

int Tree::punch(std::uint64_t generation,
                ObjectNumber file,
                std::uint64_t offset_bytes,
                std::uint64_t size_bytes) {
  const std::lock_guard lock(mutex_);
  Object* there = nullptr;
  int refused = find_file(generation, file, there);
  if (refused != 0 || offset_bytes >= there->length_bytes || size_bytes == 0) {
    return refused;
  }
  const std::uint64_t size = std::min(size_bytes, there->length_bytes - offset_bytes);
  TreeDeed deed;
  refused = take_up(generation, {RequestKind::discard, {file}, {}, offset_bytes, size}, deed);
  const DiskNumber disk = refused == 0 ? disk_of(file, refused) : DiskNumber{0};
  if (refused != 0) {
    return refused;
  }
  enter_discard(disk, offset_bytes, size, *there);
  there->changed = now();
  ++counters_.writes;
  return finish(deed);
}

int Tree::sync(std::uint64_t generation, ObjectNumber object) {
  const std::lock_guard lock(mutex_);
  int refused = admit(generation);
  const Object* const there = state_.find(object);
  refused = refused == 0 && there == nullptr ? ENOENT : refused;
  const bool directory = there != nullptr && there->kind == ObjectKind::directory;
  TreeDeed deed;
  const auto asked = [&] {
    return TreeRequest{directory ? RequestKind::sync_directory : RequestKind::flush, {object}};
  };
  refused = refused != 0 ? refused : take_up(generation, asked(), deed);
  if (refused != 0) {
    return refused;
  }
  if (directory) {
    enter_mark(to_text({.kind = ChangeKind::sync, .object = object}), deed);
  } else {
    const DiskNumber disk = disk_of(object, refused);
    if (refused != 0) {
      return refused;
    }
    enter_flush(disk, deed);
  }
  ++counters_.flushes;
  return finish(deed);
}

void Tree::mark(std::string_view text) {
  const std::lock_guard lock(mutex_);
  if (is_cut_) {
    return;
  }
  enter_mark(text.starts_with(change_prefix) ? " " + std::string(text) : std::string(text), {});
  if (faults_) {
    faults_->mark(text);
  }
  if (cut_mark_ && text.find(*cut_mark_) != std::string_view::npos) {
    is_cut_ = true;
  }
}

std::uint64_t Tree::generation() const {
  const std::lock_guard lock(mutex_);
  return generation_;
}

void Tree::cut_now() {
  const std::lock_guard lock(mutex_);
  is_cut_ = true;
}

void Tree::cut_at_request(std::uint64_t n) {
  const std::lock_guard lock(mutex_);
  requests_until_cut_ = n;
}

void Tree::cut_at_mark(std::string text) {
  const std::lock_guard lock(mutex_);
  cut_mark_ = std::move(text);
}

void Tree::disarm() {
  const std::lock_guard lock(mutex_);
  requests_until_cut_ = 0;
  cut_mark_.reset();
}

bool Tree::is_cut() const {
  const std::lock_guard lock(mutex_);
  return is_cut_;
}

void Tree::power_on(TreeState tree) {
  const std::lock_guard lock(mutex_);
  for (auto& [number, object] : tree.objects) {
    if (const Object* const before = state_.find(number); before != nullptr) {
      object.mode = before->mode;
      object.user = before->user;
      object.group = before->group;
      object.changed = before->changed;
    }
  }
  tree.next = std::max(tree.next, state_.next);
  base_ = tree;
  state_ = std::move(tree);
  log_.clear();
  asked_.clear();
  changes_.clear();
  disks_.clear();
  requests_until_cut_ = 0;
  cut_mark_.reset();
  is_cut_ = false;
  ++generation_;
}

TreeState Tree::snapshot() const {
  const std::lock_guard lock(mutex_);
  TreeState seen = state_;
  drop_unreachable(seen);
  return seen;
}

Recording Tree::recording() const {
  const std::lock_guard lock(mutex_);
  return {base_, log_, profile_};
}

std::uint32_t Tree::log_size() const {
  const std::lock_guard lock(mutex_);
  return log_.size();
}

TreeCounters Tree::counters() const {
  const std::lock_guard lock(mutex_);
  return counters_;
}

}  // namespace faultfs::tree
