#pragma once

#include <new>
#include <string>
#include <utility>

#include "engine/base/result.h"
#include "engine/service/cache_engine.h"

namespace engine::service {

/// What `cache_engine_message` tells.
inline std::string& last_message() {
  thread_local std::string text;
  return text;
}

inline int c_trouble(const Error& error) {
  last_message() = error.message;
  return error.trouble == Trouble::invalid ? CACHE_ENGINE_INVALID : CACHE_ENGINE_TROUBLE;
}

inline int c_not_so(std::string text) {
  last_message() = std::move(text);
  return CACHE_ENGINE_NOT_SO;
}

/// No exception leaves for a caller that knows none; there is one only where memory runs out.
template <typename Work>
int guarded(const Work& work) {
  try {
    return work();
  } catch (const std::bad_alloc&) {
    return c_trouble({Trouble::full, "no memory"});
  }
}

}  // namespace engine::service
