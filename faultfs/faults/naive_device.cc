#include "faultfs/faults/naive_device.h"

#include <algorithm>
#include <cerrno>

#include "faultfs/base/random.h"

namespace faultfs::naive {

namespace {

bool waits(const std::string& fault) {
  return fault == "latency" || fault == "hold" || fault == "stall";
}

}  // namespace

FaultyDevice::FaultyDevice(DeviceProfile profile,
                           std::vector<std::string> names,
                           std::vector<Bytes> disks)
    : profile_(std::move(profile)), names_(std::move(names)), base_(std::move(disks)) {}

void FaultyDevice::add(const faults::Expression& expression) {
  Fault fault;
  fault.expression = expression;
  fault.open = expression.mark.empty();
  faults_.push_back(fault);
}

void FaultyDevice::switch_on(std::size_t fault, bool on) {
  if (faults_[fault].on != on) {
    faults_[fault].on = on;
    faults_[fault].late.clear();
    faults_[fault].stalls = false;
  }
}

void FaultyDevice::release(std::size_t fault) {
  faults_[fault].stalls = false;
}

void FaultyDevice::mark(const std::string& text) {
  if (is_cut_) {
    return;
  }
  asked_.push_back({EntryKind::mark, {}, {}, asked_.size()});
  for (Fault& fault : faults_) {
    fault.open = fault.open || text.find(fault.expression.mark) != std::string::npos;
  }
}

void FaultyDevice::power_on(const std::vector<Bytes>& disks) {
  base_ = disks;
  asked_.clear();
  bent_.clear();
  ++generation_;
  is_cut_ = false;
  for (Fault& fault : faults_) {
    fault.older.clear();
    fault.late.clear();
    fault.owed.clear();
    fault.stalls = false;
  }
}

bool FaultyDevice::is_inside(const Request& request) const {
  return request.offset_bytes + request.size_bytes <= base_[request.disk].size();
}

FaultyDevice::Wait FaultyDevice::arrive(const Request& request) {
  Wait wait;
  for (std::size_t i = 0; i < faults_.size(); ++i) {
    Fault& fault = faults_[i];
    bool lives = !is_cut_ && request.generation == generation_ && is_inside(request);
    if (!lives || !fault.on || !waits(fault.expression.fault)) {
      continue;
    }
    bool held = fault.stalls;
    if (matches(fault, request) && now(fault)) {
      ++fault.fired;
      wait.delay_ms += fault.expression.fault == "latency" ? fault.expression.number("ms") : 0;
      held = held || fault.expression.fault != "latency";
      fault.stalls = fault.expression.fault == "stall";
    }
    wait.held_by = held ? i + 1 : wait.held_by;
  }
  return wait;
}

bool FaultyDevice::matches(const Fault& fault, const Request& request) const {
  const faults::Expression& it = fault.expression;
  bool kind = std::count(it.kinds.begin(), it.kinds.end(), request.kind) > 0;
  bool disk = it.disk.empty() || it.disk == names_[request.disk];
  bool place = !it.at;
  for (std::uint64_t at = 0; it.at && at < request.size_bytes; ++at) {
    std::uint64_t byte = request.offset_bytes + at;
    place =
        place || (byte >= it.at->offset_bytes && byte - it.at->offset_bytes < it.at->size_bytes);
  }
  return fault.open && kind && disk && place;
}

bool FaultyDevice::now(Fault& fault) {
  const faults::Expression& it = fault.expression;
  std::uint64_t match = ++fault.matched;
  bool turn = false;
  for (std::uint64_t n = it.nth; n <= match; n += it.every) {
    turn = turn || n == match;
  }
  bool left = it.times == 0 || fault.fired < it.times;
  bool drawn = it.chance == it.out_of || Random(mix(it.seed, match)).chance(it.chance, it.out_of);
  return turn && left && drawn;
}

Answer FaultyDevice::carry_out(const Request& request) {
  if (request.kind != RequestKind::read && !is_inside(request)) {
    return {request.kind == RequestKind::write ? ENOSPC : EINVAL, 0};
  }
  if (is_cut_ || request.generation != generation_) {
    return {EIO, 0};
  }
  if (!is_inside(request)) {
    return {EINVAL, 0};
  }
  Decision decision;
  decision.size = request.size_bytes;
  std::size_t issued_after = asked_.size();
  for (std::size_t i = 0; i < faults_.size(); ++i) {
    bool reached = decision.error == 0 && !decision.dies_before;
    if (reached && faults_[i].on && !waits(faults_[i].expression.fault)) {
      ask(i, request, decision);
    }
  }
  for (const Pending& landing : decision.landings) {
    Request late = landing.request;
    late.bytes = landing.bytes;
    enter(late, asked_.size());
  }
  generation_ += decision.dies_before ? 1 : 0;
  if (decision.dies_before || decision.error != 0) {
    return {decision.dies_before ? EIO : decision.error, 0};
  }
  for (Bent& back : decision.go_backs) {
    back.entry = asked_.size();
    bent_.push_back(back);
    asked_.push_back({EntryKind::mark, {}, {}, asked_.size()});
  }
  Request done = request;
  done.size_bytes = decision.size;
  Answer answer{decision.reply, decision.size};
  if (request.kind == RequestKind::read) {
    answer.bytes = range(done.disk, done.offset_bytes, done.size_bytes, asked_.size(), true);
    for (std::size_t fault : decision.bending_reads) {
      bend_read(faults_[fault], done, answer.bytes);
    }
  } else {
    done.bytes = done.bytes.empty() ? done.bytes : done.bytes.first(done.size_bytes);
    enter(done, issued_after);
    for (Bent& bend : decision.bends) {
      bend.entry = bend.entry == ~std::size_t{0} ? asked_.size() - 1 : bend.entry;
      bent_.push_back(bend);
    }
  }
  if (decision.dies_after) {
    ++generation_;
    return {EIO, 0};
  }
  return answer;
}

/// The request is carried out as asked, as far as the truth is concerned.
void FaultyDevice::enter(const Request& request, std::size_t issued_after) {
  for (Fault& fault : faults_) {
    std::uint64_t sector_bytes = profile_.sector_bytes;
    std::uint64_t end = request.offset_bytes + request.size_bytes;
    std::uint64_t sector = request.offset_bytes / sector_bytes;
    for (; fault.on && request.size_bytes > 0 && sector * sector_bytes < end; ++sector) {
      if (fault.expression.fault == "stale-read") {
        fault.older[{request.disk, sector}] =
            range(request.disk, sector * sector_bytes, sector_bytes, asked_.size(), true);
      }
      bool whole = request.offset_bytes <= sector * sector_bytes &&
                   request.offset_bytes + request.size_bytes >= (sector + 1) * sector_bytes;
      if (whole) {
        fault.bad.erase({request.disk, sector});
      }
    }
  }
  EntryKind kind = request.kind == RequestKind::write   ? EntryKind::write
                   : request.kind == RequestKind::flush ? EntryKind::flush
                                                        : EntryKind::discard;
  asked_.push_back(
      {kind, request, Bytes(request.bytes.begin(), request.bytes.end()), issued_after});
}

void FaultyDevice::ask(std::size_t fault, const Request& request, Decision& decision) {
  look(faults_[fault], request, decision);
  if (decision.error != 0 || !matches(faults_[fault], request) || !now(faults_[fault])) {
    return;
  }
  faults_[fault].fired += fire(fault, request, decision) ? 1 : 0;
}

void FaultyDevice::look(Fault& fault, const Request& request, Decision& decision) {
  for (std::uint64_t at = 0; request.kind == RequestKind::read && at < request.size_bytes; ++at) {
    std::uint64_t sector = (request.offset_bytes + at) / profile_.sector_bytes;
    decision.error = fault.bad.count({request.disk, sector}) > 0 ? EIO : decision.error;
  }
  if (request.kind == RequestKind::flush && fault.owed.erase(request.disk) > 0) {
    decision.reply = EIO;
  }
  std::vector<Pending> still;
  for (Pending& late : fault.late) {
    late.left -= request.kind == RequestKind::read ? 0 : 1;
    (late.left == 0 ? decision.landings : still).push_back(late);
  }
  fault.late = still;
}

bool FaultyDevice::fire(std::size_t fault, const Request& request, Decision& decision) {
  const std::string& name = faults_[fault].expression.fault;
  const std::map<std::string, int> errors = {
      {"eio", EIO}, {"enodev", ENODEV}, {"enospc", ENOSPC}, {"erofs", EROFS}};
  if (auto error = errors.find(name); error != errors.end()) {
    decision.error = error->second;
    return true;
  }
  if (name == "kill-client") {
    bool before = faults_[fault].expression.word("when") == "before";
    (before ? decision.dies_before : decision.dies_after) = true;
    return true;
  }
  if (name == "short-read" || name == "short-write") {
    std::uint64_t bytes = faults_[fault].expression.number("bytes");
    bool shorter = bytes < decision.size;
    decision.size = shorter ? bytes : decision.size;
    return shorter;
  }
  if (name == "phantom-write" || name == "lying-flush") {
    decision.bends.push_back({fault, ~std::size_t{0}, Bend::nothing});
    return true;
  }
  if (name == "run-rollback") {
    const faults::Expression& it = faults_[fault].expression;
    std::uint64_t run = std::max<std::uint64_t>(512, it.number("run"));
    std::uint64_t begin = request.offset_bytes / run * run;
    if (begin >= base_[request.disk].size()) {
      return false;
    }
    std::uint64_t age = it.number("age");
    Bent bent{fault, 0, Bend::go_back};
    bent.begin = begin;
    bent.end = begin + run;
    bent.disk = request.disk;
    bent.value = age == 0 || age > asked_.size() ? 0 : asked_.size() - age;
    decision.go_backs.push_back(bent);
    return true;
  }
  if (request.kind == RequestKind::read) {
    return fire_at_read(fault, request, decision);
  }
  return request.kind == RequestKind::flush ? fire_at_flush(fault, request, decision)
                                            : fire_at_write(fault, request, decision);
}

bool FaultyDevice::fire_at_read(std::size_t fault, const Request& request, Decision& decision) {
  Fault& it = faults_[fault];
  bool acts = false;
  std::uint64_t sector_bytes = profile_.sector_bytes;
  std::uint64_t rotten = request.offset_bytes / sector_bytes;
  std::uint64_t bit =
      Random(mix(mix(it.expression.seed, request.disk), rotten)).below(sector_bytes * 8);
  for (std::uint64_t at = request.offset_bytes; at < request.offset_bytes + request.size_bytes;
       ++at) {
    std::uint64_t sector = at / sector_bytes;
    if (it.expression.fault == "latent-sector-error") {
      it.bad.insert({request.disk, sector});
      acts = true;
    } else if (it.expression.fault == "stale-read") {
      acts = acts || it.older.count({request.disk, sector}) > 0;
    } else {
      acts = acts || at == rotten * sector_bytes + bit / 8;
    }
  }
  if (it.expression.fault == "latent-sector-error") {
    decision.error = EIO;
  } else if (acts) {
    decision.bending_reads.push_back(fault);
  }
  return acts;
}

void FaultyDevice::bend_read(const Fault& fault, const Request& request, Bytes& bytes) const {
  std::uint64_t sector_bytes = profile_.sector_bytes;
  std::uint64_t rotten = request.offset_bytes / sector_bytes;
  std::uint64_t bit =
      Random(mix(mix(fault.expression.seed, request.disk), rotten)).below(sector_bytes * 8);
  for (std::uint64_t i = 0; i < bytes.size(); ++i) {
    std::uint64_t at = request.offset_bytes + i;
    auto older = fault.older.find({request.disk, at / sector_bytes});
    if (fault.expression.fault == "stale-read" && older != fault.older.end()) {
      bytes[i] = older->second[at % sector_bytes];
    } else if (fault.expression.fault == "rot-on-read" && at == rotten * sector_bytes + bit / 8) {
      bytes[i] ^= std::byte{1} << (bit % 8);
    }
  }
}

bool FaultyDevice::fire_at_write(std::size_t fault, const Request& request, Decision& decision) {
  Fault& it = faults_[fault];
  const std::string& name = it.expression.fault;
  Bent bent{fault, ~std::size_t{0}, Bend::no_fua};
  bool acts = true;
  if (name == "late-write") {
    it.late.push_back(
        {request, Bytes(request.bytes.begin(), request.bytes.end()), it.expression.number("by")});
    decision.error = EIO;
    return true;
  }
  if (name == "lying-fua") {
    acts = request.fua;
  } else if (name == "misdirected-write") {
    bent.bend = Bend::move;
    bent.value = it.expression.number("to");
    acts = bent.value + request.size_bytes <= base_[request.disk].size() &&
           bent.value % profile_.sector_bytes == 0 && bent.value != request.offset_bytes;
  } else if (name == "rot-on-write") {
    acts = request.size_bytes > 0;
    bent.bend = Bend::flip;
    bent.value = acts ? Random(mix(it.expression.seed, it.fired)).below(request.size_bytes * 8) : 0;
  } else {
    bent.bend = Bend::tear;
    bent.is_new = torn(it, request);
    acts = !bent.is_new.empty();
  }
  if (acts) {
    decision.bends.push_back(bent);
  }
  return acts;
}

/// For every byte of the write, whether it is new; empty: it cannot come apart.
std::vector<bool> FaultyDevice::torn(const Fault& fault, const Request& request) const {
  const std::string& unit = fault.expression.word("unit");
  const std::string& keep = fault.expression.word("keep");
  std::uint64_t unit_bytes = unit == "byte" ? 1 : unit == "page" ? 4096 : profile_.sector_bytes;
  std::set<std::uint64_t> pieces;
  for (std::uint64_t i = 0; i < request.size_bytes; ++i) {
    pieces.insert((request.offset_bytes + i) / unit_bytes);
  }
  std::uint64_t count = pieces.size();
  std::vector<bool> is_new;
  bool too_small = count < 2 || (keep == "hole" && count < 3);
  for (std::uint64_t i = 0; !too_small && i < request.size_bytes; ++i) {
    std::uint64_t piece = (request.offset_bytes + i) / unit_bytes - *pieces.begin();
    bool in_first_half = piece < count / 2;
    bool in_middle = piece >= count / 3 && piece < count - count / 3;
    is_new.push_back(keep == "prefix"   ? in_first_half
                     : keep == "suffix" ? !in_first_half
                     : keep == "hole"   ? !in_middle
                                        : piece == 0);
  }
  return is_new;
}

bool FaultyDevice::is_cached(std::size_t entry, DiskNumber disk) const {
  const Asked& it = asked_[entry];
  bool change = it.kind == EntryKind::write || it.kind == EntryKind::discard;
  bool fua = it.request.fua && !has(entry, Bend::no_fua) && profile_.fua_honoured;
  if (!change || it.request.disk != disk || has(entry, Bend::nothing) || fua ||
      has(entry, Bend::forget) || !profile_.volatile_write_cache) {
    return false;
  }
  for (std::size_t n = 0; profile_.flush_honoured && n < asked_.size(); ++n) {
    bool flush = asked_[n].kind == EntryKind::flush && !has(n, Bend::nothing);
    if (flush && asked_[n].request.disk == disk && asked_[n].issued_after > entry) {
      return false;
    }
  }
  return true;
}

bool FaultyDevice::fire_at_flush(std::size_t fault, const Request& request, Decision& decision) {
  const std::string& name = faults_[fault].expression.fault;
  decision.bends.push_back({fault, ~std::size_t{0}, Bend::nothing});
  if (name == "failed-flush-late") {
    faults_[fault].owed.insert(request.disk);
  } else {
    decision.reply = EIO;
  }
  for (std::size_t n = 0; name != "failed-flush-dirty" && n < asked_.size(); ++n) {
    if (is_cached(n, request.disk)) {
      decision.bends.push_back(
          {fault, n, name == "failed-flush-reverted" ? Bend::nothing : Bend::forget});
    }
  }
  return true;
}

}  // namespace faultfs::naive
