#pragma once

#include <list>
#include <memory>

#include <fuse3/fuse_lowlevel.h>

#include "faultfs/device.h"

namespace faultfs::mount {

/// Answers a request with what came of it; `bytes` are those of a read.
void reply(fuse_req_t request, const Request& asked, const Outcome& outcome, ByteView bytes);

/// Requests that faults make wait, each in a thread of its own, so that the serving thread goes on.
/// A client that is killed (or signalled) gives up: it gets EINTR at once, and its request takes
/// effect late, when it is let go, as a real device's does. Entered from the serving thread only.
class WaitingRoom {
 public:
  /// `device` must outlive it.
  explicit WaitingRoom(Device& device);
  ~WaitingRoom();
  WaitingRoom(const WaitingRoom&) = delete;
  WaitingRoom& operator=(const WaitingRoom&) = delete;

  void enter(fuse_req_t request, const Request& asked, const Arrival& arrival);
  /// Waits until all have left. The device must have let them go (a cut does).
  void close();

 private:
  struct Guest;
  Device* device_;
  std::list<std::unique_ptr<Guest>> guests_;
};

}  // namespace faultfs::mount
