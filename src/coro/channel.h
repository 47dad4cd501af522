#pragma once

#include <cstddef>
#include <deque>
#include <utility>

#include "coro/task.h"
#include "coro/wait_list.h"

namespace hearth {

// A queue of at most `capacity` values between coroutines of one thread. push() waits while it is
// full, pop() while it is empty; after close() values that are in it can still be popped.
template <class T>
class channel {
public:
    explicit channel(std::size_t capacity) noexcept : capacity_(capacity) {}

    // errc::closed after close(); errc::deadline_exceeded; errc::cancelled. The value is lost then.
    task<result<>> push(T value, deadline until = never) {
        while (!closed_ && values_.size() >= capacity_) {
            auto woken = co_await not_full_.wait(until);
            if (!woken) {
                co_return propagate(woken);
            }
        }
        if (closed_) {
            co_return fail(errc::closed, "channel is closed");
        }
        put(std::move(value));
        co_return result<>{};
    }

    // False when it is full or closed; `value` is then untouched.
    [[nodiscard]] bool try_push(T&& value) {
        if (closed_ || values_.size() >= capacity_) {
            return false;
        }
        put(std::move(value));
        return true;
    }

    // errc::closed when it is closed and empty.
    task<result<T>> pop(deadline until = never) {
        while (values_.empty() && !closed_) {
            auto woken = co_await not_empty_.wait(until);
            if (!woken) {
                co_return propagate(woken);
            }
        }
        if (values_.empty()) {
            co_return fail(errc::closed, "channel is closed");
        }
        T value = std::move(values_.front());
        values_.pop_front();
        not_full_.notify_one();
        co_return value;
    }

    void close() noexcept {
        closed_ = true;
        not_empty_.notify_all();
        not_full_.notify_all();
    }

    [[nodiscard]] std::size_t size() const noexcept { return values_.size(); }
    [[nodiscard]] bool closed() const noexcept { return closed_; }

private:
    void put(T&& value) {
        values_.push_back(std::move(value));
        not_empty_.notify_one();
    }

    std::deque<T> values_;
    std::size_t capacity_;
    wait_list not_empty_;
    wait_list not_full_;
    bool closed_ = false;
};

}  // namespace hearth
