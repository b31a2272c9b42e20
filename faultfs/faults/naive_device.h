#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "faultfs/faults/expression.h"
#include "faultfs/profile.h"
#include "faultfs/request.h"

namespace faultfs::naive {

/// What a client is told.
struct Answer {
  int error = 0;
  std::uint64_t size_bytes = 0;
  Bytes bytes = {};  ///< of a read
};

/// The prose of the faults once more, for tests: a device with faults as a list of what was asked
/// and a list of how faults bent it. The content of a byte is looked up backwards through both,
/// every time; nothing is kept up to date, and nothing is shared with the device but noise and
/// expressions.
class FaultyDevice {
 public:
  FaultyDevice(DeviceProfile profile, std::vector<std::string> names, std::vector<Bytes> disks);

  void add(const faults::Expression& expression);
  void switch_on(std::size_t fault, bool on);
  void release(std::size_t fault);
  void mark(const std::string& text);
  void power_on(const std::vector<Bytes>& disks);
  void cut() { is_cut_ = true; }

  /// By how many milliseconds, and by which fault (from 1; 0: none) it is made to wait.
  struct Wait {
    std::uint64_t delay_ms = 0;
    std::size_t held_by = 0;
  };
  Wait arrive(const Request& request);
  Answer carry_out(const Request& request);

  [[nodiscard]] std::uint64_t generation() const { return generation_; }
  /// The disks as readers see them, or as if no fault had changed them.
  [[nodiscard]] std::vector<Bytes> seen() const;
  [[nodiscard]] std::vector<Bytes> truth() const;
  /// What was done; marks have no text.
  [[nodiscard]] WriteLog done() const;
  [[nodiscard]] std::uint64_t firings(std::size_t fault) const { return faults_[fault].fired; }
  [[nodiscard]] std::uint64_t matches(std::size_t fault) const { return faults_[fault].matched; }

 private:
  enum class Bend { nothing, no_fua, move, flip, tear, forget, go_back };
  struct Bent {
    std::size_t fault;
    std::size_t entry;  ///< index into `asked_`
    Bend bend;
    std::uint64_t value = 0;
    std::vector<bool> is_new = {};  ///< tear: by byte
    std::uint64_t begin = 0, end = 0;
    DiskNumber disk = 0;
  };
  struct Asked {
    EntryKind kind;
    Request request;
    Bytes bytes;
    std::size_t issued_after = 0;
  };
  struct Pending {
    Request request;
    Bytes bytes;
    std::uint64_t left;
  };
  struct Fault {
    faults::Expression expression;
    bool on = true;
    bool open = true;
    bool stalls = false;
    std::uint64_t matched = 0;
    std::uint64_t fired = 0;
    std::set<std::pair<DiskNumber, std::uint64_t>> bad;
    std::map<std::pair<DiskNumber, std::uint64_t>, Bytes> older;
    std::vector<Pending> late;
    std::set<DiskNumber> owed;
  };
  /// What is being decided about one request.
  struct Decision {
    int error = 0;
    int reply = 0;
    std::uint64_t size = 0;
    bool dies_before = false, dies_after = false;
    std::vector<Bent> bends;  ///< entry: asked_.size() means its own
    std::vector<Bent> go_backs;
    std::vector<Pending> landings;
    std::vector<std::size_t> bending_reads;
  };
  void ask(std::size_t fault, const Request& request, Decision& decision);
  void look(Fault& fault, const Request& request, Decision& decision);
  bool fire(std::size_t fault, const Request& request, Decision& decision);
  bool fire_at_read(std::size_t fault, const Request& request, Decision& decision);
  bool fire_at_write(std::size_t fault, const Request& request, Decision& decision);
  bool fire_at_flush(std::size_t fault, const Request& request, Decision& decision);
  [[nodiscard]] bool matches(const Fault& fault, const Request& request) const;
  [[nodiscard]] static bool now(Fault& fault);
  [[nodiscard]] std::vector<bool> torn(const Fault& fault, const Request& request) const;
  void enter(const Request& request, std::size_t issued_after);
  void bend_read(const Fault& fault, const Request& request, Bytes& bytes) const;
  [[nodiscard]] bool is_inside(const Request& request) const;
  [[nodiscard]] bool has(std::size_t entry, Bend bend) const;
  [[nodiscard]] bool is_cached(std::size_t entry, DiskNumber disk) const;
  [[nodiscard]] std::uint64_t place(std::size_t entry) const;
  /// Bytes after the first `entries` entries.
  struct Stretch {
    DiskNumber disk;
    std::uint64_t at, size;
    std::size_t entries;
  };
  /// What one entry may have to do with a stretch.
  struct Effect {
    std::size_t entry;
    std::uint64_t begin;  ///< where it landed
    std::vector<const Bent*> bends;
  };
  [[nodiscard]] std::vector<Effect> effects(const Stretch& stretch, bool bent) const;
  [[nodiscard]] std::byte byte(const Stretch& stretch,
                               std::uint64_t at,
                               const std::vector<Effect>& effects) const;
  /// With what faults did, or without.
  [[nodiscard]] Bytes range(
      DiskNumber disk, std::uint64_t at, std::uint64_t size, std::size_t entries, bool bent) const;

  DeviceProfile profile_;
  std::vector<std::string> names_;
  std::vector<Bytes> base_;
  std::vector<Asked> asked_;
  std::vector<Bent> bent_;
  std::vector<Fault> faults_;
  std::uint64_t generation_ = 1;
  bool is_cut_ = false;
};

}  // namespace faultfs::naive
