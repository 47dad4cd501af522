#pragma once

#include <string>
#include <vector>

namespace hearth::http {

// What a client may send on one connection, and what must come back: the statuses of the responses
// in order. A status of 400 or more closes the connection, so nothing follows it; an empty list
// means that the connection just ends, because no request was complete.
struct wire_case {
    std::string name;
    std::string bytes;
    std::vector<int> statuses;
};

// The smuggling and malformed corpus, with the well-formed neighbours of each form. Requests go to
// "GET /" and "POST /echo", which reads its body.
[[nodiscard]] const std::vector<wire_case>& wire_cases();

}  // namespace hearth::http
