#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "coro/timers.h"
#include "coro/wait_list.h"
#include "embedded/database.h"
#include "embedded/time_source.h"
#include "faas/ports.h"

namespace hearth::embedded {

// The job queue in SQLite: a row per job with the time from which it is visible, its attempts and
// the number of its latest delivery. Ordered by that time, then by arrival.
//
// A receipt is "<sequence>.<random number of the delivery>". It stays good after its visibility
// timeout until the job is delivered anew, released or buried.
//
// Long polls wait in this process: for an enqueue or release, and for the next visibility timeout
// by one timer. Hence one event-loop thread; its timer queue outlives this and every receive() has
// ended before this dies.
//
// After a restart: see recovery.h, which must run before the first receive().
class job_queue final : public faas::job_queue {
public:
    static constexpr std::int64_t jobs_max_default =
        100'000;                                           // jobs not settled: errc::limit_exceeded
    static constexpr std::int64_t dead_told_max = 10'000;  // beyond, the oldest are forgotten
    static constexpr std::size_t receive_max = 10;
    static constexpr milliseconds visibility_max = std::chrono::hours(12);  // as SQS has it

    // `db` outlives this.
    explicit job_queue(database& db, std::int64_t jobs_max = jobs_max_default,
                       time_source now = steady_wall_clock());

    task<result<>> enqueue(const faas::job& content, deadline until) override;
    task<result<std::vector<faas::job_delivery>>> receive(std::size_t max, milliseconds visibility,
                                                          deadline until) override;
    task<result<>> extend(std::string_view receipt, milliseconds visibility,
                          deadline until) override;
    task<result<>> acknowledge(std::string_view receipt, deadline until) override;
    task<result<>> release(std::string_view receipt, milliseconds delay, bool count_attempt,
                           deadline until) override;
    task<result<>> bury(std::string_view receipt, deadline until) override;
    task<result<std::vector<faas::job>>> unsettled_dead(std::size_t max, deadline until) override;
    task<result<>> settle_dead(std::string_view job_id, deadline until) override;
    task<result<depth>> measure(deadline until) override;

private:
    // Rings when the earliest known visibility timeout ends. Armed only while somebody waits.
    class alarm final : public timer {
    public:
        explicit alarm(job_queue& owner) noexcept : owner_(owner) {}

    private:
        void on_timer() noexcept override;
        job_queue& owner_;
    };

    void arrived();
    void becomes_visible(epoch_ms when);
    void arm_alarm();
    task<result<>> wait_for_jobs(deadline until);

    database& db_;
    std::int64_t jobs_max_;
    time_source now_;
    wait_list pollers_;
    std::size_t waiting_ = 0;
    alarm alarm_{*this};
    epoch_ms next_visible_;
    // Counts what a poll under way may have missed.
    std::uint64_t changes_ = 0;
};

}  // namespace hearth::embedded
