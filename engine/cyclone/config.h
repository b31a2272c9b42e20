#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/gates.h"
#include "engine/base/result.h"
#include "engine/cyclone/division.h"
#include "engine/cyclone/geometry.h"
#include "engine/cyclone/validate.h"

namespace engine::cyclone {

/// The named checks that can refuse something, apart from those of an image (`ImageCheck`), which
/// are gates too. `engine/README.md` says what each refuses and what catches its absence.
enum class Gate : std::uint8_t {
  span_header,        ///< a span header of another format, layout, or damaged: clear
  copy_checksum,      ///< a directory copy whose header or rows are not what was written
  copy_footer,        ///< a copy whose footer is not that of its header: its sync never ended
  copy_instance,      ///< a copy of an earlier life of this storage, from before a clear
  document_header,    ///< a document whose header is not what was written
  document_key,       ///< a document of another key than the directory's caller asked for
  document_body,      ///< content that does not match its checksum
  log_link,           ///< roll-forward: a document that does not continue the log
  fragment_required,  ///< an object one of whose fragments is gone
  durable_purge,      ///< makes a purge durable before it is acknowledged
  purge_epoch,        ///< a head from before everything was purged
  lap_guard,          ///< a data write that would come too near to what a copy still needs
  evacuation_order,   ///< a data write over a document whose new place is in the same write
  // Guards: they keep the program memory-safe and cannot be switched off.
  document_bounds,  ///< lengths that do not fit a fragment, or each other
  row_bounds,       ///< a row that points outside the data area
};
inline constexpr GateTable gate_table(std::to_array<GateRow<Gate>>({
    {Gate::span_header, "span_header"},
    {Gate::copy_checksum, "copy_checksum"},
    {Gate::copy_footer, "copy_footer"},
    {Gate::copy_instance, "copy_instance"},
    {Gate::document_header, "document_header"},
    {Gate::document_key, "document_key"},
    {Gate::document_body, "document_body"},
    {Gate::log_link, "log_link"},
    {Gate::fragment_required, "fragment_required"},
    {Gate::durable_purge, "durable_purge"},
    {Gate::purge_epoch, "purge_epoch"},
    {Gate::lap_guard, "lap_guard"},
    {Gate::evacuation_order, "evacuation_order"},
    {Gate::document_bounds, "document_bounds", guard},
    {Gate::row_bounds, "row_bounds", guard},
}));

/// Every name: the store's own, those of `ImageCheck`, and those of restart/ last.
[[nodiscard]] std::vector<std::string_view> all_gate_names();
/// Ok where `name` is a gate that can be switched off. Error: names it, lists the allowed ones.
[[nodiscard]] Status check_gate(std::string_view name);

inline constexpr std::uint32_t hit_evacuate_percent_max = 50;

enum class Recovery {
  roll_forward,  ///< re-indexes every document written since the copy
  clear_only,    ///< as the reference: deletes the rows of what may have been overwritten
};

struct Config {
  Layout layout;
  Division division;
  /// Stripes that are opened, recovered and closed at the same time, where the device takes several
  /// requests at once; one after another elsewhere, whatever this says.
  std::uint32_t threads = 1;
  std::uint64_t seed = 0;              ///< nonces and fragment keys; must differ between starts
  std::vector<std::string> gates_off;  ///< names that `check_gate` accepts
  Recovery recovery = Recovery::roll_forward;
  bool acknowledge_buffered = false;  ///< a put is acknowledged before its data write (reference)
  bool evict_every_tenth = false;     ///< a full segment drops every tenth head (reference)
  /// Objects that stay while the log comes round: exact names, or beginnings of names with a '*'
  /// behind. An object stays with all its alternates. Up to half of a lap is kept for them (Traffic
  /// Server: cache.config, pin-in-cache).
  std::vector<std::string> pins;
  /// What a get hits this near ahead of the write cursor is kept for another lap: percent of the
  /// data area, 0 (nothing) to 50 (Traffic Server: proxy.config.cache.hit_evacuate_percent).
  std::uint32_t hit_evacuate_percent = 0;
  std::uint64_t sync_bytes = 0;  ///< log bytes between directory syncs; 0: by the stripe
  std::uint32_t sync_piece_bytes = 2U << 20U;  ///< one write of a directory sync
  std::uint32_t recovery_slice_bytes = 0;      ///< read per tick; 0: two data writes
};

/// True where one of `config.pins` names `object`.
[[nodiscard]] bool is_pinned(const Config& config, std::string_view object);

/// "hardened" (everything on) or "trafficserver" (as the reference: copies chosen by serials alone,
/// no checksums, clear-only recovery, purges in memory). Error: names the word and the allowed.
[[nodiscard]] Result<Config> find_preset(std::string_view name);

/// Which gates are on, those of an image among them, and how often each refused something.
class Gates {
 public:
  /// `off`: names; unknown ones and guards are ignored.
  explicit Gates(const std::vector<std::string>& off);

  [[nodiscard]] bool on(Gate gate) const { return own_.on(gate); }
  [[nodiscard]] const ImageChecks& image_checks() const { return image_; }
  /// Counts what `before` has refused too.
  void add(const Gates& before);
  void refuse(Gate gate) { own_.refuse(gate); }
  void refuse(ImageCheck check) { image_.refuse(check); }
  [[nodiscard]] std::map<std::string, std::uint64_t> refusals() const;

 private:
  GateSet<gate_table> own_;
  ImageChecks image_;
};

}  // namespace engine::cyclone
