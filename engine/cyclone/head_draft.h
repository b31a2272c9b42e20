#pragma once

#include <cstdint>
#include <vector>

#include "engine/cyclone/reader.h"

namespace engine::cyclone {

/// An object's head on the way from what it is to what it is going to be: its vector, and the body
/// that is resident in it, in memory of its own. Texts of alternates that are put refer to the
/// caller's.
class HeadDraft {
 public:
  HeadDraft() = default;
  HeadDraft(const HeadDraft&) = delete;
  HeadDraft& operator=(const HeadDraft&) = delete;

  /// Begins with the newest head of `object`, or with none.
  [[nodiscard]] Status load(Reader& reader, const Key& key, std::string_view object);
  [[nodiscard]] const Vector& vector() const { return vector_; }
  /// Content of the resident alternate; none where there is no such.
  [[nodiscard]] const std::vector<std::byte>& content() const { return content_; }
  /// Length of the document, with what is resident.
  [[nodiscard]] std::uint64_t document_bytes() const;

  /// Puts `alternate` in front, in the place of the one of its name. Where that makes more than
  /// `alternates_max`, or the head without any body longer than `bytes_max`, the oldest give way,
  /// which are counted. One that is resident keeps the content that is there.
  [[nodiscard]] std::uint64_t put(const Alternate& alternate, std::uint64_t bytes_max);
  /// False where there is none of this name.
  bool remove(std::string_view name);
  /// The resident alternate; null: none is.
  [[nodiscard]] const Alternate* resident() const;
  /// It is found by fragments from now on; its content is given back.
  [[nodiscard]] std::vector<std::byte> displace(const Key& earliest,
                                                std::uint32_t fragment_content);
  /// The alternate in front becomes the resident one, with `content`; nobody is, before.
  void settle(std::vector<std::byte> content);

 private:
  void erase(std::uint32_t at);
  void forget_content();

  std::vector<std::byte> meta_, content_;
  Vector vector_;
};

}  // namespace engine::cyclone
