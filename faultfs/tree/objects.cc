// Objects exist beside their names, as inodes do. In a crash state the name of a directory may be
// lost while names in it were kept: such a directory is there, but nothing leads to it, and
// `drop_unreachable` clears it away at the end.

#include "faultfs/tree/objects.h"

#include <unistd.h>

#include <algorithm>
#include <bit>
#include <set>
#include <vector>

namespace faultfs::tree {
namespace {

void set_entry(TreeState& tree,
               ObjectNumber directory,
               const std::string& name,
               ObjectNumber object) {
  Object* const place = tree.find(directory);
  if (place == nullptr || place->kind != ObjectKind::directory) {
    return;
  }
  place->entries[name] = object;
  Object* const named = tree.find(object);
  if (named != nullptr && named->kind == ObjectKind::directory) {
    named->parent = directory;
  }
}

void remove_entry(TreeState& tree, ObjectNumber directory, const std::string& name) {
  if (Object* const place = tree.find(directory); place != nullptr) {
    place->entries.erase(name);
  }
}

void add_object(TreeState& tree, const Change& change) {
  Object made;
  made.kind = change.kind == ChangeKind::mkdir     ? ObjectKind::directory
              : change.kind == ChangeKind::symlink ? ObjectKind::symlink
                                                   : ObjectKind::file;
  made.mode = change.kind == ChangeKind::symlink ? 0777 : change.mode;
  made.user = geteuid();
  made.group = getegid();
  made.target = change.target;
  tree.objects.insert_or_assign(change.object, std::move(made));
  tree.next = std::max(tree.next, change.object + 1);
  set_entry(tree, change.directory, change.name, change.object);
}

}  // namespace

TreeState::TreeState() {
  Object root;
  root.kind = ObjectKind::directory;
  root.mode = 0755;
  root.user = geteuid();
  root.group = getegid();
  root.parent = root_object;
  root.links = 2;
  objects.emplace(root_object, std::move(root));
}

Object* TreeState::find(ObjectNumber number) {
  const auto place = objects.find(number);
  return place == objects.end() ? nullptr : &place->second;
}

const Object* TreeState::find(ObjectNumber number) const {
  const auto place = objects.find(number);
  return place == objects.end() ? nullptr : &place->second;
}

ObjectNumber TreeState::at(std::string_view path) const {
  ObjectNumber here = root_object;
  while (!path.empty()) {
    const std::size_t end = std::min(path.find('/'), path.size());
    const Object* const directory = find(here);
    const auto entry = directory->entries.find(std::string(path.substr(0, end)));
    if (entry == directory->entries.end()) {
      return 0;
    }
    here = entry->second;
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return here;
}

std::map<std::string, ObjectNumber> TreeState::paths() const {
  std::map<std::string, ObjectNumber> found;
  std::vector<std::pair<std::string, ObjectNumber>> open = {{"", root_object}};
  while (!open.empty()) {
    const auto [path, number] = open.back();
    open.pop_back();
    for (const auto& [name, object] : find(number)->entries) {
      const std::string below = path.empty() ? name : path + "/" + name;
      found.emplace(below, object);
      if (find(object)->kind == ObjectKind::directory) {
        open.emplace_back(below, object);
      }
    }
  }
  return found;
}

std::string TreeState::content(ObjectNumber number) const {
  const Object* const file = find(number);
  std::string text(file == nullptr ? 0 : file->length_bytes, '\0');
  if (!text.empty()) {
    file->bytes.read(0, std::as_writable_bytes(std::span(text)));
  }
  return text;
}

void make_room(Object& file, std::uint64_t length_bytes) {
  constexpr std::uint64_t least = 64 * Image::page_bytes;
  if (file.bytes.size_bytes() < length_bytes) {
    file.bytes.grow_to(std::max(least, std::bit_ceil(length_bytes)));
  }
}

void apply(const Change& change, TreeState& tree) {
  switch (change.kind) {
    case ChangeKind::create:
    case ChangeKind::mkdir:
    case ChangeKind::symlink:
      add_object(tree, change);
      break;
    case ChangeKind::link:
      set_entry(tree, change.directory, change.name, change.object);
      break;
    case ChangeKind::unlink:
    case ChangeKind::rmdir:
      remove_entry(tree, change.directory, change.name);
      break;
    case ChangeKind::rename:
      remove_entry(tree, change.directory, change.name);
      set_entry(tree, change.to_directory, change.to_name, change.object);
      break;
    case ChangeKind::length:
      if (Object* const file = tree.find(change.object); file != nullptr) {
        make_room(*file, change.length_bytes);
        file->length_bytes = change.length_bytes;
      }
      break;
    case ChangeKind::sync:
    case ChangeKind::data:
      break;
  }
}

void drop_unreachable(TreeState& tree) {
  std::set<ObjectNumber> reached = {root_object};
  std::vector<ObjectNumber> open = {root_object};
  for (auto& [number, object] : tree.objects) {
    object.links = object.kind == ObjectKind::directory ? 2 : 0;
  }
  while (!open.empty()) {
    Object& directory = *tree.find(open.back());
    open.pop_back();
    for (auto entry = directory.entries.begin(); entry != directory.entries.end();) {
      Object* const named = tree.find(entry->second);
      if (named == nullptr) {
        entry = directory.entries.erase(entry);
        continue;
      }
      if (named->kind == ObjectKind::directory) {
        ++directory.links;
        if (reached.insert(entry->second).second) {
          open.push_back(entry->second);
        }
      } else {
        ++named->links;
        reached.insert(entry->second);
      }
      ++entry;
    }
  }
  std::erase_if(tree.objects, [&](const auto& object) { return !reached.contains(object.first); });
}

}  // namespace faultfs::tree
