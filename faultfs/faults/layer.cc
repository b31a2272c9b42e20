// How faults compose.
//
// A request meets the faults in the order in which they were put there. Each looks at it
// (`attend`), and, when its expression says so, fires. One that refuses the request (or kills its
// client beforehand) ends the walk: the faults behind it do not see the request, and do not count
// it. What the device is to do instead stands in the deed; the request itself is never changed.
//
// The truth stays beside. The device's own disks and log go on as those of an honest device; what
// the faults made different is a list of changes to log entries. What a reader sees, and what a cut
// may leave, is the replay of the log with the changes of the faults that are switched on:
//
//     asked   w0001 write 0 4K A    w0002 write 0 4K B
//     changes                       w0002 ignored (f1, phantom-write)
//     seen    A;   with f1 off: B;  with f1 on again: A
//
// So switching a fault off takes back all it did to the medium, as if it had never been; a client
// that has seen the lie, and did other things because of it, has done them all the same. A power-on
// ends that: what the disks hold then is the truth from then on.
//
// Faults that only answer wrongly (errno, stale, rot on the way, short, waiting) change nothing
// that could be taken back.

#include "faultfs/faults/layer.h"

#include <algorithm>

#include <fmt/format.h>

#include "faultfs/base/check.h"
#include "faultfs/faults/catalogue.h"

