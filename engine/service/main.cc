// cache-engine: the engine as a process, and its inspection verbs.

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <exception>
#include <optional>

#include <fmt/format.h>

#include "engine/restart/config.h"
#include "engine/service/options.h"

namespace {

using engine::service::ListOptions;
using engine::service::ServerOptions;
using engine::service::Source;
using engine::service::StoreWords;

/// Everything a command line can say.
struct CommandLine {
  std::vector<std::string> disks;
  StoreWords words;
  ServerOptions server;
  bool manual_ticks = false;
  Source source;
  ListOptions list;
  engine::service::WalkOptions walk;
  std::string key;
  bool all = false;  ///< purge: every object
  bool json = false;
  bool retires = false;  ///< handoff
  int timeout_seconds = 60;
  std::string shm_prefix = engine::restart::Config().name_prefix;
};

CLI::App* add_serve(CLI::App& app, CommandLine& line) {
  CLI::App* serve = app.add_subcommand("serve", "serve a store until it is closed or SIGTERM");
  serve->add_option("--disk",
                    line.disks,
                    "file or block device that holds the store (memory: none); repeatable: "
                    "FILE:volume=N,id=NAME,size=64M is one disk of volume N");
  serve->add_option("--store", line.words.store, "rock, cyclone, memory (makes no file)");
  serve->add_flag(
      "--direct",
      line.words.direct,
      "direct I/O past the page cache, every write O_DSYNC; refused where the disk has none");
  serve->add_option("--preset", line.words.preset, "hardened; rock: squid; cyclone: trafficserver");
  serve->add_option("--without-gate", line.words.without_gates, "a gate to switch off; repeatable");
  serve->add_option("--slot", line.words.slot, "slot size, 1K to 1M (16K)");
  serve->add_option("--slice", line.words.slice_slots, "slots a tick of the rebuild reads (64)");
  serve->add_option("--allocator", line.words.allocator, "lowest_first, lifo, random");
  serve->add_option("--policy", line.words.policy, "whole_entry, newest_complete");
  serve->add_option("--seed", line.words.seed, "for ids and the random allocator; never twice");
  serve->add_option("--ram-cache",
                    line.words.ram_cache,
                    "a RAM cache before the store: 64M[,lru|s3fifo]"
                    "[,cutoff=4M]");
  serve->add_option("--key-mode",
                    line.words.key_mode,
                    "disks of volumes: which URL keys are made of, original or mapped; another "
                    "clears");
  serve->add_option(
      "--stripes", line.words.stripes, "cyclone: stripes of each volume (the disk's, or 1)");
  serve->add_option("--volumes", line.words.volumes, "cyclone: tags and weights, as 1:60,2:40");
  serve->add_option("--hosting",
                    line.words.hosting,
                    "which keys a volume has, as \"domain=example.com volume=2\"; "
                    "repeatable; one must be \"hostname=* volume=N\"");
  serve->add_option(
      "--threads", line.words.threads, "cyclone: stripes recovered at a time (all processors)");
  serve
      ->add_option("--pin",
                   line.words.pins,
                   "cyclone: a key that stays while the log comes round, or the beginning of keys "
                   "with '*' behind; repeatable")
      ->allow_extra_args(false);
  serve->add_option("--hit-evacuate-percent",
                    line.words.hit_evacuate_percent,
                    "cyclone: what a get hits this near to the write cursor stays another lap; 0 "
                    "to 50 percent (0)");
  serve->add_option("--shm",
                    line.words.shm,
                    "cyclone: directory in shared memory; enabled=1, name_prefix=WORD, "
                    "use_hugepages=1, purge_stale_on_start=1; repeatable");
  serve->add_flag("--cooperate",
                  line.words.cooperates,
                  "cyclone: one of two instances on this disk: the first writes, the other reads "
                  "its directory in shared memory, and writes after a handoff or the first's end");
  serve->add_option("--end-at", line.words.ends_at, "a step of a handoff, for tests")->group("");
  serve->add_option("--stop-at", line.words.stops_at, "a step of a handoff, for tests")->group("");
  serve->add_flag("--reopens", line.words.reopens, "a client may have the disk opened again")
      ->group("");  // for harnesses that swap the disk's bytes
  serve->add_flag("--forks", line.words.forks, "the socket asks for processes, see lives.h")
      ->group("");
  CLI::Option* file = serve->add_option("--socket", line.server.socket_file, "listen here");
  CLI::Option* connected =
      serve->add_option("--socket-fd", line.server.socket, "serve this connected socket alone");
  file->excludes(connected);
  serve->add_option("--tick-ms", line.server.tick_milliseconds, "background work every … ms (10)")
      ->check(CLI::NonNegativeNumber);
  serve->add_flag(
      "--manual-ticks", line.manual_ticks, "background work by the clients' ticks only");
  return serve;
}

CLI::App* add_verb(CLI::App& app, const char* name, const char* what, CommandLine& line) {
  CLI::App* verb = app.add_subcommand(name, what);
  verb->add_option("--disk",
                   line.source.disk,
                   "an image that is not in use; a disk of a volume is looked at behind "
                   "its label");
  verb->add_option("--socket", line.source.socket, "the socket of a running engine");
  verb->add_option("--slot", line.source.slot, "slot size, where the disk has no valid header");
  verb->add_flag("--json", line.json, "for machines");
  return verb;
}

std::string verbs(const CLI::App& app) {
  std::string names;
  for (const CLI::App* verb : app.get_subcommands(nullptr)) {
    names += (names.empty() ? "" : ", ") + verb->get_name();
  }
  return names;
}

CLI::App* add_handoff(CLI::App& app, CommandLine& line) {
  CLI::App* handoff = app.add_subcommand(
      "handoff",
      "a serving engine gives the right to write, and its clients, to the other instance");
  handoff->add_option("--socket", line.source.socket, "of the one that writes")->required();
  handoff->add_flag("--retire", line.retires, "it gives its socket too, and ends");
  handoff
      ->add_option("--timeout",
                   line.timeout_seconds,
                   "seconds to wait for the other one; one that does not answer is killed (60)")
      ->check(CLI::Range(1, 3600));
  return handoff;
}

/// The verbs below `shm`; told apart by their names.
CLI::App* add_shm(CLI::App& app, CommandLine& line) {
  CLI::App* shm = app.add_subcommand("shm", "the directories kept in shared memory");
  shm->require_subcommand(1);
  for (const auto& [name, what] :
       {std::pair("status", "what is there; changes nothing"),
        std::pair("clear", "removes it, unless a process lives there")}) {
    CLI::App* verb = shm->add_subcommand(name, what);
    verb->add_option("--prefix", line.shm_prefix, "how the objects' names begin (cache-engine)");
    verb->add_flag("--json", line.json, "for machines");
  }
  return shm;
}

/// The exit code where the words end the program: help, or a mistake, which is told.
std::optional<int> refuse_words(CLI::App& app, int argc, char** argv) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) {
      return app.exit(error);
    }
    const bool no_verb = app.get_subcommands().empty() && argc > 1 && *argv[1] != '-';
    fmt::print(stderr,
               "cache-engine: {} (see --help)\n",
               no_verb ? fmt::format("'{}' is not a verb; allowed: {}", argv[1], verbs(app))
                       : error.what());
    return engine::service::exit_usage;
  }
  return std::nullopt;
}

