#include "worker/sandbox_manager.h"

#include <vector>

#include <poll.h>

#include "base/log.h"
#include "coro/scope.h"
#include "uring/operation.h"

namespace hearth::worker {
namespace {

constexpr seconds writable_wait{1};  // then send_kills() looks whether it is still wanted

}  // namespace

sandbox_manager::sandbox_manager(uring::ring& home, sandbox::client client)
    : client_(std::move(client)), readable_(home, client_.descriptor()) {}

task<void> sandbox_manager::run() {
    scope sending;
    sending.spawn(send_kills());
    co_await read_events();
    kills_changed_.notify_all();
    co_await sending.join();
}

task<void> sandbox_manager::read_events() {
    while (!lost_.is_set()) {
        auto ready = co_await readable_.next(never);
        if (!ready) {
            if (!finishing_) {
                lose(ready.error());
            }
            co_return;
        }
        for (;;) {
            auto received = client_.receive();
            if (!received) {
                lose(received.error());
                co_return;
            }
            if (!received->has_value()) {
                break;
            }
            deliver(std::move(**received));
        }
    }
}

task<void> sandbox_manager::finish() {
    finishing_ = true;
    co_await readable_.finish();
}

std::uint64_t sandbox_manager::add(sandbox_events& events) {
    live_.emplace(++last_id_, &events);
    return last_id_;
}

void sandbox_manager::forget(std::uint64_t id) {
    live_.erase(id);
}

task<result<>> sandbox_manager::create(const sandbox::create_packet& wanted, int code,
                                       deadline until) {
    for (;;) {
        auto sent = client_.create(wanted, code);
        if (sent || sent.error().code != errc::limit_exceeded) {
            co_return sent;
        }
        auto writable = co_await uring::poll_once(client_.descriptor(), POLLOUT, until);
        if (!writable) {
            co_return propagate(writable);
        }
    }
}

void sandbox_manager::kill(std::uint64_t id) {
    kills_.push_back(id);
    kills_changed_.notify_one();
}

// The kernel queues as few as ten packets on such a socket (net.unix.max_dgram_qlen), so that a
// shutdown's kills do not all fit at once.
task<void> sandbox_manager::send_kills() {
    while (!finishing_ && !lost_.is_set()) {
        if (kills_.empty()) {
            [[maybe_unused]] const auto woken = co_await kills_changed_.wait();
            continue;
        }
        auto sent = client_.kill(kills_.front());
        if (sent) {
            kills_.pop_front();
        } else if (sent.error().code == errc::limit_exceeded) {
            [[maybe_unused]] const auto writable =
                co_await uring::poll_once(client_.descriptor(), POLLOUT, after(writable_wait));
        } else {
            // Not able to end a sandbox, the worker may not go on as if it had.
            lose(sent.error());
        }
    }
}

void sandbox_manager::deliver(sandbox::received_event received) {
    if (const auto* pool = std::get_if<sandbox::pool_packet>(&received.what)) {
        ahead_ = {.parked = pool->parked, .shells = pool->shells, .zygotes = pool->zygotes};
        return;
    }
    if (const auto* created = std::get_if<sandbox::created_packet>(&received.what)) {
        // What this worker asks for fits what is made ahead, so that a fork was into a shell.
        if (created->way == sandbox::start_way::parked && ahead_.parked > 0) {
            --ahead_.parked;
        } else if (created->way == sandbox::start_way::zygote && ahead_.shells > 0) {
            --ahead_.shells;
        }
    }
    const auto id =
        std::visit([](const auto& packet) { return packet.header.sandbox_id; }, received.what);
    const auto found = live_.find(id);
    if (found == live_.end()) {
        return;  // the sandbox's owner gave up on it; exited is all that still comes
    }
    sandbox_events& events = *found->second;
    if (std::holds_alternative<sandbox::created_packet>(received.what)) {
        events.control_stream = std::move(received.control_stream);
        events.output = std::move(received.output);
        events.shown = std::move(received.shown);
        events.answered.set();
    } else if (auto* failed = std::get_if<sandbox::create_failed_packet>(&received.what)) {
        events.failure = *failed;
        events.end();
    } else if (auto* exited = std::get_if<sandbox::exited_packet>(&received.what)) {
        events.exit = *exited;
        events.end();
    }
}

void sandbox_manager::lose(const error& reason) {
    if (lost_.is_set()) {
        return;
    }
    log::error("hearth-sandboxd is gone: every sandbox ended with it; restart Hearth",
               {{"reason", reason.message}});
    lost_.set();
    // on_end() may unregister others, so the table is walked by id.
    std::vector<std::uint64_t> ids;
    ids.reserve(live_.size());
    for (const auto& [id, events] : live_) {
        ids.push_back(id);
    }
    for (const std::uint64_t id : ids) {
        if (const auto found = live_.find(id); found != live_.end()) {
            found->second->end();
        }
    }
}

}  // namespace hearth::worker