namespace faultfs::faults {

FaultLayer::FaultLayer(const DeviceProfile& profile,
                       const std::vector<DiskSpec>& specs,
                       const WriteLog& asked,
                       std::vector<Image> disks)
    : profile_(profile),
      specs_(specs),
      base_(disks),
      known_since_(asked.size()),
      now_(std::move(disks), asked, known_since_) {}

Result<std::uint32_t> FaultLayer::add(const Expression& expression, MakeFault make) {
  const FaultKind* kind = find_fault(expression.fault);
  POWERCUT_CHECK(kind != nullptr, "{}", expression.fault);
  std::optional<DiskNumber> disk;
  std::string names;
  for (std::size_t number = 0; number < specs_.size(); ++number) {
    names += (names.empty() ? "" : ", ") + specs_[number].name;
    if (specs_[number].name == expression.disk) {
      disk = static_cast<DiskNumber>(number);
    }
  }
  if (!expression.disk.empty() && !disk) {
    return fail(fmt::format("fault {}: there is no disk \"{}\"; allowed: {}",
                            expression.fault,
                            expression.disk,
                            names));
  }
  if (expression.fault == "misdirected-write" &&
      expression.number("to") % profile_.sector_bytes != 0) {
    return fail(fmt::format("fault misdirected-write: to={} is no sector; allowed: multiples of {}",
                            expression.word("to"),
                            profile_.sector_bytes));
  }
  std::uint32_t number = faults_.empty() ? 1 : faults_.back().number + 1;
  faults_.push_back({number,
                     expression,
                     kind->at_arrival,
                     true,
                     Trigger(expression, disk),
                     (make != nullptr ? make : kind->make)(expression)});
  return number;
}

FaultLayer::Installed* FaultLayer::find(std::uint32_t number) {
  auto found = std::find_if(
      faults_.begin(), faults_.end(), [&](const Installed& it) { return it.number == number; });
  return found == faults_.end() ? nullptr : &*found;
}

bool FaultLayer::is_on(std::uint32_t number) const {
  return std::any_of(faults_.begin(), faults_.end(), [&](const Installed& it) {
    return it.number == number && it.on;
  });
}

bool FaultLayer::switch_on(std::uint32_t number, bool on, const WriteLog& asked) {
  Installed* it = find(number);
  if (it == nullptr) {
    return false;
  }
  if (it->on != on) {
    it->on = on;
    it->fault->release();
    rebuild(asked);
  }
  return true;
}

bool FaultLayer::release(std::uint32_t number) {
  Installed* it = find(number);
  if (it == nullptr || !it->at_arrival) {
    return false;
  }
  it->fault->release();
  return true;
}

std::vector<FaultState> FaultLayer::list() const {
  std::vector<FaultState> states;
  for (const Installed& it : faults_) {
    states.push_back(
        {it.number, to_text(it.expression), it.on, it.trigger.matches(), it.trigger.firings()});
  }
  return states;
}

void FaultLayer::mark(std::string_view text) {
  for (Installed& it : faults_) {
    it.trigger.mark(text);
  }
}

Medium FaultLayer::medium(std::uint32_t issued_after) const {
  return {&now_.disks(), &now_.done(), &profile_, issued_after, known_since_};
}

void FaultLayer::ask(Installed& it, const Request& request, const Medium& below, Deed& deed) {
  it.fault->attend(request, below, deed);
  if (deed.error != 0 || !it.trigger.concerns(request) || !it.trigger.due()) {
    return;
  }
  std::size_t changes = deed.changes.size();
  std::size_t rollbacks = deed.rollbacks.size();
  if (!it.fault->fire(request, below, deed)) {
    return;
  }
  it.trigger.fired();
  for (std::size_t i = changes; i < deed.changes.size(); ++i) {
    deed.changes[i].fault = it.number;
  }
  for (std::size_t i = rollbacks; i < deed.rollbacks.size(); ++i) {
    deed.rollbacks[i].fault = it.number;
  }
}

Arrival FaultLayer::arrive(const Request& request) {
  Arrival arrival;
  for (Installed& it : faults_) {
    if (it.on && it.at_arrival) {
      Deed deed;
      ask(it, request, medium(0), deed);
      arrival.delay_ms += deed.delay_ms;
      arrival.held_by = deed.held ? it.number : arrival.held_by;
    }
  }
  return arrival;
}

Deed FaultLayer::decide(const Request& request, std::uint32_t issued_after) {
  Deed deed;
  deed.size_bytes = request.size_bytes;
  Medium below = medium(issued_after);
  for (Installed& it : faults_) {
    if (it.on && !it.at_arrival && deed.error == 0 && deed.killed != Killed::before) {
      ask(it, request, below, deed);
    }
  }
  return deed;
}

void FaultLayer::before_change(const Request& request) {
  for (Installed& it : faults_) {
    if (it.on) {
      it.fault->before_change(request, medium(0));
    }
  }
}

void FaultLayer::carried_out(const WriteLog& asked, std::vector<Change> changes) {
  std::uint32_t number = asked.size();
  bool reaches_back = false;
  for (Change& change : changes) {
    bool replays = change.entry != 0 && change.kind != ChangeKind::dropped;
    reaches_back = reaches_back || replays || change.kind == ChangeKind::rolled_back;
    change.entry = change.entry == 0 ? number : change.entry;
    auto behind = std::upper_bound(
        changes_.begin(), changes_.end(), change.entry, [](std::uint32_t entry, const Change& it) {
          return entry < it.entry;
        });
    changes_.insert(behind, change);
  }
  if (reaches_back) {
    rebuild(asked);
    return;
  }
  now_.step(asked, changes_of(number));
  for (const Change& change : changes) {
    if (change.kind == ChangeKind::dropped) {
      now_.drop(change.entry);
    }
  }
}

std::vector<const Change*> FaultLayer::changes_of(std::uint32_t entry) const {
  std::vector<const Change*> changes;
  auto first = std::lower_bound(
      changes_.begin(), changes_.end(), entry, [](const Change& it, std::uint32_t number) {
        return it.entry < number;
      });
  for (; first != changes_.end() && first->entry == entry; ++first) {
    if (is_on(first->fault)) {
      changes.push_back(&*first);
    }
  }
  return changes;
}

void FaultLayer::rebuild(const WriteLog& asked) {
  now_ = Replay(base_, asked, known_since_);
  for (const Change& change : changes_) {
    if (change.kind == ChangeKind::rolled_back && is_on(change.fault)) {
      now_.keep_version(static_cast<std::uint32_t>(change.value));
    }
    if (change.kind == ChangeKind::dropped && change.entry <= known_since_ && is_on(change.fault)) {
      now_.drop(change.entry);
    }
  }
  while (now_.done().size() < asked.size()) {
    now_.step(asked, changes_of(now_.done().size() + 1));
  }
}

void FaultLayer::read(const Request& request, const Deed& deed, MutableByteView into) {
  now_.disks()[request.disk].read(request.offset_bytes, into);
  for (Fault* fault : deed.on_its_way) {
    fault->returned(request, medium(0), into);
  }
}

void FaultLayer::power_on(std::vector<Image> disks) {
  base_ = std::move(disks);
  known_since_ = 0;
  changes_.clear();
  WriteLog empty;
  empty.keep_in_memory(now_.done().kept_in_memory());
  now_ = Replay(base_, empty, 0);
  for (Installed& it : faults_) {
    it.fault->power_on();
  }
}

}  // namespace faultfs::faults
