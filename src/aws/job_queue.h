#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "aws/batcher.h"
#include "aws/blobs.h"
#include "aws/job_message.h"
#include "aws/sqs.h"
#include "coro/scope.h"
#include "coro/semaphore.h"
#include "coro/wait_list.h"
#include "faas/ports.h"

namespace hearth::aws {

struct job_queue_settings {
    std::string queue_url;
    std::string dead_letter_url;
    milliseconds linger{3};       // how long sends and deletes wait for company
    std::size_t polls_max = 32;   // long polls at once; more receive() calls wait
    seconds dead_visibility{60};  // of a dead letter that was handed out to be settled
};

// The job queue on two standard queues of SQS.
//
// What SQS cannot do, and what takes its place:
//   - It does not know job ids: enqueuing one twice queues it twice. Records refuse the second.
//   - A receive count cannot be taken back. A job that is returned without its attempt is sent anew
//     with the attempts it had, and then deleted: a crash in between queues it twice.
//   - It does not say whether a receipt handle is still the newest. Receipts are this object's own:
//     void when unknown here, settled, or followed by a newer delivery to this process. What
//     another process received meanwhile is not known; the first outcome wins then.
//   - A dead letter cannot be marked. A settled one is sent anew with a mark, and hidden for 12
//     hours each time it is met, so that scans find the unsettled ones among many.
//
// Visibility is in whole seconds, rounded up; a delay of a release without its attempt is at most
// 15 minutes (sqs::delay_max). A redrive policy of the queue may move jobs to the dead letters as
// well: they are found there like those that this moves. Its maxReceiveCount must be at least
// faas::attempts_max.
//
// A long poll is never cut off, since SQS may just be handing out a job on it: when its caller is
// gone, what it brings is returned to the queue at once and uncounted; finish_polls() waits for
// that at the end. Ring thread only.
class job_queue final : public faas::job_queue {
public:
    struct statistics {
        std::uint64_t polls = 0;
        std::uint64_t returned = 0;        // jobs that came when nobody waited for them any more
        std::uint64_t not_understood = 0;  // messages that are no jobs
        std::uint64_t large_events = 0;    // sent as blobs
    };

    // `api` is for SQS; `large_events` takes what does not fit into a message. Both outlive this.
    job_queue(client& api, blobs& large_events, job_queue_settings settings);

    // Everything below needs it to be running, until stopped; then it is errc::closed. Stop it
    // after the last receive() has ended: long polls that are under way are cut off then.
    task<void> run();
    // Waits until no long poll is under way any more, and what they brought for nobody is back in
    // the queue: a job that SQS hands out on a poll that was cut off is invisible until its
    // visibility timeout. errc::deadline_exceeded. After the last receive(), before the stop.
    task<result<>> finish_polls(deadline until);

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

    [[nodiscard]] const statistics& counts() const noexcept { return counts_; }

private:
    // A delivery that is not settled.
    struct held {
        std::string message_id;
        std::string handle;
        job_message message;  // with its event
        std::int64_t attempts = 1;
        steady_time visible_at{};
    };
    struct dead_letter {
        std::string handle;
        job_message message;
        steady_time visible_at{};
    };
    // One long poll and who waits for it.
    struct polling {
        std::size_t max = 1;
        seconds visibility{0};
        seconds wait{0};
        event done;
        bool abandoned = false;
        result<std::vector<faas::job_delivery>> jobs;
    };
    using held_map = std::map<std::string, held, std::less<>>;

    static constexpr milliseconds step_time{10'000};  // of what happens behind a caller's back

    [[nodiscard]] static result<> check_visibility(milliseconds visibility);
    [[nodiscard]] static std::unexpected<error> void_receipt();
    task<result<std::vector<faas::job_delivery>>> poll_for(std::size_t max, seconds visibility,
                                                           deadline until);
    task<void> poll(std::shared_ptr<polling> what);
    task<result<std::vector<faas::job_delivery>>> poll_once(std::size_t max, seconds visibility,
                                                            seconds wait, deadline until);
    task<void> admit(sqs::message got, seconds visibility, std::vector<faas::job_delivery>& into);
    task<void> give_back_unwanted(std::vector<faas::job_delivery> jobs);
    [[nodiscard]] std::string hold(sqs::message got, job_message message, seconds visibility);
    void forget_old();
    task<result<>> bury_message(sqs::message got, std::string body);
    task<result<>> send_to_dead_letters(std::string body, deadline until);
    task<result<>> remove(std::string handle, deadline until);
    task<result<>> send_again(held what, milliseconds delay, deadline until);
    void remember_settled(std::string job_id);
    task<result<>> scan_dead_letters(std::size_t wanted, deadline until);
    task<void> drop_blob(std::string key);
    void forget_blob(const job_message& message);

    sqs api_;
    blobs& large_events_;
    job_queue_settings settings_;
    batcher<sqs::outgoing> sends_;
    batcher<sqs::outgoing> dead_sends_;
    batcher<std::string> removals_;
    batcher<sqs::visibility_change> changes_;
    semaphore polls_free_;
    std::size_t polling_ = 0;  // polls that are under way, or return what they brought
    wait_list poll_ended_;
    scope background_;  // polls, and removals of blobs
    bool running_ = false;
    held_map held_;                                               // by receipt
    std::map<std::string, std::string, std::less<>> receipt_of_;  // by message id
    std::size_t forget_at_ = 1000;
    std::map<std::string, dead_letter, std::less<>> dead_;  // handed out, by job id
    std::deque<std::string> settled_;  // latest job ids that are dead and settled
    statistics counts_;
};

}  // namespace hearth::aws
