#include "scenarios/command.h"

#include <algorithm>
#include <array>
#include <span>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "faultfs/base/bytes.h"
#include "scenarios/targets/shared_memory.h"

namespace scenarios {

namespace {

using faultfs::fail;
using faultfs::size_text;
using Words = std::span<const std::string_view>;

struct Form {
  CommandKind kind;
  std::string_view word;
  std::string_view usage;
};

constexpr std::array forms = {
    Form{CommandKind::put, "put", "put KEY SIZE"},
    Form{CommandKind::crowd, "crowd", "crowd KEY SIZE"},
    Form{CommandKind::begin, "begin", "begin KEY SIZE SENT"},
    Form{CommandKind::more, "more", "more KEY SIZE"},
    Form{CommandKind::finish, "finish", "finish KEY"},
    Form{CommandKind::abort, "abort", "abort KEY"},
    Form{CommandKind::get, "get", "get KEY, or get KEY OFFSET SIZE"},
    Form{CommandKind::purge, "purge", "purge KEY"},
    Form{CommandKind::purge_all, "purge_all", "purge_all"},
    Form{CommandKind::update, "update", "update KEY SIZE"},
    Form{CommandKind::sync, "sync", "sync"},
    Form{CommandKind::stop, "stop", "stop"},
    Form{CommandKind::kill, "kill", "kill"},
    Form{CommandKind::kill_sliced, "kill_sliced", "kill_sliced"},
    Form{CommandKind::kill_in_stop, "kill_in_stop", "kill_in_stop MILLISECONDS"},
    Form{CommandKind::overlap, "overlap", "overlap"},
    Form{CommandKind::handoff, "handoff", "handoff"},
    Form{CommandKind::power_cut,
         "power_cut",
         "power_cut all_lost, power_cut all_kept, or power_cut random SEED"},
    Form{CommandKind::tick, "tick", "tick COUNT"},
    Form{CommandKind::shm, "shm", "shm WORD"},
    Form{CommandKind::reformat, "reformat", "reformat SIZE"},
};

const Form& form_of(CommandKind kind) {
  return *std::find_if(
      forms.begin(), forms.end(), [kind](const Form& form) { return form.kind == kind; });
}

std::string all_words() {
  std::string list;
  for (const Form& form : forms) {
    list += fmt::format("{}{}", list.empty() ? "" : ", ", form.word);
  }
  return list;
}

faultfs::Status read_key(std::string_view word, Command& command) {
  const auto key = parse_key(word);
  if (!key || *key > key_max) {
    return fail(fmt::format("'{}' is not a key; keys are k0, k1, … k{}", word, key_max));
  }
  command.key = *key;
  return {};
}

faultfs::Status read_size(std::string_view word, std::uint64_t most, std::uint64_t& size) {
  const auto read = faultfs::parse_size(word);
  if (!read) {
    return fail(read.error().message);
  }
  if (*read > most) {
    return fail(fmt::format("{} is too large; at most {} is allowed", word, size_text(most)));
  }
  size = *read;
  return {};
}

faultfs::Status read_cut(Words words, Command& command) {
  if (words.size() == 1 && words[0] == "all_lost") {
    command.cut = Command::CutStyle::all_lost;
    return {};
  }
  if (words.size() == 1 && words[0] == "all_kept") {
    command.cut = Command::CutStyle::all_kept;
    return {};
  }
  if (words.size() != 2 || words[0] != "random") {
    return fail(fmt::format("write it as {}", form_of(CommandKind::power_cut).usage));
  }
  const auto seed = faultfs::parse_number(words[1]);
  if (!seed) {
    return fail(seed.error().message);
  }
  command.cut = Command::CutStyle::random;
  command.seed = *seed;
  return {};
}

/// Where the numbers after the key go, for the commands that have a key.
std::vector<std::uint64_t*> numbers_of(Command& command, std::size_t given) {
  switch (command.kind) {
    case CommandKind::put:
    case CommandKind::crowd:
    case CommandKind::more:
    case CommandKind::update:
      return {&command.size};
    case CommandKind::begin:
      return {&command.size, &command.offset};
    case CommandKind::get:
      return given == 0 ? std::vector<std::uint64_t*>{}
                        : std::vector<std::uint64_t*>{&command.offset, &command.size};
    default:
      return {};
  }
}

faultfs::Status read_keyed(Words words, Command& command) {
  if (words.empty()) {
    return fail(fmt::format("write it as {}", form_of(command.kind).usage));
  }
  faultfs::Status status = read_key(words[0], command);
  const auto numbers = numbers_of(command, words.size() - 1);
  if (status && words.size() - 1 != numbers.size()) {
    status = fail(fmt::format("write it as {}", form_of(command.kind).usage));
  }
  const bool header = command.kind == CommandKind::update;
  for (std::size_t i = 0; status && i < numbers.size(); ++i) {
    status = read_size(words[i + 1], header ? header_bytes_max : body_bytes_max, *numbers[i]);
  }
  if (status && command.kind == CommandKind::begin && command.offset > command.size) {
    status = fail("more is sent at once than the whole body holds");
  }
  if (status && command.kind == CommandKind::get && words.size() > 1 && command.size == 0) {
    status = fail("a range holds at least one byte");
  }
  return status;
}

faultfs::Status read_shared(Words words, Command& command) {
  if (words.size() != 1 || !is_shared_word(words[0])) {
    return fail(fmt::format("write it as {}; allowed words: {}, store:N",
                            form_of(CommandKind::shm).usage,
                            fmt::join(shared_words(), ", ")));
  }
  command.word = words[0];
  return {};
}

faultfs::Status read_rest(Words words, Command& command) {
  const std::string write_it = fmt::format("write it as {}", form_of(command.kind).usage);
  switch (command.kind) {
    case CommandKind::purge_all:
    case CommandKind::sync:
    case CommandKind::stop:
    case CommandKind::kill:
    case CommandKind::kill_sliced:
    case CommandKind::overlap:
    case CommandKind::handoff:
      return words.empty() ? faultfs::Status{} : fail(write_it);
    case CommandKind::power_cut:
      return read_cut(words, command);
    case CommandKind::shm:
      return read_shared(words, command);
    case CommandKind::kill_in_stop:
      return words.size() == 1 ? read_size(words[0], stop_ms_max, command.size) : fail(write_it);
    case CommandKind::tick:
    case CommandKind::reformat:
      return words.size() == 1 ? read_size(words[0], body_bytes_max, command.size) : fail(write_it);
    default:
      return read_keyed(words, command);
  }
}

}  // namespace

bool restarts(CommandKind kind) {
  switch (kind) {
    case CommandKind::stop:
    case CommandKind::kill:
    case CommandKind::kill_sliced:
    case CommandKind::kill_in_stop:
    case CommandKind::overlap:
    case CommandKind::handoff:
    case CommandKind::power_cut:
    case CommandKind::reformat:
      return true;
    default:
      return false;
  }
}

std::string to_text(const Command& command) {
  const std::string_view word = form_of(command.kind).word;
  std::string keyed = fmt::format("{} {}", word, key_name(command.key));
  switch (command.kind) {
    case CommandKind::put:
    case CommandKind::crowd:
    case CommandKind::more:
    case CommandKind::update:
      return fmt::format("{} {}", keyed, size_text(command.size));
    case CommandKind::begin:
      return fmt::format("{} {} {}", keyed, size_text(command.size), size_text(command.offset));
    case CommandKind::get:
      return asks_whole(command)
                 ? keyed
                 : fmt::format(
                       "{} {} {}", keyed, size_text(command.offset), size_text(command.size));
    case CommandKind::finish:
    case CommandKind::abort:
    case CommandKind::purge:
      return keyed;
    case CommandKind::power_cut:
      return command.cut == Command::CutStyle::random
                 ? fmt::format("{} random {:#x}", word, command.seed)
                 : fmt::format(
                       "{} {}",
                       word,
                       command.cut == Command::CutStyle::all_lost ? "all_lost" : "all_kept");
    case CommandKind::shm:
      return fmt::format("{} {}", word, command.word);
    case CommandKind::tick:
    case CommandKind::kill_in_stop:
      return fmt::format("{} {}", word, command.size);
    case CommandKind::reformat:
      return fmt::format("{} {}", word, size_text(command.size));
    default:
      return std::string(word);
  }
}

faultfs::Result<Command> parse_command(std::string_view line) {
  const std::vector<std::string_view> words = faultfs::words(line);
  if (words.empty()) {
    return fail(fmt::format("'{}' holds no command; allowed: {}", line, all_words()));
  }
  const auto* const form = std::find_if(forms.begin(), forms.end(), [&](const Form& candidate) {
    return candidate.word == words[0];
  });
  if (form == forms.end()) {
    return fail(
        fmt::format("'{}': '{}' is not a command; allowed: {}", line, words[0], all_words()));
  }
  Command command;
  command.kind = form->kind;
  if (const faultfs::Status status = read_rest(Words(words).subspan(1), command); !status) {
    return fail(fmt::format("'{}': {}", line, status.error().message));
  }
  return command;
}

}  // namespace scenarios
