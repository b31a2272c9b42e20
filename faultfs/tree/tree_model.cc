// The metadata model: what a cut may leave of a directory tree.
//
// A tree is objects (files, directories, symbolic links), the names they have in directories, and
// the length and the bytes of each file. Four kinds of requests have fates:
//
//   bytes    A file is to its bytes what a disk is: the persistence model (crash_model.cc) says
//   what
//            its sectors may hold, each independently of the others, under the promises of the
//            device profile. fsync and fdatasync of the file are its FLUSH. An O_SYNC or O_DSYNC
//            write arrives as the write and then the FSYNC, with a crash point between them.
//
//   lengths  A write behind the end makes the file longer, and that is a request of its own, behind
//            the write. The length is what the last kept change of it says, whatever became of the
//            earlier ones; one that grows may also stop at the end of any sector between. So an
//            appended record may be there whole, cut short, absent, or be a hole of zeros inside
//            the new length; and kept bytes behind the length are not seen, now or later. A
//            truncation is one request: bytes and length go together or not at all. fsync of the
//            file makes its length durable; that of a directory does not.
//
//   names    create, mkdir, symlink, link, unlink, rmdir, rename. Each is atomic (a rename takes
//   the
//            old name away, gives the new one and replaces what had it, or does nothing), and
//            pending in its directory until that is synced; a rename between two directories until
//            either is.
//              ordered, journal   a cut loses the last so many pending changes of the tree, in the
//                                 order in which they were made: one journal. A sync that makes one
//                                 durable so makes all before it durable.
//              loose              any of them, but each object and each name in its own order: a
//                                 change can be kept only with every earlier one of the same object
//                                 or the same name. A directory is removed only after every change
//                                 in it, and moved only after every move of those that it goes
//                                 below. What is durable makes durable what it so needs.
//            fsync of a file makes durable what was done to its own names on `journal` (as ext4 and
//            xfs do), and nothing of names on the others.
//            A directory whose own name was lost takes everything in it along, however durable that
//            was: whoever makes a directory has to sync its parent.
//
// On a device that writes through, everything is durable when it completes. With a lying flush,
// nothing is. A kill keeps everything that completed.
//
//     w0001  create a          after w0006 on `ordered` there may be
//     w0002  write a 0 4K        nothing · an empty a (w0001 kept, the rest lost) · a whole a ·
//     w0003  length a = 4096     an a of 4096 zeros (w0002 lost) · and each of these as b, by
//     w0004  rename a to b       w0004 kept. Not a and b together. And c only where b is (w0005
//     w0005  create c            came later); on `loose` c also without it.
//     w0006  "done"            fsync of a before w0004 leaves: nothing, a whole, b whole.
//
// Not modelled: modes, owners, times (those of a surviving object are as seen last); requests in
// flight beside the one at the crash point; a file system that orders data before names (ext4's
// data=ordered, auto_da_alloc), for which a program should not wait; a rename that is not atomic.

#include "faultfs/tree/tree_model.h"

#include <algorithm>

#include <fmt/format.h>

#include "faultfs/base/check.h"
#include "faultfs/tree/tree_history.h"

namespace faultfs::tree {
namespace {

const Fate* fate_of(const CrashPlan& plan, std::uint32_t entry) {
  const auto place = std::lower_bound(
      plan.fates.begin(), plan.fates.end(), entry, [](const Fate& fate, std::uint32_t number) {
        return fate.write < number;
      });
  return place != plan.fates.end() && place->write == entry ? &*place : nullptr;
}

bool is_lost(const CrashPlan& plan, std::uint32_t entry) {
  const Fate* const fate = fate_of(plan, entry);
  return fate != nullptr && fate->kind == FateKind::lost;
}

std::uint32_t completed_at(const CrashPoint& point) {
  return point.inside ? point.entry - 1 : point.entry;
}

std::uint64_t rounded_up(std::uint64_t bytes, std::uint64_t unit) {
  return (bytes + unit - 1) / unit * unit;
}

/// How many sectors a length grows by, counted from the one that holds the old end.
std::uint32_t steps_of(const TreeHistory::Entry& entry, std::uint32_t sector_bytes) {
  if (entry.change->length_bytes <= entry.length_before) {
    return 0;
  }
  const std::uint64_t first = entry.length_before / sector_bytes;
  return static_cast<std::uint32_t>(
      rounded_up(entry.change->length_bytes, sector_bytes) / sector_bytes - first);
}

/// What each file held when the log began, with room for all that is written.
std::vector<Image> base_images(const Recording& recording, const TreeHistory& history) {
  std::vector<Image> images;
  for (const ObjectNumber file : history.files()) {
    const Object* const object = recording.base.find(file);
    images.push_back(object == nullptr ? Image() : object->bytes);
  }
  if (images.empty()) {
    images.emplace_back(Image::page_bytes);  // a log without bytes: the model of disks wants one
  }
  std::vector<std::uint64_t> room(images.size());
  for (std::uint32_t number = 1; number <= recording.log.size(); ++number) {
    const LogEntry& entry = recording.log.entry(number);
    if (entry.kind != EntryKind::mark) {
      room[entry.disk] = std::max(room[entry.disk], entry.offset_bytes + entry.size_bytes);
    }
  }
  for (std::size_t disk = 0; disk < images.size(); ++disk) {
    const std::uint64_t bytes = std::max(room[disk], images[disk].size_bytes());
    images[disk].grow_to(rounded_up(bytes, Image::page_bytes));
  }
  return images;
}

}  // namespace

struct TreeModel::Facts {
  explicit Facts(const Recording& recording)
      : history(recording),
        images(base_images(recording, history)),
        data(images, recording.log, recording.profile.data) {}

