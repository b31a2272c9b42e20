// What a get may answer at a crash point, by folding over the client's operations.
//
// At a crash point each operation is not started, in flight, acknowledged, or given up (aborted by
// the client, or refused). An acknowledged one is durable when the device says so
// (`CrashModel::durable_up_to` its end); a purge and a clear (reformat) are durable when they are
// acknowledged, because that is what a store claims that claims purges at all; a purge of
// everything is a purge of each key. At a kill everything acknowledged is durable.
//
// A key's operations take effect in the order in which they ended. One that is durable settles the
// key: exactly its result is there, and every older version is ended for good. Those after it, in
// flight or acknowledged but volatile, may each have happened or not, in any combination, because
// the device may lose any of their writes: each adds its result to what may be served. A put that
// was given up adds nothing. A header update puts its header on whatever may be there.
//
// An upload that was never ended (its process was killed) may have taken effect where all its bytes
// had been sent, which its bytes themselves prove; it does so before the next put of the key, since
// a client that begins another put has given the first one up.
//
// A power cut inside the history begins a new segment. What was allowed at its end is what the key
// may hold there; nobody has to know which. The log of earlier segments is gone; the recorder has
// kept what was durable when their power went (`Operation::durable_at_cut`).
//
// The recall floor (`must`): the put that settled the key, as long as nothing later was begun on it
// that can take it away: a put (a given-up one counts until its end is durable, because what it
// wrote may contradict the older version), a purge, a clear. Header updates take nothing away. What
// eviction may take is in demand.cc.
#include "properties/allowed.h"

#include <algorithm>

#include "properties/demand.h"

namespace properties {
namespace {

using scenarios::Operation;
using scenarios::OperationKind;

constexpr std::uint32_t never = UINT32_MAX;

void add(std::vector<Version>& versions, Version version) {
  if (std::find(versions.begin(), versions.end(), version) == versions.end()) {
    versions.push_back(version);
  }
}

/// One operation of a key with what the crash point makes of it.
struct Effect {
  const Operation* operation = nullptr;
  OperationState state = OperationState::not_started;
  bool durable = false;        ///< its result, or (given up) its having been given up
  std::uint64_t position = 0;  ///< when it takes effect, in its segment
};

/// Folds the effects of one key, in order, into its answers.
class Fold {
 public:
  explicit Fold(scenarios::Key key) { answers_.key = key; }

  void begin_segment() {
    for (const Version version : open_) {
      add(settled_, version);
    }
    open_.clear();
  }

  void apply(const Effect& effect) {
    switch (effect.operation->kind) {
      case OperationKind::put:
        put(effect);
        break;
      case OperationKind::purge:
      case OperationKind::purge_all:
      case OperationKind::clear:
        answers_.must = 0;
        if (effect.state == OperationState::acknowledged) {
          settle(effect, {});
        }
        break;
      case OperationKind::update:
        update(effect);
        break;
      case OperationKind::sync:
        break;
    }
  }

  [[nodiscard]] KeyAnswers finish() {
    answers_.may = settled_;
    for (const Version version : open_) {
      add(answers_.may, version);
    }
    std::erase_if(answers_.ended,
                  [this](const EndedVersion& ended) { return answers_.allows(ended.version); });
    return std::move(answers_);
  }

 private:
  void put(const Effect& effect) {
    const scenarios::PutNumber number = effect.operation->number;
    if (effect.state == OperationState::given_up) {
      answers_.given_up.push_back(number);
      answers_.must = effect.durable ? answers_.must : 0;
      return;
    }
    if (effect.state == OperationState::acknowledged && effect.durable) {
      settle(effect, {{number, 0}});
      answers_.must = number;
      return;
    }
    if (effect.state == OperationState::in_flight) {
      answers_.in_flight.push_back(number);
    }
    add(open_, {number, 0});
    answers_.must = 0;
  }

