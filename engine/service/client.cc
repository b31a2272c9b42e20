#include "engine/service/client.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "engine/service/tables.h"
#include "engine/service/wire.h"

namespace engine::service {
namespace {

constexpr std::size_t receive_bytes_min = std::size_t{1} << 16;
constexpr std::size_t keys_at_once = 64;  // their requests fit into a socket's buffer

class Client final : public RemoteStore {
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
  [[nodiscard]] Result<std::string> hand_over(bool retire, std::chrono::milliseconds patience) {
    FrameWriter writer = request(Verb::hand_over);
    writer.u8(retire ? 1 : 0);
    writer.u32(static_cast<std::uint32_t>(patience.count()));
    auto answer = ask(writer);
    return answer ? Result<std::string>(answer->text()) : tl::unexpected(answer.error());
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
    add_get(writer, key, range);
    return take_reply(ask(writer), reply);
  }

  void get_each(std::span<const std::string> keys,
                const std::function<bool(const Status&, GetReply&)>& take) override {
    bool wanted = true;
    for (; wanted && !keys.empty(); keys = keys.subspan(std::min(keys.size(), keys_at_once))) {
      wanted = get_some(keys.first(std::min(keys.size(), keys_at_once)), take);
    }
  }

  [[nodiscard]] Status put(std::string_view key,
                           std::string_view header,
                           std::span<const std::byte> body) override {
    FrameWriter writer = request(Verb::put);
    writer.text(key);
    writer.text(header);
    return done(ask(writer, body));
  }

  [[nodiscard]] Result<bool> verify(std::string_view key) override {
    FrameWriter writer = request(Verb::verify);
    writer.text(key);
    return yes_or_no(ask(writer));
  }

  [[nodiscard]] bool being_put(std::string_view key) override {
    FrameWriter writer = request(Verb::being_put);
    writer.text(key);
    return yes_or_no(ask(writer)).value_or(false);
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

  [[nodiscard]] Status purge_all() override { return done(ask(Verb::purge_all)); }
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
    out_.clear();
    return another_request(verb);
  }

  /// Behind the one that is in the buffer.
  [[nodiscard]] FrameWriter another_request(Verb verb) const {
    FrameWriter writer(out_);
    writer.u8(static_cast<std::uint8_t>(verb));
    return writer;
  }

  [[nodiscard]] Answer ask(Verb verb) const {
    FrameWriter writer = request(verb);
    return ask(writer);
  }

  static void add_get(FrameWriter& writer, std::string_view key, ByteRange range) {
    writer.text(key);
    writer.u64(range.offset_bytes);
    writer.u64(range.size_bytes);
  }

  static Status take_reply(Answer answer, GetReply& reply) {
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

  /// Sends all requests, then takes the answers: also those that nobody wants, because the next
  /// request's comes behind them.
  bool get_some(std::span<const std::string> keys,
                const std::function<bool(const Status&, GetReply&)>& take) {
    out_.clear();
    for (const std::string& key : keys) {
      FrameWriter writer = another_request(Verb::get);
      add_get(writer, key, {});
      writer.finish();
    }
    lost_ = lost_ || !send_all(socket_, out_);
    bool wanted = true;
    for (std::size_t n = 0; n < keys.size() && (wanted || !lost_); ++n) {
      const Status status = take_reply(receive(), reply_);
      wanted = wanted && take(status, reply_);
    }
    return wanted;
  }

  /// Sends the request with `body` behind it and waits for the answer.
  [[nodiscard]] Answer ask(FrameWriter& writer, std::span<const std::byte> body = {}) const {
    if (out_.size() + body.size() > frame_bytes_max) {
      return fail(Trouble::invalid, "the request is longer than a frame may be");
    }
    writer.finish(body.size());
    if (lost_ || !send_all(socket_, out_, body)) {
      return lost();
    }
    return receive();
  }

  /// The next answer. What has arrived behind it stays for the next call.
  [[nodiscard]] Answer receive() const {
    std::uint32_t length = 0;
    if (lost_ || !has(sizeof length)) {
      return lost();
    }
    std::memcpy(&length, &in_[begin_], sizeof length);
    if (length > frame_bytes_max || !has(sizeof length + length)) {
      return lost();
    }
    const auto frame = std::span<const std::byte>(in_).subspan(begin_ + sizeof length, length);
    begin_ += sizeof length + length;
    FrameReader answer(frame);
    const std::uint8_t outcome = answer.u8();
    if (outcome != 0) {
      return fail(static_cast<Trouble>(outcome - 1), std::string(answer.text()));
    }
    return answer.whole() ? Answer(answer) : lost();
  }

  /// Waits until `bytes` bytes of answers are there.
  [[nodiscard]] bool has(std::size_t bytes) const {
    if (begin_ == end_) {
      begin_ = end_ = 0;
    }
    if (in_.size() - begin_ < bytes + receive_bytes_min) {
      if (begin_ > 0) {  // and so there is a buffer
        const auto arrived = std::span(in_).subspan(begin_, end_ - begin_);
        std::copy(arrived.begin(), arrived.end(), in_.begin());
      }
      end_ -= begin_;
      begin_ = 0;
      in_.resize(std::max(in_.size(), bytes + 2 * receive_bytes_min));
    }
    while (end_ - begin_ < bytes) {
      const ssize_t got = ::recv(socket_, &in_[end_], in_.size() - end_, 0);
      if (got < 0 && errno == EINTR) {
        continue;
      }
      if (got <= 0) {
        return false;
      }
      end_ += static_cast<std::size_t>(got);
    }
    return true;
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
  mutable std::size_t begin_ = 0, end_ = 0;  // of what has arrived in `in_` and was not taken
  GetReply reply_;
};

}  // namespace

Status reopen_served(int socket, std::uint64_t seed, std::uint32_t slot_bytes) {
  return Client(::fcntl(socket, F_DUPFD_CLOEXEC, 0)).reopen(seed, slot_bytes);
}

Result<std::string> ask_to_hand_over(int socket, bool retire, std::chrono::milliseconds patience) {
  return Client(::fcntl(socket, F_DUPFD_CLOEXEC, 0)).hand_over(retire, patience);
}

std::unique_ptr<RemoteStore> connect_client(int socket) {
  return std::make_unique<Client>(socket);
}

}  // namespace engine::service
