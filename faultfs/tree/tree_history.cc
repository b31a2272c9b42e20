#include "faultfs/tree/tree_history.h"

#include <algorithm>
#include <limits>

#include <fmt/format.h>

#include "faultfs/base/check.h"

namespace faultfs::tree {

TreeHistory::TreeHistory(const Recording& recording)
    : recording_(recording), entries_(recording.log.size() + 1) {
  for (const auto& [number, object] : recording.base.objects) {
    Node& node = nodes_[number];
    node.directory = object.kind == ObjectKind::directory;
    node.length_bytes = object.length_bytes;
    for (const auto& [name, below] : object.entries) {
      nodes_[below].parent = number;
      nodes_[below].name = name;
    }
  }
  for (std::uint32_t number = 1; number <= recording.log.size() && status_; ++number) {
    if (recording.log.entry(number).kind == EntryKind::mark) {
      read_mark(number);
    } else {
      read_bytes(number);
    }
  }
}

ObjectNumber TreeHistory::file_of(DiskNumber disk) const {
  return disk < files_.size() ? files_[disk] : 0;
}

std::set<ObjectNumber> TreeHistory::touched() const {
  std::set<ObjectNumber> found(files_.begin(), files_.end());
  for (const auto& [file, lengths] : lengths_) {
    found.insert(file);
  }
  return found;
}

std::vector<std::uint32_t> TreeHistory::lengths_of(ObjectNumber file) const {
  const auto found = lengths_.find(file);
  return found == lengths_.end() ? std::vector<std::uint32_t>() : found->second;
}

/// The path of an object, by its last name.
std::string TreeHistory::path(ObjectNumber object) const {
  std::string text;
  for (auto here = nodes_.find(object); here != nodes_.end() && here->first != root_object;
       here = nodes_.find(here->second.parent)) {
    text = text.empty() ? here->second.name : here->second.name + "/" + text;
  }
  return text.empty() ? "." : text;
}

void TreeHistory::place(ObjectNumber object, ObjectNumber directory, const std::string& name) {
  nodes_[object].parent = directory;
  nodes_[object].name = name;
}

/// True when the objects that `change` names are there, and new ones are new.
bool TreeHistory::fits(const Change& change) const {
  const bool makes = change.kind <= ChangeKind::symlink;
  const bool known = nodes_.contains(change.object);
  if (known == makes) {
    return false;
  }
  const auto is_directory = [&](ObjectNumber number) {
    const auto node = nodes_.find(number);
    return node != nodes_.end() && node->second.directory;
  };
  if (change.kind == ChangeKind::data) {
    return change.disk == files_.size() && !is_directory(change.object);
  }
  if (change.kind == ChangeKind::length) {
    return !is_directory(change.object) && change.length_bytes <= file_bytes_max;
  }
  if (change.kind == ChangeKind::sync) {
    return is_directory(change.object);
  }
  const bool moves = change.kind == ChangeKind::rename;
  const bool replaces = change.replaced != 0;
  for (ObjectNumber above = change.to_directory; moves && above != root_object;) {
    const auto node = nodes_.find(above);
    if (node == nodes_.end() || above == change.object) {
      return false;  // a directory would be below itself
    }
    above = node->second.parent;
  }
  return is_directory(change.directory) && (!moves || is_directory(change.to_directory)) &&
         (!replaces || nodes_.contains(change.replaced));
}

std::string TreeHistory::text_of(const Change& change) const {
  switch (change.kind) {
    case ChangeKind::create:
      return "create " + path(change.object);
    case ChangeKind::mkdir:
      return "mkdir " + path(change.object);
    case ChangeKind::symlink:
      return fmt::format("symlink {} to {}", path(change.object), change.target);
    case ChangeKind::link:
      return "link " + path(change.object);
    case ChangeKind::unlink:
      return "unlink " + path(change.object);
    case ChangeKind::rmdir:
      return "rmdir " + path(change.object);
    case ChangeKind::length:
      return fmt::format("length {} = {}", path(change.object), change.length_bytes);
    case ChangeKind::sync:
      return "FSYNC " + path(change.object);
    case ChangeKind::rename:
    case ChangeKind::data:
      break;
  }
  return "";
}

void TreeHistory::read_mark(std::uint32_t number) {
  Entry& entry = entries_[number];
  const std::string_view text = recording_.log.mark_text(number);
  if (!text.starts_with(change_prefix)) {
    entry.text = fmt::format("\"{}\"", text);
    return;
  }
  const Result<Change> change = parse_change(text);
  if (!change || !fits(*change)) {
    status_ = fail(fmt::format(
        "{}: {}",
        entry_name(number),
        change ? fmt::format("\"{}\" names what is not there", text) : change.error().message));
    return;
  }
  entry.change = *change;
  switch (change->kind) {
    case ChangeKind::data:
      files_.push_back(change->object);
      entry.ends_request = false;
      break;
    case ChangeKind::sync:
      entry.text = text_of(*change);
      note_sync(number, *change);
      break;
    case ChangeKind::length:
      note_length(number, *change);
      break;
    default:
      note_names(number, *change);
  }
}

void TreeHistory::note_length(std::uint32_t number, const Change& change) {
  Entry& entry = entries_[number];
  Node& node = nodes_[change.object];
  entry.length_before = node.length_bytes;
  node.length_bytes = change.length_bytes;
  entry.text = text_of(change);
  lengths_[change.object].push_back(number);
  if (change.length_bytes < entry.length_before && number < recording_.log.size()) {
    entry.ends_request = recording_.log.entry(number + 1).kind != EntryKind::discard;
  }
  // A write before it that made it belongs to the same request.
  const WriteLog& log = recording_.log;
  if (number > 1 && log.entry(number - 1).kind == EntryKind::write) {
    const LogEntry& write = log.entry(number - 1);
    const bool made_it = file_of(write.disk) == change.object &&
                         write.offset_bytes + write.size_bytes == change.length_bytes;
    entries_[number - 1].ends_request = !made_it;
  }
  if (!recording_.profile.data.volatile_write_cache) {
    entry.durable_at = number;
  }
}

void TreeHistory::need(std::uint32_t number, std::uint32_t earlier) {
  if (earlier != 0 && earlier != number) {
    entries_[number].needs.push_back(earlier);
  }
}

/// The earlier changes of a name that a change makes or takes away.
void TreeHistory::need_names(std::uint32_t number,
                             ObjectNumber directory,
                             const std::string& name) {
  std::uint32_t& last = last_of_name_[{directory, name}];
  need(number, last);
  last = number;
  nodes_[directory].changes_inside.push_back(number);
}

void TreeHistory::note_names(std::uint32_t number, const Change& change) {
  Entry& entry = entries_[number];
  const bool moves = change.kind == ChangeKind::rename;
  std::string before = moves ? path(change.object) : "";
  if (moves && !nodes_[change.object].directory) {
    place(change.object, change.directory, change.name);  // which of its names it was
    before = path(change.object);
  }
  need_names(number, change.directory, change.name);
  if (moves) {
    need_names(number, change.to_directory, change.to_name);
  }
  for (const ObjectNumber object : {change.object, change.replaced}) {
    const bool removed = object == change.replaced || change.kind == ChangeKind::rmdir;
    if (object != 0) {
      need(number, nodes_[object].last_change);
      nodes_[object].last_change = number;
    }
    for (std::size_t at = 0; object != 0 && removed && at < nodes_[object].changes_inside.size();
         ++at) {
      need(number, nodes_[object].changes_inside[at]);  // a directory goes empty
    }
  }
  if (moves && nodes_[change.object].directory) {
    for (ObjectNumber above = change.to_directory; above != root_object;
         above = nodes_[above].parent) {
      need(number, nodes_[above].last_change);  // so that no directory gets below itself
    }
  }
  nodes_[change.object].directory |= change.kind == ChangeKind::mkdir;
  place(change.object,
        moves ? change.to_directory : change.directory,
        moves ? change.to_name : change.name);
  entry.text =
      moves ? fmt::format("rename {} to {}", before, path(change.object)) : text_of(change);
  std::sort(entry.needs.begin(), entry.needs.end());
  entry.needs.erase(std::unique(entry.needs.begin(), entry.needs.end()), entry.needs.end());
  pending_.push_back(number);
  if (!recording_.profile.data.volatile_write_cache) {
    cover(number, [&](std::uint32_t n, const Change&) { return n == number; });
  }
}

/// The change is durable, and with it all that it cannot be without.
void TreeHistory::make_durable(std::uint32_t number, std::uint32_t since) {
  std::vector<std::uint32_t> open = {number};
  while (!open.empty()) {
    Entry& entry = entries_[open.back()];
    open.pop_back();
    if (entry.durable_at == never) {
      entry.durable_at = since;
      open.insert(open.end(), entry.needs.begin(), entry.needs.end());
    }
  }
}

/// The pending changes of names of which `covers` says so are durable since `since`.
template <typename Covers>
void TreeHistory::cover(std::uint32_t since, const Covers& covers) {
  std::size_t first = pending_.size();
  for (std::size_t at = pending_.size(); at > 0; --at) {
    const std::uint32_t number = pending_[at - 1];
    const bool before_one = recording_.profile.changes_in_order && first < pending_.size();
    if (before_one || covers(number, *entries_[number].change)) {
      first = at - 1;
      make_durable(number, since);
    }
  }
  std::erase_if(pending_, [&](std::uint32_t n) { return entries_[n].durable_at != never; });
}

void TreeHistory::note_sync(std::uint32_t number, const Change& change) {
  if (recording_.profile.data.flush_honoured) {
    cover(number, [&](std::uint32_t, const Change& earlier) {
      return earlier.directory == change.object || earlier.to_directory == change.object;
    });
  }
}

void TreeHistory::note_flush(std::uint32_t number, ObjectNumber file) {
  entries_[number].text = "FSYNC " + path(file);
  if (!recording_.profile.data.flush_honoured) {
    return;
  }
  for (const std::uint32_t length : lengths_[file]) {
    entries_[length].durable_at = std::min(entries_[length].durable_at, number);
  }
  if (recording_.profile.file_sync_covers_names) {
    cover(number, [&](std::uint32_t, const Change& earlier) { return earlier.object == file; });
  }
}

void TreeHistory::read_bytes(std::uint32_t number) {
  const LogEntry& request = recording_.log.entry(number);
  Entry& entry = entries_[number];
  const ObjectNumber file = file_of(request.disk);
  if (file == 0 || request.offset_bytes > file_bytes_max ||
      request.size_bytes > file_bytes_max - request.offset_bytes) {
    status_ = fail(fmt::format("{} is a request to disk {}, {} bytes at {}: there is no such file",
                               entry_name(number),
                               request.disk,
                               request.size_bytes,
                               request.offset_bytes));
    return;
  }
  if (request.kind == EntryKind::flush) {
    note_flush(number, file);
    return;
  }
  const bool write = request.kind == EntryKind::write;
  entry.text = fmt::format("{} {} 0x{:x} {}",
                           write ? "write" : "zeros",
                           path(file),
                           request.offset_bytes,
                           size_text(request.size_bytes));
  if (!write && number > 1 && !entries_[number - 1].ends_request &&
      entries_[number - 1].change->kind == ChangeKind::length) {
    entry.discard_of = number - 1;
    entry.text = entries_[number - 1].text;
  }
}

}  // namespace faultfs::tree
