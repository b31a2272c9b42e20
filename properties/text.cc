#include "properties/text.h"

#include <algorithm>

#include <fmt/format.h>

namespace properties {
namespace {

using faultfs::size_text;
using scenarios::GetReply;
using scenarios::OperationKind;
using scenarios::Piece;
using scenarios::Reading;

constexpr std::size_t pieces_shown_max = 6;

std::string origin_text(const Piece& piece, scenarios::Key key) {
  switch (piece.kind) {
    case Piece::Kind::unwritten:
      return "never written";
    case Piece::Kind::garbage:
      return "nobody's bytes";
    case Piece::Kind::body:
    case Piece::Kind::displaced:
      break;
  }
  std::string text = fmt::format("from put#{}", piece.put);
  if (piece.key != key) {
    text += fmt::format(" of {}", scenarios::key_name(piece.key));
  }
  return piece.kind == Piece::Kind::displaced ? text + ", from another place in it" : text;
}

std::string pieces_text(const Reading& reading) {
  std::string text;
  for (std::size_t i = 0; i < std::min(reading.pieces.size(), pieces_shown_max); ++i) {
    const Piece& piece = reading.pieces[i];
    text += fmt::format("{}[{}, {}) {}",
                        i == 0 ? ": " : ", ",
                        size_text(piece.begin),
                        size_text(piece.end),
                        origin_text(piece, reading.key));
  }
  if (reading.pieces.size() > pieces_shown_max) {
    text += fmt::format(" and {} more pieces", reading.pieces.size() - pieces_shown_max);
  }
  return text;
}

/// Says the header only where it is not simply that of the first bytes' own put.
std::string header_text(const Reading& reading) {
  if (!reading.header.has_value()) {
    return "; nobody's header";
  }
  const bool own = reading.header->key == reading.key;
  const std::string of = own ? "" : " of " + scenarios::key_name(reading.header->key);
  if (reading.header->update != 0) {
    return fmt::format("; header of update#{}{}", reading.header->update, of);
  }
  const bool usual = own && !reading.pieces.empty() && reading.pieces[0].key == reading.key &&
                     reading.pieces[0].put == reading.header->put;
  return usual ? "" : fmt::format("; header of put#{}{}", reading.header->put, of);
}

std::string version_text(Version version) {
  return version.update == 0
             ? fmt::format("put#{}", version.put)
             : fmt::format("put#{} with the header of update#{}", version.put, version.update);
}

}  // namespace

std::string operation_name(OperationKind kind, std::uint32_t number) {
  switch (kind) {
    case OperationKind::put:
      return fmt::format("put#{}", number);
    case OperationKind::purge:
      return fmt::format("purge#{}", number);
    case OperationKind::purge_all:
      return fmt::format("purge_all#{}", number);
    case OperationKind::update:
      return fmt::format("update#{}", number);
    case OperationKind::sync:
      return fmt::format("sync#{}", number);
    case OperationKind::clear:
      return fmt::format("clear#{}", number);
  }
  return "";
}

std::string operation_name(const scenarios::Operation& operation) {
  return operation_name(operation.kind, operation.number);
}

std::string observed_text(const Reading& reading) {
  return "GET " + scenarios::key_name(reading.key) + " -> " + answer_text(reading);
}

std::string answer_text(const Reading& reading) {
  if (reading.kind == GetReply::Kind::miss) {
    return "miss";
  }
  if (reading.kind == GetReply::Kind::failed) {
    return "failed: " + reading.detail;
  }
  const std::string length = reading.served_bytes == reading.claimed_bytes
                                 ? size_text(reading.served_bytes)
                                 : fmt::format("{} of {} announced",
                                               size_text(reading.served_bytes),
                                               size_text(reading.claimed_bytes));
  return "hit, " + length + pieces_text(reading) + header_text(reading);
}

std::string allowed_text(const KeyAnswers& answers, bool ended_too) {
  std::vector<Version> versions = answers.may;
  if (ended_too) {
    for (const EndedVersion& ended : answers.ended) {
      versions.push_back(ended.version);
    }
  }
  std::sort(versions.begin(), versions.end(), [](const Version& a, const Version& b) {
    return a.put != b.put ? a.put < b.put : a.update < b.update;
  });
  versions.erase(std::unique(versions.begin(), versions.end()), versions.end());
  std::string text = answers.must == 0 || ended_too ? "miss" : "";
  for (const Version version : versions) {
    text += (text.empty() ? "" : " | ") + version_text(version);
  }
  return text;
}

Violation violation_of(const Property& property, const Answer& answer, const Facts& facts) {
  Violation violation;
  violation.property = property.name();
  violation.claim = property.claim();
  violation.observed = observed_text(*answer.reading);
  violation.allowed = answer.allowed != nullptr ? allowed_text(*answer.allowed, !facts.ordered)
                                                : "miss | any put of the key, whole";
  violation.key = answer.reading->key;
  violation.phase = phase_name(answer.phase);
  return violation;
}

}  // namespace properties
