#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "aws/settings.h"
#include "base/clock.h"
#include "base/result.h"
#include "http/client.h"

// What a service's refusal means. Pure functions.

namespace hearth::aws {

// An answer that is not a success. JSON services say `__type` and, where they once spoke the query
// protocol, a header x-amzn-query-error; the others say <Code> in XML; HEAD says nothing but its
// status.
struct failure {
    int status = 0;
    std::string code;        // without name space: "QueueDoesNotExist"; empty when none was said
    std::string query_code;  // "AWS.SimpleQueueService.NonExistentQueue"
    std::string message;
    std::string request_id;

    [[nodiscard]] bool is(std::string_view name) const noexcept {
        return code == name || query_code == name;
    }
};

[[nodiscard]] failure parse_failure(const http::client_response& answer);

// x-amzn-requestid or x-amz-request-id; empty when the answer has neither.
[[nodiscard]] std::string request_id_of(const http::client_response& answer);

// How long the service asks to be left alone: x-amz-retry-after in milliseconds (AWS), Retry-After
// in seconds (RFC 9110, and proxies in between). 0 where it says nothing, `most` at the most: a
// wrong header must not stop a caller for good.
[[nodiscard]] milliseconds retry_after(const http::client_response& answer, milliseconds most);

enum class remedy : std::uint8_t {
    none,         // asking again gives the same answer
    again,        // the service's fault, or the way there
    slower,       // it is asked too much
    clock,        // our clock is wrong, or theirs
    clock_maybe,  // as clock, or the key is wrong: the Date header tells
    credentials,  // these have expired
};

[[nodiscard]] remedy remedy_for(const failure& what);

// For callers and people: "sqs SendMessage: AccessDenied: … (status 403, request id …)". A table,
// queue or bucket that does not exist is errc::unavailable, so that nobody takes a wrong setting
// for an item, message or object that is not there (errc::not_found). A code that is not known is
// errc::rejected.
[[nodiscard]] error to_error(service which, std::string_view operation, const failure& what);

}  // namespace hearth::aws
