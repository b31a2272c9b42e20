#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/block/device.h"
#include "engine/cyclone/config.h"
#include "engine/cyclone/live.h"
#include "engine/restart/config.h"
#include "engine/rock/config.h"
#include "engine/service/disk_words.h"
#include "engine/service/server.h"
#include "engine/volumes/hosting.h"

namespace engine::service {

/// The words of a command line that say which store, as typed.
struct StoreWords {
  std::string store = "rock";
  std::string preset = "hardened";
  std::vector<std::string> without_gates;
  std::string slot;  ///< empty: 16K, or what the disk's header tells
  std::uint32_t slice_slots = 64;
  std::string allocator, policy;  ///< empty: the preset's
  std::string seed;               ///< empty: from the system
  std::string ram_cache;          ///< "64M,s3fifo"; empty: none
  std::string key_mode;           ///< disks of volumes: original, mapped; empty: original
  bool reopens = false;           ///< clients may ask to open the store again
  bool forks = false;             ///< the socket asks for lives (lives.h)
  bool direct = false;            ///< O_DIRECT and O_DSYNC
  bool cooperates = false;        ///< is one of two instances (cooperation.h)
  std::string ends_at, stops_at;  ///< steps of a handoff where this process does, for tests
  /// cyclone: how the disk is cut; empty: as it is, one stripe where it is blank.
  std::string stripes;               ///< of each volume
  std::string volumes;               ///< "1:60,2:40"
  std::vector<std::string> hosting;  ///< rules, one each
  std::string threads;               ///< empty: one for each processor
  std::vector<std::string> pins;     ///< names that stay, or beginnings of names with '*'
  std::string hit_evacuate_percent;  ///< empty: 0
  /// cyclone, the directory in shared memory: "enabled=1", "name_prefix=word", "use_hugepages=1",
  /// "purge_stale_on_start=1".
  std::vector<std::string> shm;
};

/// Error: names the word that is wrong and the allowed ones.
[[nodiscard]] Result<rock::Config> make_config(const StoreWords& words);

/// The same for store cyclone; a slot is twice the average object.
[[nodiscard]] Result<cyclone::Config> make_cyclone_config(const StoreWords& words);

/// Ok where the words say a store that these disks can hold.
[[nodiscard]] Status check_words(const StoreWords& words, const std::vector<DiskWord>& disks);

/// What of a store's format a label stands for (volumes/label.h): "rock", "cyclone".
[[nodiscard]] std::string store_facts(const std::string& store);

/// The seed of `seed`, or one of the system's. Error: quotes it.
[[nodiscard]] Result<std::uint64_t> make_seed(const StoreWords& words);

/// The rules of `hosting` for these disks of volumes; one volume needs none. Error: says which rule
/// or disk is without the other.
[[nodiscard]] Result<volumes::Hosting> make_hosting(const StoreWords& words,
                                                    const std::vector<DiskWord>& disks);

/// The words of `shm`, read.
[[nodiscard]] Result<restart::Config> make_shm_config(const StoreWords& words);

/// Opens the store that the words say on `device`: the whole of a disk, or what is behind its
/// label; without a slot size, that of the disk. `identity` names the disk, and is a part of its
/// names in shared memory with `suffix`. `live`: cyclone::SharedDirectory.
[[nodiscard]] Result<std::unique_ptr<Store>> open_on(block::Device& device,
                                                     const std::string& identity,
                                                     const std::string& suffix,
                                                     const StoreWords& words,
                                                     std::span<cyclone::LiveStripe> live = {});

/// Reads "1000", "16K", "1M". Error: quotes the text.
[[nodiscard]] Result<std::uint32_t> parse_slot_size(const std::string& text);

/// Which store a verb looks at.
struct Source {
  std::filesystem::path disk;    ///< offline, not in use, as `parse_disk` reads it …
  std::filesystem::path socket;  ///< … or the socket of a running `serve`
  std::string slot;              ///< offline: instead of what the header tells
};

struct ListOptions {
  std::uint64_t limit = 0;  ///< 0: all
  std::string after;        ///< the token of the page before
};

struct WalkOptions {
  std::uint64_t from = 0;   ///< the token of the page before
  std::uint64_t limit = 0;  ///< 0: all
};

/// Exit codes of the program.
enum ExitCode : int { exit_ok = 0, exit_not_so = 1, exit_usage = 2, exit_trouble = 3 };

/// `disks`: words of `parse_disk`.
[[nodiscard]] int serve_command(const std::vector<std::string>& disks,
                                const StoreWords& words,
                                const ServerOptions& options);

// The inspection verbs. All but `purge` change no byte. Each prints a table, or JSON.
[[nodiscard]] int list_command(const Source& source, const ListOptions& options, bool json);
/// Every slot or row, and whose it is.
[[nodiscard]] int walk_command(const Source& source, const WalkOptions& options, bool json);
/// Tells whether a get would hit: exit code 1 where not.
[[nodiscard]] int lookup_command(const Source& source, const std::string& key, bool json);
[[nodiscard]] int show_command(const Source& source, const std::string& key, bool json);
/// Exit code 1 where a slot is refused, or an object cannot be read whole.
[[nodiscard]] int check_command(const Source& source, bool json);
/// The disks of a store of volumes.
[[nodiscard]] int disks_command(const Source& source, bool json);
[[nodiscard]] int stats_command(const Source& source, bool json);
[[nodiscard]] int purge_command(const Source& source, const std::string& key, bool json);
[[nodiscard]] int purge_all_command(const Source& source, bool json);

/// Has the engine at `socket` give the right to write to the instance it cooperates with.
[[nodiscard]] int handoff_command(const std::filesystem::path& socket,
                                  bool retire,
                                  std::chrono::milliseconds patience);

/// Shows the shared memory below a prefix; changes nothing. Exit code 3 where it is not this
/// build's.
[[nodiscard]] int shm_status_command(const std::string& prefix, bool json);
/// Removes it, unless a live process owns it.
[[nodiscard]] int shm_clear_command(const std::string& prefix, bool json);

/// Says what is wrong on standard error, in one line; returns the exit code that fits.
[[nodiscard]] int complain(const Error& error);

}  // namespace engine::service
