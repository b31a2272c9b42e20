#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "faultfs/faults/expression.h"
#include "faultfs/image.h"
#include "faultfs/profile.h"
#include "faultfs/request.h"

namespace faultfs::faults {

enum class ChangeKind : std::uint8_t {
  ignored,      ///< acknowledged, not done: a flush that promises nothing, a write that is nowhere
  not_fua,      ///< an ordinary write
  moved,        ///< a write to `value`, a byte offset of the same disk
  flipped,      ///< bit `value` of the bytes of a write is the other one
  torn,         ///< of the bytes of a write only those in `kept` are new
  dropped,      ///< no later flush covers this write
  rolled_back,  ///< at this mark `range` went back to what it held after entry `value`
};

/// How what a device did with one log entry differs from what it was asked. Kept beside the log, so
/// that it can be taken back.
struct Change {
  std::uint32_t entry = 0;  ///< 0: the entry of the request at hand
  ChangeKind kind = ChangeKind::ignored;
  std::uint64_t value = 0;
  DiskNumber disk = 0;           ///< rolled_back
  Range range = {};              ///< rolled_back
  std::vector<Range> kept = {};  ///< torn; counted from the start of the write
  std::uint32_t fault = 0;       ///< who did it; set by the layer
};

class Fault;

/// When a client is killed.
enum class Killed : std::uint8_t { no, before, after };

/// What a device does with a request instead of what it was asked; as made, all that was asked.
struct Deed {
  int error = 0;                 ///< refused with this errno: nothing is done
  int reply = 0;                 ///< done, and answered with this errno
  std::uint64_t size_bytes = 0;  ///< how much of it is done
  Killed killed = Killed::no;
  std::vector<Change> changes;     ///< of this entry, or of earlier ones
  std::vector<Change> rollbacks;   ///< before the request
  std::vector<Fault*> on_its_way;  ///< faults that alter the bytes of a read
  std::vector<Request> landings;   ///< earlier writes that happen now, before this one
  std::uint64_t delay_ms = 0;      ///< waits that long before anything is done
  bool held = false;               ///< waits until it is released
};

/// What a fault may look at: the device below it.
struct Medium {
  const std::vector<Image>* disks = nullptr;  ///< as a reader sees them
  const WriteLog* done = nullptr;             ///< what the device did, as far as it is known
  const DeviceProfile* profile = nullptr;
  std::uint32_t issued_after = 0;  ///< of the request at hand
  std::uint32_t known_since = 0;   ///< from after this entry on contents can be had again
};

/// One fault of a device, between the client and the layer below. It changes nothing itself: it
/// says in a `Deed` what the device is to do, and the pristine request stays beside.
class Fault {
 public:
  virtual ~Fault() = default;
  /// The request is one of its own and now is the time. False: there was nothing to do to it.
  virtual bool fire(const Request& request, const Medium& medium, Deed& deed) = 0;
  /// Any request, before `fire`.
  virtual void attend(const Request& request, const Medium& medium, Deed& deed);
  /// A change that the device is about to carry out.
  virtual void before_change(const Request& request, const Medium& medium);
  /// The bytes of a read for which it put itself `on_its_way`.
  virtual void returned(const Request& request, const Medium& medium, MutableByteView bytes);
  /// The power went, and is on again: what the device had in its memory is gone.
  virtual void power_on();
  /// What waits because of it may go on.
  virtual void release();

  Fault(const Fault&) = delete;
  Fault& operator=(const Fault&) = delete;

 protected:
  Fault() = default;
};

using MakeFault = std::unique_ptr<Fault> (*)(const Expression& expression);

/// A word of its own that a fault takes, as in `to=32K`.
struct OwnWord {
  enum class Type : std::uint8_t { number, size, choice };
  std::string_view name;
  Type type = Type::number;
  std::string_view normal;                     ///< used when it is not given; empty: it must be
  std::vector<std::string_view> choices = {};  ///< of a choice
};

/// An entry of the catalogue: a fault, and what may be said of it.
struct FaultKind {
  std::string_view name;
  std::string_view summary;        ///< what it does, for people
  std::vector<RequestKind> kinds;  ///< the requests it can act on
  std::vector<OwnWord> own;
  bool at_arrival = false;  ///< makes requests wait; asked before the device takes the request up
  MakeFault make = nullptr;
  std::string_view place = "disk";  ///< the word for whose requests: disk=, of a tree file=
};

}  // namespace faultfs::faults
