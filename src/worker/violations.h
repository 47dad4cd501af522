#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/clock.h"
#include "faas/function.h"

namespace hearth::worker {

// What a function may not do and did, or tried until a limit held it.
enum class violation : std::uint8_t {
    protocol,       // spoke on its stream what the runtime does not
    policy,         // made a system call that kills
    out_of_memory,  // passed memoryMb
    pids_limit,     // forked until the limit of processes and threads
    strays,         // left processes behind
    output_flood,   // printed more than output_flood_bytes in one call
};
inline constexpr std::size_t violation_count = 6;

// "protocol", "policy", …
[[nodiscard]] std::string_view to_string(violation kind) noexcept;

// For operators: every violation is counted, and most are told in one line of the log each. A
// function that does nothing else must not fill the disk: of each function `burst` lines go at
// once, then one in `refill`; the next line says how many were left out. Ring thread only.
class violations {
public:
    static constexpr std::uint32_t burst = 20;
    static constexpr seconds refill{10};
    static constexpr std::size_t functions_max = 1'000;  // remembered; then one bucket for others

    explicit violations(std::function<void(violation)> count) : count_(std::move(count)) {}

    // `invocation` may be empty: a sandbox can violate while it starts, and between calls.
    void report(violation kind, const faas::function& by, std::string_view request_id,
                std::string_view details, steady_time now = steady_clock::now());

private:
    struct bucket {
        std::uint32_t left = burst;
        std::uint64_t suppressed = 0;
        steady_time filled_at;
    };

    bucket& bucket_of(const std::string& function_id, steady_time now);
    static void fill(bucket& which, steady_time now);

    std::function<void(violation)> count_;
    std::unordered_map<std::string, bucket> buckets_;
    bucket others_;
};

}  // namespace hearth::worker
