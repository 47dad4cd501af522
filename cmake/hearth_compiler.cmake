# Language level, warnings and sanitizers for every target.

# g++ 12 destroys coroutine temporaries twice and skips whole bodies, silently and at every
# optimisation level (docs/architecture.md, "Compiler"). GCC 13 fixed what this code base uses.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    message(FATAL_ERROR
        "g++ ${CMAKE_CXX_COMPILER_VERSION} miscompiles coroutines without a warning.\n"
        "Use clang 19: apt-get install clang-19, then configure with a preset, for example\n"
        "  cmake --preset release\n"
        "or run ./tools/quickstart, which does both.")
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 17)
    message(FATAL_ERROR
        "clang ${CMAKE_CXX_COMPILER_VERSION} is too old for -std=c++23 with std::expected.\n"
        "Install clang-19 and configure with a preset: cmake --preset release")
endif()

set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_C_STANDARD 17)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

set(HEARTH_SANITIZE "" CACHE STRING "Sanitizers to build with: address,undefined or thread")
option(HEARTH_FUZZ "Build the libFuzzer targets" OFF)

find_program(HEARTH_CCACHE ccache)
if(HEARTH_CCACHE)
    # What one clone compiled serves another: the cache sees paths relative to the source tree.
    set(CMAKE_CXX_COMPILER_LAUNCHER "${CMAKE_COMMAND}" -E env
        "CCACHE_BASEDIR=${CMAKE_SOURCE_DIR}" CCACHE_NOHASHDIR=1 "${HEARTH_CCACHE}")
    set(CMAKE_C_COMPILER_LAUNCHER "${CMAKE_CXX_COMPILER_LAUNCHER}")
endif()
find_program(HEARTH_LLD NAMES ld.lld-19 ld.lld)
if(HEARTH_LLD AND CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    add_link_options(-fuse-ld=${HEARTH_LLD})
endif()

# hearth_options carries what our own code is built with; third-party C files do not link to it.
add_library(hearth_options INTERFACE)
target_compile_options(hearth_options INTERFACE
    -Wall -Wextra -Werror -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -Wextra-semi
    -Wno-missing-field-initializers -fno-omit-frame-pointer)
if(CMAKE_BUILD_TYPE STREQUAL "RelWithDebInfo" OR CMAKE_BUILD_TYPE STREQUAL "Release")
    target_compile_definitions(hearth_options INTERFACE _FORTIFY_SOURCE=2)
    target_compile_options(hearth_options INTERFACE -fstack-protector-strong)
    add_link_options(-Wl,-z,relro,-z,now)
endif()

# A program depends on the libraries that it uses, not on those of every folder below it.
add_link_options(-Wl,--as-needed)

if(HEARTH_SANITIZE)
    add_compile_options(-fsanitize=${HEARTH_SANITIZE} -fno-sanitize-recover=all -O1)
    add_link_options(-fsanitize=${HEARTH_SANITIZE})
endif()
if(HEARTH_FUZZ)
    add_compile_options(-fsanitize=fuzzer-no-link)
endif()
