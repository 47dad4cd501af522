#pragma once

#include <string>
#include <string_view>

#include <sys/types.h>

#include "base/unique_fd.h"

// The bare side of bench/compare/pipe: a python3 at the end of two pipes, which parses an event,
// calls the handler and writes its result. No sandbox, no frames, no limits.

namespace hearth::bench {

inline constexpr std::string_view hello_event = R"({"name": "Ada"})";
inline constexpr std::string_view hello_answer = "Hello, Ada!";

// Writes the handler that both sides call into the folder, which it makes.
class handler_folder {
public:
    handler_folder();
    ~handler_folder();
    handler_folder(const handler_folder&) = delete;
    handler_folder& operator=(const handler_folder&) = delete;
    [[nodiscard]] const std::string& path() const noexcept { return path_; }

private:
    std::string path_;
};

class bare_python {
public:
    explicit bare_python(const handler_folder& code);
    ~bare_python();
    bare_python(const bare_python&) = delete;
    bare_python& operator=(const bare_python&) = delete;

    [[nodiscard]] std::string call() const;

private:
    pid_t process_ = -1;
    unique_fd requests_;
    unique_fd answers_;
};

}  // namespace hearth::bench
