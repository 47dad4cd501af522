#include "worker/dead_letters.h"

#include "base/log.h"
#include "coro/wait_list.h"
#include "worker/error_report.h"

namespace hearth::worker {
namespace {

constexpr seconds port_wait{10};  // for one call of a port
constexpr std::size_t page = 10;

deadline soon() {
    return after(port_wait);
}

}  // namespace

faas::invocation_record record_of(const faas::job& ran, std::int64_t attempts, faas::outcome end) {
    faas::invocation_record record;
    record.job_id = ran.job_id;
    record.request_id = ran.request_id;
    record.function_id = ran.function_id;
    record.status = end.status;
    record.attempts = attempts;
    record.updated_at = wall_clock_ms();
    record.created_at = ran.created_at;
    record.end = std::move(end);
    return record;
}

task<void> dead_letters::run() {
    for (;;) {
        auto dead = co_await queue_.unsettled_dead(page, soon());
        if (!dead && dead.error().code == errc::cancelled) {
            co_return;
        }
        note_look(dead);
        const auto found = std::move(dead).value_or(std::vector<faas::job>{});
        std::size_t settled = 0;
        for (const faas::job& each : found) {
            settled += co_await settle(each) ? 1 : 0;
        }
        const bool more = settled == page;  // a full page, without trouble
        const auto pause = more ? steady_clock::now() : after(interval);
        if (!co_await sleep_until(pause)) {
            co_return;
        }
    }
}

task<bool> dead_letters::settle(const faas::job& given_up) {
    faas::outcome end = failure_outcome(faas::error_type::exited,
                                        "given up: the worker ended during every attempt");
    end.status = faas::invocation_status::dead;
    const auto record = record_of(given_up, faas::attempts_max, std::move(end));
    auto first = co_await log_.finish(record, soon());
    if (!first) {
        report("record the outcome", given_up, first.error());
        co_return false;
    }
    if (*first) {
        ++statistics_.dead;
        [[maybe_unused]] const auto told =
            co_await results_.publish(record, given_up.caller_deadline, soon());
    }
    auto known = co_await queue_.settle_dead(given_up.job_id, soon());
    if (!known) {
        report("settle the dead letter", given_up, known.error());
    }
    co_return known.has_value();
}

// One line when looks begin to fail and one when they work again, however long that takes.
void dead_letters::note_look(const result<std::vector<faas::job>>& found) {
    statistics_.errors += found ? 0 : 1;
    if (blind_ == !found.has_value()) {
        return;
    }
    blind_ = !blind_;
    if (blind_) {
        log::warning(
            "the dead letters cannot be read; jobs that took their worker down are not "
            "recorded as DEAD meanwhile",
            {{"reason", found.error().message}});
    } else {
        log::info("the dead letters can be read again");
    }
}

void dead_letters::report(std::string_view what, const faas::job& of, const error& reason) {
    ++statistics_.errors;
    log::warning("a dead letter's step failed; it is tried again",
                 {{"step", what}, {"jobId", of.job_id}, {"reason", reason.message}});
}

}  // namespace hearth::worker
