#include "aws/failure.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "aws/text.h"
#include "base/concat.h"
#include "base/json.h"

namespace hearth::aws {
namespace {

// From AWS's SDKs (botocore, retries/standard.py and _retry.json).
constexpr std::array<std::string_view, 15> throttling_codes{
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottledException",
    "RequestThrottled",
    "AWS.SimpleQueueService.RequestThrottled",
    "TooManyRequestsException",
    "ProvisionedThroughputExceededException",
    "TransactionInProgressException",
    "RequestLimitExceeded",
    "BandwidthLimitExceeded",
    "LimitExceededException",
    "SlowDown",
    "PriorRequestNotComplete",
    "EC2ThrottledException",
};
constexpr std::array<std::string_view, 7> transient_codes{
    "RequestTimeout",      "RequestTimeoutException", "InternalError",        "InternalFailure",
    "InternalServerError", "ServiceUnavailable",      "IDPCommunicationError"};
constexpr std::array<std::string_view, 3> clock_codes{"RequestTimeTooSkewed", "RequestExpired",
                                                      "RequestInTheFuture"};
constexpr std::array<std::string_view, 4> signature_codes{
    "SignatureDoesNotMatch", "InvalidSignatureException", "AuthFailure", "IncompleteSignature"};
constexpr std::array<std::string_view, 4> expired_codes{"ExpiredToken", "ExpiredTokenException",
                                                        "TokenRefreshRequired", "RequestExpired"};

struct meaning {
    std::string_view name;
    errc code;
};
constexpr std::array meanings{
    meaning{"ConditionalCheckFailedException", errc::conflict},
    meaning{"PreconditionFailed", errc::conflict},
    meaning{"ResourceInUseException", errc::conflict},
    meaning{"BucketAlreadyOwnedByYou", errc::conflict},
    meaning{"NoSuchKey", errc::not_found},
    meaning{"NoSuchUpload", errc::not_found},
    meaning{"ReceiptHandleIsInvalid", errc::not_found},
    meaning{"InvalidParameterValue", errc::invalid_argument},
    meaning{"MessageNotInflight", errc::not_found},
    meaning{"AWS.SimpleQueueService.MessageNotInflight", errc::not_found},
    meaning{"ParameterNotFound", errc::not_found},
    meaning{"QueueDoesNotExist", errc::unavailable},
    meaning{"AWS.SimpleQueueService.NonExistentQueue", errc::unavailable},
    meaning{"NoSuchBucket", errc::unavailable},
    meaning{"EntityTooLarge", errc::too_large},
    meaning{"BatchRequestTooLong", errc::too_large},
    meaning{"AWS.SimpleQueueService.BatchRequestTooLong", errc::too_large},
    meaning{"BadDigest", errc::corrupt},
    meaning{"InvalidDigest", errc::corrupt},
    meaning{"XAmzContentChecksumMismatch", errc::corrupt},
    meaning{"XAmzContentSHA256Mismatch", errc::corrupt},
    meaning{"UnrecognizedClientException", errc::permission_denied},
    meaning{"MissingAuthenticationTokenException", errc::permission_denied},
};

template <std::size_t Count>
bool is_one_of(const failure& what, const std::array<std::string_view, Count>& names) {
    return std::ranges::any_of(names, [&](std::string_view name) { return what.is(name); });
}

// "com.amazonaws.sqs#QueueDoesNotExist" or "Name:http://…" without what is around the name.
std::string bare_name(std::string_view text) {
    const auto hash = text.rfind('#');
    if (hash != std::string_view::npos) {
        text.remove_prefix(hash + 1);
    }
    return std::string(text.substr(0, text.find_first_of(":;")));
}

void read_json(const http::client_response& answer, failure& into) {
    if (const auto type = answer.header("x-amzn-errortype")) {
        into.code = bare_name(*type);
    }
    if (const auto query = answer.header("x-amzn-query-error")) {
        into.query_code = query->substr(0, query->find(';'));
    }
    const auto parsed = json::document::parse(answer.body);
    if (!parsed) {
        return;
    }
    std::string_view text;
    if (into.code.empty() && parsed->root()["__type"].get(text) == simdjson::SUCCESS) {
        into.code = bare_name(text);
    }
    for (const char* name : {"message", "Message"}) {
        if (parsed->root()[name].get(text) == simdjson::SUCCESS) {
            into.message = text;
        }
    }
}

errc code_of(service which, const failure& what) {
    for (const auto& each : meanings) {
        if (what.is(each.name)) {
            return each.code;
        }
    }
    switch (remedy_for(what)) {
        case remedy::slower:
            return errc::limit_exceeded;
        case remedy::again:
            return errc::unavailable;
        case remedy::clock:
        case remedy::clock_maybe:
        case remedy::credentials:
            return errc::permission_denied;
        case remedy::none:
            break;
    }
    if (what.is("ResourceNotFoundException")) {
        return which == service::dynamodb ? errc::unavailable : errc::not_found;
    }
    if (what.code.starts_with("AccessDenied") || what.status == 401 || what.status == 403) {
        return errc::permission_denied;
    }
    if (what.status == 404) {
        return errc::not_found;
    }
    if (what.status == 409 || what.status == 412) {
        return errc::conflict;
    }
    // S3's for a range of an empty object.
    if (what.status == 416) {
        return errc::invalid_argument;
    }
    // What AWS does not understand was made here: not our caller's mistake, who could not mend it.
    return what.status == 413 ? errc::too_large : errc::rejected;
}

}  // namespace

std::string request_id_of(const http::client_response& answer) {
    for (const std::string_view name : {"x-amzn-requestid", "x-amz-request-id"}) {
        if (const auto id = answer.header(name)) {
            return std::string(id->substr(0, 128));
        }
    }
    return {};
}

failure parse_failure(const http::client_response& answer) {
    constexpr std::size_t message_bytes_max = 1024;  // it ends up in logs and answers
    failure out;
    out.status = answer.status;
    out.request_id = request_id_of(answer);
    const auto start = answer.body.find_first_not_of(" \t\r\n");
    if (start != std::string::npos && answer.body[start] == '<') {
        out.code = xml_text(answer.body, "Code").value_or("");
        out.message = xml_text(answer.body, "Message").value_or("");
        if (out.request_id.empty()) {
            out.request_id = xml_text(answer.body, "RequestId").value_or("");
        }
    } else {
        read_json(answer, out);
    }
    if (out.message.size() > message_bytes_max) {
        out.message.resize(message_bytes_max);
    }
    return out;
}

milliseconds retry_after(const http::client_response& answer, milliseconds most) {
    struct header {
        std::string_view name;
        milliseconds unit;
    };
    for (const auto& each : {header{"x-amz-retry-after", milliseconds(1)},
                             header{"retry-after", milliseconds(1000)}}) {
        const auto text = answer.header(each.name).value_or("");
        std::int64_t count = 0;
        const auto parsed = std::from_chars(text.data(), text.data() + text.size(), count);
        if (parsed.ec == std::errc() && parsed.ptr == text.data() + text.size() && count >= 0) {
            return each.unit * std::min(count, most / each.unit);
        }
    }
    return milliseconds(0);
}

remedy remedy_for(const failure& what) {
    if (is_one_of(what, clock_codes)) {
        return remedy::clock;
    }
    if (is_one_of(what, expired_codes)) {
        return remedy::credentials;
    }
    if (is_one_of(what, signature_codes)) {
        return remedy::clock_maybe;
    }
    if (is_one_of(what, throttling_codes) || what.status == 429) {
        return remedy::slower;
    }
    if (is_one_of(what, transient_codes) || what.status == 500 || what.status == 502 ||
        what.status == 503 || what.status == 504) {
        return remedy::again;
    }
    return remedy::none;
}

error to_error(service which, std::string_view operation, const failure& what) {
    std::string text = concat(signing_name(which), ' ', operation, ": ",
                              what.code.empty() ? std::string_view("refused") : what.code);
    if (!what.message.empty()) {
        text += concat(": ", what.message);
    }
    text += concat(" (status ", what.status);
    if (!what.request_id.empty()) {
        text += concat(", request id ", what.request_id);
    }
    return {code_of(which, what), text + ')', 0};
}

}  // namespace hearth::aws
