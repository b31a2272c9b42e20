// Trees and recordings as files.
//
// A recording is a directory:
//     profile      two words: the device profile and the promise about names
//     objects      a line for each name when the log began: number, kind, mode, length, path,
//     target;
//                  in paths and targets blanks and % are written %20, the root is "."
//     base/N       the bytes of file number N
//     writes.log   the log (write_log.cc), changes as marks (change.cc)

#include "faultfs/tree/tree_files.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <fstream>
#include <iterator>
#include <sstream>
#include <system_error>
#include <vector>

#include <fmt/format.h>

#include "faultfs/tree/tree_model.h"

namespace faultfs::tree {
namespace {

namespace fs = std::filesystem;

tl::unexpected<Error> trouble(const fs::path& path, const std::error_code& error) {
  return fail(fmt::format("{}: {}", path.string(), error.message()));
}

Status make_empty(const fs::path& directory) {
  std::error_code error;
  fs::create_directories(directory, error);
  if (!error && !fs::is_empty(directory, error) && !error) {
    return fail(directory.string() + ": it is not empty; allowed: a new or empty directory");
  }
  return error ? Status(trouble(directory, error)) : Status();
}

Result<Object> read_object(const fs::path& path, const struct stat& state) {
  std::error_code error;
  Object object;
  object.mode = state.st_mode & 07777U;
  object.user = state.st_uid;
  object.group = state.st_gid;
  object.changed = state.st_mtim;
  if (S_ISDIR(state.st_mode)) {
    object.kind = ObjectKind::directory;
  } else if (S_ISLNK(state.st_mode)) {
    object.kind = ObjectKind::symlink;
    object.target = fs::read_symlink(path, error).string();
  } else if (S_ISREG(state.st_mode)) {
    Result<Image> bytes = Image::load(path);
    if (!bytes) {
      return fail(bytes.error().message);
    }
    object.bytes = std::move(*bytes);
    object.length_bytes = object.bytes.size_bytes();
  } else {
    return fail(path.string() +
                ": a device, pipe or socket; allowed: files, directories, symbolic links");
  }
  return error ? Result<Object>(trouble(path, error)) : object;
}

std::string shown(const std::string& path) {
  Change change{.kind = ChangeKind::link, .object = 1, .directory = 1, .name = path};
  const std::string text = to_text(change);
  return text.substr(text.rfind(' ') + 1);
}

std::string unshown(const std::string& text) {
  const auto change = parse_change(fmt::format("{}link 1 in 1 {}", change_prefix, text));
  return change ? change->name : text;
}

constexpr std::array<std::string_view, 3> kinds = {"file", "directory", "symlink"};

Status write_objects(const TreeState& tree, const fs::path& directory) {
  std::ofstream out(directory / "objects");
  auto paths = tree.paths();
  paths.emplace(".", root_object);
  for (const auto& [path, number] : paths) {
    const Object& object = *tree.find(number);
    out << fmt::format("{} {} {:o} {} {} {}\n",
                       number,
                       kinds[static_cast<std::size_t>(object.kind)],
                       object.mode,
                       object.length_bytes,
                       shown(path),
                       object.kind == ObjectKind::symlink ? shown(object.target) : "-");
    if (object.kind == ObjectKind::file) {
      Image bytes = object.bytes;
      const Status saved = bytes.save(directory / "base" / std::to_string(number));
      if (!saved) {
        return saved;
      }
    }
  }
  out.close();
  return out ? Status() : fail((directory / "objects").string() + ": cannot be written");
}

Status read_line(const std::string& line, const fs::path& directory, TreeState& tree) {
  std::istringstream in(line);
  ObjectNumber number = 0;
  std::string kind;
  std::string path;
  std::string target;
  Object object;
  in >> number >> kind >> std::oct >> object.mode >> std::dec >> object.length_bytes >> path >>
      target;
  const auto* const known = std::find(kinds.begin(), kinds.end(), kind);
  if (!in || known == kinds.end() || number == 0 || object.length_bytes > file_bytes_max) {
    return fail(fmt::format("{}: \"{}\" is no line of it; an example of one: 7 file 644 12 a/b -",
                            (directory / "objects").string(),
                            line));
  }
  tree.next = std::max(tree.next, number + 1);
  if (number == root_object) {
    return {};
  }
  object.kind = static_cast<ObjectKind>(known - kinds.begin());
  object.target = object.kind == ObjectKind::symlink ? unshown(target) : "";
  path = unshown(path);
  const std::size_t slash = path.rfind('/');
  const ObjectNumber above =
      slash == std::string::npos ? root_object : tree.at(path.substr(0, slash));
  Object* const parent = tree.find(above);
  if (parent == nullptr || parent->kind != ObjectKind::directory) {
    return fail(fmt::format(
        "{}: \"{}\" stands before its directory", (directory / "objects").string(), path));
  }
  if (object.kind == ObjectKind::file) {
    Result<Image> bytes = Image::load(directory / "base" / std::to_string(number));
    if (!bytes) {
      return fail(bytes.error().message);
    }
    object.bytes = std::move(*bytes);
    make_room(object, object.length_bytes);
  }
  object.parent = above;
  parent->entries[path.substr(slash + 1)] = number;
  tree.objects.emplace(number, std::move(object));
  return {};
}

}  // namespace

Result<TreeState> import_tree(const fs::path& directory) {
  TreeState tree;
  std::map<std::pair<dev_t, ino_t>, ObjectNumber> known;
  std::vector<std::pair<fs::path, ObjectNumber>> open = {{directory, root_object}};
  while (!open.empty()) {
    const auto [place, above] = open.back();
    open.pop_back();
    std::error_code error;
    std::vector<fs::path> found;
    for (fs::directory_iterator entry(place, error); !error && entry != fs::directory_iterator();
         entry.increment(error)) {
      found.push_back(entry->path());
    }
    if (error) {
      return trouble(place, error);
    }
    std::sort(found.begin(), found.end());
    for (const fs::path& path : found) {
      struct stat state {};
      if (lstat(path.c_str(), &state) != 0) {
        return trouble(path, std::error_code(errno, std::generic_category()));
      }
      ObjectNumber& number = known[{state.st_dev, state.st_ino}];
      if (number == 0) {
        number = tree.next++;
        Result<Object> object = read_object(path, state);
        if (!object) {
          return fail(object.error().message);
        }
        object->parent = above;
        tree.objects.emplace(number, std::move(*object));
      }
      tree.find(above)->entries[path.filename().string()] = number;
      if (S_ISDIR(state.st_mode)) {
        open.emplace_back(path, number);
      }
    }
  }
  drop_unreachable(tree);
  return tree;
}

Status export_tree(const TreeState& tree, const fs::path& directory) {
  if (Status empty = make_empty(directory); !empty) {
    return empty;
  }
  std::map<ObjectNumber, fs::path> written;
  for (const auto& [name, number] : tree.paths()) {  // a directory comes before what is in it
    const Object& object = *tree.find(number);
    const fs::path path = directory / name;
    std::error_code error;
    if (written.contains(number)) {
      fs::create_hard_link(written[number], path, error);
    } else if (object.kind == ObjectKind::directory) {
      fs::create_directory(path, error);
    } else if (object.kind == ObjectKind::symlink) {
      fs::create_symlink(object.target, path, error);
    } else {
      const Status saved = object.bytes.save(path);
      if (!saved) {
        return saved;
      }
      fs::resize_file(path, object.length_bytes, error);
    }
    if (!error && object.kind == ObjectKind::file) {
      fs::permissions(path, static_cast<fs::perms>(object.mode), error);
    }
    if (error) {
      return trouble(path, error);
    }
    written.emplace(number, path);
  }
  return {};
}

Status save_recording(const Recording& recording, const fs::path& directory) {
  Status status = make_empty(directory);
  status = status ? make_empty(directory / "base") : status;
  status = status ? write_objects(recording.base, directory) : status;
  status = status ? recording.log.save(directory / "writes.log") : status;
  if (!status) {
    return status;
  }
  std::ofstream out(directory / "profile");
  for (const TreePromise& promise : tree_promises()) {
    if (promise.changes_in_order == recording.profile.changes_in_order &&
        promise.file_sync_covers_names == recording.profile.file_sync_covers_names) {
      out << fmt::format("{} {}\n", recording.profile.data.name, promise.name);
    }
  }
  out.close();
  return out ? Status() : fail((directory / "profile").string() + ": cannot be written");
}

Result<Recording> load_recording(const fs::path& directory) {
  std::ifstream profile_file(directory / "profile");
  std::string device;
  std::string promise;
  profile_file >> device >> promise;
  if (!profile_file) {
    return fail(fmt::format("{}: no recording of a tree: no file \"profile\" with its two words",
                            directory.string()));
  }
  Result<TreeProfile> profile = find_tree_profile(device, promise);
  Result<WriteLog> log = WriteLog::load(directory / "writes.log");
  if (!profile || !log) {
    return fail(profile ? log.error().message : profile.error().message);
  }
  Recording recording{TreeState(), std::move(*log), *profile};
  std::ifstream objects(directory / "objects");
  for (std::string line; std::getline(objects, line);) {
    if (Status good = read_line(line, directory, recording.base); !good) {
      return fail(good.error().message);
    }
  }
  drop_unreachable(recording.base);
  if (Status good = check_recording(recording); !good) {
    return fail(fmt::format("{}: {}", directory.string(), good.error().message));
  }
  return recording;
}

}  // namespace faultfs::tree
