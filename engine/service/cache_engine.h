#pragma once

/// The inspection of a cache, callable from C; what the verbs of `cache-engine` are made of.
///
///    cache_engine* engine;
///    if (cache_engine_open_image("store.img", &engine) == CACHE_ENGINE_OK) {
///      cache_engine_list(engine, NULL, 100, print_object, NULL, &resume);
///      cache_engine_close(engine);
///    }
///
/// Works on an image that is not in use, or on an engine that runs. Nothing but a purge changes a
/// byte. One thread at a time for each cache_engine. Texts that are handed out are valid until the
/// next call with the same cache_engine; those given to a visitor, until it returns.
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// What every call returns. The numbers are the program's exit codes.
enum {
  CACHE_ENGINE_OK = 0,
  CACHE_ENGINE_NOT_SO = 1,   ///< a miss; something is wrong with the store
  CACHE_ENGINE_INVALID = 2,  ///< asked wrongly
  CACHE_ENGINE_TROUBLE = 3   ///< the device, the system or the other process refuses
};

typedef struct cache_engine cache_engine;

/// An image that no engine uses; rock or cyclone, as its first bytes say.
int cache_engine_open_image(const char* file, cache_engine** engine);
/// The running engine that listens at `path`.
int cache_engine_open_socket(const char* path, cache_engine** engine);
/// Ends the inspection; the running engine goes on. NULL is allowed.
void cache_engine_close(cache_engine* engine);
/// Why the last call of this thread did not return CACHE_ENGINE_OK; one sentence.
const char* cache_engine_message(void);

typedef struct {
  const char* key;
  uint64_t write_id;
  uint64_t body_bytes;
  const uint32_t* units;  ///< slots or rows, in the order of the body
  size_t unit_count;
} cache_engine_object;

/// Called for each object; anything but 0 ends the walk.
typedef int (*cache_engine_on_object)(const cache_engine_object* object, void* context);

/// The objects behind the key `after` (NULL: all), by key, at most `limit` (0: all). `resume`,
/// where not NULL, becomes what to give as `after` to go on, or NULL where that was all.
int cache_engine_list(cache_engine* engine,
                      const char* after,
                      uint64_t limit,
                      cache_engine_on_object visit,
                      void* context,
                      const char** resume);
/// The object of `key`. CACHE_ENGINE_NOT_SO: there is none, and nobody is called.
int cache_engine_show(cache_engine* engine,
                      const char* key,
                      cache_engine_on_object visit,
                      void* context);

typedef struct {
  uint64_t unit;
  const char* use;  ///< free, object, held, upload, quarantine, unscanned
  const char* key;  ///< of an object; else NULL
} cache_engine_unit;
typedef int (*cache_engine_on_unit)(const cache_engine_unit* unit, void* context);

/// Every unit (slot or row) from number `from` on, at most `limit` (0: all). `resume`, where not
/// NULL, becomes the number to go on with, or UINT64_MAX where that was all.
int cache_engine_walk(cache_engine* engine,
                      uint64_t from,
                      uint64_t limit,
                      cache_engine_on_unit visit,
                      void* context,
                      uint64_t* resume);

typedef struct {
  uint64_t body_bytes;
  const char* header;
  size_t header_bytes;
} cache_engine_hit;

/// Would a get hit? CACHE_ENGINE_NOT_SO: a miss. The whole body is read and verified.
int cache_engine_lookup(cache_engine* engine, const char* key, cache_engine_hit* hit);

typedef struct {
  uint64_t unit_count;
  uint64_t object_count;
} cache_engine_checked;
/// `what`: a unit that is used not exactly once, or a key whose object cannot be read whole.
typedef int (*cache_engine_on_fault)(const char* what, void* context);

/// Every unit belongs to one object or none, and every object can be read whole.
/// CACHE_ENGINE_NOT_SO: not so, and `visit` was told.
int cache_engine_check(cache_engine* engine,
                       cache_engine_on_fault visit,
                       void* context,
                       cache_engine_checked* checked);

/// `group`: recovery, refusals (by gate), counters.
typedef int (*cache_engine_on_number)(const char* group,
                                      const char* name,
                                      uint64_t value,
                                      void* context);
int cache_engine_stats(cache_engine* engine, cache_engine_on_number visit, void* context);

/// Removes an object durably; of an image, too. `was_there` may be NULL.
int cache_engine_purge(cache_engine* engine, const char* key, int* was_there);

#ifdef __cplusplus
}
#endif
