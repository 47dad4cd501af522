#pragma once

#include <coroutine>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "coro/intrusive_list.h"
#include "coro/timers.h"

namespace hearth {

class scope;

// Work handed to an executor by another thread. Owned by whoever posts it and alive until run().
class remote_work {
public:
    virtual void run() noexcept = 0;  // on the executor's thread

protected:
    ~remote_work() = default;

private:
    friend class executor;
    remote_work* next_ = nullptr;
};

// What one event-loop thread runs: a list of coroutines that are ready, its timers, and a mailbox
// for other threads. Coroutines are resumed from the list only, never from inside a completion or a
// notification, so that stacks stay shallow and nobody is re-entered. The uring layer adds the
// kernel.
class executor {
public:
    executor() noexcept;
    executor(const executor&) = delete;
    executor& operator=(const executor&) = delete;
    virtual ~executor();

    // The executor whose thread this is; null outside one.
    [[nodiscard]] static executor* current() noexcept;

    // Own thread: resume `coroutine` in this or the next turn.
    void post(std::coroutine_handle<> coroutine) { ready_.push_back(coroutine); }
    // Any thread: run `work` on this executor's thread soon.
    void post_remote(remote_work& work) noexcept;

    // Resumes at most `limit` coroutines; true when more are left.
    bool run_ready(std::size_t limit);
    // Runs what other threads posted.
    void run_remote();

    [[nodiscard]] bool has_ready() const noexcept { return next_ready_ < ready_.size(); }
    [[nodiscard]] timer_queue& timers() noexcept { return timers_; }
    [[nodiscard]] std::uint64_t resumed_count() const noexcept { return resumed_count_; }

    // The suspended tasks of every live scope with where they stand, one line each, indented by
    // depth.
    [[nodiscard]] std::string dump_tasks();

protected:
    // Makes `this` the calling thread's executor; null undoes it.
    static void set_current(executor* which) noexcept;
    // Called by other threads after a post, once per empty-to-full transition.
    virtual void wake() noexcept = 0;

private:
    friend class scope;

    std::vector<std::coroutine_handle<>> ready_;
    std::size_t next_ready_ = 0;
    std::uint64_t resumed_count_ = 0;
    timer_queue timers_;
    intrusive_list<scope> scopes_;

    std::mutex remote_mutex_;
    remote_work* remote_first_ = nullptr;
    remote_work* remote_last_ = nullptr;
};

}  // namespace hearth
