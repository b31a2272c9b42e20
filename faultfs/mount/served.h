#pragma once

#include <memory>

#include <fuse3/fuse_lowlevel.h>

#include "faultfs/mount/mount.h"

namespace faultfs::mount {

/// What a mount shows: the operations of libfuse, and what they work on.
class Served {
 public:
  virtual ~Served() = default;
  Served(const Served&) = delete;
  Served& operator=(const Served&) = delete;
  [[nodiscard]] virtual fuse_lowlevel_ops operations() const = 0;
  /// The user data of the session.
  [[nodiscard]] virtual void* data() = 0;
  /// The mount is there, and requests come from now on.
  virtual void begin() = 0;
  /// From now on nothing that still arrives changes anything.
  virtual void cut() = 0;
  /// The serving thread has ended.
  virtual void end() = 0;

 protected:
  Served() = default;
};

/// Kills process `client`, and says whether it could: one of this process is not killed, and one
/// that cannot be named neither.
[[nodiscard]] bool kill_client(int client);

/// Mounts `served` on `options.directory`, as `Mount::create` does with disks.
[[nodiscard]] Result<std::unique_ptr<Mount>> serve(std::unique_ptr<Served> served,
                                                   const MountOptions& options);

}  // namespace faultfs::mount
