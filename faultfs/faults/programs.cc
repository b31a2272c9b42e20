// Programs of requests, faults, cuts and reads, against a device and the naive model of it. What
// must agree: every answer (errno, length, bytes), who waits for whom, how often each fault met a
// request and fired, what readers see, what is true, what was done, and every crash state that is
// asked for.

#include "faultfs/faults/programs.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <deque>

#include <fmt/format.h>

#include "faultfs/base/random.h"
#include "faultfs/crash_model.h"
#include "faultfs/faults/catalogue.h"
#include "faultfs/naive_model.h"

namespace faultfs::programs {

namespace {

constexpr std::uint64_t disk0_bytes = 12 * 512;
constexpr std::uint64_t disk1_bytes = 4096;

struct Held {
  Arrival arrival;
  Request request;
  Bytes bytes;
};

std::string own_value(const faults::OwnWord& own, Random& random) {
  if (own.type == faults::OwnWord::Type::choice) {
    return std::string(own.choices[random.below(own.choices.size())]);
  }
  if (own.name == "to") {
    return std::to_string(4096 * random.below(2));
  }
  if (own.name == "run") {
    return random.chance(1, 2) ? "1K" : "2K";
  }
  if (own.name == "bytes") {
    return std::to_string(1 + random.below(900));
  }
  return std::to_string((own.name == "age" ? 0 : 1) + random.below(4));
}

std::string when(Random& random) {
  switch (random.below(6)) {
    case 0:
      return fmt::format(" nth={}", 1 + random.below(3));
    case 1:
      return fmt::format(" nth={} every={}", 1 + random.below(2), 1 + random.below(3));
    case 2:
      return fmt::format(" times={}", 1 + random.below(3));
    case 3:
      return fmt::format(" chance={}/{} seed={}", 1 + random.below(2), 3, random.below(99));
    case 4:
      return " mark=go";
    default:
      return "";
  }
}

bool same_log(const WriteLog& left, const WriteLog& right) {
  if (left.size() != right.size()) {
    return false;
  }
  for (std::uint32_t number = 1; number <= left.size(); ++number) {
    const LogEntry& a = left.entry(number);
    const LogEntry& b = right.entry(number);
    bool mark = a.kind == EntryKind::mark;
    ByteView x = left.data(number);
    ByteView y = right.data(number);
    bool same = a.kind == b.kind && a.issued_after == b.issued_after &&
                (mark || (a.disk == b.disk && a.fua == b.fua && a.offset_bytes == b.offset_bytes &&
                          a.size_bytes == b.size_bytes && a.dropped == b.dropped &&
                          a.on_medium == b.on_medium));
    if (!same || !std::equal(x.begin(), x.end(), y.begin(), y.end())) {
      return false;
    }
  }
  return true;
}

Bytes content(const Image& image) {
  Bytes bytes(image.size_bytes());
  image.read(0, bytes);
  return bytes;
}

std::vector<Bytes> contents(const std::vector<Image>& images) {
  std::vector<Bytes> disks;
  for (const Image& image : images) {
    disks.push_back(content(image));
  }
  return disks;
}

/// One run of one program.
class Run {
 public:
  Run(const Options& options, Device& device, Client* client)
      : options_(options),
        device_(device),
        client_(client),
        base_(device.snapshot()),
        naive_(device.profile(), {"disk0", "disk1"}, contents(base_)) {}

  std::string operator()(const std::vector<std::uint32_t>& numbers) {
    add_faults(numbers.empty() ? 0 : numbers[0]);
    for (std::size_t i = 1; i < numbers.size() && trouble_.empty(); ++i) {
      step_ = i;
      Random random(numbers[i]);
      command(random);
    }
    compare_all();
    return trouble_.empty() ? "" : fmt::format("{}\n{}", trouble_, told_);
  }

