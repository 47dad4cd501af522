# What Hearth links against. Every package is in Debian 12 and listed in tools/packages.
find_package(Threads REQUIRED)
find_package(OpenSSL 3.0 REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(simdjson 3.0 REQUIRED)
find_package(prometheus-cpp REQUIRED CONFIG COMPONENTS core)
find_package(CLI11 REQUIRED)
find_package(mimalloc 2.0 REQUIRED)
find_package(CURL 7.85 REQUIRED)
foreach(dependency liburing libseccomp libcap sqlite3 zlib hiredis)
    pkg_check_modules(${dependency} REQUIRED IMPORTED_TARGET ${dependency})
endforeach()
pkg_check_modules(python_embed REQUIRED IMPORTED_TARGET python3-embed)
# libunistring has no pkg-config file.
find_path(UNISTRING_INCLUDE_DIR unicase.h REQUIRED)
find_library(UNISTRING_LIBRARY unistring REQUIRED)
find_path(RAPIDJSON_INCLUDE_DIR rapidjson/rapidjson.h REQUIRED)

# llhttp: Debian ships the generated C parser as sources in node-llhttp.
find_path(LLHTTP_INCLUDE_DIR llhttp.h PATHS /usr/share/include/llhttp NO_DEFAULT_PATH REQUIRED)
find_path(LLHTTP_SOURCE_DIR llhttp.c PATHS /usr/share/llhttp NO_DEFAULT_PATH REQUIRED)
add_library(llhttp STATIC ${LLHTTP_SOURCE_DIR}/llhttp.c ${LLHTTP_SOURCE_DIR}/api.c
                          ${LLHTTP_SOURCE_DIR}/http.c)
target_include_directories(llhttp SYSTEM PUBLIC ${LLHTTP_INCLUDE_DIR})
target_compile_options(llhttp PRIVATE -w -O2)
