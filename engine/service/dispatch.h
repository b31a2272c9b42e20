#pragma once

#include <functional>
#include <set>
#include <utility>

#include "engine/service/wire.h"
#include "engine/store.h"

namespace engine::service {

/// Carries out requests on a store and writes the answers.
class Dispatch {
 public:
  using Reopen = std::function<Result<Store*>(std::uint64_t seed, std::uint32_t slot_bytes)>;

  /// `reopen`: see ServerOptions.
  Dispatch(Store& store, Reopen reopen) : store_(&store), reopen_(std::move(reopen)) {}

  /// `request` is a frame without its length; a whole frame is added to `answers`. `uploads`: those
  /// the connection has begun and not ended.
  void handle(std::span<const std::byte> request, std::set<UploadId>& uploads, Bytes& answers);
  /// True once a client has asked the process to stop.
  [[nodiscard]] bool closed() const { return closed_; }
  /// The store that is served now; null after a reopening that failed.
  [[nodiscard]] Store* store() const { return store_; }

 private:
  [[nodiscard]] Status carry_out(FrameReader& request,
                                 std::set<UploadId>& uploads,
                                 FrameWriter& answer);
  [[nodiscard]] Status upload_verb(Verb verb,
                                   FrameReader& request,
                                   std::set<UploadId>& uploads,
                                   FrameWriter& answer);
  [[nodiscard]] Status put(FrameReader& request, std::set<UploadId>& uploads);
  [[nodiscard]] Status object_verb(Verb verb, FrameReader& request, FrameWriter& answer);
  [[nodiscard]] Status store_verb(Verb verb, FrameReader& request, FrameWriter& answer);
  [[nodiscard]] Status tick(FrameReader& request, FrameWriter& answer);

  [[nodiscard]] Status reopen(FrameReader& request, std::set<UploadId>& uploads);

  Store* store_;
  Reopen reopen_;
  GetReply reply_;
  bool closed_ = false;
};

}  // namespace engine::service
