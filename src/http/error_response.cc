#include "http/error_response.h"

#include "base/json.h"

namespace hearth::http {
namespace {

struct class_answer {
    int status;
    std::string_view code;
    std::string_view message;  // shown in place of the error's own when not empty
};

class_answer answer_of(errc code) noexcept {
    switch (code) {
        case errc::invalid_argument:
        case errc::protocol:
            return {400, "bad_request", ""};
        case errc::not_found:
            return {404, "not_found", ""};
        case errc::conflict:
            return {409, "conflict", ""};
        case errc::too_large:
            return {413, "payload_too_large", ""};
        case errc::limit_exceeded:
            return {429, "too_many_requests", ""};
        case errc::deadline_exceeded:
            return {504, "deadline_exceeded", "The deadline passed before there was an answer."};
        case errc::cancelled:
        case errc::closed:
        case errc::unavailable:
            return {503, "unavailable", "The service is not available now. Try again later."};
        case errc::rejected:
            return {502, "bad_gateway",
                    "A service behind this one refused the request. The log has it under the "
                    "requestId."};
        case errc::permission_denied:
        case errc::corrupt:
        case errc::io:
        case errc::internal:
            break;
    }
    return {500, "internal", "An internal error occurred. The log has it under the requestId."};
}

}  // namespace

int status_of(errc code) noexcept {
    return answer_of(code).status;
}

response error_response(int status, std::string_view code, std::string_view message,
                        std::string_view request_id, std::string_view job_id) {
    json::writer out;
    out.begin_object();
    out.begin_object("error");
    out.member("code", code);
    out.member("message", message);
    out.end_object();
    if (!job_id.empty()) {
        out.member("jobId", job_id);
    }
    out.member("requestId", request_id);
    out.end_object();
    return response::json(status, std::move(out).take());
}

response error_response(const rejection& why, std::string_view request_id) {
    return error_response(why.status, why.code, why.message, request_id);
}

response error_response(const error& why, std::string_view request_id) {
    const class_answer answer = answer_of(why.code);
    return error_response(answer.status, answer.code,
                          answer.message.empty() ? why.message : answer.message, request_id);
}

}  // namespace hearth::http
