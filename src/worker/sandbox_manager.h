#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <unordered_map>

#include "base/result.h"
#include "coro/event.h"
#include "coro/task.h"
#include "sandbox/client.h"
#include "uring/multishot.h"
#include "uring/ring.h"

namespace hearth::worker {

// What hearth-sandboxd reports of one sandbox. Owned by the sandbox; registered with the manager
// while it lives.
class sandbox_events {
public:
    event answered;  // created, create_failed or exited has come
    std::optional<sandbox::create_failed_packet> failure;
    unique_fd control_stream;
    unique_fd output;
    sandbox::gauges shown;
    event ended;  // exited has come, or sandboxd is gone
    std::optional<sandbox::exited_packet> exit;
    std::function<void()> on_end;  // called once when `ended` is set, unless empty

    void end() {
        answered.set();
        if (!ended.is_set()) {
            ended.set();
            if (on_end) {
                on_end();
            }
        }
    }
};

// What hearth-sandboxd has before anybody asks, as far as this side knows.
struct made_ahead {
    std::uint32_t parked = 0;   // sandboxes that wait ready for a function
    std::uint32_t shells = 0;   // and those that lack only Python
    std::uint32_t zygotes = 0;  // processes that Pythons are forked from
};

// The worker's end of the control socket: sends requests, and hands each event to the sandbox it is
// about. When hearth-sandboxd dies, every sandbox is told that it ended and `lost` is set: the
// worker cannot go on without it. Ring thread only.
class sandbox_manager {
public:
    sandbox_manager(uring::ring& home, sandbox::client client);

    // Exchanges packets until finish().
    task<void> run();
    task<void> finish();

    // A fresh id, registered until forget().
    [[nodiscard]] std::uint64_t add(sandbox_events& events);
    void forget(std::uint64_t id);
    // Waits while the socket is full. The descriptor stays the caller's.
    task<result<>> create(const sandbox::create_packet& wanted, int code, deadline until);
    // Never fails: the request goes out as soon as the socket takes it.
    void kill(std::uint64_t id);

    [[nodiscard]] const sandbox::hello_packet& hello() const { return client_.hello(); }
    [[nodiscard]] const made_ahead& ahead() const noexcept { return ahead_; }
    [[nodiscard]] event& lost() noexcept { return lost_; }
    // After finish(): ends hearth-sandboxd, which removes every trace of its sandboxes.
    [[nodiscard]] result<int> close_and_wait(deadline until) {
        return client_.close_and_wait(until);
    }

private:
    task<void> read_events();
    task<void> send_kills();
    void deliver(sandbox::received_event received);
    void lose(const error& reason);

    sandbox::client client_;
    uring::readiness readable_;
    std::unordered_map<std::uint64_t, sandbox_events*> live_;
    std::uint64_t last_id_ = 0;
    made_ahead ahead_;
    std::deque<std::uint64_t> kills_;  // not sent yet; a few per live sandbox at most
    wait_list kills_changed_;
    event lost_;
    bool finishing_ = false;
};

}  // namespace hearth::worker
