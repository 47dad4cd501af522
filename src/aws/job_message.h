#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "faas/ports.h"

namespace hearth::aws {

// A job as the body of an SQS message: one line of JSON, a line feed, and the event.
// docs/protocol.md, "Queue message".
struct job_message {
    faas::job content;  // without its event when that lies in a blob
    // Attempts that older messages of this job have used up: a job that is given back unstarted, or
    // kept for later, becomes a new message, whose receive count begins at 1 again.
    std::int64_t attempts_before = 0;
    std::string event_blob;  // key; empty when the event is in the message
    bool settled = false;    // among the dead letters: its record says so already
};

// Contains nothing that SQS refuses: of Unicode it does not take U+FFFE, U+FFFF and, some
// stand-ins, nothing beyond U+FFFF. In JSON those can stand in strings alone, where \u escapes mean
// the same.
[[nodiscard]] std::string encode(const job_message& message);

// errc::corrupt when it is not what encode() writes.
[[nodiscard]] result<job_message> decode_job_message(std::string_view body);

}  // namespace hearth::aws
