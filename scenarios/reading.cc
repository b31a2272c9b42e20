#include "scenarios/reading.h"

#include <cstring>

#include "scenarios/command.h"

namespace scenarios {

namespace {

void add_bodies(const std::vector<Operation>& operations, std::vector<BodyId>& ids) {
  for (const Operation& operation : operations) {
    if (operation.kind == OperationKind::put) {
      ids.push_back({operation.key, operation.number, operation.body_bytes});
    }
  }
}

}  // namespace

bool Reader::is_right(const Reading& reading) {
  if (!reading.header || reading.header->body_bytes > body_bytes_max ||
      reading.header->key > key_max || reading.header->put == 0) {
    return false;
  }
  const HeaderId& id = *reading.header;
  const std::uint64_t end = reading.offset_bytes + reply_.body.size();
  if (end > id.body_bytes) {
    return false;
  }
  const faultfs::ByteView body = bodies_.body({id.key, id.put, id.body_bytes});
  return std::memcmp(body.data() + reading.offset_bytes, reply_.body.data(), reply_.body.size()) ==
         0;
}

std::vector<Piece> Reader::pieces(const Reading& reading) {
  if (reply_.body.empty()) {
    return {};
  }
  if (is_right(reading)) {
    const std::uint64_t begin = reading.offset_bytes;
    return {{begin,
             begin + reply_.body.size(),
             Piece::Kind::body,
             reading.header->key,
             reading.header->put}};
  }
  std::vector<BodyId> known;
  add_bodies(history_.operations, known);
  if (more_operations_ != nullptr) {
    add_bodies(*more_operations_, known);
  }
  return classify(reply_.body, reading.offset_bytes, known);
}

Reading Reader::read(Key key, std::uint64_t offset_bytes, std::uint64_t size_bytes) {
  reply_.clear();
  target_.get_into(key, offset_bytes, size_bytes, reply_);
  return understand(key, offset_bytes);
}

void Reader::read_each(const std::vector<Key>& keys,
                       const std::function<bool(Reading reading)>& take) {
  target_.get_each(keys, reply_, [&](Key key) { return take(understand(key, 0)); });
}

/// What `reply_` says.
Reading Reader::understand(Key key, std::uint64_t offset_bytes) {
  Reading reading;
  reading.key = key;
  reading.kind = reply_.kind;
  if (reading.kind == GetReply::Kind::failed) {
    reading.detail = reply_.detail;
    reading.hung = reply_.hung;
  }
  if (reading.kind == GetReply::Kind::hit) {
    reading.header = bodies_.header(reply_.header);
    reading.claimed_bytes = reply_.claimed_bytes;
    reading.broken_off = reply_.broken_off;
    reading.offset_bytes = offset_bytes;
    reading.served_bytes = reply_.body.size();
    reading.pieces = pieces(reading);
  }
  return reading;
}

faultfs::Result<Start> start_and_rebuild(Target& target,
                                         std::uint64_t seed,
                                         const Geometry& geometry,
                                         bool to_end) {
  const faultfs::Result<Reply> reply = target.start(seed, geometry.unit_bytes);
  if (!reply) {
    return tl::unexpected(reply.error());
  }
  Start start{*reply, true};
  bool more = to_end && target.traits().sliced_rebuild && reply->outcome == Outcome::done;
  if (more) {
    start.reply = target.rebuild(4ULL * geometry.units + 1000, more);
  }
  start.recovery_ended = !more;
  return start;
}

}  // namespace scenarios
