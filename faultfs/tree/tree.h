#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "faultfs/faults/expression.h"
#include "faultfs/profile.h"
#include "faultfs/tree/objects.h"
#include "faultfs/write_log.h"

namespace faultfs {
struct FaultState;
}  // namespace faultfs

namespace faultfs::tree {

class TreeFaults;
struct TreeChange;
struct TreeDeed;
struct TreeRequest;

/// What a tree promises. Promises remove outcomes (tree_model.cc says which). The named ones are
/// `tree_promises()`.
struct TreeProfile {
  DeviceProfile data;                   ///< what holds for the bytes of files, and of every sync
  bool changes_in_order = true;         ///< a cut loses the last changes of names, not some of them
  bool file_sync_covers_names = false;  ///< fsync of a file makes its names durable, too
};

/// One way in which file systems treat names.
struct TreePromise {
  std::string_view name;
  bool changes_in_order = true;
  bool file_sync_covers_names = false;
  std::string_view text;  ///< what it is like
};

/// ordered, journal, loose.
[[nodiscard]] const std::vector<TreePromise>& tree_promises();

/// The profile of a device profile's name and a promise's. Error: names the word and the allowed
/// ones.
[[nodiscard]] Result<TreeProfile> find_tree_profile(std::string_view device,
                                                    std::string_view promise);

/// What a tree was asked, from the state it had when the log began.
struct Recording {
  TreeState base;
  WriteLog log;
  TreeProfile profile;
};

/// Where a new name is to stand, or an old one stands.
struct Place {
  ObjectNumber directory = 0;
  std::string name;
};

/// What a new object is to be.
struct NewObject {
  ObjectKind kind = ObjectKind::file;
  std::uint32_t mode = 0644;
  uid_t user = 0;
  gid_t group = 0;
  std::string target = {};  ///< of a symbolic link
};

/// What `Tree::set_attributes` sets; empty: left as it is.
struct NewAttributes {
  std::optional<std::uint32_t> mode;
  std::optional<uid_t> user;
  std::optional<gid_t> group;
  std::optional<timespec> changed;
};

struct TreeCounters {
  std::uint64_t writes = 0, flushes = 0, changes = 0;  ///< changes: of names and lengths
  std::uint64_t written_bytes = 0;
  std::uint64_t refused_after_cut = 0;  ///< requests that got EIO because of a cut
  std::uint64_t refused_stale = 0;      ///< … through a handle from before the last power-on
};

/// A directory tree that takes the requests of programs, with one log, cuts, and a generation
/// fence: to an ordinary tree what `Device` is to disks. Used directly (in memory) or under a FUSE
/// mount. All members may be called from any thread; log order is the order in which requests took
/// effect.
///
/// Every request returns 0 or an errno: EIO after a cut and through a handle from before the last
/// power-on (`generation`: that of the handle); those of POSIX otherwise. After a cut nothing
/// changes until `power_on`.
class Tree {
 public:
  /// `base` is durable.
  explicit Tree(TreeProfile profile, TreeState base = TreeState());
  ~Tree();
  Tree(const Tree&) = delete;
  Tree& operator=(const Tree&) = delete;

  [[nodiscard]] const TreeProfile& profile() const { return profile_; }

  // Requests that change nothing.
  [[nodiscard]] int look_up(std::uint64_t generation, const Place& place, ObjectNumber& found);
  /// Everything about an object but its bytes and entries.
  [[nodiscard]] int attributes(std::uint64_t generation, ObjectNumber object, Object& found);
  /// The names in a directory; it may change while a program reads it.
  [[nodiscard]] int list(std::uint64_t generation,
                         ObjectNumber directory,
                         std::map<std::string, ObjectNumber>& entries);
  /// Fills `into` from `offset_bytes` on; `done` is less than asked for at the end of the file.
  [[nodiscard]] int read(std::uint64_t generation,
                         ObjectNumber file,
                         std::uint64_t offset_bytes,
                         MutableByteView into,
                         std::size_t& done);

  // Requests that change names and lengths.
  [[nodiscard]] int make(std::uint64_t generation,
                         const Place& place,
                         const NewObject& object,
                         ObjectNumber& made);
  [[nodiscard]] int link(std::uint64_t generation, ObjectNumber object, const Place& place);
  [[nodiscard]] int unlink(std::uint64_t generation, const Place& place);
  [[nodiscard]] int remove_directory(std::uint64_t generation, const Place& place);
  /// `over`: may take the name of another object.
  [[nodiscard]] int rename(std::uint64_t generation, const Place& from, const Place& to, bool over);
  [[nodiscard]] int truncate(std::uint64_t generation,
                             ObjectNumber file,
                             std::uint64_t length_bytes);
  /// Modes, owners and times are no part of the model: they stay as they were seen last.
  [[nodiscard]] int set_attributes(std::uint64_t generation,
                                   ObjectNumber object,
                                   const NewAttributes& wanted);

