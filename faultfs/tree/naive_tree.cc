#include "faultfs/tree/naive_tree.h"

#include <algorithm>

#include "faultfs/naive_model.h"

namespace faultfs::tree::naive {
namespace {

constexpr std::uint64_t room_bytes = 8 * 1024;

bool is_names(const Change& change) {
  return change.object != 0 && change.renames();
}

bool is_length(const Change& change) {
  return change.object != 0 && change.kind == ChangeKind::length;
}

/// The places a change touches.
std::vector<std::pair<ObjectNumber, std::string>> names_of(const Change& change) {
  std::vector<std::pair<ObjectNumber, std::string>> names = {{change.directory, change.name}};
  if (change.kind == ChangeKind::rename) {
    names.emplace_back(change.to_directory, change.to_name);
  }
  return names;
}

std::vector<ObjectNumber> objects_of(const Change& change) {
  std::vector<ObjectNumber> objects = {change.object};
  if (change.replaced != 0) {
    objects.push_back(change.replaced);
  }
  return objects;
}

template <typename T>
bool share(const std::vector<T>& some, const std::vector<T>& others) {
  return std::any_of(some.begin(), some.end(), [&](const T& one) {
    return std::find(others.begin(), others.end(), one) != others.end();
  });
}

const Fate* fate_of(const CrashPlan& plan, std::uint32_t number) {
  for (const Fate& fate : plan.fates) {
    if (fate.write == number) {
      return &fate;
    }
  }
  return nullptr;
}

bool lost(const CrashPlan& plan, std::uint32_t number) {
  const Fate* fate = fate_of(plan, number);
  return fate != nullptr && fate->kind == FateKind::lost;
}

}  // namespace

Model::Model(const Recording& recording)
    : recording_(recording), changes_(recording.log.size() + 1, Change{.kind = ChangeKind::sync}) {
  for (std::uint32_t number = 1; number <= recording.log.size(); ++number) {
    const auto change = parse_change(recording.log.mark_text(number));
    if (change) {
      changes_[number] = *change;
    }
    if (change && change->kind == ChangeKind::data) {
      files_.push_back(change->object);
    }
  }
}

ObjectNumber Model::file_of(std::uint32_t number) const {
  return files_.at(recording_.log.entry(number).disk);
}

/// The directories on the way from the root to `directory`, as a program saw them before an entry.
std::vector<ObjectNumber> Model::above(ObjectNumber directory, std::uint32_t before) const {
  std::map<ObjectNumber, ObjectNumber> parent;
  for (const auto& [number, object] : recording_.base.objects) {
    for (const auto& [name, below] : object.entries) {
      parent[below] = number;
    }
  }
  for (std::uint32_t number = 1; number < before; ++number) {
    const Change& change = changes_[number];
    if (change.kind == ChangeKind::mkdir) {
      parent[change.object] = change.directory;
    } else if (change.kind == ChangeKind::rename) {
      parent[change.object] = change.to_directory;
    }
  }
  std::vector<ObjectNumber> way;
  for (; directory != root_object; directory = parent.at(directory)) {
    way.push_back(directory);
  }
  return way;
}

bool Model::needs(std::uint32_t later, std::uint32_t earlier) const {
  const Change& change = changes_[later];
  const Change& before = changes_[earlier];
  if (earlier >= later || !is_names(change) || !is_names(before)) {
    return false;
  }
  if (recording_.profile.changes_in_order || share(names_of(change), names_of(before)) ||
      share(objects_of(change), objects_of(before))) {
    return true;
  }
  const ObjectNumber removed = change.kind == ChangeKind::rmdir ? change.object : change.replaced;
  if (removed != 0 && (before.directory == removed || before.to_directory == removed)) {
    return true;
  }
  // Only a directory has something below it, so for files the way is asked in vain.
  bool directory = false;
  for (std::uint32_t number = 1; number < later; ++number) {
    directory = directory || (changes_[number].kind == ChangeKind::mkdir &&
                              changes_[number].object == change.object);
  }
  const Object* const base = recording_.base.find(change.object);
  directory = directory || (base != nullptr && base->kind == ObjectKind::directory);
  return change.kind == ChangeKind::rename && directory &&
         share(above(change.to_directory, later), objects_of(before));
}

/// The sync makes the change durable by its own promise.
bool Model::covers(std::uint32_t sync, std::uint32_t change) const {
  const Change& made = changes_[change];
  if (sync <= change || !recording_.profile.data.flush_honoured) {
    return false;
  }
  if (recording_.log.entry(sync).kind == EntryKind::flush) {
    const bool names = is_names(made) && recording_.profile.file_sync_covers_names;
    return made.object == file_of(sync) && (names || is_length(made));
  }
  const Change& synced = changes_[sync];
  const bool is_sync = synced.kind == ChangeKind::sync && synced.object != 0;
  return is_sync && is_names(made) &&
         (made.directory == synced.object || made.to_directory == synced.object);
}

bool Model::durable(std::uint32_t change, std::uint32_t completed) const {
  if (change > completed) {
    return false;
  }
  if (!recording_.profile.data.volatile_write_cache) {
    return true;
  }
  // Backwards: what needs a change comes after it.
  std::vector<bool> known(completed + 1);
  for (std::uint32_t number = completed; number >= change && number > 0; --number) {
    for (std::uint32_t other = number + 1; other <= completed; ++other) {
      const bool either = covers(other, number) || (known[other] && needs(other, number));
      // A sync covers what was there then, and so what that needs was there, too.
      known[number] = known[number] || either;
    }
  }
  return known[change];
}

std::uint64_t Model::length_before(std::uint32_t number) const {
  const ObjectNumber file = changes_[number].object;
  const Object* const base = recording_.base.find(file);
  std::uint64_t length = base == nullptr ? 0 : base->length_bytes;
  for (std::uint32_t earlier = 1; earlier < number; ++earlier) {
    if (is_length(changes_[earlier]) && changes_[earlier].object == file) {
      length = changes_[earlier].length_bytes;
    }
  }
  return length;
}

bool Model::legal_change(const CrashPlan& plan, std::uint32_t number) const {
  const std::uint32_t completed = plan.point.inside ? plan.point.entry - 1 : plan.point.entry;
  const Fate* const fate = fate_of(plan, number);
  for (std::uint32_t earlier = 1; earlier < number; ++earlier) {
    if (needs(number, earlier) && lost(plan, earlier) && !lost(plan, number)) {
      return false;
    }
  }
  if (fate == nullptr || fate->kind == FateKind::kept) {
    return true;
  }
  if (durable(number, completed) || (plan.point.kind == CutKind::kill && number <= completed)) {
    return false;
  }
  if (fate->kind == FateKind::lost) {
    return true;
  }
  const std::uint64_t sector = recording_.profile.data.sector_bytes;
  bool first = is_length(changes_[number]) && fate->kind == FateKind::torn &&
               !fate->sectors.empty() && fate->tear_bytes == 0;
  for (std::size_t at = 0; at < fate->sectors.size(); ++at) {
    first = first && fate->sectors[at] == at;
  }
  return first && (length_before(number) / sector + fate->sectors.size()) * sector <
                      changes_[number].length_bytes;
}

namespace {

faultfs::naive::Model disks_of(const Recording& recording, const std::vector<ObjectNumber>& files) {
  faultfs::naive::Model disks;
  for (const ObjectNumber file : files) {
    Bytes bytes(room_bytes);
    const std::string content = recording.base.content(file);
    std::transform(content.begin(), content.end(), bytes.begin(), [](char letter) {
      return static_cast<std::byte>(letter);
    });
    disks.base.push_back(std::move(bytes));
  }
  disks.log = recording.log;
  disks.profile = recording.profile.data;
  return disks;
}

/// A truncation is a length and the discard behind it.
bool is_truncation(const Recording& recording,
                   const std::vector<Change>& changes,
                   std::uint32_t n) {
  return n < recording.log.size() && is_length(changes[n]) &&
         recording.log.entry(n + 1).kind == EntryKind::discard &&
         recording.log.entry(n + 1).offset_bytes == changes[n].length_bytes;
}

/// The fates of bytes, where a truncation's is that of its discard.
CrashPlan bytes_of(const CrashPlan& plan,
                   const Recording& recording,
                   const std::vector<Change>& changes,
                   const faultfs::naive::Model& disks) {
  CrashPlan data;
  data.point = plan.point;
  for (const Fate& fate : plan.fates) {
    const bool truncates =
        is_truncation(recording, changes, fate.write) && fate.write + 1 <= plan.point.entry;
    if (changes[fate.write].object == 0) {
      data.fates.push_back(fate);
    } else if (truncates && fate.kind == FateKind::lost && disks.open(fate.write + 1, plan.point)) {
      data.fates.push_back({.write = fate.write + 1, .kind = FateKind::lost});
    }
  }
  return data;
}

}  // namespace

bool Model::legal(const CrashPlan& plan) const {
  if (plan.point.entry > recording_.log.size() || (plan.point.inside && plan.point.entry == 0)) {
    return false;
  }
  for (const Fate& fate : plan.fates) {
    const bool there = fate.write > 0 && fate.write <= plan.point.entry;
    const Change none{.kind = ChangeKind::sync};
    const Change& change = there ? changes_[fate.write] : none;
    const bool shares = there && fate.write > 1 &&
                        recording_.log.entry(fate.write).kind == EntryKind::discard &&
                        is_truncation(recording_, changes_, fate.write - 1);
    if (!there || shares || (change.object != 0 && !change.has_fate())) {
      return false;
    }
  }
  for (std::uint32_t number = 1; number <= plan.point.entry; ++number) {
    if ((is_names(changes_[number]) || is_length(changes_[number])) &&
        !legal_change(plan, number)) {
      return false;
    }
  }
  const faultfs::naive::Model disks = disks_of(recording_, files_);
  return disks.legal(bytes_of(plan, recording_, changes_, disks));
}

std::map<std::string, std::string> Model::build(const CrashPlan& plan) const {
  const faultfs::naive::Model disks = disks_of(recording_, files_);
  const std::vector<Bytes> bytes = disks.build(bytes_of(plan, recording_, changes_, disks));
  // Names as triples; what an object is, by number.
  std::map<std::pair<ObjectNumber, std::string>, ObjectNumber> names;
  std::map<ObjectNumber, std::string> what;
  std::map<ObjectNumber, std::uint64_t> length;
  for (const auto& [number, object] : recording_.base.objects) {
    for (const auto& [name, below] : object.entries) {
      names[{number, name}] = below;
    }
    what[number] = object.kind == ObjectKind::symlink     ? "symlink " + object.target
                   : object.kind == ObjectKind::directory ? "directory"
                                                          : "file";
    length[number] = object.length_bytes;
  }
  for (std::uint32_t number = 1; number <= plan.point.entry; ++number) {
    const Change& change = changes_[number];
    const Fate* const fate = fate_of(plan, number);
    if (lost(plan, number) || change.object == 0) {
      continue;
    }
    if (is_length(change)) {
      const std::uint64_t sector = recording_.profile.data.sector_bytes;
      const bool torn = fate != nullptr && fate->kind == FateKind::torn;
      length[change.object] = torn
                                  ? (length_before(number) / sector + fate->sectors.size()) * sector
                                  : change.length_bytes;
    } else if (is_names(change)) {
      const bool removes = change.kind == ChangeKind::unlink || change.kind == ChangeKind::rmdir;
      const bool moves = change.kind == ChangeKind::rename;
      if (removes || moves) {
        names.erase({change.directory, change.name});
      }
      if (!removes) {
        names[names_of(change).back()] = change.object;
      }
      if (change.kind <= ChangeKind::symlink) {
        what[change.object] = change.kind == ChangeKind::symlink ? "symlink " + change.target
                              : change.kind == ChangeKind::mkdir ? "directory"
                                                                 : "file";
      }
    }
  }
  std::map<std::string, std::string> tree;
  std::map<ObjectNumber, std::string> reached = {{root_object, ""}};
  for (bool more = true; more;) {  // until a round finds nothing new
    more = false;
    for (const auto& [place, object] : names) {
      const auto directory = reached.find(place.first);
      if (directory == reached.end()) {
        continue;
      }
      const std::string path =
          directory->second + (directory->second.empty() ? "" : "/") + place.second;
      if (what.at(object) == "directory") {
        more = reached.emplace(object, path).second || more;
        tree[path] = "directory";
        continue;
      }
      std::string text = what.at(object);
      if (text == "file") {
        const auto disk = std::find(files_.begin(), files_.end(), object);
        std::string content(length[object], '\0');
        const std::string old = recording_.base.content(object);
        std::copy_n(old.begin(), std::min(old.size(), content.size()), content.begin());
        for (std::size_t at = 0; disk != files_.end() && at < content.size(); ++at) {
          content[at] =
              static_cast<char>(bytes[static_cast<std::size_t>(disk - files_.begin())].at(at));
        }
        text += " " + content;
      }
      tree[path] = text;
    }
  }
  return tree;
}

std::map<std::string, std::string> shown(const TreeState& tree) {
  std::map<std::string, std::string> found;
  for (const auto& [path, number] : tree.paths()) {
    const Object& object = *tree.find(number);
    found[path] = object.kind == ObjectKind::symlink     ? "symlink " + object.target
                  : object.kind == ObjectKind::directory ? "directory"
                                                         : "file " + tree.content(number);
  }
  return found;
}

}  // namespace faultfs::tree::naive
