#include "worker/heartbeat.h"

#include <algorithm>
#include <utility>

#include "base/concat.h"
#include "base/json.h"
#include "base/log.h"
#include "coro/wait_list.h"

namespace hearth::worker {
namespace {

constexpr milliseconds answer_wait_max{5'000};
constexpr std::size_t answer_bytes_max = 64u << 10;

}  // namespace

heartbeat::heartbeat(http::client& web, heartbeat_options options,
                     std::function<faas::worker_report()> look, retire_function retire)
    : web_(web), options_(std::move(options)), look_(std::move(look)), retire_(std::move(retire)) {}

task<void> heartbeat::run() {
    deadline next = steady_clock::now();
    do {
        auto sent = co_await beat(after(std::min(options_.interval, answer_wait_max)));
        if (!sent && sent.error().code == errc::cancelled) {
            co_return;
        }
        note(sent);
        // Even when one took long, the next keeps the rhythm.
        next = std::max(next + options_.interval, steady_clock::now());
    } while (co_await sleep_until(next));
}

task<result<>> heartbeat::beat(deadline until) {
    auto answer = co_await send("POST", "/api/worker/heartbeat", faas::to_json(look_()), until);
    if (!answer) {
        co_return propagate(answer);
    }
    co_return obey(*answer);
}

task<result<>> heartbeat::leave(deadline until) {
    auto answer = co_await send("DELETE", concat("/api/worker/", look_().id), "", until);
    if (!answer) {
        co_return propagate(answer);
    }
    co_return result<>{};
}

// {"intervalMs":10000,"retired":[{"functionId":"…","currentRevision":2}]}
result<> heartbeat::obey(std::string_view answer) {
    const auto parsed = json::document::parse(answer);
    std::int64_t interval_ms = 0;
    simdjson::dom::array retired;
    if (!parsed || parsed->root()["intervalMs"].get(interval_ms) != simdjson::SUCCESS ||
        parsed->root()["retired"].get(retired) != simdjson::SUCCESS) {
        return fail(errc::protocol, "what answers at CONTROLLER_URL is no controller");
    }
    options_.interval = std::clamp(milliseconds(interval_ms), interval_min, interval_max);
    for (const auto each : retired) {
        std::string_view id;
        std::int64_t revision = 0;
        if (each["functionId"].get(id) == simdjson::SUCCESS &&
            each["currentRevision"].get(revision) == simdjson::SUCCESS && revision >= 0) {
            retire_(id, revision);
        }
    }
    return {};
}

task<result<std::string>> heartbeat::send(std::string method, std::string path, std::string body,
                                          deadline until) {
    auto got = co_await web_.send({.method = std::move(method),
                                   .url = concat(options_.controller_url, path),
                                   .headers = {{"authorization", concat("Bearer ", options_.token)},
                                               {"content-type", "application/json"}},
                                   .body = std::move(body),
                                   .answer_bytes_max = answer_bytes_max},
                                  until);
    if (!got) {
        co_return propagate(got);
    }
    if (got->status == 401) {
        co_return fail(errc::permission_denied,
                       "the controller does not know this WORKER_TOKEN; set the same on both");
    }
    if (got->status / 100 != 2) {
        co_return fail(errc::unavailable,
                       concat("the controller answered ", got->status, " to a heartbeat"));
    }
    co_return std::move(got->body);
}

// One line when it begins to fail and one when it works again, however long that takes.
void heartbeat::note(const result<>& sent) {
    reached_ = sent.has_value();
    if (sent) {
        ++counts_.sent;
        if (std::exchange(warned_, false)) {
            log::info("the controller hears this worker again",
                      {{"controller", options_.controller_url}});
        }
        return;
    }
    ++counts_.failed;
    if (!std::exchange(warned_, true)) {
        log::warning("the controller does not hear this worker; jobs still come through the queue",
                     {{"controller", options_.controller_url}, {"reason", sent.error().message}});
    }
}

}  // namespace hearth::worker
