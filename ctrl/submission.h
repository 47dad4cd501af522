#pragma once

#include "coro/task.h"
#include "faas/ports.h"

namespace hearth::ctrl {

// Puts a call into the queue: first its record, which says QUEUED, then the job. Both are durable
// when it returns. One that the queue did not take is recorded as FAILED, so that no record
// promises what will not happen. `caller_deadline` as in faas::job. `call` and the ports outlive
// the task.
task<result<>> submit(faas::invocation_log& log, faas::job_queue& queue,
                      const faas::invocation& call, epoch_ms caller_deadline, deadline until);

}  // namespace hearth::ctrl
