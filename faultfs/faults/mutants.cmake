# The fault files a second time, each with errors planted: FILE, then pairs of what stands there and
# what stands there instead. A pair that is not found stops the build, so a fault that changes must
# bring its error along. Only tests link them.
set(mutant_sources)
function(plant file)
  file(READ ${CMAKE_CURRENT_SOURCE_DIR}/faults/${file} text)
  set(pairs ${ARGN})
  while(pairs)
    list(POP_FRONT pairs right wrong)
    string(FIND "${text}" "${right}" found)
    if(found EQUAL -1)
      message(FATAL_ERROR "faults/${file}: there is no \"${right}\" to plant an error in")
    endif()
    string(REPLACE "${right}" "${wrong}" text "${text}")
  endwhile()
  string(REPLACE "namespace faultfs::faults {"
                 "namespace faultfs::mutants {\nusing namespace faultfs::faults;" text "${text}")
  set(mutant ${CMAKE_CURRENT_BINARY_DIR}/mutants/${file})
  file(CONFIGURE OUTPUT ${mutant} CONTENT "${text}" @ONLY)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS
    ${CMAKE_CURRENT_SOURCE_DIR}/faults/${file})
  set(mutant_sources ${mutant_sources} ${mutant} PARENT_SCOPE)
endfunction()

plant(errno_fault.cc "deed.error = error" "deed.reply = error")
plant(failed_flush.cc
  "entry.disk == disk && !durable" "entry.disk == disk && (durable || !durable)"
  "if constexpr (manner != Manner::dirty)" "if constexpr (true)"
  "change.entry <= medium.issued_after" "change.entry + 1 <= medium.issued_after")
plant(short_transfer.cc "deed.size_bytes = size_bytes_" "deed.size_bytes = size_bytes_ + 1")
plant(waiting.cc
  "deed.delay_ms += delay_ms_" "deed.delay_ms += delay_ms_ / 2"
  "deed.held = true" "deed.held = false")
plant(lying_flush.cc "ChangeKind::ignored" "ChangeKind::not_fua")
plant(lying_fua.cc "ChangeKind::not_fua" "ChangeKind::dropped")
plant(phantom_write.cc "ChangeKind::ignored" "ChangeKind::dropped")
plant(misdirected_write.cc "change.value = to_bytes_" "change.value = to_bytes_ / 2")
plant(torn_write.cc "piece.size_bytes}" "piece.size_bytes - 1}")
plant(late_write.cc "--late.requests_left > 0" "--late.requests_left > 1")
plant(stale_read.cc "older.written.insert(sector)" "older.written.insert(first)")
plant(latent_sector_error.cc "request.end_bytes() / sector_bytes" "(request.end_bytes() + sector_bytes - 1) / sector_bytes")
plant(rot_on_write.cc "mix(seed_, rotten_++)" "mix(seed_, rotten_)")
plant(rot_on_read.cc "(bit % 8)" "(bit % 4)")
plant(run_rollback.cc "newest - age_" "newest - age_ + 1")
plant(kill_client.cc "before_ ? Killed::before" "before_ ? Killed::after")
