#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/clock.h"

// The domain: what a function is. No I/O.

namespace hearth::faas {

// Limits that users meet at the door (docs/operations.md).
inline constexpr std::int64_t memory_mb_min = 128;
inline constexpr std::int64_t memory_mb_max = 10'240;
inline constexpr std::int64_t memory_mb_default = 128;
inline constexpr std::int64_t timeout_ms_min = 100;
inline constexpr std::int64_t timeout_ms_max = 900'000;
inline constexpr std::int64_t timeout_ms_default = 30'000;
inline constexpr std::size_t code_bytes_max = 50u << 20;       // the upload
inline constexpr std::size_t unpacked_bytes_max = 250u << 20;  // a zip's contents
inline constexpr std::size_t unpacked_entries_max = 10'000;
inline constexpr std::size_t payload_bytes_max = 6u << 20;  // sync event and result
inline constexpr std::size_t async_payload_bytes_max = 256u << 10;
inline constexpr std::size_t environment_bytes_max = 4u << 10;  // names and values together
inline constexpr std::size_t log_bytes_max = 256u << 10;        // kept per invocation
inline constexpr std::size_t name_bytes_max = 64;
inline constexpr std::size_t handler_bytes_max = 128;

// The values of `runtime`. Both run the same Python; the second is made from one that has imported
// numpy and pandas already.
inline constexpr const char* python_runtime = "python";
inline constexpr const char* numpy_runtime = "python-numpy";

enum class code_kind : std::uint8_t { python_file, zip };

using environment = std::vector<std::pair<std::string, std::string>>;

// One function as it is now. `revision` starts at 1 and grows with every update of code or
// configuration; a sandbox serves one revision.
struct function {
    std::string id;
    std::string name;
    std::string runtime;                // python_runtime or numpy_runtime
    std::string handler;                // what the API shows, for example "hello.handler"
    std::vector<std::string> handlers;  // candidates in order; the first that exists is called
    std::int64_t memory_mb = memory_mb_default;
    std::int64_t timeout_ms = timeout_ms_default;
    environment env;
    code_kind kind = code_kind::python_file;
    std::string code_file;    // the upload's file name; a .py file keeps it in the sandbox
    std::string code_sha256;  // lower-case hex
    std::int64_t code_size = 0;
    std::int64_t revision = 1;
    epoch_ms created_at = 0;
    epoch_ms updated_at = 0;
};

// One revision of one function, in tables that are asked without a copy of the id.
struct revision_key {
    std::string function_id;
    std::int64_t revision = 0;
};
struct revision_view {
    std::string_view function_id;
    std::int64_t revision = 0;

    revision_view(const revision_key& key) noexcept  // NOLINT(google-explicit-constructor)
        : function_id(key.function_id), revision(key.revision) {}
    revision_view(const function& of) noexcept  // NOLINT(google-explicit-constructor)
        : function_id(of.id), revision(of.revision) {}
    friend bool operator==(const revision_view&, const revision_view&) noexcept = default;
};
struct revision_hash {
    using is_transparent = void;
    std::size_t operator()(const revision_view& key) const noexcept {
        return std::hash<std::string_view>()(key.function_id) ^
               std::hash<std::int64_t>()(key.revision);
    }
};
struct revision_equal {
    using is_transparent = void;
    bool operator()(const revision_view& a, const revision_view& b) const noexcept {
        return a == b;
    }
};
template <class Value>
using revision_map = std::unordered_map<revision_key, Value, revision_hash, revision_equal>;

}  // namespace hearth::faas
