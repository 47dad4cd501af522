#include "worker/heartbeat.h"

#include <algorithm>
#include <utility>

#include "base/concat.h"
#include "base/log.h"
#include "coro/wait_list.h"

namespace hearth::worker {
namespace {

constexpr milliseconds answer_wait_max{5'000};
constexpr std::size_t answer_bytes_max = 64u << 10;

}  // namespace

heartbeat::heartbeat(http::client& web, heartbeat_options options,
                     std::function<faas::worker_report()> look)
    : web_(web), options_(std::move(options)), look_(std::move(look)) {}

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
    return send("POST", "/api/worker/heartbeat", faas::to_json(look_()), until);
}

task<result<>> heartbeat::leave(deadline until) {
    return send("DELETE", concat("/api/worker/", look_().id), "", until);
}

task<result<>> heartbeat::send(std::string method, std::string path, std::string body,
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
    co_return result<>{};
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
