#include "scenarios/targets/shared_memory.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <functional>

#include <fmt/format.h>

#include "engine/cyclone/image.h"
#include "engine/cyclone/wrong_image.h"
#include "engine/restart/life.h"
#include "engine/restart/purge.h"

namespace scenarios {

namespace {

using engine::restart::Access;
using engine::restart::Control;
using engine::restart::SharedMemory;
using Bytes = std::span<std::byte>;

constexpr std::size_t images_min = 2;  ///< looked for even where no control segment names any
constexpr std::uint32_t another_process = 2;

/// Accidents whose bytes are those of the control segment.
struct ControlAccident {
  std::string_view word;
  bool table;  ///< the digest of the rows is made to fit afterwards
  void (*change)(Control& control, const std::string& prefix);
};

engine::restart::Row* first_row(Control& control) {
  for (engine::restart::Row& row : control.rows) {
    if (!row.tombstone()) {
      return &row;
    }
  }
  return nullptr;
}

template <typename Change>
void change_row(Control& control, const Change& change) {
  if (engine::restart::Row* row = first_row(control)) {
    change(*row);
  }
}

constexpr std::array<ControlAccident, 12> control_accidents = {{
    {"control_magic", false, [](Control& c, const std::string&) { c.frozen.magic[0] ^= 1; }},
    {"control_schema", false, [](Control& c, const std::string&) { ++c.frozen.schema; }},
    {"control_abi", false, [](Control& c, const std::string&) { ++c.frozen.abi_hash; }},
    {"control_clean",
     false,
     [](Control& c, const std::string&) {
       // What a kill leaves: rows that promise nothing.
       c.frozen.clean = 0;
       change_row(c, [](engine::restart::Row& row) { row.binding = {}; });
     }},
    {"control_table",
     false,
     [](Control& c, const std::string&) {
       change_row(c, [](engine::restart::Row& row) { ++row.binding.cursor_bytes; });
     }},
    {"row_untrusted",
     true,
     [](Control& c, const std::string&) {
       change_row(c, [](engine::restart::Row& row) { row.untrusted = 1; });
     }},
    {"row_size",
     true,
     [](Control& c, const std::string&) {
       change_row(c, [](engine::restart::Row& row) { row.size_bytes += 4096; });
     }},
    {"binding_nonce",
     true,
     [](Control& c, const std::string&) {
       change_row(c, [](engine::restart::Row& row) { ++row.binding.nonce_low; });
     }},
    {"binding_serials",
     true,
     [](Control& c, const std::string&) {
       change_row(c, [](engine::restart::Row& row) { --row.binding.life; });
     }},
    {"binding_cursor",
     true,
     [](Control& c, const std::string&) {
       change_row(c, [](engine::restart::Row& row) { row.binding.cursor_bytes += 4096; });
     }},
    {"table_full",
     true,
     [](Control& c, const std::string& prefix) {
       // Another cache's rows, as many as there can be: none is this stripe's, none is free.
       engine::restart::Row row;
       row.size_bytes = 1;
       for (std::size_t slot = 0; slot < c.rows.size(); ++slot) {
         row.set_name(engine::restart::image_name(prefix, slot));
         row.identity_hash = slot + 1;
         c.rows.at(slot) = row;
       }
       c.frozen.rows_used = static_cast<std::uint32_t>(c.rows.size());
     }},
    {"control_owner",
     false,
     [](Control& c, const std::string&) { c.frozen.owner = another_process; }},
}};

/// With these the image is one of another build, of another disk or of another time, too.
constexpr std::array<std::string_view, 7> foreign = {"control_magic",
                                                     "control_schema",
                                                     "control_abi",
                                                     "row_untrusted",
                                                     "binding_nonce",
                                                     "binding_serials",
                                                     "binding_cursor"};

/// Accidents of whole objects.
constexpr std::array<std::string_view, 5> object_accidents = {
    "control_size", "image_present", "image_size", "image_digest", "purge_owner"};

/// The system refuses something to the next start.
constexpr std::array<std::string_view, 6> refusals = {
    "prefix_name", "control_open", "control_lock", "control_race", "image_map", "image_create"};

/// Maps an object as long as it is, calls `change` with its bytes.
void change_object(SharedMemory& memory,
                   const std::string& name,
                   const std::function<void(Bytes)>& change) {
  const auto object = memory.open(name, Access::read_write);
  const auto size_bytes =
      object ? (*object)->size_bytes() : engine::restart::SystemResult<std::uint64_t>(0);
  if (!size_bytes || *size_bytes == 0) {
    return;
  }
  const auto mapping = (*object)->map(*size_bytes, Access::read_write);
  if (mapping) {
    change((*mapping)->bytes());
  }
}

void change_control(SharedMemory& memory,
                    const std::string& prefix,
                    bool table,
                    const std::function<void(Control&)>& change) {
  change_object(memory, engine::restart::control_name(prefix), [&](Bytes bytes) {
    if (bytes.size() != engine::restart::control_bytes) {
      return;
    }
    Control& control = *reinterpret_cast<Control*>(bytes.data());
    control.frozen.rows_used =
        std::min<std::uint32_t>(control.frozen.rows_used, engine::restart::row_count);
    change(control);
    if (table) {
      control.table_digest = engine::restart::table_digest(control);
    }
  });
}

/// Changes the bytes of the first image; `fits`: its digest is made to fit.
void change_image(SharedMemory& memory,
                  const std::string& prefix,
                  bool fits,
                  const std::function<void(Bytes)>& change) {
  change_control(memory, prefix, true, [&](Control& control) {
    engine::restart::Row* row = first_row(control);
    if (row == nullptr) {
      return;
    }
    change_object(memory, std::string(row->name_text()), [&](Bytes bytes) {
      change(bytes);
      if (fits) {
        row->image_digest = engine::restart::image_digest(bytes);
      }
    });
  });
}

/// Of the stripe whose directory `image` is; null where it is of none.
const engine::cyclone::StripeGeometry* geometry_of(
    Bytes image, const std::vector<engine::cyclone::StripePlace>& places) {
  for (const engine::cyclone::StripePlace& place : places) {
    if (image.size() == place.geometry.copy_bytes &&
        engine::cyclone::load_header(image).stripe_begin == place.geometry.begin) {
      return &place.geometry;
    }
  }
  return nullptr;
}

void resize_object(SharedMemory& memory, const std::string& name, std::uint64_t size_bytes) {
  const auto object = memory.open(name, Access::read_write);
  if (object) {
    static_cast<void>((*object)->resize(size_bytes, false));
  }
}

std::string place_in_control(std::size_t offset) {
  using engine::restart::Control;
  using engine::restart::Frozen;
  using engine::restart::Row;
  if (offset == offsetof(Control, frozen) + offsetof(Frozen, clean)) {
    return "the clean mark";
  }
  if (offset < offsetof(Control, rows)) {
    return offset < sizeof(Frozen) ? "the head of the control segment" : "the digest of its rows";
  }
  const std::size_t in_rows = offset - offsetof(Control, rows);
  const std::size_t in_row = in_rows % sizeof(Row);
  const bool binding = in_row >= offsetof(Row, binding) && in_row < offsetof(Row, image_digest);
  return fmt::format("row {} of the control segment{}",
                     in_rows / sizeof(Row),
                     binding                                 ? ", its binding"
                     : in_row >= offsetof(Row, image_digest) ? ", its image's digest"
                                                             : "");
}

std::string place_in_image(std::size_t offset, const engine::cyclone::StripeGeometry& geometry) {
  const faultfs::Bytes image(geometry.copy_bytes);
  for (std::uint32_t segment = 0; segment < geometry.segments; ++segment) {
    const auto rows =
        engine::cyclone::segment_bytes(std::span<const std::byte>(image), geometry, segment);
    const auto begin = static_cast<std::size_t>(rows.data() - image.data());
    if (offset >= begin && offset < begin + rows.size()) {
      return fmt::format("row {} of segment {}, word {}",
                         (offset - begin) / engine::cyclone::row_bytes,
                         segment,
                         (offset - begin) % engine::cyclone::row_bytes / 2);
    }
  }
  return fmt::format("byte {} of the directory, outside its rows", offset);
}

std::vector<std::string_view> all_words() {
  std::vector<std::string_view> words = {"on", "off", "lost"};
  for (const ControlAccident& accident : control_accidents) {
    words.push_back(accident.word);
  }
  words.insert(words.end(), object_accidents.begin(), object_accidents.end());
  words.insert(words.end(), refusals.begin(), refusals.end());
  engine::cyclone::image_check_table.add_names(words);
  return words;
}

}  // namespace

const std::vector<std::string_view>& shared_words() {
  static const std::vector<std::string_view> words = all_words();
  return words;
}

bool is_shared_word(std::string_view word) {
  return std::ranges::find(shared_words(), word) != shared_words().end() || store_number(word) > 0;
}

std::uint64_t store_number(std::string_view word) {
  constexpr std::string_view head = "store:";
  std::uint64_t number = 0;
  if (!word.starts_with(head)) {
    return 0;
  }
  const char* const end = word.data() + word.size();
  const auto [stop, error] = std::from_chars(word.data() + head.size(), end, number);
  return error == std::errc() && stop == end ? number : 0;
}

SharedGround::SharedGround(SharedMemory& memory,
                           engine::restart::ProcessMemory* refusing,
                           std::string prefix_word)
    : memory_(memory),
      refusing_(refusing),
      prefix_word_(std::move(prefix_word)),
      prefix_(engine::restart::frame_prefix(prefix_word_).value()) {
  if (refusing != nullptr && StoreTrap::possible()) {
    trap_.emplace(*refusing);
  }
}

SharedGround::~SharedGround() {
  trap_.reset();
  remove_all();
}

std::string SharedGround::prefix_word() const {
  return refusal_ == "prefix_name" ? std::string(engine::restart::name_bytes_max, 'x')
                                   : prefix_word_;
}

void SharedGround::order(std::string_view word, std::vector<engine::cyclone::StripePlace> places) {
  places_ = std::move(places);
  if (word == "on" || word == "off") {
    ordered_on_ = word == "on";
  } else if (word == "purge_owner") {
    engine::restart::Gates gates({}, nullptr);
    static_cast<void>(engine::restart::purge(memory_, prefix_word_, gates));
    purges_refused_ += gates.refusals().at("purge_owner");
  } else if (const std::uint64_t number = store_number(word); number > 0) {
    trapped_store_ = number;
    if (trap_) {
      trap_->arm(number);
    }
  } else {
    ordered_.emplace_back(word);
  }
}

void SharedGround::life_ended() {
  on_ = ordered_on_;
  if (dead()) {
    killed_at_ = killed_at();
    ++kills_;
    const auto left = trap_->objects();
    trap_->disarm();
    remove_all();
    put_objects(left);
  }
  const auto ordered = std::exchange(ordered_, {});
  if (trap_ && !ordered.empty()) {
    refusing_->trap_stores(false);  // accidents are nobody's stores
  }
  for (const std::string& word : ordered) {
    happen(word);
  }
  if (trap_ && trap_->armed()) {
    refusing_->trap_stores(true);
  }
}

std::string SharedGround::killed_at() const {
  if (!dead()) {
    return killed_at_;
  }
  const std::string& object = trap_->object();
  std::string where = object.ends_with("-control")
                          ? place_in_control(trap_->offset())
                          : fmt::format("{} + {}", object, trap_->offset());
  for (std::size_t stripe = 0; stripe < places_.size(); ++stripe) {
    if (object == engine::restart::image_name(prefix_, stripe)) {
      where = fmt::format("{}{}",
                          place_in_image(trap_->offset(), places_[stripe].geometry),
                          places_.size() > 1 ? fmt::format(" of stripe {}", stripe) : "");
    }
  }
  return fmt::format("store {} into shared memory: {}", trapped_store_, where);
}

void SharedGround::start_ended() {
  killed_at_.clear();
  refusal_.clear();
  if (refusing_ != nullptr) {
    refusing_->faults = {};
  }
}

std::size_t SharedGround::images() const {
  std::size_t images = images_min;
  change_control(memory_, prefix_, false, [&images](const Control& found) {
    images = std::max<std::size_t>(images, found.frozen.rows_used);
  });
  return images;
}

void SharedGround::remove_all() {
  const std::string control = engine::restart::control_name(prefix_);
  const std::size_t count = images();
  for (std::size_t slot = 0; slot < count; ++slot) {
    static_cast<void>(memory_.unlink(engine::restart::image_name(prefix_, slot)));
  }
  static_cast<void>(memory_.unlink(control));
}

void SharedGround::refuse(const std::string& accident) {
  refusal_ = accident;
  if (refusing_ == nullptr) {
    return;
  }
  engine::restart::MemoryFaults& faults = refusing_->faults;
  if (accident == "control_open") {
    faults.control_open = EACCES;
  } else if (accident == "control_lock") {
    faults.lock = engine::restart::LockAnswer::held;
  } else if (accident == "control_race") {
    faults.replaced = true;
  } else if (accident == "image_map") {
    faults.image_map = ENOMEM;
  } else if (accident == "image_create") {
    // Asked for only where there is no image to attach.
    static_cast<void>(memory_.unlink(engine::restart::image_name(prefix_, 0)));
    faults.image_resize = ENOSPC;
  }
}

void SharedGround::happen(const std::string& accident) {
  if (accident == "lost") {
    remove_all();
    return;
  }
  if (std::ranges::find(refusals, accident) != refusals.end()) {
    refuse(accident);
    return;
  }
  const auto make_foreign = [this](Bytes bytes) {
    if (const auto* geometry = geometry_of(bytes, places_)) {
      engine::cyclone::make_foreign(bytes, *geometry);
    }
  };
  if (std::ranges::find(foreign, accident) != foreign.end()) {
    change_image(memory_, prefix_, true, make_foreign);
  }
  for (const ControlAccident& each : control_accidents) {
    if (each.word == accident) {
      change_control(
          memory_, prefix_, each.table, [&](Control& control) { each.change(control, prefix_); });
    }
  }
  if (accident == "control_owner" && refusing_ != nullptr) {
    refusal_ = accident;
    refusing_->faults.lock = engine::restart::LockAnswer::unsupported;
    refusing_->faults.living = another_process;
  } else if (accident == "control_size") {
    resize_object(
        memory_, engine::restart::control_name(prefix_), engine::restart::control_bytes + 4096);
  } else if (accident == "image_present") {
    static_cast<void>(memory_.unlink(engine::restart::image_name(prefix_, 0)));
  } else if (accident == "image_size") {
    resize_object(memory_, engine::restart::image_name(prefix_, 0), 4096);
  } else if (accident == "image_digest") {
    change_image(memory_, prefix_, false, make_foreign);
  } else if (const auto check = engine::cyclone::image_check_table.find(accident)) {
    change_image(memory_, prefix_, true, [&](Bytes bytes) {
      if (const auto* geometry = geometry_of(bytes, places_)) {
        static_cast<void>(engine::cyclone::make_wrong(*check, bytes, *geometry));
      }
    });
  }
}

std::shared_ptr<const SharedState> SharedGround::save() {
  auto state = std::make_shared<SharedState>();
  const std::size_t count = images();
  const auto keep = [&](const std::string& name) {
    change_object(memory_, name, [&](Bytes bytes) {
      state->objects.emplace(name, faultfs::Bytes(bytes.begin(), bytes.end()));
    });
  };
  keep(engine::restart::control_name(prefix_));
  for (std::size_t slot = 0; slot < count; ++slot) {
    keep(engine::restart::image_name(prefix_, slot));
  }
  state->refusal = refusal_;
  return state;
}

void SharedGround::put_objects(const std::map<std::string, faultfs::Bytes>& objects) {
  for (const auto& [name, bytes] : objects) {
    const auto object = memory_.create(name);
    if (object && (*object)->resize(bytes.size(), false)) {
      const auto mapping = (*object)->map(bytes.size(), Access::read_write);
      if (mapping) {
        std::ranges::copy(bytes, (*mapping)->bytes().begin());
      }
    }
  }
}

void SharedGround::restore(const std::shared_ptr<const SharedState>& state) {
  if (trap_) {
    trap_->disarm();
  }
  ordered_.clear();
  on_ = ordered_on_ = true;
  start_ended();
  remove_all();
  if (!state) {
    return;
  }
  put_objects(state->objects);
  if (state->refusal == "control_owner") {
    happen(state->refusal);
  } else if (!state->refusal.empty()) {
    refuse(state->refusal);
  }
}

}  // namespace scenarios
