// Buckets of four rows. The first row of a bucket is the root of its chain and is never on the free
// list; the others begin on the segment's free list. A row is added in the root, else in an empty
// row of the same bucket, else in the head of the free list, and linked at the tail of the chain.
//
// A full segment first loses the rows outside the window (their documents are overwritten), then
// the oldest ones: those the write head reaches next. So what a full directory forgets is what the
// log was about to forget. (The reference drops every tenth head, whatever its age.)
//
// A link that leads nowhere possible cannot be repaired row by row without guessing. The segment is
// emptied: a cache may forget.
#include "engine/cyclone/directory.h"

#include <algorithm>

#include "engine/cyclone/image.h"

namespace engine::cyclone {

Directory::Directory(std::span<std::byte> image, const StripeGeometry& geometry, Eviction eviction)
    : image_(image), geometry_(geometry), eviction_(eviction) {}

Directory::Bucket Directory::bucket_of(const Key& key) const {
  return {key.words[0] % geometry_.segments, key.words[1] % geometry_.buckets * bucket_rows};
}

Directory::Rows Directory::rows(std::uint32_t segment) const {
  return Rows(segment_bytes(image_, geometry_, segment));
}

void Directory::candidates(const Key& key, const Window& window, std::vector<Row>& into) const {
  if (followed_ == nullptr) {
    walk(key, window, into);
  } else if (!followed_->stable([&] { walk(key, window, into); })) {
    ++unstable_looks_;
    into.clear();
  }
}

void Directory::walk(const Key& key, const Window& window, std::vector<Row>& into) const {
  into.clear();
  const Bucket bucket = bucket_of(key);
  const Rows rows = this->rows(bucket.segment);
  std::uint32_t at = bucket.root;
  for (std::uint32_t steps = 0; steps < geometry_.segment_rows(); ++steps) {
    const Row row = rows.get(at);
    if (!row.empty() && row.tag == key.tag() && window.holds(row)) {
      into.push_back(row);
    }
    if (row.next == 0 || !usable(row.next)) {
      return;
    }
    at = row.next;
  }
}

void Directory::empty(std::uint32_t segment) {
  clear_segment(image_, geometry_, segment);
  ++emptied_;
}

bool Directory::unlink_free(std::uint32_t segment, std::uint32_t row) {
  Rows rows = this->rows(segment);
  const std::uint16_t previous = rows.previous(row);
  const std::uint16_t next = rows.next(row);
  const bool head = free_head(image_, segment) == row;
  const bool sane = (next == 0 || (usable(next) && rows.empty(next))) &&
                    (head || (usable(previous) && rows.empty(previous)));
  if (!sane) {
    return false;
  }
  if (head) {
    set_free_head(image_, segment, next);
  } else {
    rows.set_next(previous, next);
  }
  if (next != 0) {
    rows.set_previous(next, head ? std::uint16_t{0} : previous);
  }
  return true;
}

/// 0: nothing is free, or the list made no sense and the segment was emptied (then the root is).
std::uint32_t Directory::take_free(const Bucket& bucket) {
  const Rows rows = this->rows(bucket.segment);
  std::uint32_t found = 0;
  for (std::uint32_t row = bucket.root + 1; row < bucket.root + bucket_rows && found == 0; ++row) {
    found = rows.empty(row) ? row : 0;
  }
  found = found == 0 ? free_head(image_, bucket.segment) : found;
  if (found == 0) {
    return 0;
  }
  if (!usable(found) || !rows.empty(found) || !unlink_free(bucket.segment, found)) {
    empty(bucket.segment);
    return 0;
  }
  return found;
}

void Directory::give_free(std::uint32_t segment, std::uint32_t row) {
  Rows rows = this->rows(segment);
  const std::uint16_t head = free_head(image_, segment);
  Row free;
  free.next = head;
  rows.set(row, free);
  if (head != 0 && usable(head) && rows.empty(head)) {
    rows.set_previous(head, static_cast<std::uint16_t>(row));
  }
  set_free_head(image_, segment, static_cast<std::uint16_t>(row));
}

void Directory::insert(const Key& key, Row row, const Window& window) {
  const Change change(live_);
  const Bucket bucket = bucket_of(key);
  row.tag = key.tag();
  row.next = 0;
  clean_bucket(bucket, [&window](const Row& each) { return !window.holds(each); });
  Rows rows = this->rows(bucket.segment);
  for (int attempt = 0; attempt < 2 && !rows.empty(bucket.root); ++attempt) {
    std::uint32_t free = take_free(bucket);
    if (free == 0 && !rows.empty(bucket.root)) {
      evict(bucket.segment, window);
      free = rows.empty(bucket.root) ? 0 : take_free(bucket);
    }
    if (free == 0) {
      continue;
    }
    std::uint32_t tail = bucket.root;
    for (std::uint32_t steps = 0; rows.next(tail) != 0 && steps < geometry_.segment_rows();
         ++steps) {
      tail = rows.next(tail);
    }
    rows.set(free, row);
    rows.set_next(tail, static_cast<std::uint16_t>(free));
    return;
  }
  row.next = rows.next(bucket.root);
  rows.set(bucket.root, row);
}

/// `before`: the row that links to it; its own number where it is the root.
void Directory::erase_row(const Bucket& bucket, std::uint32_t before, std::uint32_t row) {
  Rows rows = this->rows(bucket.segment);
  const std::uint16_t next = rows.next(row);
  if (row != bucket.root) {
    rows.set_next(before, next);
    give_free(bucket.segment, row);
    return;
  }
  if (next == 0 || !usable(next)) {
    rows.set(row, Row{});
    return;
  }
  rows.set(row, rows.get(next));
  give_free(bucket.segment, next);
}

std::uint64_t Directory::clean_bucket(const Bucket& bucket,
                                      const std::function<bool(const Row&)>& unwanted) {
  const Rows rows = this->rows(bucket.segment);
  std::uint64_t erased = 0;
  std::uint32_t before = bucket.root;
  std::uint32_t at = bucket.root;
  for (std::uint32_t steps = 0; steps < 2 * geometry_.segment_rows(); ++steps) {
    const Row row = rows.get(at);
    if (row.empty()) {
      if (at != bucket.root || row.next != 0) {
        empty(bucket.segment);  // an empty row inside a chain
      }
      return erased;
    }
    if (row.next != 0 && !usable(row.next)) {
      empty(bucket.segment);
      return erased;
    }
    if (unwanted(row)) {
      erase_row(bucket, before, at);
      ++erased;
      if (at != bucket.root) {
        at = row.next;
        if (at == 0) {
          return erased;
        }
      }
      continue;  // the root holds the next row of its chain now, or is empty
    }
    if (row.next == 0) {
      return erased;
    }
    before = at;
    at = row.next;
  }
  empty(bucket.segment);  // a chain that does not end
  return erased;
}

bool Directory::erase(const Key& key, std::uint64_t offset_blocks) {
  const Change change(live_);
  return clean_bucket(bucket_of(key), [&key, offset_blocks](const Row& row) {
           return row.tag == key.tag() && row.offset_blocks == offset_blocks;
         }) > 0;
}

std::uint64_t Directory::clean(std::uint32_t segment,
                               const std::function<bool(const Row&)>& unwanted) {
  std::uint64_t erased = 0;
  for (std::uint32_t root = 0; root < geometry_.segment_rows(); root += bucket_rows) {
    erased += clean_bucket({segment, root}, unwanted);
  }
  return erased;
}

std::uint64_t Directory::erase_if(const std::function<bool(const Row&)>& unwanted) {
  std::uint64_t erased = 0;
  for (std::uint32_t segment = 0; segment < geometry_.segments; ++segment) {
    const Change change(live_);
    erased += clean(segment, unwanted);
  }
  return erased;
}

/// Until something is free.
void Directory::evict(std::uint32_t segment, const Window& window) {
  evictions_ += clean(segment, [&window](const Row& row) { return !window.holds(row); });
  if (eviction_ == Eviction::every_tenth) {
    std::uint64_t heads = 0;
    while (free_head(image_, segment) == 0) {
      const auto tenth = [&heads](const Row& row) { return row.head && ++heads % 10 == 1; };
      const std::uint64_t erased = clean(segment, tenth);
      evictions_ += erased;
      if (erased == 0) {
        empty(segment);
      }
    }
    return;
  }
  while (free_head(image_, segment) == 0) {
    // Distance to the write head, going forward: small is old. Pinned rows go last.
    const auto age = [this, &window](const Row& row) {
      const std::uint64_t data_bytes = geometry_.data_bytes();
      return (row.data_offset() + data_bytes - window.head) % data_bytes +
             (row.pinned ? data_bytes : 0);
    };
    std::vector<std::uint64_t> ages;
    const Rows rows = this->rows(segment);
    for (std::uint32_t row = 0; row < geometry_.segment_rows(); ++row) {
      if (!rows.empty(row)) {
        ages.push_back(age(rows.get(row)));
      }
    }
    if (ages.empty()) {
      empty(segment);
      return;
    }
    const std::size_t batch = std::min<std::size_t>(eviction_batch(geometry_), ages.size()) - 1;
    std::nth_element(ages.begin(), ages.begin() + static_cast<std::ptrdiff_t>(batch), ages.end());
    const std::uint64_t oldest = ages[batch];
    const std::uint64_t erased =
        clean(segment, [&age, oldest](const Row& row) { return age(row) <= oldest; });
    evictions_ += erased;
    if (erased == 0) {
      empty(segment);  // the old rows are in no chain
    }
  }
}

void Directory::for_each(
    const std::function<void(std::uint32_t, std::uint32_t, const Row&)>& each) const {
  for (std::uint32_t segment = 0; segment < geometry_.segments; ++segment) {
    const Rows rows = this->rows(segment);
    for (std::uint32_t root = 0; root < geometry_.segment_rows(); root += bucket_rows) {
      std::uint32_t at = root;
      for (std::uint32_t steps = 0; steps < geometry_.segment_rows(); ++steps) {
        const Row row = rows.get(at);
        if (!row.empty()) {
          each(segment, at, row);
        }
        if (row.next == 0 || !usable(row.next)) {
          break;
        }
        at = row.next;
      }
    }
  }
}

}  // namespace engine::cyclone
