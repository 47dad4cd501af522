#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "coro/task.h"
#include "http/method.h"
#include "http/request.h"
#include "http/response.h"

namespace hearth::http {

// Answers one request. It may await anything, and run on other threads through run_on(); errors are
// answers (http/error_response.h). A coroutine must not be a lambda with captures: they would be
// gone after its first suspension.
using handler = std::function<task<response>(request&)>;

// Finds the handler of a method and a path. A pattern is a path whose segments may be parameters:
// "/functions/:id". A literal segment wins over a parameter. HEAD is served wherever GET is, and
// OPTIONS everywhere (204 with Allow). Filled at start-up, then read-only and safe on all threads.
class router {
public:
    // What answers when no pattern fits; the label for metrics then, so that hostile paths do not
    // make new time series.
    static constexpr std::string_view unmatched = "unmatched";

    // Checked: the pattern is well formed, has at most path_parameters::count_max parameters, and
    // is new for that method.
    void add(method of, std::string_view pattern, handler handle);

    enum class outcome : std::uint8_t { found, not_found, method_not_allowed, options };
    struct match {
        outcome what = outcome::not_found;
        const handler* handle = nullptr;     // when found
        std::string_view route = unmatched;  // the pattern
        std::string_view allow;              // value of Allow for a path that exists
        path_parameters parameters;
    };
    // The result points into the router and `path`.
    [[nodiscard]] match find(method of, std::string_view path) const&;
    match find(method of, std::string_view path) const&& = delete;

private:
    struct route {
        std::string pattern;
        std::vector<std::string> segments;  // parameters keep their ":"
        std::array<handler, method_names.size()> handlers;
        std::string allow;
    };

    route& route_for(std::string_view pattern);
    [[nodiscard]] static bool fits(const route& candidate, std::string_view path,
                                   path_parameters& parameters);

    std::vector<route> routes_;  // more literal patterns before less literal ones
    std::string allow_anywhere_ = "GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS";
};

}  // namespace hearth::http