 private:
  void add_faults(std::uint64_t seed) {
    Random random(seed);
    std::uint64_t count = 1 + random.below(3);
    for (std::uint64_t i = 0; i < count; ++i) {
      bool first = i == 0 && !options_.always.empty();
      std::string text =
          drawn_expression(random.next(), first ? options_.always : std::string_view());
      Result<faults::Expression> expression = faults::parse_expression(text);
      if (!expression) {
        diverged(fmt::format("\"{}\" is refused: {}", text, expression.error().message));
        return;
      }
      auto unwanted =
          std::find(options_.without.begin(), options_.without.end(), expression->fault);
      if (unwanted != options_.without.end()) {
        continue;
      }
      bool planted = expression->fault == options_.planted.fault;
      if (!device_.add_fault(*expression, planted ? options_.planted.make : nullptr)) {
        diverged(text + " cannot be added");
        return;
      }
      naive_.add(*expression);
      ++faults_;
      told_ += "  fault " + text + "\n";
    }
  }

  void command(Random& random) {
    std::uint64_t which = random.below(24);
    if (which < 18) {
      do_request(random);
    } else if (which == 18) {
      std::string text = random.chance(1, 2) ? "go" : "stay";
      told_ += "  mark " + text + "\n";
      device_.mark(text);
      naive_.mark(text);
    } else if (which < 21 && faults_ > 0) {
      do_switch(random.below(faults_), random.chance(1, 2));
    } else if (which == 21 && faults_ > 0) {
      std::size_t fault = random.below(faults_);
      if (device_.release_fault(static_cast<std::uint32_t>(fault + 1))) {
        told_ += fmt::format("  release {}\n", fault + 1);
        naive_.release(fault);
        go_on(fault + 1);
      }
    } else if (which == 22) {
      do_cut(random);
    } else {
      compare_all();
    }
  }

  void do_switch(std::size_t fault, bool on) {
    told_ += fmt::format("  fault {} {}\n", on ? "on" : "off", fault + 1);
    if (!device_.switch_fault(static_cast<std::uint32_t>(fault + 1), on)) {
      diverged("a fault is not there");
    }
    naive_.switch_on(fault, on);
    go_on(fault + 1);
  }

  Request drawn_request(Random& random, Bytes& bytes) {
    Request request;
    std::uint64_t kind = random.below(10);
    request.kind = kind < 4   ? RequestKind::write
                   : kind < 7 ? RequestKind::read
                   : kind < 9 ? RequestKind::flush
                              : RequestKind::discard;
    request.disk = static_cast<DiskNumber>(random.below(2));
    request.generation = device_.generation();
    std::uint64_t disk_bytes = request.disk == 0 ? disk0_bytes : disk1_bytes;
    std::uint64_t at = random.below(disk_bytes);
    std::uint64_t size = 1 + random.below(1500);
    if (random.chance(1, 2)) {
      at = at / 512 * 512;
      size = (1 + random.below(10)) * 512;
    }
    if (request.kind == RequestKind::flush) {
      return request;
    }
    request.offset_bytes = at;
    request.size_bytes = std::min(size, disk_bytes - at);
    bytes.resize(request.size_bytes);
    if (request.kind == RequestKind::write) {
      request.fua = random.chance(1, 4);
      fill_with_noise(5, step_, 5, bytes);
      request.bytes = bytes;
    }
    return request;
  }

  void do_request(Random& random) {
    Bytes bytes;
    Request request = drawn_request(random, bytes);
    told_ += fmt::format("  {} disk{} {}+{}{}\n",
                         faults::kind_name(request.kind),
                         request.disk,
                         request.offset_bytes,
                         request.size_bytes,
                         request.fua ? " fua" : "");
    naive::FaultyDevice::Wait wait = naive_.arrive(request);
    if (client_ != nullptr) {
      Outcome outcome = client_->ask(request, bytes);
      compare(request, outcome, bytes, naive_.carry_out(request));
      return;
    }
    Arrival arrival = device_.arrive(request);
    if (arrival.held_by != wait.held_by || arrival.delay_ms != wait.delay_ms) {
      diverged(fmt::format("waits {} ms for f{}; the model {} ms for f{}",
                           arrival.delay_ms,
                           arrival.held_by,
                           wait.delay_ms,
                           wait.held_by));
    } else if (arrival.held_by != 0) {
      held_.push_back({arrival, request, bytes});
    } else {
      carry_out(request, bytes);
    }
  }