int serve(CommandLine& line) {
  if (line.disks.empty() && line.words.store != "memory") {
    fmt::print(
        stderr,
        "cache-engine: serve needs --disk FILE (--disk is required for all stores but memory)\n");
    return engine::service::exit_usage;
  }
  if (line.server.socket < 0 && line.server.socket_file.empty()) {
    fmt::print(stderr, "cache-engine: serve needs --socket PATH or --socket-fd N\n");
    return engine::service::exit_usage;
  }
  line.server.tick_milliseconds = line.manual_ticks ? 0 : line.server.tick_milliseconds;
  return engine::service::serve_command(line.disks, line.words, line.server);
}

/// A verb, and what it does.
struct Verb {
  const CLI::App* words;
  int (*act)(const CommandLine& line);
};

int purge_what(const CommandLine& line) {
  if (line.all == !line.key.empty()) {
    fmt::print(stderr, "cache-engine: purge needs a KEY, or --all\n");
    return engine::service::exit_usage;
  }
  return line.all ? engine::service::purge_all_command(line.source, line.json)
                  : engine::service::purge_command(line.source, line.key, line.json);
}

/// The verbs that look at a source, and `purge`.
std::vector<Verb> add_verbs(CLI::App& app, CommandLine& line) {
  using Line = const CommandLine&;
  CLI::App* list = add_verb(app, "list", "the objects, by key", line);
  list->add_option("--limit", line.list.limit, "objects at most");
  list->add_option("--after", line.list.after, "the resume token of the page before");
  CLI::App* walk = add_verb(app, "walk", "every slot or row, and whose it is", line);
  walk->add_option("--limit", line.walk.limit, "slots at most");
  walk->add_option("--from", line.walk.from, "the resume token of the page before");
  CLI::App* lookup = add_verb(app, "lookup", "would a get hit?", line);
  CLI::App* show = add_verb(app, "show", "an object's slots, ids and checksums", line);
  CLI::App* check = add_verb(app, "check", "a verdict for each slot; changes nothing", line);
  CLI::App* disks = add_verb(app, "disks", "the disks and their volumes", line);
  CLI::App* stats = add_verb(app, "stats", "recovery report, refusals by gate, counters", line);
  CLI::App* purge = add_verb(app, "purge", "removes an object, or everything, durably", line);
  for (CLI::App* verb : {lookup, show}) {
    verb->add_option("KEY", line.key)->required();
  }
  CLI::Option* key = purge->add_option("KEY", line.key);
  purge->add_flag("--all", line.all, "every object")->excludes(key);
  namespace to = engine::service;
  return {{list, [](Line l) { return to::list_command(l.source, l.list, l.json); }},
          {walk, [](Line l) { return to::walk_command(l.source, l.walk, l.json); }},
          {lookup, [](Line l) { return to::lookup_command(l.source, l.key, l.json); }},
          {show, [](Line l) { return to::show_command(l.source, l.key, l.json); }},
          {check, [](Line l) { return to::check_command(l.source, l.json); }},
          {disks, [](Line l) { return to::disks_command(l.source, l.json); }},
          {stats, [](Line l) { return to::stats_command(l.source, l.json); }},
          {purge, purge_what}};
}

