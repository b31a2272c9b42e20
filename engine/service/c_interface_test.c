/* A program in C (not C++) on cache_engine.h: looks at an image by every call there is and prints
 * what it found, for inspection_test.cc to compare. Exit code 0: every call gave what its comment
 * says.
 *
 *    c_interface_test IMAGE KEY PREFIX
 */
#include <stdio.h>
#include <string.h>

#include "engine/service/cache_engine.h"

struct counts {
  unsigned objects, units, owned, slots, refused, numbers, faults, rows, removals;
};

static int on_object(const cache_engine_object* object, void* context) {
  struct counts* counts = context;
  ++counts->objects;
  printf("object %s %lu bytes %lu units disk %s volume %u\n",
         object->key,
         (unsigned long)object->body_bytes,
         (unsigned long)object->unit_count,
         object->disk != NULL ? "named" : "none",
         (unsigned)object->volume);
  return 0;
}

static int on_unit(const cache_engine_unit* unit, void* context) {
  struct counts* counts = context;
  ++counts->units;
  counts->owned += unit->key != NULL;
  return 0;
}

static int on_slot(const cache_engine_slot* slot, void* context) {
  struct counts* counts = context;
  ++counts->slots;
  counts->refused += strcmp(slot->verdict, "refused") == 0 && slot->gate != NULL;
  return 0;
}

static int on_disk(const cache_engine_disk* disk, void* context) {
  (void)context;
  printf("disk of volume %u, %s\n",
         (unsigned)disk->volume,
         disk->trouble == NULL ? "used" : disk->trouble);
  return 0;
}

static int on_fault(const char* what, void* context) {
  struct counts* counts = context;
  ++counts->faults;
  printf("fault: %s\n", what);
  return 0;
}

static int on_number(const char* group, const char* name, uint64_t value, void* context) {
  struct counts* counts = context;
  (void)group;
  (void)name;
  (void)value;
  ++counts->numbers;
  return 0;
}

static int on_row(const cache_engine_shm_row* row, void* context) {
  struct counts* counts = context;
  (void)row;
  ++counts->rows;
  return 0;
}

static int on_removal(const char* name, const char* failure, void* context) {
  struct counts* counts = context;
  counts->removals += name[0] != '\0' && failure == NULL;
  return 0;
}

/* Says which call went wrong. */
static int failed(const char* call, int code) {
  printf("%s gave %d: %s\n", call, code, cache_engine_message());
  return 1;
}

static int look(cache_engine* engine, const char* key) {
  struct counts counts = {0, 0, 0, 0, 0, 0, 0, 0, 0};
  cache_engine_facts facts;
  cache_engine_hit hit;
  cache_engine_checked checked;
  cache_engine_slots_facts slots;
  const char* resume = NULL;
  uint64_t next = 0;
  int code = cache_engine_about(engine, &facts);
  if (code != CACHE_ENGINE_OK) {
    return failed("about", code);
  }
  printf("store %s volume %u\n", facts.store, (unsigned)facts.volume);
  if ((code = cache_engine_disks(engine, on_disk, NULL)) != CACHE_ENGINE_OK) {
    return failed("disks", code);
  }
  if ((code = cache_engine_list(engine, NULL, 0, on_object, &counts, &resume)) != CACHE_ENGINE_OK ||
      resume != NULL) {
    return failed("list", code);
  }
  if ((code = cache_engine_walk(engine, 0, 0, on_unit, &counts, &next)) != CACHE_ENGINE_OK ||
      next != UINT64_MAX) {
    return failed("walk", code);
  }
  if ((code = cache_engine_lookup(engine, key, &hit)) != CACHE_ENGINE_OK) {
    return failed("lookup", code);
  }
  printf("hit of %lu bytes, header %s\n", (unsigned long)hit.body_bytes, hit.header);
  if ((code = cache_engine_lookup(engine, "nobody", &hit)) != CACHE_ENGINE_NOT_SO) {
    return failed("lookup of nothing", code);
  }
  code = cache_engine_check(engine, on_fault, &counts, &checked);
  printf("check %d: %lu objects\n", code, (unsigned long)checked.object_count);
  code = cache_engine_slots(engine, NULL, on_slot, &counts, &slots);
  if (code == CACHE_ENGINE_INVALID) {
    printf("no slots: %s\n", cache_engine_message());
  } else {
    printf("slots %d: %u judged, %u refused\n", code, counts.slots, counts.refused);
    counts.slots = 0;
    code = cache_engine_slots(engine, key, on_slot, &counts, NULL);
    printf("slots of %s %d: %u\n", key, code, counts.slots);
  }
  if ((code = cache_engine_stats(engine, on_number, &counts)) != CACHE_ENGINE_OK) {
    return failed("stats", code);
  }
  return counts.objects == checked.object_count && counts.owned > 0 && counts.numbers > 8 ? 0 : 1;
}

int main(int argc, char** argv) {
  struct counts counts = {0, 0, 0, 0, 0, 0, 0, 0, 0};
  cache_engine_shm shm;
  cache_engine* engine = NULL;
  int wrong;
  int code;
  if (argc != 4) {
    return CACHE_ENGINE_INVALID;
  }
  code = cache_engine_open_image(argv[1], &engine);
  if (code != CACHE_ENGINE_OK) {
    return failed("open", code);
  }
  wrong = look(engine, argv[2]);
  cache_engine_close(engine);
  cache_engine_close(NULL);
  code = cache_engine_shm_status(argv[3], &shm, on_row, &counts);
  if (code != CACHE_ENGINE_OK) {
    return failed("shm_status", code);
  }
  printf("shm exists %d clean %d owner %s rows %u\n",
         shm.exists,
         shm.clean,
         shm.owner_state,
         counts.rows);
  code = cache_engine_shm_clear(argv[3], on_removal, &counts);
  printf("shm_clear %d: %u removed\n", code, counts.removals);
  code = cache_engine_shm_status("/-", &shm, NULL, NULL);
  return wrong != 0 || code != CACHE_ENGINE_INVALID || shm.control != NULL;
}
