#pragma once

#include <cstdint>

#include "faultfs/base/bytes.h"
#include "faultfs/write_log.h"

namespace faultfs {

enum class RequestKind : std::uint8_t {
  read,
  write,
  flush,
  discard,
  create,  ///< of a tree only, as all that follow: create, mkdir, symlink, link
  rename,
  unlink,  ///< unlink, rmdir
  truncate,
  sync_directory,  ///< fsync of a directory
};

/// What a client asks of a device. Plain data; `bytes` belongs to the caller.
struct Request {
  RequestKind kind = RequestKind::read;
  DiskNumber disk = 0;
  std::uint64_t offset_bytes = 0;  ///< 0 for a flush
  std::uint64_t size_bytes = 0;    ///< 0 for a flush
  ByteView bytes = {};             ///< of a write
  bool fua = false;                ///< of a write
  std::uint64_t generation = 0;    ///< the power-on its handle belongs to
  int client = 0;                  ///< the process (or thread) that asks; 0: unknown

  [[nodiscard]] bool changes() const { return kind != RequestKind::read; }
  [[nodiscard]] std::uint64_t end_bytes() const { return offset_bytes + size_bytes; }
};

/// What came of a request: 0 or an errno, and how many bytes were moved (all, or the first ones).
struct Outcome {
  int error = 0;
  std::uint64_t size_bytes = 0;
};

}  // namespace faultfs
