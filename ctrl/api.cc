#include "ctrl/api.h"

#include <charconv>

#include "base/concat.h"
#include "base/ids.h"
#include "base/json.h"
#include "base/log.h"
#include "coro/remote.h"
#include "ctrl/client_address.h"
#include "ctrl/json_views.h"
#include "http/error_response.h"
#include "http/media_type.h"
#include "http/multipart.h"

namespace hearth::ctrl {
namespace {

constexpr seconds port_wait{15};  // for tables, queue and log
// What a request may wait for the rate limit, a thousand times what it takes: a Redis that hangs
// must not hold every request.
constexpr milliseconds limiter_wait{250};
constexpr std::size_t envelope_bytes_max = 64 << 10;  // of a /run body around its inputData
constexpr std::size_t form_bytes_max = 64 << 10;      // of a JSON update
constexpr seconds body_wait{120};                     // for a whole JSON body
constexpr std::size_t list_default = 50;
constexpr std::size_t list_max = 500;
constexpr std::int64_t caller_timeout_ms_max = 3'600'000;
constexpr milliseconds start_allowance{60'000};  // queueing and a cold start, beyond timeoutMs
constexpr std::string_view retry_after_s = "1";

// Uploads are stored at this rate or faster, or are given up: some 200 s for the largest. 2 Mbit/s.
constexpr std::size_t storing_bytes_per_second = 256 << 10;

deadline soon() {
    return after(port_wait);
}

// For what a form brings to be stored.
deadline until_stored(const function_form& form) {
    const std::size_t bytes = form.upload ? form.upload->size : 0;
    return after(port_wait + seconds(bytes / storing_bytes_per_second));
}

// For the errors that a handler meets in the domain: 429 and 503 tell when to come back.
http::response answer(const error& why, const http::request& request) {
    http::response out = http::error_response(why, request.id());
    if (out.status() == 429 || out.status() == 503) {
        out.add_header("retry-after", retry_after_s);
    }
    if (out.status() >= 500) {
        log::error("request failed", {{"requestId", request.id()}, {"reason", why.message}});
    }
    return out;
}

http::response answer_function(int status, const faas::function& shown) {
    json::writer out;
    write_function(out, shown);
    return http::response::json(status, std::move(out).take());
}

bool is_json(const http::request& request) {
    const auto type = request.header("content-type");
    return type && http::has_media_type(*type, "application/json");
}

http::response unsupported_type(const http::request& request, std::string_view wanted) {
    return http::error_response(415, "unsupported_media_type",
                                concat("Send the body as ", wanted, "."), request.id());
}

struct run_body {
    std::string function_id;
    std::string event = "{}";
};

result<run_body> parse_run(std::string_view body) {
    run_body parsed;
    result<> read;
    auto scanned = json::scan_object(body, [&](std::string_view name, std::string_view raw) {
        if (name == "functionId") {
            auto id = json::unescape_string(raw);
            parsed.function_id = id.value_or("");
        } else if (name == "inputData") {
            parsed.event = raw;
        }
    });
    if (!scanned) {
        return propagate(scanned);
    }
    if (parsed.function_id.empty()) {
        return fail(errc::invalid_argument, "functionId is missing or not a string.");
    }
    return parsed;
}

// How long the caller waits: x-timeout-ms, or the function's own time and some for its start.
result<deadline> caller_deadline(const http::request& request, const faas::function& target) {
    const auto header = request.header("x-timeout-ms");
    if (!header) {
        return after(milliseconds(target.timeout_ms) + start_allowance);
    }
    std::int64_t timeout_ms = 0;
    const auto [end, failure] =
        std::from_chars(header->data(), header->data() + header->size(), timeout_ms);
    if (failure != std::errc() || end != header->data() + header->size() || timeout_ms < 1 ||
        timeout_ms > caller_timeout_ms_max) {
        return fail(errc::invalid_argument, concat("Invalid x-timeout-ms. Must be between 1 and ",
                                                   caller_timeout_ms_max, "."));
    }
    return after(milliseconds(timeout_ms));
}

http::response timed_out(const std::string& job_id, const http::request& request) {
    return http::error_response(
        504, "deadline_exceeded",
        "The caller's deadline passed before the function ended. GET /status/:jobId "
        "tells how it ends.",
        request.id(), job_id);
}

http::response worker_lost(const std::string& job_id, const http::request& request) {
    return http::error_response(
        502, "worker_lost",
        "The worker was lost while the function ran; what it has done is not known.", request.id(),
        job_id);
}

}  // namespace

api::api(parts from, api_options options)
    : parts_(std::move(from)),
      options_(std::move(options)),
      status_(parts_.home, parts_.metrics_text, parts_.unhealthy) {}

template <class Function>
auto api::at_home(Function function) {
    return run_on(parts_.home, parts_.home.remote_tasks(), std::move(function));
}

void api::add(http::router& routes, http::method method, std::string_view pattern,
              method_handler handle) {
    routes.add(method, pattern,
               [this, handle](http::request& request) { return guarded(request, handle); });
}

void api::add_routes(http::router& routes) {
    using http::method;
    routes.add(method::get, "/health", [this](http::request&) { return status_.health(); });
    add(routes, method::get, "/metrics", &api::metrics);
    add(routes, method::post, "/upload", &api::upload);
    add(routes, method::get, "/functions", &api::list_functions);
    add(routes, method::get, "/functions/:id", &api::show_function);
    add(routes, method::put, "/functions/:id", &api::update_function);
    add(routes, method::delete_, "/functions/:id", &api::delete_function);
    add(routes, method::post, "/run", &api::run);
    add(routes, method::get, "/status/:jobId", &api::status);
}

// Key and rate limit, before anything of the body is read. Wrong keys are counted apart: they are
// no requests of the key's owner.
task<http::response> api::guarded(http::request& request, method_handler handle) {
    const std::string client = client_of(request.client());
    if (const auto wait = parts_.failures.must_wait(client, steady_clock::now())) {
        co_return too_many_failures(*wait, request);
    }
    if (!parts_.key.admits(request)) {
        parts_.failures.failed(client, steady_clock::now());
        http::response refused = http::error_response(
            401, "unauthorized", "Send the API key in x-api-key or Authorization: Bearer.",
            request.id());
        refused.add_header("www-authenticate", "Bearer");
        co_return refused;
    }
    auto decided =
        co_await at_home([&] { return parts_.limiter.check(client, after(limiter_wait)); });
    if (!decided) {
        // It cannot be asked, and is set to refuse then; the limiter's own log line tells why.
        http::response refused = http::error_response(
            503, "unavailable", "The rate limit cannot be asked now. Try again later.",
            request.id());
        refused.add_header("retry-after", retry_after_s);
        co_return refused;
    }
    if (!decided->allowed) {
        const auto wait_s = (decided->retry_after.count() + 999) / 1000;
        http::response refused = http::error_response(
            429, "rate_limited", "Too many requests from this address.", request.id());
        refused.add_header("retry-after", std::to_string(wait_s));
        refused.add_header("ratelimit-limit", std::to_string(decided->limit));
        refused.add_header("ratelimit-remaining", "0");
        refused.add_header("ratelimit-reset", std::to_string(wait_s));
        co_return refused;
    }
    co_return co_await (this->*handle)(request);
}

task<result<function_form>> api::read_form(http::request& request, bool json_allowed) {
    const std::string type(request.header("content-type").value_or(""));
    if (json_allowed && is_json(request)) {
        auto body = co_await request.body().read_all(form_bytes_max, after(body_wait));
        if (!body) {
            co_return propagate(body);
        }
        co_return parse_json_form(*body);
    }
    auto boundary = http::boundary_of(type);
    if (!boundary) {
        co_return propagate(boundary);
    }
    co_return co_await read_multipart_form(request, std::move(*boundary), options_.temporary_folder,
                                           parts_.blocking);
}

task<http::response> api::upload(http::request& request) {
    const auto type = request.header("content-type");
    if (!request.has_body()) {
        co_return http::error_response(411, "length_required", "Send the file as a form.",
                                       request.id());
    }
    if (!type || !http::has_media_type(*type, "multipart/form-data")) {
        co_return unsupported_type(request, "multipart/form-data");
    }
    auto form = co_await read_form(request, false);
    if (!form) {
        co_return answer(form.error(), request);
    }
    auto created =
        co_await at_home([&] { return parts_.functions.create(*form, until_stored(*form)); });
    if (!created) {
        co_return answer(created.error(), request);
    }
    http::response out = answer_function(201, **created);
    out.add_header("location", concat("/functions/", (*created)->id));
    co_return out;
}

task<http::response> api::list_functions(http::request& request) {
    std::size_t limit = list_default;
    if (const auto text = request.query_parameter("limit")) {
        const auto [end, failure] =
            std::from_chars(text->data(), text->data() + text->size(), limit);
        if (failure != std::errc() || end != text->data() + text->size() || limit < 1 ||
            limit > list_max) {
            co_return answer({errc::invalid_argument,
                              concat("Invalid limit. Must be between 1 and ", list_max, ".")},
                             request);
        }
    }
    const std::string cursor = request.query_parameter("cursor").value_or("");
    auto page = co_await at_home([&] { return parts_.functions.list(limit, cursor, soon()); });
    if (!page) {
        co_return answer(page.error(), request);
    }
    json::writer out;
    out.begin_object();
    out.begin_array("functions");
    for (const faas::function& each : page->items) {
        write_function(out, each);
    }
    out.end_array();
    out.key("cursor");
    if (page->cursor.empty()) {
        out.null();
    } else {
        out.value(page->cursor);
    }
    out.end_object();
    co_return http::response::json(200, std::move(out).take());
}

task<http::response> api::show_function(http::request& request) {
    auto found =
        co_await at_home([&] { return parts_.functions.get(request.parameter("id"), soon()); });
    co_return found ? answer_function(200, **found) : answer(found.error(), request);
}

task<http::response> api::update_function(http::request& request) {
    const auto type = request.header("content-type");
    if (!request.has_body()) {
        co_return http::error_response(411, "length_required", "Send the changes as a body.",
                                       request.id());
    }
    if (!type || (!is_json(request) && !http::has_media_type(*type, "multipart/form-data"))) {
        co_return unsupported_type(request, "application/json or multipart/form-data");
    }
    auto form = co_await read_form(request, true);
    if (!form) {
        co_return answer(form.error(), request);
    }
    auto updated = co_await at_home([&] {
        return parts_.functions.update(request.parameter("id"), *form, until_stored(*form));
    });
    co_return updated ? answer_function(200, **updated) : answer(updated.error(), request);
}

task<http::response> api::delete_function(http::request& request) {
    auto removed =
        co_await at_home([&] { return parts_.functions.remove(request.parameter("id"), soon()); });
    co_return removed ? http::response(204) : answer(removed.error(), request);
}

task<http::response> api::run(http::request& request) {
    if (!request.has_body()) {
        co_return http::error_response(411, "length_required",
                                       "Send {\"functionId\", \"inputData\"} as a body.",
                                       request.id());
    }
    if (!is_json(request)) {
        co_return unsupported_type(request, "application/json");
    }
    const auto async_header = request.header("x-async");
    const bool async = async_header && (*async_header == "true" || *async_header == "1");
    const std::size_t event_bytes_max =
        async ? faas::async_payload_bytes_max : faas::payload_bytes_max;
    auto body = co_await request.body().read_all(faas::payload_bytes_max + envelope_bytes_max,
                                                 after(body_wait));
    if (!body) {
        co_return answer(body.error(), request);
    }
    auto parsed = parse_run(*body);
    if (!parsed) {
        co_return answer(parsed.error(), request);
    }
    if (parsed->event.size() > event_bytes_max) {
        co_return answer({errc::too_large,
                          concat("inputData is over the limit of ", event_bytes_max, " bytes.")},
                         request);
    }
    faas::invocation call{.job_id = async ? parts_.make_job_id() : make_uuid(),
                          .request_id = std::string(request.id()),
                          .event = std::move(parsed->event)};
    if (async) {
        co_return co_await enqueue(request, std::move(call), parsed->function_id);
    }
    co_return co_await invoke(request, std::move(call), parsed->function_id);
}

task<http::response> api::enqueue(http::request& request, faas::invocation call,
                                  const std::string& function_id) {
    auto queued = co_await at_home([&] { return enqueue_at_home(call, function_id); });
    if (!queued) {
        co_return answer(queued.error(), request);
    }
    json::writer out;
    out.begin_object();
    out.member("jobId", call.job_id);
    out.member("status", faas::to_string(faas::invocation_status::queued));
    out.end_object();
    http::response accepted = http::response::json(202, std::move(out).take());
    accepted.add_header("location", concat("/status/", call.job_id));
    co_return accepted;
}

task<result<>> api::enqueue_at_home(faas::invocation& call, const std::string& function_id) {
    auto target = co_await parts_.functions.get(function_id, soon());
    if (!target) {
        co_return propagate(target);
    }
    call.target = std::move(*target);
    co_return co_await parts_.running.enqueue(call, soon());
}

task<http::response> api::invoke(http::request& request, faas::invocation call,
                                 const std::string& function_id) {
    auto end = co_await at_home([&] { return invoke_at_home(request, call, function_id); });
    if (!end) {
        co_return end.error().code == errc::deadline_exceeded ? timed_out(call.job_id, request)
                                                              : answer(end.error(), request);
    }
    if (end->failure == faas::failure_kind::worker_lost) {
        co_return worker_lost(call.job_id, request);
    }
    co_return run_response(call.job_id, call.request_id, function_id, std::move(*end));
}

task<result<faas::outcome>> api::invoke_at_home(const http::request& request,
                                                faas::invocation& call,
                                                const std::string& function_id) {
    auto target = co_await parts_.functions.get(function_id, soon());
    if (!target) {
        co_return propagate(target);
    }
    auto until = caller_deadline(request, **target);
    if (!until) {
        co_return propagate(until);
    }
    co_return co_await parts_.running.run({.job_id = call.job_id,
                                           .request_id = call.request_id,
                                           .target = std::move(*target),
                                           .event = std::move(call.event)},
                                          *until);
}

task<http::response> api::status(http::request& request) {
    const std::string job_id(request.parameter("jobId"));
    auto found = co_await at_home([&] { return parts_.running.status(job_id, soon()); });
    co_return found ? status_response(std::move(*found)) : answer(found.error(), request);
}

task<http::response> api::metrics(http::request&) {
    return status_.metrics();
}

}  // namespace hearth::ctrl
