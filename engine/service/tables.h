#pragma once

#include "engine/service/wire.h"
#include "engine/store.h"

namespace engine::service {

/// The tables of a store as fields of a frame.
void write_inspection(const Inspection& inspection, FrameWriter& writer);
[[nodiscard]] Inspection read_inspection(FrameReader& reader);
void write_stats(const Stats& stats, FrameWriter& writer);
[[nodiscard]] Stats read_stats(FrameReader& reader);

}  // namespace engine::service
