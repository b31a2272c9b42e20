#pragma once

#include <map>
#include <string>
#include <vector>

#include "engine/base/frame.h"
#include "engine/cyclone/evacuation.h"
#include "engine/cyclone/head_draft.h"

namespace engine::cyclone {

/// Puts in progress, header updates and purges: everything that adds documents.
class Uploads {
 public:
  Uploads(Core& core, Writer& writer, Log& log, Reader& reader, Evacuation& evacuation);

  [[nodiscard]] Result<UploadId> begin(std::string_view name,
                                       std::string_view header,
                                       std::uint64_t body_bytes);
  [[nodiscard]] Status append(UploadId id, std::span<const std::byte> bytes);
  [[nodiscard]] Status commit(UploadId id);
  [[nodiscard]] Status abort(UploadId id);
  void abort_all();
  [[nodiscard]] bool is_open(std::string_view name) const;
  /// Other processes see through `live` which objects are being put.
  void tell(LiveStripe& live) { live_ = &live; }
  /// Writes all uploads in progress, but for those that can only fail; what they have in the log is
  /// written.
  void pack(FrameWriter& into) const;
  /// Goes on with what `pack` wrote. False: it is not whole.
  [[nodiscard]] bool unpack(FrameReader& from);

  [[nodiscard]] Result<bool> update_header(std::string_view name, std::string_view header);
  [[nodiscard]] Result<bool> purge(std::string_view name);
  [[nodiscard]] Status purge_all();

 private:
  struct Upload {
    std::string name, header;
    Key key;  // of the object
    Key earliest, next;
    bool pinned = false;
    std::uint64_t body_bytes = 0, received = 0, written = 0;
    std::uint64_t failed_writes = 0;  // of the log, when this began
    std::vector<std::byte> buffer;    // content not in the log yet: one fragment at most
  };
  using Table = std::map<UploadId, Upload>;

  [[nodiscard]] Status check(std::string_view name,
                             std::string_view header,
                             std::uint64_t body_bytes) const;
  [[nodiscard]] std::uint32_t fragment_content() const {
    return core_.geometry.fragment_bytes - document_header_bytes;
  }
  [[nodiscard]] Result<Table::iterator> find(UploadId id);
  void add(UploadId id, Upload upload);
  void drop(Table::iterator upload);
  [[nodiscard]] Key any_key(const Key& other);
  [[nodiscard]] Status write_fragment(Upload& upload);
  [[nodiscard]] Status displace(const Key& key, HeadDraft& draft);
  [[nodiscard]] Status fit(const Key& key, HeadDraft& draft);
  [[nodiscard]] Status place_body(Upload& upload, HeadDraft& draft);
  [[nodiscard]] Status write_head(const Key& key, const HeadDraft& draft);
  [[nodiscard]] Status publish(Upload& upload);
  [[nodiscard]] Status settle_purge();
  [[nodiscard]] Result<bool> purge_object(const Key& key, std::string_view object);

  Core& core_;
  Writer& writer_;
  Log& log_;
  Reader& reader_;
  Evacuation& evacuation_;
  Table table_;
  UploadId last_id_ = 0;
  LiveStripe* live_ = nullptr;
  std::vector<Row> old_rows_;
};

}  // namespace engine::cyclone