  void update(const Effect& effect) {
    const std::uint32_t number = effect.operation->number;
    if (effect.state == OperationState::acknowledged && effect.durable) {
      std::vector<Version> renewed;
      for (const Version version : settled_) {
        add(renewed, {version.put, number});
      }
      for (const Version version : open_) {
        add(renewed, version);
        add(renewed, {version.put, number});
      }
      settle(effect, renewed);
      return;
    }
    std::vector<Version> before = settled_;
    before.insert(before.end(), open_.begin(), open_.end());
    for (const Version version : before) {
      add(open_, {version.put, number});
    }
  }

  void settle(const Effect& effect, std::vector<Version> now) {
    settled_.insert(settled_.end(), open_.begin(), open_.end());
    for (const Version version : settled_) {
      if (std::find(now.begin(), now.end(), version) == now.end()) {
        answers_.ended.push_back({version, effect.operation->number, effect.operation->kind});
      }
    }
    open_.clear();
    settled_ = std::move(now);
  }

  KeyAnswers answers_;
  std::vector<Version> settled_;  // one of these, or nothing, is there for certain
  std::vector<Version> open_;     // any of these may have replaced it
};

/// Says of every operation what the crash point makes of it.
class Witness {
 public:
  Witness(const scenarios::Recording& recording,
          const faultfs::CrashModel& model,
          const faultfs::CrashPoint& point)
      : history_(recording.history),
        model_(model),
        point_(point),
        last_segment_(history_.segments - 1) {
    const std::uint32_t entries = std::min(point.entry, model.log().size());
    for (std::uint32_t entry = 1; entry <= entries; ++entry) {
      const std::string_view mark = model.log().mark_text(entry);
      if (mark == "kill" || mark == "stop") {
        process_ends_.push_back(entry);
      }
    }
  }

  /// The effects of `key`, in order; operations that had not begun are left out.
  [[nodiscard]] std::vector<Effect> effects(scenarios::Key key) const {
    std::vector<Effect> effects;
    for (const Operation& operation : history_.operations) {
      const bool touches =
          has_key(operation.kind) ? operation.key == key : operation.kind != OperationKind::sync;
      const OperationState state =
          touches ? state_at(operation, point_, last_segment_) : OperationState::not_started;
      if (state == OperationState::not_started) {
        continue;
      }
      end_open_put(operation, effects);
      const std::uint64_t position = state == OperationState::in_flight
                                         ? end_of_process(operation)
                                         : 2 * std::uint64_t{operation.ended};
      effects.push_back({&operation, state, durable(operation, state), position});
    }
    std::stable_sort(effects.begin(), effects.end(), [](const Effect& a, const Effect& b) {
      return a.operation->segment != b.operation->segment
                 ? a.operation->segment < b.operation->segment
                 : a.position < b.position;
    });
    return effects;
  }

 private:
  /// A put that begins, or a restart that clears, ends the key's open upload, whose end nobody
  /// has seen.
  static void end_open_put(const Operation& operation, std::vector<Effect>& effects) {
    if (operation.kind != OperationKind::put && operation.kind != OperationKind::clear) {
      return;
    }
    for (Effect& earlier : effects) {
      if (earlier.position == UINT64_MAX && earlier.operation->kind == OperationKind::put &&
          earlier.operation->segment == operation.segment) {
        earlier.position = 2 * std::uint64_t{operation.began} + 1;
      }
    }
  }

  /// When the process that had `operation` ended; UINT64_MAX: not before the crash point.
  [[nodiscard]] std::uint64_t end_of_process(const Operation& operation) const {
    const auto end = std::upper_bound(process_ends_.begin(), process_ends_.end(), operation.began);
    return operation.segment != last_segment_ || end == process_ends_.end()
               ? UINT64_MAX
               : 2 * std::uint64_t{*end};
  }

  [[nodiscard]] bool durable(const Operation& operation, OperationState state) const {
    if (state == OperationState::in_flight) {
      return false;
    }
    if (operation.segment == last_segment_) {
      return model_.durable_up_to(operation.ended, point_);
    }
    return operation.durable_at_cut;
  }

