#pragma once

#include <cstdint>

#include "coro/task.h"
#include "faas/ports.h"

namespace hearth::worker {

struct dead_letter_statistics {
    std::uint64_t dead = 0;    // records that say so since
    std::uint64_t errors = 0;  // queue or log could not be reached
};

// Jobs whose attempts were used up by crashes of the worker itself lie with the dead letters, and
// nobody was there to record it. This makes their records say so, and tells who waits. One for a
// queue is enough, several do no harm. Ring thread only.
class dead_letters {
public:
    static constexpr seconds interval{30};  // of looking

    // All outlive it.
    dead_letters(faas::job_queue& queue, faas::invocation_log& log, faas::result_bus& results)
        : queue_(queue), log_(log), results_(results) {}

    // Looks now and at each interval, until stopped.
    task<void> run();
    [[nodiscard]] const dead_letter_statistics& statistics() const noexcept { return statistics_; }

private:
    task<bool> settle(const faas::job& given_up);
    void note_look(const result<std::vector<faas::job>>& found);
    void report(std::string_view what, const faas::job& of, const error& reason);

    faas::job_queue& queue_;
    faas::invocation_log& log_;
    faas::result_bus& results_;
    bool blind_ = false;  // the last look failed
    dead_letter_statistics statistics_;
};

// How `end` looks in the log. docs/protocol.md, "Invocation record".
[[nodiscard]] faas::invocation_record record_of(const faas::job& ran, std::int64_t attempts,
                                                faas::outcome end);

}  // namespace hearth::worker
