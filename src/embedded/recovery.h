#pragma once

#include <cstdint>
#include <string_view>

#include "base/clock.h"
#include "coro/task.h"
#include "embedded/database.h"

namespace hearth::embedded {

// The error type of an invocation that ended with the host it ran on.
inline constexpr std::string_view host_lost = "Host.Lost";

struct recovery_report {
    std::int64_t redelivered = 0;  // jobs that were out and can be had again
    std::int64_t completed = 0;    // jobs that had an outcome and were still queued
    std::int64_t lost = 0;         // invocations finished as FAILED with host_lost
};

// Puts jobs and records back in agreement after the process ended in whatever way. To be run once
// at start, after opening the database and before anything receives; one transaction, and running
// it again changes nothing.
//
// An accepted job is two writes, its record (QUEUED) and then its place in the queue; a settled one
// is two more, the outcome and then the acknowledgement. The database lock says that no worker of
// the process before is left, hence:
//
//  - A job that has an outcome is taken off the queue (to the dead letters when the outcome is
//    DEAD): the process ended between outcome and acknowledgement.
//  - Every other job can be had at once, its receipts void and its delays over. Its attempts stay
//    counted, so that a job that brings the host down is given up in the end. Its record says
//    QUEUED again.
//  - A QUEUED or RUNNING record without a job is finished as FAILED with host_lost: an async call
//    that was never answered with 202, or a synchronous call, which has no job and whose caller's
//    connection is gone. Synchronous calls that were not recorded before they ended leave nothing.
//  - Jobs whose attempts were used up unseen stay with unsettled_dead().
[[nodiscard]] task<result<recovery_report>> recover(database& db, epoch_ms now, deadline until);

}  // namespace hearth::embedded
