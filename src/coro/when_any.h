#pragma once

#include <optional>
#include <utility>
#include <variant>

#include "coro/scope.h"
#include "coro/task.h"

namespace hearth {

namespace detail {

template <std::size_t Index, class T, class Variant>
task<void> race(task<T> work, std::optional<Variant>& winner, stop_source& others) {
    T value = co_await std::move(work);
    if (!winner) {
        winner.emplace(std::in_place_index<Index>, std::move(value));
        others.request_stop();
    }
}

}  // namespace detail

// Runs the tasks concurrently; the first to finish wins. The others are stopped and joined before
// this returns, so nothing of theirs is left running. The variant's index tells the winner.
template <class... T>
    requires(!std::is_void_v<T> && ...)
task<std::variant<T...>> when_any(task<T>... tasks) {
    scope running(co_await current_stop());
    std::optional<std::variant<T...>> winner;
    [&]<std::size_t... Index>(std::index_sequence<Index...>) {
        (running.spawn(detail::race<Index>(std::move(tasks), winner, running.stop())), ...);
    }(std::index_sequence_for<T...>{});
    co_await running.join();
    co_return std::move(*winner);
}

}  // namespace hearth
