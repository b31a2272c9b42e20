// A device with faults. A request arrives (and may have to wait), is taken up, and meets the
// faults; what they say is done to the log and to what readers see, while the pristine disks and
// the log of what was asked go on as those of an honest device.
//
// All of it but the waiting happens under the device's one lock, so also with faults a request
// takes effect at one moment.

#include <algorithm>
#include <cerrno>
#include <chrono>

#include <fmt/format.h>

#include "faultfs/device.h"
#include "faultfs/faults/layer.h"

namespace faultfs {

Device::~Device() = default;

int Device::submit_all(Request request, MutableByteView into) {
  while (true) {
    Outcome outcome = submit(request, into);
    if (outcome.error != 0 || outcome.size_bytes == request.size_bytes) {
      return outcome.error;
    }
    request.offset_bytes += outcome.size_bytes;
    request.size_bytes -= outcome.size_bytes;
    if (request.kind == RequestKind::read) {
      into = into.subspan(outcome.size_bytes);
    } else {
      request.bytes = request.bytes.subspan(outcome.size_bytes);
    }
  }
}

Outcome Device::submit(const Request& request, MutableByteView into) {
  if (has_faults_) {
    wait(arrive(request));
  }
  return carry_out(request, into);
}

Arrival Device::arrive(const Request& request) {
  if (!has_faults_) {
    return {};
  }
  std::lock_guard lock(mutex_);
  bool lives = !is_cut_ && request.generation == generation_;
  if (!lives || layer_ == nullptr ||
      !is_inside(request.disk, request.offset_bytes, request.size_bytes)) {
    return {};
  }
  Arrival arrival = layer_->arrive(request);
  arrival.held_at = let_go_ + (arrival.held_by == 0 ? 0 : released_[arrival.held_by]);
  return arrival;
}

void Device::wait(const Arrival& arrival) {
  if (!arrival.waits()) {
    return;
  }
  std::unique_lock lock(mutex_);
  auto may_go_on = [&] {
    return let_go_ + (arrival.held_by == 0 ? 0 : released_[arrival.held_by]) != arrival.held_at;
  };
  if (!time_flies_) {
    goes_on_.wait_for(lock, std::chrono::milliseconds(arrival.delay_ms), may_go_on);
  }
  if (arrival.held_by != 0) {
    goes_on_.wait(lock, may_go_on);
  }
}

Outcome Device::carry_out(const Request& request, MutableByteView into) {
  std::uint32_t issued_after = completed_.load(std::memory_order_acquire);
  return has_faults_ ? carry_out_with_faults(request, issued_after, into)
                     : carry_out_plainly(request, issued_after, into);
}

Outcome Device::carry_out_with_faults(const Request& request,
                                      std::uint32_t issued_after,
                                      MutableByteView into) {
  std::unique_lock lock(mutex_);
  if (layer_ == nullptr) {  // taken away just now
    lock.unlock();
    return carry_out_plainly(request, issued_after, into);
  }
  if (int refused = admit_request(request); refused != 0) {
    return {refused, 0};
  }
  faults::Deed deed = layer_->decide(request, issued_in_log(issued_after));
  for (const Request& landing : deed.landings) {
    change_with_faults(landing, log_.size(), {});
  }
  if (deed.killed == faults::Killed::before) {
    kill(request.client);
    return {EIO, 0};
  }
  if (deed.error != 0) {
    return {deed.error, 0};
  }
  for (const faults::Change& rollback : deed.rollbacks) {
    completed_ =
        log_.add_mark(fmt::format("fault f{}: {} at 0x{:x} of disk {} are as after {} again",
                                  rollback.fault,
                                  size_text(rollback.range.size_bytes),
                                  rollback.range.offset_bytes,
                                  rollback.disk,
                                  entry_name(static_cast<std::uint32_t>(rollback.value))));
    layer_->carried_out(log_, {rollback});
  }
  Request done = request;
  done.size_bytes = deed.size_bytes;
  if (request.kind == RequestKind::read) {
    layer_->read(done, deed, into.first(done.size_bytes));
  } else {
    done.bytes = request.bytes.first(request.bytes.empty() ? 0 : done.size_bytes);
    change_with_faults(done, issued_after, std::move(deed.changes));
  }
  count(done);
  if (deed.killed == faults::Killed::after) {
    kill(request.client);
    return {EIO, 0};
  }
  return {deed.reply, done.size_bytes};
}

void Device::change_with_faults(const Request& request,
                                std::uint32_t issued_after,
                                std::vector<faults::Change> changes) {
  layer_->before_change(request);
  change(request, issued_after);
  layer_->carried_out(log_, std::move(changes));
}

/// Without a process to kill, nothing more comes from handles of this generation.
void Device::kill(int client) {
  bool killed = kill_ && kill_(client);
  if (!killed) {
    ++generation_;
    let_go();
  }
}

void Device::let_go() {
  ++let_go_;
  goes_on_.notify_all();
}

void Device::note_mark(std::string_view text) {
  if (layer_ != nullptr) {
    layer_->mark(text);
    layer_->carried_out(log_, {});
  }
}

void Device::restart_faults() {
  let_go();
  if (layer_ != nullptr) {
    layer_->power_on(images_);
  }
}

Error Device::no_fault(std::uint32_t number) {
  return Error{fmt::format("there is no fault {}; `fault list` shows those there are", number)};
}

Result<std::uint32_t> Device::add_fault(const faults::Expression& expression,
                                        faults::MakeFault make) {
  std::lock_guard lock(mutex_);
  auto layer = layer_ ? std::move(layer_)
                      : std::make_unique<faults::FaultLayer>(profile_, specs_, log_, images_);
  Result<std::uint32_t> number = layer->add(expression, make);
  if (number || has_faults_) {
    layer_ = std::move(layer);
    has_faults_ = true;
  }
  released_.resize(std::max<std::size_t>(released_.size(), number.value_or(0) + 1));
  return number;
}

Status Device::switch_fault(std::uint32_t number, bool on) {
  std::lock_guard lock(mutex_);
  if (layer_ == nullptr || !layer_->switch_on(number, on, log_)) {
    return tl::unexpected<Error>(no_fault(number));
  }
  ++released_[number];
  goes_on_.notify_all();
  return {};
}

Status Device::release_fault(std::uint32_t number) {
  std::lock_guard lock(mutex_);
  if (layer_ == nullptr || !layer_->release(number)) {
    return fail(
        fmt::format("fault {} holds nothing; allowed: a fault hold, stall or latency", number));
  }
  ++released_[number];
  goes_on_.notify_all();
  return {};
}

void Device::clear_faults() {
  std::lock_guard lock(mutex_);
  layer_.reset();
  has_faults_ = false;
  let_go();
}

std::vector<FaultState> Device::faults() const {
  std::lock_guard lock(mutex_);
  return layer_ ? layer_->list() : std::vector<FaultState>();
}

void Device::on_kill(std::function<bool(int client)> kill) {
  std::lock_guard lock(mutex_);
  kill_ = std::move(kill);
}

std::vector<Image> Device::snapshot() const {
  std::lock_guard lock(mutex_);
  return layer_ ? layer_->seen() : images_;
}

std::vector<Image> Device::truth() const {
  std::lock_guard lock(mutex_);
  return images_;
}

WriteLog Device::log() const {
  std::lock_guard lock(mutex_);
  return layer_ ? layer_->done() : log_;
}

WriteLog Device::asked() const {
  std::lock_guard lock(mutex_);
  return log_;
}

}  // namespace faultfs
