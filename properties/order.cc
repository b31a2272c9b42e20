// What was ended for good must not come back, where a store claims so.
//
// purged_stays_purged: a purge (or a reformat, which clears every key) that was acknowledged ended
// every version the key held. no_rollback: a put that is durable ended every older version, and a
// durable header update the header before it. Volatile ones end nothing: the device may lose them.
//
// Example: put#3, purge#4 acknowledged, power cut, "GET k7 -> hit, 64K: [0, 64K) from put#3". Which
// versions those are is computed in allowed.cc (`KeyAnswers::ended`); a key that lost its newer
// version to a damaged sector and shows the older one has rolled back all the same.
#include <algorithm>

#include "properties/all.h"
#include "properties/answer_property.h"
#include "properties/text.h"

namespace properties {
namespace {

using scenarios::OperationKind;

/// How the version served was ended; null where it was not, or is no version at all.
const EndedVersion* ended_version(const Answer& answer, const Facts& facts) {
  const std::optional<Version> version = served_version(*answer.reading, facts);
  if (!version || answer.allowed == nullptr || answer.allowed->allows(*version)) {
    return nullptr;
  }
  const auto& ended = answer.allowed->ended;
  auto at = std::find_if(ended.begin(), ended.end(), [&version](const EndedVersion& e) {
    return e.version == *version;
  });
  if (at == ended.end()) {
    at = std::find_if(ended.begin(), ended.end(), [&version](const EndedVersion& e) {
      return e.version.put == version->put;
    });
  }
  return at == ended.end() ? nullptr : &*at;
}

bool takes_away(OperationKind kind) {
  return kind == OperationKind::purge || kind == OperationKind::purge_all ||
         kind == OperationKind::clear;
}

class PurgedStaysPurged : public AnswerProperty {
 public:
  [[nodiscard]] std::string_view name() const override { return "purged_stays_purged"; }
  [[nodiscard]] std::string_view claim() const override {
    return "What was purged, or cleared by a reformat, never comes back.";
  }

 protected:
  [[nodiscard]] bool broken_by(const Answer& answer, const Facts& facts) const override {
    const EndedVersion* ended = ended_version(answer, facts);
    return ended != nullptr && takes_away(ended->how);
  }
  [[nodiscard]] std::string remark(const Answer& answer, const Facts& facts) const override {
    const EndedVersion* ended = ended_version(answer, facts);
    return (ended->how == OperationKind::clear ? "cleared by " : "purged by ") +
           operation_name(ended->how, ended->by);
  }
};

class NoRollback : public AnswerProperty {
 public:
  [[nodiscard]] std::string_view name() const override { return "no_rollback"; }
  [[nodiscard]] std::string_view claim() const override {
    return "Once a newer version is durable, an older one never comes back.";
  }

 protected:
  [[nodiscard]] bool broken_by(const Answer& answer, const Facts& facts) const override {
    const EndedVersion* ended = ended_version(answer, facts);
    return ended != nullptr && !takes_away(ended->how);
  }
  [[nodiscard]] std::string remark(const Answer& answer, const Facts& facts) const override {
    const EndedVersion* ended = ended_version(answer, facts);
    return "replaced by " + operation_name(ended->how, ended->by) + ", which was durable";
  }
};

}  // namespace

const Property& purged_stays_purged() {
  static const PurgedStaysPurged property;
  return property;
}

const Property& no_rollback() {
  static const NoRollback property;
  return property;
}

}  // namespace properties