  // Requests about bytes.
  [[nodiscard]] int write(std::uint64_t generation,
                          ObjectNumber file,
                          std::uint64_t offset_bytes,
                          ByteView from);
  /// Zeros inside the length of the file.
  [[nodiscard]] int punch(std::uint64_t generation,
                          ObjectNumber file,
                          std::uint64_t offset_bytes,
                          std::uint64_t size_bytes);
  /// fsync, fdatasync: of a file or directory.
  [[nodiscard]] int sync(std::uint64_t generation, ObjectNumber object);

  /// Nobody has `object` open or in memory any more: without a name it goes.
  void forget(ObjectNumber object);

  // Faults (tree_faults.h), as those of a device.
  /// Puts a fault behind those that are there; returns its number.
  [[nodiscard]] Result<std::uint32_t> add_fault(const faults::Expression& expression);
  /// Switched off, a fault fires no more, and what it did to bytes and to durability since the last
  /// power-on is taken back; switched on, it is there again. Error: there is none of that number.
  [[nodiscard]] Status switch_fault(std::uint32_t number, bool on);
  /// All faults and what they did are gone.
  void clear_faults();
  [[nodiscard]] std::vector<FaultState> faults() const;
  /// Kills a client (`client_is`). Without one, or where it returns false, all handles are fenced
  /// instead. It must not use the tree.
  void on_kill(std::function<bool(int client)> kill);
  /// Who asks from now on: a process, or 0.
  void client_is(int client) { client_ = client; }

  /// Puts a named point into the log.
  void mark(std::string_view text);
  /// The current power-on; starts at 1 and grows by one per `power_on`.
  [[nodiscard]] std::uint64_t generation() const;

  // Control.
  void cut_now();
  /// The cut falls just before the `n`-th request (write, sync or change) from now.
  void cut_at_request(std::uint64_t n);
  void cut_at_mark(std::string text);
  void disarm();
  [[nodiscard]] bool is_cut() const;
  /// Power on with this tree: it is durable, the log is empty, no cut is armed, and handles from
  /// before get EIO for ever.
  void power_on(TreeState tree);
  /// The tree as a program sees it now.
  [[nodiscard]] TreeState snapshot() const;
  /// The same as if no fault had changed it since the last power-on.
  [[nodiscard]] TreeState truth() const;
  /// What was done since the last power-on, and to what. With faults that is not what was asked.
  [[nodiscard]] Recording recording() const;
  [[nodiscard]] std::uint32_t log_size() const;
  [[nodiscard]] TreeCounters counters() const;

 private:
  [[nodiscard]] int admit(std::uint64_t generation);
  [[nodiscard]] int admit_change(std::uint64_t generation);
  [[nodiscard]] int find_file(std::uint64_t generation, ObjectNumber number, Object*& file);
  [[nodiscard]] int find_directory(ObjectNumber number, Object*& directory);
  [[nodiscard]] int find_entry(const Place& place, ObjectNumber& object);
  [[nodiscard]] int check_free(const Place& place);
  [[nodiscard]] int check_target(ObjectNumber moved, ObjectNumber replaced) const;
  [[nodiscard]] bool is_below(ObjectNumber directory, ObjectNumber above) const;
  [[nodiscard]] int take_up(std::uint64_t generation, const TreeRequest& request, TreeDeed& deed);
  [[nodiscard]] int finish(const TreeDeed& deed);
  void kill();
  void enter_mark(std::string_view text, const TreeDeed& deed);
  void enter_write(DiskNumber disk,
                   std::uint64_t offset_bytes,
                   ByteView from,
                   Object& file,
                   const TreeDeed& deed);
  void enter_discard(DiskNumber disk,
                     std::uint64_t offset_bytes,
                     std::uint64_t size_bytes,
                     Object& file);
  void enter_flush(DiskNumber disk, const TreeDeed& deed);
  void note(const TreeDeed& deed);
  [[nodiscard]] std::map<DiskNumber, Object> replay(bool with_faults, WriteLog& done) const;
  void put_bytes(std::map<DiskNumber, Object> files, TreeState& tree) const;
  void rebuild();
  void add(const Change& change);
  void removed(ObjectNumber object);
  [[nodiscard]] DiskNumber disk_of(ObjectNumber file, int& error);

  TreeProfile profile_;
  mutable std::mutex mutex_;
  TreeState base_;                      ///< when the log began
  TreeState state_;                     ///< as programs see it
  WriteLog log_;                        ///< what was done
  std::unique_ptr<TreeFaults> faults_;  ///< null: no fault was ever added
  WriteLog asked_;                      ///< with faults: what was asked, entry for entry
  std::vector<TreeChange> changes_;     ///< how `log_` differs from it; ascending by entry
  std::function<bool(int)> kill_;
  std::atomic<int> client_{0};
  std::map<ObjectNumber, DiskNumber> disks_;  ///< of the files with bytes or a sync in the log
  TreeCounters counters_;
  std::uint64_t generation_ = 1;
  std::uint64_t requests_until_cut_ = 0;
  std::optional<std::string> cut_mark_;
  bool is_cut_ = false;
};

}  // namespace faultfs::tree
