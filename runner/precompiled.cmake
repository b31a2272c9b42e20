# Headers that most sources include are read once, and not once for each source: what has them takes a
# quarter to a third less time to compile. A source still includes all it uses: clang, clang-tidy and
# include-what-you-use see it without the rest, and so does a build with a compiler cache, which cannot
# keep what depends on such a file.
#
# Optimized code has them under ASan only: from such a file GCC 12 takes warnings (array-bounds,
# restrict) that it keeps quiet about in headers of the system, and a release build keeps its warnings.
set(usual OFF)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(usual ON)
endif()
option(POWERCUT_PCH "precompile the headers of others" ${usual})
if(NOT POWERCUT_PCH)
  return()
endif()

set(headers <algorithm> <array> <charconv> <chrono> <cstddef> <cstdint> <cstdlib> <cstring> <filesystem>
  <fstream> <functional> <iostream> <iterator> <limits> <map> <memory> <mutex> <numeric> <optional>
  <set> <span> <sstream> <string> <string_view> <system_error> <thread> <unordered_map> <utility>
  <vector> <fmt/format.h> <tl/expected.hpp>)
set(test_headers ${headers} <gmock/gmock.h> <gtest/gtest.h>)

# One for each kind of source, because GCC takes such a file only with the options it was made with.
set(kinds test)
if(POWERCUT_SANITIZE STREQUAL "address")
  list(APPEND kinds code optimized_test)
  target_compile_options(powercut_options INTERFACE
    -Wno-array-bounds -Wno-restrict -Wno-stringop-overflow)
endif()
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/precompiled/empty.cc CONTENT "")
foreach(kind IN LISTS kinds)
  add_library(precompiled_${kind} OBJECT EXCLUDE_FROM_ALL ${CMAKE_BINARY_DIR}/precompiled/empty.cc)
  target_link_libraries(precompiled_${kind} PRIVATE powercut_options)
  if(kind STREQUAL "code")
    target_precompile_headers(precompiled_${kind} PRIVATE ${headers})
  else()
    target_link_libraries(precompiled_${kind} PRIVATE GTest::gmock)
    target_precompile_headers(precompiled_${kind} PRIVATE ${test_headers})
  endif()
endforeach()
target_compile_options(precompiled_test PRIVATE -O0)

# precompiled(DIRECTORY): has the programs and libraries of a directory, and below it, use these files.
function(precompiled directory)
  get_property(targets DIRECTORY ${directory} PROPERTY BUILDSYSTEM_TARGETS)
  foreach(target IN LISTS targets)
    get_target_property(type ${target} TYPE)
    if(NOT type MATCHES "^(EXECUTABLE|STATIC_LIBRARY)$")
      continue()
    endif()
    get_target_property(libraries ${target} LINK_LIBRARIES)
    get_target_property(options ${target} COMPILE_OPTIONS)
    set(kind code)
    if("GTest::gtest_main" IN_LIST libraries)
      set(kind optimized_test)
    endif()
    if("-O0" IN_LIST options)
      if(kind STREQUAL "code")
        continue()  # not_optimized, and without the definitions of GoogleTest
      endif()
      set(kind test)
    endif()
    if(kind IN_LIST kinds)
      target_precompile_headers(${target} REUSE_FROM precompiled_${kind})
    endif()
  endforeach()
  get_property(below DIRECTORY ${directory} PROPERTY SUBDIRECTORIES)
  foreach(subdirectory IN LISTS below)
    precompiled(${subdirectory})
  endforeach()
endfunction()
precompiled(${CMAKE_SOURCE_DIR})
