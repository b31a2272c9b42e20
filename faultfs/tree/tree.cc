// One mutex, held for the whole of a request, as in `Device`. A request is checked first, then the
// cut may fall on it, then it is entered in the log and carried out; so a request that POSIX
// refuses is no request at all. What one request enters:
//
//   a change of names     one mark (change.cc)
//   write                 one write; and where it makes the file longer, a `length` behind it
//   truncate              a `length`; and where bytes go away, a discard of them behind it
//   punch hole            one discard
//   fsync of a file       a flush of the disk that stands for its bytes
//   fsync of a directory  a `sync`
//
// A disk of the log stands for the bytes of one file, from its first write, punch or sync on; a
// `data` says which.

#include "faultfs/tree/tree.h"

#include <cerrno>
#include <ctime>

#include "faultfs/tree/tree_faults.h"

namespace faultfs::tree {
namespace {

constexpr std::size_t name_bytes_max = 255;

timespec now() {
  timespec time{};
  clock_gettime(CLOCK_REALTIME, &time);
  return time;
}

}  // namespace

Tree::Tree(TreeProfile profile, TreeState base)
    : profile_(std::move(profile)), base_(base), state_(std::move(base)) {}

Tree::~Tree() = default;

int Tree::admit(std::uint64_t generation) {
  if (generation != generation_) {
    ++counters_.refused_stale;
    return EIO;
  }
  if (is_cut_) {
    ++counters_.refused_after_cut;
    return EIO;
  }
  return 0;
}

/// The cut falls here when it was armed for this request.
int Tree::admit_change(std::uint64_t generation) {
  if (!is_cut_ && requests_until_cut_ > 0 && --requests_until_cut_ == 0) {
    is_cut_ = true;
  }
  return admit(generation);
}

int Tree::find_directory(ObjectNumber number, Object*& directory) {
  directory = state_.find(number);
  if (directory == nullptr) {
    return ENOENT;
  }
  return directory->kind == ObjectKind::directory ? 0 : ENOTDIR;
}

int Tree::find_file(std::uint64_t generation, ObjectNumber number, Object*& file) {
  if (const int refused = admit(generation); refused != 0) {
    return refused;
  }
  file = state_.find(number);
  if (file == nullptr) {
    return ENOENT;
  }
  return file->kind == ObjectKind::file ? 0 : file->kind == ObjectKind::directory ? EISDIR : EINVAL;
}

int Tree::find_entry(const Place& place, ObjectNumber& object) {
  Object* directory = nullptr;
  if (const int wrong = find_directory(place.directory, directory); wrong != 0) {
    return wrong;
  }
  const auto entry = directory->entries.find(place.name);
  if (entry == directory->entries.end()) {
    return place.name.size() > name_bytes_max ? ENAMETOOLONG : ENOENT;
  }
  object = entry->second;
  return 0;
}

/// Whether something new may be called so.
int Tree::check_free(const Place& place) {
  Object* directory = nullptr;
  if (const int wrong = find_directory(place.directory, directory); wrong != 0) {
    return wrong;
  }
  if (directory->entries.contains(place.name)) {
    return EEXIST;
  }
  if (place.name.size() > name_bytes_max) {
    return ENAMETOOLONG;
  }
  return directory->links == 0 ? ENOENT : 0;  // nothing is made in a directory that was removed
}

bool Tree::is_below(ObjectNumber directory, ObjectNumber above) const {
  for (ObjectNumber here = directory;; here = state_.find(here)->parent) {
    if (here == above || here == root_object) {
      return here == above;
    }
  }
}

int Tree::look_up(std::uint64_t generation, const Place& place, ObjectNumber& found) {
  const std::lock_guard lock(mutex_);
  const int refused = admit(generation);
  return refused != 0 ? refused : find_entry(place, found);
}

int Tree::attributes(std::uint64_t generation, ObjectNumber object, Object& found) {
  const std::lock_guard lock(mutex_);
  if (const int refused = admit(generation); refused != 0) {
    return refused;
  }
  const Object* const there = state_.find(object);
  if (there == nullptr) {
    return ENOENT;
  }
  found.kind = there->kind;
  found.mode = there->mode;
  found.user = there->user;
  found.group = there->group;
  found.changed = there->changed;
  found.links = there->links;
  found.length_bytes = there->length_bytes;
  found.parent = there->parent;
  found.target = there->target;
  return 0;
}

int Tree::list(std::uint64_t generation,
               ObjectNumber directory,
               std::map<std::string, ObjectNumber>& entries) {
  const std::lock_guard lock(mutex_);
  Object* there = nullptr;
  int refused = admit(generation);
  refused = refused != 0 ? refused : find_directory(directory, there);
  if (refused == 0) {
    entries = there->entries;
  }
  return refused;
}

int Tree::read(std::uint64_t generation,
               ObjectNumber file,
               std::uint64_t offset_bytes,
               MutableByteView into,
               std::size_t& done) {
  const std::lock_guard lock(mutex_);
  Object* there = nullptr;
  if (const int refused = find_file(generation, file, there); refused != 0) {
    return refused;
  }
  const std::uint64_t end = std::min(there->length_bytes, offset_bytes + into.size());
  done = end > offset_bytes ? end - offset_bytes : 0;
  TreeDeed deed;
  if (const int refused =
          take_up(generation, {RequestKind::read, {file}, {}, offset_bytes, done}, deed);
      refused != 0) {
    return refused;
  }
  if (done > 0) {
    there->bytes.read(offset_bytes, into.first(done));
  }
  return finish(deed);
}

/// Enters a change, and does what it says.
void Tree::add(const Change& change) {
  enter_mark(to_text(change), {});
  apply(change, state_);
  if (change.renames()) {
    for (const ObjectNumber directory : {change.directory, change.to_directory}) {
      if (directory != 0) {
        state_.find(directory)->changed = now();
      }
    }
  }
  counters_.changes += change.has_fate() ? 1 : 0;
}

int Tree::make(std::uint64_t generation,
               const Place& place,
               const NewObject& object,
               ObjectNumber& made) {
  const std::lock_guard lock(mutex_);
  int refused = admit(generation);
  refused = refused != 0 ? refused : check_free(place);
  TreeDeed deed;
  const auto asked = [&] {
    return TreeRequest{RequestKind::create, {}, {{place.directory, place.name}}};
  };
  refused = refused != 0 ? refused : take_up(generation, asked(), deed);
  if (refused != 0) {
    return refused;
  }
  Change change;
  change.kind = object.kind == ObjectKind::file        ? ChangeKind::create
                : object.kind == ObjectKind::directory ? ChangeKind::mkdir
                                                       : ChangeKind::symlink;
  made = state_.next;
  change.object = made;
  change.directory = place.directory;
  change.name = place.name;
  change.mode = object.kind == ObjectKind::symlink ? 0 : object.mode & 07777U;
  change.target = object.target;
  add(change);
  Object& there = *state_.find(made);
  there.user = object.user;
  there.group = object.group;
  there.changed = now();
  there.links = object.kind == ObjectKind::directory ? 2 : 1;
  if (object.kind == ObjectKind::directory) {
    ++state_.find(place.directory)->links;
  }
  return finish(deed);
}

int Tree::link(std::uint64_t generation, ObjectNumber object, const Place& place) {
  const std::lock_guard lock(mutex_);
  int refused = admit(generation);
  Object* const there = state_.find(object);
  if (refused == 0 && (there == nullptr || there->links == 0)) {
    refused = ENOENT;
  }
  if (refused == 0 && there->kind == ObjectKind::directory) {
    refused = EPERM;
  }
  refused = refused != 0 ? refused : check_free(place);
  TreeDeed deed;
  const auto asked = [&] {
    return TreeRequest{RequestKind::create, {object}, {{place.directory, place.name}}};
  };
  refused = refused != 0 ? refused : take_up(generation, asked(), deed);
  if (refused == 0) {
    add({.kind = ChangeKind::link,
         .object = object,
         .directory = place.directory,
         .name = place.name});
    ++there->links;
    refused = finish(deed);
  }
  return refused;
}

/// A name of `object` is gone.
void Tree::removed(ObjectNumber object) {
  Object& there = *state_.find(object);
  if (there.kind == ObjectKind::directory) {
    there.links = 0;
  } else {
    --there.links;
  }
}

int Tree::unlink(std::uint64_t generation, const Place& place) {
  const std::lock_guard lock(mutex_);
  ObjectNumber object = 0;
  int refused = admit(generation);
  refused = refused != 0 ? refused : find_entry(place, object);
  if (refused == 0 && state_.find(object)->kind == ObjectKind::directory) {
    refused = EISDIR;
  }
  TreeDeed deed;
  const auto asked = [&] {
    return TreeRequest{RequestKind::unlink, {object}, {{place.directory, place.name}}};
  };
  refused = refused != 0 ? refused : take_up(generation, asked(), deed);
  if (refused == 0) {
    add({.kind = ChangeKind::unlink,
         .object = object,
         .directory = place.directory,
         .name = place.name});
    removed(object);
    refused = finish(deed);
  }
  return refused;
}

int Tree::remove_directory(std::uint64_t generation, const Place& place) {
  const std::lock_guard lock(mutex_);
  ObjectNumber object = 0;
  int refused = admit(generation);
  refused = refused != 0 ? refused : find_entry(place, object);
  const Object* const there = refused == 0 ? state_.find(object) : nullptr;
  if (there != nullptr && there->kind != ObjectKind::directory) {
    refused = ENOTDIR;
  } else if (there != nullptr && !there->entries.empty()) {
    refused = ENOTEMPTY;
  }
  TreeDeed deed;
  const auto asked = [&] {
    return TreeRequest{RequestKind::unlink, {object}, {{place.directory, place.name}}};
  };
  refused = refused != 0 ? refused : take_up(generation, asked(), deed);
  if (refused == 0) {
    add({.kind = ChangeKind::rmdir,
         .object = object,
         .directory = place.directory,
         .name = place.name});
    removed(object);
    --state_.find(place.directory)->links;
    refused = finish(deed);
  }
  return refused;
}

/// Whether `moved` may take the name of `replaced`.
int Tree::check_target(ObjectNumber moved, ObjectNumber replaced) const {
  const bool directory = state_.find(moved)->kind == ObjectKind::directory;
  const Object& there = *state_.find(replaced);
  if (there.kind == ObjectKind::directory) {
    return !directory ? EISDIR : there.entries.empty() ? 0 : ENOTEMPTY;
  }
  return directory ? ENOTDIR : 0;
}

int Tree::rename(std::uint64_t generation, const Place& from, const Place& to, bool over) {
  const std::lock_guard lock(mutex_);
  ObjectNumber moved = 0;
  ObjectNumber replaced = 0;
  int refused = admit(generation);
  refused = refused != 0 ? refused : find_entry(from, moved);
  refused = refused != 0 ? refused : check_free(to);
  if (refused == EEXIST && over) {
    refused = find_entry(to, replaced);
    if (refused == 0 && replaced == moved) {
      return 0;
    }
    refused = refused != 0 ? refused : check_target(moved, replaced);
  }
  const bool directory = moved != 0 && state_.find(moved)->kind == ObjectKind::directory;
  if (refused == 0 && directory && is_below(to.directory, moved)) {
    refused = EINVAL;
  }
  TreeDeed deed;
  const auto asked = [&] {
    return TreeRequest{
        RequestKind::rename, {moved}, {{from.directory, from.name}, {to.directory, to.name}}};
  };
  refused = refused != 0 ? refused : take_up(generation, asked(), deed);
  if (refused != 0) {
    return refused;
  }
  add({.kind = ChangeKind::rename,
       .object = moved,
       .directory = from.directory,
       .name = from.name,
       .to_directory = to.directory,
       .to_name = to.name,
       .replaced = replaced});
  if (directory) {
    --state_.find(from.directory)->links;
    ++state_.find(to.directory)->links;
  }
  if (replaced != 0) {
    if (state_.find(replaced)->kind == ObjectKind::directory) {
      --state_.find(to.directory)->links;
    }
    removed(replaced);
  }
  return finish(deed);
}

int Tree::set_attributes(std::uint64_t generation,
                         ObjectNumber object,
                         const NewAttributes& wanted) {
  const std::lock_guard lock(mutex_);
  if (const int refused = admit(generation); refused != 0) {
    return refused;
  }
  Object* const there = state_.find(object);
  if (there == nullptr) {
    return ENOENT;
  }
  there->mode = wanted.mode.value_or(there->mode) & 07777U;
  there->user = wanted.user.value_or(there->user);
  there->group = wanted.group.value_or(there->group);
  there->changed = wanted.changed.value_or(there->changed);
  return 0;
}

void Tree::forget(ObjectNumber object) {
  const std::lock_guard lock(mutex_);
  const Object* const there = state_.find(object);
  if (there != nullptr && there->links == 0 && object != root_object) {
    state_.objects.erase(object);
  }
}

}  // namespace faultfs::tree
