#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "coro/task.h"
#include "coro/thread_pool.h"
#include "faas/function.h"
#include "http/request.h"

namespace hearth::ctrl {

// What a client says about a function, in an upload or an update: fields that are absent stay as
// they are. Every field that is present has been checked on its own.
struct function_form {
    struct code {
        std::string file_name;  // as uploaded, without a path
        faas::code_kind kind = faas::code_kind::python_file;
        unique_fd file;  // a nameless temporary file
        std::size_t size = 0;
        std::string sha256;
    };
    std::optional<code> upload;
    std::optional<std::string> name;
    std::optional<std::string> handler;
    std::optional<std::string> runtime;
    std::optional<std::int64_t> memory_mb;
    std::optional<std::int64_t> timeout_ms;
    std::optional<faas::environment> env;
    std::optional<std::int64_t> expected_revision;  // the update holds only for this one
};

// Reads a multipart/form-data body as a stream; the file goes to `temporary_folder` without a name,
// so that nothing is left of it whatever happens. errc::invalid_argument and errc::too_large carry
// a message for the client. On the connection's thread.
task<result<function_form>> read_multipart_form(http::request& from, std::string boundary,
                                                std::string temporary_folder,
                                                thread_pool& blocking);

// The same fields, but no file, from a JSON object. `env` is an object of strings.
[[nodiscard]] result<function_form> parse_json_form(std::string_view body);

// Sets one field from its text, as a form sends it. Unknown names are refused.
[[nodiscard]] result<> set_field(function_form& form, std::string_view name, std::string_view text);

}  // namespace hearth::ctrl
