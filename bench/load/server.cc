#include "bench/load/server.h"

#include <algorithm>
#include <fstream>
#include <sstream>

#include <unistd.h>

#include "base/concat.h"
#include "base/json.h"
#include "coro/wait_list.h"

namespace hearth::bench {
namespace {

constexpr std::size_t answer_bytes_max = std::size_t{16} << 20;
constexpr seconds patience{60};
constexpr milliseconds pause_when_busy{200};
constexpr int status_ok = 200;
constexpr int status_created = 201;
constexpr int status_no_content = 204;
constexpr int status_not_found = 404;
constexpr int status_too_many_requests = 429;
constexpr std::string_view json_type = "application/json";
constexpr std::string_view succeeded = R"("status":"SUCCEEDED")";
// What the API's answer to x-async begins with, docs/api.md.
constexpr std::string_view queued = R"("jobId")";

constexpr std::string_view echo_source = "def handler(event, context):\n    return event\n";
constexpr std::string_view sleep_source =
    "import time\n\n\n"
    "def handler(event, context):\n"
    "    time.sleep(event[\"ms\"] / 1000)\n"
    "    return event\n";
constexpr std::string_view boundary = "hearth-bench-boundary";

result<std::string> source_of(const options& chosen) {
    if (chosen.function_file.empty()) {
        return std::string(echo_source);
    }
    const std::ifstream file(chosen.function_file);
    if (!file) {
        return fail_errno(concat("--function ", chosen.function_file));
    }
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

void append_part(std::string& form, std::string_view head, std::string_view content) {
    form += concat("--", boundary, "\r\ncontent-disposition: form-data; ", head, "\r\n\r\n",
                   content, "\r\n");
}

std::unexpected<error> refused(std::string_view what, const answer& with) {
    constexpr std::size_t shown = 300;
    return fail(errc::unavailable,
                concat(what, " was answered ", with.status(), ": ", with.body().substr(0, shown)));
}

bool is_async(const options& chosen) {
    return std::ranges::any_of(chosen.headers, [](const std::string& each) {
        return each.starts_with("x-async:") && each.ends_with("true");
    });
}

}  // namespace

server::server(const options& chosen)
    : chosen_(chosen), on_(chosen.plan.address, answer_bytes_max) {}

std::string server::request(std::string_view method, std::string_view path, std::string_view type,
                            std::string_view body, bool with_headers) const {
    std::string made =
        concat(method, ' ', path, " HTTP/1.1\r\nhost: ", chosen_.plan.address, "\r\n");
    if (!chosen_.api_key.empty()) {
        made += concat("x-api-key: ", chosen_.api_key, "\r\n");
    }
    if (!type.empty()) {
        made += concat("content-type: ", type, "\r\ncontent-length: ", body.size(), "\r\n");
    }
    if (with_headers && chosen_.reconnect) {
        made += "connection: close\r\n";
    }
    if (with_headers) {
        for (const std::string& each : chosen_.headers) {
            made += concat(each, "\r\n");
        }
    }
    return concat(made, "\r\n", body);
}

std::string server::run_request(std::string_view function_id, std::string_view input) const {
    return request("POST", "/run", json_type,
                   concat(R"({"functionId":")", function_id, R"(","inputData":)", input, '}'),
                   true);
}

task<result<std::string>> server::upload(std::string name, std::string source) {
    std::string form;
    append_part(form, "name=\"name\"", name);
    append_part(form, "name=\"file\"; filename=\"main.py\"\r\ncontent-type: text/x-python", source);
    form += concat("--", boundary, "--\r\n");
    const std::string wanted =
        request("POST", "/upload", concat("multipart/form-data; boundary=", boundary), form, false);
    auto done = co_await on_.call(wanted, after(patience));
    if (!done) {
        co_return propagate(done);
    }
    if (on_.last().status() != status_created) {
        co_return refused("an upload", on_.last());
    }
    auto made = json::document::parse(on_.last().body());
    if (!made) {
        co_return propagate(made);
    }
    std::string_view id;
    if (made->root()["functionId"].get(id) != simdjson::SUCCESS) {
        co_return refused("an upload", on_.last());
    }
    co_return std::string(id);
}

task<result<std::vector<std::string>>> server::upload_all(std::string source, unsigned count) {
    std::vector<std::string> ids;
    for (unsigned i = 0; i < count; ++i) {
        auto id = co_await upload(concat("hearth-bench-", ::getpid(), '-', i), source);
        if (!id) {
            co_return propagate(id);
        }
        uploaded_.push_back(*id);
        ids.push_back(std::move(*id));
    }
    co_return ids;
}

task<result<workload>> server::prepare() {
    workload made;
    if (!chosen_.path.empty()) {
        made.repeated.push_back(chosen_.post
                                    ? request("POST", chosen_.path, json_type, chosen_.input, true)
                                    : request("GET", chosen_.path, {}, {}, true));
        co_return made;
    }
    made.success = is_async(chosen_) ? queued : succeeded;
    if (!chosen_.function_id.empty()) {
        made.repeated.push_back(run_request(chosen_.function_id, chosen_.input));
        co_return made;
    }
    if (chosen_.what == mode::trace) {
        co_return co_await prepare_trace();
    }
    auto source = source_of(chosen_);
    if (!source) {
        co_return propagate(source);
    }
    const unsigned warm_ones = chosen_.what == mode::mixed ? 1 : 0;
    auto ids = co_await upload_all(std::move(*source), chosen_.functions + warm_ones);
    if (!ids) {
        co_return propagate(ids);
    }
    for (std::size_t i = 0; i < ids->size(); ++i) {
        const bool repeats = chosen_.what == mode::warm || i < warm_ones;
        (repeats ? made.repeated : made.once).push_back(run_request((*ids)[i], chosen_.input));
    }
    made.once_share = chosen_.what == mode::cold    ? 1
                      : chosen_.what == mode::mixed ? chosen_.cold_share
                                                    : 0;
    co_return made;
}

// Each function draws how often it is called and how long it runs, once: what was traced is how
// functions differ, and the next call of one is much like its last.
task<result<workload>> server::prepare_trace() {
    auto from = traces::read(chosen_.traces);
    if (!from) {
        co_return propagate(from);
    }
    auto ids = co_await upload_all(std::string(sleep_source), chosen_.functions);
    if (!ids) {
        co_return propagate(ids);
    }
    workload made;
    made.success = is_async(chosen_) ? queued : succeeded;
    random_source random(chosen_.plan.seed);
    for (const std::string& id : *ids) {
        const double ms =
            std::min(from->execution_ms.draw(random) * chosen_.time_scale, chosen_.max_function_ms);
        json::writer event;
        event.begin_object();
        event.member("ms", ms);
        event.end_object();
        made.weights.push_back(from->calls_of_a_day.draw(random));
        made.repeated.push_back(run_request(id, event.view()));
    }
    co_return made;
}

task<std::optional<server_metrics>> server::metrics() {
    const std::string wanted = request("GET", "/metrics", {}, {}, false);
    const auto done = co_await on_.call(wanted, after(patience));
    if (!done || on_.last().status() != status_ok) {
        co_return std::nullopt;
    }
    co_return server_metrics(on_.last().body());
}

task<result<>> server::clean_up() {
    const deadline until = after(patience);
    for (std::size_t i = 0; i < uploaded_.size();) {
        const std::string wanted =
            request("DELETE", concat("/functions/", uploaded_[i]), {}, {}, false);
        auto done = co_await on_.call(wanted, until);
        if (!done) {
            co_return done;
        }
        const int status = on_.last().status();
        // Records of the load may still wait to be written.
        if (status == status_too_many_requests && steady_clock::now() < until) {
            [[maybe_unused]] const auto slept = co_await sleep_until(after(pause_when_busy));
            continue;
        }
        if (status != status_no_content && status != status_not_found) {
            co_return refused("a delete", on_.last());
        }
        ++i;
    }
    uploaded_.clear();
    co_return result<>{};
}

}  // namespace hearth::bench
