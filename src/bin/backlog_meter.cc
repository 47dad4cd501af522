#include "backlog_meter.h"

#include <algorithm>

#include "base/log.h"
#include "coro/wait_list.h"
#include "coro/when_all.h"

namespace hearth {
namespace {

constexpr seconds census_wait{5};

}  // namespace

double backlog_per_instance(const faas::job_queue::depth& depth, std::int64_t workers) {
    return static_cast<double>(depth.visible + depth.in_flight) /
           static_cast<double>(std::max<std::int64_t>(workers, 1));
}

task<void> backlog_meter::run() {
    do {
        auto told =
            co_await count_workers(after(std::min<milliseconds>(census_wait, heard_.interval())));
        if (!told && told.error().code == errc::cancelled) {
            co_return;
        }
        if (failing_ != !told.has_value()) {
            failing_ = !failing_;
            if (failing_) {
                log::warning(
                    "the workers of all controllers cannot be counted; no backlog per "
                    "worker meanwhile",
                    {{"reason", told.error().message}});
            } else {
                log::info("the workers of all controllers can be counted again");
            }
        }
    } while (co_await sleep_until(after(heard_.interval())));
}

task<result<std::int64_t>> backlog_meter::count_workers(deadline until) {
    const auto heard = heard_.sightings(steady_clock::now());
    co_return co_await census_.exchange(heard, until);
}

task<backlog_meter::reading> backlog_meter::read(deadline until) {
    auto [depth, workers] = co_await when_all(queue_.measure(until), count_workers(until));
    if (depth) {
        read_at_ = steady_clock::now();
    }
    co_return reading{std::move(depth), std::move(workers)};
}

task<result<double>> backlog_meter::per_instance(deadline until) {
    auto now = co_await read(until);
    if (!now.depth) {
        co_return propagate(now.depth);
    }
    if (!now.workers) {
        co_return propagate(now.workers);
    }
    co_return backlog_per_instance(*now.depth, *now.workers);
}

std::optional<milliseconds> backlog_meter::age() const {
    if (!read_at_) {
        return std::nullopt;
    }
    return std::chrono::duration_cast<milliseconds>(steady_clock::now() - *read_at_);
}

}  // namespace hearth
