#include "engine/service/dispatch.h"

#include "engine/service/tables.h"

namespace engine::service {
namespace {

Status done(const Result<bool>& result, FrameWriter& answer) {
  if (!result) {
    return tl::unexpected(result.error());
  }
  answer.u8(*result ? 1 : 0);
  return {};
}

Status malformed() {
  return fail(Trouble::invalid, "the request is cut short or of an unknown kind");
}

}  // namespace

void Dispatch::handle(std::span<const std::byte> request,
                      std::set<UploadId>& uploads,
                      Bytes& answers) {
  const std::size_t begin = answers.size();
  FrameReader reader(request);
  FrameWriter writer(answers);
  writer.u8(0);
  const Status outcome = carry_out(reader, uploads, writer);
  if (outcome) {
    writer.finish();
    return;
  }
  answers.resize(begin);
  FrameWriter refusal(answers);
  refusal.u8(static_cast<std::uint8_t>(1 + static_cast<int>(outcome.error().trouble)));
  refusal.text(outcome.error().message);
  refusal.finish();
}

Status Dispatch::carry_out(FrameReader& request, std::set<UploadId>& uploads, FrameWriter& answer) {
  const auto verb = static_cast<Verb>(request.u8());
  if (verb == Verb::reopen) {
    return reopen(request, uploads);
  }
  if (verb == Verb::hand_over) {
    return hand_over(request, uploads, answer);
  }
  if (store_ == nullptr) {
    return fail(Trouble::gone, "no store is open");
  }
  if (verb == Verb::put) {
    return put(request, uploads);
  }
  if (verb >= Verb::begin_put && verb <= Verb::abort) {
    return upload_verb(verb, request, uploads, answer);
  }
  if ((verb >= Verb::get && verb <= Verb::purge) || verb == Verb::verify ||
      verb == Verb::being_put) {
    return object_verb(verb, request, answer);
  }
  return store_verb(verb, request, answer);
}

Status Dispatch::reopen(FrameReader& request, std::set<UploadId>& uploads) {
  const std::uint64_t seed = request.u64();
  const std::uint32_t slot_bytes = request.u32();
  if (!request.whole()) {
    return malformed();
  }
  if (!reopen_) {
    return fail(Trouble::invalid, "this process opens its store once");
  }
  uploads.clear();
  const auto opened = reopen_(seed, slot_bytes);
  store_ = opened ? *opened : nullptr;
  return opened ? Status{} : tl::unexpected(opened.error());
}

Status Dispatch::hand_over(FrameReader& request,
                           const std::set<UploadId>& uploads,
                           FrameWriter& answer) {
  const bool retire = request.u8() != 0;
  const std::chrono::milliseconds patience(request.u32());
  if (!request.whole()) {
    return malformed();
  }
  if (!hand_over_) {
    return fail(Trouble::invalid, "this engine has no second instance (serve --cooperate)");
  }
  if (!uploads.empty()) {
    return fail(Trouble::invalid, "who asks for a handoff must have no upload in progress");
  }
  const auto done = hand_over_(retire, patience);
  if (done) {
    answer.text(*done);
  }
  return done ? Status{} : tl::unexpected(done.error());
}

Status Dispatch::upload_verb(Verb verb,
                             FrameReader& request,
                             std::set<UploadId>& uploads,
                             FrameWriter& answer) {
  if (verb == Verb::begin_put) {
    const std::string_view key = request.text();
    const std::string_view header = request.text();
    const std::uint64_t body_bytes = request.u64();
    if (!request.whole()) {
      return malformed();
    }
    const auto upload = store_->begin_put(key, header, body_bytes);
    if (!upload) {
      return tl::unexpected(upload.error());
    }
    uploads.insert(*upload);
    answer.u64(*upload);
    return {};
  }
  const UploadId upload = request.u64();
  if (!request.whole()) {
    return malformed();
  }
  if (verb == Verb::append) {
    return store_->append(upload, request.rest());
  }
  const Status ended = verb == Verb::commit ? store_->commit(upload) : store_->abort(upload);
  if (ended) {
    uploads.erase(upload);
  }
  return ended;
}

/// An upload that is neither committed nor aborted stays the connection's.
Status Dispatch::put(FrameReader& request, std::set<UploadId>& uploads) {
  const std::string_view key = request.text();
  const std::string_view header = request.text();
  if (!request.whole()) {
    return malformed();
  }
  const auto upload = store_->begin_put(key, header, request.rest().size());
  if (!upload) {
    return tl::unexpected(upload.error());
  }
  uploads.insert(*upload);
  const Status taken = store_->append(*upload, request.rest());
  const Status ended = taken ? store_->commit(*upload) : store_->abort(*upload);
  if (ended) {
    uploads.erase(*upload);
  }
  const bool gone = !ended && (ended.error().trouble == Trouble::device ||
                               ended.error().trouble == Trouble::lost);
  return taken || gone ? ended : taken;
}

Status Dispatch::object_verb(Verb verb, FrameReader& request, FrameWriter& answer) {
  const std::string_view key = request.text();
  if (verb == Verb::purge) {
    return request.whole() ? done(store_->purge(key), answer) : malformed();
  }
  if (verb == Verb::being_put) {
    return request.whole() ? done(store_->being_put(key), answer) : malformed();
  }
  if (verb == Verb::verify) {
    return request.whole() ? done(store_->verify(key), answer) : malformed();
  }
  if (verb == Verb::update_header) {
    const std::string_view header = request.text();
    return request.whole() ? done(store_->update_header(key, header), answer) : malformed();
  }
  ByteRange range;
  range.offset_bytes = request.u64();
  range.size_bytes = request.u64();
  if (!request.whole()) {
    return malformed();
  }
  const Status got = store_->get(key, range, reply_);
  if (!got) {
    return got;
  }
  if (reply_.body.size() > frame_bytes_max / 2) {
    return fail(Trouble::invalid, "the answer is longer than a frame may be; read it in ranges");
  }
  answer.u8(reply_.hit ? 1 : 0);
  answer.text(reply_.header);
  answer.u64(reply_.body_bytes);
  answer.raw(reply_.body);
  return {};
}

Status Dispatch::tick(FrameReader& request, FrameWriter& answer) {
  const std::uint64_t slices = request.u64();
  return request.whole() ? done(store_->ticks(slices), answer) : malformed();
}

Status Dispatch::store_verb(Verb verb, FrameReader& request, FrameWriter& answer) {
  switch (verb) {
    case Verb::purge_all:
      return store_->purge_all();
    case Verb::sync:
      return store_->sync();
    case Verb::tick:
      return tick(request, answer);
    case Verb::close:
      closed_ = true;
      return store_->close();
    case Verb::inspect:
      write_inspection(store_->inspect(), answer);
      return {};
    case Verb::stats:
      write_stats(store_->stats(), answer);
      return {};
    default:
      return malformed();
  }
}

}  // namespace engine::service
