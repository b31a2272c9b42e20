// A history is drawn in two steps, both with RapidCheck's generators on one random source.
//
// First the swarm (Groce et al. 2012): which kinds of commands this history has at all, how large
// its objects are and how many keys it uses. A history that has everything seldom does one thing
// often; one without purges and restarts overwrites until the store wraps.
//
// A store that writes in a circle overwrites nothing before it is full, and then what is oldest. So
// that this is something still wanted, many histories for such a store are *laps*
// (`Traits::laps_of_four`): keys taken in turn, about as many as a lap holds or more, until the
// store has been gone round one to three times, with a few syncs on the way.
//
// Then the commands, one after another, knowing which uploads are open and whether a rebuild is
// under way, so that most of them do something. They end wherever they end: usually in the middle
// of activity that no sync has followed, because that is where crash points matter.

#include "scenarios/generate.h"

#include <algorithm>
#include <numeric>

#include <rapidcheck.h>

#include "scenarios/targets/config.h"
#include "scenarios/targets/shared_memory.h"

namespace scenarios {

namespace {

constexpr std::uint32_t slots_max = 13;
constexpr std::uint64_t header_bytes_most = 8192;  // more is refused by HTTP caches, and by clients
constexpr std::uint32_t metadata_bytes = 80;  // about what key and header take of the first slot

constexpr std::uint64_t small_bytes_max = 800;
constexpr std::uint64_t stop_ms_most = 1500;  // most stops are over by then

enum class Sizes { equal, few, boundary, any, small };

struct Swarm {
  std::vector<CommandKind> kinds;    ///< each as often as its weight
  std::vector<std::uint64_t> sizes;  ///< empty: any
  std::uint64_t size_max = 1;
  std::uint32_t keys = 1;
  std::uint32_t commands = 1;
  bool may_end_with_restart = false;
  std::uint64_t lap_bytes = 0;        ///< laps: it ends when this much was put; 0: no laps
  std::uint32_t syncs = 0, puts = 1;  ///< laps: so many of them are expected
  bool accidents = false;             ///< to shared memory, beside having it or not
};

/// What the commands so far have left behind.
struct Situation {
  std::vector<Key> open;    ///< uploads begun and not ended
  std::vector<Key> stored;  ///< keys that were put
  bool rebuilding = false;
  Key next_key = 0;  ///< for histories without overwrites
  Key pinned_put = 0;
  std::uint64_t units_used = 0;
  std::uint64_t bytes = 0;                 ///< put so far
  bool shares = true, shares_next = true;  ///< the directory: this life, and the next
  std::uint64_t accident = 0;              ///< which of them is next
};

template <typename Number>
Number between(Number least, Number most) {
  return *rc::gen::resize(rc::kNominalSize, rc::gen::inRange<Number>(least, most + 1));
}

bool chance(int numerator, int denominator) {
  return between(1, denominator) <= numerator;
}

template <typename T>
T one_of(const std::vector<T>& values) {
  return values[between<std::size_t>(0, values.size() - 1)];
}

std::uint64_t payload_bytes(const GenerateOptions& options) {
  return options.slot_bytes - 128;
}

std::uint32_t unit_count(const GenerateOptions& options) {
  TargetConfig config;
  config.slot_bytes = options.slot_bytes;
  config.disk_bytes = options.disk_bytes;
  return geometry(config).units;
}

/// The largest body that fits `slots` slots.
std::uint64_t body_of_slots(const GenerateOptions& options, std::uint64_t slots) {
  return slots * payload_bytes(options) - metadata_bytes;
}

std::uint64_t any_size_of(const GenerateOptions& options, std::uint64_t slots) {
  const std::uint64_t most = body_of_slots(options, slots);
  return between<std::uint64_t>(slots == 1 ? 1 : body_of_slots(options, slots - 1) + 1, most);
}

/// A number of slots, more often a small one: few slots have few crash points and crash states,
/// which are looked at more closely in the same time.
std::uint32_t any_slots(std::uint32_t least, std::uint32_t most) {
  const std::uint32_t few = std::clamp(4U, least, most);
  return between(least, chance(2, 3) ? few : most);
}

void choose_sizes(const GenerateOptions& options, bool fills, Swarm& swarm) {
  const std::uint32_t most = std::clamp(unit_count(options) / 3, 1U, slots_max);
  const std::uint32_t least = fills ? std::max(1U, most / 2) : 1;
  const bool small = options.traits.reformats;  // they fit a slot of any size
  const auto style = between(0, small ? 4 : 3);
  swarm.size_max = body_of_slots(options, any_slots(least, most));
  switch (static_cast<Sizes>(style)) {
    case Sizes::equal:
      swarm.sizes = {any_size_of(options, any_slots(least, most))};
      break;
    case Sizes::few:
      for (int i = 0; i < 3; ++i) {
        swarm.sizes.push_back(any_size_of(options, any_slots(least, most)));
      }
      break;
    case Sizes::boundary:
      // Around the place where one more byte needs one more slot.
      for (int i = 0; i < 3; ++i) {
        const std::uint64_t edge = body_of_slots(options, any_slots(least, most));
        swarm.sizes.push_back(edge + between<std::uint64_t>(0, 2ULL * metadata_bytes) -
                              metadata_bytes);
      }
      break;
    case Sizes::any:
      break;
    case Sizes::small:
      swarm.size_max = small_bytes_max;
      break;
  }
}

void add_kind(Swarm& swarm, CommandKind kind, std::size_t weight) {
  swarm.kinds.insert(swarm.kinds.end(), weight, kind);
}

/// Adds `kind` with a chance, where the target can do it.
void maybe_add_kind(Swarm& swarm, CommandKind kind, bool possible, std::size_t weight) {
  // Drawn even where it is not possible, so that a target that can do more has the same histories
  // otherwise.
  if (chance(1, 2) && possible) {
    add_kind(swarm, kind, weight);
  }
}

/// Turns `swarm` into one that goes round the store.
void choose_laps(const GenerateOptions& options, Swarm& swarm) {
  constexpr std::uint32_t puts_max = 120, puts_min = 20, put_weight = 40;
  const std::uint64_t lap = options.traits.circle_bytes;
  swarm.lap_bytes = lap * between<std::uint64_t>(5, 12) / 4;
  std::uint64_t mean = swarm.size_max / 2;
  if (!swarm.sizes.empty()) {
    mean = std::accumulate(swarm.sizes.begin(), swarm.sizes.end(), std::uint64_t{0}) /
           swarm.sizes.size();
  }
  if (mean < swarm.lap_bytes / puts_max) {
    mean = between(swarm.lap_bytes / puts_max, swarm.lap_bytes / puts_min);
    swarm.sizes = {mean};
  }
  swarm.puts = static_cast<std::uint32_t>(swarm.lap_bytes / mean) + 1;
  swarm.commands = 2 * swarm.puts;
  swarm.syncs = between(2U, 6U);
  const auto in_a_lap = static_cast<std::uint32_t>(lap / mean) + 1;
  swarm.keys = between(std::max(2U, in_a_lap * 4 / 5), 2 * in_a_lap);
  const bool calm = chance(1, 2);
  std::erase_if(swarm.kinds, [calm](CommandKind kind) {
    return kind == CommandKind::sync || (calm && restarts(kind));
  });
  add_kind(swarm, CommandKind::put, put_weight);
}

Swarm choose_swarm(const GenerateOptions& options) {
  Swarm swarm;
  const Traits& can = options.traits;
  const bool fills = chance(1, 4) && options.overwrites;
  choose_sizes(options, fills, swarm);
  add_kind(swarm, CommandKind::put, 8);
  const bool slow = chance(1, 2) && can.slow_put;
  if (slow) {
    add_kind(swarm, CommandKind::begin, 4);
    add_kind(swarm, CommandKind::more, 4);
    add_kind(swarm, CommandKind::finish, 3);
  }
  maybe_add_kind(swarm, CommandKind::abort, slow && options.overwrites, 2);
  maybe_add_kind(swarm, CommandKind::get, true, 2);
  maybe_add_kind(swarm, CommandKind::purge, can.purge && options.overwrites, 2);
  if (options.purges_of_all && can.purge_all && options.overwrites) {
    add_kind(swarm, CommandKind::purge_all, 1);
  }
  if (options.handoffs && can.hands_over) {
    add_kind(swarm, CommandKind::handoff, 2);
  }
  maybe_add_kind(swarm, CommandKind::update, can.header_update && options.overwrites, 3);
  maybe_add_kind(swarm, CommandKind::sync, can.sync, 2);
  maybe_add_kind(swarm, CommandKind::kill, true, 1);
  maybe_add_kind(swarm, CommandKind::kill_sliced, can.sliced_rebuild, 1);
  maybe_add_kind(swarm, CommandKind::power_cut, options.power_cuts, 1);
  maybe_add_kind(swarm, CommandKind::stop, true, 1);
  if (chance(1, 4) && can.reformats && options.overwrites) {
    add_kind(swarm, CommandKind::reformat, 1);
  }
  if (can.slow_stop) {
    maybe_add_kind(swarm, CommandKind::kill_in_stop, true, 1);
    maybe_add_kind(swarm, CommandKind::overlap, true, 1);
  }
  if (can.crowds) {
    maybe_add_kind(swarm, CommandKind::crowd, true, 2);
  }
  if (can.forgets_unsynced) {
    add_kind(swarm, CommandKind::sync, 2);
  } else if (can.crowds && can.sync) {
    add_kind(swarm, CommandKind::sync, 3);  // files: what matters is when they are synced
  }
  if (can.shares_memory) {
    add_kind(swarm, CommandKind::shm, 3);
    add_kind(swarm, CommandKind::stop, 2);
    swarm.accidents = chance(1, 2);
  }
  swarm.keys =
      fills ? options.keys + options.disks * unit_count(options) / slots_max : options.keys;
  swarm.keys = between(std::min(2U, swarm.keys), std::max(2U, swarm.keys));
  const std::uint32_t most = std::max(2U, options.commands_max);
  swarm.commands = between(std::min(4U, most), most);
  swarm.may_end_with_restart = chance(1, 4);
  if (can.circle_bytes > 0 && options.overwrites && chance(can.laps_of_four, 4)) {
    choose_laps(options, swarm);
  }
  return swarm;
}

std::uint64_t any_size(const Swarm& swarm) {
  return swarm.sizes.empty() ? between<std::uint64_t>(1, swarm.size_max) : one_of(swarm.sizes);
}

/// A pinned key is put seldom, once for all the laps: nothing else shows that it stays.
bool choose_pinned(const GenerateOptions& options, Situation& now, Command& command) {
  constexpr std::uint64_t share = 16;  // of the circle, all of them together
  const Key pinned = options.traits.pinned;
  const bool first = now.pinned_put < pinned;
  if (pinned == 0 || !chance(1, first ? 3 : 24)) {
    return false;
  }
  command.key = first ? now.pinned_put++ : between(Key{0}, pinned - 1);
  command.size = between<std::uint64_t>(1, options.traits.circle_bytes / share / pinned);
  return true;
}

/// The key and size of a put or begin.
void choose_object(const GenerateOptions& options,
                   const Swarm& swarm,
                   Situation& now,
                   Command& command) {
  if (!choose_pinned(options, now, command)) {
    const bool in_turn = swarm.lap_bytes > 0 && chance(7, 8);
    if (!options.overwrites || in_turn) {
      command.key = now.next_key++;
      now.next_key = in_turn ? now.next_key % swarm.keys : now.next_key;
    } else {
      command.key = between(Key{0}, swarm.keys - 1);
    }
    command.key += options.traits.pinned;
    command.size = any_size(swarm);
  }
  now.bytes += command.size;
  now.units_used += (command.size + metadata_bytes) / payload_bytes(options) + 1;
  std::erase(now.open, command.key);
  now.stored.push_back(command.key);
}

void choose_upload(Situation& now, Command& command) {
  command.key = one_of(now.open);
  if (command.kind != CommandKind::more) {
    std::erase(now.open, command.key);
  }
}

void choose_range(const Swarm& swarm, Command& command) {
  command.offset = between<std::uint64_t>(0, swarm.size_max);
  command.size = between<std::uint64_t>(1, swarm.size_max);
}

void choose_cut(Command& command) {
  const int style = between(0, 5);
  command.cut = style == 0   ? Command::CutStyle::all_lost
                : style == 1 ? Command::CutStyle::all_kept
                             : Command::CutStyle::random;
  if (command.cut == Command::CutStyle::random) {
    command.seed = between<std::uint64_t>(0, UINT32_MAX);
  }
}

constexpr std::size_t plain_shared_words = 3;  // on, off, lost

std::string next_accident(Situation& now) {
  const auto& words = shared_words();
  const std::size_t accidents = words.size() - plain_shared_words;
  return std::string(words[plain_shared_words + now.accident++ % accidents]);
}

/// As often off, on or lost as an accident. An accident happens to what a life leaves that keeps
/// its directory in shared memory, so where none does the word is `on`.
std::string any_shared_word(bool accidents, Situation& now) {
  std::string word(shared_words()[between<std::size_t>(0, plain_shared_words - 1)]);
  if (accidents && chance(1, 2)) {
    word = now.shares ? next_accident(now) : "on";
  }
  now.shares_next = word == "on" || (word != "off" && now.shares_next);
  return word;
}

/// A slot size beside the configured one, such that some slots fit the disk.
std::uint64_t other_slot_bytes(const GenerateOptions& options) {
  const std::uint64_t smaller = std::max<std::uint64_t>(1024, options.slot_bytes / 2);
  const std::uint64_t larger = std::min<std::uint64_t>(1U << 20U, options.slot_bytes * 2ULL);
  const bool fits = options.disk_bytes >= 16384 + 8 * larger;
  return one_of(std::vector<std::uint64_t>{smaller, fits ? larger : smaller, options.slot_bytes});
}

/// The kind of the next command: what the swarm has, but nothing that could do nothing.
CommandKind choose_kind(const GenerateOptions& options, const Swarm& swarm, const Situation& now) {
  if (now.rebuilding && chance(1, 3)) {
    return CommandKind::tick;
  }
  if (swarm.lap_bytes > 0 && chance(static_cast<int>(swarm.syncs), static_cast<int>(swarm.puts))) {
    return CommandKind::sync;
  }
  CommandKind kind = one_of(swarm.kinds);
  switch (kind) {
    case CommandKind::begin:
      kind = now.open.size() > 2 ? CommandKind::finish : kind;
      break;
    case CommandKind::more:
      kind = now.open.empty() ? CommandKind::begin : kind;
      break;
    case CommandKind::finish:
    case CommandKind::abort:
      kind = now.open.empty() ? CommandKind::put : kind;
      break;
    case CommandKind::get:
    case CommandKind::purge:
    case CommandKind::update:
      kind = now.stored.empty() ? CommandKind::put : kind;
      break;
    default:
      break;
  }
  // Without overwrites there are no evictions either.
  const bool full = now.units_used + slots_max + 1 > options.disks * unit_count(options);
  const bool puts =
      kind == CommandKind::put || kind == CommandKind::crowd || kind == CommandKind::begin;
  return puts && full && !options.overwrites ? CommandKind::get : kind;
}

void note_restart(const Command& command, Situation& now) {
  if (command.kind != CommandKind::handoff) {
    now.open.clear();
  }
  now.shares = now.shares_next;
  now.rebuilding = command.kind == CommandKind::kill_sliced;
  if (command.kind == CommandKind::reformat) {
    now.stored.clear();
  }
}

Command any_command(const GenerateOptions& options, const Swarm& swarm, Situation& now) {
  Command command;
  command.kind = choose_kind(options, swarm, now);
  switch (command.kind) {
    case CommandKind::put:
    case CommandKind::crowd:
      choose_object(options, swarm, now, command);
      break;
    case CommandKind::kill_in_stop:
      command.size = between<std::uint64_t>(0, stop_ms_most);
      break;
    case CommandKind::begin:
      choose_object(options, swarm, now, command);
      command.offset = between<std::uint64_t>(0, command.size);
      now.open.push_back(command.key);
      break;
    case CommandKind::more:
      command.size = between<std::uint64_t>(1, std::max<std::uint64_t>(1, swarm.size_max / 3));
      [[fallthrough]];
    case CommandKind::finish:
    case CommandKind::abort:
      choose_upload(now, command);
      break;
    case CommandKind::get:
      if (!now.stored.empty()) {
        command.key = one_of(now.stored);
      }
      if (options.traits.range && chance(1, 3)) {
        choose_range(swarm, command);
      }
      break;
    case CommandKind::purge:
      command.key = one_of(now.stored);
      break;
    case CommandKind::update:
      command.key = one_of(now.stored);
      // A header takes at most a quarter of a slot.
      command.size = one_of(std::vector<std::uint64_t>{
          0, options.slot_bytes / 16, options.slot_bytes / 5, options.slot_bytes / 4});
      command.size = std::min<std::uint64_t>(command.size, header_bytes_most);
      break;
    case CommandKind::power_cut:
      choose_cut(command);
      break;
    case CommandKind::tick:
      command.size = between<std::uint64_t>(1, 3);
      break;
    case CommandKind::shm:
      command.word = any_shared_word(swarm.accidents, now);
      break;
    case CommandKind::reformat:
      command.size = other_slot_bytes(options);
      break;
    default:
      break;
  }
  if (restarts(command.kind)) {
    note_restart(command, now);
  }
  return command;
}

/// A life that stores something and ends in order, and the accident whose turn it is.
void begin_with_accident(const GenerateOptions& options,
                         const Swarm& swarm,
                         Situation& now,
                         std::vector<Command>& commands) {
  const std::uint32_t puts = between(1U, 4U);
  for (std::uint32_t n = 0; n < puts; ++n) {
    Command& put = commands.emplace_back();
    put.kind = CommandKind::put;
    choose_object(options, swarm, now, put);
  }
  Command& accident = commands.emplace_back();
  accident.kind = CommandKind::shm;
  accident.word = next_accident(now);
  commands.emplace_back().kind = CommandKind::stop;
  note_restart(commands.back(), now);
}

std::vector<Command> any_history(const GenerateOptions& options) {
  const Swarm swarm = choose_swarm(options);
  Situation now;
  now.accident = options.turn;
  std::vector<Command> commands;
  if (swarm.accidents) {
    begin_with_accident(options, swarm, now, commands);
  }
  for (std::uint32_t i = 0; i < swarm.commands; ++i) {
    if (swarm.lap_bytes > 0 && now.bytes > swarm.lap_bytes) {
      break;
    }
    commands.push_back(any_command(options, swarm, now));
    if (commands.back().kind == CommandKind::shm && chance(5, 6)) {
      // An accident shows only where a life has ended in order.
      commands.emplace_back().kind = CommandKind::stop;
      note_restart(commands.back(), now);
    }
  }
  // A restart at the end leaves a log of nothing but its recovery: worth it sometimes.
  while (!swarm.may_end_with_restart && !commands.empty() && restarts(commands.back().kind)) {
    commands.pop_back();
  }
  return commands;
}

}  // namespace

std::vector<Command> generate(std::uint64_t seed, const GenerateOptions& options) {
  const auto history = rc::gen::exec([&options] { return any_history(options); });
  return history(rc::Random(seed), rc::kNominalSize).value();
}

}  // namespace scenarios
