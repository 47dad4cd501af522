#pragma once

#include <string>

#include "base/json.h"
#include "faas/function.h"
#include "faas/invocation.h"
#include "http/response.h"

namespace hearth::ctrl {

// What the API shows of the domain, as JSON (docs/api.md).

void write_function(json::writer& out, const faas::function& shown);

// The answer to POST /run. The result is moved into the response, not copied.
[[nodiscard]] http::response run_response(const std::string& job_id, const std::string& request_id,
                                          const std::string& function_id, faas::outcome end);

// The answer to GET /status/:jobId.
[[nodiscard]] http::response status_response(faas::invocation_record record);

}  // namespace hearth::ctrl
