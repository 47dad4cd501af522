#pragma once

#include <functional>
#include <string>

#include "faas/ports.h"
#include "redis/client.h"

namespace hearth::redis {

struct rate_limiter_settings {
    std::int64_t limit = 0;  // requests per window and key; 0: no limit, and Redis is not asked
    milliseconds window{60'000};
    std::string prefix = "hearth:";  // of every key
    // While Redis cannot be asked: true lets every request pass, false refuses with
    // errc::unavailable.
    bool fail_open = true;
    // Empty: the server's clock, which all controllers share.
    std::function<milliseconds()> now;
};

// An exact sliding window per key over all controllers that share a Redis: one script, which runs
// there without anything in between. A request counts from its moment up to, not including, that
// moment plus the window; a refused one does not count. Ring thread only.
class rate_limiter final : public faas::rate_limiter {
public:
    // `server` outlives it.
    rate_limiter(client& server, rate_limiter_settings settings);

    task<result<faas::rate_decision>> check(std::string_view key, deadline until) override;

    // Checks that were let pass because Redis could not be asked.
    [[nodiscard]] std::uint64_t passed_unasked() const noexcept { return passed_unasked_; }

private:
    task<result<reply>> run_script(const std::string& key, deadline until);

    client& server_;
    rate_limiter_settings settings_;
    std::string digest_;  // by which Redis knows the script
    std::uint64_t passed_unasked_ = 0;
};

}  // namespace hearth::redis
