#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "coro/task.h"
#include "faas/function.h"
#include "faas/invocation.h"

// The ports: what the worker and the controller need from the outside. Implementations live in
// src/embedded (one host) and later beside AWS and Redis; one conformance suite per port
// (tests/port) holds for all of them. Every method takes an absolute deadline, may be called
// concurrently from coroutines of one event-loop thread, and answers with a value or an error,
// never an exception. Parameters are owned by the caller until the task is done.

namespace hearth::faas {

template <class T>
struct page {
    std::vector<T> items;
    std::string cursor;  // empty on the last page; opaque otherwise
};

class function_table {
public:
    virtual ~function_table() = default;
    // errc::conflict when the id exists.
    virtual task<result<>> create(const function& record, deadline until) = 0;
    // errc::not_found.
    virtual task<result<function>> get(std::string_view id, deadline until) = 0;
    // Stores `record` where its revision is exactly one above the stored one: errc::conflict
    // otherwise, errc::not_found when it is gone.
    virtual task<result<>> update(const function& record, deadline until) = 0;
    // errc::not_found.
    virtual task<result<>> remove(std::string_view id, deadline until) = 0;
    // In order of creation. `limit` 1 to 1000; an unknown cursor is errc::invalid_argument.
    virtual task<result<page<function>>> list(std::size_t limit, std::string_view cursor,
                                              deadline until) = 0;
};

struct job {
    std::string job_id;
    std::string request_id;
    std::string function_id;
    std::string event;  // JSON text
    // A synchronous call that came here because nobody could take it at once: its caller waits
    // until this moment, after which it is not begun any more, and its failure is an answer, not a
    // reason to try again. 0: a job.
    epoch_ms caller_deadline = 0;
    // When its record was made; 0 where the queue does not carry it and the log knows it.
    epoch_ms created_at = 0;
};

// A delivered job. It is invisible to others until its visibility timeout and comes back after that
// unless it was acknowledged.
struct job_delivery {
    job content;
    std::string receipt;        // names this delivery; a newer delivery makes it void
    std::int64_t attempts = 1;  // deliveries so far, this one included
};

// At-least-once: a job stays until it is acknowledged or has used up its attempts.
class job_queue {
public:
    virtual ~job_queue() = default;
    // Durable when this returns. Enqueuing a job id twice is errc::conflict where the queue knows
    // its jobs' ids (SQS does not): who must not have a job twice creates its record first.
    // errc::limit_exceeded when the queue is full.
    virtual task<result<>> enqueue(const job& content, deadline until) = 0;
    // Up to `max` jobs (1 to 10); waits until `until` for the first one and returns an empty list
    // then. Stop ends the wait with errc::cancelled. A job that would exceed attempts_max is not
    // delivered but moved to the dead letters.
    virtual task<result<std::vector<job_delivery>>> receive(std::size_t max,
                                                            milliseconds visibility,
                                                            deadline until) = 0;
    // All that take a receipt: errc::not_found when it is known to be void. A queue of many hosts
    // may not know; then the first outcome that is recorded wins.
    virtual task<result<>> extend(std::string_view receipt, milliseconds visibility,
                                  deadline until) = 0;
    virtual task<result<>> acknowledge(std::string_view receipt, deadline until) = 0;
    // Visible again after `delay`. `count_attempt` false gives the attempt back: it was not
    // started.
    virtual task<result<>> release(std::string_view receipt, milliseconds delay, bool count_attempt,
                                   deadline until) = 0;
    // Moves a delivered job to the dead letters.
    virtual task<result<>> bury(std::string_view receipt, deadline until) = 0;
    // Jobs that went to the dead letters without their record saying so (attempts used up while
    // nobody was there to see it), each handed out until it is settled.
    virtual task<result<std::vector<job>>> unsettled_dead(std::size_t max, deadline until) = 0;
    // errc::not_found when it was never dead, as far as this process knows; settled is success.
    virtual task<result<>> settle_dead(std::string_view job_id, deadline until) = 0;

