#include "engine/service/client.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "engine/service/tables.h"
#include "engine/service/wire.h"

namespace engine::service {
namespace {

class Client final : public Store {
 public:
  explicit Client(int socket) : socket_(socket) {}

  /// Another life of the peer's store.
  [[nodiscard]] Status reopen(std::uint64_t seed, std::uint32_t slot_bytes) {
    std::byte leftover{};
    if (::recv(socket_, &leftover, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 || errno != EAGAIN) {
      return lost();
    }
    FrameWriter writer = request(Verb::reopen);
    writer.u64(seed);
    writer.u32(slot_bytes);
    return done(ask(writer));
  }
  ~Client() override { ::close(socket_); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  Client(Client&&) = delete;
  Client& operator=(Client&&) = delete;

  [[nodiscard]] Result<UploadId> begin_put(std::string_view key,
                                           std::string_view header,
                                           std::uint64_t body_bytes) override {
    FrameWriter writer = request(Verb::begin_put);
    writer.text(key);
    writer.text(header);
    writer.u64(body_bytes);
    auto answer = ask(writer);
    return answer ? Result<UploadId>(answer->u64()) : tl::unexpected(answer.error());
  }

  [[nodiscard]] Status append(UploadId upload, std::span<const std::byte> bytes) override {
    FrameWriter writer = request(Verb::append);
    writer.u64(upload);
    return done(ask(writer, bytes));
  }

  [[nodiscard]] Status commit(UploadId upload) override { return end_upload(Verb::commit, upload); }
  [[nodiscard]] Status abort(UploadId upload) override { return end_upload(Verb::abort, upload); }

  [[nodiscard]] Status get(std::string_view key, ByteRange range, GetReply& reply) override {
    FrameWriter writer = request(Verb::get);
    writer.text(key);
    writer.u64(range.offset_bytes);
    writer.u64(range.size_bytes);
    auto answer = ask(writer);
    reply.hit = false;
    reply.header.clear();
    reply.body.clear();
    reply.body_bytes = 0;
    if (!answer) {
      return tl::unexpected(answer.error());
    }
    reply.hit = answer->u8() != 0;
    reply.header = answer->text();
    reply.body_bytes = answer->u64();
    reply.body.assign(answer->rest().begin(), answer->rest().end());
    return {};
  }

  [[nodiscard]] Result<bool> update_header(std::string_view key, std::string_view header) override {
    FrameWriter writer = request(Verb::update_header);
    writer.text(key);
    writer.text(header);
    return yes_or_no(ask(writer));
  }

  [[nodiscard]] Result<bool> purge(std::string_view key) override {
    FrameWriter writer = request(Verb::purge);
    writer.text(key);
    return yes_or_no(ask(writer));
  }

  [[nodiscard]] Status sync() override { return done(ask(Verb::sync)); }
  [[nodiscard]] Result<bool> tick() override { return ticks(1); }
  [[nodiscard]] Result<bool> ticks(std::uint64_t slices) override {
    FrameWriter writer = request(Verb::tick);
    writer.u64(slices);
    return yes_or_no(ask(writer));
  }
  [[nodiscard]] Status close() override { return done(ask(Verb::close)); }

  /// Empty where the peer is gone: the interface has no place for an error.
  [[nodiscard]] Inspection inspect() const override {
    auto answer = ask(Verb::inspect);
    return answer ? read_inspection(*answer) : Inspection{};
  }
  [[nodiscard]] Stats stats() const override {
    auto answer = ask(Verb::stats);
    return answer ? read_stats(*answer) : Stats{};
  }

 private:
  using Answer = Result<FrameReader>;

  [[nodiscard]] FrameWriter request(Verb verb) const {
    FrameWriter writer(out_);
    writer.u8(static_cast<std::uint8_t>(verb));
    return writer;
  }

  [[nodiscard]] Answer ask(Verb verb) const {
    FrameWriter writer = request(verb);
    return ask(writer);
  }

  /// Sends the request with `body` behind it and waits for the answer.
  [[nodiscard]] Answer ask(FrameWriter& writer, std::span<const std::byte> body = {}) const {
    if (out_.size() + body.size() > frame_bytes_max) {
      return fail(Trouble::invalid, "the request is longer than a frame may be");
    }
    writer.finish(body.size());
    std::uint32_t length = 0;
    if (lost_ || !send_all(socket_, out_, body) ||
        !receive_all(socket_, std::as_writable_bytes(std::span(&length, 1))) ||
        length > frame_bytes_max) {
      return lost();
    }
    in_.resize(length);
    if (!receive_all(socket_, in_)) {
      return lost();
    }
    FrameReader answer(in_);
    const std::uint8_t outcome = answer.u8();
    if (outcome != 0) {
      return fail(static_cast<Trouble>(outcome - 1), std::string(answer.text()));
    }
    return answer.whole() ? Answer(answer) : lost();
  }

  /// After a part of an answer nothing more can be understood: the peer is lost for good.
  [[nodiscard]] tl::unexpected<Error> lost() const {
    lost_ = true;
    return fail(Trouble::lost, "the process that owns the store does not answer");
  }

  [[nodiscard]] Status end_upload(Verb verb, UploadId upload) const {
    FrameWriter writer = request(verb);
    writer.u64(upload);
    return done(ask(writer));
  }
  [[nodiscard]] static Status done(const Answer& answer) {
    return answer ? Status{} : tl::unexpected(answer.error());
  }
  [[nodiscard]] static Result<bool> yes_or_no(Answer answer) {
    return answer ? Result<bool>(answer->u8() != 0) : tl::unexpected(answer.error());
  }

  int socket_;
  mutable bool lost_ = false;  // asking is the same for const and other calls
  mutable Bytes out_, in_;
};

}  // namespace

Status reopen_served(int socket, std::uint64_t seed, std::uint32_t slot_bytes) {
  return Client(::fcntl(socket, F_DUPFD_CLOEXEC, 0)).reopen(seed, slot_bytes);
}

std::unique_ptr<Store> connect_client(int socket) {
  return std::make_unique<Client>(socket);
}

}  // namespace engine::service
