#include "worker/lane_client.h"

#include <algorithm>
#include <utility>

#include "base/ids.h"
#include "base/log.h"

namespace hearth::worker {
namespace {

constexpr seconds connect_wait_max{10};  // to all addresses together, with the handshake

milliseconds jittered(milliseconds pause) {
    return milliseconds(
        static_cast<std::int64_t>(random_u64() % (static_cast<std::uint64_t>(pause.count()) + 1)));
}

}  // namespace

lane_client::lane_client(faas::invoker& invoker, lane_host& host, thread_pool& lookups,
                         lane_client_options options)
    : invoker_(invoker),
      host_(host),
      lookups_(lookups),
      options_(std::move(options)),
      events_(options_.event_bytes_max) {}

lane_client::~lane_client() = default;

task<void> lane_client::run() {
    milliseconds pause = options_.pause_base;
    while (!finishing_) {
        const std::uint64_t connected_before = statistics_.connected;
        auto link = co_await connect_lane(lookups_, options_.controller, options_.tls,
                                          after(connect_wait_max));
        if (link) {
            co_await serve(std::move(*link));
        } else {
            ++statistics_.failed;
            note(link.error(), std::nullopt);
        }
        if (statistics_.connected > connected_before) {
            pause = options_.pause_base;
        }
        if (finishing_) {
            co_return;
        }
        auto woken = co_await finish_began_.wait(after(jittered(pause)));
        if (woken || woken.error().code == errc::cancelled) {
            co_return;
        }
        pause = std::min(2 * pause, options_.pause_max);
    }
}

task<error> lane_client::serve(std::unique_ptr<net::stream> stream) {
    lane_link link({.invoker = invoker_,
                    .host = host_,
                    .events = events_,
                    .calls = calls_,
                    .draining = draining_,
                    .answered = answered_,
                    .recorder = options_.recorder},
                   std::move(stream), options_.connection);
    link_ = &link;
    error why = co_await link.run(options_.token, options_.worker_id);
    link_ = nullptr;
    link_ended_.notify_all();
    ++(link.greeted() ? statistics_.connected : statistics_.failed);
    warned_ = warned_ && !link.greeted();
    if (!finishing_) {
        note(why, link.farewell());
    }
    co_return why;
}

// A line when it begins to fail; what a person has to mend is an error.
void lane_client::note(const error& why, std::optional<lane::goodbye_reason> farewell) {
    using enum lane::goodbye_reason;
    const bool mendable = farewell == wrong_token || farewell == wrong_version || farewell == limit;
    const std::string& host = options_.controller.host;
    if (mendable && !std::exchange(warned_, true)) {
        log::error(
            "the controller refuses this worker's lane; calls do without it (a fleet's: by the "
            "queue)",
            {{"controller", host}, {"reason", why.message}});
    } else if (!std::exchange(warned_, true)) {
        log::warning("no lane to the controller; calls do without it (a fleet's: by the queue)",
                     {{"controller", host}, {"reason", why.message}});
    }
}

void lane_client::capacity_changed() {
    if (link_ != nullptr) {
        link_->tell_credit();
    }
}

void lane_client::refuse_new() {
    draining_ = true;
    capacity_changed();
}

task<void> lane_client::finish(deadline until) {
    refuse_new();
    finishing_ = true;
    finish_began_.notify_all();
    if (options_.recorder != nullptr) {
        options_.recorder->hurry();
    }
    while (link_ != nullptr && link_->calls() > 0 && co_await answered_.wait(until)) {
    }
    if (link_ != nullptr) {
        link_->leave(lane::goodbye_reason::done, "the worker ends");
    }
    while (link_ != nullptr) {
        co_await link_ended_.wait_unstoppable();
    }
    co_await calls_.join();
}

}  // namespace hearth::worker
