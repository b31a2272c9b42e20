#pragma once

/// The inspection of a cache, callable from C; what the verbs of `cache-engine` are made of.
///
///    cache_engine* engine;
///    if (cache_engine_open_image("store.img", &engine) == CACHE_ENGINE_OK) {
///      cache_engine_list(engine, NULL, 100, print_object, NULL, &resume);
///      cache_engine_close(engine);
///    }
///
/// Works on an image that is not in use, or on an engine that runs. Nothing but the purges changes
/// a byte. One thread at a time for each cache_engine. Texts that are handed out are valid until
/// the next call with the same cache_engine; those given to a visitor, until it returns.
#include <stddef.h>
#include <stdint.h>

// NOLINTBEGIN: C has no `using`, no scoped names, and `(void)` says that there are no arguments
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

/// An image that no engine uses; rock or cyclone, as its first bytes say, or a disk of a volume,
/// whose label is told and whose store is the one behind it.
int cache_engine_open_image(const char* file, cache_engine** engine);
/// The running engine that listens at `path`.
int cache_engine_open_socket(const char* path, cache_engine** engine);
/// Ends the inspection; the running engine goes on. NULL is allowed.
void cache_engine_close(cache_engine* engine);
/// Why the last call of this thread did not return CACHE_ENGINE_OK; one sentence.
const char* cache_engine_message(void);

typedef struct {
  const char* store;       ///< rock, cyclone; running: what listens at a socket
  uint32_t volume;         ///< of an image with a label: its tag; 0: there is none
  uint32_t label_version;  ///< and the version of that
} cache_engine_facts;

/// What is looked at.
int cache_engine_about(cache_engine* engine, cache_engine_facts* facts);

typedef struct {
  const char* name;
  uint32_t volume;      ///< the tag it carries
  uint64_t first_unit;  ///< its units have these numbers …
  uint64_t unit_count;  ///< … and there are so many
  const char* trouble;  ///< why it is not used; NULL: it is
} cache_engine_disk;
typedef int (*cache_engine_on_disk)(const cache_engine_disk* disk, void* context);

/// The disks of a store of volumes, in the order in which they were named; of a store on one disk
/// without a label nothing.
int cache_engine_disks(cache_engine* engine, cache_engine_on_disk visit, void* context);

typedef struct {
  const char* key;
  uint64_t write_id;
  uint64_t body_bytes;
  const uint32_t* units;  ///< slots or rows, in the order of the body
  size_t unit_count;
  const char* disk;  ///< where it lives, of a store of volumes; else NULL
  uint32_t volume;   ///< that disk's; 0 where there is none
  /// Of an alternate that shares its head with another one, which has it among its units: the row
  /// of that head, not counted in `units`. UINT64_MAX: none.
  uint64_t through;
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
  const char* use;   ///< free, object, held, upload, quarantine, unscanned
  const char* key;   ///< of an object; else NULL
  const char* disk;  ///< of a store of volumes; else NULL
  uint32_t volume;   ///< that disk's; 0 where there is none
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
  int being_put; /* a put of it is in progress, as far as the store knows; also with a miss */
} cache_engine_hit;

/// Would a get hit? CACHE_ENGINE_NOT_SO: a miss. The whole body is read and verified.
int cache_engine_lookup(cache_engine* engine, const char* key, cache_engine_hit* hit);

typedef struct {
  uint64_t unit_count;
  uint64_t object_count;
} cache_engine_checked;
/// `what`: a unit that is used not exactly once, or a key whose object cannot be read whole.
typedef int (*cache_engine_on_fault)(const char* what, void* context);

/// Every unit belongs to one object or none, and every object can be read whole from its disk,
/// past a RAM cache.
/// CACHE_ENGINE_NOT_SO: not so, and `visit` was told.
int cache_engine_check(cache_engine* engine,
                       cache_engine_on_fault visit,
                       void* context,
                       cache_engine_checked* checked);

typedef struct {
  uint32_t slot;
  const char* verdict;  ///< empty, loaded, refused, superseded
  const char* gate;     ///< refused: by which; else NULL
  int has_header;       ///< what follows is there, as on the medium, believed or not
  int was_free;         ///< it says that it is free, and what it was before
  uint64_t write_id;    ///< of its put or header update
  uint64_t body_of;     ///< of the put whose body it continues
  uint32_t index;       ///< its place in the chain, from 0
  int32_t next;         ///< the slot behind it; -1: none
  uint32_t payload_bytes;
  uint64_t payload_checksum;
  const char* key;  ///< of an inode; else NULL
} cache_engine_slot;
typedef int (*cache_engine_on_slot)(const cache_engine_slot* slot, void* context);

typedef struct {
  uint64_t slot_count;
  uint32_t slot_bytes;
  uint32_t next_epoch;  ///< that a start would have
} cache_engine_slots_facts;

/// Judges every slot of an image of a rock, payloads included, as the next start would; `key` not
/// NULL: the slots of that object, in the order of its body. `facts` may be NULL.
/// CACHE_ENGINE_NOT_SO: one of them is refused, or there is no such object.
/// CACHE_ENGINE_INVALID: it is no image of a rock.
int cache_engine_slots(cache_engine* engine,
                       const char* key,
                       cache_engine_on_slot visit,
                       void* context,
                       cache_engine_slots_facts* facts);

/// `group`: recovery, refusals (by gate), counters.
typedef int (*cache_engine_on_number)(const char* group,
                                      const char* name,
                                      uint64_t value,
                                      void* context);
int cache_engine_stats(cache_engine* engine, cache_engine_on_number visit, void* context);

/// Removes an object durably; of an image, too. `was_there` may be NULL.
int cache_engine_purge(cache_engine* engine, const char* key, int* was_there);
/// Removes every object durably; of an image, too.
int cache_engine_purge_all(cache_engine* engine);

typedef struct {
  const char* control;  ///< the name of the control segment
  int exists;           ///< what follows is there
  uint64_t size_bytes;
  int magic_valid;
  uint64_t schema;
  int schema_same;  ///< as this build's
  uint64_t abi_hash;
  int abi_same;
  uint64_t storage_signature;
  int clean;
  uint64_t owner;           ///< process that has, or had it
  const char* owner_state;  ///< none, live, stale
  uint64_t row_count;
  const char* wrong;  ///< why the rows are not shown; NULL: they are
  const char* text;   ///< all of it, rows too, as lines for people
} cache_engine_shm;

typedef struct {
  const char* name;  ///< of the object; NULL: the row is a tombstone
  uint64_t size_bytes;
  int present;
  int untrusted;
} cache_engine_shm_row;
typedef int (*cache_engine_on_shm_row)(const cache_engine_shm_row* row, void* context);

/// What is in shared memory below `prefix` ("cache-engine" where nobody said another); changes
/// nothing. Texts are valid until this thread's next call. `visit` may be NULL.
/// CACHE_ENGINE_TROUBLE: `shm` says what is wrong, or where its `control` is NULL the message does.
int cache_engine_shm_status(const char* prefix,
                            cache_engine_shm* shm,
                            cache_engine_on_shm_row visit,
                            void* context);

/// `failure`: why `name` is still there, in one sentence; NULL: it was removed.
typedef int (*cache_engine_on_removal)(const char* name, const char* failure, void* context);

/// Removes it, unless a live process owns it (CACHE_ENGINE_TROUBLE, and nobody is called). Where
/// some of it could not be removed: CACHE_ENGINE_TROUBLE, and `visit` was told.
int cache_engine_shm_clear(const char* prefix, cache_engine_on_removal visit, void* context);

#ifdef __cplusplus
}
#endif
// NOLINTEND
