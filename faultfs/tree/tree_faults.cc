// What goes wrong with a directory tree while it runs, in the words of faults/expression.cc:
//
//   eio             any request fails
//   enospc          write, create, rename: there is no room
//   erofs           every request that changes something: the file system went read-only
//   lying-flush     flush (fsync of a file), sync-directory: acknowledged, and nothing is durable
//   phantom-write   write: acknowledged, and its bytes are nowhere; the file has the new length
//   torn-write      write: acknowledged, and a part of its bytes is there (keep=, unit=)
//   kill-client     the process that asks is killed, before or after the request (when=)
//   power-cut       the power goes, before or after the request (when=)
//
//     lying-flush sync-directory            fsync of no directory keeps its names
//     eio rename nth=2                      the second rename fails
//     phantom-write file=db-wal nth=3       the third write to db-wal is nowhere
//
// Names are changed wholly or not at all: a rename that was acknowledged and is not there would
// contradict the next look-up of the same program. What a crash may leave of names is the metadata
// model (tree_model.cc). A flush that fails leaves what was written volatile, and the next one
// covers it.
//
// The truth stays beside, as on disks (faults/layer.cc): a fault that is switched off takes back
// what it did to bytes and durability. Mounted, a tree goes through the kernel's page cache: what a
// phantom write left out is seen when a file is read again after a power-on, and a fault of reads
// fires at those that the cache does not answer.
//
// Not for trees: what lies about places of a disk (misdirected, stale, rot, rollback, latent sector
// errors), lying-fua (there is no FUA: O_DSYNC is a write and a flush), and what waits.

#include "faultfs/tree/tree_faults.h"

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>

#include "faultfs/faults/catalogue.h"

