// A tree with faults. A request is admitted, meets the faults, and is entered twice: as it was
// asked and, under the same number, as it was done (prose: tree_faults.cc). Without faults there is
// one log, and nothing of this costs anything.

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>

#include "faultfs/tree/tree.h"
#include "faultfs/tree/tree_faults.h"

namespace faultfs::tree {
namespace {

using faults::Killed;

/// What of entry `number` was not done, in words.
std::string not_done(const WriteLog& asked, std::uint32_t number) {
  const LogEntry& entry = asked.entry(number);
  if (entry.kind == EntryKind::mark) {
    return fmt::format("{} not done: {}", entry_name(number), asked.mark_text(number));
  }
  return entry.kind == EntryKind::flush
             ? fmt::format("{} not done: FLUSH of file data {}", entry_name(number), entry.disk)
             : fmt::format("{} not done: write of {} bytes at 0x{:x} of file data {}",
                           entry_name(number),
                           entry.size_bytes,
                           entry.offset_bytes,
                           entry.disk);
}

/// The bytes of a write, old ones between the pieces that are kept.
Bytes torn(ByteView asked, const TreeChange& change, const LogEntry& entry, const Image& file) {
  Bytes bytes(asked.size());
  file.read(entry.offset_bytes, bytes);
  for (const Piece& kept : change.kept) {
    const auto begin = static_cast<std::ptrdiff_t>(kept.offset_bytes);
    std::copy_n(asked.begin() + begin, kept.size_bytes, bytes.begin() + begin);
  }
  return bytes;
}

/// Does entry `number` of `asked` with these changes: to `file`, where it has bytes, and to `done`.
void step(const WriteLog& asked,
          std::uint32_t number,
          const std::vector<TreeChange>& changes,
          Object* file,
          WriteLog& done) {
  const LogEntry& entry = asked.entry(number);
  const bool ignored =
      std::ranges::any_of(changes, [](const TreeChange& change) { return !change.torn; });
  if (ignored) {
    done.add_mark(not_done(asked, number));
    return;
  }
  if (entry.kind == EntryKind::write) {
    make_room(*file, entry.offset_bytes + entry.size_bytes);
    Bytes bytes(asked.data(number).begin(), asked.data(number).end());
    for (const TreeChange& change : changes) {
      bytes = torn(bytes, change, entry, file->bytes);
    }
    file->bytes.write(entry.offset_bytes, bytes);
    done.add_write(entry.disk, entry.offset_bytes, bytes, false, entry.issued_after);
    return;
  }
  if (entry.kind == EntryKind::discard) {
    make_room(*file, entry.offset_bytes + entry.size_bytes);
    file->bytes.write_zeros(entry.offset_bytes, entry.size_bytes);
  }
  done.add_like(asked, number);
}

}  // namespace

/// 0 where the request is to be carried out; the cut may fall on it, and faults may refuse it.
int Tree::take_up(std::uint64_t generation, const TreeRequest& request, TreeDeed& deed) {
  const int refused =
      request.kind == RequestKind::read ? admit(generation) : admit_change(generation);
  if (refused != 0 || !faults_) {
    return refused;
  }
  deed = faults_->decide(request, state_);
  if (deed.cut == Killed::before) {
    is_cut_ = true;
    return admit(generation);
  }
  if (deed.killed == Killed::before) {
    kill();
    return EIO;
  }
  return deed.error;
}

/// What a client is told of a request that was carried out.
int Tree::finish(const TreeDeed& deed) {
  if (deed.cut == Killed::after) {
    is_cut_ = true;
    return EIO;
  }
  if (deed.killed == Killed::after) {
    kill();
    return EIO;
  }
  return 0;
}

/// Without a process to kill, nothing more comes through handles of this generation.
void Tree::kill() {
  const int client = client_;
  if (!kill_ || !kill_(client)) {
    ++generation_;
  }
}

void Tree::note(const TreeDeed& deed) {
  for (TreeChange change : deed.changes) {
    change.entry = asked_.size();
    changes_.push_back(std::move(change));
  }
}

void Tree::enter_mark(std::string_view text, const TreeDeed& deed) {
  if (!faults_) {
    log_.add_mark(text);
    return;
  }
  asked_.add_mark(text);
  note(deed);
  step(asked_, asked_.size(), deed.changes, nullptr, log_);
}

void Tree::enter_write(DiskNumber disk,
                       std::uint64_t offset_bytes,
                       ByteView from,
                       Object& file,
                       const TreeDeed& deed) {
  if (!faults_) {
    file.bytes.write(offset_bytes, from);
    log_.add_write(disk, offset_bytes, from, false, log_.size());
    return;
  }
  asked_.add_write(disk, offset_bytes, from, false, asked_.size());
  note(deed);
  step(asked_, asked_.size(), deed.changes, &file, log_);
}

void Tree::enter_discard(DiskNumber disk,
                         std::uint64_t offset_bytes,
                         std::uint64_t size_bytes,
                         Object& file) {
  if (faults_) {
    asked_.add_discard(disk, offset_bytes, size_bytes, asked_.size());
  }
  log_.add_discard(disk, offset_bytes, size_bytes, log_.size());
  file.bytes.write_zeros(offset_bytes, size_bytes);
}

void Tree::enter_flush(DiskNumber disk, const TreeDeed& deed) {
  if (!faults_) {
    log_.add_flush(disk, log_.size());
    return;
  }
  asked_.add_flush(disk, asked_.size());
  note(deed);
  step(asked_, asked_.size(), deed.changes, nullptr, log_);
}

/// All that was asked, done again into `done`, with the faults that are on or without any; returns
/// what the files that were written hold then.
std::map<DiskNumber, Object> Tree::replay(bool with_faults, WriteLog& done) const {
  std::map<DiskNumber, Object> files;
  for (const auto& [number, disk] : disks_) {
    const Object* const before = base_.find(number);
    files[disk].bytes = before == nullptr ? Image() : before->bytes;
  }
  auto next = changes_.begin();
  for (std::uint32_t number = 1; number <= asked_.size(); ++number) {
    std::vector<TreeChange> now;
    for (; next != changes_.end() && next->entry == number; ++next) {
      if (with_faults && faults_->is_on(next->fault)) {
        now.push_back(*next);
      }
    }
    const LogEntry& entry = asked_.entry(number);
    step(
        asked_, number, now, entry.kind == EntryKind::mark ? nullptr : &files.at(entry.disk), done);
  }
  return files;
}

/// Gives the files of `tree` the bytes they have in `files`; some may be gone.
void Tree::put_bytes(std::map<DiskNumber, Object> files, TreeState& tree) const {
  for (const auto& [number, disk] : disks_) {
    if (Object* const file = tree.find(number); file != nullptr) {
      Object& bytes = files.at(disk);
      make_room(bytes, file->length_bytes);
      file->bytes = std::move(bytes.bytes);
    }
  }
}

void Tree::rebuild() {
  WriteLog done;
  put_bytes(replay(true, done), state_);
  log_ = std::move(done);
}

Result<std::uint32_t> Tree::add_fault(const faults::Expression& expression) {
  const std::lock_guard lock(mutex_);
  if (!faults_) {
    faults_ = std::make_unique<TreeFaults>(profile_.data.sector_bytes);
    asked_ = log_;
  }
  return faults_->add(expression);
}

Status Tree::switch_fault(std::uint32_t number, bool on) {
  const std::lock_guard lock(mutex_);
  if (!faults_ || !faults_->switch_on(number, on)) {
    return fail(fmt::format("there is no fault {}; `fault list` shows those there are", number));
  }
  rebuild();
  return {};
}

void Tree::clear_faults() {
  const std::lock_guard lock(mutex_);
  if (faults_) {
    changes_.clear();
    rebuild();
    faults_.reset();
    asked_.clear();
  }
}

std::vector<FaultState> Tree::faults() const {
  const std::lock_guard lock(mutex_);
  return faults_ ? faults_->list() : std::vector<FaultState>();
}

void Tree::on_kill(std::function<bool(int client)> kill) {
  const std::lock_guard lock(mutex_);
  kill_ = std::move(kill);
}

TreeState Tree::truth() const {
  const std::lock_guard lock(mutex_);
  TreeState true_one = state_;
  if (faults_) {
    WriteLog ignored;
    put_bytes(replay(false, ignored), true_one);
  }
  drop_unreachable(true_one);
  return true_one;
}

}  // namespace faultfs::tree
