#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

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
    // After a check whose deadline passed, others do not wait for the same server for so long; then
    // one asks again.
    milliseconds pause_when_slow{1'000};
    // Trouble is over when a check succeeds and none has failed for so long, so that a server that
    // refuses now and then is told of once.
    milliseconds calm{5'000};
};

// Why a check could not be made.
enum class limiter_trouble : std::uint8_t {
    none,
    away,        // no connection; a refused password, too
    slow,        // no answer in time
    permission,  // NOPERM, NOAUTH: the user may not run the script
    read_only,   // READONLY: a replica
    memory,      // OOM, MISCONF: it takes no writes
    script,      // NOSCRIPT even after it was sent
    busy,        // LOADING, BUSY, CLUSTERDOWN, …: it says "not now"
    other,
};
inline constexpr std::size_t limiter_trouble_kinds = 9;
[[nodiscard]] std::string_view to_string(limiter_trouble kind) noexcept;

// An exact sliding window per key over all controllers that share a Redis: one script, which runs
// there without anything in between. A request counts from its moment up to, not including, that
// moment plus the window; a refused one does not count. When it begins to fail, fails otherwise or
// works again, the log has one line. Ring thread only.
class rate_limiter final : public faas::rate_limiter {
public:
    // `server` outlives it.
    rate_limiter(client& server, rate_limiter_settings settings);

    task<result<faas::rate_decision>> check(std::string_view key, deadline until) override;

    // Whether checks can be made, tried on a key of nobody: trouble ends with it where no request
    // comes, as behind a load balancer that has heard of the trouble.
    task<result<>> probe(deadline until);

    [[nodiscard]] limiter_trouble trouble() const noexcept { return trouble_; }
    // Checks that failed of `kind`.
    [[nodiscard]] std::uint64_t failures(limiter_trouble kind) const noexcept {
        return failures_[static_cast<std::size_t>(kind)];
    }
    // Checks that were let pass because Redis could not be asked.
    [[nodiscard]] std::uint64_t passed_unasked() const noexcept { return passed_unasked_; }

private:
    task<result<faas::rate_decision>> ask(std::string_view key, deadline until);
    task<result<reply>> run_script(const std::string& key, deadline until);
    void note_failure(const error& why);
    void note_success();

    client& server_;
    rate_limiter_settings settings_;
    std::string digest_;  // by which Redis knows the script
    limiter_trouble trouble_ = limiter_trouble::none;
    steady_time failed_at_{};
    bool hangs_ = false;      // the last answer did not come
    steady_time ask_from_{};  // until then nobody waits for it
    std::array<std::uint64_t, limiter_trouble_kinds> failures_{};
    std::uint64_t passed_unasked_ = 0;
};

}  // namespace hearth::redis