namespace faultfs::tree {
namespace {

using faults::Expression;
using faults::FaultKind;
using faults::Killed;
using faults::OwnWord;

std::vector<FaultKind> make_catalogue() {
  using enum RequestKind;
  const std::vector<RequestKind> changes = {
      write, flush, discard, create, rename, unlink, truncate, sync_directory};
  std::vector<RequestKind> all = changes;
  all.insert(all.begin(), read);
  const OwnWord when{"when", OwnWord::Type::choice, "before", {"before", "after"}};
  std::vector<FaultKind> kinds = {
      {"eio", "fails", all, {}},
      {"enospc", "fails: no room", {write, create, rename}, {}},
      {"erofs", "fails: read-only", {write, discard, create, rename, unlink, truncate}, {}},
      {"lying-flush", "is acknowledged, and nothing is durable", {flush, sync_directory}, {}},
      {"phantom-write", "is acknowledged, and its bytes are nowhere", {write}, {}},
      {"torn-write",
       "is acknowledged and lands in part",
       {write},
       {{"keep", OwnWord::Type::choice, "prefix", {"prefix", "suffix", "hole", "first"}},
        {"unit", OwnWord::Type::choice, "sector", {"byte", "sector", "page"}}}},
      {"kill-client", "kills the process that asks", all, {when}},
      {"power-cut", "the power goes", changes, {when}},
  };
  for (FaultKind& kind : kinds) {
    kind.place = "file";
  }
  return kinds;
}

int errno_of(std::string_view fault) {
  return fault == "eio" ? EIO : fault == "enospc" ? ENOSPC : fault == "erofs" ? EROFS : 0;
}

/// True when `name`, a path or its last part, is one of the names in `request`.
bool is_about(const TreeRequest& request, std::string_view name, const TreeState& state) {
  const auto called = [name](std::string_view path) {
    return path == name || (path.ends_with(name) && path[path.size() - name.size() - 1] == '/');
  };
  const std::map<std::string, ObjectNumber> paths = state.paths();
  const auto wanted = [&](ObjectNumber object) {
    return std::ranges::find(request.objects, object) != request.objects.end();
  };
  std::map<ObjectNumber, std::string> directories = {{root_object, ""}};
  for (const auto& [path, object] : paths) {
    if (wanted(object) && called(path)) {
      return true;
    }
    directories.emplace(object, path + "/");
  }
  return std::ranges::any_of(request.places, [&](const auto& place) {
    const auto directory = directories.find(place.first);
    return directory != directories.end() && called(directory->second + place.second);
  });
}

}  // namespace

const std::vector<FaultKind>& TreeFaults::catalogue() {
  static const std::vector<FaultKind> kinds = make_catalogue();
  return kinds;
}

Result<Expression> TreeFaults::parse(std::string_view text) {
  const std::vector<std::string_view> found = words(text);
  const bool of_disks = !found.empty() && faults::find_fault(found[0], catalogue()) == nullptr &&
                        faults::find_fault(found[0]) != nullptr;
  if (of_disks) {
    return fail(fmt::format("fault {} is one of disks; allowed on a tree: {}",
                            found[0],
                            faults::fault_names(catalogue())));
  }
  return faults::parse_expression(text, catalogue());
}

std::uint32_t TreeFaults::add(const Expression& expression) {
  Installed fault{expression, faults::Trigger(expression, std::nullopt)};
  faults_.push_back(std::move(fault));
  return static_cast<std::uint32_t>(faults_.size());
}

bool TreeFaults::switch_on(std::uint32_t number, bool on) {
  if (number == 0 || number > faults_.size()) {
    return false;
  }
  faults_[number - 1].on = on;
  return true;
}

bool TreeFaults::is_on(std::uint32_t number) const {
  return number >= 1 && number <= faults_.size() && faults_[number - 1].on;
}

std::vector<FaultState> TreeFaults::list() const {
  std::vector<FaultState> states;
  for (const Installed& it : faults_) {
    states.push_back({static_cast<std::uint32_t>(states.size() + 1),
                      faults::to_text(it.expression, catalogue()),
                      it.on,
                      it.trigger.matches(),
                      it.trigger.firings()});
  }
  return states;
}

void TreeFaults::mark(std::string_view text) {
  for (Installed& it : faults_) {
    it.trigger.mark(text);
  }
}

TreeDeed TreeFaults::decide(const TreeRequest& request, const TreeState& state) {
  TreeDeed deed;
  Request asked;
  asked.kind = request.kind;
  asked.offset_bytes = request.offset_bytes;
  asked.size_bytes = request.size_bytes;
  for (std::size_t at = 0; at < faults_.size(); ++at) {
    Installed& it = faults_[at];
    const bool over =
        deed.error != 0 || deed.killed == Killed::before || deed.cut == Killed::before;
    const bool concerned =
        it.on && !over && it.trigger.concerns(asked) &&
        (it.expression.disk.empty() || is_about(request, it.expression.disk, state));
    if (concerned && it.trigger.due() &&
        fire(static_cast<std::uint32_t>(at + 1), it.expression, request, deed)) {
      it.trigger.fired();
    }
  }
  return deed;
}

bool TreeFaults::fire(std::uint32_t number,
                      const Expression& expression,
                      const TreeRequest& request,
                      TreeDeed& deed) const {
  const std::string& fault = expression.fault;
  if (const int error = errno_of(fault); error != 0) {
    deed.error = error;
    return true;
  }
  if (fault == "kill-client" || fault == "power-cut") {
    const Killed when = expression.word("when") == "before" ? Killed::before : Killed::after;
    (fault == "kill-client" ? deed.killed : deed.cut) = when;
    return true;
  }
  TreeChange change;
  change.fault = number;
  if (fault == "torn-write") {
    constexpr std::uint64_t page_bytes = 4096;
    const std::string& unit = expression.word("unit");
    change.torn = true;
    change.kept = torn_pieces(*find_tear_shape(expression.word("keep")),
                              unit == "byte"   ? 1
                              : unit == "page" ? page_bytes
                                               : sector_bytes_,
                              request.offset_bytes,
                              request.size_bytes);
    if (change.kept.empty()) {
      return false;  // too small to come apart so
    }
  }
  deed.changes.push_back(std::move(change));
  return true;
}

}  // namespace faultfs::tree
