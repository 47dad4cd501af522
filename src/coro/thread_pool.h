#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/result.h"
#include "coro/executor.h"
#include "coro/task.h"

namespace hearth {

// A few threads for work that blocks: unpacking, SQLite, name look-ups. Awaiting run() keeps the
// event loop free; the result comes back to the caller's thread. Work that has begun cannot be
// stopped and is always awaited. The queue is bounded: run() fails with errc::limit_exceeded when
// it is full.
class thread_pool {
public:
    thread_pool(std::size_t threads, std::size_t queue_max);
    // Finishes what is queued, then joins the threads.
    ~thread_pool();

    // `function` runs on a pool thread and returns a value; void functions return result<>.
    template <class Function>
    auto run(Function function) -> task<result<std::invoke_result_t<Function>>>;

    [[nodiscard]] std::size_t queue_depth() const;

private:
    class job : public remote_work {
    public:
        virtual void execute() noexcept = 0;  // on a pool thread

    protected:
        ~job() = default;
    };
    template <class Function>
    class call;

    bool submit(job& work);
    void serve();

    mutable std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<job*> queue_;
    std::size_t queue_max_;
    bool stopping_ = false;
    std::vector<std::thread> threads_;
};

template <class Function>
class thread_pool::call final : public job {
public:
    using value_type = std::invoke_result_t<Function>;

    call(thread_pool& pool, Function& function) : pool_(pool), function_(function) {}

    [[nodiscard]] bool await_ready() const noexcept { return false; }
    bool await_suspend(std::coroutine_handle<> caller) {
        caller_ = caller;
        home_ = executor::current();
        return pool_.submit(*this);
    }
    result<value_type> await_resume() {
        if (!value_) {
            return fail(errc::limit_exceeded, "the queue for blocking work is full");
        }
        return std::move(*value_);
    }

private:
    void execute() noexcept override {
        value_.emplace(function_());
        home_->post_remote(*this);
    }
    void run() noexcept override { home_->post(caller_); }

    thread_pool& pool_;
    Function& function_;
    executor* home_ = nullptr;
    std::coroutine_handle<> caller_;
    std::optional<value_type> value_;
};

template <class Function>
auto thread_pool::run(Function function) -> task<result<std::invoke_result_t<Function>>> {
    co_return co_await call<Function>(*this, function);
}

}  // namespace hearth
