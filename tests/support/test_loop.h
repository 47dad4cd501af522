#pragma once

#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "base/clock.h"
#include "coro/scope.h"
#include "coro/task.h"

namespace hearth::test {

// An event loop that a test turns by asking for the end of tasks; with a kernel (test_ring) or
// without (test_executor).
class test_loop {
public:
    // A started task. Ends (stopped and joined) with this object.
    template <class T>
    class pending;

    template <class T>
    [[nodiscard]] pending<T> start(task<T> work) {
        return pending<T>(*this, std::move(work));
    }

    template <class T>
    T run(task<T> work) {
        return start(std::move(work)).get();
    }

protected:
    ~test_loop() = default;

private:
    // Turns the loop until no task is left.
    virtual void join(scope& tasks) = 0;
};

template <class T>
class test_loop::pending {
public:
    pending(test_loop& loop, task<T> work) : loop_(loop), state_(std::make_unique<state>()) {
        state_->tasks.spawn(store(std::move(work), *state_));
    }
    pending(pending&&) noexcept = default;
    ~pending() {
        if (state_) {
            stop();
            loop_.join(state_->tasks);
        }
    }

    [[nodiscard]] bool done() const { return state_->finished; }
    void stop() { state_->tasks.request_stop(); }
    T get() {
        loop_.join(state_->tasks);
        if constexpr (!std::is_void_v<T>) {
            return std::move(*state_->value);
        }
    }

private:
    struct nothing {};
    struct state {
        scope tasks;
        bool finished = false;
        std::optional<std::conditional_t<std::is_void_v<T>, nothing, T>> value;
    };

    static task<void> store(task<T> work, state& into) {
        if constexpr (std::is_void_v<T>) {
            co_await std::move(work);
        } else {
            into.value.emplace(co_await std::move(work));
        }
        into.finished = true;
    }

    test_loop& loop_;
    std::unique_ptr<state> state_;
};

// A deadline that a correct test never reaches.
[[nodiscard]] inline deadline soon() {
    return after(seconds(30));
}
// One that passed before the call.
[[nodiscard]] inline deadline passed() {
    return steady_clock::now() - milliseconds(1);
}

}  // namespace hearth::test
