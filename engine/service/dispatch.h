#pragma once

#include <set>

#include "engine/service/wire.h"
#include "engine/store.h"

namespace engine::service {

/// Carries out requests on a store and writes the answers.
class Dispatch {
 public:
  explicit Dispatch(Store& store) : store_(store) {}

  /// `request` is a frame without its length; `answer` becomes a whole frame. `uploads`: those the
  /// connection has begun and not ended.
  void handle(std::span<const std::byte> request, std::set<UploadId>& uploads, Bytes& answer);
  /// True once a client has asked the process to stop.
  [[nodiscard]] bool closed() const { return closed_; }

 private:
  [[nodiscard]] Status carry_out(FrameReader& request,
                                 std::set<UploadId>& uploads,
                                 FrameWriter& answer);
  [[nodiscard]] Status upload_verb(Verb verb,
                                   FrameReader& request,
                                   std::set<UploadId>& uploads,
                                   FrameWriter& answer);
  [[nodiscard]] Status object_verb(Verb verb, FrameReader& request, FrameWriter& answer);
  [[nodiscard]] Status store_verb(Verb verb, FrameWriter& answer);

  Store& store_;
  GetReply reply_;
  bool closed_ = false;
};

}  // namespace engine::service
