#include "runner/stage.h"

#include <sys/statvfs.h>

#include <cstdlib>
#include <system_error>

#include <fmt/format.h>

namespace runner {
namespace fs = std::filesystem;

std::string to_text(DeviceKind kind) {
  return kind == DeviceKind::memory ? "memory" : "fuse";
}

faultfs::Status Stage::mount() {
  std::string directory = (options_.scratch / "powercut-stage-XXXXXX").string();
  if (mkdtemp(directory.data()) == nullptr) {
    return faultfs::fail(fmt::format("no directory can be made in {}: {}",
                                     options_.scratch.string(),
                                     std::generic_category().message(errno)));
  }
  directory_ = directory;
  std::error_code error;
  for (const char* part : {"mnt", "files", "plain"}) {
    fs::create_directory(directory_ / part, error);
    fs::permissions(directory_ / part, fs::perms::all, error);
  }
  fs::permissions(directory_, fs::perms::all, error);
  faultfs::mount::MountOptions options;
  options.directory = directory_ / "mnt";
  options.pin_cpu = options_.pin_cpu;
  auto mount = faultfs::mount::Mount::create(*device_, options);
  if (!mount) {
    return faultfs::fail(mount.error().message);
  }
  mount_ = std::move(*mount);
  return {};
}

faultfs::Status Stage::make_plain(const scenarios::TargetConfig& config) {
  auto made = scenarios::PlainDisk::create(directory_ / "plain" / scenarios::disk_name(config),
                                           config.disk_bytes);
  if (!made) {
    return faultfs::fail(made.error().message);
  }
  // Programs ask how large a sector is: it must be the device's, or there is no plain disk.
  struct statvfs about = {};
  const bool same = ::statvfs((directory_ / "plain").c_str(), &about) == 0 &&
                    about.f_bsize == device_->profile().sector_bytes;
  plain_ = same ? std::move(*made) : nullptr;
  return {};
}

faultfs::Result<std::unique_ptr<Stage>> Stage::create(const scenarios::TargetConfig& config,
                                                      const faultfs::DeviceProfile& profile,
                                                      const StageOptions& options) {
  std::unique_ptr<Stage> stage(new Stage());
  stage->options_ = options;
  auto device = faultfs::Device::create(profile, scenarios::disk_specs(config));
  if (!device) {
    return faultfs::fail(device.error().message);
  }
  stage->device_ = std::move(*device);
  if (options.device == DeviceKind::fuse) {
    if (auto status = stage->mount(); !status) {
      return faultfs::fail(status.error().message);
    }
  } else {
    stage->device_->let_time_fly();
  }
  if (stage->mount_ && options.plain_recovery && config.disks == 1) {
    if (auto status = stage->make_plain(config); !status) {
      return faultfs::fail(status.error().message);
    }
  }
  const fs::path mnt = stage->mount_ ? stage->mount_->directory() : fs::path();
  const fs::path work = stage->mount_ ? stage->directory_ / "files" : fs::path();
  stage->rig_ = std::unique_ptr<scenarios::Rig>(new scenarios::Rig{*stage->device_,
                                                                   mnt,
                                                                   work,
                                                                   options.pin_cpu,
                                                                   options.persistent_engine,
                                                                   options.forked_engine});
  auto target = scenarios::make_target(config, *stage->rig_);
  if (!target) {
    return faultfs::fail(target.error().message);
  }
  stage->target_ = std::move(*target);
  return stage;
}

Stage::~Stage() {
  if (target_) {
    target_->kill();
  }
  target_.reset();
  mount_.reset();
  plain_.reset();
  if (!directory_.empty()) {
    std::error_code ignored;
    fs::remove_all(directory_, ignored);
  }
}

}  // namespace runner
