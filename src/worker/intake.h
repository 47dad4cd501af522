#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "coro/event.h"
#include "coro/scope.h"
#include "coro/semaphore.h"
#include "faas/ports.h"
#include "worker/batch_lookup.h"
#include "worker/dead_letters.h"
#include "worker/intake_room.h"

namespace hearth::worker {

struct intake_options {
    std::size_t concurrency = 8;      // jobs that run at once
    milliseconds visibility{30'000};  // of a delivery; extended while the job runs
    milliseconds poll{20'000};        // of one receive
    milliseconds retry_base{1'000};   // doubled with every attempt
    milliseconds retry_max{60'000};
    milliseconds trouble_pause{30'000};  // of a job that the host or a service kept from running
    // A job that has run so long is recorded as running. Of a shorter one its outcome says all.
    milliseconds mark_after{200};
    // What a job waits in hand for its turn at most; then it may go to another worker.
    milliseconds turn_wait{2'000};
    // Whether this also looks after dead letters; in a fleet its controllers do.
    bool settle_dead = true;
};

struct intake_statistics {
    std::uint64_t received = 0;
    std::uint64_t succeeded = 0;
    std::uint64_t retried = 0;
    std::uint64_t failed = 0;  // for good without further attempts: the function is gone
    std::uint64_t dead = 0;
    std::uint64_t duplicates = 0;  // deliveries of jobs that had an outcome already
    std::uint64_t errors = 0;      // queue, table or log could not be reached
};

// Takes jobs from the queue and sees each to one recorded outcome. A delivery is acknowledged only
// after its outcome stands; a job whose outcome stands already is acknowledged unrun; a failure is
// tried again after a growing pause, faas::attempts_max times in all, and then goes to the dead
// letters. A job that could not be begun, since the log, the table, the code store or this host
// failed, returns to the queue without an attempt, and no more are received for a moment. An
// outcome that cannot be recorded is left to the visibility timeout, which brings the job back.
// What jobs of one delivery ask of log and table is asked once for all of them. Jobs that wait here
// for their turn (intake_room) return to the queue unstarted when receiving stops. Ring thread
// only.
class job_intake {
public:
    job_intake(faas::job_queue& queue, faas::function_table& functions, faas::invocation_log& log,
               faas::result_bus& results, faas::invoker& invoker, const intake_options& options);

    // Receives until stop_receiving(), then until the running jobs are done.
    task<void> run();
    // No new jobs from now on. One that runs ends; if it fails, it returns to the queue at once,
    // since the shutdown may have ended it.
    void stop_receiving() noexcept;
    [[nodiscard]] intake_statistics statistics() const noexcept;
    // Why jobs cannot be received or begun at present; empty when they can.
    [[nodiscard]] const std::string& trouble() const noexcept {
        return trouble_.empty() ? start_trouble_ : trouble_;
    }

private:
    using shared_function = batch_lookup::shared_function;
    // A job from its arrival to its end. It may arrive again meanwhile: its visibility ended before
    // an extension came through, or the queue has it twice. It runs once then, and is kept and
    // settled by the newest delivery: the queue may know no other any more, and would count one
    // attempt after the other until the job is dead while it runs.
    struct in_hand {
        faas::job_delivery delivery;     // the newest
        std::vector<std::string> older;  // receipts that the queue may still know
        bool lost = false;               // it became visible again: somebody else has it
    };

    task<void> receive_loop(bool helping);
    task<bool> receive_once(milliseconds wait);
    task<void> begin(std::vector<faas::job_delivery> batch);
    task<void> process(std::unique_ptr<in_hand> job, std::shared_ptr<batch_lookup> background);
    void adopt(in_hand& mine, faas::job_delivery again);
    task<void> attempt(in_hand& mine, batch_lookup& background);
    task<void> take_turn(in_hand& mine, shared_function target);
    task<result<>> turn(std::int64_t attempts, deadline until);
    task<result<bool>> ended_meanwhile(const faas::job& job);
    task<void> drop_duplicate(const in_hand& mine);
    task<result<faas::outcome>> run_one(const faas::job_delivery& delivery, shared_function target,
                                        deadline until);
    task<void> mark_running_later(const faas::job_delivery& delivery);
    task<void> mark_running(const faas::job_delivery& delivery);
    task<void> settle_run(const in_hand& mine, result<faas::outcome> end);
    task<void> keep_invisible(in_hand& mine, stop_source& until_stopped);
    task<void> extend(in_hand& mine);
    task<void> tell_too_late(const in_hand& mine);
    task<void> conclude(const in_hand& mine, faas::outcome end);
    task<result<>> acknowledge(const in_hand& mine);
    task<result<bool>> record(const faas::job_delivery& delivery,
                              const faas::invocation_record& outcome);
    task<void> give_back(const in_hand& mine, milliseconds pause, bool count_attempt);
    task<void> put_back(const in_hand& mine, std::string_view step, error reason);
    void pause_receiving(std::string reason);
    void forget_passed_trouble();
    void count(faas::invocation_status status);
    void report(std::string_view what, const faas::job_delivery& delivery, const error& reason);

    faas::job_queue& queue_;
    faas::function_table& functions_;
    faas::invocation_log& log_;
    faas::result_bus& results_;
    faas::invoker& invoker_;
    intake_options options_;
    intake_statistics statistics_;
    dead_letters dead_letters_;
    std::string trouble_;        // with receiving
    std::string start_trouble_;  // with beginning what was received
    steady_time start_trouble_at_;
    deadline receive_from_ = deadline::min();
    intake_room room_;
    semaphore turns_;
    event draining_;
    scope receiving_;
    scope running_;
    std::size_t helpers_ = 0;
    std::size_t retried_waiting_ = 0;
    std::map<std::string, in_hand*> jobs_;  // in hand, by their ids
    bool stopping_ = false;
};

}  // namespace hearth::worker