  void carry_out(Request request, Bytes& bytes) {
    if (request.kind == RequestKind::write) {
      request.bytes = bytes;
    }
    std::uint64_t generation = device_.generation();
    Outcome outcome = device_.carry_out(request, bytes);
    compare(request, outcome, bytes, naive_.carry_out(request));
    if (generation != device_.generation()) {
      go_on(0);
    }
  }

  void compare(const Request& request,
               const Outcome& outcome,
               const Bytes& bytes,
               const naive::Answer& answer) {
    bool same = outcome.error == answer.error && outcome.size_bytes == answer.size_bytes;
    bool reads = request.kind == RequestKind::read && answer.error == 0;
    if (!same) {
      diverged(fmt::format("answers {} and {} bytes; the model {} and {} bytes",
                           outcome.error,
                           outcome.size_bytes,
                           answer.error,
                           answer.size_bytes));
    } else if (reads && !std::equal(answer.bytes.begin(), answer.bytes.end(), bytes.begin())) {
      diverged("reads other bytes than the model");
    }
    if (device_.generation() != naive_.generation()) {
      diverged(fmt::format(
          "is of generation {}; the model {}", device_.generation(), naive_.generation()));
    }
  }

  /// What waits because of a fault (0: of any) goes on.
  void go_on(std::size_t fault) {
    std::deque<Held> going;
    std::deque<Held> staying;
    for (Held& held : held_) {
      (fault == 0 || held.arrival.held_by == fault ? going : staying).push_back(std::move(held));
    }
    held_ = std::move(staying);
    for (Held& held : going) {
      device_.wait(held.arrival);
      told_ += fmt::format("  goes on: {}\n", faults::kind_name(held.request.kind));
      carry_out(held.request, held.bytes);
    }
  }

  void do_cut(Random& random) {
    told_ += "  cut\n";
    device_.cut_now();
    naive_.cut();
    go_on(0);
    WriteLog log = device_.log();
    WriteLog expected = naive_.done();
    if (!same_log(log, expected)) {
      diverged("did other things than the model");
      return;
    }
    CrashModel model(base_, log, device_.profile());
    naive::Model judge{contents(base_), expected, device_.profile()};
    CrashPlan plan = drawn_plan(model, random);
    bool legal = model.check(plan).has_value();
    if (legal != judge.legal(plan)) {
      diverged("has other crash states than the model:\n" + to_text(plan));
      return;
    }
    std::vector<Image> disks = legal ? model.build(plan) : device_.snapshot();
    if (legal && contents(disks) != judge.build(plan)) {
      diverged("has another crash state than the model:\n" + to_text(plan));
      return;
    }
    if (!legal && contents(disks) != naive_.seen()) {
      diverged("shows other bytes than the model at a cut");
      return;
    }
    base_ = disks;
    naive_.power_on(contents(disks));
    device_.power_on(std::move(disks));
    if (client_ != nullptr) {
      client_->open_again();
    }
  }

  static CrashPlan drawn_plan(const CrashModel& model, Random& random) {
    CrashPlan plan;
    plan.point.entry = model.log().size();
    plan.point.kind = random.chance(1, 5) ? CutKind::kill : CutKind::power_cut;
    for (std::uint32_t number = 1; number <= plan.point.entry; ++number) {
      EntryKind kind = model.log().entry(number).kind;
      if (random.chance(1, 2) && kind != EntryKind::flush && kind != EntryKind::mark) {
        Fate fate;
        fate.write = number;
        fate.kind = FateKind::lost;
        plan.fates.push_back(fate);
      }
    }
    if (random.chance(3, 4)) {  // of the volatile ones only
      std::vector<VolatileWrite> open = model.volatile_writes(plan.point);
      std::erase_if(plan.fates, [&](const Fate& fate) {
        return std::none_of(open.begin(), open.end(), [&](const VolatileWrite& write) {
          return write.entry == fate.write;
        });
      });
    }
    return plan;
  }

