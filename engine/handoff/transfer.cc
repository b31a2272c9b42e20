#include "engine/handoff/transfer.h"

#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "engine/base/frame.h"

namespace engine::handoff {
namespace {

constexpr std::uint32_t protocol_version = 1;
constexpr std::array<std::pair<Step, std::string_view>, 8> steps = {{
    {Step::hello, "hello"},
    {Step::ready, "ready"},
    {Step::freeze, "freeze"},
    {Step::cutover, "cutover"},
    {Step::open, "open"},
    {Step::alive, "alive"},
    {Step::release, "release"},
    {Step::serve, "serve"},
}};

enum class Kind : std::uint8_t { hello = 1, ready, refuse, cutover, listener, client, alive, go };

/// A message of one kind: `fill` adds its fields.
template <typename Fill>
Status send(const Link& link, Kind kind, int descriptor, const Fill& fill) {
  std::vector<std::byte> frame;
  FrameWriter writer(frame);
  writer.u8(static_cast<std::uint8_t>(kind));
  fill(writer);
  writer.finish();
  return link.send(frame, descriptor);
}

Status send(const Link& link, Kind kind) {
  return send(link, kind, -1, [](FrameWriter&) {});
}

tl::unexpected<Error> ended(std::string_view who) {
  return fail(Trouble::lost, fmt::format("the {} instance is gone", who));
}

/// The answer that says nothing but its kind. Error: it is another one; a refusal's own words.
Status expect(const Link& link, Kind kind) {
  const auto message = link.receive();
  if (!message || !*message) {
    return message ? Status(ended("other")) : tl::unexpected(message.error());
  }
  FrameReader reader((*message)->frame);
  const auto got = static_cast<Kind>(reader.u8());
  if (got == Kind::refuse) {
    return fail(Trouble::invalid, fmt::format("the other instance refuses: {}", reader.text()));
  }
  return got == kind ? Status{} : fail(Trouble::lost, "the other instance answers something else");
}

/// What differs; empty: nothing.
std::string difference(const Terms& own, const Terms& others) {
  if (own.abi_hash != others.abi_hash) {
    return "it is of another build, whose directory has another form";
  }
  return own.disk == others.disk && own.disk_bytes == others.disk_bytes ? ""
                                                                        : "it has another disk";
}

}  // namespace

std::string_view step_name(Step step) {
  return steps.at(static_cast<std::size_t>(step)).second;
}

Result<Step> find_step(std::string_view name) {
  std::vector<std::string_view> names;
  for (const auto& [step, text] : steps) {
    if (text == name) {
      return step;
    }
    names.push_back(text);
  }
  return fail(
      Trouble::invalid,
      fmt::format("'{}' is not a step of a handoff; allowed: {}", name, fmt::join(names, ", ")));
}

Giver::Giver(Link link, std::chrono::milliseconds patience, Watch watch)
    : link_(std::move(link)),
      process_(static_cast<int>(::syscall(SYS_pidfd_open, link_.process(), 0))),
      watch_(std::move(watch)) {
  link_.set_patience(patience);
}

Status Giver::agree(const Terms& terms) {
  if (!process_) {
    return ended("other");
  }
  watch_(Step::hello);
  const Status sent = send(link_, Kind::hello, -1, [&terms](FrameWriter& hello) {
    hello.u32(protocol_version);
    hello.u64(terms.abi_hash);
    hello.u64(terms.disk.device);
    hello.u64(terms.disk.file);
    hello.u64(terms.disk_bytes);
  });
  return sent ? expect(link_, Kind::ready) : sent;
}

Status Giver::send_freight(const Freight& freight) {
  Status sent = send(link_, Kind::cutover, freight.disk.get(), [&freight](FrameWriter& cutover) {
    cutover.u32(static_cast<std::uint32_t>(freight.listeners.size()));
    cutover.u32(static_cast<std::uint32_t>(freight.clients.size()));
    cutover.bytes(freight.uploads);
  });
  for (const Listening& listening : freight.listeners) {
    if (sent) {
      sent = send(link_, Kind::listener, listening.socket.get(), [&](FrameWriter& fields) {
        fields.text(listening.file.native());
      });
    }
  }
  for (const Client& client : freight.clients) {
    if (sent) {
      sent = send(link_, Kind::client, client.socket.get(), [&client](FrameWriter& fields) {
        fields.bytes(client.unread);
        fields.u32(static_cast<std::uint32_t>(client.uploads.size()));
        for (const UploadId upload : client.uploads) {
          fields.u64(upload);
        }
      });
    }
  }
  return sent;
}

Status Giver::cut_over(const Freight& freight) {
  watch_(Step::cutover);
  const Status sent = send_freight(freight);
  const Status alive = sent ? expect(link_, Kind::alive) : sent;
  // Who refuses has closed the store again.
  if (!alive && alive.error().trouble != Trouble::invalid) {
    fence();
  }
  return alive;
}

Status Giver::release() {
  watch_(Step::release);
  const Status sent = send(link_, Kind::go);
  if (!sent) {
    fence();
  }
  return sent;
}

/// A process that cannot be killed waits for a device: its write may still be on the way.
void Giver::fence() {
  constexpr int patience_ms = 10000;
  ::syscall(SYS_pidfd_send_signal, process_.get(), SIGKILL, nullptr, 0);
  pollfd end = {process_.get(), POLLIN, 0};
  fenced_ = ::poll(&end, 1, patience_ms) == 1;
}

Taker::Taker(Link link, Watch watch) : link_(std::move(link)), watch_(std::move(watch)) {}

Result<Message> Taker::next() {
  auto message = link_.receive();
  if (!message || !*message) {
    return message ? Result<Message>(ended("writing")) : tl::unexpected(message.error());
  }
  return std::move(**message);
}

Status Taker::agree(const Terms& own) {
  constexpr std::chrono::seconds first_word{10};
  link_.set_patience(first_word);
  const auto message = next();
  if (!message) {
    return tl::unexpected(message.error());
  }
  FrameReader hello(message->frame);
  const auto kind = static_cast<Kind>(hello.u8());
  const std::uint32_t version = hello.u32();
  Terms others;
  others.abi_hash = hello.u64();
  others.disk.device = hello.u64();
  others.disk.file = hello.u64();
  others.disk_bytes = hello.u64();
  if (kind != Kind::hello || !hello.whole()) {
    return fail(Trouble::lost, "the writing instance says something else than hello");
  }
  const std::string why =
      version == protocol_version
          ? difference(own, others)
          : fmt::format("it speaks version {}, not {}", protocol_version, version);
  watch_(Step::ready);
  if (!why.empty()) {
    refuse({Trouble::invalid, why});
    return fail(Trouble::invalid, why);
  }
  // P closes its store now. However long that takes: it answers, or it ends.
  link_.set_patience(std::chrono::milliseconds(0));
  return send(link_, Kind::ready);
}

Result<Freight> Taker::receive() {
  auto first = next();
  if (!first) {
    return tl::unexpected(first.error());
  }
  FrameReader cutover(first->frame);
  const auto kind = static_cast<Kind>(cutover.u8());
  const std::uint64_t listeners = cutover.u32();
  const std::uint64_t clients = cutover.u32();
  Freight freight;
  const auto uploads = cutover.bytes();
  freight.uploads.assign(uploads.begin(), uploads.end());
  freight.disk = std::move(first->descriptor);
  if (kind != Kind::cutover || !cutover.whole() || !freight.disk) {
    return fail(Trouble::lost, "the writing instance says something else than cutover");
  }
  for (std::uint64_t n = 0; n < clients + listeners; ++n) {
    auto message = next();
    if (!message) {
      return tl::unexpected(message.error());
    }
    FrameReader fields(message->frame);
    if (static_cast<Kind>(fields.u8()) == Kind::listener) {
      freight.listeners.push_back({std::move(message->descriptor), fields.text()});
      continue;
    }
    Client& client = freight.clients.emplace_back();
    const auto unread = fields.bytes();
    client.socket = std::move(message->descriptor);
    client.unread.assign(unread.begin(), unread.end());
    for (std::uint32_t count = fields.u32(); count > 0 && fields.whole(); --count) {
      client.uploads.insert(fields.u64());
    }
  }
  watch_(Step::open);
  return freight;
}

/// `go`, or the end of P: it has not killed this process, so there is nobody but this one.
void Taker::serve() {
  watch_(Step::alive);
  if (send(link_, Kind::alive)) {
    static_cast<void>(link_.receive());
  }
  watch_(Step::serve);
}

void Taker::refuse(const Error& why) {
  static_cast<void>(
      send(link_, Kind::refuse, -1, [&why](FrameWriter& refusal) { refusal.text(why.message); }));
}

}  // namespace engine::handoff
