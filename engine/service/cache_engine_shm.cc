// The part of the C interface that looks into shared memory.

#include <array>

#include "engine/cyclone/shared_format.h"
#include "engine/restart/purge.h"
#include "engine/service/c_calls.h"

using engine::restart::ShmStatus;

// NOLINTNEXTLINE(readability-function-cognitive-complexity): one call of C that fills a struct
int cache_engine_shm_status(const char* prefix,
                            cache_engine_shm* shm,
                            cache_engine_on_shm_row visit,
                            void* context) {
  using engine::service::c_trouble;
  return engine::service::guarded([&] {
    // What is handed out lives here.
    thread_local ShmStatus status;
    thread_local std::string text;
    *shm = {};
    auto read = engine::restart::read_status(
        engine::restart::posix_shared_memory(), prefix, engine::cyclone::shared_format_facts());
    if (!read) {
      return c_trouble(read.error());
    }
    status = std::move(*read);
    text = engine::restart::to_text(status);
    constexpr std::array<const char*, 3> owners = {"none", "live", "stale"};
    *shm = {status.control_name.c_str(),
            status.exists ? 1 : 0,
            status.size_bytes,
            status.magic_valid ? 1 : 0,
            status.frozen.schema,
            status.schema_same ? 1 : 0,
            status.frozen.abi_hash,
            status.abi_same ? 1 : 0,
            status.frozen.storage_signature,
            status.frozen.clean == 1 ? 1 : 0,
            static_cast<uint64_t>(status.frozen.owner),
            owners.at(static_cast<std::size_t>(status.owner)),
            status.frozen.rows_used,
            status.wrong.empty() ? nullptr : status.wrong.c_str(),
            text.c_str()};
    if (!status.wrong.empty()) {
      return c_trouble({engine::Trouble::device, status.wrong});
    }
    for (const ShmStatus::RowStatus& each : status.rows) {
      const cache_engine_shm_row row = {each.tombstone ? nullptr : each.name.c_str(),
                                        each.size_bytes,
                                        each.present ? 1 : 0,
                                        each.untrusted ? 1 : 0};
      if (visit == nullptr || visit(&row, context) != 0) {
        break;
      }
    }
    return int{CACHE_ENGINE_OK};
  });
}

int cache_engine_shm_clear(const char* prefix, cache_engine_on_removal visit, void* context) {
  using engine::service::c_trouble;
  return engine::service::guarded([&] {
    engine::restart::Gates gates({}, nullptr);
    const auto report =
        engine::restart::purge(engine::restart::posix_shared_memory(), prefix, gates);
    if (!report) {
      return c_trouble(report.error());
    }
    bool going = true;
    for (const std::string& name : report->removed) {
      going = going && visit(name.c_str(), nullptr, context) == 0;
    }
    for (const std::string& failure : report->failures) {
      going = going && visit("", failure.c_str(), context) == 0;
    }
    return report->failures.empty()
               ? int{CACHE_ENGINE_OK}
               : c_trouble({engine::Trouble::device, report->failures.front()});
  });
}