int run(int argc, char** argv) {
  CommandLine line;
  CLI::App app(
      "A cache engine, served or looked at.\n\n"
      "  cache-engine serve --disk store.img --socket /run/cache.sock\n"
      "  cache-engine serve --disk a.img:volume=1 --disk b.img:volume=2 --ram-cache 64M \\\n"
      "    --hosting \"domain=example.com volume=2\" --hosting \"hostname=* volume=1\" --socket s\n"
      "  cache-engine list --disk store.img --limit 20\n"
      "  cache-engine check --disk store.img --json\n"
      "  cache-engine serve --disk store.img --socket b.sock --store cyclone --shm enabled=1 \\\n"
      "    --cooperate\n"
      "  cache-engine handoff --socket a.sock --retire\n"
      "  cache-engine shm status",
      "cache-engine");
  app.require_subcommand(1);
  const CLI::App* serving = add_serve(app, line);
  const std::vector<Verb> verbs = add_verbs(app, line);
  const CLI::App* handoff = add_handoff(app, line);
  const CLI::App* shm = add_shm(app, line);
  if (const auto code = refuse_words(app, argc, argv)) {
    return *code;
  }
  if (serving->parsed()) {
    return serve(line);
  }
  for (const Verb& verb : verbs) {
    if (verb.words->parsed()) {
      return verb.act(line);
    }
  }
  if (handoff->parsed()) {
    return engine::service::handoff_command(
        line.source.socket, line.retires, std::chrono::seconds(line.timeout_seconds));
  }
  return shm->got_subcommand("status")
             ? engine::service::shm_status_command(line.shm_prefix, line.json)
             : engine::service::shm_clear_command(line.shm_prefix, line.json);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {  // out of memory and its kin
    std::fprintf(stderr, "cache-engine: %s\n", error.what());
    return engine::service::exit_trouble;
  }
}
