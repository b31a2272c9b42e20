// One mount: one session, one serving thread. How it ends, whoever dies first:
//
//   1. The device (or tree) is cut, so nothing that still arrives changes it.
//   2. The mount point is unmounted, lazily when files are open in it. The server still answers.
//   3. When files are open, the connection is aborted (as root): every client that waits, now or
//      later, gets ENOTCONN or ECONNABORTED, also one that is stopped when it goes on. Without
//      root, step 5 does the same.
//   4. The session is told to exit, and a signal takes the serving thread out of its read. One that
//      does not come back within two seconds has its connection aborted, whatever it was.
//   5. The descriptor is closed.
//
// When this process dies instead, its descriptor goes with it, and step 5 has happened. That needs
// that nobody else holds it: it is close-on-exec, and forks close it, too. (A fork that held it and
// waited for an answer at that moment would wait for ever, and could not even be killed.)
//
// This process must never wait for its own mount: it keeps no descriptor in it and asks it nothing,
// not even for its attributes (own_mount.h), and all descriptors are close-on-exec, so that no
// child's exec sends a close to a thread that waits for that child. A SIGKILL that met such a
// request left the process in D state for ever: the serving thread was dead, and the thread that
// waited for it kept the connection open. (Tests do it, to be short.)

#include "faultfs/mount/mount.h"

#include <pthread.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <future>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>

#include "faultfs/base/check.h"
#include "faultfs/mount/attach.h"
#include "faultfs/mount/operations.h"
#include "faultfs/mount/own_mount.h"
#include "faultfs/mount/served.h"

namespace faultfs::mount {
namespace {

/// The signal that takes a serving thread out of its read: it does nothing else.
int wake_signal() {
  return SIGRTMIN + 4;
}

void install_wake_signal() {
  struct sigaction action {};  // no SA_RESTART: the read is to return
  action.sa_handler = [](int) {};
  sigemptyset(&action.sa_mask);
  POWERCUT_CHECK(sigaction(wake_signal(), &action, nullptr) == 0, "signal {}", wake_signal());
}

void allow_waking() {
  static std::once_flag once;
  std::call_once(once, install_wake_signal);
}

struct SessionEnd {
  void operator()(fuse_session* session) const { fuse_session_destroy(session); }
};
using Session = std::unique_ptr<fuse_session, SessionEnd>;

Result<Session> new_session(Served& served, const MountOptions& options, bool with_helper) {
  std::string program = "powercut";
  std::string flag = "-o";
  std::string names = "fsname=powercut,subtype=powercut";
  names += options.check_permissions ? ",default_permissions" : "";
  std::array<char*, 4> words = {program.data(), flag.data(), names.data(), nullptr};
  fuse_args arguments = FUSE_ARGS_INIT(with_helper ? 3 : 1, words.data());
  const fuse_lowlevel_ops ops = served.operations();
  Session session(fuse_session_new(&arguments, &ops, sizeof ops, served.data()));
  fuse_opt_free_args(&arguments);
  if (!session) {
    return fail("libfuse refuses to make a session");
  }
  return session;
}

/// Takes and answers requests until the session ends.
void answer_requests(fuse_session* session) {
  fuse_buf buffer{};
  while (fuse_session_exited(session) == 0) {
    const int received = fuse_session_receive_buf(session, &buffer);
    if (received == -EINTR) {
      continue;
    }
    if (received <= 0) {
      break;
    }
    fuse_session_process_buf(session, &buffer);
  }
  std::free(buffer.mem);  // libfuse allocated it with malloc
}

void pin_this_thread(int cpu) {
  if (cpu < 0) {
    return;
  }
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  CPU_SET(static_cast<unsigned>(cpu), &cpus);
  pthread_setaffinity_np(pthread_self(), sizeof cpus, &cpus);  // an unknown CPU: not pinned
}

class ServedMount : public Mount {
 public:
  ServedMount(std::unique_ptr<Served> served, const MountOptions& options)
      : served_(std::move(served)), options_(options) {}

  ServedMount(const ServedMount&) = delete;
  ServedMount& operator=(const ServedMount&) = delete;
  ServedMount(ServedMount&&) = delete;
  ServedMount& operator=(ServedMount&&) = delete;

  ~ServedMount() override {
    if (!session_) {
      return;
    }
    served_->cut();
    if (!with_helper_ && detach(options_.directory) != Detached::wholly) {
      abort_connection(connection_);
    }
    stop();
    served_->end();
    no_more_kept_from_forks(fuse_session_fd(session_.get()));
    if (with_helper_) {
      fuse_session_unmount(session_.get());
    }
  }