  void compare_all() {
    if (!trouble_.empty()) {
      return;
    }
    if (contents(device_.snapshot()) != naive_.seen()) {
      diverged("shows other bytes than the model");
    } else if (contents(device_.truth()) != naive_.truth()) {
      diverged("has another truth than the model");
    } else if (!same_log(device_.log(), naive_.done())) {
      diverged("did other things than the model");
    }
    std::vector<FaultState> states = device_.faults();
    for (std::size_t i = 0; i < states.size(); ++i) {
      if (states[i].matches != naive_.matches(i) || states[i].firings != naive_.firings(i)) {
        diverged(fmt::format("says f{} met {} requests and fired {} times; the model {} and {}",
                             i + 1,
                             states[i].matches,
                             states[i].firings,
                             naive_.matches(i),
                             naive_.firings(i)));
      }
    }
  }

  void diverged(std::string_view how) {
    if (trouble_.empty()) {
      trouble_ = fmt::format("at command {} the device {}", step_, how);
    }
  }

  const Options& options_;
  Device& device_;
  Client* client_;
  std::vector<Image> base_;
  naive::FaultyDevice naive_;
  std::deque<Held> held_;
  std::size_t faults_ = 0;
  std::size_t step_ = 0;
  std::string told_;
  std::string trouble_;
};

}  // namespace

std::vector<DiskSpec> disks() {
  return {{"disk0", disk0_bytes}, {"disk1", disk1_bytes}};
}

DeviceProfile drawn_profile(std::uint64_t seed) {
  Random random(seed);
  DeviceProfile profile;
  profile.name = "drawn";
  profile.sector_bytes = 512;
  profile.atomic_write_bytes = random.chance(1, 3) ? 1024 : 512;
  profile.volatile_write_cache = random.chance(5, 6);
  profile.fua_honoured = random.chance(4, 5);
  profile.flush_honoured = random.chance(5, 6);
  profile.lost_content = random.chance(1, 4) ? LostContent::zero : LostContent::old;
  return profile;
}

std::string drawn_expression(std::uint64_t seed, std::string_view fault) {
  Random random(seed);
  const auto& kinds = faults::catalogue();
  const faults::FaultKind* kind = faults::find_fault(fault);
  if (kind == nullptr) {
    kind = &kinds[random.below(kinds.size())];
  }
  std::string text(kind->name);
  if (random.chance(1, 3)) {
    text += " " + std::string(faults::kind_name(kind->kinds[random.below(kind->kinds.size())]));
  }
  text += random.chance(1, 4) ? fmt::format(" disk=disk{}", random.below(2)) : "";
  if (random.chance(1, 4) && text.find("flush") == std::string::npos) {
    text += fmt::format(" at={}+{}", random.below(4000), 1 + random.below(2000));
  }
  text += when(random);
  for (const faults::OwnWord& own : kind->own) {
    if (own.normal.empty() || random.chance(2, 3)) {
      text += fmt::format(" {}={}", own.name, own_value(own, random));
    }
  }
  return text;
}

std::string run_program(const std::vector<std::uint32_t>& numbers,
                        const Options& options,
                        Device& device,
                        Client* client) {
  return Run(options, device, client)(numbers);
}

int programs_to_run(const char* variable, int normal) {
  const char* text = std::getenv(variable);  // NOLINT(concurrency-mt-unsafe)
  Result<std::uint64_t> number = text == nullptr ? fail("") : parse_number(text);
  return number ? static_cast<int>(*number) : normal;
}

}  // namespace faultfs::programs
