#include "aws/s3.h"

#include <algorithm>
#include <charconv>

#include "aws/text.h"
#include "base/concat.h"
#include "base/ids.h"
#include "coro/wait_list.h"

namespace hearth::aws {
namespace {

constexpr milliseconds transfer_timeout{60'000};  // of one attempt to move a part
constexpr int complete_attempts_max = 4;          // of one that S3 accepts and then fails
constexpr std::size_t answer_slack = 64u << 10;   // an error's text is longer than a short object

// Sets body and hash, which S3 verifies; returns the digest.
std::string set_body(request& asked, std::string body) {
    std::string digest = sha256_raw(body);
    asked.body_hash = to_hex(std::as_bytes(std::span(digest)));
    asked.body = std::move(body);
    asked.attempt_timeout = transfer_timeout;
    return digest;
}

// Of "bytes 0-99/1234": 1234.
std::int64_t total_of(const http::client_response& answer) {
    const auto range = answer.header("content-range").value_or("");
    const auto slash = range.find('/');
    std::int64_t total = static_cast<std::int64_t>(answer.body.size());
    if (slash != std::string_view::npos) {
        const auto digits = range.substr(slash + 1);
        std::from_chars(digits.data(), digits.data() + digits.size(), total);
    }
    return total;
}

}  // namespace

bucket::bucket(client& api, std::string name)
    : api_(api), name_(std::move(name)), where_(api.configuration().bucket_endpoint(name_)) {}

request bucket::ask(std::string operation, std::string method, std::string_view key) const {
    request asked;
    asked.operation = std::move(operation);
    asked.method = std::move(method);
    asked.path = concat('/', key);
    asked.where = where_;
    return asked;
}

task<result<>> bucket::put(std::string key, std::string body, std::string content_type,
                           deadline until) {
    auto asked = ask("PutObject", "PUT", key);
    const auto digest = set_body(asked, std::move(body));
    asked.headers.emplace_back("x-amz-checksum-sha256", base64_encode(digest));
    asked.headers.emplace_back("content-type", std::move(content_type));
    auto answer = co_await api_.call(std::move(asked), until);
    if (!answer) {
        co_return propagate(answer);
    }
    co_return result<>{};
}

task<result<bucket::object>> bucket::get(std::string key, std::size_t count, deadline until) {
    auto asked = ask("GetObject", "GET", key);
    asked.attempt_timeout = transfer_timeout;
    asked.answer_bytes_max = std::max(count, answer_slack);
    auto answer = co_await api_.call(std::move(asked), until);
    if (!answer) {
        co_return propagate(answer);
    }
    if (answer->body.size() > count) {
        co_return fail(errc::too_large, concat("an object is longer than ", count, " bytes"));
    }
    object out;
    out.size = static_cast<std::int64_t>(answer->body.size());
    out.body = std::move(answer->body);
    co_return out;
}

task<result<bucket::object>> bucket::get_range(std::string key, std::int64_t first,
                                               std::size_t count, deadline until) {
    auto asked = ask("GetObject", "GET", key);
    asked.attempt_timeout = transfer_timeout;
    asked.answer_bytes_max = count + answer_slack;
    asked.headers.emplace_back(
        "range", concat("bytes=", first, '-', first + static_cast<std::int64_t>(count) - 1));
    auto answer = co_await api_.call(std::move(asked), until);
    if (!answer) {
        co_return propagate(answer);
    }
    if (answer->status != 206 && (first != 0 || answer->body.size() > count)) {
        co_return fail(errc::protocol, "S3 answers a range with the whole object");
    }
    object out;
    out.size = total_of(*answer);
    out.body = std::move(answer->body);
    co_return out;
}

task<result<>> bucket::remove(std::string key, deadline until) {
    auto answer = co_await api_.call(ask("DeleteObject", "DELETE", key), until);
    if (!answer && answer.error().code != errc::not_found) {
        co_return propagate(answer);
    }
    co_return result<>{};
}

task<result<std::vector<std::string>>> bucket::list(std::string prefix, std::string after,
                                                    std::size_t limit, deadline until) {
    auto found = co_await list_with_times(std::move(prefix), std::move(after), limit, until);
    if (!found) {
        co_return propagate(found);
    }
    std::vector<std::string> keys;
    for (auto& each : *found) {
        keys.push_back(std::move(each.key));
    }
    co_return keys;
}

task<result<std::vector<bucket::listed>>> bucket::list_with_times(std::string prefix,
                                                                  std::string after,
                                                                  std::size_t limit,
                                                                  deadline until) {
    auto asked = ask("ListObjectsV2", "GET", "");
    asked.query = {{"list-type", "2"},
                   {"max-keys", concat(std::min<std::size_t>(limit, 1000))},
                   {"prefix", std::move(prefix)}};
    if (!after.empty()) {
        asked.query.emplace_back("start-after", std::move(after));
    }
    auto answer = co_await api_.call(std::move(asked), until);
    if (!answer) {
        co_return propagate(answer);
    }
    std::vector<listed> found;
    for (const auto each : xml_elements(answer->body, "Contents")) {
        if (auto key = xml_text(each, "Key")) {
            const auto modified = parse_rfc3339(xml_text(each, "LastModified").value_or(""));
            found.push_back({std::move(*key), modified.value_or(0)});
        }
    }
    co_return found;
}

task<result<std::string>> bucket::begin_upload(std::string key, deadline until) {
    auto asked = ask("CreateMultipartUpload", "POST", key);
    asked.query = {{"uploads", ""}};
    asked.headers = {{"content-type", "application/octet-stream"}};
    auto answer = co_await api_.call(std::move(asked), until);
    if (!answer) {
        co_return propagate(answer);
    }
    auto id = xml_text(answer->body, "UploadId");
    if (!id || id->empty()) {
        co_return fail(errc::protocol, "S3 began an upload without an id");
    }
    co_return std::move(*id);
}

task<result<bucket::part>> bucket::upload_part(std::string key, std::string upload_id, int number,
                                               std::string body, deadline until) {
    auto asked = ask("UploadPart", "PUT", key);
    asked.query = {{"partNumber", concat(number)}, {"uploadId", std::move(upload_id)}};
    part made;
    made.number = number;
    set_body(asked, std::move(body));
    auto answer = co_await api_.call(std::move(asked), until);
    if (!answer) {
        co_return propagate(answer);
    }
    made.etag = answer->header("etag").value_or("");
    co_return made;
}

task<result<>> bucket::complete_upload(std::string key, std::string upload_id,
                                       std::vector<part> parts, deadline until) {
    std::ranges::sort(parts, {}, &part::number);
    auto asked = ask("CompleteMultipartUpload", "POST", key);
    asked.query = {{"uploadId", std::move(upload_id)}};
    asked.headers = {{"content-type", "application/xml"}};
    asked.attempt_timeout = transfer_timeout;  // S3 puts the parts together meanwhile
    asked.body = "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">";
    for (const auto& each : parts) {
        asked.body += concat("<Part><PartNumber>", each.number, "</PartNumber><ETag>",
                             xml_escape(each.etag), "</ETag></Part>");
    }
    asked.body += "</CompleteMultipartUpload>";
    for (int attempt = 1;; ++attempt) {
        auto answer = co_await api_.call(asked, until);
        if (!answer) {
            co_return propagate(answer);
        }
        // S3 says 200 before it knows whether it will succeed.
        const auto code = xml_text(answer->body, "Code");
        if (!code || answer->body.contains("<CompleteMultipartUploadResult")) {
            co_return result<>{};
        }
        const auto next = after(pause_before(attempt, false, {}, random_u64()));
        if (attempt >= complete_attempts_max || next >= until) {
            co_return fail(errc::unavailable, concat("s3 CompleteMultipartUpload: ", *code));
        }
        if (auto slept = co_await sleep_until(next); !slept) {
            co_return slept;
        }
    }
}

task<result<>> bucket::abort_upload(std::string key, std::string upload_id, deadline until) {
    auto asked = ask("AbortMultipartUpload", "DELETE", key);
    asked.query = {{"uploadId", std::move(upload_id)}};
    auto answer = co_await api_.call(std::move(asked), until);
    if (!answer && answer.error().code != errc::not_found) {
        co_return propagate(answer);
    }
    co_return result<>{};
}

task<result<std::string>> bucket::presign(std::string method, std::string key, fields headers,
                                          seconds lifetime, deadline until) {
    auto keys = co_await api_.keys()->get(until);
    if (!keys) {
        co_return propagate(keys);
    }
    signable draft;
    draft.method = std::move(method);
    draft.path = concat(where_.path, '/', key);
    draft.headers = std::move(headers);
    draft.headers.emplace_back("host", where_.authority);
    draft.payload_hash = unsigned_payload;
    aws::presign(draft, *keys,
                 {.region = api_.configuration().region(),
                  .service = signing_name(service::s3),
                  .now = api_.signing_time(),
                  .normalize_path = false},
                 lifetime);
    co_return concat(where_.base.substr(0, where_.base.size() - where_.path.size()),
                     target_of(draft));
}

}  // namespace hearth::aws
