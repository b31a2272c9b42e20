#pragma once

#include <chrono>
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

  /// Gives the right to write to another instance; the text says what was done.
  using HandOver =
      std::function<Result<std::string>(bool retire, std::chrono::milliseconds patience)>;

  /// `reopen`: see ServerOptions. `hand_over` empty: there is no other instance.
  Dispatch(Store& store, Reopen reopen, HandOver hand_over)
      : store_(&store), reopen_(std::move(reopen)), hand_over_(std::move(hand_over)) {}
  /// From now on this one; null: none.
  void serve(Store* store) { store_ = store; }

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
  [[nodiscard]] Status hand_over(FrameReader& request,
                                 const std::set<UploadId>& uploads,
                                 FrameWriter& answer);

  Store* store_;
  Reopen reopen_;
  HandOver hand_over_;
  GetReply reply_;
  bool closed_ = false;
};

}  // namespace engine::service
