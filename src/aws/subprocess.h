#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "coro/task.h"
#include "coro/thread_pool.h"

namespace hearth::aws {

// Runs a program found by PATH, without a shell, and returns what it wrote to stdout (at most
// 64 KiB); stderr stays ours, stdin is empty. Waits on `blocking`. It and what it has started are
// killed at `until`, or after a minute; what it leaves behind is killed, too. errc::unavailable: it
// cannot be started, failed or took too long.
task<result<std::string>> run_process(thread_pool& blocking, std::vector<std::string> command,
                                      deadline until);

}  // namespace hearth::aws