  const scenarios::History& history_;
  const faultfs::CrashModel& model_;
  const faultfs::CrashPoint& point_;
  std::uint32_t last_segment_;
  std::vector<std::uint32_t> process_ends_;
};

KeyAnswers answers_of(scenarios::Key key,
                      const std::vector<Effect>& effects,
                      std::uint32_t segments) {
  Fold fold(key);
  std::uint32_t segment = 0;
  for (const Effect& effect : effects) {
    for (; segment < effect.operation->segment; ++segment) {
      fold.begin_segment();
    }
    fold.apply(effect);
  }
  // A cut after the key's last operation settles what was in flight before it.
  for (; segment + 1 < segments; ++segment) {
    fold.begin_segment();
  }
  return fold.finish();
}

std::vector<scenarios::Key> keys_of(const scenarios::History& history) {
  std::vector<scenarios::Key> keys;
  for (const Operation& operation : history.operations) {
    if (has_key(operation.kind)) {
      keys.push_back(operation.key);
    }
  }
  std::sort(keys.begin(), keys.end());
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  return keys;
}

}  // namespace

bool KeyAnswers::allows(Version version) const {
  return std::find(may.begin(), may.end(), version) != may.end();
}

OperationState state_at(const Operation& operation,
                        const faultfs::CrashPoint& point,
                        std::uint32_t last_segment) {
  // Inside an entry, only the entries before it are over.
  const std::uint32_t over = point.inside && point.entry > 0 ? point.entry - 1 : point.entry;
  const bool ended =
      operation.segment < last_segment ? operation.ended != never : operation.ended <= over;
  if (operation.segment == last_segment && operation.began > over) {
    return OperationState::not_started;
  }
  if (!ended) {
    return OperationState::in_flight;
  }
  return operation.acknowledged ? OperationState::acknowledged : OperationState::given_up;
}

std::vector<KeyAnswers> allowed_answers(const scenarios::Recording& recording,
                                        const faultfs::CrashModel& model,
                                        const faultfs::CrashPoint& point) {
  const Witness witness(recording, model, point);
  std::vector<KeyAnswers> answers;
  for (const scenarios::Key key : keys_of(recording.history)) {
    answers.push_back(answers_of(key, witness.effects(key), recording.history.segments));
  }
  const std::vector<scenarios::PutNumber> safe = puts_safe_from_eviction(recording, point);
  for (KeyAnswers& key : answers) {
    if (!std::binary_search(safe.begin(), safe.end(), key.must)) {
      key.must = 0;
    }
  }
  return answers;
}

void fold_traffic(const Operation& operation, std::vector<KeyAnswers>& answers) {
  if (!has_key(operation.kind)) {
    return;  // traffic purges nothing as a whole
  }
  auto at = std::lower_bound(
      answers.begin(), answers.end(), operation.key, [](const KeyAnswers& a, scenarios::Key key) {
        return a.key < key;
      });
  if (at == answers.end() || at->key != operation.key) {
    at = answers.insert(at, KeyAnswers{});
    at->key = operation.key;
  }
  at->must = operation.kind == OperationKind::update ? at->must : 0;
  if (!operation.acknowledged && operation.ended == UINT32_MAX) {
    at->in_flight.push_back(operation.number);
    at->may.push_back({operation.number, 0});
    return;
  }
  if (!operation.acknowledged) {
    if (operation.kind == OperationKind::put) {
      at->given_up.push_back(operation.number);
    }
    return;
  }
  if (operation.kind == OperationKind::update) {
    for (Version& version : at->may) {
      version.update = operation.number;
    }
    return;
  }
  for (const Version version : at->may) {
    at->ended.push_back({version, operation.number, operation.kind});
  }
  at->may.clear();
  if (operation.kind == OperationKind::put) {
    at->may.push_back({operation.number, 0});
    at->must = operation.number;
  }
}

const KeyAnswers* find_answers(const std::vector<KeyAnswers>& answers, scenarios::Key key) {
  const auto at = std::lower_bound(
      answers.begin(), answers.end(), key, [](const KeyAnswers& a, scenarios::Key wanted) {
        return a.key < wanted;
      });
  return at == answers.end() || at->key != key ? nullptr : &*at;
}

}  // namespace properties
