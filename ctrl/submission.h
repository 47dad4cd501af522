#pragma once

#include "coro/task.h"
#include "faas/ports.h"

namespace hearth::ctrl {

// Puts a call into the queue; it is durable when this returns. A job has no record before it
// begins: its id says that it was given out (faas::invocation_log::get). A synchronous call that
// comes here gets one first, which says QUEUED. One that the queue may have taken, although it did
// not say so, is recorded as FAILED, so that it neither runs nor is promised. `caller_deadline` as
// in faas::job. `call` and the ports outlive the task.
task<result<>> submit(faas::invocation_log& log, faas::job_queue& queue,
                      const faas::invocation& call, epoch_ms caller_deadline, deadline until);

}  // namespace hearth::ctrl
