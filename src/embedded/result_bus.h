#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <unordered_map>

#include "coro/wait_list.h"
#include "faas/ports.h"

namespace hearth::embedded {

// Who waits for a job's end, in memory. One event-loop thread; every wait() has ended before this
// dies. More than waiters_max waiters: errc::limit_exceeded. publish() never waits, so its deadline
// has no effect.
class result_bus final : public faas::result_bus {
public:
    static constexpr std::size_t waiters_max_default = 100'000;

    explicit result_bus(std::size_t waiters_max = waiters_max_default) noexcept
        : waiters_max_(waiters_max) {}

    task<result<>> publish(const faas::invocation_record& record, epoch_ms awaited_until,
                           deadline until) override;
    task<result<faas::invocation_record>> wait(std::string_view job_id, deadline until) override;

private:
    // Lives in the frame of its wait().
    struct waiter {
        wait_list delivered;
        std::optional<faas::invocation_record> record;
    };

    std::size_t waiters_max_;
    std::unordered_multimap<std::string, waiter*> waiters_;
};

}  // namespace hearth::embedded
