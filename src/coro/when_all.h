#pragma once

#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "coro/scope.h"
#include "coro/task.h"

namespace hearth {

namespace detail {

template <class T>
task<void> store_result(task<T> work, std::optional<T>& slot) {
    slot.emplace(co_await std::move(work));
}

}  // namespace detail

// Runs the tasks concurrently and returns all their results in order. The caller's stop reaches
// every one of them.
template <class... T>
    requires(!std::is_void_v<T> && ...)
task<std::tuple<T...>> when_all(task<T>... tasks) {
    scope running(co_await current_stop());
    std::tuple<std::optional<T>...> slots;
    [&]<std::size_t... Index>(std::index_sequence<Index...>) {
        (running.spawn(detail::store_result(std::move(tasks), std::get<Index>(slots))), ...);
    }(std::index_sequence_for<T...>{});
    co_await running.join();
    co_return std::apply([](auto&... slot) { return std::tuple<T...>(std::move(*slot)...); },
                         slots);
}

template <class T>
    requires(!std::is_void_v<T>)
task<std::vector<T>> when_all(std::vector<task<T>> tasks) {
    scope running(co_await current_stop());
    std::vector<std::optional<T>> slots(tasks.size());
    for (std::size_t i = 0; i < tasks.size(); ++i) {
        running.spawn(detail::store_result(std::move(tasks[i]), slots[i]));
    }
    co_await running.join();
    std::vector<T> results;
    results.reserve(slots.size());
    for (auto& slot : slots) {
        results.push_back(std::move(*slot));
    }
    co_return results;
}

}  // namespace hearth
