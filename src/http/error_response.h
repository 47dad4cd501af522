#pragma once

#include <string_view>

#include "base/result.h"
#include "http/rejection.h"
#include "http/response.h"

namespace hearth::http {

// The one shape of every error body: {"error":{"code","message"},"requestId"}, with a "jobId"
// before the latter where a job is behind it, which can be asked for. `code` is stable and for
// programs, `message` is for people.
[[nodiscard]] response error_response(int status, std::string_view code, std::string_view message,
                                      std::string_view request_id, std::string_view job_id = {});
[[nodiscard]] response error_response(const rejection& why, std::string_view request_id);
// For an error that a handler got and has no better answer to. Messages of the classes that blame
// the caller are shown; the others may name internals, so they are replaced by a general one (and
// are the handler's to log).
[[nodiscard]] response error_response(const error& why, std::string_view request_id);

// The status that an error class is answered with by default.
[[nodiscard]] int status_of(errc code) noexcept;

}  // namespace hearth::http
