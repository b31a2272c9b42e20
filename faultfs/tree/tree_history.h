#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "faultfs/tree/tree.h"

namespace faultfs::tree {

/// What a log of a tree says, read once from the front: each change, which earlier ones it needs,
/// and since which entry it is durable. The rules are those of the prose in tree_model.cc.
class TreeHistory {
 public:
  static constexpr std::uint32_t never = ~0U;

  /// What is known of one entry of the log.
  struct Entry {
    std::optional<Change> change;
    std::vector<std::uint32_t> needs;  ///< names: earlier changes, ascending
    std::uint32_t durable_at = never;  ///< changes: the entry that made it durable
    std::uint64_t length_before = 0;   ///< length
    std::uint32_t discard_of = 0;      ///< discard: the `length` it belongs to; 0: none
    bool ends_request = true;          ///< false: another entry of the same request follows
    std::string text;                  ///< in words
  };

  /// The recording must outlive it.
  explicit TreeHistory(const Recording& recording);

  /// An error where the log is not one of this tree; then nothing else may be asked.
  [[nodiscard]] const Status& status() const { return status_; }
  [[nodiscard]] const Entry& entry(std::uint32_t number) const { return entries_[number]; }
  /// The file whose bytes `disk` holds; 0: none.
  [[nodiscard]] ObjectNumber file_of(DiskNumber disk) const;
  [[nodiscard]] const std::vector<ObjectNumber>& files() const { return files_; }
  /// The files whose bytes or length the log changes.
  [[nodiscard]] std::set<ObjectNumber> touched() const;
  /// The changes of length of `file`, ascending.
  [[nodiscard]] std::vector<std::uint32_t> lengths_of(ObjectNumber file) const;

 private:
  void read_mark(std::uint32_t number);
  void read_bytes(std::uint32_t number);
  void note_length(std::uint32_t number, const Change& change);
  void note_names(std::uint32_t number, const Change& change);
  void note_sync(std::uint32_t number, const Change& change);
  void note_flush(std::uint32_t number, ObjectNumber file);
  void need(std::uint32_t number, std::uint32_t earlier);
  void need_names(std::uint32_t number, ObjectNumber directory, const std::string& name);
  void place(ObjectNumber object, ObjectNumber directory, const std::string& name);
  void make_durable(std::uint32_t number, std::uint32_t since);
  template <typename Covers>
  void cover(std::uint32_t since, const Covers& covers);
  [[nodiscard]] bool fits(const Change& change) const;
  [[nodiscard]] std::string path(ObjectNumber object) const;
  [[nodiscard]] std::string text_of(const Change& change) const;

  const Recording& recording_;
  Status status_;
  std::vector<Entry> entries_;  ///< by number; 0 is unused
  std::vector<ObjectNumber> files_;
  std::map<ObjectNumber, std::vector<std::uint32_t>> lengths_;

  // While reading.
  struct Node {
    bool directory = false;
    ObjectNumber parent = 0;  ///< the directory in which it was named last
    std::string name;         ///< its last name there
    std::uint64_t length_bytes = 0;
    std::uint32_t last_change = 0;              ///< of its place
    std::vector<std::uint32_t> changes_inside;  ///< of a directory
  };
  std::map<ObjectNumber, Node> nodes_;
  std::map<std::pair<ObjectNumber, std::string>, std::uint32_t> last_of_name_;
  std::vector<std::uint32_t> pending_;  ///< changes of names that are not durable
};

}  // namespace faultfs::tree