  [[nodiscard]] const std::filesystem::path& directory() const override {
    return options_.directory;
  }

  Status open() {
    Result<int> fuse = attach(options_, with_helper_);
    if (!fuse && !with_helper_) {
      return fail(fuse.error().message);
    }
    Result<Session> session = new_session(*served_, options_, with_helper_);
    if (!session) {
      detach(options_.directory);
      close(fuse.value_or(-1));
      return fail(session.error().message);
    }
    const std::string where =
        with_helper_ ? options_.directory.string() : "/dev/fd/" + std::to_string(*fuse);
    if (fuse_session_mount(session->get(), where.c_str()) != 0) {
      return fail(options_.directory.string() + ": fusermount3 could not mount a FUSE device here");
    }
    session_ = std::move(*session);
    served_->begin();
    keep_from_forks(fuse_session_fd(session_.get()));
    start();
    return look();
  }

 private:
  void start() {
    allow_waking();
    std::promise<void> promise;
    ended_ = promise.get_future();
    thread_ = std::thread([this, promise = std::move(promise)]() mutable {
      pthread_setname_np(pthread_self(), "powercut-fuse");
      sigset_t others;
      sigfillset(&others);
      sigdelset(&others, wake_signal());
      pthread_sigmask(SIG_SETMASK, &others, nullptr);
      pin_this_thread(options_.pin_cpu);
      answer_requests(session_.get());
      promise.set_value();
    });
  }

  /// Learns the number of the connection.
  Status look() {
    const std::uint64_t number = file_system_at(options_.directory);
    if (number == 0) {
      return fail(options_.directory.string() +
                  ": the mounted device is not there: " + std::generic_category().message(errno));
    }
    connection_ = minor(number);
    return {};
  }

  void stop() {
    fuse_session_exit(session_.get());
    bool ended = wake_until_ended(std::chrono::seconds(2));
    if (!ended) {
      abort_connection(connection_);
      ended = wake_until_ended(std::chrono::seconds(8));
    }
    POWERCUT_CHECK(ended, "the serving thread of {} hangs", options_.directory.string());
    thread_.join();
  }

  /// Signals the serving thread again and again: one signal may come just before its read.
  bool wake_until_ended(std::chrono::milliseconds time) {
    constexpr std::chrono::milliseconds pause(5);
    bool ended = ended_.wait_for(std::chrono::milliseconds(0)) == std::future_status::ready;
    for (auto waited = pause; !ended && waited <= time; waited += pause) {
      pthread_kill(thread_.native_handle(), wake_signal());
      ended = ended_.wait_for(pause) == std::future_status::ready;
    }
    return ended;
  }

  std::unique_ptr<Served> served_;
  MountOptions options_;
  bool with_helper_ = false;  ///< mounted by fusermount3: this process may not
  std::uint32_t connection_ = 0;
  Session session_;
  std::future<void> ended_;
  std::thread thread_;
};

class ServedDisks : public Served {
 public:
  explicit ServedDisks(Device& device) : device_(device), files_(device) {}
  [[nodiscard]] fuse_lowlevel_ops operations() const override { return mount::operations(); }
  [[nodiscard]] void* data() override { return &files_; }
  void begin() override { device_.on_kill(kill_client); }
  void cut() override {
    device_.cut_now();
    device_.on_kill(nullptr);
  }
  void end() override { files_.waiting_room().close(); }

 private:
  Device& device_;
  DiskFiles files_;
};

}  // namespace

bool kill_client(int client) {
  std::error_code ignored;
  const bool ours = std::filesystem::exists("/proc/self/task/" + std::to_string(client), ignored);
  return client > 0 && !ours && ::kill(client, SIGKILL) == 0;
}

Result<std::unique_ptr<Mount>> Mount::create(Device& device, const MountOptions& options) {
  return serve(std::make_unique<ServedDisks>(device), options);
}

Result<std::unique_ptr<Mount>> serve(std::unique_ptr<Served> served, const MountOptions& options) {
  MountOptions resolved = options;
  std::error_code error;
  resolved.directory = std::filesystem::canonical(options.directory, error);
  if (error) {
    return fail(options.directory.string() + ": " + error.message() +
                "; allowed: an existing empty directory");
  }
  auto mount = std::make_unique<ServedMount>(std::move(served), resolved);
  const Status opened = mount->open();
  if (!opened) {
    return fail(opened.error().message);
  }
  return mount;
}

}  // namespace faultfs::mount