  TreeHistory history;
  std::vector<Image> images;
  CrashModel data;
};

Status check_recording(const Recording& recording) {
  Status possible = check_profile(recording.profile.data);
  return possible ? TreeHistory(recording).status() : possible;
}

TreeModel::TreeModel(const Recording& recording)
    : recording_(recording), facts_(std::make_unique<Facts>(recording)) {
  POWERCUT_CHECK(facts_->history.status(), "{}", facts_->history.status().error().message);
}

TreeModel::~TreeModel() = default;

const std::string& TreeModel::text(std::uint32_t number) const {
  return facts_->history.entry(number).text;
}

std::vector<std::uint32_t> TreeModel::crash_entries() const {
  std::vector<std::uint32_t> found = {0};
  for (std::uint32_t number = 1; number <= log().size(); ++number) {
    const TreeHistory::Entry& entry = facts_->history.entry(number);
    const bool mark = log().entry(number).kind == EntryKind::mark && !entry.change;
    if (mark) {
      found.pop_back();  // the same state, and more was said
    }
    if (entry.ends_request) {
      found.push_back(number);
    }
  }
  return found;
}

std::vector<OpenRequest> TreeModel::open_requests(const CrashPoint& point) const {
  const TreeHistory& history = facts_->history;
  const std::uint32_t completed = completed_at(point);
  std::vector<OpenRequest> found;
  for (VolatileWrite& write : facts_->data.volatile_writes(point)) {
    if (history.entry(write.entry).discard_of == 0) {
      OpenRequest request;
      request.entry = write.entry;
      request.in_flight = write.in_flight;
      request.write = std::move(write);
      found.push_back(std::move(request));
    }
  }
  for (std::uint32_t number = 1; number <= point.entry; ++number) {
    const TreeHistory::Entry& entry = history.entry(number);
    if (!entry.change || !entry.change->has_fate()) {
      continue;
    }
    const bool durable = number <= completed && entry.durable_at <= completed;
    const bool killed = point.kind == CutKind::kill && number <= completed;
    if (durable || killed) {
      continue;
    }
    OpenRequest request;
    request.entry = number;
    request.in_flight = number > completed;
    if (entry.change->kind == ChangeKind::length) {
      request.kind = OpenRequest::Kind::length;
      request.steps = steps_of(entry, profile().data.sector_bytes);
    } else {
      request.kind = OpenRequest::Kind::names;
    }
    found.push_back(std::move(request));
  }
  std::sort(found.begin(), found.end(), [](const OpenRequest& a, const OpenRequest& b) {
    return a.entry < b.entry;
  });
  std::vector<std::uint32_t> names;
  for (OpenRequest& request : found) {
    if (request.kind != OpenRequest::Kind::names) {
      continue;
    }
    const std::vector<std::uint32_t>& all =
        profile().changes_in_order ? names : history.entry(request.entry).needs;
    std::set_intersection(
        all.begin(), all.end(), names.begin(), names.end(), std::back_inserter(request.needs));
    names.push_back(request.entry);
  }
  return found;
}

Status TreeModel::check(const CrashPlan& plan) const {
  const CrashPoint& point = plan.point;
  if (point.entry > log().size() || (point.inside && point.entry == 0)) {
    return fail(fmt::format("\"{}\" is no point of the log, which ends with {}",
                            to_text(point),
                            entry_name(log().size())));
  }
  std::uint32_t previous = 0;
  for (const Fate& fate : plan.fates) {
    if (fate.write <= previous || fate.write > point.entry) {
      return fail(
          fmt::format("{} comes after {} in the plan \"{}\"; allowed: each request before "
                      "the cut once, ascending",
                      entry_name(fate.write),
                      entry_name(previous),
                      to_text(point)));
    }
    previous = fate.write;
    if (facts_->history.entry(fate.write).discard_of != 0) {
      return fail(fmt::format("{} shares the fate of {}, which truncates the file",
                              entry_name(fate.write),
                              entry_name(fate.write - 1)));
    }
  }
  for (const OpenRequest& request : open_requests(point)) {
    for (const std::uint32_t earlier : request.needs) {
      if (is_lost(plan, earlier) && !is_lost(plan, request.entry)) {
        return fail(fmt::format("{} ({}) cannot be kept when {} ({}) is lost",
                                entry_name(request.entry),
                                text(request.entry),
                                entry_name(earlier),
                                text(earlier)));
      }
    }
  }
  for (const Fate& fate : plan.fates) {
    if (facts_->history.entry(fate.write).change) {
      if (Status legal = check_change(plan, fate); !legal) {
        return legal;
      }
    }
  }
  return facts_->data.check(data_plan(plan));
}

/// A fate of something that is no write.
Status TreeModel::check_change(const CrashPlan& plan, const Fate& fate) const {
  const TreeHistory::Entry& entry = facts_->history.entry(fate.write);
  const std::string name = fmt::format("{} ({})", entry_name(fate.write), entry.text);
  if (!entry.change->has_fate()) {
    return fail(fmt::format("{} changes nothing; it has no fate", name));
  }
  if (fate.kind == FateKind::kept) {
    return {};
  }
  const std::uint32_t completed = completed_at(plan.point);
  if (plan.point.kind == CutKind::kill && fate.write <= completed) {
    return fail(fmt::format("{} had completed before the kill; it cannot be lost", name));
  }
  if (fate.write <= completed && entry.durable_at <= completed) {
    return fail(fmt::format("{} was made durable by {} ({}); it cannot be lost",
                            name,
                            entry_name(entry.durable_at),
                            text(entry.durable_at)));
  }
  if (fate.kind == FateKind::lost) {
    return {};
  }
  const std::uint32_t steps =
      entry.change->kind == ChangeKind::length ? steps_of(entry, profile().data.sector_bytes) : 0;
  bool first = fate.kind == FateKind::torn && fate.tear_bytes == 0 && !fate.sectors.empty() &&
               fate.sectors.size() < steps;
  for (std::size_t at = 0; at < fate.sectors.size(); ++at) {
    first = first && fate.sectors[at] == at;
  }
  return first ? Status()
               : fail(fmt::format(
                     "{} can be kept or lost{}",
                     name,
                     steps > 1 ? fmt::format(", or torn sectors 0 to 0-{}", steps - 2) : ""));
}

/// What the plan says of bytes: its fates of writes, and for each truncation that of its discard.
CrashPlan TreeModel::data_plan(const CrashPlan& plan) const {
  CrashPlan data;
  data.point = plan.point;
  for (const Fate& fate : plan.fates) {
    if (!facts_->history.entry(fate.write).change) {
      data.fates.push_back(fate);
    }
    const std::uint32_t next = fate.write + 1;
    const bool truncates = next <= plan.point.entry && next <= log().size() &&
                           facts_->history.entry(next).discard_of == fate.write;
    const bool open = truncates && facts_->data.durable_since(next, plan.point) == 0;
    if (open && fate.kind == FateKind::lost) {
      data.fates.push_back({.write = next, .kind = FateKind::lost});
    }
  }
  return data;
}

TreeState TreeModel::build(const CrashPlan& plan) {
  const Status legal = check(plan);
  POWERCUT_CHECK(legal, "{}", legal.error().message);
  TreeState tree = recording_.base;
  for (std::uint32_t number = 1; number <= plan.point.entry; ++number) {
    const TreeHistory::Entry& entry = facts_->history.entry(number);
    if (entry.change && entry.change->renames() && !is_lost(plan, number)) {
      apply(*entry.change, tree);
    }
  }
  std::vector<Image> images = facts_->data.build(data_plan(plan));
  for (std::size_t disk = 0; disk < facts_->history.files().size(); ++disk) {
    Object* const file = tree.find(facts_->history.files()[disk]);
    if (file != nullptr && file->kind == ObjectKind::file) {
      file->bytes = std::move(images[disk]);
    }
  }
  settle_lengths(plan, tree);
  drop_unreachable(tree);
  return tree;
}

/// Each file has the length of its last kept change, and nothing behind it.
void TreeModel::settle_lengths(const CrashPlan& plan, TreeState& tree) const {
  const std::uint64_t sector_bytes = profile().data.sector_bytes;
  for (const ObjectNumber number : facts_->history.touched()) {
    if (tree.find(number) == nullptr) {
      continue;
    }
    Object& object = *tree.find(number);
    for (const std::uint32_t change : facts_->history.lengths_of(number)) {
      const TreeHistory::Entry& entry = facts_->history.entry(change);
      const Fate* const fate = change <= plan.point.entry ? fate_of(plan, change) : nullptr;
      if (change > plan.point.entry || (fate != nullptr && fate->kind == FateKind::lost)) {
        continue;
      }
      object.length_bytes = entry.change->length_bytes;
      if (fate != nullptr && fate->kind == FateKind::torn) {
        object.length_bytes =
            (entry.length_before / sector_bytes + fate->sectors.size()) * sector_bytes;
      }
    }
    make_room(object, object.length_bytes);
    object.bytes.write_zeros(object.length_bytes, object.bytes.size_bytes() - object.length_bytes);
  }
}

}  // namespace faultfs::tree
