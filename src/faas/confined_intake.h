#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "base/unique_fd.h"
#include "coro/scope.h"
#include "coro/semaphore.h"
#include "coro/thread_pool.h"
#include "faas/archive/intake_protocol.h"
#include "faas/archive_intake.h"
#include "faas/intake_process.h"

namespace hearth::faas {

struct confined_intake_options {
    std::size_t at_once_max = 4;    // archives that are read at the same time
    std::size_t waiting_max = 256;  // beyond those: errc::limit_exceeded
    milliseconds time_max{30'000};  // of one archive: errc::too_large
};

// Archives are read by hearth-unpack, a process for each.
//
// Problem: an archive's reader is where a hostile upload meets code first; in the server a fault in
// it would have the keys and the network, and a slow archive would hold a thread that others need.
// Solution: a process that gets two descriptors, confines itself to them before it looks, says one
// thing and is killed. It is started by the server itself, which has no privileges by then and
// needs none for this; hearth-sandboxd, which has root, never hears of archives.
//
// One process waits ready, so that its start is not part of a call; the next is started while one
// works. What a process says is believed no further than its format goes. Cancelling the task kills
// the process; nobody writes to a folder any more when its task is done. Ring thread only.
class confined_intake final : public archive_intake {
public:
    // Opens the program while it can still be reached, before privileges are dropped.
    [[nodiscard]] static result<unique_fd> open_program(const std::string& path);

    // Reads a first, tiny archive, so that a host on which nothing can be confined is found at
    // start: errc::unavailable says what is missing. Blocks; for start-up, after privileges are
    // dropped. `blocking` outlives this.
    [[nodiscard]] static result<std::unique_ptr<confined_intake>> create(
        unique_fd program, thread_pool& blocking, confined_intake_options options = {});
    ~confined_intake() override;

    task<result<archive_summary>> check(int zip_file, deadline until) override;
    task<result<archive_summary>> unpack(int zip_file, int directory, deadline until) override;

    // Waits for processes that are being started or are ending. Last, when no task runs.
    task<void> finish() { return background_.join(); }

    struct counts {
        std::uint64_t started = 0;  // processes
        std::uint64_t failed = 0;   // those that ended without a report
    };
    [[nodiscard]] const counts& statistics() const noexcept { return counts_; }

private:
    confined_intake(unique_fd program, thread_pool& blocking, confined_intake_options options);
    task<result<archive_summary>> run(intake_work work, int archive, int directory, deadline until);
    task<result<archive_summary>> run_permitted(intake_work work, int archive, int directory,
                                                deadline until);
    task<result<intake_process>> take_process();
    task<result<intake_process>> start_process();
    task<void> prepare_next();
    task<result<archive_summary>> report_of(intake_process process, intake_work work,
                                            deadline until);
    task<intake_end> end_of(intake_process& process);
    task<void> reap(intake_process process);

    unique_fd program_;
    thread_pool& blocking_;
    confined_intake_options options_;
    semaphore permits_;
    std::size_t waiting_ = 0;
    std::optional<intake_process> next_;
    bool preparing_ = false;
    counts counts_;
    scope background_;  // starts and ends of processes that nobody waits for
};

}  // namespace hearth::faas
