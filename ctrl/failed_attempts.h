#pragma once

#include <atomic>
#include <cstddef>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/clock.h"
#include "http/request.h"
#include "http/response.h"

namespace hearth::ctrl {

// Wrong keys and worker tokens by client address. One that has shown failures_max of them within a
// window is refused until the window ends, whatever it shows, so that nobody finds the right one by
// trying. In memory: several controllers each allow as many. Any thread.
class failed_attempts {
public:
    // `counting` false admits every attempt: where all clients come from one address, that of a
    // load balancer, anybody could have all of them refused.
    explicit failed_attempts(bool counting) noexcept : counting_(counting) {}

    // Three workers of one host with the token of another fleet stay below it with their
    // heartbeats.
    static constexpr int failures_max = 20;
    static constexpr seconds window{60};
    // Of one window; beyond them those that are not refused yet are forgotten: a flood from so many
    // addresses no count by address holds up.
    static constexpr std::size_t clients_max = 10'000;

    // How long `client` (client_of()) must wait; nothing when it may show its token.
    [[nodiscard]] std::optional<seconds> must_wait(std::string_view client, steady_time now);
    void failed(std::string_view client, steady_time now);
    // That are remembered.
    [[nodiscard]] std::size_t clients();

private:
    void pass_window(steady_time now);

    const bool counting_;
    std::atomic<bool> any_ = false;  // so that nobody waits for the lock where nobody has failed
    std::mutex access_;
    steady_time window_end_{};
    std::unordered_map<std::string, int> failures_;
};

// 429 with Retry-After.
[[nodiscard]] http::response too_many_failures(seconds wait, const http::request& request);

}  // namespace hearth::ctrl
