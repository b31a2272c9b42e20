#pragma once

/// How the right to write goes from one living process to another. The giver P has the disk open
/// for writing; the taker S is up already and reads (cyclone/store.h, `follow_store`), so nobody
/// waits for a process to start.
///
///     step      P                                      S
///     hello     build, disk, life of the store  ->     the same? ready, or refuse with a reason
///     freeze    takes no request any more; everything is durable, the uploads in progress are
///               packed, the store is closed, its directory sealed in shared memory
///     cutover   disk (its descriptor, with the lock), uploads, each client's connection  ->
///               opens the store (attaches the directory), resumes the uploads
///               <-  alive, or refuse with a reason
///     release   go  ->                                 serves
///
/// Until `freeze` a failure costs nothing: P never stopped serving (*aborted*). From then until
/// `release` P can always go back: it still has disk, uploads and clients. It kills S first and
/// waits for its end, because a process that hangs may wake up; then it opens the store again and
/// goes on (*revived*). A send that fails is such a failure as much as an answer that does not
/// come. After `release` P never touches the disk. S serves nobody before it has seen `go`, or the
/// end of P: P closes the connection on no other path without having killed S.
///
/// Source of the idea: GlideFS's handoff (HELLO, READY, CUTOVER, PREDS_DEAD, ALIVE), without its
/// weak spots: failed sends revive as failed receives do, the fence is the death of the other
/// process and not a timeout, and the end of a freeze is the end of a scope.

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine/base/descriptor.h"
#include "engine/base/result.h"
#include "engine/handoff/board.h"
#include "engine/handoff/link.h"
#include "engine/store.h"

namespace engine::handoff {

/// Points of the protocol, in its order; each is passed just before what it names.
enum class Step : std::uint8_t {
  hello,    ///< P: sends it
  ready,    ///< S: answers it
  freeze,   ///< P: closes the store
  cutover,  ///< P: sends disk, uploads and clients
  open,     ///< S: opens the store
  alive,    ///< S: says that it has
  release,  ///< P: gives up the disk
  serve,    ///< S: serves
};
[[nodiscard]] std::string_view step_name(Step step);
[[nodiscard]] Result<Step> find_step(std::string_view name);
/// Called at each step; for tests that end or stop a process there.
using Watch = std::function<void(Step)>;

/// What both must agree on.
struct Terms {
  std::uint64_t abi_hash = 0;
  DiskIdentity disk;
  std::uint64_t disk_bytes = 0;
};

/// A client of P that S goes on with.
struct Client {
  Descriptor socket;
  std::vector<std::byte> unread;  ///< the beginning of its next request
  std::set<UploadId> uploads;
};

/// Where new clients come.
struct Listening {
  Descriptor socket;
  std::filesystem::path file;
};

/// Everything that goes over.
struct Freight {
  Descriptor disk;
  std::vector<Listening> listeners;  ///< none: P goes on listening
  std::vector<std::byte> uploads;
  std::vector<Client> clients;
};

/// P's side.
class Giver {
 public:
  Giver(Link link, std::chrono::milliseconds patience, Watch watch);
  /// Error: S refuses, or is gone.
  [[nodiscard]] Status agree(const Terms& terms);
  /// The store is about to be closed.
  void freeze() const { watch_(Step::freeze); }
  /// Lends what `freight` has. Returns when S has opened the store. Error: it has not, and will
  /// not: it said so, or is dead (`fenced`).
  [[nodiscard]] Status cut_over(const Freight& freight);
  /// S serves from now on. Error: as for `cut_over`.
  [[nodiscard]] Status release();
  /// False: the end of S was not seen, so the disk must not be opened.
  [[nodiscard]] bool fenced() const { return fenced_; }

 private:
  [[nodiscard]] Status send_freight(const Freight& freight);
  void fence();

  Link link_;
  Descriptor process_;  // pidfd of S
  Watch watch_;
  bool fenced_ = true;
};

/// S's side.
class Taker {
 public:
  Taker(Link link, Watch watch);
  /// Answers P. Error: the terms differ, or P is gone; nothing has changed.
  [[nodiscard]] Status agree(const Terms& own);
  /// What P gives. Error: P does not, after all; nothing has changed.
  [[nodiscard]] Result<Freight> receive();
  /// The store is open; returns when S may serve, and P is no owner of the disk any more.
  void serve();
  /// The store could not be opened, and is closed again.
  void refuse(const Error& why);

 private:
  [[nodiscard]] Result<Message> next();

  Link link_;
  Watch watch_;
};

}  // namespace engine::handoff