    struct depth {
        std::int64_t visible = 0;    // ready
        std::int64_t in_flight = 0;  // delivered, not settled
        // A job that was released and waits for its delay is counted in either of the two.
        std::int64_t dead = 0;
    };
    virtual task<result<depth>> measure(deadline until) = 0;
};

// Deliveries of one job before it is given up, the first included (docs/architecture.md, "Jobs").
inline constexpr std::int64_t attempts_max = 3;

// Status and outcome of every invocation, kept for at least a day where a limit of the
// implementation does not come first.
class invocation_log {
public:
    virtual ~invocation_log() = default;
    // Adds a record; errc::conflict when the job id exists.
    virtual task<result<>> create(const invocation_record& record, deadline until) = 0;
    // Its status is running; the record is made if it is absent. No effect on a final one:
    // errc::conflict.
    virtual task<result<>> mark_running(const invocation_record& record, deadline until) = 0;
    // The first final outcome wins: false when one stands already. Creates the record if it is
    // absent.
    virtual task<result<bool>> finish(const invocation_record& record, deadline until) = 0;
    // The same for an outcome that nobody waits for: it may first be gathered with others, for some
    // milliseconds, in which the end of this process would lose it.
    virtual task<result<bool>> finish_behind(const invocation_record& record, deadline until) {
        return finish(record, until);
    }
    // Of each of these jobs (1 to 10, no two alike) whether its outcome stands already. One without
    // a record has none.
    virtual task<result<std::vector<bool>>> ended(std::vector<std::string> job_ids,
                                                  deadline until) = 0;
    // A job that waits in the queue and has no record is QUEUED; what else such a record says
    // depends on what the queue can be asked. errc::not_found for an id that was never given out.
    virtual task<result<invocation_record>> get(std::string_view job_id, deadline until) = 0;
    // Deletes records last changed before `before`, final ones only; returns how many.
    virtual task<result<std::int64_t>> expire(epoch_ms before, deadline until) = 0;
};

// Code by content hash. Blobs never change.
class code_store {
public:
    struct stored {
        std::string sha256;
        epoch_ms at = 0;  // by the store's clock; putting it again renews it
    };
    virtual ~code_store() = default;
    // Takes the content of `file` (from its start, `size` bytes); `sha256` was computed by the
    // caller and is verified: errc::corrupt. Storing the same content twice succeeds.
    virtual task<result<>> put(std::string_view sha256, int file, std::size_t size,
                               deadline until) = 0;
    // A readable descriptor at offset 0. errc::not_found.
    virtual task<result<unique_fd>> open(std::string_view sha256, deadline until) = 0;
    // Absent is success.
    virtual task<result<>> remove(std::string_view sha256, deadline until) = 0;
    // What is held, at most `limit`, after `after` in order of the hashes; for removing what no
    // function uses.
    virtual task<result<std::vector<stored>>> list(std::string_view after, std::size_t limit,
                                                   deadline until) = 0;
};

// Tells whoever waits that a job ended. Not durable: a waiter that comes late reads the record.
class result_bus {
public:
    virtual ~result_bus() = default;
    // `record` is in the invocation log already. `awaited_until` is when its caller gives up
    // (job::caller_deadline); 0: nobody is known to wait, and a bus on which telling costs
    // something does not tell.
    virtual task<result<>> publish(const invocation_record& record, epoch_ms awaited_until,
                                   deadline until) = 0;
    // Waits for the job's end from the moment of the call. errc::deadline_exceeded.
    // errc::too_large: it has ended, and its record is more than the bus carries: the invocation
    // log has it.
    virtual task<result<invocation_record>> wait(std::string_view job_id, deadline until) = 0;
    // Whether news come through at the moment. Where they do not, a waiter had better look into
    // the invocation log as well. One in memory always does.
    [[nodiscard]] virtual bool is_up() const noexcept { return true; }
};

struct rate_decision {
    bool allowed = true;
    std::int64_t limit = 0;       // requests per window
    std::int64_t remaining = 0;   // left in it
    milliseconds retry_after{0};  // when refused
};

// Exact sliding window per key.
class rate_limiter {
public:
    virtual ~rate_limiter() = default;
    virtual task<result<rate_decision>> check(std::string_view key, deadline until) = 0;
};

// Runs invocations: the worker, whether in this process or behind a lane.
class invoker {
public:
    virtual ~invoker() = default;
    // Always ends in an outcome, unless no attempt was made: errc::limit_exceeded when the
    // function's or the host's queue is full, errc::unavailable while draining. When `until`
    // passes: before the start errc::deadline_exceeded; after it the invocation goes on to its own
    // timeout and `until` has no effect (the caller races it against its own deadline). One that
    // hands the call on to others who record it answers then with an outcome that is not final.
    virtual task<result<outcome>> invoke(const invocation& call, deadline until) = 0;
    // Sandboxes of older revisions of this function end: at once when idle, after their call
    // otherwise. `current_revision` 0 retires all.
    virtual void retire(std::string_view function_id, std::int64_t current_revision) = 0;
};

}  // namespace hearth::faas
