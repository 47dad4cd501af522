#include "ctrl/worker_api.h"

#include "base/json.h"
#include "coro/remote.h"
#include "ctrl/client_address.h"
#include "http/error_response.h"

namespace hearth::ctrl {
namespace {

constexpr seconds body_wait{10};

http::response unauthorized(std::string_view message, const http::request& request) {
    http::response answer = http::error_response(401, "unauthorized", message, request.id());
    answer.add_header("www-authenticate", "Bearer");
    return answer;
}

constexpr std::string_view worker_token_wanted = "Send the worker token in Authorization: Bearer.";
constexpr std::string_view api_key_wanted =
    "Send the API key in x-api-key or Authorization: Bearer.";

void write_worker(json::writer& out, const worker_registry::entry& shown) {
    const faas::worker_report& report = shown.report;
    out.begin_object();
    out.member("id", report.id);
    out.member("host", report.host);
    out.member("version", report.version);
    out.member("status", !shown.live ? "DEAD" : report.draining ? "DRAINING" : "LIVE");
    out.member("sandboxesMax", report.sandboxes_max);
    out.member("sandboxesBusy", report.sandboxes_busy);
    out.member("sandboxesIdle", report.sandboxes_idle);
    out.member("callsWaiting", report.calls_waiting);
    out.member("memoryBudgetMb", report.memory_budget_mb);
    out.member("memoryReservedMb", report.memory_reserved_mb);
    out.member("warmFunctions", report.warm_functions.size());
    out.member("firstSeen", format_rfc3339(shown.first_seen));
    out.member("lastSeen", format_rfc3339(shown.last_seen));
    out.end_object();
}

}  // namespace

template <class Function>
auto worker_api::at_home(Function function) {
    return run_on(parts_.home, parts_.home.remote_tasks(), std::move(function));
}

void worker_api::add_routes(http::router& routes) {
    using http::method;
    const auto add = [&](http::method of, std::string_view pattern,
                         task<http::response> (worker_api::*handle)(http::request&)) {
        routes.add(of, pattern,
                   [this, handle](http::request& asked) { return (this->*handle)(asked); });
    };
    add(method::post, "/api/worker/heartbeat", &worker_api::heartbeat);
    add(method::delete_, "/api/worker/:id", &worker_api::leave);
    add(method::get, "/api/workers", &worker_api::list);
}

std::optional<http::response> worker_api::refuse(http::request& request, const api_key& key,
                                                 std::string_view wanted) {
    const auto now = steady_clock::now();
    const std::string client = client_of(request.client());
    if (const auto wait = parts_.failures.must_wait(client, now)) {
        return too_many_failures(*wait, request);
    }
    if (key.admits(request)) {
        return std::nullopt;
    }
    parts_.failures.failed(client, now);
    return unauthorized(wanted, request);
}

task<http::response> worker_api::heartbeat(http::request& request) {
    if (auto refused = refuse(request, parts_.worker_token, worker_token_wanted)) {
        co_return std::move(*refused);
    }
    auto body = co_await request.body().read_all(faas::worker_report_bytes_max, after(body_wait));
    if (!body) {
        co_return http::error_response(body.error(), request.id());
    }
    auto report = faas::parse_worker_report(*body);
    if (!report) {
        co_return http::error_response(report.error(), request.id());
    }
    auto taken = co_await at_home([&] { return take(std::move(*report)); });
    if (!taken) {
        co_return http::error_response(taken.error(), request.id());
    }
    co_return http::response::json(200, std::move(*taken));
}

task<http::response> worker_api::leave(http::request& request) {
    if (auto refused = refuse(request, parts_.worker_token, worker_token_wanted)) {
        co_return std::move(*refused);
    }
    co_await at_home([&] { return forget(std::string(request.parameter("id"))); });
    co_return http::response(204);
}

task<http::response> worker_api::list(http::request& request) {
    if (auto refused = refuse(request, parts_.operator_key, api_key_wanted)) {
        co_return std::move(*refused);
    }
    const auto all = co_await at_home([&] { return look(); });
    json::writer out;
    out.begin_object();
    out.begin_array("workers");
    for (const auto& each : all) {
        write_worker(out, each);
    }
    out.end_array();
    out.end_object();
    co_return http::response::json(200, std::move(out).take());
}

// The answer's body.
task<result<std::string>> worker_api::take(faas::worker_report report) {
    auto heard = parts_.workers.heard(std::move(report), steady_clock::now(), wall_clock_ms());
    if (!heard) {
        co_return propagate(heard);
    }
    json::writer out;
    out.begin_object();
    out.member("intervalMs", parts_.workers.interval().count());
    parts_.retired.write(out, steady_clock::now());
    out.end_object();
    co_return std::move(out).take();
}

task<bool> worker_api::forget(std::string id) {
    parts_.workers.left(id, steady_clock::now());
    co_return true;
}

task<std::vector<worker_registry::entry>> worker_api::look() {
    co_return parts_.workers.list(steady_clock::now());
}

}  // namespace hearth::ctrl
