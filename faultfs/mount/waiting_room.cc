// A request is answered once, by its thread or by the interrupt of its client, whoever comes first;
// `answered` says so under the guest's lock. libfuse forgets the interrupt function when a request
// is answered, and calls it from the serving thread only; that is also the thread that clears
// guests away who have left, so the function never finds its guest gone.

#include "faultfs/mount/waiting_room.h"

#include <pthread.h>

#include <atomic>
#include <cerrno>
#include <mutex>
#include <thread>

namespace faultfs::mount {

void reply(fuse_req_t request, const Request& asked, const Outcome& outcome, ByteView bytes) {
  if (outcome.error != 0) {
    fuse_reply_err(request, outcome.error);
  } else if (asked.kind == RequestKind::read) {
    fuse_reply_buf(request, reinterpret_cast<const char*>(bytes.data()), outcome.size_bytes);
  } else if (asked.kind == RequestKind::write) {
    fuse_reply_write(request, outcome.size_bytes);
  } else {
    fuse_reply_err(request, 0);
  }
}

struct WaitingRoom::Guest {
  fuse_req_t request = nullptr;
  Request asked;
  Bytes bytes;
  std::mutex mutex;
  bool answered = false;
  std::atomic<bool> left = false;
  std::thread thread;

  void answer(const Outcome& outcome) {
    const std::lock_guard lock(mutex);
    if (!answered) {
      answered = true;
      reply(request, asked, outcome, bytes);
    }
  }
};

WaitingRoom::WaitingRoom(Device& device) : device_(&device) {}

WaitingRoom::~WaitingRoom() {
  close();
}

void WaitingRoom::enter(fuse_req_t request, const Request& asked, const Arrival& arrival) {
  guests_.remove_if([](const std::unique_ptr<Guest>& guest) {
    const bool gone = guest->left;
    if (gone) {
      guest->thread.join();
    }
    return gone;
  });
  guests_.push_back(std::make_unique<Guest>());
  Guest* guest = guests_.back().get();
  guest->request = request;
  guest->asked = asked;
  guest->bytes.assign(asked.bytes.begin(), asked.bytes.end());
  if (asked.kind == RequestKind::read) {
    guest->bytes.resize(asked.size_bytes);
  } else {
    guest->asked.bytes = guest->bytes;
  }
  fuse_req_interrupt_func(
      request,
      [](fuse_req_t, void* waiting) {
        static_cast<Guest*>(waiting)->answer({EINTR, 0});
      },
      guest);
  guest->thread = std::thread([this, guest, arrival] {
    pthread_setname_np(pthread_self(), "powercut-waits");
    device_->wait(arrival);
    guest->answer(device_->carry_out(guest->asked, guest->bytes));
    guest->left = true;
  });
}

void WaitingRoom::close() {
  for (const std::unique_ptr<Guest>& guest : guests_) {
    guest->thread.join();
  }
  guests_.clear();
}

}  // namespace faultfs::mount
